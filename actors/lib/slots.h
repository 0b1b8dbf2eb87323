/* Which slots of a table are free, and lists over its slots; both without memory of their own
 * beyond one link per slot, and both empty when zeroed.  Slots are numbered from 0; links and heads
 * hold number + 1, so that 0 means none.  Not thread safe. */
#ifndef SLOTS_H
#define SLOTS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct link {
    uint32_t next, previous; /* Slot + 1; 0 = none. */
};

/* Slots given out and taken back.  Invariant: used <= fresh <= capacity. */
struct slots {
    struct link *links; /* Borrowed; of the free slots. */
    uint32_t capacity;
    uint32_t fresh; /* Slots below this have been used once. */
    uint32_t free;  /* First of those that came back. */
    uint32_t used;
};

static inline void slots_init(struct slots *self, struct link *links, uint32_t capacity) {
    *self = (struct slots){ .links = links, .capacity = capacity };
}

/* False when all are used. */
static inline bool slots_take(struct slots *self, uint32_t *slot) {
    if (self->free != 0) {
        *slot = self->free - 1;
        self->free = self->links[*slot].next;
    } else if (self->fresh < self->capacity) {
        *slot = self->fresh++;
    } else {
        return false;
    }
    self->links[*slot] = (struct link){ 0 };
    self->used++;
    return true;
}

static inline void slots_give(struct slots *self, uint32_t slot) {
    assert(slot < self->fresh && self->used > 0);
    self->links[slot].next = self->free;
    self->free = slot + 1;
    self->used--;
}

/* A list in order of arrival over slots of one table; a slot is in it at most once. */
struct chain {
    struct link *links; /* Borrowed; one per slot, for this list alone. */
    uint32_t first, last;
    uint32_t count;
};

static inline void chain_init(struct chain *self, struct link *links) {
    *self = (struct chain){ .links = links };
}

static inline void chain_append(struct chain *self, uint32_t slot) {
    self->links[slot] = (struct link){ .previous = self->last };
    if (self->last != 0)
        self->links[self->last - 1].next = slot + 1;
    else
        self->first = slot + 1;
    self->last = slot + 1;
    self->count++;
}

static inline void chain_remove(struct chain *self, uint32_t slot) {
    struct link link = self->links[slot];
    assert(self->count > 0);
    if (link.previous != 0)
        self->links[link.previous - 1].next = link.next;
    else
        self->first = link.next;
    if (link.next != 0)
        self->links[link.next - 1].previous = link.previous;
    else
        self->last = link.previous;
    self->links[slot] = (struct link){ 0 };
    self->count--;
}

/* The oldest slot; false when the list is empty. */
static inline bool chain_first(const struct chain *self, uint32_t *slot) {
    if (self->first == 0) return false;
    *slot = self->first - 1;
    return true;
}

/* The slot after this one; false at the end. */
static inline bool chain_next(const struct chain *self, uint32_t *slot) {
    uint32_t next = self->links[*slot].next;
    if (next == 0) return false;
    *slot = next - 1;
    return true;
}

#endif
