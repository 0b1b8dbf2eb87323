/* One connection to PostgreSQL, and one statement on it at a time.  link.c is the only file that
 * knows libpq; nothing here blocks, except the two functions at the end, for tools.
 *
 * Connects by itself and again, with a growing pause.  A statement ends in LINK_answered only when
 * the server is ready for the next one, that is after its implicit transaction has committed or
 * rolled back; in LINK_unknown when the connection was lost before that, or when the commit did not
 * wait for its standby: then it may or may not have happened. */
#ifndef PG_LINK_H
#define PG_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_link;

enum link_event { LINK_nothing, LINK_answered, LINK_unknown };

/* What went wrong with a statement; texts live until the next statement, "" where there is none. */
struct pg_error {
    char state[6]; /* SQLSTATE */
    const char *message, *detail, *column, *constraint;
};

/* `dsn` as libpq reads it; `who` names us in logs and in pg_stat_activity.  Does not connect yet:
 * link_step does.  Aborts without memory. */
struct pg_link *link_open(const char *dsn, const char *who, int64_t connect_timeout);
void link_close(struct pg_link *self);

/* Connected, and no statement under way? */
bool link_idle(const struct pg_link *self);
bool link_connected(const struct pg_link *self);

/* Goes on with whatever is under way. */
enum link_event link_step(struct pg_link *self, int64_t now);

/* Starts a statement, which is prepared under `number` at its first use on a connection.  Only when
 * idle.  The values, in text form, are copied. */
enum { LINK_STATEMENTS_MAX = 128, LINK_PARAMETERS_MAX = 32 };
void link_start(struct pg_link *self, uint32_t number, const char *sql, uint32_t count,
                const char *const *values);

/* Gives the connection up; a new one is made.  For errors that it may be the cause of. */
void link_drop(struct pg_link *self, int64_t now);

/* After LINK_answered, until the next statement: the error, or NULL and rows. */
const struct pg_error *link_error(const struct pg_link *self);
uint32_t link_rows(const struct pg_link *self);
uint32_t link_columns(const struct pg_link *self);
/* The column of this name, or -1. */
int32_t link_column(const struct pg_link *self, const char *name);
/* NULL for NULL; terminated. */
const char *link_value(const struct pg_link *self, uint32_t row, uint32_t column, uint32_t *size);

uint32_t link_poll(const struct pg_link *self, struct pollfd *fds, uint32_t max);
int64_t link_timeout(const struct pg_link *self, int64_t now);

/* Connects and blocks until that has succeeded or failed; on failure `why` is a sentence. */
bool link_connect(struct pg_link *self, char *why, size_t size);
/* Runs a statement and blocks.  Without values it may be several, separated by semicolons.  True,
 * or the error. */
bool link_run(struct pg_link *self, const char *sql, uint32_t count, const char *const *values);

#endif
