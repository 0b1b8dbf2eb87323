/* Late money -> reserve;  order_view paid -> (done);  refused for good -> refund_insert
 * refund -> provider_refund -> refund_result */
#include "actors/payment/payment.h"

void payment_reserve(const struct payment *self, struct job *job, int64_t order_id, int64_t user_id,
                     int64_t lot_id, uint32_t quantity, struct outbox *out) {
    job->stage = JOB_late;
    job->order_id = order_id;
    outbox_about(out, id_shard(order_id, self->shards)); /* Where its lot is. */
    struct reserve *reserve = ASK(out, ACTOR_inventory, reserve, ACTOR_payment,
                                  (uint64_t)job->payment_id, job->client.trace);
    reserve->order_id = order_id;
    reserve->user_id = user_id;
    reserve->lot_id = lot_id;
    reserve->quantity = quantity;
    reserve->kind = reserve_kind_late;
}

/* There will be no unit for this money.  Whatever is not certain waits for payments_due; a paused
 * sale may go on. */
static bool is_definite(enum problem problem) {
    switch (problem) {
    case PROBLEM_none:
    case PROBLEM_sale_paused:
    case PROBLEM_timed_out:
    case PROBLEM_rate_limited:
    case PROBLEM_hashing_busy:
    case PROBLEM_overloaded:
    case PROBLEM_unavailable:
    case PROBLEM_recovering:
    case PROBLEM_fenced:
    case PROBLEM_stopping:
    case PROBLEM_internal: return false;
    default: return true;
    }
}

static void no_unit(struct payment *self, struct job *job, enum problem problem, int64_t now,
                    struct outbox *out) {
    if (!is_definite(problem)) {
        payment_end(self, job);
        return;
    }
    job->stage = JOB_refund_insert;
    struct refund_insert *insert =
        ASK(out, PORT_pg_shop, refund_insert, ACTOR_payment, job->number, job->client.trace);
    insert->payment_id = job->payment_id;
    insert->refund_id = id_next(&self->ids, now);
    insert->now = now;
}

void payment_on_reserve_answer(struct payment *self, const struct message *in, int64_t now,
                               struct outbox *out) {
    struct job *job = payment_job_of(self, in);
    if (job == NULL || job->stage != JOB_late) return;
    if (in->head.type == MSG_failed) {
        no_unit(self, job, BODY(in, failed)->problem, now, out);
        return;
    }
    const struct order_view *view = BODY(in, order_view);
    if (view->state == order_state_refused)
        no_unit(self, job, view->code, now, out);
    else if (view->state != order_state_pending)
        payment_end(self, job);
}

void payment_refund(struct job *job, struct outbox *out) {
    job->stage = JOB_refund;
    struct provider_refund *refund =
        ASK(out, PORT_pay, provider_refund, ACTOR_payment, job->number, job->client.trace);
    refund->refund_id = job->refund_id;
    refund->payment_id = job->payment_id;
    refund->provider = payment_provider(job);
    refund->amount = job->amount;
}

/* PROBLEM_none: the provider has sent it back.  Without a definite answer it is asked again later,
 * by the same refund_id. */
void payment_on_refund_answer(struct payment *self, struct job *job, enum problem problem,
                              int64_t now, struct outbox *out) {
    if (problem != PROBLEM_none && problem != PROBLEM_provider_refused) {
        payment_end(self, job);
        return;
    }
    job->stage = JOB_refunded;
    struct refund_result *result =
        ASK(out, PORT_pg_shop, refund_result, ACTOR_payment, job->number, job->client.trace);
    result->refund_id = job->refund_id;
    result->state = problem == PROBLEM_none ? refund_state_succeeded : refund_state_failed;
    result->now = now;
}
