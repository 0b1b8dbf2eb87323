/* Plans of arrivals: how many, when, and the same again from the same seed. */
#include "tools/doorsim/arrivals.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

/* Arrivals within [from, to), all of them when to is 0; checks that they never fall. */
static uint64_t count(const struct arrivals_wish *wish, int64_t from, int64_t to) {
    struct arrivals arrivals;
    uint64_t counted = 0, all = 0;
    assert_true(arrivals_init(&arrivals, wish));
    uint64_t most = arrivals_most(&arrivals);
    int64_t last = 0, at;
    while ((at = arrivals_next(&arrivals)) >= 0) {
        assert_true(at >= last);
        last = at;
        all++;
        counted += at >= from && (to == 0 || at < to);
    }
    assert_true(all <= most);
    arrivals_fini(&arrivals);
    return counted;
}

static void constant(void **state) {
    (void)state;
    const struct arrivals_wish wish = { .rate = 1000, .duration_ns = 3 * S };
    assert_int_equal(count(&wish, 0, 0), 3000);
    assert_int_equal(count(&wish, S, 2 * S), 1000);
    assert_int_equal(count(&wish, S, S + S / 100), 10);
}

static void ramps(void **state) {
    (void)state;
    struct arrivals_wish wish = { .curve = CURVE_ramp, .rate = 2000, .duration_ns = 10 * S };
    assert_in_range(count(&wish, 0, 0), 9998, 10002);
    assert_in_range(count(&wish, 0, 5 * S), 2498, 2502); /* The lower half is a quarter. */
    wish.from_rate = 2000;
    wish.rate = 1000;
    assert_in_range(count(&wish, 0, 0), 14998, 15002);
    assert_in_range(count(&wish, 9 * S, 0), 1048, 1052);
    wish.rate = 0.001; /* Down to nearly nothing: ends, and does not run backwards. */
    assert_in_range(count(&wish, 0, 0), 9998, 10002);
}

static void spike(void **state) {
    (void)state;
    struct arrivals_wish wish = { .at_once = 500, .duration_ns = S };
    assert_int_equal(count(&wish, 0, 1), 500);
    assert_int_equal(count(&wish, 0, 0), 500);
    wish.rate = 100;
    assert_int_equal(count(&wish, 0, 1), 501);
    assert_int_equal(count(&wish, 0, 0), 600);
}

static void poisson(void **state) {
    (void)state;
    struct arrivals_wish wish = { .curve = CURVE_poisson, .rate = 1000, .duration_ns = 20 * S };
    struct arrivals a, b;
    for (wish.seed = 0; wish.seed < 20; wish.seed++) {
        assert_in_range(count(&wish, 0, 0), 20000 - 700, 20000 + 700); /* Five deviations. */
    }
    /* Gaps are exponential: their deviation equals their mean. */
    double sum = 0, squares = 0;
    int64_t last = 0;
    uint64_t gaps = 0;
    assert_true(arrivals_init(&a, &wish) && arrivals_init(&b, &wish));
    for (int64_t at; (at = arrivals_next(&a)) >= 0; last = at, gaps++) {
        assert_true(arrivals_next(&b) == at);
        double gap = (double)(at - last);
        sum += gap;
        squares += gap * gap;
    }
    assert_true(arrivals_next(&b) == -1);
    double mean = sum / (double)gaps;
    double deviation = sqrt(squares / (double)gaps - mean * mean);
    assert_true(deviation > 0.95 * mean && deviation < 1.05 * mean);
}

static const char *written(const char *text) {
    static char path[64];
    (void)snprintf(path, sizeof path, "/tmp/test_arrivals_%ld", (long)getpid());
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    fputs(text, to);
    assert_int_equal(fclose(to), 0);
    return path;
}

static void recorded(void **state) {
    (void)state;
    struct arrivals_wish wish = { .curve = CURVE_file, .path = written("0\n0.5\n0.5\n2.25\n") };
    assert_int_equal(count(&wish, 0, 0), 4);
    assert_int_equal(count(&wish, S / 2, S / 2 + 1), 2);
    assert_int_equal(count(&wish, 2 * S + S / 4, 2 * S + S / 4 + 1), 1);
    wish.duration_ns = 2 * S;
    assert_int_equal(count(&wish, 0, 0), 3);
    struct arrivals arrivals;
    static const char *const wrong[] = { "1\n0.5\n", "x\n", "-1\n", "1 2\n", "nan\n" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        wish.path = written(wrong[i]);
        assert_false(arrivals_init(&arrivals, &wish));
        arrivals_fini(&arrivals);
    }
    unlink(wish.path);
    assert_false(arrivals_init(&arrivals, &wish));
}

static void without_sense(void **state) {
    (void)state;
    struct arrivals arrivals;
    assert_false(arrivals_init(&arrivals, &(struct arrivals_wish){ .duration_ns = S }));
    assert_false(arrivals_init(&arrivals, &(struct arrivals_wish){ .rate = -1, .duration_ns = S }));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant), cmocka_unit_test(ramps),    cmocka_unit_test(spike),
        cmocka_unit_test(poisson),  cmocka_unit_test(recorded), cmocka_unit_test(without_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
