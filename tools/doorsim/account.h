/* The account after a load: PostgreSQL beside what was told.
 *
 * Always: every purchase told 201 is an order, and there are no more orders than those and the
 * purchases without an answer.  With a history: everything the judge knows (judge.h). */
#ifndef DOORSIM_ACCOUNT_H
#define DOORSIM_ACCOUNT_H

#include "tools/doorsim/judge_sql.h"

#include <jansson.h>

struct account {
    const char *dsn; /* NULL: there is none. */
    const int64_t *lots;
    unsigned lot_count;
    int64_t before, after; /* Orders of these lots. */
    uint64_t told_yes, may_be;
    bool counted, judged, good;
    struct verdict verdict;
};

/* Counts what is there before.  False when PostgreSQL could not be asked. */
bool account_begin(struct account *self, const char *dsn, const int64_t *lots, unsigned lot_count);

/* Compares; `history` is a file or NULL, and must be closed.  False when PostgreSQL or the file
 * could not be read. */
bool account_end(struct account *self, uint64_t told_yes, uint64_t may_be, const char *history);

void account_print(FILE *to, const struct account *self);

/* A new reference; null when there was no account. */
json_t *account_json(const struct account *self);

#endif
