/* G7: no buyer has more units of a lot than the limit.  Late money takes the units of its own order
 * again, whatever has been bought since; those do not count. */
#include <inttypes.h>

#include "tests/sim/check.h"

static bool counts(const struct shadow *shadow) {
    return !shadow->late && model_pg_holds(shadow->state);
}

/* Only a buyer of whom an order has just come or changed can have more than before. */
static void look_at(struct world *self, const struct shadow *changed) {
    const struct checks *checks = self->checks;
    const struct pg_lot *lot = model_pg_lot(self->pg, changed->lot_id);
    int64_t units = 0, buyer = changed->user_id - shopper_user(0);
    if (buyer < 0 || buyer >= (int64_t)checks->buyers_room) return; /* A story's. */
    for (uint32_t at = checks->of_buyer[buyer]; at != 0; at = checks->shadows[at - 1].before) {
        const struct shadow *other = &checks->shadows[at - 1];
        if (other->lot_id == changed->lot_id && counts(other)) units += other->quantity;
    }
    if (units <= (int64_t)lot->limit) return;
    world_fail(self, "G7", changed->order_id,
               "user %" PRId64 " has %" PRId64 " units of lot %" PRId64 ", at most %u",
               changed->user_id, units, lot->lot_id, lot->limit);
}

static void on_commit(struct world *self) {
    const struct checks *checks = self->checks;
    for (uint32_t i = 0; i < checks->changed_count; i++)
        look_at(self, &checks->shadows[checks->changed[i]]);
}

const struct checker check_limit = { .rule = "G7",
                                     .promise = "nobody has more than the limit",
                                     .on_commit = on_commit };
