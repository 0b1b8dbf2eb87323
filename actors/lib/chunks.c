#include "actors/lib/chunks.h"

#include <assert.h>
#include <string.h>

void chunks_init(struct chunks *self, struct chunk *items, uint32_t capacity) {
    *self = (struct chunks){ .items = items, .capacity = capacity };
}

static uint32_t take(struct chunks *self) {
    uint32_t at = self->free != 0 ? self->free - 1 : self->fresh++;
    if (self->free != 0) self->free = self->items[at].next;
    self->items[at].next = 0;
    self->used++;
    return at;
}

bool chunks_put(struct chunks *self, struct text text, uint32_t *first) {
    uint32_t needed = (text.size + CHUNK_BYTES - 1) / CHUNK_BYTES;
    if (needed > self->capacity - self->used) return false;
    uint32_t *link = first;
    *first = 0;
    for (uint32_t done = 0; done < text.size; done += CHUNK_BYTES) {
        uint32_t at = take(self), left = text.size - done;
        memcpy(self->items[at].bytes, text.at + done, left < CHUNK_BYTES ? left : CHUNK_BYTES);
        *link = at + 1;
        link = &self->items[at].next;
    }
    return true;
}

void chunks_get(const struct chunks *self, uint32_t first, uint32_t size, char *to) {
    for (uint32_t done = 0; done < size; done += CHUNK_BYTES) {
        assert(first != 0);
        const struct chunk *chunk = &self->items[first - 1];
        uint32_t left = size - done;
        memcpy(to + done, chunk->bytes, left < CHUNK_BYTES ? left : CHUNK_BYTES);
        first = chunk->next;
    }
}

void chunks_drop(struct chunks *self, uint32_t first) {
    while (first != 0) {
        struct chunk *chunk = &self->items[first - 1];
        uint32_t next = chunk->next;
        chunk->next = self->free;
        self->free = first;
        self->used--;
        first = next;
    }
}
