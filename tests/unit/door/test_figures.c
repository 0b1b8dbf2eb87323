/* What `doorctl top` makes of two looks at the figures: rates and quantiles, never endless ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tools/doorctl/figures.h"

#define S INT64_C(1000000000)

static struct figures figures;

static int set_up(void **state) {
    (void)state;
    memset(&figures, 0, sizeof figures);
    return 0;
}

static void add(const char *name, int64_t value) {
    figures_add(&figures, text_of(name), value);
}

/* Cases below 1 ms, 2 s, and at all, as /metrics has them: each with those before it. */
static void add_cases(const char *message, int64_t fast, int64_t slow, int64_t all) {
    static const char *const bounds[] = { "0.001", "2", "+Inf" };
    const int64_t cases[] = { fast, slow, all };
    for (size_t i = 0; i < 3; i++) {
        char name[FIGURE_NAME_SIZE];
        snprintf(name, sizeof name, "wait_bucket{message=\"%s\",le=\"%s\"}", message, bounds[i]);
        add(name, cases[i]);
    }
}

static void rates_need_time_and_growth(void **state) {
    (void)state;
    figures_look(&figures, 10 * S);
    add("done", 5);
    assert_float_equal(figures_rate(&figures, "done"), 0, 0); /* One look. */
    figures_look(&figures, 10 * S);
    add("done", 9);
    assert_float_equal(figures_rate(&figures, "done"), 0, 0); /* In no time. */
    figures_look(&figures, 12 * S);
    add("done", 10); /* Two nodes. */
    add("done", 9);
    assert_float_equal(figures_rate(&figures, "done"), 5, 0.001);
    assert_float_equal(figures_rate(&figures, "nothing"), 0, 0);
    figures_look(&figures, 13 * S);
    add("done", 2); /* They have started anew. */
    assert_float_equal(figures_rate(&figures, "done"), 0, 0);
}

static struct figure_quantile quantile(double share) {
    return figures_quantile(&figures, "wait", share);
}

static void quantiles_are_over_all_messages(void **state) {
    (void)state;
    assert_float_equal(quantile(0.5).seconds, 0, 0);
    figures_look(&figures, 1 * S);
    add_cases("a", 7, 7, 7);
    figures_look(&figures, 2 * S);
    add_cases("a", 107, 107, 107);
    add_cases("b", 0, 80, 80);
    add("wait_bucket_of_another{le=\"0.0001\"}", 1000);
    assert_float_equal(quantile(0.5).seconds, 0.001, 1e-9);
    assert_float_equal(quantile(0.99).seconds, 2, 1e-9);
    assert_false(quantile(0.99).above);
    figures_look(&figures, 3 * S);
    add_cases("a", 107, 107, 107); /* Nothing happened. */
    add_cases("b", 0, 80, 80);
    assert_float_equal(quantile(0.99).seconds, 0, 0);
}

static void what_no_bound_holds_is_above_the_last(void **state) {
    (void)state;
    figures_look(&figures, 1 * S);
    figures_look(&figures, 2 * S);
    add_cases("a", 1, 2, 4);
    assert_float_equal(quantile(0.99).seconds, 2, 1e-9);
    assert_true(quantile(0.99).above);
    assert_false(quantile(0.5).above);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rates_need_time_and_growth, set_up),
        cmocka_unit_test_setup(quantiles_are_over_all_messages, set_up),
        cmocka_unit_test_setup(what_no_bound_holds_is_above_the_last, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
