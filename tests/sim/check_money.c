/* G8, G9, G10: a payment is booked once and for its amount; when all is quiet an order has been
 * paid once or not at all, and money that came in belongs to a paid order or has gone back. */
#include <inttypes.h>

#include "tests/sim/check.h"

static void on_commit(struct world *self) {
    for (uint32_t i = 0; i < self->pg->payment_count; i++) {
        const struct pg_payment *payment = &self->pg->payments[i];
        if (payment->captured == 0 || payment->captured == payment->amount) continue;
        world_fail(self, "G9", payment->order_id,
                   "payment %" PRId64 " of %" PRId64 " is booked with %" PRId64,
                   payment->payment_id, payment->amount, payment->captured);
    }
}

static bool is_paid(enum order_state state) {
    return state == order_state_paid || state == order_state_shipped ||
           state == order_state_completed;
}

static void check_order(struct world *self, const struct pg_order *order) {
    int64_t captured = 0, due = is_paid(order->state) ? order->price * order->quantity : 0;
    for (uint32_t i = 0; i < self->pg->payment_count; i++) {
        const struct pg_payment *payment = &self->pg->payments[i];
        if (payment->order_id == order->order_id) captured += payment->captured;
    }
    if (captured == due) return;
    world_fail(self, "G8", order->order_id,
               "order %" PRId64 " is %s, and its payments add up to %" PRId64, order->order_id,
               state_name(KIND_order_state, order->state), captured);
}

static const struct pg_payment *payment_of(const struct world *self, int64_t payment_id) {
    for (uint32_t i = 0; i < self->pg->payment_count; i++) {
        if (self->pg->payments[i].payment_id == payment_id) return &self->pg->payments[i];
    }
    return NULL;
}

static void at_quiet(struct world *self) {
    for (uint32_t i = 0; i < self->pg->order_count; i++)
        check_order(self, &self->pg->orders[i]);
    for (uint32_t i = 0; i < self->deal_count; i++) {
        const struct deal *deal = &self->deals[i];
        const struct pg_payment *payment = payment_of(self, deal->payment_id);
        if (payment == NULL && self->pg_failovers > 0) continue; /* Its row is gone. */
        if (!deal->paid || deal->refunded) continue;
        if (payment != NULL && payment->captured == deal->amount) continue;
        world_fail(self, "G10", deal->order_id,
                   "the buyer paid %" PRId64 " (payment %" PRId64 "), which nobody knows of",
                   deal->amount, deal->payment_id);
    }
    for (uint32_t i = 0; i < self->deal_count; i++) {
        const struct deal *deal = &self->deals[i];
        if (deal->refunds <= 1) continue;
        world_fail(self, "G8", deal->order_id, "payment %" PRId64 " was sent back %u times",
                   deal->payment_id, deal->refunds);
    }
}

const struct checker check_money = { .rule = "G8",
                                     .promise = "nobody is charged twice, no money is lost",
                                     .on_commit = on_commit,
                                     .at_quiet = at_quiet };
