/* A copy of the catalogue's sales and lots, as bridges and the session actor keep one: asked for as
 * a snapshot, kept fresh by the news that the catalogue sends to everybody, and looked after,
 * because a link may lose news and the catalogue may start anew.
 *
 * The catalogue numbers its changes.  Every few seconds its number is compared with that of the
 * last whole snapshot; where they differ another one is asked for.  A snapshot is whole when as
 * many rows have come as its end counts.
 *
 * Invariant: `version` is that of a whole snapshot, or 0. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include "actors/actor.h"

struct follow {
    bool known;       /* There has been a whole snapshot. */
    uint32_t number;  /* Of the snapshot asked for last: the request of its rows. */
    bool open;        /* It has not come to its end. */
    int64_t asked_at; /* For a snapshot. */
    int64_t checked_at;
    int64_t version; /* Of the last whole snapshot. */
    int64_t sales_version, lots_version;
    uint32_t sales, lots; /* Rows that have come. */
    bool sales_whole, lots_whole;
};

/* Asks for what is due; at most two messages. */
void follow_tick(struct follow *self, int64_t now, struct outbox *out);

/* A sale_view or lot_view has come, as news or in a snapshot. */
void follow_row(struct follow *self, const struct message *in);

/* A rows_end has come.  True: with it a snapshot is whole. */
bool follow_end(struct follow *self, const struct message *in);

#endif
