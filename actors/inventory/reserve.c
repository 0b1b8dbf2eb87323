/* reserve -> (to Redis) | failed;  reserved -> held to the origin, place to order;
 * failed of a reserve -> the same to the origin, and perhaps a recovery;  the lot is not in the hot
 * counter -> place with seen = 1 to order, which looks whether the ticket has bought */
#include "actors/inventory/inventory.h"
#include "schema/id.h"

enum { PENDING_LIFE_MS = 5000, PENDING_SUSPECT_MS = 50, MILLISECOND = 1000000 };

static void refuse(const struct message *in, enum problem problem, struct outbox *out) {
    struct failed *failed = outbox_refuse_with(out, in, problem);
    failed->retry_after = 1;
    failed->id = BODY(in, reserve)->order_id;
}

/* The origin's request, as an id: answers carry it, whatever they say. */
static int64_t key_of(const struct head *head) {
    int64_t mixed =
        (int64_t)(head->request ^ (uint64_t)head->origin << 56 ^ (uint64_t)head->node << 40);
    int64_t key = (int64_t)(id_hash(mixed) >> 1);
    return key != 0 ? key : 1;
}

/* False: too many are under way. */
static bool remember(struct inventory *self, const struct message *in, int64_t now) {
    const struct reserve *want = BODY(in, reserve);
    int64_t key = key_of(&in->head);
    uint32_t slot;
    if (idmap_get(&self->pending_map, key, &slot)) return true; /* The same message again. */
    if (!slots_take(&self->pending_slots, &slot)) return false;
    self->pending[slot] = (struct inventory_pending){
        .key = key,
        .order_id = want->order_id,
        .user_id = want->user_id,
        .lot_id = want->lot_id,
        .since = now,
        .quantity = want->quantity,
        .kind = want->kind,
    };
    idmap_put(&self->pending_map, key, slot);
    chain_append(&self->pending_chain, slot);
    return true;
}

static void forget(struct inventory *self, uint32_t slot) {
    idmap_remove(&self->pending_map, self->pending[slot].key);
    chain_remove(&self->pending_chain, slot);
    slots_give(&self->pending_slots, slot);
}

/* What was asked; false when that is not known any more, or was answered before. */
static bool take_pending(struct inventory *self, const struct message *in,
                         struct inventory_pending *pending) {
    uint32_t slot;
    if (!idmap_get(&self->pending_map, key_of(&in->head), &slot)) return false;
    *pending = self->pending[slot];
    forget(self, slot);
    return true;
}

void inventory_forget_pending(struct inventory *self) {
    uint32_t slot;
    while (chain_first(&self->pending_chain, &slot))
        forget(self, slot);
}

void inventory_age_pending(struct inventory *self, int64_t now) {
    uint32_t slot;
    while (chain_first(&self->pending_chain, &slot) &&
           now - self->pending[slot].since > (int64_t)PENDING_LIFE_MS * MILLISECOND) {
        forget(self, slot);
    }
    /* Unanswered for long: the answer may be lost, and the unit be his. */
    for (bool more = chain_first(&self->pending_chain, &slot); more;
         more = chain_next(&self->pending_chain, &slot)) {
        struct inventory_pending *pending = &self->pending[slot];
        if (now - pending->since < (int64_t)PENDING_SUSPECT_MS * MILLISECOND) break;
        if (pending->filtered) continue;
        inventory_lot_holder(self, pending->lot_id, pending->order_id);
        pending->filtered = true;
    }
}

void inventory_on_reserve(struct inventory *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    if (in->head.deadline != 0 && now >= in->head.deadline) {
        refuse(in, PROBLEM_overloaded, out); /* Nobody waits for it any more. */
    } else if (self->stopping) {
        refuse(in, PROBLEM_stopping, out);
    } else if (self->phase != PHASE_ready) {
        refuse(in, PROBLEM_recovering, out);
    } else if (now < self->stalled_until) {
        refuse(in, PROBLEM_unavailable, out);
    } else if (!remember(self, in, now)) {
        refuse(in, PROBLEM_overloaded, out);
    } else {
        *SEND(out, PORT_redis, reserve, in) = *BODY(in, reserve);
    }
}

