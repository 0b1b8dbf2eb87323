/* The clock. */
#include "broker/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_clock(clockid_t which) {
    struct timespec at;
    int failed = clock_gettime(which, &at);
    assert(failed == 0); /* Both clocks exist on every Linux. */
    return (int64_t)at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

int64_t clock_now(void) {
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_onward(int64_t last, int64_t wall, int64_t passed) {
    assert(passed >= 0);
    return wall > last ? wall : last + passed / 2;
}
