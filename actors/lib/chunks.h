/* Short texts kept beyond the batch that brought them: each lies in a list of small chunks of one
 * pool, in the caller's memory.  Zeroed memory is an empty pool.
 *
 * Invariants: a chunk belongs to one text or to the free list; used <= capacity.  A text is named
 * by its first chunk + 1; 0 is the empty text. */
#ifndef CHUNKS_H
#define CHUNKS_H

#include "schema/schema.h"

enum { CHUNK_BYTES = 124 };

struct chunk {
    uint32_t next; /* Chunk + 1; 0 = last. */
    char bytes[CHUNK_BYTES];
};

struct chunks {
    struct chunk *items; /* Borrowed. */
    uint32_t capacity;
    uint32_t fresh;
    uint32_t free;
    uint32_t used;
};

void chunks_init(struct chunks *self, struct chunk *items, uint32_t capacity);
/* Copies the text in; its name in *first.  False: no room, and nothing has changed. */
bool chunks_put(struct chunks *self, struct text text, uint32_t *first);
/* Copies a text of `size` bytes out to `to`. */
void chunks_get(const struct chunks *self, uint32_t first, uint32_t size, char *to);
void chunks_drop(struct chunks *self, uint32_t first);

#endif
