#include "actors/lib/bloom.h"

#include <assert.h>
#include <string.h>

#include "actors/lib/idmap.h"

enum { PROBES = 4 };

static bool size_good(uint32_t size) {
    return size >= BLOOM_MIN && size <= BLOOM_MAX && (size & (size - 1)) == 0;
}

uint32_t bloom_size(uint64_t ids) {
    uint32_t size = BLOOM_MIN;
    while (size < BLOOM_MAX && ids > (uint64_t)size * 8 / BLOOM_BITS_PER_ID)
        size *= 2;
    return size;
}

/* The probes walk by an odd step, so that they differ whatever the size is. */
static uint32_t probe(uint64_t hash, uint32_t number, uint32_t bits) {
    uint32_t step = (uint32_t)(hash >> 32) | 1;
    return ((uint32_t)hash + number * step) & (bits - 1);
}

/* Which bit an id has is taken modulo the size. */
void bloom_widen(uint8_t *to, uint32_t to_size, const uint8_t *from, uint32_t size) {
    assert(size_good(size) && size_good(to_size) && to_size >= size);
    for (uint32_t at = 0; at < to_size; at += size)
        memcpy(to + at, from, size);
}

bool bloom_add(uint8_t *filter, uint32_t size, int64_t id) {
    assert(size_good(size));
    uint64_t hash = id_hash(id);
    bool changed = false;
    for (uint32_t i = 0; i < PROBES; i++) {
        uint32_t bit = probe(hash, i, size * 8);
        uint8_t mask = (uint8_t)(1U << (bit & 7));
        if ((filter[bit >> 3] & mask) == 0) changed = true;
        filter[bit >> 3] |= mask;
    }
    return changed;
}

bool bloom_may_have(const uint8_t *filter, uint32_t size, int64_t id) {
    if (!size_good(size)) return true;
    uint64_t hash = id_hash(id);
    for (uint32_t i = 0; i < PROBES; i++) {
        uint32_t bit = probe(hash, i, size * 8);
        if ((filter[bit >> 3] >> (bit & 7) & 1) == 0) return false;
    }
    return true;
}
