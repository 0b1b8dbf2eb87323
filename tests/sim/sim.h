/* The simulator: the actors' own object files, the shipped Lua scripts and a model of PostgreSQL
 * (or, with --store=real, a real one: tests/sim/real.h) in one thread and in virtual time, with
 * shoppers and with faults drawn from a seed. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

/* `doorsim sim …`; argv[0] is "sim".  Returns the exit status. */
int sim_command(int argc, char **argv);

#endif
