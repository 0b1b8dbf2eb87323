/* payment_create -> payment_insert -> (prepay -> payment_pending) -> payment_view | failed
 * The payment is kept before the provider is called, and a repeat finds the open one. */
#include <inttypes.h>

#include "actors/payment/payment.h"

#define CREATE_WAIT INT64_C(15000000000)

void payment_on_create(struct payment *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    const struct payment_create *create = BODY(in, payment_create);
    /* Before anything is kept: an open payment nobody can pay would stand in the way of others. */
    if (!payment_provider_known(create->provider)) {
        struct failed *failed = outbox_refuse_with(out, in, PROBLEM_out_of_range);
        failed->field = text_of("provider");
        failed->detail = text_of("provider must be one of: sandbox");
        return;
    }
    struct job *job = payment_job(self, in, CREATE_WAIT, now);
    if (job == NULL) {
        outbox_refuse(out, in, PROBLEM_overloaded);
        return;
    }
    job->stage = JOB_insert;
    struct payment_insert *insert =
        ASK(out, PORT_pg_shop, payment_insert, ACTOR_payment, job->number, in->head.trace);
    insert->payment_id = id_next(&self->ids, now);
    insert->order_id = create->order_id;
    insert->user_id = create->user_id;
    insert->provider = create->provider;
    insert->now = now;
}

void payment_prepay(struct job *job, struct outbox *out) {
    job->stage = JOB_prepay;
    struct prepay *prepay =
        ASK(out, PORT_pay, prepay, ACTOR_payment, job->number, job->client.trace);
    prepay->payment_id = job->payment_id;
    prepay->order_id = job->order_id;
    prepay->provider = payment_provider(job);
    prepay->amount = job->amount;
}

static void on_inserted(struct payment *self, struct job *job, const struct payment_row *row,
                        struct outbox *out) {
    bool open = row->state == payment_state_created || row->state == payment_state_pending ||
                row->state == payment_state_unknown;
    if (row->pay_url.size > 0 || !open) {
        payment_answer_view(job, row, out);
        payment_end(self, job);
        return;
    }
    /* When a todo or another click has the claim we ask all the same: somebody waits, and the
     * provider gives the same answer to the same payment. */
    (void)payment_claim(self, job, row->payment_id);
    job->order_id = row->order_id;
    payment_keep(job, row->provider, row->amount);
    payment_prepay(job, out);
}

/* A row that answers one of our questions about one payment; todos are taken up in payment.c. */
void payment_on_row(struct payment *self, const struct message *in, struct job *job,
                    struct outbox *out) {
    const struct payment_row *row = BODY(in, payment_row);
    switch (job->stage) {
    case JOB_insert: on_inserted(self, job, row, out); return;
    case JOB_pending:
        payment_answer_view(job, row, out);
        payment_end(self, job);
        return;
    case JOB_unknown:
        payment_answer_failed(job, PROBLEM_provider_unknown, (struct text){ 0 }, out);
        payment_end(self, job);
        return;
    case JOB_refund_insert:
        job->refund_id = row->refund_id;
        payment_keep(job, row->provider, row->amount);
        if (row->todo == todo_refund && row->refund_id != 0)
            payment_refund(job, out);
        else
            payment_end(self, job);
        return;
    default: return; /* Not what it waits for: an answer that came twice. */
    }
}

void payment_on_prepaid(struct payment *self, const struct message *in, int64_t now,
                        struct outbox *out) {
    const struct prepaid *prepaid = BODY(in, prepaid);
    struct job *job = payment_job_of(self, in);
    /* Forgotten: the todo comes again. */
    if (job == NULL || job->stage != JOB_prepay || prepaid->payment_id != job->payment_id) return;
    job->stage = JOB_pending;
    struct payment_pending *pending =
        ASK(out, PORT_pg_shop, payment_pending, ACTOR_payment, job->number, job->client.trace);
    pending->payment_id = job->payment_id;
    pending->provider_txn = prepaid->provider_txn;
    pending->pay_url = prepaid->pay_url;
    pending->now = now;
}

/* Only a definite refusal fails the payment; whatever else happened, the provider may have it. */
void payment_prepay_failed(struct payment *self, struct job *job, enum problem problem, int64_t now,
                           struct outbox *out) {
    if (problem != PROBLEM_provider_refused) {
        job->stage = JOB_unknown;
        struct payment_unknown *unknown =
            ASK(out, PORT_pg_shop, payment_unknown, ACTOR_payment, job->number, job->client.trace);
        unknown->payment_id = job->payment_id;
        unknown->now = now;
        return;
    }
    job->stage = JOB_refused;
    struct payment_result *result =
        ASK(out, PORT_pg_shop, payment_result, ACTOR_payment, job->number, job->client.trace);
    result->payment_id = job->payment_id;
    result->order_id = job->order_id;
    result->provider = payment_provider(job);
    /* There is no number of the provider, and numbers are unique per provider. */
    result->provider_txn = outbox_printf(out, "refused-%" PRId64, job->payment_id);
    result->amount = job->amount;
    result->state = payment_state_failed;
    result->refund_id = id_next(&self->ids, now);
    result->now = now;
}
