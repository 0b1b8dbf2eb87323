/* A town of several nodes: two bridges at nodes 1 and 2; at node 3 the session actor and the
 * writers of two shards.  Stores, catalogue and HTTP are played, simply and without faults; every
 * message takes a millisecond.  For stories about who talks to whom; the simulator is for faults.
 *
 * One sale is open, with LOT_0 on shard 0 and LOT_1 on shard 1.  Whatever is said is printed to
 * `trace` but for what goes on all the time. */
#ifndef TOWN_H
#define TOWN_H

#include <stdio.h>

#include "actors/actor.h"

enum { TOWN_SALE = 40, LOT_0 = 51, LOT_1 = 52, TOWN_USER = 7, TOWN_SESSION = 8, CORE = 3 };

struct town;

/* Opened, and everything has had time to get ready. */
struct town *town_open(FILE *trace);
void town_close(struct town *self);

/* A shopper's request at the bridge of a node; its answer, after at most half a second: borrowed
 * until the next call. */
const struct message *town_ask(struct town *self, uint16_t node, const void *body,
                               enum message_id id);
void town_pass(struct town *self, int64_t ms);
/* News of this type do not reach the bridge of this node any more. */
void town_lose(struct town *self, uint16_t node, enum message_id type);

#endif
