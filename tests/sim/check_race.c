/* G11 (and the graph of G6): an order goes only where the published graph leads, so paying and
 * expiring have one winner; late money takes its units by a new reservation, and nothing else of an
 * order ever changes. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/check.h"

/* Of docs and ARCHITECTURE section 5; not the table of the actors. */
static bool leads(enum order_state from, enum order_state to) {
    switch (from) {
    case order_state_awaiting_payment:
        return to == order_state_paying || to == order_state_cancelled || to == order_state_expired;
    case order_state_paying:
        return to == order_state_paid || to == order_state_cancelled || to == order_state_expired;
    case order_state_expired: return to == order_state_paid;
    case order_state_paid: return to == order_state_refund_pending || to == order_state_shipped;
    case order_state_refund_pending: return to == order_state_refunded;
    default: return false;
    }
}

static void look_new(struct world *self, const struct pg_order *order) {
    struct checks *checks = self->checks;
    const struct pg_lot *lot = model_pg_lot(self->pg, order->lot_id);
    checks->shadows = world_grow(checks->shadows, checks->shadow_count, &checks->shadow_room,
                                 sizeof *checks->shadows);
    checks->shadows[checks->shadow_count++] = (struct shadow){ .order_id = order->order_id,
                                                               .rid = order->rid,
                                                               .price = order->price,
                                                               .pay_by = order->pay_by,
                                                               .seen_at = self->now,
                                                               .state = order->state };
    struct ticket *ticket = world_ticket(self, order->order_id);
    if (ticket != NULL) self->shoppers[ticket->shopper].touched_at = self->now;
    if (self->pg_failovers > 0) return; /* Rows of before are looked at anew. */
    if (order->price == lot->price && order->pay_by == order->created_at + lot->pay_window) return;
    world_fail(self, "G11", order->order_id,
               "order %" PRId64 " was made for %" PRId64 ", its lot costs %" PRId64,
               order->order_id, order->price, lot->price);
}

static void look_again(struct world *self, struct shadow *shadow, const struct pg_order *order) {
    bool moved = shadow->state != order->state, taken = shadow->rid != order->rid;
    bool late = shadow->state == order_state_expired && order->state == order_state_paid;
    bool same = shadow->order_id == order->order_id && shadow->price == order->price &&
                shadow->pay_by == order->pay_by;
    /* Two steps in one commit do not happen; a commit may stand between that nobody looked at. */
    if ((moved && !leads(shadow->state, order->state)) || taken != late || !same) {
        world_fail(self, "G11", order->order_id,
                   "order %" PRId64 " went from %s (rid %" PRId64 ") to %s (rid %" PRId64 ")",
                   order->order_id, state_name(KIND_order_state, shadow->state), shadow->rid,
                   state_name(KIND_order_state, order->state), order->rid);
    }
    struct ticket *ticket = moved ? world_ticket(self, order->order_id) : NULL;
    if (ticket != NULL) self->shoppers[ticket->shopper].touched_at = self->now;
    if (moved) shadow->left[shadow->state] = self->now;
    shadow->late = shadow->late || late;
    shadow->state = order->state;
    shadow->rid = order->rid;
}

static void on_commit(struct world *self) {
    struct checks *checks = self->checks;
    for (uint32_t i = 0; i < checks->shadow_count && i < self->pg->order_count; i++)
        look_again(self, &checks->shadows[i], &self->pg->orders[i]);
    while (checks->shadow_count < self->pg->order_count)
        look_new(self, &self->pg->orders[checks->shadow_count]);
}

const struct checker check_race = { .rule = "G11",
                                    .promise = "paying and expiring have one winner",
                                    .on_commit = on_commit };
