/* What PostgreSQL is asked, as a table, and the way between messages and its texts.
 * Everything derives from statements.def and the field tables of schema/. */
#ifndef PG_STATEMENTS_H
#define PG_STATEMENTS_H

#include "actors/actor.h"
#include "broker/pg/link.h"

enum statement_mode { STATEMENT_ONE, STATEMENT_MANY, STATEMENT_BATCH, STATEMENT_DONE };
enum { STATEMENT_BATCH_MAX = 512 };

struct statement {
    enum message_id request, answer;
    enum statement_mode mode;
    const char *sql;
};

/* Row of this request and its number, or NULL. */
const struct statement *statement_for(uint16_t request, uint32_t *number);
/* All of them; ends where sql is NULL. */
const struct statement *statements(void);

/* Parameters in the making.  Zero it; values_fini frees. */
struct values {
    char *at;
    size_t size, capacity;
    size_t start[LINK_PARAMETERS_MAX];
    const char *value[LINK_PARAMETERS_MAX]; /* Set by values_make. */
    uint32_t count;
};
/* The fields of the messages, all of one type: as they are, or (arrays) one array per field. */
void values_make(struct values *self, const struct message *in, uint32_t count, bool arrays);
void values_fini(struct values *self);

/* Fills a zeroed body from the columns of a row, from column `first` on; texts are copied into the
 * outbox.  Returns the number of columns that the message has fields for. */
uint32_t row_read(const struct pg_link *link, uint32_t row, uint32_t first,
                  const struct message_type *type, void *body, struct outbox *out);
/* The answer to one purchase out of the row that answers all of its lot. */
bool accepted_is_for(const struct decided *all, const struct purchase *want);
void accepted_fill(struct decided *body, const struct decided *all, const struct purchase *want);
/* A number of the result; 0 for NULL. */
int64_t row_number(const struct pg_link *link, uint32_t row, uint32_t column);

#endif
