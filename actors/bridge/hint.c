/* lot_hint -> (remembered): what may be refused without asking inventory */
#include <string.h>

#include "actors/bridge/bridge.h"
#include "actors/lib/bloom.h"

static bool older(const struct bridge_lot *lot, const struct lot_hint *hint) {
    if (hint->epoch != lot->hint_epoch) return hint->epoch < lot->hint_epoch;
    return hint->version < lot->hint_version;
}

void bridge_on_lot_hint(struct bridge *self, const struct message *in, int64_t now) {
    const struct lot_hint *hint = BODY(in, lot_hint);
    struct bridge_lot *lot = bridge_lot_make(self, hint->lot_id);
    if (lot == NULL || older(lot, hint)) return;
    if (!lot->level_known || lot->available != hint->available) {
        struct bridge_sale *sale = bridge_sale(self, lot->sale_id);
        if (sale != NULL) sale->dirty = true;
    }
    lot->hint_epoch = hint->epoch;
    lot->hint_version = hint->version;
    lot->hint_state = hint->state;
    lot->available = hint->available;
    lot->level_known = true;
    lot->hint_until = now + hint->life;
    if (hint->holders.size > 0 && hint->holders.size <= HOLDERS_MAX) {
        memcpy(lot->holders, hint->holders.at, hint->holders.size);
        lot->holders_size = hint->holders.size;
        lot->holders_epoch = hint->epoch;
    }
}

enum problem bridge_hint(const struct bridge *self, int64_t lot_id, int64_t order_id,
                         uint32_t quantity, int64_t now) {
    const struct bridge_lot *lot = bridge_lot(self, lot_id);
    if (lot == NULL || now >= lot->hint_until) return PROBLEM_none;
    /* Whoever may hold units, or had an order, is never refused here. */
    if (lot->holders_epoch != lot->hint_epoch) return PROBLEM_none;
    if (bloom_may_have(lot->holders, lot->holders_size, order_id)) return PROBLEM_none;
    switch (lot->hint_state) {
    case lot_state_open: return lot->available < quantity ? PROBLEM_sold_out : PROBLEM_none;
    case lot_state_paused: return PROBLEM_sale_paused;
    case lot_state_closed:
    case lot_state_settled: return PROBLEM_sale_closed;
    case lot_state_waiting: return PROBLEM_sale_not_open;
    case lot_state_none: break;
    }
    return PROBLEM_none;
}
