/* The session actor's table of messages. */
#include "actors/session/session.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { MS = 1000000 };
/* An end is kept under the time at which it was asked for, and may be committed this much later; so
 * much is told again. */
static const int64_t committed_by = INT64_C(5000000000);

static void take_settings(struct session *self, const struct settings *it) {
    self->access_life = it->access_life;
    self->refresh_life = it->refresh_life;
    self->idle = it->session_idle;
    self->ticket_life = it->ticket_life;
    self->ticket_lead = it->ticket_lead;
    self->login_failures_max = it->login_failures_max;
    self->cancels_max = it->cancels_max;
}

static void init(void *state, const struct actor_setup *setup) {
    struct session *self = state;
    struct settings settings = actor_settings(setup);
    take_settings(self, &settings);
    self->keys = setup->keys;
    self->shards = setup->shards > 0 ? setup->shards : 1;
    self->ids.worker = self->order_ids.worker = setup->worker;
    memcpy(&self->catalogue.number, setup->seed, sizeof self->catalogue.number);
    memcpy(&self->born, setup->seed + 8, sizeof self->born);
    memcpy(self->seed, setup->seed, sizeof self->seed);
}

void session_random(struct session *self, uint8_t bytes[REFRESH_BYTES]) {
    uint64_t counter = ++self->drawn;
    crypto_generichash(bytes, REFRESH_BYTES, (const uint8_t *)&counter, sizeof counter, self->seed,
                       sizeof self->seed);
}

static void on_time(struct session *self, int64_t now, struct outbox *out) {
    login_sweep(self, now);
    follow_tick(&self->catalogue, now, out);
}

/* A bridge wants to know which tokens are not to be believed; there are several, the rows go to
 * this one.  The trace is lent for the time of the question, which the end of the answer tells. */
static void on_revoked_load(struct session *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    int64_t since = BODY(in, revoked_load)->since, oldest = now - self->access_life;
    struct message cause = { .head = in->head };
    cause.head.origin = in->head.from;
    cause.head.trace = (uint64_t)now;
    struct revoked_load *load = SEND(out, PORT_pg_shop, revoked_load, &cause);
    load->since = since > oldest ? since : oldest;
}

static void on_session_revoked(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out) {
    /* Asked for by a bridge that has started; or an operator has ended it: all must know. */
    struct session_revoked *revoked = in->head.origin == PORT_door
                                          ? EVERY(out, ACTOR_bridge, session_revoked)
                                          : ANSWER(out, in, session_revoked);
    revoked->session_id = BODY(in, session_revoked)->session_id;
    revoked->until = now + self->access_life;
}

static void on_rows_end(struct session *self, const struct message *in, struct outbox *out) {
    const struct rows_end *end = BODY(in, rows_end);
    if (end->what == MSG_user_end) {
        session_on_user_ended(self, in, out);
        return;
    }
    if (end->what != MSG_revoked_load) {
        if (follow_end(&self->catalogue, in)) session_after_snapshot(self);
        return;
    }
    struct rows_end *told = ANSWER(out, in, rows_end);
    *told = *end;
    told->next = (int64_t)in->head.trace - committed_by;
}

static void handle_one(struct session *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch ((enum message_id)in->head.type) {
    case MSG_account_create: session_on_account_create(self, in, now, out); return;
    case MSG_session_create: session_on_session_create(self, in, now, out); return;
    case MSG_session_refresh: session_on_session_refresh(self, in, now, out); return;
    case MSG_session_delete: session_on_session_delete(self, in, now, out); return;
    case MSG_hash_made: session_on_hash_made(self, in, now, out); return;
    case MSG_account_view: session_on_account_view(self, in, out); return;
    case MSG_account_row: session_on_account_row(self, in, now, out); return;
    case MSG_hash_checked: session_on_hash_checked(self, in, now, out); return;
    case MSG_session_row: session_on_session_row(self, in, now, out); return;
    case MSG_done: session_on_done(self, in, now, out); return;
    case MSG_failed: session_on_failed(self, in, now, out); return;
    case MSG_ticket_create: session_on_ticket_create(self, in, now, out); return;
    case MSG_ticket_facts: session_on_ticket_facts(self, in, now, out); return;
    case MSG_sale_view: session_on_sale_view(self, in); return;
    case MSG_lot_view: session_on_lot_view(self, in); return;
    case MSG_user_ban:
    case MSG_user_unban:
    case MSG_user_kick: session_on_user_command(self, in, now, out); return;
    case MSG_user_view: session_on_user_view(in, out); return;
    case MSG_revoked_load: on_revoked_load(self, in, now, out); return;
    case MSG_session_revoked: on_session_revoked(self, in, now, out); return;
    case MSG_rows_end: on_rows_end(self, in, out); return;
    case MSG_started:
    case MSG_tick: on_time(self, now, out); return;
    case MSG_stop: return;
    case MSG_settings: take_settings(self, BODY(in, settings)); return;
    default: outbox_reply_failed(out, in, PROBLEM_malformed); return;
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    for (uint32_t i = 0; i < count; i++)
        handle_one(state, &in[i], now, out);
}

static void check(const void *state) {
    const struct session *self = state;
    assert(self->lot_count <= SESSION_LOTS_MAX && self->sale_count <= SESSION_SALES_MAX);
}

const struct actor_type session_type = {
    .name = "session",
    .address = ACTOR_session,
    .state_size = sizeof(struct session),
    .batch_max = 256,
    .sends_max = 3,
    .tick_every = 200 * MS,
    .init = init,
    .handle = handle,
    .check = check,
};
