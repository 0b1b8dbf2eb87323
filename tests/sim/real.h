/* `doorsim sim --store=real`: the simulator's PostgreSQL is a real one, with the shipped
 * migrations, statements and functions, and every connection of the ports is one of the run's.  The
 * ports' own lanes (broker/pg/lane.h) turn requests into SQL and rows into answers, in virtual
 * time.
 *
 * A transaction takes two steps.  Its statement runs until it has been done, or waits for the lock
 * of another one; before anything that it wrote is committed it stands at a gate (a deferred
 * trigger that waits for an advisory lock).  The seed says when the gate opens, and how: the commit
 * is done, or fails (40001), or its session is terminated before it, or its answer is lost, or it
 * is done after its client has given up.  So the statements and commits of all sessions interleave,
 * and one that waits for a lock goes on when the other's transaction has ended.
 *
 * Never do two statements run in the server at once, and while one waits for a lock no other is
 * begun (commits go on): nothing that happens depends on who is faster.  Transactions that write
 * nothing have no gate and are one step.
 *
 * world->pg is then what is committed: after each commit all tables are read into it again, so
 * every checker that looks at PostgreSQL runs after every commit, and at the end, as with the
 * model.
 *
 * Left out: the failover to a standby that lags (it is never drawn), deadlocks (two statements
 * would have to wait), and the worst moment of the model's late commits, the writer that forgets
 * with them. Accounts are there for all buyers; sales are as few as the model has room for. */
#ifndef TESTS_SIM_REAL_H
#define TESTS_SIM_REAL_H

#include <libpq-fe.h>

#include "tests/sim/world.h"

struct real;

#define REAL_LEAVES_OUT (UINT64_C(1) << FAULT_pg_failover)

/* ---- real_stage.c: the server.  What fails there ends the process with a sentence. */

/* Of one run: the tables are what the world says they are at first. */
void real_stage(struct world *self);
/* The connection that judges, and holds the gates.  Nothing on it waits for a session. */
PGconn *real_sql(void);
const char *real_dsn(void);
/* Random numbers of the ports from now on come from this seed. */
void real_seed(uint64_t seed);
/* Before anybody draws a random number. */
void real_begin(void);
void real_end(void);

/* ---- real_mirror.c: the tables, as the model's rows. */

struct mirror;
/* Once for a connection, when there are tables. */
void mirror_prepare(void);
struct mirror *mirror_open(void);
void mirror_close(struct mirror *self);
/* Reads what has been committed since.  False: nothing has. */
bool mirror_read(struct mirror *self, struct world *world);

/* ---- real_pg.c: the sessions. */

void real_open(struct world *self);
void real_close(struct world *self);
/* The messages of one transaction have come to a port. */
void real_transact(struct world *self, uint8_t seat, const struct message *in, uint32_t count);
/* EVENT_session: something goes on. */
void real_turn(struct world *self, uint64_t number);
/* Its process is gone; what it had under way may be committed later. */
void real_close_port(struct world *self, uint8_t seat);
/* Of all runs: how many transactions were begun, stood at their gates, waited for a lock. */
struct real_totals {
    uint64_t transactions, gates, waits;
};
const struct real_totals *real_totals(void);
/* The price of the lot as world->pg has it; false when somebody has it locked. */
bool real_price(const struct pg_lot *lot);

#endif
