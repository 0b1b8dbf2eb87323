/* Rows for seed, in bulk: accounts with a session each, and the orders of a long past.  Everything
 * runs inside the caller's transaction; false comes with a sentence on stderr. */
#ifndef DOORSIM_SEED_TABLES_H
#define DOORSIM_SEED_TABLES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* Runs one or several statements without values. */
bool seed_run(PGconn *connection, const char *sql);

/* One whole number. */
bool seed_number(PGconn *connection, const char *sql, int64_t *number);

/* Accounts and sessions [first, first + count), all with this password's PHC string.  Of many, the
 * indexes and constraints of both tables are made anew afterwards, which is much faster. */
bool seed_accounts(PGconn *connection, int64_t first, int64_t count, const char *phc);

/* `count` completed orders of the users [first, first + users) in a settled sale of their own, of
 * one unit each: what a shop has after years.  They are no part of any other lot's account. */
bool seed_orders(PGconn *connection, int64_t first, int64_t users, int64_t count);

#endif
