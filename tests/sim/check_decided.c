/* G5, the second phase: when the faults have stopped everything is decided within a bound. */
#include <inttypes.h>

#include "tests/sim/check.h"

static bool paid_unknown(const struct world *self, const struct pg_payment *payment) {
    for (uint32_t i = 0; i < self->deal_count; i++) {
        const struct deal *deal = &self->deals[i];
        if (deal->payment_id != payment->payment_id || !deal->paid) continue;
        return payment->state != payment_state_succeeded;
    }
    return false;
}

static const char *money_left(const struct world *self) {
    for (uint32_t i = 0; i < self->pg->payment_count; i++) {
        const struct pg_payment *payment = &self->pg->payments[i];
        if (payment->todo == todo_late) return "late money waits";
        if (paid_unknown(self, payment)) return "a payment is not known";
    }
    for (uint32_t i = 0; i < self->pg->refund_count; i++) {
        if (self->pg->refunds[i].state == refund_state_pending) return "a refund is pending";
    }
    return NULL;
}

static const char *orders_left(const struct world *self) {
    for (uint32_t i = 0; i < self->pg->order_count; i++) {
        enum order_state state = self->pg->orders[i].state;
        if (state == order_state_awaiting_payment) return "an order is not paid and not expired";
        if (state == order_state_paying) return "an order is being paid";
    }
    return NULL;
}

/* What Redis offers is what PostgreSQL has not sold, and in the state that the sale has. */
static bool idle_lot(struct world *self, const struct pg_lot *lot) {
    int64_t free = lot->allocated - lot->sold;
    char command[64];
    if (lot->state == lot_state_settled || lot->state == lot_state_waiting) return true;
    snprintf(command, sizeof command, "HGET {s%u}:lot:%" PRId64 " available", lot->shard,
             lot->lot_id);
    const struct reply *reply = lua_store_command(stores_master(self, lot->shard), command);
    int64_t available = 0;
    for (uint32_t i = 0; reply->kind == REPLY_text && i < reply->text.size; i++)
        available = available * 10 + (reply->text.at[i] - '0');
    if (reply->kind != REPLY_text || available != free) return false;
    snprintf(command, sizeof command, "HGET {s%u}:lot:%" PRId64 " state", lot->shard, lot->lot_id);
    reply = lua_store_command(stores_master(self, lot->shard), command);
    return reply->kind == REPLY_text &&
           text_is(reply->text, state_name(KIND_lot_state, lot->state));
}

static const char *shard_left(struct world *self, uint32_t shard) {
    struct account *account = &self->checks->account;
    const struct pg_shard *row = &self->pg->shards[shard];
    bool intact = check_intact(self, shard, account);
    bool under_pg = account->epoch == row->epoch && account->boot == row->boot;
    char key[24];
    if (!intact) return "redis has lost something";
    if (!under_pg) return "redis is not what postgresql believes";
    if (self->pairs[self->home[shard]].redis.state.epoch != account->epoch) {
        return "inventory has not noticed who serves its shard";
    }
    snprintf(key, sizeof key, "XLEN {s%u}:j", shard);
    const struct reply *rows = lua_store_command(stores_master(self, shard), key);
    if (rows->kind == REPLY_integer && rows->integer > 0) {
        return "the journal has entries";
    }
    return NULL;
}

const char *check_quiet(struct world *self) {
    const char *left = orders_left(self);
    if (left == NULL) left = money_left(self);
    for (uint32_t k = 0; k < self->shards && left == NULL; k++)
        left = shard_left(self, k);
    for (uint32_t i = 0; i < self->pg->lot_count && left == NULL; i++)
        if (!idle_lot(self, &self->pg->lots[i])) left = "a lot's units are not all back";
    return left;
}
