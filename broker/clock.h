/* The clock, read here and nowhere else: actors are given `now`.  Thread safe, never blocks.
 * How a time is written and read as text: schema/timefmt.h. */
#ifndef BROKER_CLOCK_H
#define BROKER_CLOCK_H

#include <stdint.h>

/* Wall clock, nanoseconds since 1970-01-01T00:00:00Z.  May step backwards. */
int64_t clock_now(void);

/* Nanoseconds since some fixed point in the past; never goes backwards.  For durations. */
int64_t clock_mono(void);

/* What follows `last` when the wall clock says `wall` and `passed` ns (monotonic) have gone by: the
 * wall clock, unless it was set back.  Then time goes on at half its speed until the wall clock has
 * caught up: it must neither go back nor stand still, or no deadline would come for that long. */
int64_t clock_onward(int64_t last, int64_t wall, int64_t passed);

#endif
