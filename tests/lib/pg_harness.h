/* A schema of its own in the cluster that PGHOST, PGDATABASE, … name (tools/stack run), the port
 * to PostgreSQL on it, and SQL beside the port for judging.  Every failure ends the test. */
#ifndef PG_HARNESS_H
#define PG_HARNESS_H

#include <libpq-fe.h>

#include "broker/batch.h"
#include "broker/port.h"
#include "config/config.h"

struct pg_harness {
    char dsn[256];
    char schema[64];
    PGconn *sql;
    struct config config;
    struct port *port;
    struct batch in, out;
    bool borrowed; /* The schema is another harness's. */
};

/* Drops what a former run left of the schema, makes it, migrates it and opens a connected port. */
void pg_harness_open(struct pg_harness *self, const char *schema);
/* A second port and SQL connection on the same schema. */
void pg_harness_join(struct pg_harness *self, const struct pg_harness *other);
/* The port again, after a change of self->config. */
void pg_harness_anew(struct pg_harness *self);
void pg_harness_close(struct pg_harness *self);

/* An empty schema and its connection string, without tables. */
void pg_schema(const char *schema, char *dsn, size_t size);

void pg_exec(PGconn *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* First column of the first row, 0 for NULL. */
int64_t pg_number(PGconn *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A request to be filled in. */
void *pg_put(struct pg_harness *self, enum message_id id);
/* Hands all requests to the port, but does not wait. */
void pg_send(struct pg_harness *self);
/* One turn: waits at most `ms` for the descriptor, then steps. */
void pg_turn(struct pg_harness *self, int ms);
/* Waits until the port has answered everything (at most 30 s): self->out. */
void pg_wait(struct pg_harness *self);
/* All three; forgets earlier answers and, afterwards, the requests. */
void pg_ask(struct pg_harness *self);
/* The nth answer, which must be of that type. */
const void *pg_answer(const struct pg_harness *self, uint32_t n, enum message_id id);
#define PG_ANSWER(self, n, name) ((const struct name *)pg_answer((self), (n), MSG_##name))

#endif
