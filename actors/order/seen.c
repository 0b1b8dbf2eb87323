/* place with seen = 1 -> order_find, repeated while it is undecided;  what it finds -> the origin
 *
 * Asked again for a reservation: a double click, a retry, or a ticket that has bought before.  The
 * rid goes with the question, so that an older refusal of the same ticket is not the answer. */
#include "actors/order/order.h"

#define MILLISECOND INT64_C(1000000)
static const int64_t life = 2000 * MILLISECOND; /* By then the bridge has answered 202. */
static const int64_t again_after = 25 * MILLISECOND, lost_after = 500 * MILLISECOND;

static uint64_t number_of(const struct order *self, uint32_t slot) {
    return (uint64_t)self->waiters[slot].generation << 32 | slot;
}

static struct order_waiter *find(struct order *self, uint64_t number) {
    uint32_t slot = (uint32_t)number;
    if (slot >= ORDER_WAITERS_MAX) return NULL;
    struct order_waiter *waiter = &self->waiters[slot];
    bool right = waiter->used && waiter->generation == (uint32_t)(number >> 32);
    return right ? waiter : NULL;
}

static void ask(struct order *self, uint32_t slot, int64_t now, struct outbox *out) {
    struct order_waiter *waiter = &self->waiters[slot];
    struct order_find *order_find =
        ASK(out, PORT_pg_shop, order_find, ACTOR_order, number_of(self, slot), waiter->head.trace);
    order_find->order_id = waiter->order_id;
    order_find->user_id = waiter->user_id;
    order_find->rid = waiter->rid;
    waiter->asked_at = now;
}

static bool undecided_here(struct order *self, int64_t rid) {
    const struct order_row *row = order_row(self, rid);
    return row != NULL && row->state != ROW_decided;
}

static void tell_held(struct order_waiter *waiter, struct outbox *out) {
    if (waiter->told_held) return;
    waiter->told_held = true;
    struct message cause = { .head = waiter->head };
    struct held *held = ANSWER(out, &cause, held);
    held->order_id = waiter->order_id;
    held->rid = waiter->rid;
}

static void forget(struct order *self, struct order_waiter *waiter) {
    uint32_t slot = (uint32_t)(waiter - self->waiters);
    chain_remove(&self->seen, slot);
    waiter->used = false;
    slots_give(&self->waiters_free, slot);
}

void order_seen(struct order *self, const struct message *in, int64_t now, struct outbox *out) {
    const struct place *place = BODY(in, place);
    uint32_t slot;
    if (in->head.origin == NOBODY || place->recovered) return;
    if (!slots_take(&self->waiters_free, &slot)) {
        self->waiters_left_out++; /* He has been told `held`, so he gets 202. */
        return;
    }
    struct order_waiter *waiter = &self->waiters[slot];
    *waiter = (struct order_waiter){ .head = in->head,
                                     .rid = place->rid,
                                     .order_id = place->order_id,
                                     .user_id = place->user_id,
                                     .since = now,
                                     .generation = (waiter->generation + 1) & 0x3fffffff,
                                     .used = true };
    chain_append(&self->seen, slot);
    if (undecided_here(self, place->rid))
        tell_held(waiter, out);
    else
        ask(self, slot, now, out);
}

void order_on_seen_found(struct order *self, const struct message *in, struct outbox *out) {
    const struct order_view *got = BODY(in, order_view);
    struct order_waiter *waiter = find(self, in->head.request);
    if (waiter == NULL) return;
    struct message cause = { .head = waiter->head };
    bool other = got->rid != 0 && got->rid != waiter->rid;
    if (got->state == order_state_pending || (got->state == order_state_refused && other)) {
        tell_held(waiter, out); /* Not decided yet; it is asked for again. */
        return;
    }
    if (got->state == order_state_void) {
        order_tell_recovering(out, &waiter->head, waiter->order_id);
    } else if (got->state == order_state_refused) {
        struct failed *failed = ANSWER(out, &cause, failed);
        failed->problem = got->code != PROBLEM_none ? got->code : PROBLEM_internal;
        failed->what = MSG_reserve;
        failed->id = waiter->order_id;
    } else {
        struct order_view *view = ANSWER(out, &cause, order_view);
        *view = *got;
        view->replayed = 1;
    }
    forget(self, waiter);
}

void order_on_seen_failed(struct order *self, const struct message *in, struct outbox *out) {
    struct order_waiter *waiter = find(self, in->head.request);
    if (waiter != NULL) tell_held(waiter, out); /* not_found or away: it is asked for again. */
}

void order_ask_seen(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    while (chain_first(&self->seen, &slot) && now - self->waiters[slot].since >= life) {
        forget(self, &self->waiters[slot]);
    }
    for (bool more = chain_first(&self->seen, &slot); more && order_room(out, 2);
         more = chain_next(&self->seen, &slot)) {
        struct order_waiter *waiter = &self->waiters[slot];
        /* told_held: the last answer was "not yet"; else it may be lost. */
        int64_t wait = waiter->told_held ? again_after : lost_after;
        if (now - waiter->asked_at < wait || undecided_here(self, waiter->rid)) continue;
        ask(self, slot, now, out);
    }
}
