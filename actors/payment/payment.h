/* Payment: opens payments at providers, believes verified results, finds a unit for late money or
 * sends it back.  PostgreSQL decides what a result does and how often; this actor asks, tells the
 * asker only after the commit, and takes up what was left over from payments_due.
 *
 * A job is one piece of work under way: a request of a client, or a todo of PostgreSQL.  Its number
 * travels as the request of every question, so that an answer finds its job and a late answer finds
 * none.  A time that runs out is never a failure: the job is forgotten, the todo comes again.
 *
 * Invariants: claims name used jobs, and a payment is claimed by at most one; a todo is only begun
 * with the claim on its payment; a client is answered exactly once. */
#ifndef PAYMENT_H
#define PAYMENT_H

#include "actors/actor.h"
#include "actors/lib/idmap.h"
#include "schema/id.h"

enum {
    PAYMENT_JOB_BITS = 11,
    PAYMENT_JOBS_MAX =
        1 << PAYMENT_JOB_BITS, /* Then clients are answered overloaded, todos wait. */
    PAYMENT_CLAIM_CELLS = 4096,
    PAYMENT_PROVIDER_MAX = 32,
    PAYMENT_DUE_MAX = 100,
};

/* What a job waits for. */
enum job_stage {
    JOB_free,
    JOB_insert,        /* payment_row of payment_insert */
    JOB_prepay,        /* prepaid */
    JOB_pending,       /* payment_row of payment_pending */
    JOB_unknown,       /* payment_row of payment_unknown */
    JOB_refused,       /* payment_settled: the provider did not want it */
    JOB_check,         /* provider_result of callback_check */
    JOB_query,         /* provider_result of provider_query */
    JOB_result,        /* payment_settled */
    JOB_late,          /* order_view of reserve */
    JOB_refund_insert, /* payment_row with the refund */
    JOB_refund,        /* done of the provider */
    JOB_refunded,      /* done of refund_result */
};

struct job {
    enum job_stage stage;
    uint64_t number;
    bool waits; /* The client has not been answered. */
    struct head client;
    int64_t answer_by; /* Of the client. */
    int64_t ends;      /* Then it is forgotten. */
    int64_t payment_id, order_id, refund_id;
    struct money amount;
    uint32_t provider_size;
    char provider[PAYMENT_PROVIDER_MAX];
};

struct payment {
    uint32_t shards;
    struct id_source ids;
    uint64_t jobs_made; /* Begins with the clock: an answer from before a restart finds no job. */
    int64_t query_every;
    int64_t due_at; /* payments_due was asked for; 0 = never. */
    bool due_open;  /* Its rows are coming. */
    uint32_t free_job, jobs_used, jobs_fresh;
    uint32_t next_free[PAYMENT_JOBS_MAX];
    struct idmap claims; /* payment_id -> job */
    struct idmap_cell claim_cells[PAYMENT_CLAIM_CELLS];
    struct job jobs[PAYMENT_JOBS_MAX];
};

/* ---- job.c ---- */
/* A new job with the client of `in` (NULL = nobody waits); NULL when there are too many. */
struct job *payment_job(struct payment *self, const struct message *in, int64_t wait, int64_t now);
/* The job that waits for this answer, or NULL. */
struct job *payment_job_of(struct payment *self, const struct message *in);
/* False when another job has it. */
bool payment_claim(struct payment *self, struct job *job, int64_t payment_id);
void payment_end(struct payment *self, struct job *job);
/* Whether money can come from there at all. */
bool payment_provider_known(struct text name);
void payment_keep(struct job *job, struct text provider, struct money amount);
struct text payment_provider(const struct job *job);
/* Answers the client, once; later answers go nowhere. */
void payment_answer_done(struct job *job, struct outbox *out);
void payment_answer_view(struct job *job, const struct payment_row *row, struct outbox *out);
void payment_answer_failed(struct job *job, enum problem problem, struct text detail,
                           struct outbox *out);
/* Jobs and clients whose time is over. */
void payment_end_late(struct payment *self, int64_t now, struct outbox *out);

/* ---- open.c: a payment is opened at its provider ---- */
void payment_on_create(struct payment *self, const struct message *in, int64_t now,
                       struct outbox *out);
void payment_prepay(struct job *job, struct outbox *out);
void payment_on_row(struct payment *self, const struct message *in, struct job *job,
                    struct outbox *out);
void payment_on_prepaid(struct payment *self, const struct message *in, int64_t now,
                        struct outbox *out);
void payment_prepay_failed(struct payment *self, struct job *job, enum problem problem, int64_t now,
                           struct outbox *out);

/* ---- result.c: what a provider told ---- */
void payment_on_callback(struct payment *self, const struct message *in, int64_t now,
                         struct outbox *out);
void payment_query(struct job *job, struct outbox *out);
void payment_on_result(struct payment *self, const struct message *in, int64_t now,
                       struct outbox *out);
void payment_on_settled(struct payment *self, const struct message *in, struct outbox *out);

/* ---- late.c: late money gets a unit or goes back ---- */
void payment_reserve(const struct payment *self, struct job *job, int64_t order_id, int64_t user_id,
                     int64_t lot_id, uint32_t quantity, struct outbox *out);
void payment_on_reserve_answer(struct payment *self, const struct message *in, int64_t now,
                               struct outbox *out);
void payment_refund(struct job *job, struct outbox *out);
void payment_on_refund_answer(struct payment *self, struct job *job, enum problem problem,
                              int64_t now, struct outbox *out);

#endif
