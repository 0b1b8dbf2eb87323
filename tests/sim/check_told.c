/* G3, G5, G6: what buyers were told, beside what PostgreSQL has. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/world.h"

static void told_order(struct world *self, struct request *request, struct ticket *ticket,
                       const struct order_view *view) {
    const struct pg_order *order = model_pg_order(self->pg, view->order_id);
    if (order == NULL) {
        world_fail(self, "G3", view->order_id,
                   "a buyer was told of order %" PRId64 " (%s), which postgresql does not have",
                   view->order_id, state_name(KIND_order_state, view->state));
        return;
    }
    if (view->order_id != ticket->order_id || order->user_id != ticket->user_id) {
        world_fail(self, "G4", ticket->order_id,
                   "ticket %" PRId64 " was answered with order %" PRId64, ticket->order_id,
                   view->order_id);
    }
    if (ticket->yes_at == 0) ticket->yes_at = self->now;
    request->yes = true;
}

static void note_rid(int64_t *rids, uint32_t *count, int64_t rid) {
    for (uint32_t i = 0; i < *count; i++) {
        if (rids[i] == rid) return;
    }
    if (rid != 0 && *count < VOIDS_MAX) rids[(*count)++] = rid;
}

static void told_no(struct world *self, struct request *request, struct ticket *ticket,
                    const char *what) {
    request->no = true;
    if (ticket->yes_at != 0 && request->sent_at >= ticket->yes_at) {
        world_fail(self, "G6", ticket->order_id,
                   "ticket %" PRId64 " had its order, and was then told %s", ticket->order_id,
                   what);
    }
}

static void on_view(struct world *self, struct request *request, struct ticket *ticket,
                    const struct order_view *view) {
    switch (view->state) {
    case order_state_pending: return;
    case order_state_refused:
        note_rid(ticket->no, &ticket->no_count, view->rid);
        told_no(self, request, ticket, "refused");
        return;
    case order_state_void:
        note_rid(ticket->voids, &ticket->void_count, view->rid);
        told_no(self, request, ticket, "void");
        return;
    default: told_order(self, request, ticket, view); return;
    }
}

/* Redis has offered a unit for more than a second before he asked, and nothing is broken. */
static void told_sold_out(struct world *self, const struct request *request,
                          const struct ticket *ticket) {
    const struct shopper *shopper = &self->shoppers[request->shopper];
    const struct pg_lot *lot = model_pg_lot(self->pg, ticket->lot_id);
    int64_t since = self->free_since[lot - self->pg->lots];
    if (since < self->healed_at) since = self->healed_at;
    bool free = self->free_since[lot - self->pg->lots] != 0 && shopper->quantity == 1;
    if (!self->healed || !free || request->sent_at < since + SIM_SECOND) return;
    world_fail(self, "undersold", ticket->order_id,
               "told sold out while units of lot %" PRId64 " are free", lot->lot_id);
}

static void on_failed(struct world *self, struct request *request, struct ticket *ticket,
                      const struct failed *failed) {
    int status = problem_http(failed->problem);
    if (failed->problem == PROBLEM_internal || failed->problem == PROBLEM_malformed) {
        world_fail(self, "G5", ticket->order_id, "told %s", problem_name(failed->problem));
    }
    if (request->type != MSG_order_create || status == 503 || status == 429) return;
    if (failed->problem == PROBLEM_sold_out) told_sold_out(self, request, ticket);
    told_no(self, request, ticket, problem_name(failed->problem));
}

void check_answer(struct world *self, struct request *request, const struct message *in) {
    struct ticket *ticket = &self->tickets[request->ticket];
    if (in->head.type == MSG_order_view) {
        on_view(self, request, ticket, BODY(in, order_view));
    } else if (in->head.type == MSG_failed) {
        on_failed(self, request, ticket, BODY(in, failed));
    }
    if (request->yes && request->no) {
        world_fail(self, "G6", ticket->order_id,
                   "one request heard both yes and no (order %" PRId64 ")", ticket->order_id);
    }
}

/* ---- At the end ---- */

static void check_ticket(struct world *self, const struct ticket *ticket) {
    const struct pg_order *order = model_pg_order(self->pg, ticket->order_id);
    if (ticket->yes_at != 0 && order == NULL) {
        world_fail(self, "G3", ticket->order_id, "order %" PRId64 " was told of and is gone",
                   ticket->order_id);
    }
    for (uint32_t i = 0; i < ticket->void_count; i++) {
        if (model_pg_order_of(self->pg, ticket->voids[i]) == NULL &&
            model_pg_refusal(self->pg, ticket->voids[i]) == NULL) {
            continue;
        }
        world_fail(self, "G6", ticket->order_id, "rid %" PRId64 " was told void, and was decided",
                   ticket->voids[i]);
    }
    for (uint32_t i = 0; i < ticket->no_count; i++) {
        if (model_pg_refusal(self->pg, ticket->no[i]) != NULL) continue;
        world_fail(self, "G6", ticket->order_id, "rid %" PRId64 " was told refused, and is not",
                   ticket->no[i]);
    }
}

/* G8, G10: money that came in belongs to a paid order, or has gone back. */
static void check_money(struct world *self, const struct deal *deal) {
    const struct pg_order *order = model_pg_order(self->pg, deal->order_id);
    int64_t captured = 0;
    for (uint32_t i = 0; i < self->pg->payment_count; i++) {
        const struct pg_payment *payment = &self->pg->payments[i];
        if (payment->order_id == deal->order_id) captured += payment->captured;
    }
    int64_t due =
        order != NULL && order->state == order_state_paid ? order->price * order->quantity : 0;
    if (captured != due) {
        world_fail(self, "G8", deal->order_id,
                   "order %" PRId64 " is %s and its payments add up to %" PRId64, deal->order_id,
                   order ? state_name(KIND_order_state, order->state) : "missing", captured);
    }
    if (deal->paid && !deal->refunded && captured == 0) {
        world_fail(self, "G10", deal->order_id, "payment %" PRId64 " was made and is not known",
                   deal->payment_id);
    }
}

void check_end(struct world *self) {
    for (uint32_t i = 0; i < self->ticket_count; i++)
        check_ticket(self, &self->tickets[i]);
    for (uint32_t i = 0; i < self->deal_count; i++)
        check_money(self, &self->deals[i]);
    for (uint32_t i = 0; i < self->pg->lot_count && self->quiet_at != 0; i++) {
        const struct pg_lot *lot = &self->pg->lots[i];
        if (lot->sold == lot->allocated) continue;
        world_fail(self, "undersold", 0,
                   "lot %" PRId64 ": people asked for all of it and %" PRId64 " of %" PRId64
                   " were sold",
                   lot->lot_id, lot->sold, lot->allocated);
    }
}
