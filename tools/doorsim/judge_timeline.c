#include "tools/doorsim/judge_timeline.h"

#include <stdlib.h>

struct change {
    int64_t lot;
    int64_t at;
    int64_t taken; /* Negative: came back. */
    bool back;     /* A return that may not have freed anything in the end. */
};

struct timelines {
    const struct facts *facts;
    size_t count;
    struct change changes[]; /* By lot, then time. */
};

static int by_lot_and_time(const void *a, const void *b) {
    const struct change *left = a, *right = b;
    if (left->lot != right->lot) return left->lot < right->lot ? -1 : 1;
    return (left->at > right->at) - (left->at < right->at);
}

struct timelines *timelines_open(const struct facts *facts) {
    struct timelines *self =
        calloc(1, sizeof *self + facts->order_count * 2 * sizeof self->changes[0]);
    if (self == NULL) return NULL;
    self->facts = facts;
    for (size_t i = 0; i < facts->order_count; i++) {
        const struct fact_order *order = &facts->orders[i];
        bool holds = state_holds(order->state);
        self->changes[self->count++] =
            (struct change){ order->lot, order->created_at, order->quantity, false };
        if (order->returned_at == 0) continue;
        self->changes[self->count++] =
            (struct change){ order->lot, order->returned_at, holds ? 0 : -order->quantity, true };
    }
    if (self->count > 0) qsort(self->changes, self->count, sizeof *self->changes, by_lot_and_time);
    return self;
}

void timelines_close(struct timelines **self) {
    free(*self);
    *self = NULL;
}

/* The first change of the lot at or after the time. */
static size_t first_from(const struct timelines *self, int64_t lot, int64_t at) {
    size_t low = 0, high = self->count;
    struct change key = { .lot = lot, .at = at };
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_lot_and_time(&self->changes[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool timelines_returned(const struct timelines *self, int64_t lot, int64_t from, int64_t to) {
    for (size_t i = first_from(self, lot, from); i < self->count; i++) {
        const struct change *change = &self->changes[i];
        if (change->lot != lot || change->at > to) return false;
        if (change->back) return true;
    }
    return false;
}

bool timelines_free(const struct timelines *self, int64_t lot, int64_t quantity, int64_t from,
                    int64_t to) {
    const struct fact_lot *fact = facts_lot(self->facts, lot);
    if (fact == NULL) return false;
    int64_t free_units = fact->allocated;
    for (size_t i = first_from(self, lot, INT64_MIN); i < self->count; i++) {
        const struct change *change = &self->changes[i];
        if (change->lot != lot || change->at > to) break;
        if (change->at > from && free_units < quantity) return false;
        free_units -= change->taken;
    }
    return free_units >= quantity;
}
