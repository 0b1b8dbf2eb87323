/* place with seen = 1 -> order_find, repeated while it is undecided;  what it finds -> the origin
 *
 * Asked again for a reservation: a double click, a retry, or a ticket that has bought before.  The
 * rid goes with the question, so that an older refusal of the same ticket is not the answer.  A rid
 * with sequence 0 is nobody's: only the order is looked for, its lot cannot be bought from.
 *
 * The same ticket for another quantity or address is not the same purchase: `duplicate`. */
#include "actors/order/order.h"
#include "schema/id.h"

#define MILLISECOND INT64_C(1000000)
enum { ADDRESS_MOST = 1024 };
static const int64_t life = 2000 * MILLISECOND; /* By then the bridge has answered 202. */
static const int64_t again_after = 25 * MILLISECOND, lost_after = 500 * MILLISECOND;

static uint64_t number_of(const struct order *self, uint32_t slot) {
    return (uint64_t)((self->waiters[slot].generation + self->born) & 0x3fffffff) << 32 | slot;
}

static struct order_waiter *find(struct order *self, uint64_t number) {
    uint32_t slot = (uint32_t)number;
    if (slot >= ORDER_WAITERS_MAX) return NULL;
    struct order_waiter *waiter = &self->waiters[slot];
    return waiter->used && number_of(self, slot) == number ? waiter : NULL;
}

static void ask(struct order *self, uint32_t slot, int64_t now, struct outbox *out) {
    struct order_waiter *waiter = &self->waiters[slot];
    struct order_find *order_find =
        ASK(out, PORT_pg_shop, order_find, ACTOR_order, number_of(self, slot), waiter->head.trace);
    order_find->order_id = waiter->order_id;
    order_find->user_id = waiter->user_id;
    order_find->rid = waiter->rid;
    waiter->asked_at = now;
    waiter->asking = true;
}

static void refuse(const struct order_waiter *waiter, enum problem problem, struct outbox *out) {
    struct message cause = { .head = waiter->head };
    struct failed *failed = ANSWER(out, &cause, failed);
    failed->problem = problem;
    failed->what = MSG_reserve;
    failed->id = waiter->order_id;
}

/* FNV-1a; never 0 but for an address that is absent. */
static uint64_t hash_of(struct text address) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < address.size; i++)
        hash = (hash ^ (uint8_t)address.at[i]) * UINT64_C(0x100000001b3);
    return address.size == 0 ? 0 : hash | 1;
}

static bool is_other(const struct order_waiter *waiter, uint32_t quantity, uint64_t address) {
    return (quantity != 0 && quantity != waiter->quantity) ||
           (address != 0 && waiter->address != 0 && address != waiter->address);
}

/* Is the row that waits here another purchase? */
static bool is_other_row(const struct order *self, const struct order_waiter *waiter,
                         const struct order_row *row) {
    char address[ADDRESS_MOST];
    if (row->address_size > sizeof address) return false;
    chunks_get(&self->chunks, row->address, row->address_size, address);
    return is_other(waiter, row->quantity, hash_of((struct text){ address, row->address_size }));
}

static bool undecided_here(struct order *self, int64_t rid) {
    const struct order_row *row = order_row(self, rid);
    return row != NULL && row->state != ROW_decided;
}

/* The lot is not in the hot counter any more: there is an order, or nothing to wait for. */
static bool reserves_nothing(const struct order_waiter *waiter) {
    return rid_seq(waiter->rid) == 0;
}

static void tell_held(struct order_waiter *waiter, struct outbox *out) {
    if (waiter->told_held) return;
    waiter->told_held = true;
    if (reserves_nothing(waiter)) return; /* No place in line, so no receipt. */
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
                                     .quantity = place->quantity,
                                     .address = hash_of(place->address),
                                     .generation = waiter->generation + 1,
                                     .used = true };
    chain_append(&self->seen, slot);
    if (!undecided_here(self, place->rid)) {
        ask(self, slot, now, out);
    } else if (is_other_row(self, waiter, order_row(self, place->rid))) {
        refuse(waiter, PROBLEM_duplicate, out);
        forget(self, waiter);
    } else {
        tell_held(waiter, out);
    }
}

void order_on_seen_found(struct order *self, const struct message *in, struct outbox *out) {
    const struct order_view *got = BODY(in, order_view);
    struct order_waiter *waiter = find(self, in->head.request);
    if (waiter == NULL || got->order_id != waiter->order_id) return;
    waiter->asking = false;
    struct message cause = { .head = waiter->head };
    bool other = got->rid != 0 && got->rid != waiter->rid;
    bool nothing = got->state == order_state_pending || got->state == order_state_refused;
    if (nothing && reserves_nothing(waiter)) {
        refuse(waiter, PROBLEM_not_on_sale, out);
        forget(self, waiter);
        return;
    }
    if (got->state == order_state_pending || (got->state == order_state_refused && other)) {
        tell_held(waiter, out); /* Not decided yet; it is asked for again. */
        return;
    }
    if (got->state == order_state_void) {
        order_tell_recovering(out, &waiter->head, waiter->order_id);
    } else if (got->state == order_state_refused) {
        refuse(waiter, got->code != PROBLEM_none ? got->code : PROBLEM_internal, out);
    } else if (is_other(waiter, got->quantity, hash_of(got->address))) {
        refuse(waiter, PROBLEM_duplicate, out);
    } else {
        struct order_view *view = ANSWER(out, &cause, order_view);
        *view = *got;
        view->replayed = 1;
    }
    forget(self, waiter);
}

void order_on_seen_failed(struct order *self, const struct message *in, struct outbox *out) {
    struct order_waiter *waiter = find(self, in->head.request);
    if (waiter == NULL) return;
    waiter->asking = false;
    tell_held(waiter, out); /* not_found or away: it is asked for again. */
}

void order_ask_seen(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    while (chain_first(&self->seen, &slot) && now - self->waiters[slot].since >= life) {
        forget(self, &self->waiters[slot]);
    }
    for (bool more = chain_first(&self->seen, &slot); more && order_room(out, 2);
         more = chain_next(&self->seen, &slot)) {
        struct order_waiter *waiter = &self->waiters[slot];
        /* The last answer was "not yet"; or it may be lost. */
        int64_t wait = waiter->asking ? lost_after : again_after;
        if (now - waiter->asked_at < wait || undecided_here(self, waiter->rid)) continue;
        ask(self, slot, now, out);
    }
}
