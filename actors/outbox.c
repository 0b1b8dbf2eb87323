#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "actors/actor.h"

static const char *const names[ADDRESS_COUNT] = {
    [NOBODY] = "nobody",
    [ACTOR_bridge] = "bridge",
    [ACTOR_session] = "session",
    [ACTOR_catalogue] = "catalogue",
    [ACTOR_inventory] = "inventory",
    [ACTOR_order] = "order",
    [ACTOR_payment] = "payment",
    [ACTOR_timer] = "timer",
    [ACTOR_notifier] = "notifier",
    [ACTOR_broker] = "broker",
    [PORT_http] = "http",
    [PORT_door] = "door",
    [PORT_redis] = "redis",
    [PORT_pg_shard] = "pg_shard",
    [PORT_pg_shop] = "pg_shop",
    [PORT_hash] = "hash",
    [PORT_pay] = "pay",
    [PORT_mail] = "mail",
    [PORT_directory] = "directory",
    [PORT_member] = "member",
};

const char *address_name(enum address address) {
    return (unsigned)address < ADDRESS_COUNT ? names[address] : "?";
}

bool address_is_port(enum address address) {
    return address >= PORT_http;
}

const void *message_body(const struct message *message, enum message_id id) {
    assert(message->head.type == (uint16_t)id);
    return message->body;
}

static void choose_shard(struct outbox *out, struct head *head) {
    if (out->about == 0) return;
    head->shard = (uint8_t)(out->about - 1);
    out->about = 0;
}

static void *send_with(struct outbox *out, struct head *head, enum address to, enum message_id id) {
    const struct message_type *type = message_type(id);
    assert(type != NULL);
    choose_shard(out, head);
    assert(out->count < out->capacity && "sends_max is too small");
    out->count++;
    head->type = (uint16_t)id;
    head->from = (uint8_t)out->self;
    head->to = (uint8_t)to;
    void *body = out->take(out->sink, head, type);
    memset(body, 0, type->size);
    return body;
}

void *outbox_send(struct outbox *out, enum address to, enum message_id id,
                  const struct message *cause) {
    struct head head = { .shard = out->shard, .node = out->node };
    if (cause != NULL) head = cause->head;
    if (head.node == NODE_EVERY) head.node = out->node; /* What follows from news is our own. */
    if (id != MSG_reserve) head.deadline = 0; /* What follows from a reserve never expires. */
    return send_with(out, &head, to, id);
}

void *outbox_reply(struct outbox *out, const struct message *cause, enum message_id id) {
    return outbox_send(out, (enum address)cause->head.from, id, cause);
}

void *outbox_answer(struct outbox *out, const struct message *cause, enum message_id id) {
    return outbox_send(out, (enum address)cause->head.origin, id, cause);
}

void *outbox_ask(struct outbox *out, enum address to, enum message_id id, enum address origin,
                 uint64_t request, uint64_t trace) {
    struct head head = { .shard = out->shard,
                         .node = out->node,
                         .origin = (uint8_t)origin,
                         .request = request,
                         .trace = trace,
                         .deadline = out->deadline };
    out->deadline = 0;
    return send_with(out, &head, to, id);
}

void *outbox_every(struct outbox *out, enum address to, enum message_id id) {
    struct head head = { .shard = out->shard, .node = NODE_EVERY };
    return send_with(out, &head, to, id);
}

void outbox_forward(struct outbox *out, enum address to, const struct message *message) {
    struct head head = message->head;
    const struct message_type *type = message_type((enum message_id)head.type);
    assert(out->count < out->capacity && "sends_max is too small");
    out->count++;
    choose_shard(out, &head);
    head.to = (uint8_t)to;
    memcpy(out->take(out->sink, &head, type), message->body, type->size);
}

struct failed *outbox_refuse_with(struct outbox *out, const struct message *cause,
                                  enum problem problem) {
    struct failed *failed = ANSWER(out, cause, failed);
    failed->problem = problem;
    failed->what = cause->head.type;
    return failed;
}

void outbox_refuse(struct outbox *out, const struct message *cause, enum problem problem) {
    outbox_refuse_with(out, cause, problem);
}

void outbox_reply_failed(struct outbox *out, const struct message *cause, enum problem problem) {
    struct failed *failed = REPLY(out, cause, failed);
    failed->problem = problem;
    failed->what = cause->head.type;
}

char *outbox_text(struct outbox *out, size_t size) {
    return out->text(out->sink, size);
}

struct text outbox_printf(struct outbox *out, const char *format, ...) {
    enum { MOST = 1000 };
    char line[MOST + 1];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    uint32_t size = length < 0 ? 0 : length > MOST ? MOST : (uint32_t)length;
    char *at = outbox_text(out, size + 1);
    memcpy(at, line, size);
    at[size] = 0;
    return (struct text){ at, size };
}

void outbox_ready(struct outbox *out, bool yes, uint8_t *told) {
    uint8_t news = yes ? 2 : 1;
    if (*told == news) return;
    *told = news;
    SEND(out, NOBODY, ready, NULL)->yes = yes;
}
