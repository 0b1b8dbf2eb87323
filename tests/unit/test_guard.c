/* An assertion fails inside the guard: it comes back.  Outside: the process ends. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#undef assert
#include <assert.h>

#include "broker/guard.h"

static void expect_less_than_three(void *context) {
    int *value = context;
    assert(*value < 3);
    *value = -1;
}

static void test_inside(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        int value = i;
        struct guard_failure failure = { 0 };
        bool good = guard_run(expect_less_than_three, &value, &failure);
        assert_int_equal(good, i < 3);
        assert_int_equal(value, i < 3 ? -1 : i);
        if (good) continue;
        assert_string_equal(failure.expression, "*value < 3");
        /* gcc says the name, clang the whole signature. */
        assert_non_null(strstr(failure.function, "expect_less_than_three"));
        assert_non_null(strstr(failure.file, "test_guard.c"));
        assert_true(failure.line > 10);
    }
}

static int end_of(int guarded_before) {
    pid_t child = fork();
    if (child == 0) {
        int value = guarded_before;
        struct guard_failure failure;
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(1);
        if (guarded_before != 0) (void)guard_run(expect_less_than_three, &value, &failure);
        value = 4;
        expect_less_than_three(&value);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_outside(void **state) {
    (void)state;
    assert_int_equal(end_of(0), SIGABRT);
    assert_int_equal(end_of(1), SIGABRT); /* Neither a good call nor a failure leaves it armed. */
    assert_int_equal(end_of(4), SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
