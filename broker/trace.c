#include "broker/trace.h"

#include <pthread.h>
#include <stdlib.h>

static struct {
    pthread_mutex_t lock;
    struct trace_ring *rings[TRACE_RINGS_MAX];
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool enlist(struct trace_ring *ring) {
    bool done = false;
    pthread_mutex_lock(&all.lock);
    for (uint32_t i = 0; i < TRACE_RINGS_MAX && !done; i++) {
        if (all.rings[i] != NULL) continue;
        all.rings[i] = ring;
        done = true;
    }
    pthread_mutex_unlock(&all.lock);
    return done;
}

struct trace_ring *trace_ring_open(uint32_t slots) {
    struct trace_ring *self = calloc(1, sizeof *self);
    uint64_t size = 1;
    while (size < slots)
        size *= 2;
    if (self == NULL) return NULL;
    self->mask = size - 1;
    self->slots = calloc(size, sizeof *self->slots);
    if (self->slots == NULL || !enlist(self)) {
        free(self->slots);
        free(self);
        return NULL;
    }
    return self;
}

void trace_ring_close(struct trace_ring *self) {
    if (self == NULL) return;
    pthread_mutex_lock(&all.lock);
    for (uint32_t i = 0; i < TRACE_RINGS_MAX; i++) {
        if (all.rings[i] == self) all.rings[i] = NULL;
    }
    pthread_mutex_unlock(&all.lock);
    free(self->slots);
    free(self);
}

/* False: it was overwritten, or may have been. */
static bool copy(struct trace_ring *ring, uint64_t number, struct trace_entry *entry) {
    _Atomic(uint64_t) *slot = ring->slots[number & ring->mask];
    uint64_t words[TRACE_WORDS];
    for (int i = 0; i < TRACE_WORDS; i++)
        words[i] = atomic_load_explicit(&slot[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    /* The slot's next entry is number + slots: has it been begun? */
    if (atomic_load_explicit(&ring->begun, memory_order_relaxed) > number + ring->mask + 1) {
        return false;
    }
    *entry = (struct trace_entry){ .at = (int64_t)words[0],
                                   .trace = words[1],
                                   .type = (uint16_t)(words[2] >> 48),
                                   .node = (uint16_t)(words[2] >> 32),
                                   .from = (uint8_t)(words[2] >> 16),
                                   .to = (uint8_t)(words[2] >> 8),
                                   .shard = (uint8_t)words[2] };
    return true;
}

/* From the newest back; returns how many. */
static uint32_t collect(struct trace_ring *ring, uint64_t trace, struct trace_entry *found) {
    uint32_t count = 0;
    uint64_t end = atomic_load_explicit(&ring->done, memory_order_acquire);
    uint64_t first = end > ring->mask + 1 ? end - ring->mask - 1 : 0;
    for (uint64_t number = end; number > first && count < TRACE_FOUND_MAX; number--) {
        if (!copy(ring, number - 1, &found[count])) break; /* Older ones are gone, too. */
        if (found[count].trace == trace) count++;
    }
    return count;
}

static int earlier(const void *a, const void *b) {
    const struct trace_entry *left = *(const struct trace_entry *const *)a;
    const struct trace_entry *right = *(const struct trace_entry *const *)b;
    if (left->at != right->at) return left->at < right->at ? -1 : 1;
    return left > right ? -1 : left < right; /* Collected from the newest back. */
}

uint32_t trace_find(uint64_t trace, trace_each *each, void *context) {
    uint32_t count = 0;
    struct trace_entry *found = calloc((size_t)TRACE_RINGS_MAX * TRACE_FOUND_MAX, sizeof *found);
    const struct trace_entry **sorted =
        calloc((size_t)TRACE_RINGS_MAX * TRACE_FOUND_MAX, sizeof(struct trace_entry *));
    if (found == NULL || sorted == NULL) abort();
    pthread_mutex_lock(&all.lock);
    for (uint32_t i = 0; i < TRACE_RINGS_MAX && trace != 0; i++) {
        if (all.rings[i] != NULL) count += collect(all.rings[i], trace, found + count);
    }
    pthread_mutex_unlock(&all.lock);
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = &found[i];
    qsort(sorted, count, sizeof(struct trace_entry *), earlier);
    for (uint32_t i = 0; i < count; i++)
        each(context, sorted[i]);
    free(sorted);
    free(found);
    return count;
}
