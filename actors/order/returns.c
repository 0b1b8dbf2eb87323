/* order_cancel, deadline -> order_return;  returned -> undo, and order_find | failed to who cancels
 *
 * A return whose commit is unknown is sent again until PostgreSQL has told what became of it:
 * `same` brings the reservation that has to be undone.  Only some are at PostgreSQL at once, and
 * while it is silent they are sent again less and less often: who waits in its mailbox twice makes
 * everybody wait longer. */
#include "actors/order/order.h"
#include "actors/order/states.h"
#include "schema/id.h"

static const int64_t again_after = INT64_C(2000000000), later = INT64_C(1000000000);
enum { TRIES_MAX = 3 }; /* Then the wait, which doubles with each, grows no more. */

static void send(struct order *self, uint32_t slot, int64_t now, struct outbox *out) {
    struct order_back *back = &self->returns[slot];
    struct order_return *order_return =
        ASK(out, PORT_pg_shard, order_return, ACTOR_order, back->number, back->head.trace);
    order_return->order_id = back->order_id;
    order_return->user_id = back->user_id;
    order_return->to = back->to;
    order_return->now = now;
    order_return->epoch = self->epoch;
    order_return->shard = self->shard;
    back->sent_at = now;
    back->asked = true;
    chain_append(&self->returning, slot);
}

enum { SLOT_BITS = 16 };
_Static_assert(ORDER_RETURNS_MAX <= 1 << SLOT_BITS, "a slot has its place in a number");

/* False: no room. */
static bool begin(struct order *self, const struct order_back *back) {
    uint32_t slot;
    if (!order_undo_room(self) || !slots_take(&self->returns_free, &slot)) return false;
    idmap_put(&self->return_map, back->order_id, slot);
    self->returns[slot] = *back;
    self->returns[slot].number = (++self->returns_begun << SLOT_BITS & INT64_MAX) | slot;
    chain_append(&self->leaving, slot);
    return true;
}

static struct order_back *find(struct order *self, int64_t order_id) {
    uint32_t slot;
    return idmap_get(&self->return_map, order_id, &slot) ? &self->returns[slot] : NULL;
}

static void end(struct order *self, struct order_back *back) {
    uint32_t slot = (uint32_t)(back - self->returns);
    chain_remove(back->asked ? &self->returning : &self->leaving, slot);
    idmap_remove(&self->return_map, back->order_id);
    back->number = 0;
    slots_give(&self->returns_free, slot);
}

void order_on_cancel(struct order *self, const struct message *in, struct outbox *out) {
    const struct order_cancel *want = BODY(in, order_cancel);
    struct order_back back = { .head = in->head,
                               .order_id = want->order_id,
                               .user_id = want->user_id,
                               .to = order_state_cancelled };
    const struct order_back *known = find(self, want->order_id);
    if (known != NULL && known->head.origin == in->head.origin &&
        known->head.request == in->head.request) {
        return; /* The same message again. */
    }
    if (known != NULL || !begin(self, &back)) {
        outbox_refuse_with(out, in, PROBLEM_overloaded)->retry_after = 1;
    }
}

void order_on_deadline(struct order *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    const struct deadline *deadline = BODY(in, deadline);
    struct order_back back = { .head.trace = (uint64_t)deadline->id,
                               .order_id = deadline->id,
                               .to = order_state_expired };
    if (deadline->kind != deadline_kind_pay_by || find(self, deadline->id) != NULL) return;
    if (!begin(self, &back)) order_set_deadline(out, deadline->id, now + later);
}

static void undo_returned(struct order *self, const struct returned *got, int64_t now,
                          struct outbox *out) {
    /* Also when the lot is settled by now: what was returned before is still held for nobody where
     * its lot has not been installed anew, and late money would find it held for ever. */
    if (got->rid == 0 || got->quantity == 0) return;
    struct undo undo = { .rid = got->rid,
                         .order_id = got->order_id,
                         .user_id = got->user_id,
                         .lot_id = got->lot_id,
                         .quantity = got->quantity,
                         .keep = 1, /* The order exists: its ticket finds it. */
                         .epoch = got->epoch };
    order_undo(self, &undo, now, out);
}

