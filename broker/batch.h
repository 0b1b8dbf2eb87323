/* A growing list of messages with the memory of their bodies and texts.
 *
 * Filled by append or take, read in order, emptied whole; the memory is kept for the next round, so
 * a batch in steady use allocates nothing.  Bodies never move.  Not thread safe. */
#ifndef BATCH_H
#define BATCH_H

#include "actors/actor.h"

struct batch_chunk;

struct batch {
    struct message *items;
    uint32_t count, capacity;
    struct batch_chunk *first, *current;
};

void batch_init(struct batch *self);
void batch_fini(struct batch *self);
/* Forgets the messages, keeps the memory (but gives back chunks beyond 4 MiB). */
void batch_reset(struct batch *self);

/* Memory that lives as long as the messages; aligned to 8.  Aborts when the system has none. */
void *batch_memory(struct batch *self, size_t size);

/* Appends a message and returns its body, not initialised. */
void *batch_take(struct batch *self, const struct head *head, const struct message_type *type);

/* Appends a copy, texts included. */
void batch_append(struct batch *self, const struct message *message);

/* An outbox that sends into the batch: at most `room` messages. */
struct outbox batch_outbox(struct batch *self, enum address address, uint8_t shard, uint32_t room);

#endif
