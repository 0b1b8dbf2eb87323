/* Neither oversold nor undersold: nobody is told "sold out" while a unit is free beyond the stated
 * second, nobody who holds a unit is told no, late money does not go back while its units are free,
 * and when people have asked for everything that was left, everything is sold. */
#include <inttypes.h>

#include "tests/sim/check.h"

static void told_sold_out(struct world *self, const struct request *request,
                          const struct ticket *ticket) {
    const struct lot_facts *facts = check_facts(self, ticket->lot_id);
    uint32_t quantity = request->quantity;
    if (quantity == 0 || quantity > QUANTITY_MAX || facts->is_short[quantity]) return;
    if (facts->short_at[quantity] >= request->sent_at - check_grace(self)) return;
    world_fail(self, "undersold", ticket->order_id,
               "told sold out while %u units of lot %" PRId64 " have been free for %" PRId64 " ms",
               quantity, ticket->lot_id, (request->sent_at - facts->short_at[quantity]) / SIM_MS);
}

/* His order was committed before he asked, and holds its units. */
static void holder_told_no(struct world *self, const struct request *request,
                           const struct ticket *ticket, enum problem problem) {
    const struct pg_order *order = model_pg_order(self->pg, ticket->order_id);
    const struct shadow *shadow = check_shadow(self, ticket->order_id);
    if (order == NULL || shadow == NULL || !model_pg_holds(order->state)) return;
    if (shadow->seen_at >= request->sent_at || ticket->altered) return;
    world_fail(self, "undersold", ticket->order_id, "the holder of order %" PRId64 " was told %s",
               order->order_id, problem_name(problem));
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    if (in->head.type != MSG_failed || request->type != MSG_order_create) return;
    if (request->cheat != CHEAT_none || ticket->excused) return;
    enum problem problem = BODY(in, failed)->problem;
    int status = problem_http(problem);
    if (status == 503 || status == 429) return;
    if (problem == PROBLEM_sold_out) told_sold_out(self, request, ticket);
    holder_told_no(self, request, ticket, problem);
}

/* The refusal that sends money back may be older by what one more answer and one commit take. */
static void late_money(struct world *self, const struct pg_refund *refund) {
    const struct pg_order *order = model_pg_order(self->pg, refund->order_id);
    if (order == NULL || order->state != order_state_expired) return;
    const struct pg_lot *lot = model_pg_lot(self->pg, order->lot_id);
    const struct lot_facts *facts = check_facts(self, order->lot_id);
    int64_t since = self->now - 2 * check_grace(self);
    if (lot->state == lot_state_settled || facts->is_short[order->quantity]) return;
    if (facts->short_at[order->quantity] >= since || facts->doubt_at >= since) return;
    world_fail(self, "undersold", order->order_id,
               "late money for order %" PRId64 " goes back, and %u units of lot %" PRId64
               " have been free for %" PRId64 " ms",
               order->order_id, order->quantity, order->lot_id,
               (self->now - facts->short_at[order->quantity]) / SIM_MS);
}

static void on_commit(struct world *self) {
    struct checks *checks = self->checks;
    if (checks->refunds_seen > self->pg->refund_count) checks->refunds_seen = 0;
    for (; checks->refunds_seen < self->pg->refund_count; checks->refunds_seen++)
        late_money(self, &self->pg->refunds[checks->refunds_seen]);
}

static void at_quiet(struct world *self) {
    for (uint32_t i = 0; i < self->pg->lot_count && self->quiet_at != 0; i++) {
        const struct pg_lot *lot = &self->pg->lots[i];
        if (lot->sold == lot->allocated || lot->state != lot_state_open) continue;
        world_fail(self, "undersold", 0,
                   "lot %" PRId64 ": people asked for all of it, and %" PRId64 " of %" PRId64
                   " were sold",
                   lot->lot_id, lot->sold, lot->allocated);
    }
}

const struct checker check_two_sided = { .rule = "undersold",
                                         .promise = "no unit lies free while people are told no",
                                         .on_commit = on_commit,
                                         .on_answer = on_answer,
                                         .at_quiet = at_quiet };
