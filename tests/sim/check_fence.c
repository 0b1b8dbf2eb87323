/* G14: after an epoch has been raised nothing of an older one is written. */
#include <inttypes.h>

#include "schema/id.h"
#include "tests/sim/check.h"

static void on_commit(struct world *self) {
    const struct model_pg *pg = self->pg;
    struct checks *checks = self->checks;
    for (uint32_t i = 0; i < checks->changed_count; i++) {
        const struct pg_order *order = &pg->orders[checks->changed[i]];
        if (rid_epoch(order->rid) == order->epoch) continue;
        world_fail(self, "G14", order->order_id,
                   "order %" PRId64 " was written with a rid of epoch %u under epoch %u",
                   order->order_id, rid_epoch(order->rid), order->epoch);
    }
    for (; checks->refusals_seen < pg->refusal_count; checks->refusals_seen++) {
        const struct pg_refusal *row = &pg->refusals[checks->refusals_seen];
        uint32_t shard = rid_shard(row->rid);
        if (rid_epoch(row->rid) == pg->shards[shard].epoch) continue;
        world_fail(self, "G14", row->order_id,
                   "rid %" PRId64 " of epoch %u was refused under epoch %u", row->rid,
                   rid_epoch(row->rid), pg->shards[shard].epoch);
    }
}

const struct checker check_fence = { .rule = "G14",
                                     .promise = "nothing of an older epoch is written",
                                     .on_commit = on_commit };
