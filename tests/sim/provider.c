/* The payment provider and the callbacks it sends through the door; the mail relay. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/world.h"

enum { CALLS_MAX = 5, WRONG_KINDS = 3 };
static const uint64_t callback_bit = UINT64_C(1) << 62;
/* Of a call: also when it has been heard. */
#define ANYWAY (UINT64_C(1) << 32)
/* How a callback is wrong stands above the number of the deal. */
enum { WRONG_SHIFT = 32 };
enum wrong { WRONG_no, WRONG_amount, WRONG_order, WRONG_payment };

static struct deal *find(struct world *self, int64_t payment_id) {
    for (uint32_t i = 0; i < self->deal_count; i++) {
        if (self->deals[i].payment_id == payment_id) return &self->deals[i];
    }
    return NULL;
}

static void refuse(const struct message *in, enum problem problem, struct outbox *out) {
    struct failed *failed = REPLY(out, in, failed);
    failed->problem = problem;
    failed->what = in->head.type;
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

static void answer_result(const struct message *in, const struct deal *deal, enum wrong wrong,
                          struct outbox *out) {
    struct provider_result *result = REPLY(out, in, provider_result);
    result->payment_id = deal->payment_id + (wrong == WRONG_payment);
    result->order_id = deal->order_id + (wrong == WRONG_order);
    result->provider = text_of("sandbox");
    result->provider_txn = outbox_printf(out, "t%" PRId64, deal->payment_id);
    result->amount = (struct money){ deal->amount + (wrong == WRONG_amount), "CNY" };
    result->state = deal->paid ? payment_state_succeeded : payment_state_pending;
}

/* "<payment>:<how it is wrong>" */
static struct deal *read_callback(struct world *self, const struct message *in, enum wrong *wrong) {
    struct text body = BODY(in, callback_check)->body;
    char number[32] = { 0 }, *end;
    memcpy(number, body.at, body.size < sizeof number - 1 ? body.size : sizeof number - 1);
    struct deal *deal = find(self, strtoll(number, &end, 10));
    *wrong = *end == ':' ? (enum wrong)strtol(end + 1, NULL, 10) : WRONG_no;
    return deal;
}

static void on_refund(struct world *self, const struct message *in, struct outbox *out) {
    struct deal *deal = find(self, BODY(in, provider_refund)->payment_id);
    if (deal == NULL || !deal->paid) {
        refuse(in, PROBLEM_provider_unknown, out);
        return;
    }
    if (!deal->refunded) deal->refunds++; /* By its number, once. */
    deal->refunded = true;
    REPLY(out, in, done)->what = in->head.type;
}

void provider_handle(struct world *self, const struct message *in, struct outbox *out) {
    struct deal *deal = NULL;
    enum wrong wrong = WRONG_no;
    bool away = !self->healed && in->head.type != MSG_callback_check &&
                draw_chance(&self->crowd_draw, self->swarm.pay_away);
    if (away) { /* It may have done it and not said so. */
        if (in->head.type == MSG_provider_refund && draw_chance(&self->crowd_draw, 500)) {
            on_refund(self, in, out);
            batch_reset(&self->out);
            *out = batch_outbox(&self->out, PORT_pay, 0, 16);
        }
        refuse(in, PROBLEM_provider_unknown, out);
        return;
    }
    switch (in->head.type) {
    case MSG_prepay: on_prepay(self, in, out); return;
    case MSG_provider_refund: on_refund(self, in, out); return;
    case MSG_provider_query: deal = find(self, BODY(in, provider_query)->payment_id); break;
    case MSG_callback_check: deal = read_callback(self, in, &wrong); break;
    default: break;
    }
    if (deal == NULL)
        refuse(in, PROBLEM_provider_unknown, out);
    else
        answer_result(in, deal, wrong, out);
}

/* ---- Callbacks ---- */

static void send_callback(struct world *self, uint32_t index, enum wrong wrong) {
    char body[40];
    snprintf(body, sizeof body, "%" PRId64 ":%d", self->deals[index].payment_id, (int)wrong);
    if (wrong == WRONG_no) snprintf(body, sizeof body, "%" PRId64, self->deals[index].payment_id);
    struct payment_callback callback = { .provider = text_of("sandbox"), .body = text_of(body) };
    struct message message = { { .type = MSG_payment_callback,
                                 .from = PORT_http,
                                 .to = ACTOR_bridge,
                                 .origin = PORT_http,
                                 .node = PROCESS_shop + 1,
                                 .request = callback_bit | (uint64_t)wrong << WRONG_SHIFT | index },
                               &callback };
    world_send(self, self->seat_at[PROCESS_shop][PORT_http], &message);
}

static void plan_call(struct world *self, uint64_t index, int64_t after) {
    flights_plan(&self->flights, EVENT_call, 0, index, self->now + after);
}

void provider_call(struct world *self, uint64_t number) {
    uint32_t index = (uint32_t)number;
    struct deal *deal = &self->deals[index];
    struct draw *draw = &self->crowd_draw;
    bool ill = !self->healed;
    bool silent = ill && draw_chance(draw, self->swarm.silent);
    bool anyway = number >> WRONG_SHIFT != 0;
    if ((deal->heard && !anyway) || deal->calls++ >= CALLS_MAX) return;
    if (ill && draw_chance(draw, self->swarm.wrong))
        send_callback(self, index, (enum wrong)(1 + draw_below(draw, WRONG_KINDS)));
    if (!silent) send_callback(self, index, WRONG_no);
    if (ill && draw_chance(draw, self->swarm.doubled)) { /* At once, and again much later. */
        send_callback(self, index, WRONG_no);
        plan_call(self, index | ANYWAY, draw_span(draw, SIM_MS, 8 * SIM_SECOND));
    }
    plan_call(self, index, 3 * SIM_SECOND);
}

void provider_pay(struct world *self, int64_t payment_id) {
    struct deal *deal = find(self, payment_id);
    if (deal == NULL || deal->paid) return;
    deal->paid = true;
    provider_call(self, (uint32_t)(deal - self->deals));
}

void provider_answer(struct world *self, const struct message *in) {
    uint32_t index = (uint32_t)in->head.request;
    uint32_t wrong = (uint32_t)(in->head.request >> WRONG_SHIFT) & 0xff;
    if (index >= self->deal_count || in->head.type != MSG_done) return;
    struct deal *deal = &self->deals[index];
    if (wrong != WRONG_no) {
        world_fail(self, "G18", deal->order_id,
                   "a wrong callback (%u) for payment %" PRId64 " was believed", wrong,
                   deal->payment_id);
    }
    deal->heard = true;
}

bool provider_refunded(struct world *self, int64_t payment_id) {
    const struct deal *deal = find(self, payment_id);
    return deal != NULL && deal->refunded;
}

/* ---- Mail ---- */

void provider_mail(struct world *self, const struct message *in, struct outbox *out) {
    const struct mail *mail = BODY(in, mail);
    bool away = !self->healed && draw_chance(&self->crowd_draw, self->swarm.mail_away);
    check_mail(self, mail->outbox_id, !away);
    struct mailed *mailed = REPLY(out, in, mailed);
    mailed->outbox_id = mail->outbox_id;
    mailed->outcome = away ? mail_outcome_retry : mail_outcome_sent;
}
