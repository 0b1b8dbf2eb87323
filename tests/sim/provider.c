/* The payment provider, and the callbacks it sends through the door. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

enum { CALLS_MAX = 5 };
static const uint64_t callback_bit = UINT64_C(1) << 62, event_bit = UINT64_C(1) << 63;

static struct deal *find(struct world *self, int64_t payment_id) {
    for (uint32_t i = 0; i < self->deal_count; i++) {
        if (self->deals[i].payment_id == payment_id) return &self->deals[i];
    }
    return NULL;
}

static void on_prepay(struct world *self, const struct message *in, struct outbox *out) {
    const struct prepay *want = BODY(in, prepay);
    if (find(self, want->payment_id) == NULL) {
        self->deals =
            world_grow(self->deals, self->deal_count, &self->deal_room, sizeof *self->deals);
        self->deals[self->deal_count++] = (struct deal){ .payment_id = want->payment_id,
                                                         .order_id = want->order_id,
                                                         .amount = want->amount.amount };
    }
    struct prepaid *answer = REPLY(out, in, prepaid);
    answer->payment_id = want->payment_id;
    answer->provider_txn = outbox_printf(out, "t%" PRId64, want->payment_id);
    answer->pay_url = text_of("pay://here");
}

static void answer_result(const struct message *in, const struct deal *deal, struct outbox *out) {
    struct provider_result *result = REPLY(out, in, provider_result);
    result->payment_id = deal->payment_id;
    result->order_id = deal->order_id;
    result->provider = text_of("sandbox");
    result->provider_txn = outbox_printf(out, "t%" PRId64, deal->payment_id);
    result->amount = (struct money){ deal->amount, "CNY" };
    result->state = deal->paid ? payment_state_succeeded : payment_state_pending;
}

void provider_handle(struct world *self, const struct message *in, struct outbox *out) {
    struct deal *deal = NULL;
    switch (in->head.type) {
    case MSG_prepay: on_prepay(self, in, out); return;
    case MSG_provider_query: deal = find(self, BODY(in, provider_query)->payment_id); break;
    case MSG_callback_check: {
        struct text body = BODY(in, callback_check)->body;
        char number[24] = { 0 };
        memcpy(number, body.at, body.size < 23 ? body.size : 23);
        deal = find(self, strtoll(number, NULL, 10));
        break;
    }
    case MSG_provider_refund:
        deal = find(self, BODY(in, provider_refund)->payment_id);
        if (deal == NULL || !deal->paid) break;
        deal->refunded = true;
        REPLY(out, in, done)->what = in->head.type;
        return;
    default: break;
    }
    if (deal == NULL || in->head.type == MSG_provider_refund) {
        struct failed *failed = REPLY(out, in, failed);
        failed->problem = PROBLEM_provider_unknown;
        failed->what = in->head.type;
        return;
    }
    answer_result(in, deal, out);
}

/* ---- Callbacks ---- */

void provider_call(struct world *self, uint32_t index) {
    struct deal *deal = &self->deals[index];
    char body[24];
    bool silent = !self->healed && draw_chance(&self->crowd_draw, self->swarm.silent_provider);
    if (deal->heard || deal->calls++ >= CALLS_MAX) return;
    snprintf(body, sizeof body, "%" PRId64, deal->payment_id);
    struct payment_callback callback = { .provider = text_of("sandbox"), .body = text_of(body) };
    struct message message = { { .type = MSG_payment_callback,
                                 .from = PORT_http,
                                 .to = ACTOR_bridge,
                                 .origin = PORT_http,
                                 .request = callback_bit | index },
                               &callback };
    if (!silent) world_send(self, &message);
    flights_plan(&self->flights, EVENT_shopper, PORT_http, event_bit | index,
                 self->now + 3 * SIM_SECOND);
}

void provider_pay(struct world *self, int64_t payment_id) {
    struct deal *deal = find(self, payment_id);
    if (deal == NULL || deal->paid) return;
    deal->paid = true;
    provider_call(self, (uint32_t)(deal - self->deals));
}

void provider_answer(struct world *self, const struct message *in) {
    uint64_t index = in->head.request & ~callback_bit;
    if (index < self->deal_count && in->head.type == MSG_done) self->deals[index].heard = true;
}

bool provider_refunded(struct world *self, int64_t payment_id) {
    const struct deal *deal = find(self, payment_id);
    return deal != NULL && deal->refunded;
}
