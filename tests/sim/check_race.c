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

/* ---- Shadows ---- */

static void note_changed(struct checks *checks, uint32_t at) {
    checks->changed = world_grow(checks->changed, checks->changed_count, &checks->changed_room,
                                 sizeof *checks->changed);
    checks->changed[checks->changed_count++] = at;
    checks->order_changes++;
}

/* Adds what this shadow holds to the sums of its lot, or takes it away. */
static void add_up(struct world *self, const struct shadow *shadow, int sign) {
    const struct pg_lot *lot = model_pg_lot(self->pg, shadow->lot_id);
    struct lot_sums *sums = &self->checks->sums[lot - self->pg->lots];
    bool unpaid =
        shadow->state == order_state_awaiting_payment || shadow->state == order_state_paying;
    if (unpaid) sums->unpaid += (uint32_t)sign;
    if (!model_pg_holds(shadow->state)) return;
    sums->units += sign * (int64_t)shadow->quantity;
    sums->holding += (uint32_t)sign;
}

/* Behind the other orders of its buyer. */
static void link_up(struct world *self, struct shadow *shadow) {
    struct checks *checks = self->checks;
    int64_t buyer = shadow->user_id - shopper_user(0);
    if (buyer < 0 || buyer >= (int64_t)self->shopper_count) return; /* A story's. */
    while (buyer >= (int64_t)checks->buyers_room) {
        uint32_t room = checks->buyers_room;
        checks->of_buyer =
            world_grow(checks->of_buyer, room, &checks->buyers_room, sizeof *checks->of_buyer);
        memset(checks->of_buyer + room, 0, (checks->buyers_room - room) * sizeof *checks->of_buyer);
    }
    shadow->before = checks->of_buyer[buyer];
    checks->of_buyer[buyer] = (uint32_t)(shadow - checks->shadows) + 1;
}

static void touch_buyer(struct world *self, int64_t order_id) {
    struct ticket *ticket = world_ticket(self, order_id);
    if (ticket != NULL) self->shoppers[ticket->shopper].touched_at = self->now;
}

static void look_new(struct world *self, const struct pg_order *order) {
    struct checks *checks = self->checks;
    const struct pg_lot *lot = model_pg_lot(self->pg, order->lot_id);
    checks->shadows = world_grow(checks->shadows, checks->shadow_count, &checks->shadow_room,
                                 sizeof *checks->shadows);
    struct shadow *shadow = &checks->shadows[checks->shadow_count++];
    *shadow = (struct shadow){ .order_id = order->order_id,
                               .rid = order->rid,
                               .price = order->price,
                               .pay_by = order->pay_by,
                               .user_id = order->user_id,
                               .lot_id = order->lot_id,
                               .seen_at = self->now,
                               .state = order->state,
                               .quantity = order->quantity };
    note_changed(checks, checks->shadow_count - 1);
    add_up(self, shadow, 1);
    link_up(self, shadow);
    touch_buyer(self, order->order_id);
    if (self->pg_failovers > 0) return; /* Rows of before are looked at anew. */
    if (order->price == lot->price && order->pay_by == order->created_at + lot->pay_window) return;
    world_fail(self, "G11", order->order_id,
               "order %" PRId64 " was made for %" PRId64 ", its lot costs %" PRId64,
               order->order_id, order->price, lot->price);
}

static bool is_same(const struct shadow *shadow, const struct pg_order *order) {
    return shadow->order_id == order->order_id && shadow->price == order->price &&
           shadow->pay_by == order->pay_by && shadow->user_id == order->user_id &&
           shadow->lot_id == order->lot_id && shadow->quantity == order->quantity;
}

static void look_again(struct world *self, struct shadow *shadow, const struct pg_order *order) {
    bool moved = shadow->state != order->state, taken = shadow->rid != order->rid;
    bool late = shadow->state == order_state_expired && order->state == order_state_paid;
    /* Two steps in one commit do not happen; a commit may stand between that nobody looked at. */
    if ((moved && !leads(shadow->state, order->state)) || taken != late ||
        !is_same(shadow, order)) {
        world_fail(self, "G11", order->order_id,
                   "order %" PRId64 " went from %s (rid %" PRId64 ") to %s (rid %" PRId64 ")",
                   order->order_id, state_name(KIND_order_state, shadow->state), shadow->rid,
                   state_name(KIND_order_state, order->state), order->rid);
    }
    if (!moved && !taken) return;
    note_changed(self->checks, (uint32_t)(shadow - self->checks->shadows));
    add_up(self, shadow, -1);
    if (moved) touch_buyer(self, order->order_id);
    if (moved) shadow->left[shadow->state] = self->now;
    shadow->late = shadow->late || late;
    shadow->state = order->state;
    shadow->rid = order->rid;
    add_up(self, shadow, 1);
}

static void on_commit(struct world *self) {
    struct checks *checks = self->checks;
    checks->changed_count = 0;
    for (uint32_t i = 0; i < checks->shadow_count && i < self->pg->order_count; i++)
        look_again(self, &checks->shadows[i], &self->pg->orders[i]);
    while (checks->shadow_count < self->pg->order_count)
        look_new(self, &self->pg->orders[checks->shadow_count]);
}

const struct checker check_race = { .rule = "G11",
                                    .promise = "paying and expiring have one winner",
                                    .on_commit = on_commit };
