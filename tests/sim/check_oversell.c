/* G1: no oversell.  Orders that hold stock never exceed the allocation, and are what the guard row
 * counts; units exist once, in general stock or in a lot. */
#include <inttypes.h>

#include "tests/sim/check.h"

static void check_lot(struct world *self, const struct pg_lot *lot) {
    int64_t units = self->checks->sums[lot - self->pg->lots].units;
    if (units == lot->sold && units <= lot->allocated) return;
    world_fail(self, "G1", 0,
               "lot %" PRId64 ": orders hold %" PRId64 " of %" PRId64 ", %" PRId64 " are counted",
               lot->lot_id, units, lot->allocated, lot->sold);
}

/* Draining ends when no order of the lot is unpaid: what comes back later goes past its buyers. */
static void check_settled_lot(struct world *self, const struct pg_lot *lot) {
    if (self->checks->sums[lot - self->pg->lots].unpaid == 0) return;
    for (uint32_t k = 0; k < self->pg->order_count; k++) {
        const struct pg_order *order = &self->pg->orders[k];
        bool unpaid =
            order->state == order_state_awaiting_payment || order->state == order_state_paying;
        if (order->lot_id != lot->lot_id || !unpaid) continue;
        world_fail(self, "settled", order->order_id,
                   "lot %" PRId64 " is settled, and order %" PRId64 " is not paid", lot->lot_id,
                   order->order_id);
    }
}

static void on_commit(struct world *self) {
    for (uint32_t i = 0; i < self->pg->lot_count; i++)
        if (self->pg->lots[i].state == lot_state_settled)
            check_settled_lot(self, &self->pg->lots[i]);
    for (uint32_t i = 0; i < self->pg->lot_count; i++)
        check_lot(self, &self->pg->lots[i]);
    for (uint32_t i = 0; i < self->pg->stock_count; i++) {
        const struct pg_stock *stock = &self->pg->stocks[i];
        int64_t there = stock->on_hand;
        for (uint32_t k = 0; k < self->pg->lot_count; k++) {
            const struct pg_lot *lot = &self->pg->lots[k];
            if (lot->sku_id == stock->sku_id) there += lot->allocated;
        }
        if (there == stock->received && stock->on_hand >= 0) continue;
        world_fail(self, "G1", 0,
                   "SKU %" PRId64 ": %" PRId64 " units arrived, stock and lots have %" PRId64,
                   stock->sku_id, stock->received, there);
    }
}

const struct checker check_oversell = { .rule = "G1",
                                        .promise = "orders never hold more than is allocated",
                                        .on_commit = on_commit };
