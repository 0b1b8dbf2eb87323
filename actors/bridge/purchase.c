/* order_create -> reserve | failed;  held -> (remembered);  order_view | failed -> the same to
 * HTTP; hold time over -> order_receipt | failed unavailable */
#include <assert.h>

#include "actors/bridge/bridge.h"
#include "schema/id.h"

enum { SECOND = 1000000000 };
enum { CROWD = 256 }; /* A shard takes so many at once: with fewer under way it may be idle. */
static const int64_t pace_window = INT64_C(200000000);

/* ---- The waiting room ---- */

static uint64_t number_of(const struct bridge *self, uint32_t index) {
    return (uint64_t)self->slots[index].generation << 32 | index;
}

static struct purchase_slot *slot_take(struct bridge *self, int64_t now) {
    /* The queue also holds places of slots that were answered early; it is twice as long. */
    if (self->in_flight >= self->inflight_max || self->queue_count == PURCHASES_MAX * 2)
        return NULL;
    uint32_t index = self->free_slot;
    struct purchase_slot *slot = &self->slots[index];
    assert(!slot->used);
    self->free_slot = slot->next;
    self->in_flight++;
    slot->used = true;
    slot->rid = 0;
    slot->ends = now + self->hold;
    slot->generation++;
    uint32_t tail = (self->queue_head + self->queue_count++) % (PURCHASES_MAX * 2);
    self->queue[tail] = number_of(self, index);
    return slot;
}

static struct purchase_slot *slot_find(struct bridge *self, uint64_t number) {
    uint32_t index = (uint32_t)number;
    if (index >= PURCHASES_MAX) return NULL;
    struct purchase_slot *slot = &self->slots[index];
    return slot->used && slot->generation == (uint32_t)(number >> 32) ? slot : NULL;
}

static void slot_free(struct bridge *self, struct purchase_slot *slot) {
    struct pace *pace = &self->paces[slot->shard];
    slot->used = false;
    slot->next = self->free_slot;
    self->free_slot = (uint32_t)(slot - self->slots);
    self->in_flight--;
    if (--pace->in_flight < CROWD) pace->crowded = false;
}

/* ---- How long it would take ---- */

/* What a shard decides while it is not busy says nothing of what it could, and what it does not
 * decide while a store is away says nothing of afterwards. */
static void measure(struct pace *pace, int64_t window) {
    if (!pace->crowded) {
        pace->each = 0;
    } else if (pace->done > 0) {
        int64_t each = window / pace->done;
        pace->each = pace->each == 0 ? each : (3 * pace->each + each) / 4;
    }
    pace->done = 0;
    pace->crowded = pace->in_flight >= CROWD;
}

void bridge_take_pace(struct bridge *self, int64_t now) {
    int64_t window = now - self->paces_since;
    if (window >= 0 && window < pace_window) return;
    for (uint32_t i = 0; i < self->shards && i < SHARDS_MAX; i++) {
        /* After a pause, or a step of the clock, nothing is known. */
        if (window < 0 || window > 2 * pace_window) self->paces[i].crowded = false;
        measure(&self->paces[i], window);
    }
    self->paces_since = now;
}

/* It would not be decided within its hold time.  To say so at once costs little, and lets the
 * shopper try again when there is room; to say so at the end of the hold costs him that time and a
 * place. */
static bool would_wait_too_long(const struct bridge *self, uint32_t shard) {
    const struct pace *pace = &self->paces[shard];
    return pace->in_flight >= CROWD && pace->each > self->hold / pace->in_flight;
}

/* ---- Coming in ---- */

static enum problem check_ticket(const struct bridge *self, const struct order_create *want,
                                 struct ticket_claims *ticket, int64_t now) {
    if (!seal_read(self->keys, MSG_ticket_claims, want->ticket, ticket)) {
        return PROBLEM_ticket_invalid;
    }
    if (ticket->user_id != want->user_id || ticket->session_id != want->session_id) {
        return PROBLEM_ticket_foreign;
    }
    if (want->quantity > ticket->quantity_max) return PROBLEM_limit_reached;
    if (now < ticket->not_before) return PROBLEM_sale_not_open;
    return PROBLEM_none;
}

static void ask_inventory(struct bridge *self, const struct message *in,
                          const struct ticket_claims *ticket, int64_t now, struct outbox *out) {
    const struct order_create *want = BODY(in, order_create);
    uint32_t shard = id_shard(ticket->order_id, self->shards);
    struct purchase_slot *slot = would_wait_too_long(self, shard) ? NULL : slot_take(self, now);
    if (slot == NULL) {
        outbox_refuse_with(out, in, PROBLEM_overloaded)->retry_after = 1;
        return;
    }
    slot->shard = (uint8_t)shard;
    self->paces[shard].in_flight++;
    slot->http = in->head.request;
    slot->trace = (uint64_t)ticket->order_id; /* Its way can be found by the order's number. */
    slot->order_id = ticket->order_id;
    slot->user_id = ticket->user_id;
    out->deadline = slot->ends;
    outbox_about(out, shard);
    struct reserve *reserve = ASK(out, ACTOR_inventory, reserve, ACTOR_bridge,
                                  number_of(self, (uint32_t)(slot - self->slots)), slot->trace);
    reserve->order_id = ticket->order_id;
    reserve->user_id = ticket->user_id;
    reserve->lot_id = ticket->lot_id;
    reserve->quantity = want->quantity;
    /* An expired ticket takes nothing, but finds what it has bought. */
    reserve->kind = now >= ticket->expires_at ? reserve_kind_probe : reserve_kind_ordinary;
    reserve->price_version = ticket->price_version;
    reserve->address = want->address;
}

