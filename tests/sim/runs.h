/* Runs: what to simulate, and how it went. */
#ifndef TESTS_SIM_RUNS_H
#define TESTS_SIM_RUNS_H

#include <stdio.h>

#include "tests/sim/world.h"

struct run_options {
    uint64_t seed;
    uint32_t shoppers, shards; /* 0: drawn */
    int64_t units, ends;       /* 0: drawn; ends in ns */
    uint64_t allowed;          /* Faults, bits. */
    bool real;                 /* PostgreSQL is a real one. */
};

/* The caller closes it. */
struct world *run_world(const struct run_options *options, FILE *trace, int64_t order);
/* The same run once more, listened to: seed, step, rule, the last messages of the order, and the
 * command that repeats it. */
void run_tell_failure(const struct run_options *options, const struct failure *failure);
/* "doorsim sim --seed 7 …" */
void run_print_command(FILE *to, const struct run_options *options);
/* Finds a smaller run that breaks the same rule, and tells it; `options` is one that fails. */
void run_minimize(struct run_options options, const struct failure *failure);

#endif
