/* The file of shoppers that `seed` writes and the others read: one line each,
 * `user session token`.  Also where an access token is made, by the code that the server uses. */
#ifndef DOORSIM_SHOPPERS_H
#define DOORSIM_SHOPPERS_H

#include "schema/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shopper {
    int64_t user;
    int64_t session;
    const char *token; /* In the list's memory. */
};

struct shoppers {
    size_t count;
    struct shopper *list;
    char *memory;
};

/* The users [first, first + count) that seed made, with sessions and tokens: made here by the code
 * that issues them, good for an hour.  False when memory is out. */
bool shoppers_make(struct shoppers *self, const struct seal_keys *keys, int64_t first,
                   size_t count);

/* Reads at most `max` shoppers (0: all).  False, with a sentence on stderr. */
bool shoppers_load(struct shoppers *self, const char *path, size_t max);
void shoppers_fini(struct shoppers *self);

/* Writes a token of SEAL_TEXT_MAX + 1 bytes at most. */
void make_access_token(const struct seal_keys *keys, int64_t user, int64_t session,
                       int64_t expires_at, char *token);

/* The ticket that POST /v1/lots/{lot}/tickets would have given. */
struct ticket_wish {
    int64_t order, user, session, lot;
    uint32_t quantity_max, price_version;
    int64_t not_before, expires_at;
};
void make_ticket(const struct seal_keys *keys, const struct ticket_wish *wish, char *ticket);

#endif
