/* A map from ids to small numbers (slots of a table), open addressing, in the caller's memory.
 * Zeroed memory is an empty map, so that nothing has to be touched at start.
 *
 * It uses as many of the cells as it needs, twice as many whenever they are half full, so that a
 * few ids in a map for very many stay in the processor's cache.  A map too large to be moved within
 * a millisecond or two uses all its cells from the start.
 *
 * Invariants: an id is never 0; at most three quarters of the cells are used, so a search ends
 * soon; no gap lies between an id and the cell it hashes to.  Not thread safe. */
#ifndef IDMAP_H
#define IDMAP_H

#include <stdbool.h>
#include <stdint.h>

struct idmap_cell {
    int64_t id; /* 0 = free */
    uint32_t value;
};

struct idmap {
    struct idmap_cell *cells; /* Borrowed. */
    uint32_t mask;            /* Of the cells in use. */
    uint32_t full;            /* Of all of them. */
    uint32_t count;
};

/* `size` is a power of two; the cells are zeroed. */
void idmap_init(struct idmap *self, struct idmap_cell *cells, uint32_t size);

/* How many ids it takes. */
uint32_t idmap_capacity(const struct idmap *self);

/* Adds the id, or replaces its value.  False: full, and nothing has changed. */
bool idmap_put(struct idmap *self, int64_t id, uint32_t value);
/* The value in *value; false and *value unchanged when the id is not there. */
bool idmap_get(const struct idmap *self, int64_t id, uint32_t *value);
/* False when the id was not there. */
bool idmap_remove(struct idmap *self, int64_t id);
void idmap_clear(struct idmap *self);

/* A good mixture of the bits of an id; fixed for ever, since filters built with it travel. */
uint64_t id_hash(int64_t id);

#endif
