/* payment_callback -> callback_check -> payment_result -> done | failed, after the commit
 * (todo query)     -> provider_query -> payment_result
 * payment_settled late -> reserve;  with a refund -> provider_refund */
#include <inttypes.h>

#include "actors/payment/payment.h"

/* Providers give up after 5 s and tell it again. */
#define CALLBACK_WAIT INT64_C(4000000000)

void payment_on_callback(struct payment *self, const struct message *in, int64_t now,
                         struct outbox *out) {
    const struct payment_callback *callback = BODY(in, payment_callback);
    if (!payment_provider_known(callback->provider)) {
        outbox_refuse(out, in, PROBLEM_not_found);
        return;
    }
    if (callback->body.size == 0) {
        outbox_refuse(out, in, PROBLEM_callback_invalid);
        return;
    }
    struct job *job = payment_job(self, in, CALLBACK_WAIT, now);
    if (job == NULL) {
        outbox_refuse(out, in, PROBLEM_overloaded);
        return;
    }
    job->stage = JOB_check;
    struct callback_check *check =
        ASK(out, PORT_pay, callback_check, ACTOR_payment, job->number, in->head.trace);
    check->provider = callback->provider;
    check->body = callback->body;
    check->signature = callback->signature;
}

void payment_query(struct job *job, struct outbox *out) {
    job->stage = JOB_query;
    struct provider_query *query =
        ASK(out, PORT_pay, provider_query, ACTOR_payment, job->number, 0);
    query->payment_id = job->payment_id;
    query->provider = payment_provider(job);
}

void payment_on_result(struct payment *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    const struct provider_result *told = BODY(in, provider_result);
    struct job *job = payment_job_of(self, in);
    if (job == NULL || (job->stage != JOB_check && job->stage != JOB_query)) return;
    bool final = told->state == payment_state_succeeded || told->state == payment_state_failed;
    /* An answer to a question is about what was asked. */
    bool other = job->stage == JOB_query && told->payment_id != job->payment_id;
    if (!final || other) {
        payment_answer_done(job, out);
        payment_end(self, job);
        return;
    }
    if (job->stage == JOB_check) job->payment_id = told->payment_id;
    job->stage = JOB_result;
    payment_keep(job, told->provider, told->amount);
    struct payment_result *result =
        ASK(out, PORT_pg_shop, payment_result, ACTOR_payment, job->number, job->client.trace);
    result->payment_id = told->payment_id;
    result->order_id = told->order_id;
    result->provider = told->provider;
    result->provider_txn = told->provider_txn.size > 0
                               ? told->provider_txn
                               : outbox_printf(out, "query-%" PRId64, told->payment_id);
    result->event_id = told->event_id;
    result->amount = told->amount;
    result->state = told->state;
    result->refund_id = id_next(&self->ids, now);
    result->now = now;
}

static void go_on(struct payment *self, struct job *job, const struct payment_settled *settled,
                  struct outbox *out) {
    bool late = settled->outcome == pay_outcome_late;
    bool refund = settled->outcome == pay_outcome_second && settled->refund_id != 0;
    job->refund_id = settled->refund_id;
    /* Without the claim somebody else is at it already. */
    if ((!late && !refund) || !payment_claim(self, job, settled->payment_id)) {
        payment_end(self, job);
    } else if (refund) {
        payment_refund(job, out);
    } else {
        payment_reserve(self, job, settled->order_id, settled->user_id, settled->lot_id,
                        settled->quantity, out);
    }
}

void payment_on_settled(struct payment *self, const struct message *in, struct outbox *out) {
    const struct payment_settled *settled = BODY(in, payment_settled);
    struct job *job = payment_job_of(self, in);
    if (job == NULL) return;
    if (job->stage == JOB_refused) {
        payment_answer_failed(job, PROBLEM_provider_refused, (struct text){ 0 }, out);
        payment_end(self, job);
        return;
    }
    if (job->stage != JOB_result) return;
    switch (settled->outcome) {
    case pay_outcome_mismatch:
    case pay_outcome_unmatched:
        payment_answer_failed(job, PROBLEM_callback_mismatch, (struct text){ 0 }, out);
        payment_end(self, job);
        return;
    case pay_outcome_none:
    case pay_outcome_paid:
    case pay_outcome_already:
    case pay_outcome_late:
    case pay_outcome_failed:
    case pay_outcome_second: break;
    }
    /* The provider hears it now; finding a unit for late money may take longer than it waits. */
    payment_answer_done(job, out);
    go_on(self, job, settled, out);
}
