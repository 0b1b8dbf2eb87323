/* A binary heap over the slots of a table: the slot with the smallest key comes first, and any slot
 * can be moved or taken out.  Equal keys come in the order of their slots, so that runs repeat.
 * In the caller's memory; zeroed memory is an empty heap.
 *
 * Invariants: a slot is in the heap at most once; places[slot] is its place + 1, 0 = not in it; no
 * item is smaller than the one above it.  Not thread safe. */
#ifndef HEAP_H
#define HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_item {
    int64_t key;
    uint32_t slot;
};

struct heap {
    struct heap_item *items; /* Borrowed, `capacity` of them. */
    uint32_t *places;        /* Borrowed, one per slot. */
    uint32_t capacity;       /* Slots are below this. */
    uint32_t count;
};

void heap_init(struct heap *self, struct heap_item *items, uint32_t *places, uint32_t capacity);

/* Adds the slot, or changes its key.  Cannot be full: there is an item for every slot. */
void heap_set(struct heap *self, uint32_t slot, int64_t key);
/* False when the slot was not in it. */
bool heap_remove(struct heap *self, uint32_t slot);
bool heap_has(const struct heap *self, uint32_t slot);
/* The first item, or NULL; valid until the next change. */
const struct heap_item *heap_first(const struct heap *self);
/* Asserts the invariants of the first items (all of them would take too long in production). */
void heap_check(const struct heap *self);

#endif
