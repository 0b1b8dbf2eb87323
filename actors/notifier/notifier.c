/* (tick) -> outbox_take, or outbox_skip while mail is off;  outbox_row -> mail | outbox_done;
 * mailed -> outbox_done | outbox_retry
 */
#include "actors/notifier/notifier.h"

#include <assert.h>
#include <string.h>

#define SECOND       INT64_C(1000000000)
#define LEASE        (60 * SECOND)
#define ROWS_LOST    (5 * SECOND)
#define BACK_OFF_MAX (3600 * SECOND)
enum { SKIP_MOST = 10000 };

static void init(void *state, const struct actor_setup *setup) {
    struct notifier *self = state;
    self->mail_on = setup->mail_on;
    self->attempts_max = actor_settings(setup).mail_attempts_max;
    memcpy(&self->random, setup->seed, sizeof self->random);
}

/* A sequence that only the seed decides. */
static uint64_t draw(struct notifier *self) {
    uint64_t mixed = self->random += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

int64_t notifier_back_off(uint32_t attempts) {
    return attempts < 12 && (SECOND << attempts) < BACK_OFF_MAX ? SECOND << attempts : BACK_OFF_MAX;
}

static struct notifier_row *row_of(struct notifier *self, int64_t outbox_id) {
    for (uint32_t i = 0; i < NOTIFIER_ROWS_MAX; i++) {
        if (self->rows[i].outbox_id == outbox_id) return &self->rows[i];
    }
    return NULL;
}

static void forget(struct notifier *self, struct notifier_row *row) {
    assert(row->outbox_id != 0 && self->used > 0);
    row->outbox_id = 0;
    self->used--;
}

static void take(struct notifier *self, int64_t now, struct outbox *out) {
    for (uint32_t i = 0; i < NOTIFIER_ROWS_MAX; i++) {
        struct notifier_row *row = &self->rows[i];
        if (row->outbox_id != 0 && row->until <= now) forget(self, row);
    }
    if (self->asking && now - self->asked_at < ROWS_LOST) return;
    if (self->used == NOTIFIER_ROWS_MAX) return;
    self->asking = true;
    self->asked_at = now;
    if (!self->mail_on) {
        struct outbox_skip *skip = ASK(out, PORT_pg_shop, outbox_skip, ACTOR_notifier, 0, 0);
        skip->now = now;
        skip->limit = SKIP_MOST;
        return;
    }
    struct outbox_take *take = ASK(out, PORT_pg_shop, outbox_take, ACTOR_notifier, 0, 0);
    take->now = now;
    take->lease_until = now + LEASE;
    take->limit = NOTIFIER_ROWS_MAX - self->used;
}

/* The row's number is the request, so that a refusal finds it as well. */
static void finish(int64_t outbox_id, bool dead, struct text error, int64_t now,
                   struct outbox *out) {
    struct outbox_done *done =
        ASK(out, PORT_pg_shop, outbox_done, ACTOR_notifier, (uint64_t)outbox_id, 0);
    done->outbox_id = outbox_id;
    done->dead = dead ? 1 : 0;
    done->now = now;
    done->error = error;
}

static bool is_mail(struct text login) {
    return memchr(login.at, '@', login.size) != NULL;
}

static void on_row(struct notifier *self, const struct message *in, int64_t now,
                   struct outbox *out) {
    const struct outbox_row *row = BODY(in, outbox_row);
    if (row_of(self, row->outbox_id) != NULL) return; /* It is under way already. */
    struct notifier_row *slot = row_of(self, 0);
    if (slot == NULL) return; /* The lease lapses. */
    struct text subject, body;
    *slot = (struct notifier_row){ .outbox_id = row->outbox_id,
                                   .until = now + LEASE,
                                   .attempts = row->attempts };
    self->used++;
    if (!is_mail(row->login)) {
        finish(row->outbox_id, false, text_of("no channel"), now, out);
    } else if (!notifier_write(row, out, &subject, &body)) {
        finish(row->outbox_id, true, text_of("no template"), now, out);
    } else {
        struct mail *mail = ASK(out, PORT_mail, mail, ACTOR_notifier, (uint64_t)row->outbox_id, 0);
        mail->outbox_id = row->outbox_id;
        mail->to = row->login;
        mail->subject = subject;
        mail->body = body;
    }
}

static void try_again(struct notifier *self, struct notifier_row *row, struct text error,
                      int64_t now, struct outbox *out) {
    if (row->attempts + 1 >= self->attempts_max) {
        finish(row->outbox_id, true, error, now, out);
        return;
    }
    int64_t wait = notifier_back_off(row->attempts);
    /* Rows that failed together do not come back together. */
    int64_t jitter = (int64_t)(draw(self) % (uint64_t)(wait / 4));
    struct outbox_retry *retry =
        ASK(out, PORT_pg_shop, outbox_retry, ACTOR_notifier, (uint64_t)row->outbox_id, 0);
    retry->outbox_id = row->outbox_id;
    retry->next_at = now + wait - jitter;
    retry->error = error;
}

static void on_mailed(struct notifier *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    const struct mailed *mailed = BODY(in, mailed);
    struct notifier_row *row = mailed->outbox_id != 0 ? row_of(self, mailed->outbox_id) : NULL;
    switch (mailed->outcome) {
    case mail_outcome_none: return;
    case mail_outcome_sent: /* True whether we still know of it or not. */
        finish(mailed->outbox_id, false, (struct text){ 0 }, now, out);
        return;
    case mail_outcome_rejected: finish(mailed->outbox_id, true, mailed->error, now, out); return;
    case mail_outcome_retry:
        if (row != NULL) try_again(self, row, mailed->error, now, out);
        return;
    }
}

static void on_failed(struct notifier *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    const struct failed *failed = BODY(in, failed);
    if (in->head.request == 0) {
        self->asking = false;
        return;
    }
    struct notifier_row *row = row_of(self, (int64_t)in->head.request);
    if (row == NULL) return;
    if (in->head.from == PORT_mail) {
        try_again(self, row, text_of(problem_title(failed->problem)), now, out);
    } else {
        forget(self, row); /* The lease lapses, it comes again. */
    }
}

static void on_done(struct notifier *self, const struct message *in) {
    if (in->head.request == 0) self->asking = false; /* Of an outbox_skip. */
    struct notifier_row *row =
        in->head.request != 0 ? row_of(self, (int64_t)in->head.request) : NULL;
    if (row != NULL) forget(self, row);
}

static void handle_one(struct notifier *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch ((enum message_id)in->head.type) {
    case MSG_started:
    case MSG_tick: take(self, now, out); return;
    case MSG_settings: self->attempts_max = BODY(in, settings)->mail_attempts_max; return;
    case MSG_stop: return; /* What is under way comes again when its lease has lapsed. */
    case MSG_outbox_row: on_row(self, in, now, out); return;
    case MSG_rows_end: self->asking = false; return;
    case MSG_mailed: on_mailed(self, in, now, out); return;
    case MSG_done: on_done(self, in); return;
    case MSG_failed: on_failed(self, in, now, out); return;
    default: outbox_reply_failed(out, in, PROBLEM_malformed); return;
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct notifier *self = state;
    for (uint32_t i = 0; i < count; i++)
        handle_one(self, &in[i], now, out);
}

static void check(const void *state) {
    const struct notifier *self = state;
    uint32_t used = 0;
    for (uint32_t i = 0; i < NOTIFIER_ROWS_MAX; i++) {
        if (self->rows[i].outbox_id == 0) continue;
        used++;
        for (uint32_t j = i + 1; j < NOTIFIER_ROWS_MAX; j++) {
            assert(self->rows[i].outbox_id != self->rows[j].outbox_id);
        }
    }
    assert(used == self->used);
}

const struct actor_type notifier_type = {
    .name = "notifier",
    .address = ACTOR_notifier,
    .state_size = sizeof(struct notifier),
    .batch_max = 64,
    .sends_max = 1,
    .tick_every = SECOND / 5,
    .init = init,
    .handle = handle,
    .check = check,
};
