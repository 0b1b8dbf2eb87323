#include "broker/guard.h"

#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

struct guard {
    jmp_buf back;
    struct guard_failure *failure;
};

static _Thread_local struct guard *armed;

bool guard_run(void (*step)(void *context), void *context, struct guard_failure *failure) {
    struct guard guard = { .failure = failure };
    armed = &guard;
    if (_setjmp(guard.back) != 0) {
        armed = NULL;
        return false;
    }
    step(context);
    armed = NULL;
    return true;
}

/* The name is the C library's: its assert() calls this one instead. */
void __assert_fail(const char *expression, const char *file, unsigned line, const char *function) {
    if (armed != NULL) {
        *armed->failure = (struct guard_failure){ expression, file, function, line };
        _longjmp(armed->back, 1);
    }
    fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function, expression);
    abort();
}
