/* undo, repeated until undone */
#include "actors/order/order.h"

static const int64_t again_after = INT64_C(1000000000);

bool order_undo_room(const struct order *self) {
    uint64_t promised = (uint64_t)self->undos_free.used + self->asked.count +
                        self->returns_free.used + ORDER_UNDOS_SPARE;
    return promised < ORDER_UNDOS_MAX;
}

static void send(struct order *self, uint32_t slot, int64_t now, struct outbox *out) {
    struct order_undo *undo = &self->undos[slot];
    *ASK(out, ACTOR_inventory, undo, ACTOR_order, (uint64_t)undo->body.rid, 0) = undo->body;
    undo->sent_at = now;
    chain_append(&self->undoing, slot);
}

bool order_undo(struct order *self, const struct undo *undo, int64_t now, struct outbox *out) {
    uint32_t slot;
    if (idmap_get(&self->undo_map, undo->rid, &slot)) return true; /* On its way. */
    if (!slots_take(&self->undos_free, &slot)) return false;
    idmap_put(&self->undo_map, undo->rid, slot);
    self->undos[slot].body = *undo;
    send(self, slot, now, out);
    return true;
}

void order_send_undos(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    while (order_room(out, 2) && chain_first(&self->undoing, &slot) &&
           now - self->undos[slot].sent_at >= again_after) {
        chain_remove(&self->undoing, slot);
        send(self, slot, now, out);
    }
}

void order_on_undone(struct order *self, const struct message *in) {
    uint32_t slot;
    int64_t rid = BODY(in, undone)->rid;
    if (!idmap_get(&self->undo_map, rid, &slot)) return;
    chain_remove(&self->undoing, slot);
    idmap_remove(&self->undo_map, rid);
    slots_give(&self->undos_free, slot);
}
