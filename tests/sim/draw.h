/* Pseudo-random numbers of a run: splitmix64, the same with every compiler and on every machine.
 * Several streams are made from one seed, so that one more draw in one place does not change what
 * all others draw. */
#ifndef TESTS_SIM_DRAW_H
#define TESTS_SIM_DRAW_H

#include <stdbool.h>
#include <stdint.h>

struct draw {
    uint64_t state;
};

struct draw draw_make(uint64_t seed, uint64_t stream);
uint64_t draw_bits(struct draw *self);
/* 0 … below - 1; below is at least 1. */
uint32_t draw_below(struct draw *self, uint32_t below);
/* low … high, both included. */
int64_t draw_span(struct draw *self, int64_t low, int64_t high);
/* True in `permille` of 1000 cases. */
bool draw_chance(struct draw *self, uint32_t permille);

#endif
