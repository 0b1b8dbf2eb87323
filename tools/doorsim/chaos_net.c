/* Faults of the lines to Redis and PostgreSQL: the proxies. */
#include "tools/doorsim/chaos.h"

static void mend(struct proxy *proxy) {
    proxy_set(proxy, &(struct proxy_faults){ 0 });
}

static void delay(struct chaos *self, struct proxy *proxy) {
    int64_t most = chaos_span(self, 5, 120);
    proxy_set(proxy, &(struct proxy_faults){ .delay_ns = { most / 4, most / 4 },
                                             .jitter_ns = { most, most } });
    stage_sleep(&self->stage, chaos_span(self, 800, 2500));
    mend(proxy);
}

static void throttle(struct chaos *self, struct proxy *proxy) {
    int64_t rate = 4000 + (int64_t)chaos_draw(self, 60000);
    proxy_set(proxy, &(struct proxy_faults){ .rate = { rate, rate } });
    stage_sleep(&self->stage, chaos_span(self, 800, 2500));
    mend(proxy);
}

static void cut(struct chaos *self, struct proxy *proxy) {
    for (uint64_t left = 1 + chaos_draw(self, 6); left > 0; left--) {
        proxy_cut(proxy, chaos_draw(self, 2) == 0);
        stage_sleep(&self->stage, chaos_span(self, 5, 400));
    }
}

static void cut_after(struct chaos *self, struct proxy *proxy) {
    for (uint64_t left = 2 + chaos_draw(self, 4); left > 0; left--) {
        struct proxy_faults faults = { 0 };
        faults.cut_after[chaos_draw(self, PROXY_WAYS)] = 1 + (int64_t)chaos_draw(self, 3000);
        proxy_set(proxy, &faults);
        stage_sleep(&self->stage, chaos_span(self, 50, 500));
    }
    mend(proxy);
}

static void half_open(struct chaos *self, struct proxy *proxy) {
    bool refuse = chaos_draw(self, 3) == 0;
    proxy_set(proxy, &(struct proxy_faults){ .hang = !refuse, .refuse = refuse });
    proxy_cut(proxy, true);
    stage_sleep(&self->stage, chaos_span(self, 500, 4000));
    mend(proxy);
    proxy_cut(proxy, true); /* Those that hang would do so until the client's patience ends. */
}

static void one_way(struct chaos *self, struct proxy *proxy, enum proxy_way way, bool cut_it) {
    struct proxy_faults faults = { 0 };
    faults.block[way] = true;
    proxy_set(proxy, &faults);
    stage_sleep(&self->stage, chaos_span(self, 300, 3500));
    if (cut_it) {
        proxy_cut(proxy, true);
        stage_sleep(&self->stage, 20 * CHAOS_MS); /* What was held is gone when it is unblocked. */
    }
    mend(proxy);
}

#define ON(store)                                                                                  \
    void chaos_##store##_delay(struct chaos *self) {                                               \
        delay(self, self->store);                                                                  \
    }                                                                                              \
    void chaos_##store##_throttle(struct chaos *self) {                                            \
        throttle(self, self->store);                                                               \
    }                                                                                              \
    void chaos_##store##_cut(struct chaos *self) {                                                 \
        cut(self, self->store);                                                                    \
    }                                                                                              \
    void chaos_##store##_cut_after(struct chaos *self) {                                           \
        cut_after(self, self->store);                                                              \
    }                                                                                              \
    void chaos_##store##_half_open(struct chaos *self) {                                           \
        half_open(self, self->store);                                                              \
    }                                                                                              \
    void chaos_##store##_mute(struct chaos *self) {                                                \
        one_way(self, self->store, TO_CLIENT, true);                                               \
    }                                                                                              \
    void chaos_##store##_deaf(struct chaos *self) {                                                \
        one_way(self, self->store, TO_SERVER, chaos_draw(self, 2) == 0);                           \
    }
ON(redis)
ON(pg)
