/* When requests are meant to start: an open loop's plan, made without looking at answers.
 *
 * Times are nanoseconds from the start of the run and never fall.  The same wish gives the same
 * times.  Pure, except that a recorded curve is read from a file. */
#ifndef DOORSIM_ARRIVALS_H
#define DOORSIM_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum curve {
    CURVE_constant, /* Evenly spaced at `rate`. */
    CURVE_poisson,  /* At random, `rate` a second on average: what independent people look like. */
    CURVE_ramp, /* From `from_rate` at the beginning evenly up (or down) to `rate` at the end. */
    CURVE_file, /* As recorded: see `path`. */
};

struct arrivals_wish {
    enum curve curve;
    double rate, from_rate; /* A second; above 0 (from_rate: or 0). */
    uint64_t at_once;       /* So many at time 0, the spike, before the curve begins. */
    int64_t duration_ns;    /* The curve's; 0 for a file: to its end. */
    uint64_t seed;
    const char *path; /* One time in seconds a line ("0.0125"), never falling. */
};

struct arrivals {
    struct arrivals_wish wish;
    uint64_t made; /* Of the curve, the spike not counted. */
    uint64_t spiked;
    double at_s; /* Poisson: the last one. */
    uint64_t random;
    int64_t *recorded; /* Owned. */
    size_t recorded_count;
};

/* False, with a sentence on stderr, when a file cannot be read or the wish makes no sense. */
bool arrivals_init(struct arrivals *self, const struct arrivals_wish *wish);
void arrivals_fini(struct arrivals *self);

/* The next one's time, or -1: there are no more. */
int64_t arrivals_next(struct arrivals *self);

/* How many there will be; of a random curve an upper estimate that is passed once in a million. */
uint64_t arrivals_most(const struct arrivals *self);

#endif
