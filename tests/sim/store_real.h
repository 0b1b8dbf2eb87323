/* The real PostgreSQL in place of the model (`--store=real`): every port to it has a session of its
 * own, and what it does is three steps of the simulation: the statement begins, the statement has
 * ended (or waits for a lock that another session holds, for as long as that takes), the commit.
 * Steps of other sessions come between them.
 *
 * The tables are read back after every commit into the model's structs, which the checkers look at.
 * PGHOST and so on say which server; a schema of its own is made and dropped. */
#ifndef TESTS_SIM_STORE_REAL_H
#define TESTS_SIM_STORE_REAL_H

#include "tests/sim/world.h"

void store_real_open(struct world *self);
void store_real_close(struct world *self);
/* The model's sales, lots and stocks become rows. */
void store_real_load(struct world *self);
/* A seat has mail for PostgreSQL. */
void store_real_take(struct world *self, uint8_t seat, const struct message *in, uint32_t count);
void store_real_turn(struct world *self, uint8_t seat);

#endif
