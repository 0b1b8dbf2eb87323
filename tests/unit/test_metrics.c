/* Metrics: the text is what Prometheus reads, and no update gets lost between threads. */
#include "broker/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[65536];

static int start_anew(void **state) {
    (void)state;
    metrics_reset();
    return 0;
}

static void write_all(void) {
    assert_true(metrics_write(text, sizeof text) < sizeof text);
}

static void text_of_counters_and_gauges(void **state) {
    (void)state;
    struct metric_counter *ok =
        metrics_counter("answers_total", "Answers \\ by code.\nAll.", METRIC_LABELS("code", "200"));
    struct metric_gauge *depth = metrics_gauge("depth", "Waiting.", METRIC_NO_LABELS);
    struct metric_counter *odd =
        metrics_counter("answers_total", "", METRIC_LABELS("code", "409", "why", "a\"b\\c\nd"));
    metrics_seal();
    metric_add(ok, 3);
    metric_add(odd, UINT64_MAX);
    metric_set(depth, 5);
    metric_change(depth, -12);
    write_all();
    assert_string_equal(text, "# HELP doorbuster_answers_total Answers \\\\ by code.\\nAll.\n"
                              "# TYPE doorbuster_answers_total counter\n"
                              "doorbuster_answers_total{code=\"200\"} 3\n"
                              "doorbuster_answers_total{code=\"409\",why=\"a\\\"b\\\\c\\nd\"} "
                              "18446744073709551615\n"
                              "# HELP doorbuster_depth Waiting.\n"
                              "# TYPE doorbuster_depth gauge\n"
                              "doorbuster_depth -7\n");
    assert_true(metric_counter_value(ok) == 3);
    assert_true(metric_gauge_value(depth) == -7);
}

static void same_labels_same_series(void **state) {
    (void)state;
    struct metric_counter *one = metrics_counter("x_total", "X.", METRIC_LABELS("a", "1"));
    struct metric_counter *two = metrics_counter("x_total", "X.", METRIC_LABELS("a", "2"));
    assert_ptr_equal(one, metrics_counter("x_total", "X.", METRIC_LABELS("a", "1")));
    assert_ptr_not_equal(one, two);
    assert_true(labs((char *)one - (char *)two) >= 64); /* Not in one cache line. */
}

static int64_t read_answer(void *context) {
    return *(int64_t *)context;
}

static void gauge_is_read_when_written(void **state) {
    (void)state;
    int64_t answer = 1;
    metrics_gauge_read("answer", "A.", METRIC_NO_LABELS, read_answer, &answer);
    answer = 42;
    write_all();
    assert_non_null(strstr(text, "\ndoorbuster_answer 42\n"));
}

static void histogram_is_cumulative_and_in_seconds(void **state) {
    (void)state;
    struct metric_histogram *time =
        metrics_histogram("wait_seconds", "W.", METRIC_seconds, METRIC_LABELS("actor", "order"));
    metric_observe(time, 100000);               /* On the bound: inside. */
    metric_observe(time, 100001);               /* The next bucket. */
    metric_observe(time, INT64_C(90000000000)); /* Beyond the last. */
    metric_observe(time, -1);
    write_all();
    assert_non_null(strstr(text, "# TYPE doorbuster_wait_seconds histogram\n"));
    assert_non_null(strstr(text, "_bucket{actor=\"order\",le=\"0.0001\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{actor=\"order\",le=\"0.00025\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{actor=\"order\",le=\"2.5\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{actor=\"order\",le=\"60\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{actor=\"order\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "_wait_seconds_sum{actor=\"order\"} 90.000200001\n"));
    assert_non_null(strstr(text, "_wait_seconds_count{actor=\"order\"} 4\n"));
}

/* One per message type: those that this node never sees are left out. */
static void an_untouched_histogram_with_labels_is_not_shown(void **state) {
    (void)state;
    (void)metrics_histogram("h_seconds", "H.", METRIC_seconds, METRIC_LABELS("message", "a"));
    struct metric_histogram *b =
        metrics_histogram("h_seconds", "H.", METRIC_seconds, METRIC_LABELS("message", "b"));
    (void)metrics_histogram("plain", "P.", METRIC_count, METRIC_NO_LABELS);
    metric_observe(b, INT64_C(90000000000)); /* Only the last bucket. */
    write_all();
    assert_null(strstr(text, "message=\"a\""));
    assert_non_null(strstr(text, "doorbuster_h_seconds_count{message=\"b\"} 1\n"));
    assert_non_null(strstr(text, "doorbuster_plain_count 0\n"));
}

static void gauges_of_seconds_hold_nanoseconds(void **state) {
    (void)state;
    struct metric_gauge *lag = metrics_gauge("lag_seconds", "L.", METRIC_LABELS("shard", "0"));
    metric_set(lag, 1500000000);
    write_all();
    assert_non_null(strstr(text, "doorbuster_lag_seconds{shard=\"0\"} 1.5\n"));
    metric_set(lag, -250000000);
    write_all();
    assert_non_null(strstr(text, "doorbuster_lag_seconds{shard=\"0\"} -0.25\n"));
}

/* A port that is opened again finds its series. */
static void known_series_are_found_after_the_seal(void **state) {
    (void)state;
    struct metric_counter *one = metrics_counter("x_total", "X.", METRIC_LABELS("a", "1"));
    metrics_seal();
    assert_ptr_equal(one, metrics_counter("x_total", "X.", METRIC_LABELS("a", "1")));
}

static void histogram_of_counts(void **state) {
    (void)state;
    struct metric_histogram *batch =
        metrics_histogram("batch", "B.", METRIC_count, METRIC_NO_LABELS);
    metric_observe(batch, 256);
    metric_observe(batch, 257);
    write_all();
    assert_non_null(strstr(text, "doorbuster_batch_bucket{le=\"128\"} 0\n"));
    assert_non_null(strstr(text, "doorbuster_batch_bucket{le=\"256\"} 1\n"));
    assert_non_null(strstr(text, "doorbuster_batch_bucket{le=\"512\"} 2\n"));
    assert_non_null(strstr(text, "doorbuster_batch_sum 513\ndoorbuster_batch_count 2\n"));
}

/* Bounds of a series rise, and every line is a comment or a name, perhaps labels, one number. */
static void every_line_is_well_formed(void **state) {
    (void)state;
    metric_add(metrics_counter("a_total", "A.", METRIC_LABELS("k", "v")), 1);
    metric_set(metrics_gauge("b", "B.", METRIC_NO_LABELS), 1);
    metric_observe(metrics_histogram("c_seconds", "C.", METRIC_seconds, METRIC_NO_LABELS), 1);
    metric_observe(metrics_histogram("d", "D.", METRIC_count, METRIC_LABELS("k", "v")), 1);
    write_all();
    int lines = 0;
    double last = 0;
    for (char *line = text, *end; *line != '\0'; line = end + 1, lines++) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        if (line[0] == '#') continue;
        char *rest;
        char *value = strrchr(line, ' ');
        assert_non_null(value);
        assert_memory_equal(line, "doorbuster_", 11);
        (void)strtod(value, &rest);
        assert_ptr_equal(rest, end);
        const char *le = strstr(line, "le=\"");
        double bound = le == NULL ? 0 : strtod(le + 4, NULL);
        assert_true(le == NULL || bound > last);
        last = bound;
    }
    assert_true(lines > 40);
}

