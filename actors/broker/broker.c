/* node_hello, node_beat, node_bye -> node_welcome, node_unknown, node_map;  operators' questions
 */
#include "actors/broker/broker.h"

#include <assert.h>
#include <string.h>

static void init(void *state, const struct actor_setup *setup) {
    struct broker *self = state;
    self->shards = setup->shards > 0 ? setup->shards : 1;
    for (uint32_t i = 0; i < SHARDS_MAX; i++)
        self->shard_owner[i] = BROKER_NOBODY;
    for (uint32_t i = 0; i < ADDRESS_COUNT; i++)
        self->actor_owner[i] = BROKER_NOBODY;
}

bool broker_places(enum address address) {
    return address == ACTOR_session || address == ACTOR_catalogue || address == ACTOR_payment ||
           address == ACTOR_notifier || address == ACTOR_broker;
}

struct broker_node *broker_by_name(struct broker *self, struct text name) {
    for (struct broker_node *node = self->nodes; node < self->nodes + BROKER_NODES_MAX; node++) {
        if (node->used && text_is(name, node->name)) return node;
    }
    return NULL;
}

void broker_event(struct outbox *out, const char *event, const struct broker_node *node,
                  struct text detail) {
    struct node_event *body = SEND(out, PORT_member, node_event, NULL);
    body->event = text_of(event);
    body->name = outbox_printf(out, "%s", node->name); /* The node may be forgotten by then. */
    body->detail = detail;
}

static void on_failed(struct broker *self, const struct message *in, struct outbox *out) {
    if (in->head.from != PORT_pg_shop)
        broker_on_answer(self, in, out);
    else
        broker_on_lease_failed(self, in);
}

/* Whoever sent it has written it to the log as well, so nobody waits for the answer. */
static void keep_letter(const struct message *in, struct outbox *out) {
    *ASK(out, PORT_pg_shop, dead_letter_add, NOBODY, 0, in->head.trace) =
        *BODY(in, dead_letter_add);
}

static void on_message(struct broker *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch (in->head.type) {
    case MSG_node_hello: broker_on_hello(self, in, now, out); break;
    case MSG_node_beat: broker_on_beat(self, in, now, out); break;
    case MSG_node_bye: broker_on_bye(self, in, out); break;
    case MSG_worker_leased: broker_on_leased(self, in, now, out); break;
    case MSG_node_list: broker_on_node_list(self, in, now, out); break;
    case MSG_shard_list: broker_on_shard_list(self, in, out); break;
    case MSG_shard_move: broker_on_shard_move(self, in, out); break;
    case MSG_shard_rebuild: broker_on_shard_rebuild(self, in, out); break;
    case MSG_actor_list:
    case MSG_actor_restart:
    case MSG_node_status:
    case MSG_node_trace: broker_on_question(self, in, now, out); break;
    case MSG_dead_letter_add: keep_letter(in, out); break;
    case MSG_actor_row:
    case MSG_status_row:
    case MSG_trace_row:
    case MSG_done:
    case MSG_rows_end: broker_on_answer(self, in, out); break;
    case MSG_failed: on_failed(self, in, out); break;
    case MSG_stop: REPLY(out, in, stopped); break;
    default: break; /* started, tick: time is looked at after every batch. */
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct broker *self = state;
    if (self->publish_from == 0) self->publish_from = now + BROKER_LIVENESS;
    for (uint32_t i = 0; i < count; i++)
        on_message(self, &in[i], now, out);
    broker_look_after(self, now, out);
    broker_end_queries(self, now, out);
    if (now < self->publish_from) return;
    broker_place(self, out);
    if (self->changed) broker_publish(self, out);
}

static void check_owner(const struct broker *self, uint16_t owner) {
    (void)self;
    assert(owner == BROKER_NOBODY || (self->nodes[owner].used && self->nodes[owner].settled));
}

static void check(const void *state) {
    const struct broker *self = state;
    for (uint32_t i = 0; i < SHARDS_MAX; i++)
        check_owner(self, self->shard_owner[i]);
    for (uint32_t i = 0; i < ADDRESS_COUNT; i++)
        check_owner(self, self->actor_owner[i]);
}

const struct actor_type broker_type = {
    .name = "broker",
    .address = ACTOR_broker,
    .state_size = sizeof(struct broker),
    .batch_max = 64,
    .sends_max = 1200, /* A whole map, the rows of all nodes, what is to be told about each. */
    .tick_every = BROKER_SECOND / 4,
    .init = init,
    .handle = handle,
    .check = check,
};
