/* Rows into a table by COPY in its binary form: the fastest way in that PostgreSQL has.
 * A row is its number of columns, then each column in turn.  Errors stick and are told at the end.
 */
#ifndef DOORSIM_PG_COPY_H
#define DOORSIM_PG_COPY_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_copy {
    PGconn *connection;
    bool good;
    size_t size;
    char bytes[64 << 10];
};

/* `what` is a table with its columns: "account (user_id, login)".  Not inside another COPY. */
void copy_begin(struct pg_copy *self, PGconn *connection, const char *what);

void copy_row(struct pg_copy *self, int16_t columns);
void copy_int8(struct pg_copy *self, int64_t value);
void copy_int4(struct pg_copy *self, int32_t value);
void copy_int2(struct pg_copy *self, int16_t value);
void copy_text(struct pg_copy *self, const char *text); /* Also bytea: see copy_bytes. */
void copy_bytes(struct pg_copy *self, const void *bytes, size_t size);
void copy_time(struct pg_copy *self, int64_t at_ns); /* Wall clock. */

/* False, with a sentence on stderr that begins with `who`, when anything went wrong. */
bool copy_end(struct pg_copy *self, const char *who);

#endif
