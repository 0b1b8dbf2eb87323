/* An answer of Redis, or of the store that stands for it in tests, as a tree that knows no library.
 * Texts and items belong to whoever made the tree; an answer is read and forgotten. */
#ifndef BROKER_REDIS_REPLY_H
#define BROKER_REDIS_REPLY_H

#include "schema/schema.h"

enum reply_kind { REPLY_nil, REPLY_integer, REPLY_text, REPLY_error, REPLY_array };

struct reply {
    enum reply_kind kind;
    uint32_t count;   /* Items of an array. */
    int64_t integer;  /* Of an integer. */
    struct text text; /* Of a text (bulk or status) or an error. */
    const struct reply *items;
};

/* An error whose first word is this ("NOSCRIPT")? */
bool reply_is_error(const struct reply *reply, const char *word);

#endif
