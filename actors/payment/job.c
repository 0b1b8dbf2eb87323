/* Jobs: what is under way, who waits for it, and which payment it has claimed. */
#include <assert.h>
#include <string.h>

#include "actors/payment/payment.h"

#define SECOND INT64_C(1000000000)
/* Longer than a provider may take and the stores after it. */
#define JOB_LIFE (90 * SECOND)

bool payment_provider_known(struct text name) {
    return text_is(name, "sandbox");
}

struct job *payment_job(struct payment *self, const struct message *in, int64_t wait, int64_t now) {
    uint32_t at;
    if (self->free_job != 0) {
        at = self->free_job - 1;
        self->free_job = self->next_free[at];
    } else if (self->jobs_fresh < PAYMENT_JOBS_MAX) {
        at = self->jobs_fresh++;
    } else {
        return NULL;
    }
    self->jobs_used++;
    struct job *job = &self->jobs[at];
    if (self->jobs_made == 0) self->jobs_made = (uint64_t)(now / 1000);
    *job = (struct job){ .number = ++self->jobs_made << PAYMENT_JOB_BITS | at,
                         .ends = now + JOB_LIFE };
    if (in != NULL) {
        job->waits = true;
        job->client = in->head;
        job->answer_by = now + wait;
    }
    return job;
}

static uint32_t index_of(const struct payment *self, const struct job *job) {
    return (uint32_t)(job - self->jobs);
}

static struct job *numbered(struct payment *self, uint64_t number) {
    uint32_t at = (uint32_t)(number % PAYMENT_JOBS_MAX);
    if (at >= self->jobs_fresh) return NULL;
    struct job *job = &self->jobs[at];
    return job->stage != JOB_free && job->number == number ? job : NULL;
}

struct job *payment_job_of(struct payment *self, const struct message *in) {
    if (in->head.origin != ACTOR_payment) return NULL;
    /* Inventory and order answer by payment: their answers may outlive a restart. */
    if (in->head.from != PORT_pg_shop && in->head.from != PORT_pay) {
        uint32_t at = 0;
        if (!idmap_get(&self->claims, (int64_t)in->head.request, &at)) return NULL;
        return self->jobs[at].stage == JOB_late ? &self->jobs[at] : NULL;
    }
    return numbered(self, in->head.request);
}

bool payment_claim(struct payment *self, struct job *job, int64_t payment_id) {
    uint32_t at = 0;
    job->payment_id = payment_id;
    if (idmap_get(&self->claims, payment_id, &at)) return at == index_of(self, job);
    bool kept = idmap_put(&self->claims, payment_id, index_of(self, job));
    assert(kept); /* There are more cells than jobs. */
    return kept;
}

void payment_end(struct payment *self, struct job *job) {
    uint32_t at = 0, mine = index_of(self, job);
    assert(job->stage != JOB_free);
    if (job->payment_id != 0 && idmap_get(&self->claims, job->payment_id, &at) && at == mine) {
        idmap_remove(&self->claims, job->payment_id);
    }
    job->stage = JOB_free;
    job->waits = false;
    self->next_free[mine] = self->free_job;
    self->free_job = mine + 1;
    self->jobs_used--;
}

void payment_keep(struct job *job, struct text provider, struct money amount) {
    uint32_t size = provider.size < PAYMENT_PROVIDER_MAX ? provider.size : PAYMENT_PROVIDER_MAX;
    if (size > 0) memcpy(job->provider, provider.at, size);
    job->provider_size = size;
    job->amount = amount;
}

struct text payment_provider(const struct job *job) {
    return (struct text){ job->provider, job->provider_size };
}

void payment_answer_done(struct job *job, struct outbox *out) {
    if (!job->waits) return;
    const struct message cause = { .head = job->client };
    struct done *done = ANSWER(out, &cause, done);
    done->what = job->client.type;
    done->id = job->payment_id;
    job->waits = false;
}

void payment_answer_view(struct job *job, const struct payment_row *row, struct outbox *out) {
    if (!job->waits) return;
    const struct message cause = { .head = job->client };
    struct payment_view *view = ANSWER(out, &cause, payment_view);
    view->payment_id = row->payment_id;
    view->order_id = row->order_id;
    view->state = row->state;
    view->amount = row->amount;
    view->pay_url = row->pay_url;
    job->waits = false;
}

void payment_answer_failed(struct job *job, enum problem problem, struct text detail,
                           struct outbox *out) {
    if (!job->waits) return;
    const struct message cause = { .head = job->client };
    struct failed *failed = outbox_refuse_with(out, &cause, problem);
    failed->detail = detail;
    failed->id = job->payment_id;
    job->waits = false;
}

void payment_end_late(struct payment *self, int64_t now, struct outbox *out) {
    for (uint32_t i = 0; i < self->jobs_fresh && outbox_room(out) > 0; i++) {
        struct job *job = &self->jobs[i];
        if (job->stage == JOB_free) continue;
        bool over = job->ends <= now;
        if (job->waits && (over || job->answer_by <= now)) {
            /* Asking again is safe: the open payment is returned, a callback has one effect. */
            bool provider = job->stage == JOB_prepay || job->stage == JOB_unknown;
            payment_answer_failed(job, provider ? PROBLEM_provider_unknown : PROBLEM_unavailable,
                                  (struct text){ 0 }, out);
        }
        if (over) payment_end(self, job);
    }
}