void inventory_on_reserved(struct inventory *self, const struct message *in, struct outbox *out) {
    const struct reserved *got = BODY(in, reserved);
    struct inventory_pending pending;
    take_pending(self, in, &pending);
    inventory_lot_holder(self, got->lot_id, got->order_id);

    struct held *held = ANSWER(out, in, held);
    held->order_id = got->order_id;
    held->rid = got->rid;

    struct place *place = SEND(out, ACTOR_order, place, in);
    place->rid = got->rid;
    place->entry = got->entry;
    place->rows = got->rows;
    place->order_id = got->order_id;
    place->user_id = got->user_id;
    place->lot_id = got->lot_id;
    place->quantity = got->quantity;
    place->kind = got->kind;
    place->price_version = got->price_version;
    place->address = got->address;
    place->seen = got->seen;
}

/* Should it be in the hot counter?  A lot that has been settled, or whose sale is far away, was not
 * put there by the last install and not by lot_warm. */
static bool lot_belongs(const struct inventory *self, int64_t lot_id) {
    uint32_t index;
    if (self->lots_left_out > 0) return true; /* We do not know them all. */
    return idmap_get(&self->lot_map, lot_id, &index) && self->lots[index].state != lot_state_none;
}

/* Nothing can be bought there, but the ticket may have bought while it could: order looks it up
 * under a rid that no reservation has. */
static void look_up(const struct inventory *self, const struct message *in,
                    const struct inventory_pending *pending, struct outbox *out) {
    struct place *place = SEND(out, ACTOR_order, place, in);
    place->rid = rid_make(self->shard, self->epoch, 0);
    place->order_id = pending->order_id;
    place->user_id = pending->user_id;
    place->lot_id = pending->lot_id;
    place->quantity = pending->quantity;
    place->kind = pending->kind;
    place->seen = 1;
}

void inventory_on_reserve_failed(struct inventory *self, const struct message *in, int64_t now,
                                 struct outbox *out) {
    const struct failed *got = BODY(in, failed);
    struct inventory_pending pending;
    bool known = take_pending(self, in, &pending);
    bool missing = got->problem == PROBLEM_not_on_sale;
    bool settled =
        missing && known && self->phase == PHASE_ready && !lot_belongs(self, pending.lot_id);
    if (settled && pending.kind != reserve_kind_late) {
        look_up(self, in, &pending, out);
        return;
    }
    struct failed *failed = ANSWER(out, in, failed);
    *failed = *got;
    if (got->problem == PROBLEM_fenced || (missing && !settled)) {
        failed->problem = PROBLEM_recovering;
    }
    if (problem_http(failed->problem) == 503) failed->retry_after = 1;
    /* Fenced, or a lot that we know of is missing: Redis is not what we took it for.  Unavailable:
     * units may have been taken, by whom is unknown, so the filters can no longer be trusted.  A
     * repeated answer changes nothing. */
    bool doubt = got->problem == PROBLEM_fenced || got->problem == PROBLEM_unavailable ||
                 (missing && !settled);
    if (doubt && known && self->phase == PHASE_ready) inventory_recover(self, now, out);
}

void inventory_pass_on(struct inventory *self, const struct message *in, struct outbox *out) {
    bool writer = in->head.type == MSG_settle || in->head.type == MSG_undo ||
                  in->head.type == MSG_journal_read;
    if (self->phase == PHASE_ready || (writer && self->phase == PHASE_drain)) {
        outbox_forward(out, PORT_redis, in);
    } else if (in->head.type == MSG_settle || in->head.type == MSG_undo) {
        outbox_reply_failed(out, in, PROBLEM_fenced); /* It is sent again. */
    } else {
        outbox_reply_failed(out, in, PROBLEM_recovering);
    }
}