static void a_short_buffer_is_told(void **state) {
    (void)state;
    char small[300];
    (void)metrics_counter("a_total", "A.", METRIC_LABELS("k", "v"));
    (void)metrics_histogram("c_seconds", "C.", METRIC_seconds, METRIC_NO_LABELS);
    write_all();
    size_t whole = strlen(text);
    for (size_t size = 0; size < sizeof small; size++) {
        memset(small, '~', sizeof small);
        assert_int_equal(metrics_write(small, size), whole);
        if (size > 0) assert_int_equal(strlen(small), size - 1);
        if (size > 0) assert_memory_equal(small, text, size - 1);
        assert_int_equal(small[size], '~');
    }
    assert_int_equal(metrics_write(text, whole), whole);
    assert_int_equal(metrics_write(text, whole + 1), whole);
}

static struct metric_counter *shared_counter;
static struct metric_gauge *shared_gauge;
static struct metric_histogram *shared_histogram;

enum { THREADS = 4, UPDATES = 20000 };

static void *update(void *unused) {
    (void)unused;
    for (int i = 0; i < UPDATES; i++) {
        metric_add(shared_counter, 2);
        metric_change(shared_gauge, i % 2 == 0 ? 1 : -1);
        metric_observe(shared_histogram, i % 100);
    }
    return NULL;
}

static void nothing_gets_lost_between_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    shared_counter = metrics_counter("n_total", "N.", METRIC_NO_LABELS);
    shared_gauge = metrics_gauge("g", "G.", METRIC_NO_LABELS);
    shared_histogram = metrics_histogram("h", "H.", METRIC_count, METRIC_NO_LABELS);
    metrics_seal();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update, NULL), 0);
    for (int i = 0; i < 20; i++)
        write_all();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(metric_counter_value(shared_counter) == UINT64_C(2) * THREADS * UPDATES);
    assert_true(metric_gauge_value(shared_gauge) == 0);
    write_all();
    char expected[64];
    (void)snprintf(expected, sizeof expected, "doorbuster_h_count %d\n", THREADS * UPDATES);
    assert_non_null(strstr(text, expected));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(text_of_counters_and_gauges, start_anew),
        cmocka_unit_test_setup(same_labels_same_series, start_anew),
        cmocka_unit_test_setup(gauge_is_read_when_written, start_anew),
        cmocka_unit_test_setup(histogram_is_cumulative_and_in_seconds, start_anew),
        cmocka_unit_test_setup(an_untouched_histogram_with_labels_is_not_shown, start_anew),
        cmocka_unit_test_setup(gauges_of_seconds_hold_nanoseconds, start_anew),
        cmocka_unit_test_setup(known_series_are_found_after_the_seal, start_anew),
        cmocka_unit_test_setup(histogram_of_counts, start_anew),
        cmocka_unit_test_setup(every_line_is_well_formed, start_anew),
        cmocka_unit_test_setup(a_short_buffer_is_told, start_anew),
        cmocka_unit_test_setup(nothing_gets_lost_between_threads, start_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
