#include "broker/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 65536, KEEP_BYTES = 4 << 20 };

struct batch_chunk {
    struct batch_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

static void *must(void *memory) {
    if (memory == NULL) abort(); /* Crash-only: a restart recovers everything. */
    return memory;
}

void batch_init(struct batch *self) {
    memset(self, 0, sizeof *self);
}

void batch_fini(struct batch *self) {
    for (struct batch_chunk *chunk = self->first; chunk != NULL;) {
        struct batch_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(self->items);
    batch_init(self);
}

void batch_reset(struct batch *self) {
    size_t kept = 0;
    self->count = 0;
    for (struct batch_chunk **at = &self->first; *at != NULL;) {
        struct batch_chunk *chunk = *at;
        kept += chunk->size;
        if (kept > KEEP_BYTES) {
            *at = chunk->next;
            free(chunk);
        } else {
            chunk->used = 0;
            at = &chunk->next;
        }
    }
    self->current = self->first;
}

static struct batch_chunk *chunk_for(struct batch *self, size_t size) {
    struct batch_chunk *last = NULL;
    for (struct batch_chunk *chunk = self->current; chunk != NULL; chunk = chunk->next) {
        if (chunk->size - chunk->used >= size) return chunk;
        last = chunk;
    }
    size_t bytes = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct batch_chunk *chunk = must(malloc(sizeof *chunk + bytes));
    *chunk = (struct batch_chunk){ .size = bytes };
    if (last != NULL)
        last->next = chunk;
    else
        self->first = chunk;
    return chunk;
}

void *batch_memory(struct batch *self, size_t size) {
    size = (size + 7) & ~(size_t)7;
    struct batch_chunk *chunk = chunk_for(self, size);
    self->current = chunk;
    void *memory = chunk->bytes + chunk->used;
    chunk->used += size;
    return memory;
}

void *batch_take(struct batch *self, const struct head *head, const struct message_type *type) {
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 256;
        self->items = must(realloc(self->items, self->capacity * sizeof *self->items));
    }
    void *body = batch_memory(self, type->size);
    self->items[self->count++] = (struct message){ *head, body };
    return body;
}

void batch_append(struct batch *self, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    char *body = batch_take(self, &message->head, type);
    memcpy(body, message->body, type->size);
    for (uint32_t i = 0; i < type->text_count; i++) {
        struct text text;
        memcpy(&text, body + type->text_at[i], sizeof text);
        if (text.size == 0) continue;
        char *copy = batch_memory(self, text.size);
        memcpy(copy, text.at, text.size);
        text.at = copy;
        memcpy(body + type->text_at[i], &text, sizeof text);
    }
}

static void *sink_take(void *sink, const struct head *head, const struct message_type *type) {
    return batch_take(sink, head, type);
}

static char *sink_text(void *sink, size_t size) {
    return batch_memory(sink, size);
}

struct outbox batch_outbox(struct batch *self, enum address address, uint8_t shard, uint32_t room) {
    return (struct outbox){ .sink = self,
                            .take = sink_take,
                            .text = sink_text,
                            .self = address,
                            .shard = shard,
                            .capacity = room };
}
