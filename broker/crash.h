/* Crash points: places between any two effects of the ports where a test ends the process as a
 * power cut would, at once and without a word to anybody.
 *
 * They are compiled into every build, so that what is tested is what is shipped.  Unless the
 * process was started with CRASH_POINT or CRASH_COUNT in its environment one costs a load and a
 * branch that is never taken, beside an effect that costs a system call.
 *
 *   CRASH_POINT=name:hit   _exit(137) when `name` is reached for the hit-th time
 *   CRASH_COUNT=file       count them all; at exit a line "name hits" each is written there
 *
 * The points are the rows of crash.def; tools/tidy finds effects without one.  `doorsim crash`
 * lists them and dies at each. */
#ifndef BROKER_CRASH_H
#define BROKER_CRASH_H

#include <stdbool.h>
#include <stddef.h>

enum crash_point {
#define CRASH(name, in, doc) CRASH_##name,
#include "broker/crash.def"
#undef CRASH
    CRASH_POINTS,
};

/* Set once, before the first thread. */
extern bool crash_armed;

#define CRASH_POINT(name)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(crash_armed, 0)) crash_reach(CRASH_##name);                           \
    } while (0)

enum { CRASH_STATUS = 137 }; /* As a shell calls the end by SIGKILL. */

/* Reads the environment.  False, with a sentence on stderr, when it names no point or no hit. */
bool crash_arm(void);

/* The point's name, the scenario that reaches it and its sentence; any pointer may be NULL. */
const char *crash_describe(enum crash_point point, const char **in, const char **doc);

void crash_reach(enum crash_point point);

#endif
