/* The bridge's table of messages, and what it does when time passes. */
#include "actors/bridge/bridge.h"

#include <assert.h>
#include <string.h>

#include "schema/id.h"

enum { MS = 1000000 };

/* Purchases that are held already keep the end they were given. */
static void take_settings(struct bridge *self, const struct settings *it) {
    self->hold = it->hold;
    self->inflight_max = it->inflight_max < PURCHASES_MAX ? it->inflight_max : PURCHASES_MAX;
    self->rate_user = it->rate_user;
    self->rate_user_burst =
        it->rate_user_burst > it->rate_user ? it->rate_user_burst : it->rate_user;
}

static void init(void *state, const struct actor_setup *setup) {
    struct bridge *self = state;
    struct settings settings = actor_settings(setup);
    take_settings(self, &settings);
    self->keys = setup->keys;
    self->shards = setup->shards > 0 ? setup->shards : 1;
    /* Not from 0: an answer to a bridge that has crashed must not find a slot of its successor. */
    uint32_t generation;
    memcpy(&generation, setup->seed, sizeof generation);
    memcpy(&self->news.number, setup->seed + 4, sizeof self->news.number);
    memcpy(&self->catalogue.number, setup->seed + 8, sizeof self->catalogue.number);
    for (uint32_t i = 0; i < PURCHASES_MAX; i++) {
        self->slots[i].next = i + 1;
        self->slots[i].generation = generation;
    }
}

void bridge_tell_ready(struct bridge *self, struct outbox *out) {
    outbox_ready(out, self->catalogue.known && self->news.known && !self->stopping,
                 &self->told_ready);
}

static void on_time(struct bridge *self, int64_t now, struct outbox *out) {
    follow_tick(&self->catalogue, now, out);
    bridge_ask_revoked(self, now, out);
    bridge_take_pace(self, now);
}

static void on_rows_end(struct bridge *self, const struct message *in, struct outbox *out) {
    if (BODY(in, rows_end)->what == MSG_revoked_load)
        bridge_on_revoked_end(self, in);
    else if (follow_end(&self->catalogue, in))
        bridge_after_snapshot(self);
    bridge_tell_ready(self, out);
}

static void on_stop(struct bridge *self, struct outbox *out) {
    self->stopping = true;
    bridge_tell_ready(self, out);
}

/* A person acts: user and session stand in the message, filled by the port from the token. */
static bool admitted(struct bridge *self, const struct message *in, int64_t now,
                     struct outbox *out) {
    const struct message_type *type = message_type((enum message_id)in->head.type);
    const struct field *user = field_named(type, text_of("user_id"));
    const struct field *session = field_named(type, text_of("session_id"));
    int64_t user_id = user ? field_number(user, in->body) : 0;
    int64_t session_id = session ? field_number(session, in->body) : 0;
    return bridge_admit(self, in, user_id, session_id, now, out);
}

static void pass_on(struct bridge *self, const struct message *in, enum address to, int64_t now,
                    struct outbox *out) {
    if (admitted(self, in, now, out)) outbox_forward(out, to, in);
}

/* The way of an order can be found by its number. */
static void forward_traced(struct outbox *out, enum address to, const struct message *in,
                           int64_t order_id) {
    struct message traced = *in;
    traced.head.trace = (uint64_t)order_id;
    outbox_forward(out, to, &traced);
}

static void on_payment_create(struct bridge *self, const struct message *in, int64_t now,
                              struct outbox *out) {
    if (!admitted(self, in, now, out)) return;
    forward_traced(out, ACTOR_payment, in, BODY(in, payment_create)->order_id);
}

static void on_order_cancel(struct bridge *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    if (!admitted(self, in, now, out)) return;
    int64_t order_id = BODY(in, order_cancel)->order_id;
    outbox_about(out, id_shard(order_id, self->shards));
    forward_traced(out, ACTOR_order, in, order_id);
}

/* Any order actor can read a list; those of all shards share the work. */
static void on_order_list(struct bridge *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    if (!admitted(self, in, now, out)) return;
    outbox_about(out, (uint32_t)((uint64_t)BODY(in, order_list)->user_id % self->shards));
    outbox_forward(out, ACTOR_order, in);
}

static void handle_one(struct bridge *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch ((enum message_id)in->head.type) {
    case MSG_account_create:
    case MSG_session_create:
    case MSG_session_refresh: outbox_forward(out, ACTOR_session, in); return;
    case MSG_session_delete:
    case MSG_ticket_create: pass_on(self, in, ACTOR_session, now, out); return;
    case MSG_order_list: on_order_list(self, in, now, out); return;
    case MSG_order_cancel: on_order_cancel(self, in, now, out); return;
    case MSG_payment_create: on_payment_create(self, in, now, out); return;
    case MSG_payment_callback: outbox_forward(out, ACTOR_payment, in); return;
    case MSG_order_get: bridge_on_order_get(self, in, now, out); return;
    case MSG_order_create: bridge_on_order_create(self, in, now, out); return;
    case MSG_sale_list: bridge_on_sale_list(self, in, out); return;
    case MSG_sale_get: bridge_on_sale_get(self, in, out); return;
    case MSG_held: bridge_on_held(self, in); return;
    case MSG_order_view: bridge_on_decision(self, in, out); return;
    case MSG_failed:
        if (in->head.origin == ACTOR_bridge && BODY(in, failed)->what != MSG_revoked_load) {
            bridge_on_decision(self, in, out);
        }
        return; /* Otherwise news or a snapshot, which are asked for again. */
    case MSG_lot_hint: bridge_on_lot_hint(self, in, now); return;
    case MSG_sale_view: bridge_on_sale_view(self, in); return;
    case MSG_lot_view: bridge_on_lot_view(self, in); return;
    case MSG_session_revoked: bridge_on_session_revoked(self, in, now); return;
    case MSG_rows_end: on_rows_end(self, in, out); return;
    case MSG_started:
        bridge_tell_ready(self, out); /* It cannot yet. */
        break;
    case MSG_tick: break;
    case MSG_stop: on_stop(self, out); return;
    case MSG_settings: take_settings(self, BODY(in, settings)); return;
    default: outbox_reply_failed(out, in, PROBLEM_malformed); return;
    }
    on_time(self, now, out);
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct bridge *self = state;
    for (uint32_t i = 0; i < count; i++)
        handle_one(self, &in[i], now, out);
    bridge_end_holds(self, now, out);
}

static void check(const void *state) {
    const struct bridge *self = state;
    assert(self->in_flight <= PURCHASES_MAX);
    assert(self->queue_count <= PURCHASES_MAX * 2);
    assert(self->in_flight <= self->queue_count);
    assert(self->lot_count <= LOTS_MAX && self->sale_count <= SALES_MAX);
}

const struct actor_type bridge_type = {
    .name = "bridge",
    .address = ACTOR_bridge,
    .state_size = sizeof(struct bridge),
    .batch_max = 256,
    .sends_max = 1024, /* Three of its own; the rest lets holds that end together go out. */
    .tick_every = 10 * MS,
    .init = init,
    .handle = handle,
    .check = check,
};
