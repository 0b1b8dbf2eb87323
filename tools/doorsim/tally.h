/* What became of one request, as the books of load and bench keep it. */
#ifndef DOORSIM_TALLY_H
#define DOORSIM_TALLY_H

#include "tools/doorsim/api.h"

enum tally {
    TALLY_created,  /* 201 for a purchase, the first time. */
    TALLY_replayed, /* 200 or 201 for a ticket that was used before. */
    TALLY_queued,   /* 202. */
    TALLY_sold_out, /* 409 sold_out. */
    TALLY_refused,  /* Other 4xx. */
    TALLY_busy,     /* 429 and 503. */
    TALLY_failed,   /* Other statuses. */
    TALLY_lost,     /* No answer: timeout, broken or no connection. */
    TALLY_left,     /* The asker did not wait for the answer. */
    TALLY_ok,       /* 2xx and 3xx of everything that is no purchase. */
    TALLIES,
};

/* One word, for columns and JSON; static. */
const char *tally_name(enum tally tally);

/* Of a purchase (`buys`) or of anything else.  Of the answer only `status` is needed below 400, and
 * `replayed` for purchases. */
enum tally tally_of(bool buys, const struct answer *answer);

/* May a purchase with this tally have been made although no 201 told so?  A 429 or 503 promises
 * nothing, but a purchase behind it is found by asking again. */
bool tally_is_open(enum tally tally);

/* The reading of `answer` that tally_of() needs, and no more: bodies below 400 are not looked at.
 */
void answer_glance(struct answer *answer, enum http_outcome outcome,
                   const struct http_response *response);

#endif
