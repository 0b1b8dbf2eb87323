/* The clock that actors see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/clock.h"

#define SECOND INT64_C(1000000000)

static void follows_the_wall_clock(void **state) {
    (void)state;
    assert_int_equal(clock_onward(100, 101, 1), 101);
    assert_int_equal(clock_onward(100, 100 + 3600 * SECOND, 1), 100 + 3600 * SECOND); /* Set on. */
}

/* An hour back: it never goes back, never stands still, and is right again in the end. */
static void set_back_it_goes_on(void **state) {
    (void)state;
    int64_t wall = 7200 * SECOND, now = wall;
    wall -= 3600 * SECOND;
    for (int i = 0; i < 7200; i++) {
        int64_t before = now;
        wall += SECOND;
        now = clock_onward(now, wall, SECOND);
        assert_true(now > before && now <= before + SECOND);
    }
    now = clock_onward(now, wall + SECOND, SECOND);
    assert_int_equal(now, wall + SECOND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_wall_clock),
        cmocka_unit_test(set_back_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
