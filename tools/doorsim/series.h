/* A run cut into equal slices of time: what was asked and answered in each, and how the parts
 * stood.
 *
 * Arrivals and latencies are booked where the request was meant to start, answers where they came;
 * so a standstill shows in the slices of those it made wait.  Times are nanoseconds from the start
 * of the run; what lies outside is booked in the first or last slice. */
#ifndef DOORSIM_SERIES_H
#define DOORSIM_SERIES_H

#include "broker/histogram.h"
#include "tools/doorsim/gauges.h"
#include "tools/doorsim/tally.h"

struct slice {
    uint64_t arrived, sent;
    uint64_t count[TALLIES];
    int64_t late_max;          /* Of the requests meant to start here, from then to being sent. */
    double cores;              /* The generator's processor time by time passed; -1: not known. */
    struct histogram *latency; /* NULL: nothing answered. */
    double gauges[GAUGES_MAX]; /* NAN where there was no answer. */
};

struct series {
    int64_t slice_ns;
    size_t count; /* Slices that were reached. */
    size_t capacity;
    struct slice *slices;
    struct gauges names;
};

/* For a run of `duration_ns` and what drips in after it.  False when memory is out. */
bool series_init(struct series *self, int64_t duration_ns);
void series_fini(struct series *self);

/* The slice of a time.  Never NULL. */
struct slice *series_at(struct series *self, int64_t offset_ns);

void slice_latency(struct slice *self, int64_t latency_ns);

#endif
