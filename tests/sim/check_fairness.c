/* G23: inside a shard the order of decisions is the order of admission.  A fault may split a batch;
 * so this is judged in runs without any, and there always. */
#include <inttypes.h>

#include "schema/id.h"
#include "tests/sim/check.h"

static void on_commit(struct world *self) {
    struct checks *checks = self->checks;
    if (self->swarm.on != 0) return;
    for (; checks->orders_judged < self->pg->order_count; checks->orders_judged++) {
        const struct pg_order *order = &self->pg->orders[checks->orders_judged];
        int64_t *last = &checks->last_decided[rid_shard(order->rid)];
        if (order->rid < *last) {
            world_fail(self, "G23", order->order_id,
                       "rid %" PRId64 " was decided after rid %" PRId64, order->rid, *last);
        }
        *last = order->rid;
    }
}

const struct checker check_fairness = { .rule = "G23",
                                        .promise = "first come, first decided",
                                        .on_commit = on_commit };
