#include "tools/doorsim/series.h"

#include "schema/timefmt.h"

#include <math.h>
#include <stdlib.h>

enum { SLICES_MAX = 600, SLICE_MIN_MS = 100, TAIL_S = 30 };

bool series_init(struct series *self, int64_t duration_ns) {
    int64_t whole = duration_ns + TAIL_S * TIMEFMT_NS_PER_S;
    *self = (struct series){ .slice_ns = SLICE_MIN_MS * TIMEFMT_NS_PER_MS };
    while (whole / self->slice_ns > SLICES_MAX) {
        self->slice_ns += SLICE_MIN_MS * TIMEFMT_NS_PER_MS;
    }
    self->capacity = (size_t)(whole / self->slice_ns) + 1;
    self->slices = calloc(self->capacity, sizeof *self->slices);
    for (size_t i = 0; self->slices != NULL && i < self->capacity; i++) {
        self->slices[i].cores = -1;
        for (int g = 0; g < GAUGES_MAX; g++) {
            self->slices[i].gauges[g] = NAN;
        }
    }
    return self->slices != NULL;
}

void series_fini(struct series *self) {
    for (size_t i = 0; i < self->capacity; i++) {
        free(self->slices[i].latency);
    }
    free(self->slices);
    *self = (struct series){ 0 };
}

struct slice *series_at(struct series *self, int64_t offset_ns) {
    size_t index = offset_ns < 0 ? 0 : (size_t)(offset_ns / self->slice_ns);
    if (index >= self->capacity) index = self->capacity - 1;
    if (index >= self->count) self->count = index + 1;
    return &self->slices[index];
}

void slice_latency(struct slice *self, int64_t latency_ns) {
    if (self->latency == NULL) self->latency = calloc(1, sizeof *self->latency);
    if (self->latency != NULL) histogram_record(self->latency, latency_ns);
}
