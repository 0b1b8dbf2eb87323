/* G7: no buyer has more units of a lot than the limit.  Late money takes the units of its own order
 * again, whatever has been bought since; those do not count. */
#include <inttypes.h>

#include "tests/sim/check.h"

static bool counts(const struct world *self, uint32_t k) {
    bool late = k < self->checks->shadow_count && self->checks->shadows[k].late;
    return !late && model_pg_holds(self->pg->orders[k].state);
}

static void on_commit(struct world *self) {
    const struct model_pg *pg = self->pg;
    for (uint32_t k = 0; k < pg->order_count; k++) {
        const struct pg_order *order = &pg->orders[k];
        int64_t units = 0;
        bool first = true;
        if (!counts(self, k)) continue;
        for (uint32_t i = 0; i < pg->order_count && first; i++) {
            const struct pg_order *other = &pg->orders[i];
            if (other->user_id != order->user_id || other->lot_id != order->lot_id) continue;
            if (!counts(self, i)) continue;
            first = i >= k; /* Each buyer once. */
            units += other->quantity;
        }
        const struct pg_lot *lot = model_pg_lot(self->pg, order->lot_id);
        if (!first || units <= (int64_t)lot->limit) continue;
        world_fail(self, "G7", order->order_id,
                   "user %" PRId64 " has %" PRId64 " units of lot %" PRId64 ", at most %u",
                   order->user_id, units, lot->lot_id, lot->limit);
    }
}

const struct checker check_limit = { .rule = "G7",
                                     .promise = "nobody has more than the limit",
                                     .on_commit = on_commit };