void bridge_on_order_create(struct bridge *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    const struct order_create *want = BODY(in, order_create);
    struct ticket_claims ticket;
    if (self->stopping) {
        outbox_refuse_with(out, in, PROBLEM_stopping)->retry_after = 2;
        return;
    }
    if (!bridge_admit(self, in, want->user_id, want->session_id, now, out)) return;
    enum problem problem = check_ticket(self, want, &ticket, now);
    if (problem == PROBLEM_none) {
        problem = bridge_hint(self, ticket.lot_id, ticket.order_id, want->quantity, now);
    }
    if (problem == PROBLEM_none) {
        ask_inventory(self, in, &ticket, now, out);
        return;
    }
    struct failed *failed = outbox_refuse_with(out, in, problem);
    if (problem == PROBLEM_ticket_invalid || problem == PROBLEM_ticket_foreign) {
        failed->field = text_of("ticket");
    } else if (problem == PROBLEM_limit_reached && want->quantity > ticket.quantity_max) {
        failed->field = text_of("quantity");
        failed->detail = outbox_printf(out, "quantity must not be above %u with this ticket",
                                       ticket.quantity_max);
    } else if (problem == PROBLEM_sale_not_open && now < ticket.not_before) {
        int64_t wait = (ticket.not_before - now + SECOND - 1) / SECOND;
        failed->retry_after = wait > 86400 ? 86400 : (uint32_t)wait;
    }
}

/* ---- Going out ---- */

/* To the HTTP request that the slot stands for. */
static void *to_http(struct outbox *out, const struct purchase_slot *slot, enum message_id id) {
    return outbox_ask(out, PORT_http, id, PORT_http, slot->http, slot->trace);
}

void bridge_on_held(struct bridge *self, const struct message *in) {
    struct purchase_slot *slot = slot_find(self, in->head.request);
    if (slot != NULL) slot->rid = BODY(in, held)->rid;
}

void bridge_on_decision(struct bridge *self, const struct message *in, struct outbox *out) {
    struct purchase_slot *slot = slot_find(self, in->head.request);
    if (slot == NULL) return; /* Answered with 202 before; the shopper asks for it. */
    self->paces[slot->shard].done++;
    if (in->head.type == MSG_order_view) {
        struct order_view *view = to_http(out, slot, MSG_order_view);
        *view = *BODY(in, order_view);
    } else {
        struct failed *failed = to_http(out, slot, MSG_failed);
        *failed = *BODY(in, failed);
    }
    slot_free(self, slot);
}

static void end_hold(struct bridge *self, struct purchase_slot *slot, struct outbox *out) {
    if (slot->rid == 0) { /* Not journalled as far as we know: nothing to show a receipt for. */
        struct failed *failed = to_http(out, slot, MSG_failed);
        failed->problem = PROBLEM_overloaded;
        failed->what = MSG_order_create;
        failed->retry_after = 1;
    } else {
        struct receipt_claims claims = { .order_id = slot->order_id,
                                         .rid = slot->rid,
                                         .user_id = slot->user_id };
        char *text = outbox_text(out, SEAL_TEXT_MAX + 1);
        struct order_receipt *receipt = to_http(out, slot, MSG_order_receipt);
        receipt->order_id = slot->order_id;
        receipt->state = order_state_pending;
        receipt->receipt =
            (struct text){ text, seal_write(self->keys, MSG_receipt_claims, &claims, text) };
        receipt->retry_after = 1;
    }
    slot_free(self, slot);
}

void bridge_end_holds(struct bridge *self, int64_t now, struct outbox *out) {
    while (self->queue_count > 0 && outbox_room(out) > 0) {
        struct purchase_slot *slot = slot_find(self, self->queue[self->queue_head]);
        if (slot != NULL && slot->ends > now) return;
        self->queue_head = (self->queue_head + 1) % (PURCHASES_MAX * 2);
        self->queue_count--;
        if (slot != NULL) end_hold(self, slot, out);
    }
}

void bridge_on_order_get(struct bridge *self, const struct message *in, int64_t now,
                         struct outbox *out) {
    const struct order_get *want = BODY(in, order_get);
    struct receipt_claims receipt = { 0 };
    if (!bridge_admit(self, in, want->user_id, want->session_id, now, out)) return;
    if (want->receipt.size > 0 &&
        (!seal_read(self->keys, MSG_receipt_claims, want->receipt, &receipt) ||
         receipt.order_id != want->order_id || receipt.user_id != want->user_id)) {
        struct failed *failed = outbox_refuse_with(out, in, PROBLEM_malformed);
        failed->field = text_of("receipt");
        failed->detail = text_of("receipt must be the one that came with this order's 202");
        return;
    }
    /* A receipt names the shard by its rid, an order by its id. */
    outbox_about(out, receipt.rid != 0 ? rid_shard(receipt.rid) % self->shards
                                       : id_shard(want->order_id, self->shards));
    struct message traced = { in->head, in->body };
    traced.head.trace = (uint64_t)want->order_id;
    struct order_get *ask = SEND(out, ACTOR_order, order_get, &traced);
    *ask = *want;
    ask->rid = receipt.rid;
}
