/* Shards are apart: a lot lives on one of them, and what is taken of it, decided of it, kept and
 * told of it bears that shard's number, in PostgreSQL, in Redis and in answers.  Epochs and rids of
 * two shards look alike; what belongs to one and is taken for the other's is seen here. */
#include <inttypes.h>

#include "schema/id.h"
#include "tests/sim/check.h"

static bool is_home(struct world *self, int64_t lot_id, int64_t rid) {
    const struct pg_lot *lot = model_pg_lot(self->pg, lot_id);
    return lot == NULL || lot->shard == rid_shard(rid);
}

/* What was looked at before stays where it is; only late money gives an order another rid, and that
 * is looked at when it is judged (check_race.c knows of it). */
static void on_commit(struct world *self) {
    struct checks *checks = self->checks;
    struct model_pg *pg = self->pg;
    if (self->shards == 1) return;
    if (checks->placed > pg->order_count) checks->placed = 0; /* PostgreSQL has failed over. */
    if (checks->refusals_placed > pg->refusal_count) checks->refusals_placed = 0;
    for (; checks->placed < pg->order_count; checks->placed++) {
        const struct pg_order *order = &pg->orders[checks->placed];
        uint32_t shard = id_shard(order->order_id, self->shards);
        if (is_home(self, order->lot_id, order->rid) && shard == rid_shard(order->rid)) continue;
        world_fail(self, "shards", order->order_id,
                   "order %" PRId64 " of lot %" PRId64 " was decided by shard %u (rid %" PRId64 ")",
                   order->order_id, order->lot_id, rid_shard(order->rid), order->rid);
    }
    for (; checks->refusals_placed < pg->refusal_count; checks->refusals_placed++) {
        const struct pg_refusal *row = &pg->refusals[checks->refusals_placed];
        if (is_home(self, row->lot_id, row->rid)) continue;
        world_fail(self, "shards", row->order_id,
                   "rid %" PRId64 " of shard %u was refused lot %" PRId64, row->rid,
                   rid_shard(row->rid), row->lot_id);
    }
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    if (self->shards == 1 || in->head.type != MSG_order_view) return;
    const struct order_view *view = BODY(in, order_view);
    bool his = request->cheat == CHEAT_none && request->type != MSG_order_list;
    if (!his || view->rid == 0 || is_home(self, ticket->lot_id, view->rid)) return;
    world_fail(self, "shards", ticket->order_id, "told of rid %" PRId64 ", which is of shard %u",
               view->rid, rid_shard(view->rid));
}

static void at_quiet(struct world *self) {
    for (uint32_t k = 0; k < self->pg->order_count && self->shards > 1; k++) {
        const struct pg_order *order = &self->pg->orders[k];
        if (is_home(self, order->lot_id, order->rid)) continue;
        world_fail(self, "shards", order->order_id, "order %" PRId64 " has a rid of shard %u",
                   order->order_id, rid_shard(order->rid));
    }
}

const struct checker check_shards = { .rule = "shards",
                                      .promise = "what is of one shard is never another's",
                                      .on_commit = on_commit,
                                      .on_answer = on_answer,
                                      .at_quiet = at_quiet };
