#include "broker/beat.h"

#include <assert.h>
#include <stdatomic.h>

static _Atomic int64_t beats[BEATS_MAX]; /* 0 = nobody. */

void beat(uint32_t thread, int64_t now) {
    assert(thread < BEATS_MAX);
    atomic_store_explicit(&beats[thread], now, memory_order_relaxed);
}

void beat_end(uint32_t thread) {
    beat(thread, 0);
}

int64_t beat_oldest(int64_t now, uint32_t *thread) {
    int64_t oldest = 0;
    for (uint32_t i = 0; i < BEATS_MAX; i++) {
        int64_t at = atomic_load_explicit(&beats[i], memory_order_relaxed);
        if (at == 0 || now - at <= oldest) continue;
        oldest = now - at;
        *thread = i;
    }
    return oldest;
}
