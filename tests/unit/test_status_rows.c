/* Figures as rows: fractions are not lost, buckets come when they are wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/status_rows.h"

static char text[2000];

static struct status_lines lines_of(const char *from, bool buckets) {
    snprintf(text, sizeof text, "%s", from);
    return (struct status_lines){ text, buckets };
}

static const char *const metrics = "# HELP lag How late.\n"
                                   "# TYPE lag gauge\n"
                                   "lag{shard=\"0\"} 0.25\n"
                                   "wait_bucket{le=\"+Inf\"} 7\n"
                                   "wait_sum 12.5\n"
                                   "sold 42\n";

static void fractions_are_told(void **state) {
    (void)state;
    struct status_lines lines = lines_of(metrics, false);
    struct status_row row;
    assert_true(status_rows_next(&lines, &row));
    assert_true(text_is(row.name, "lag{shard=\"0\"}"));
    assert_int_equal(row.value, 0);
    assert_true(text_is(row.exact, "0.25"));
    assert_true(status_rows_next(&lines, &row));
    assert_true(text_is(row.name, "wait_sum"));
    assert_int_equal(row.value, 12);
    assert_true(text_is(row.exact, "12.5"));
    assert_true(status_rows_next(&lines, &row));
    assert_true(text_is(row.name, "sold"));
    assert_int_equal(row.value, 42);
    assert_int_equal(row.exact.size, 0);
    assert_false(status_rows_next(&lines, &row));
    assert_false(status_rows_next(&lines, &row));
}

static void buckets_if_wanted(void **state) {
    (void)state;
    struct status_lines lines = lines_of(metrics, true);
    struct status_row row;
    assert_true(status_rows_next(&lines, &row) && status_rows_next(&lines, &row));
    assert_true(text_is(row.name, "wait_bucket{le=\"+Inf\"}"));
    assert_int_equal(row.value, 7);
}

static void what_does_not_fit_is_passed_over(void **state) {
    (void)state;
    char long_one[400];
    struct status_row row;
    snprintf(long_one, sizeof long_one, "%0121d 1\nno_value\n\nlast 3", 0);
    struct status_lines lines = lines_of(long_one, false);
    assert_true(status_rows_next(&lines, &row));
    assert_true(text_is(row.name, "last"));
    assert_false(status_rows_next(&lines, &row));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fractions_are_told),
        cmocka_unit_test(buckets_if_wanted),
        cmocka_unit_test(what_does_not_fit_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
