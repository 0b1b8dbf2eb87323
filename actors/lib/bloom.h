/* A Bloom filter over ids: bytes that say "perhaps" or "certainly not".  Inventory builds them, a
 * bridge asks them, so hashing and layout are fixed: four bits per id, taken from id_hash().
 *
 * Invariants: the size is a power of two between BLOOM_MIN and BLOOM_MAX; an id that was added is
 * always found; bits are never cleared but all at once. */
#ifndef BLOOM_H
#define BLOOM_H

#include <stdbool.h>
#include <stdint.h>

enum { BLOOM_MIN = 64, BLOOM_MAX = 65536, BLOOM_BITS_PER_ID = 16 };

/* Bytes of a filter for so many ids: 16 bits for each (one wrong "perhaps" in 400), fewer when
 * that is more than BLOOM_MAX. */
uint32_t bloom_size(uint64_t ids);

/* The same filter in more bytes, with room for more ids: what it finds it finds still, and no more
 * of those that were not added.  `to` has to_size bytes, at least `size`. */
void bloom_widen(uint8_t *to, uint32_t to_size, const uint8_t *from, uint32_t size);

/* True when a bit changed, so: when the id was certainly not there before. */
bool bloom_add(uint8_t *filter, uint32_t size, int64_t id);

/* An empty filter (size 0), or one of a size that none has, knows nothing and says perhaps. */
bool bloom_may_have(const uint8_t *filter, uint32_t size, int64_t id);

#endif
