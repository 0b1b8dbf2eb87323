/* Survives an assertion that fails inside an actor.
 *
 * An actor is a pure step: it holds no lock, no memory and no socket, so a call of it can be left
 * in the middle, if its state and what it sent are dropped.  Every assert() of the program ends in
 * this file's __assert_fail(), which takes the place of the C library's: inside of guard_run() it
 * goes back there; everywhere else (in the host, in ports, in tests) it prints the usual line and
 * aborts.  A signal such as SIGSEGV is never survived: memory may be broken. */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>

/* What was asserted; literals of the program. */
struct guard_failure {
    const char *expression, *file, *function;
    unsigned line;
};

/* Calls step(context) in this thread.  False: an assertion failed in it, *failure says which. Costs
 * some nanoseconds.  Not to be nested. */
bool guard_run(void (*step)(void *context), void *context, struct guard_failure *failure);

#endif
