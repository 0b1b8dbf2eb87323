/* A log-linear histogram. */
#include "broker/histogram.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    CUTS = 1 << HISTOGRAM_CUT_BITS,
    EXACT = 2 * CUTS, /* Below this a bucket is one value. */
};

static size_t bucket_of(int64_t value) {
    if (value < EXACT) return (size_t)value;
    int top = 63 - __builtin_clzll((unsigned long long)value);
    int shift = top - HISTOGRAM_CUT_BITS;
    /* The leading bit and the CUT_BITS after it: CUTS..2*CUTS-1. */
    return (size_t)shift * CUTS + (size_t)(value >> shift);
}

/* The middle of the bucket, so that the error is at most half its width. */
static int64_t value_of(size_t bucket) {
    if (bucket < EXACT) return (int64_t)bucket;
    int shift = (int)(bucket / CUTS) - 1;
    int64_t low = (int64_t)(bucket % CUTS + CUTS) << shift;
    return low + (INT64_C(1) << shift) / 2;
}

void histogram_init(struct histogram *self) {
    memset(self, 0, sizeof *self);
}

void histogram_record(struct histogram *self, int64_t value) {
    if (value < 0) value = 0;
    if (self->count == 0 || value < self->min) self->min = value;
    if (self->count == 0 || value > self->max) self->max = value;
    self->count++;
    self->sum_low += (uint64_t)value;
    if (self->sum_low < (uint64_t)value) self->sum_high++;
    self->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *self, const struct histogram *other) {
    if (other->count == 0) return;
    if (self->count == 0 || other->min < self->min) self->min = other->min;
    if (self->count == 0 || other->max > self->max) self->max = other->max;
    self->count += other->count;
    self->sum_low += other->sum_low;
    self->sum_high += other->sum_high + (self->sum_low < other->sum_low ? 1 : 0);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        self->buckets[i] += other->buckets[i];
}

int64_t histogram_percentile(const struct histogram *self, double percent) {
    assert(percent >= 0 && percent <= 100);
    if (self->count == 0) return 0;
    double exact = ceil(percent * (double)self->count / 100); /* In this order: 99.9 is inexact. */
    uint64_t rank = exact < 1 ? 1 : (uint64_t)exact;
    if (rank <= 1) return self->min;
    if (rank >= self->count) return self->max;

    uint64_t seen = 0;
    size_t bucket = 0;
    while ((seen += self->buckets[bucket]) < rank)
        bucket++;
    int64_t value = value_of(bucket);
    return value < self->min ? self->min : value > self->max ? self->max : value;
}

int64_t histogram_min(const struct histogram *self) {
    return self->min;
}

int64_t histogram_max(const struct histogram *self) {
    return self->max;
}

double histogram_mean(const struct histogram *self) {
    if (self->count == 0) return 0;
    return ((double)self->sum_high * 0x1p64 + (double)self->sum_low) / (double)self->count;
}
