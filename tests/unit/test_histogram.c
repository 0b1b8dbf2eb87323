/* The histogram beside the sorted sample it stands for. */
#include "broker/histogram.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SAMPLE = 20000 };

static int64_t sample[SAMPLE];
static struct histogram whole, part;

static uint64_t state_of_draw;

static uint64_t draw(void) {
    state_of_draw += UINT64_C(0x9e3779b97f4a7c15); /* A Weyl sequence, mixed. */
    uint64_t z = state_of_draw;
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return z ^ z >> 32;
}

static int compare(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static int64_t draw_any_size(void) {
    return (int64_t)(draw() >> 1 >> draw() % 63);
}
static int64_t draw_latency(void) {
    return (int64_t)(200000 + draw() % 3000000);
}
static int64_t draw_small(void) {
    return (int64_t)(draw() % 300);
}
static int64_t draw_same(void) {
    return 123456789;
}

static void check_percentiles(const struct histogram *histogram) {
    static const double percents[] = { 0, 0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100 };
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        double rank = ceil(percents[i] * SAMPLE / 100);
        int64_t exact = sample[rank < 1 ? 0 : (size_t)rank - 1];
        int64_t got = histogram_percentile(histogram, percents[i]);
        if (fabs((double)got - (double)exact) > 0.01 * (double)exact)
            fail_msg("p%g is %lld, not %lld", percents[i], (long long)got, (long long)exact);
    }
}

static void percentiles_are_within_one_percent(void **state) {
    (void)state;
    int64_t (*const draws[])(void) = { draw_any_size, draw_latency, draw_small, draw_same };
    for (size_t d = 0; d < sizeof draws / sizeof *draws; d++) {
        double sum = 0;
        state_of_draw = d;
        histogram_init(&whole);
        for (int i = 0; i < SAMPLE; i++) {
            sample[i] = draws[d]();
            histogram_record(&whole, sample[i]);
            sum += (double)sample[i];
        }
        qsort(sample, SAMPLE, sizeof *sample, compare);
        check_percentiles(&whole);
        assert_true(histogram_min(&whole) == sample[0]);
        assert_true(histogram_max(&whole) == sample[SAMPLE - 1]);
        assert_true(fabs(histogram_mean(&whole) - sum / SAMPLE) <= 1e-9 * sum / SAMPLE);
    }
}

static void merged_equals_recorded_at_once(void **state) {
    (void)state;
    static struct histogram both;
    histogram_init(&whole);
    histogram_init(&part);
    histogram_init(&both);
    histogram_merge(&both, &part); /* Empty into empty. */
    assert_int_equal(both.count, 0);
    for (int i = 0; i < SAMPLE; i++) {
        sample[i] = draw_any_size();
        histogram_record(&whole, sample[i]);
        histogram_record(i % 3 == 0 ? &part : &both, sample[i]);
    }
    histogram_merge(&both, &part);
    assert_memory_equal(&both, &whole, sizeof whole);
    histogram_init(&part);
    histogram_merge(&both, &part);
    assert_memory_equal(&both, &whole, sizeof whole);
}

static void edges(void **state) {
    (void)state;
    histogram_init(&whole);
    assert_true(histogram_percentile(&whole, 50) == 0);
    assert_true(histogram_mean(&whole) == 0.0);
    assert_true(histogram_max(&whole) == 0);
    histogram_record(&whole, -5);
    assert_true(histogram_min(&whole) == 0);
    assert_true(histogram_max(&whole) == 0);

    /* The sum of these does not fit 64 bits. */
    histogram_init(&whole);
    for (int i = 0; i < 6; i++)
        histogram_record(&whole, INT64_MAX);
    assert_true(fabs(histogram_mean(&whole) - 0x1p63) <= 0x1p43);
    assert_true(histogram_percentile(&whole, 50) == INT64_MAX);
    assert_true(histogram_min(&whole) == INT64_MAX);

    /* Small numbers are exact. */
    histogram_init(&whole);
    for (int i = 0; i < 256; i++)
        histogram_record(&whole, i);
    for (int i = 1; i <= 256; i++)
        assert_true(histogram_percentile(&whole, i * 100.0 / 256) == i - 1);
}

/* Every edge of a bucket: the value recorded alone between two far ones comes back. */
static void every_power_of_two(void **state) {
    (void)state;
    for (int bit = 0; bit < 63; bit++) {
        for (int64_t off = -1; off <= 1; off++) {
            int64_t value = (INT64_C(1) << bit) + off;
            histogram_init(&whole);
            histogram_record(&whole, 0);
            histogram_record(&whole, value);
            histogram_record(&whole, INT64_MAX);
            double got = (double)histogram_percentile(&whole, 50);
            assert_true(fabs(got - (double)value) <= 0.01 * (double)value);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_one_percent),
        cmocka_unit_test(merged_equals_recorded_at_once),
        cmocka_unit_test(edges),
        cmocka_unit_test(every_power_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
