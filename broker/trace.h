/* The way of one request through this process: each thread of the host keeps a ring of the messages
 * it delivered last, and anybody may look for those of one trace id.
 *
 * Writing costs a few nanoseconds: no lock, no allocation, no system call.  Reading never disturbs
 * the writer: an entry is copied, and dropped if it may have been overwritten meanwhile.  Messages
 * without a trace id are not kept: nobody could ask for them.  A message that left for another node
 * is in that node's ring. */
#ifndef TRACE_H
#define TRACE_H

#include <stdatomic.h>

#include "actors/actor.h"

/* A message that was delivered. */
struct trace_entry {
    int64_t at; /* Wall time of the turn, ns. */
    uint64_t trace;
    uint16_t type;
    uint8_t from, to, shard;
    uint16_t node; /* Of the origin. */
};

enum { TRACE_WORDS = 3, TRACE_RINGS_MAX = 64, TRACE_FOUND_MAX = 1024 };

/* One writer.  Slots below `done` are written; `begun` is one ahead while the next is. */
struct trace_ring {
    uint64_t mask; /* Slots - 1; a power of two of them. */
    atomic_uint_fast64_t begun, done;
    _Atomic(uint64_t) (*slots)[TRACE_WORDS];
};

/* At least `slots` (1 to 2^24) of them, known to trace_find() until it is closed.  NULL: no memory,
 * or already TRACE_RINGS_MAX rings. */
struct trace_ring *trace_ring_open(uint32_t slots);
void trace_ring_close(struct trace_ring *self);

/* By the ring's own thread. */
static inline void trace_put(struct trace_ring *self, int64_t now, const struct head *head) {
    uint64_t number = atomic_load_explicit(&self->done, memory_order_relaxed);
    _Atomic(uint64_t) *slot = self->slots[number & self->mask];
    uint64_t packed = (uint64_t)head->type << 48 | (uint64_t)head->node << 32 |
                      (uint64_t)head->from << 16 | (uint64_t)head->to << 8 | head->shard;
    atomic_store_explicit(&self->begun, number + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* Whoever sees a word sees `begun`. */
    atomic_store_explicit(&slot[0], (uint64_t)now, memory_order_relaxed);
    atomic_store_explicit(&slot[1], head->trace, memory_order_relaxed);
    atomic_store_explicit(&slot[2], packed, memory_order_relaxed);
    atomic_store_explicit(&self->done, number + 1, memory_order_release);
}

typedef void trace_each(void *context, const struct trace_entry *entry);

/* Any thread: calls `each` for the messages with this trace id in the rings of this process, in
 * order of time; the latest TRACE_FOUND_MAX of each ring at most.  Returns how many.  Reads all
 * rings: milliseconds. */
uint32_t trace_find(uint64_t trace, trace_each *each, void *context);

#endif