static void refused(const struct order_back *back, const struct returned *got, int64_t now,
                    struct outbox *out) {
    struct message cause = { .head = back->head };
    if (back->head.origin != NOBODY) {
        struct failed *failed = ANSWER(out, &cause, failed);
        failed->problem = got->reason != PROBLEM_none ? got->reason : PROBLEM_illegal_state;
        failed->what = MSG_order_cancel;
        failed->id = got->order_id;
    }
    if (back->to == order_state_expired && order_is_unpaid(got->state) && got->pay_by != 0) {
        /* Not due yet.  A clock that disagrees with PostgreSQL's rows must not make a loop. */
        order_set_deadline(out, got->order_id, got->pay_by > now ? got->pay_by : now + later);
    }
}

/* Committed or not: go on until it is known, but whoever waits hears it now. */
static void cannot_now(struct order_back *back, enum problem problem, struct outbox *out) {
    struct message cause = { .head = back->head };
    back->tries = 0;
    if (back->head.origin == NOBODY) return;
    struct failed *failed = ANSWER(out, &cause, failed);
    failed->problem = problem;
    failed->what = MSG_order_cancel;
    failed->retry_after = 1;
    failed->id = back->order_id;
    back->head.origin = NOBODY;
}

/* An order id from before there were shards, or with more of them than now, may lead here: its rid
 * tells whose the order is, and he is asked instead. */
static void send_to_owner(struct order *self, struct order_back *back, const struct returned *got,
                          struct outbox *out) {
    struct message cause = { .head = back->head };
    outbox_about(out, rid_shard(got->rid));
    if (back->to == order_state_expired) {
        struct deadline *deadline = SEND(out, ACTOR_order, deadline, &cause);
        deadline->kind = deadline_kind_pay_by;
        deadline->id = back->order_id;
    } else {
        struct order_cancel *cancel = SEND(out, ACTOR_order, order_cancel, &cause);
        cancel->order_id = back->order_id;
        cancel->user_id = back->user_id;
    }
    end(self, back);
}

void order_on_returned(struct order *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    const struct returned *got = BODY(in, returned);
    struct order_back *back = find(self, got->order_id);
    if (got->rid != 0 && rid_shard(got->rid) != self->shard) {
        if (back != NULL) send_to_owner(self, back, got, out);
        return;
    }
    bool back_now = got->outcome == outcome_accepted || got->outcome == outcome_same;
    if (back_now) undo_returned(self, got, now, out); /* Also when told twice: it is by rid. */
    if (back == NULL) return;
    /* A refusal is meant for who asked: it may come again, and somebody else asks by then. */
    if (got->outcome == outcome_refused && in->head.request != back->number) return;
    if (got->outcome == outcome_fenced) { /* Nothing was written; it is sent again. */
        cannot_now(back, PROBLEM_recovering, out);
        order_on_fence(self, now, out);
        return;
    }
    struct order_back ended = *back;
    end(self, back);
    if (!back_now) {
        refused(&ended, got, now, out);
        return;
    }
    order_set_deadline(out, got->order_id, 0);
    if (ended.head.origin == NOBODY) return;
    struct message cause = { .head = ended.head };
    struct order_find *order_find = SEND(out, PORT_pg_shop, order_find, &cause);
    order_find->order_id = got->order_id;
    order_find->user_id = ended.user_id;
}

void order_on_return_failed(struct order *self, const struct message *in, struct outbox *out) {
    uint32_t slot = (uint32_t)(in->head.request & ((1U << SLOT_BITS) - 1));
    struct order_back *back = slot < ORDER_RETURNS_MAX ? &self->returns[slot] : NULL;
    if (back != NULL && back->number == in->head.request)
        cannot_now(back, BODY(in, failed)->problem, out);
}

void order_send_returns(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    if (self->epoch == 0) return; /* Without an epoch it could not be fenced. */
    while (order_room(out, 2) && chain_first(&self->returning, &slot) &&
           now - self->returns[slot].sent_at >= again_after << self->returns[slot].tries) {
        chain_remove(&self->returning, slot);
        if (self->returns[slot].tries < TRIES_MAX) self->returns[slot].tries++;
        send(self, slot, now, out);
    }
    while (order_room(out, 2) && self->returning.count < ORDER_RETURNS_ASKED &&
           chain_first(&self->leaving, &slot)) {
        chain_remove(&self->leaving, slot);
        send(self, slot, now, out);
    }
}
