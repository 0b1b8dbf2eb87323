/* One command from the client to the record, to its actor and back. */
#include <inttypes.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/door/door.h"
#include "schema/id.h"
#include "schema/json.h"

static const int64_t answer_max = INT64_C(30000000000);
enum { BODY_MAX = 1024, FIELDS_MAX = 65536 };

static void release(struct door_request *request) {
    batch_fini(&request->kept);
    request->stage = DOOR_free;
}

static struct door_request *take(struct port *self, int64_t now) {
    for (uint32_t i = 0; i < DOOR_REQUESTS_MAX; i++) {
        struct door_request *request = &self->requests[i];
        if (request->stage != DOOR_free) continue;
        *request = (struct door_request){ .generation = request->generation + 1, .since = now };
        batch_init(&request->kept);
        return request;
    }
    return NULL;
}

static uint64_t number_of(const struct port *self, const struct door_request *request) {
    return (uint64_t)request->generation << 32 | (uint64_t)(request - self->requests);
}

/* ---- To the record ---- */

static void *ask_record(struct port *self, const struct door_request *request, enum message_id id,
                        struct outbox *out) {
    return outbox_ask(out, PORT_pg_shop, id, PORT_door, number_of(self, request), request->trace);
}

/* The number that names what the command is about, in the request or its answer; else 0. */
static int64_t thing_in(const struct door_command *command, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    const struct field *field = field_named(type, text_of(command->about));
    return field != NULL && field->kind == KIND_id ? field_number(field, message->body) : 0;
}

static void record(struct port *self, struct door_request *request, int64_t now,
                   struct outbox *out) {
    static char fields[FIELDS_MAX];
    char name[41];
    const struct message *message = &request->kept.items[0];
    struct json_out json = { .at = fields, .capacity = sizeof fields };
    json_write(&json, message_type((enum message_id)message->head.type), message->body);
    door_command_name(request->command, name, sizeof name);
    char *copy = outbox_text(out, json.size + 1);
    memcpy(copy, fields, json.size);
    struct audit_begin begin = { .now = now,
                                 .who = text_of(request->client.who),
                                 .role = request->client.role,
                                 .command = outbox_printf(out, "%s", name),
                                 .fields = { copy, (uint32_t)json.size },
                                 .trace = outbox_printf(out, "%016" PRIx64, request->trace),
                                 .about = text_of(request->command->about),
                                 .id = request->thing };
    request->stage = DOOR_recording;
    *(struct audit_begin *)ask_record(self, request, MSG_audit_begin, out) = begin;
}

static void close_record(struct port *self, struct door_request *request, enum problem problem,
                         int64_t now, struct outbox *out) {
    request->stage = DOOR_closing;
    request->since = now;
    struct audit_end *end = ask_record(self, request, MSG_audit_end, out);
    end->audit_id = request->audit_id;
    end->now = now;
    end->outcome = text_of(problem == PROBLEM_none ? "done" : problem_name(problem));
    end->id = request->thing;
}

/* ---- To the actor ---- */

/* What the door knows better than the client: the time and his name. */
static void fill_context(const struct door_request *request, const struct message_type *type,
                         void *body, int64_t now) {
    const struct field *field = field_named(type, text_of("now"));
    if (field != NULL && field->need == CONTEXT) field_set_number(field, body, now);
    field = field_named(type, text_of("who"));
    struct text who = text_of(request->client.who);
    if (field != NULL && field->need == CONTEXT)
        memcpy((char *)body + field->offset, &who, sizeof who);
}

/* An order's number says which shard has it; a command may name one itself. */
static void choose_shard(const struct port *self, const struct message_type *type, const void *body,
                         struct outbox *out) {
    const struct field *order = field_named(type, text_of("order_id"));
    const struct field *shard = field_named(type, text_of("shard"));
    if (order != NULL)
        outbox_about(out, id_shard(field_number(order, body), self->shards));
    else if (shard != NULL)
        outbox_about(out, (uint32_t)field_number(shard, body));
}

