/* A queue of at most `capacity` items of one size, in the caller's memory.
 * Invariant: count <= capacity.  Not thread safe. */
#ifndef RING_H
#define RING_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ring {
    unsigned char *items; /* Borrowed, capacity * size bytes. */
    size_t size;
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
};

static inline void ring_init(struct ring *self, void *items, size_t size, uint32_t capacity) {
    assert(size > 0 && capacity > 0);
    *self = (struct ring){ .items = items, .size = size, .capacity = capacity };
}

/* Copies the item in.  False: full, and nothing has changed. */
static inline bool ring_push(struct ring *self, const void *item) {
    if (self->count == self->capacity) return false;
    uint32_t at = (uint32_t)(((uint64_t)self->head + self->count) % self->capacity);
    memcpy(self->items + at * self->size, item, self->size);
    self->count++;
    return true;
}

/* Copies the oldest item out.  False: empty. */
static inline bool ring_pop(struct ring *self, void *item) {
    if (self->count == 0) return false;
    memcpy(item, self->items + self->head * self->size, self->size);
    self->head = self->head + 1 == self->capacity ? 0 : self->head + 1;
    self->count--;
    return true;
}

/* The oldest item, valid until the next change, or NULL. */
static inline const void *ring_first(const struct ring *self) {
    return self->count == 0 ? NULL : self->items + self->head * self->size;
}

#endif
