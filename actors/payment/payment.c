/* The payment actor's table of messages, and the todos of PostgreSQL. */
#include "actors/payment/payment.h"

#include <assert.h>

#define MS INT64_C(1000000)
/* An answer to payments_due that has not ended by then is lost. */
#define DUE_LOST (10000 * MS)

static void init(void *state, const struct actor_setup *setup) {
    struct payment *self = state;
    self->shards = setup->shards;
    self->ids.worker = setup->worker;
    self->query_every = actor_settings(setup).payment_query_every;
    idmap_init(&self->claims, self->claim_cells, PAYMENT_CLAIM_CELLS);
}

static void ask_due(struct payment *self, int64_t now, struct outbox *out) {
    if (self->due_open && now - self->due_at < DUE_LOST) return;
    if (self->due_at != 0 && now - self->due_at < self->query_every) return;
    uint32_t room = PAYMENT_JOBS_MAX - self->jobs_used;
    if (room == 0) return;
    self->due_at = now;
    self->due_open = true;
    struct payments_due *due = ASK(out, PORT_pg_shop, payments_due, ACTOR_payment, 0, 0);
    due->now = now;
    due->older_than = now > self->query_every ? now - self->query_every : 0;
    due->limit = room < PAYMENT_DUE_MAX ? room : PAYMENT_DUE_MAX;
}

static void on_due(struct payment *self, const struct message *in, int64_t now,
                   struct outbox *out) {
    const struct payment_row *row = BODY(in, payment_row);
    if (row->todo == todo_none) return;
    struct job *job = payment_job(self, NULL, 0, now);
    if (job == NULL) return; /* It comes again. */
    job->stage = JOB_query;
    if (!payment_claim(self, job, row->payment_id)) {
        job->payment_id = 0; /* Not ours to give back. */
        payment_end(self, job);
        return;
    }
    job->order_id = row->order_id;
    job->refund_id = row->refund_id;
    payment_keep(job, row->provider, row->amount);
    switch (row->todo) {
    case todo_none: break;
    case todo_prepay: payment_prepay(job, out); return;
    case todo_query: payment_query(job, out); return;
    case todo_late:
        payment_reserve(self, job, row->order_id, row->user_id, row->lot_id, row->quantity, out);
        return;
    case todo_refund:
        if (row->refund_id != 0) {
            payment_refund(job, out);
            return;
        }
        break;
    }
    payment_end(self, job);
}

static void on_done(struct payment *self, const struct message *in, int64_t now,
                    struct outbox *out) {
    struct job *job = payment_job_of(self, in);
    if (job == NULL) return;
    if (job->stage == JOB_refund && in->head.from == PORT_pay) {
        payment_on_refund_answer(self, job, PROBLEM_none, now, out);
    } else if (job->stage == JOB_check && in->head.from == PORT_pay) {
        payment_answer_done(job, out); /* A callback about something else. */
        payment_end(self, job);
    } else if (job->stage == JOB_refunded && in->head.from == PORT_pg_shop) {
        payment_end(self, job);
    }
}

static void on_failed(struct payment *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    const struct failed *failed = BODY(in, failed);
    if (in->head.from == PORT_pg_shop && in->head.request == 0) self->due_open = false;
    struct job *job = payment_job_of(self, in);
    if (job == NULL) return;
    switch (job->stage) {
    case JOB_free: return;
    case JOB_prepay: payment_prepay_failed(self, job, failed->problem, now, out); return;
    case JOB_late: payment_on_reserve_answer(self, in, now, out); return;
    case JOB_refund: payment_on_refund_answer(self, job, failed->problem, now, out); return;
    case JOB_unknown:
        payment_answer_failed(job, PROBLEM_provider_unknown, (struct text){ 0 }, out);
        break;
    case JOB_insert:
    case JOB_pending:
    case JOB_refused:
    case JOB_check:
    case JOB_query:
    case JOB_result:
    case JOB_refund_insert:
    case JOB_refunded: payment_answer_failed(job, failed->problem, failed->detail, out); break;
    }
    payment_end(self, job);
}

static void on_row(struct payment *self, const struct message *in, int64_t now,
                   struct outbox *out) {
    if (in->head.request == 0) {
        on_due(self, in, now, out);
        return;
    }
    struct job *job = payment_job_of(self, in);
    if (job != NULL) payment_on_row(self, in, job, out);
}

static void handle_one(struct payment *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch ((enum message_id)in->head.type) {
    case MSG_started:
    case MSG_tick: ask_due(self, now, out); return;
    case MSG_settings: self->query_every = BODY(in, settings)->payment_query_every; return;
    case MSG_stop: return; /* What is under way comes again from payments_due. */
    case MSG_payment_create: payment_on_create(self, in, now, out); return;
    case MSG_payment_callback: payment_on_callback(self, in, now, out); return;
    case MSG_payment_row: on_row(self, in, now, out); return;
    case MSG_prepaid: payment_on_prepaid(self, in, now, out); return;
    case MSG_provider_result: payment_on_result(self, in, now, out); return;
    case MSG_payment_settled: payment_on_settled(self, in, out); return;
    case MSG_order_view: payment_on_reserve_answer(self, in, now, out); return;
    case MSG_held: return; /* Journalled; the decision follows. */
    case MSG_done: on_done(self, in, now, out); return;
    case MSG_rows_end: self->due_open = false; return;
    case MSG_failed: on_failed(self, in, now, out); return;
    default: outbox_reply_failed(out, in, PROBLEM_malformed); return;
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct payment *self = state;
    bool ticked = false;
    for (uint32_t i = 0; i < count; i++) {
        ticked = ticked || in[i].head.type == MSG_tick;
        handle_one(self, &in[i], now, out);
    }
    if (ticked) payment_end_late(self, now, out);
}

static void check(const void *state) {
    const struct payment *self = state;
    assert(self->jobs_used <= self->jobs_fresh && self->jobs_fresh <= PAYMENT_JOBS_MAX);
    assert(self->claims.count <= self->jobs_used);
    for (uint32_t i = 0; i < self->jobs_fresh; i++) {
        const struct job *job = &self->jobs[i];
        assert(job->stage != JOB_free || !job->waits);
        uint32_t at = i;
        if (job->stage == JOB_late || job->stage == JOB_refund) {
            assert(idmap_get(&self->claims, job->payment_id, &at) && at == i);
        }
    }
}

const struct actor_type payment_type = {
    .name = "payment",
    .address = ACTOR_payment,
    .state_size = sizeof(struct payment),
    .batch_max = 64,
    .sends_max = 64, /* Two of its own; the rest lets clients whose time is over be told. */
    .tick_every = 100 * MS,
    .init = init,
    .handle = handle,
    .check = check,
};
