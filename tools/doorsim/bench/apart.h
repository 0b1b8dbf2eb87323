/* The generator on a processor of its own, everything else on another one: so that what it does is
 * not taken from what is measured.  A crowd of three times the capacity is more work than the
 * capacity itself; on processors that are shared the crowd alone would use them up. */
#ifndef DOORSIM_BENCH_APART_H
#define DOORSIM_BENCH_APART_H

#include <sched.h>
#include <stdbool.h>

struct apart {
    cpu_set_t all; /* What the generator may use otherwise. */
    long server, redis, pg;
};

/* Moves all threads of the server, of Redis, of PostgreSQL and its children to the first processor,
 * this thread to the second.  False, and nothing is changed, where there are not two, or a process
 * is not known (0). */
bool apart_begin(struct apart *self, long server, long redis, long pg);
/* All of them may use all processors again. */
void apart_end(const struct apart *self);

#endif
