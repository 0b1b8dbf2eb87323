/* The right answer: an observer who sees both stores, the map of the sale and the price list judges
 * every reply.  He knows nothing of how the actors come to theirs; he asks whether what was said
 * was true of the record at some time between the question and the answer, or so little before that
 * news of it may still have been on its way. */
#include <inttypes.h>
#include <string.h>

#include "schema/id.h"
#include "tests/sim/check.h"

/* ---- Orders ---- */

/* Was it so at some time since he asked? */
static bool was(const struct shadow *shadow, enum order_state state, int64_t since) {
    return shadow->state == state || shadow->left[state] >= since;
}

static bool same_text(struct text a, const char *b) {
    return a.size == strlen(b) && memcmp(a.at, b, a.size) == 0;
}

static void judge_order(struct world *self, const struct request *request,
                        const struct ticket *ticket, const struct order_view *view) {
    const struct pg_order *order = model_pg_order(self->pg, view->order_id);
    const struct shadow *shadow = check_shadow(self, view->order_id);
    if (order == NULL || shadow == NULL) return; /* G3 says it. */
    bool right = was(shadow, view->state, request->sent_at) && view->user_id == ticket->user_id &&
                 view->lot_id == order->lot_id && view->quantity == order->quantity &&
                 view->price.amount == shadow->price && view->pay_by == shadow->pay_by &&
                 view->total.amount == shadow->price * view->quantity;
    bool created = request->type == MSG_order_create;
    bool asked = !created ||
                 (view->quantity == request->quantity && same_text(view->address, order->address));
    if (right && asked) return;
    world_fail(self, "answer", view->order_id,
               "told order %" PRId64 " is %s, %u units for %" PRId64 "; it is %s, %u units for "
               "%" PRId64,
               view->order_id, state_name(KIND_order_state, view->state), view->quantity,
               view->total.amount, state_name(KIND_order_state, order->state), order->quantity,
               order->price * order->quantity);
}

static bool was_handed(const struct world *self, int64_t rid, int64_t order_id) {
    for (uint32_t i = 0; i < self->rid_count; i++) {
        if (self->rids[i].rid == rid && self->rids[i].order_id == order_id) return true;
    }
    return false;
}

static void judge_view(struct world *self, const struct request *request,
                       const struct ticket *ticket, const struct order_view *view) {
    const struct pg_refusal *refusal = model_pg_refusal(self->pg, view->rid);
    switch (view->state) {
    case order_state_pending:
        /* Who asks for it may know of a commit later than the record. */
        if (ticket->yes_at == 0 || ticket->yes_at >= request->sent_at) return;
        world_fail(self, "answer", ticket->order_id, "told pending, and had been told yes");
        return;
    case order_state_refused:
        if (refusal != NULL && refusal->order_id == ticket->order_id &&
            refusal->reason == view->code) {
            return;
        }
        world_fail(self, "answer", ticket->order_id, "told that rid %" PRId64 " was refused (%s)",
                   view->rid, problem_name(view->code));
        return;
    case order_state_void:
        if (rid_epoch(view->rid) < self->pg->shards[rid_shard(view->rid)].epoch) return;
        world_fail(self, "answer", ticket->order_id,
                   "told that rid %" PRId64 " is void under its own epoch", view->rid);
        return;
    default: judge_order(self, request, ticket, view); return;
    }
}

static void judge_receipt(struct world *self, const struct ticket *ticket,
                          const struct order_receipt *receipt) {
    struct receipt_claims claims;
    if (seal_read(&self->keys, MSG_receipt_claims, receipt->receipt, &claims) &&
        claims.order_id == ticket->order_id && claims.user_id == ticket->user_id &&
        was_handed(self, claims.rid, ticket->order_id)) {
        return;
    }
    world_fail(self, "answer", ticket->order_id, "a receipt for a place that nobody has");
}

/* ---- Refusals ---- */

/* Where Redis was not what PostgreSQL believes, it may have held more. */
static bool limit_is_reached(struct world *self, const struct request *request,
                             const struct ticket *ticket, int64_t since) {
    if (check_facts(self, ticket->lot_id)->doubt_at >= since) return true;
    const struct pg_lot *lot = model_pg_lot(self->pg, ticket->lot_id);
    int64_t held = check_held(self, ticket->lot_id, ticket->user_id);
    /* Or something of his has changed so lately that news of it may be on its way. */
    return held + request->quantity > lot->limit ||
           self->shoppers[request->shopper].touched_at >= since;
}

static bool clock_was(struct world *self, int64_t at) {
    return self->processes[PROCESS_shop].told >= at || self->processes[PROCESS_edge].told >= at;
}

