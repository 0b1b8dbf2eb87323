#include "actors/lib/heap.h"

#include <assert.h>
#include <stddef.h>

void heap_init(struct heap *self, struct heap_item *items, uint32_t *places, uint32_t capacity) {
    *self = (struct heap){ .items = items, .places = places, .capacity = capacity };
}

static bool before(struct heap_item a, struct heap_item b) {
    return a.key < b.key || (a.key == b.key && a.slot < b.slot);
}

static void put(struct heap *self, uint32_t at, struct heap_item item) {
    self->items[at] = item;
    self->places[item.slot] = at + 1;
}

/* Finds the place of an item that may go to `at`, moving others out of its way. */
static void settle_in(struct heap *self, uint32_t at, struct heap_item item) {
    while (at > 0 && before(item, self->items[(at - 1) / 2])) {
        put(self, at, self->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= self->count) break;
        if (child + 1 < self->count && before(self->items[child + 1], self->items[child])) child++;
        if (!before(self->items[child], item)) break;
        put(self, at, self->items[child]);
        at = child;
    }
    put(self, at, item);
}

void heap_set(struct heap *self, uint32_t slot, int64_t key) {
    assert(slot < self->capacity);
    uint32_t at = self->places[slot] != 0 ? self->places[slot] - 1 : self->count++;
    struct heap_item item = { .key = key, .slot = slot };
    self->items[at] = item;
    settle_in(self, at, item);
}

bool heap_remove(struct heap *self, uint32_t slot) {
    assert(slot < self->capacity);
    if (self->places[slot] == 0) return false;
    uint32_t at = self->places[slot] - 1;
    self->places[slot] = 0;
    struct heap_item last = self->items[--self->count];
    if (at < self->count) settle_in(self, at, last);
    return true;
}

bool heap_has(const struct heap *self, uint32_t slot) {
    return slot < self->capacity && self->places[slot] != 0;
}

const struct heap_item *heap_first(const struct heap *self) {
    return self->count > 0 ? &self->items[0] : NULL;
}

void heap_check(const struct heap *self) {
    assert(self->count <= self->capacity);
    for (uint32_t i = 0; i < self->count && i < 64; i++) {
        assert(self->places[self->items[i].slot] == i + 1);
        assert(i == 0 || !before(self->items[i], self->items[(i - 1) / 2]));
    }
}
