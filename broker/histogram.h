/* A histogram of int64_t values with a relative error of at most 1 %: latencies in nanoseconds,
 * sizes of batches.  Values up to 255 have a bucket each; above, every power of two is cut into
 * 128 buckets of equal width, so that a bucket is at most 1/128 of its values wide.
 * Fixed memory (58 KiB) inside the struct, which is all zero when empty.  Values below zero are
 * recorded as zero.  Not thread safe: one per thread, then histogram_merge. */
#ifndef BROKER_HISTOGRAM_H
#define BROKER_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_CUT_BITS = 7, /* A power of two is cut into 2^7 buckets. */
    HISTOGRAM_BUCKETS = (1 << HISTOGRAM_CUT_BITS) * (64 - HISTOGRAM_CUT_BITS),
};

struct histogram {
    uint64_t count;
    uint64_t sum_low; /* The sum is 128 bits wide, for it must not overflow. */
    uint64_t sum_high;
    int64_t min;
    int64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *self);

void histogram_record(struct histogram *self, int64_t value);

/* Adds all of `other`, as if its values had been recorded here. */
void histogram_merge(struct histogram *self, const struct histogram *other);

/* The value that `percent` (0 to 100) of all recorded values do not exceed: the one of rank
 * ceil(percent / 100 * count) in sorted order, within 1 %.  0 and 100 give the exact smallest and
 * largest.  0 if nothing was recorded. */
int64_t histogram_percentile(const struct histogram *self, double percent);

/* Exact; 0 if nothing was recorded. */
int64_t histogram_min(const struct histogram *self);
int64_t histogram_max(const struct histogram *self);
double histogram_mean(const struct histogram *self);

#endif