static bool state_was(const struct lot_facts *facts, enum lot_state state, int64_t since) {
    return facts->is_state[state] || facts->state_at[state] >= since;
}

static bool is_true(struct world *self, const struct request *request, const struct ticket *ticket,
                    enum problem problem) {
    const struct lot_facts *facts = check_facts(self, ticket->lot_id);
    const struct pg_lot *lot = model_pg_lot(self->pg, ticket->lot_id);
    int64_t since = request->sent_at - check_grace(self);
    switch (problem) {
    case PROBLEM_sold_out: return true; /* check_two_sided.c */
    case PROBLEM_limit_reached: return limit_is_reached(self, request, ticket, since);
    case PROBLEM_price_changed: return ticket->price_version != lot->price_version;
    case PROBLEM_ticket_expired: return clock_was(self, ticket->expires_at);
    case PROBLEM_sale_paused: return state_was(facts, lot_state_paused, since);
    case PROBLEM_sale_not_open: return state_was(facts, lot_state_waiting, since);
    case PROBLEM_sale_closed:
        return state_was(facts, lot_state_closed, since) ||
               state_was(facts, lot_state_settled, since);
    case PROBLEM_not_on_sale:
        return state_was(facts, lot_state_settled, since) ||
               state_was(facts, lot_state_waiting, since) || facts->doubt_at >= since;
    case PROBLEM_duplicate: return ticket->altered;
    default: return problem_http(problem) == 503 || problem_http(problem) == 429;
    }
}

/* When nothing is broken nobody is put off. */
static bool put_off(const struct world *self, const struct request *request, enum problem problem) {
    int status = problem_http(problem);
    int64_t arrived = self->healed_at + 2 * swarm_latest(&self->swarm);
    bool quiet =
        self->quiet_at != 0 && request->sent_at >= self->quiet_at && request->sent_at >= arrived;
    return quiet && (status == 503 || status == 429);
}

static void judge_refusal(struct world *self, const struct request *request,
                          const struct ticket *ticket, const struct failed *failed) {
    if (put_off(self, request, failed->problem)) {
        world_fail(self, "answer", ticket->order_id, "told %s although nothing is broken",
                   problem_name(failed->problem));
    }
    if (request->type != MSG_order_create) return;
    if (is_true(self, request, ticket, failed->problem)) return;
    world_fail(self, "answer", ticket->order_id, "told %s, which was not true",
               problem_name(failed->problem));
}

/* ---- Cheats get nothing ---- */

static bool is_right_for(enum cheat cheat, enum problem problem) {
    switch (cheat) {
    case CHEAT_foreign: return problem == PROBLEM_ticket_foreign;
    case CHEAT_forged: return problem == PROBLEM_ticket_invalid;
    case CHEAT_receipt: return problem == PROBLEM_malformed;
    case CHEAT_peek: return problem == PROBLEM_not_found;
    case CHEAT_none:
    case CHEAT_address:
    case CHEAT_quantity:
    case CHEAT_COUNT: break;
    }
    return true;
}

static void judge_cheat(struct world *self, const struct request *request,
                        const struct ticket *ticket, const struct message *in) {
    enum cheat cheat = (enum cheat)request->cheat;
    if (cheat == CHEAT_address || cheat == CHEAT_quantity) return; /* `duplicate`, or the first. */
    enum problem problem = in->head.type == MSG_failed ? BODY(in, failed)->problem : PROBLEM_none;
    int status = problem != PROBLEM_none ? problem_http(problem) : 200;
    if (status == 503 || status == 429 || is_right_for(cheat, problem)) return;
    world_fail(self, "G17", ticket->order_id, "a cheat (%u) was answered %s", (unsigned)cheat,
               problem != PROBLEM_none ? problem_name(problem)
                                       : message_type((enum message_id)in->head.type)->name);
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    if (request->cheat != CHEAT_none) {
        judge_cheat(self, request, ticket, in);
        return;
    }
    if (ticket->excused) return;
    bool list = request->type == MSG_order_list;
    switch (in->head.type) {
    case MSG_order_view:
        if (!list) judge_view(self, request, ticket, BODY(in, order_view));
        return;
    case MSG_order_receipt: judge_receipt(self, ticket, BODY(in, order_receipt)); return;
    case MSG_failed: judge_refusal(self, request, ticket, BODY(in, failed)); return;
    default: return;
    }
}

const struct checker check_right_answer = { .rule = "answer",
                                            .promise = "every reply was true",
                                            .on_answer = on_answer };