static void carry_out(struct port *self, struct door_request *request, int64_t now,
                      struct outbox *out) {
    _Alignas(16) char body[BODY_MAX];
    const struct message *kept = &request->kept.items[0];
    const struct message_type *type = message_type((enum message_id)kept->head.type);
    struct order_cancel cancel = { 0 };
    struct message asked = { { .type = kept->head.type,
                               .from = PORT_door,
                               .origin = PORT_door,
                               .node = out->node,
                               .shard = out->shard,
                               .request = number_of(self, request),
                               .trace = request->trace },
                             body };
    memcpy(body, kept->body, type->size);
    fill_context(request, type, body, now);
    request->stage = DOOR_carried;
    metric_add(self->commands, 1);
    if (type->id == MSG_order_withdraw) { /* The reason is in the record. */
        cancel.order_id = BODY(kept, order_withdraw)->order_id;
        asked.head.type = MSG_order_cancel;
        asked.body = &cancel;
    }
    if (address_is_sharded(request->command->actor)) choose_shard(self, type, body, out);
    CRASH_POINT(door_taken);
    outbox_forward(out, request->command->actor, &asked);
    CRASH_POINT(door_passed);
}

void door_begin(struct port *self, const struct door_client *client,
                const struct door_command *command, const struct message *message, int64_t now,
                struct outbox *out) {
    struct door_request *request = take(self, now);
    if (request == NULL) {
        metric_add(self->refused, 1);
        door_refuse(self, client, PROBLEM_overloaded, "", "too many commands at once");
        return;
    }
    request->client = *client;
    request->command = command;
    request->trace = (uint64_t)now ^ ++self->traces << 48;
    batch_append(&request->kept, message);
    request->thing = thing_in(command, &request->kept.items[0]);
    if (door_audited(command))
        record(self, request, now, out);
    else
        carry_out(self, request, now, out);
}

/* ---- And back ---- */

/* An answer of the record?  What comes late from the actor is none. */
static bool is_of(const struct message *in, enum message_id asked) {
    if (in->head.type == MSG_done) return BODY(in, done)->what == asked;
    return in->head.type == MSG_failed && BODY(in, failed)->what == asked;
}

static void on_recorded(struct port *self, struct door_request *request, const struct message *in,
                        int64_t now, struct outbox *out) {
    if (in->head.type == MSG_done) {
        request->audit_id = BODY(in, done)->id;
        carry_out(self, request, now, out);
    } else {
        door_refuse(self, &request->client, PROBLEM_unavailable, "",
                    "The command could not be written to the record, so it was not carried out.");
        release(request);
    }
}

static void on_answer(struct port *self, struct door_request *request, const struct message *in,
                      int64_t now, struct outbox *out) {
    bool failed = in->head.type == MSG_failed;
    bool last = request->command->answers == ONE || failed || in->head.type == MSG_rows_end;
    if (in->head.type == MSG_dead_row) {
        door_letter(self, request, in, out);
        in = &self->letter.items[self->letter.count - 1];
    }
    if (!last || request->audit_id == 0) {
        door_send(self, &request->client, in);
        if (last) release(request);
        return;
    }
    if (request->thing == 0) request->thing = thing_in(request->command, in);
    enum problem problem = failed ? BODY(in, failed)->problem : PROBLEM_none;
    batch_reset(&request->kept);
    batch_append(&request->kept, in);
    close_record(self, request, problem, now, out);
}

static void on_closed(struct port *self, struct door_request *request) {
    door_send(self, &request->client, &request->kept.items[0]);
    release(request);
}

void door_go_on(struct port *self, struct door_request *request, const struct message *in,
                int64_t now, struct outbox *out) {
    switch (request->stage) {
    case DOOR_free: return;
    case DOOR_recording:
        if (is_of(in, MSG_audit_begin)) on_recorded(self, request, in, now, out);
        return;
    case DOOR_carried: on_answer(self, request, in, now, out); return;
    case DOOR_closing: /* Recorded or not: it was done. */
        if (is_of(in, MSG_audit_end)) on_closed(self, request);
        return;
    }
}

void door_sweep(struct port *self, int64_t now, struct outbox *out) {
    for (uint32_t i = 0; i < DOOR_REQUESTS_MAX && outbox_room(out) > 0; i++) {
        struct door_request *request = &self->requests[i];
        if (request->stage == DOOR_free || now - request->since < answer_max) continue;
        struct failed late = { .problem = PROBLEM_unavailable,
                               .what = request->stage == DOOR_recording ? MSG_audit_begin
                                       : request->stage == DOOR_closing ? MSG_audit_end
                                                                        : 0,
                               .detail = text_of("There was no answer; it may have been done.") };
        struct message answer = { { .type = MSG_failed, .from = PORT_door }, &late };
        door_go_on(self, request, &answer, now, out);
    }
}
