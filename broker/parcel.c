#include "broker/parcel.h"

#include <stdlib.h>

void parcel_free(struct parcel *self) {
    if (self == NULL) return;
    batch_fini(&self->batch);
    free(self);
}

static void free_list(struct parcel *first) {
    while (first != NULL) {
        struct parcel *next = first->next;
        parcel_free(first);
        first = next;
    }
}

void parcel_stock_fini(struct parcel_stock *self) {
    free_list(self->kept);
    free_list(atomic_exchange(&self->returned, NULL));
    self->kept = NULL;
}

struct parcel *parcel_take(struct parcel_stock *self) {
    if (self->kept == NULL) {
        /* All at once, so that no parcel can leave and come back under a push (ABA). */
        self->kept = atomic_exchange_explicit(&self->returned, NULL, memory_order_acquire);
    }
    struct parcel *parcel = self->kept;
    if (parcel == NULL) {
        parcel = calloc(1, sizeof *parcel);
        if (parcel == NULL) abort(); /* Crash-only: a restart recovers everything. */
        parcel->home = self;
        return parcel;
    }
    self->kept = parcel->next;
    parcel->next = NULL;
    return parcel;
}

void parcel_back(struct parcel *self) {
    struct parcel_stock *home = self->home;
    batch_reset(&self->batch);
    struct parcel *first = atomic_load_explicit(&home->returned, memory_order_relaxed);
    do {
        self->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&home->returned, &first, self,
                                                    memory_order_release, memory_order_relaxed));
}
