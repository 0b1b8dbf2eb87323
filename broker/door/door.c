#include "broker/door/door.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/crash.h"
#include "broker/curve.h"
#include "broker/frame.h"
#include "broker/log.h"
#include "broker/socket.h"
#include "broker/zap.h"
#include "config/config.h"

enum { MS = 1000000 };
static const int64_t allowed_life = INT64_C(500) * MS, sweep_every = INT64_C(1000) * MS;

/* ---- Opening ---- */

static bool complain(const char *what, const char *why) {
    log_error("door", "could not open", LOG_TEXT("what", what), LOG_TEXT("error", why), LOG_END);
    return false;
}

/* The door's own key pair, made when there is none, and a place for those of operators. */
static bool prepare_keys(const struct config *config, struct curve *own) {
    char error[1200], dir[PATH_MAX], name[PATH_MAX];
    if (access(config->door_key, F_OK) != 0) {
        snprintf(dir, sizeof dir, "%s", config->door_key);
        snprintf(name, sizeof name, "%s", config->door_key);
        if (!curve_make(dirname(dir), basename(name), "", error, sizeof error))
            return complain(config->door_key, error);
    }
    if (!curve_load(config->door_key, own, error, sizeof error))
        return complain(config->door_key, error);
    if (mkdir(config->door_operators, 0700) != 0 && errno != EEXIST)
        return complain(config->door_operators, strerror(errno));
    return true;
}

static bool open_router(struct port *self, const struct config *config) {
    struct curve own;
    int64_t most = DOOR_REQUEST_MAX;
    struct zap_domain domain = { "door", config->door_operators };
    if (!prepare_keys(config, &own)) return false;
    self->context = zmq_ctx_new();
    self->zap = zap_open(self->context, &domain, 1);
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    bool good =
        self->zap != NULL && self->router != NULL && curve_serve(self->router, &own, domain.name);
    explicit_bzero(&own, sizeof own);
    if (!good) return complain(config->door_endpoint, "no encryption");
    socket_set(self->router, ZMQ_LINGER, (int)(config->host_linger / MS));
    socket_set(self->router, ZMQ_ROUTER_MANDATORY, 1);
    socket_set(self->router, ZMQ_HANDSHAKE_IVL, 3000);
    socket_set(self->router, ZMQ_SNDHWM,
               DOOR_ROWS_MAX); /* A whole list may wait for a slow reader. */
    zmq_setsockopt(self->router, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (socket_bind_private(self->router, config->door_endpoint)) return true;
    return complain(config->door_endpoint, zmq_strerror(errno));
}

static void close_port(struct port *self) {
    if (self == NULL) return;
    if (self->router != NULL) zmq_close(self->router);
    zap_close(self->zap);
    if (self->context != NULL) zmq_ctx_term(self->context);
    batch_fini(&self->incoming);
    batch_fini(&self->letter);
    for (uint32_t i = 0; i < DOOR_REQUESTS_MAX; i++)
        batch_fini(&self->requests[i].kept);
    free(self);
}

static struct port *open_port(const struct port_setup *setup) {
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->operators = setup->config->door_operators;
    self->shards = (uint32_t)setup->config->shards_count;
    self->refused = metrics_counter("door_refused_total", "Operators' frames that were refused.",
                                    METRIC_NO_LABELS);
    self->forbidden = metrics_counter(
        "door_forbidden_total", "Commands that a key had not the role for.", METRIC_NO_LABELS);
    self->commands = metrics_counter("door_commands_total", "Operators' commands carried out.",
                                     METRIC_NO_LABELS);
    if (!open_router(self, setup->config)) {
        close_port(self);
        return NULL;
    }
    return self;
}

static bool ready(const struct port *self) {
    (void)self;
    return true;
}

/* ---- Answers ---- */

void door_send(struct port *self, const struct door_client *client, const struct message *message) {
    struct frame frame = { 0 };
    frame_append(&frame, message);
    CRASH_POINT(door_answering);
    int sent =
        zmq_send(self->router, client->identity, client->identity_size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    CRASH_POINT(door_named);
    if (sent >= 0) sent = zmq_send(self->router, frame.bytes, frame.size, ZMQ_DONTWAIT);
    CRASH_POINT(door_answered);
    if (sent < 0) metric_add(self->refused, 1);
    frame_fini(&frame);
}

void door_refuse(struct port *self, const struct door_client *client, enum problem problem,
                 const char *field, const char *detail) {
    struct failed body = { .problem = problem, .field = text_of(field), .detail = text_of(detail) };
    door_send(self, client, &(struct message){ { .type = MSG_failed, .from = PORT_door }, &body });
}

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t index = in[i].head.request & UINT32_MAX;
        if (in[i].head.type == MSG_stop || index >= DOOR_REQUESTS_MAX) continue;
        struct door_request *request = &self->requests[index];
        if (request->generation != (uint32_t)(in[i].head.request >> 32)) continue;
        door_go_on(self, request, &in[i], now, out);
    }
}

/* ---- Requests ---- */

/* CONTEXT fields are ours to fill, here as in HTTP; and an operator has nobody's secrets, which the
 * record must not get. */
static const char *foreign_field(const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    for (const struct field *field = type->fields; field->name; field++) {
        bool foreign = field->need == CONTEXT || field->kind == KIND_secret;
        if (foreign && field_present(field, message->body)) return field->name;
    }
    return NULL;
}

static void judge(struct port *self, const struct door_client *client,
                  const struct message *message, int64_t now, struct outbox *out) {
    char detail[200];
    const char *given = foreign_field(message);
    const struct door_command *command = door_command_of(message);
    if (given != NULL) {
        door_refuse(self, client, PROBLEM_unknown_field, given, "");
    } else if (command == NULL) {
        metric_add(self->forbidden, 1);
        door_refuse(self, client, PROBLEM_forbidden, "",
                    "this message is not an operator's command");
    } else if (!door_allows(client->role, command)) {
        metric_add(self->forbidden, 1);
        snprintf(detail, sizeof detail, "This needs the role %s; the key %s has the role %s.",
                 state_name(KIND_role, command->role), client->who,
                 client->role ? state_name(KIND_role, client->role) : "none");
        door_refuse(self, client, PROBLEM_forbidden, "", detail);
    } else if (command->actor == NOBODY) {
        door_status(self, client, BODY(message, status_get)->buckets != 0);
    } else {
        door_begin(self, client, command, message, now, out);
    }
}

void door_take(struct port *self, const struct door_client *client, const uint8_t *bytes,
               size_t size, int64_t now, struct outbox *out) {
    uint32_t before = self->incoming.count;
    bool good = size > 0 && frame_read(bytes, size, &self->incoming);
    if (!good || self->incoming.count != before + 1) {
        metric_add(self->refused, 1);
        door_refuse(self, client, PROBLEM_malformed, "", "frame must hold one valid message");
    } else {
        judge(self, client, &self->incoming.items[before], now, out);
    }
}

/* Who sent it, by the key of his connection and the list as it is now.  False: the list has not got
 * this key any more. */
static bool recognise(struct port *self, zmq_msg_t *frame, struct door_client *client,
                      int64_t now) {
    const char *key = zmq_msg_gets(frame, "Key");
    if (key == NULL) return false;
    const struct curve *row =
        allow_find(&self->allowed, self->operators, key, now, allowed_life); /* zap logs errors. */
    if (row == NULL) return false;
    int64_t role = state_value(KIND_role, text_of(row->role));
    client->role = role > 0 ? (enum role)role : role_none;
    snprintf(client->who, sizeof client->who, "%s", row->name);
    return true;
}

/* One request of one or more parts; the last is the frame.  False: there is none. */
static bool take_one(struct port *self, int64_t now, struct outbox *out) {
    struct door_client client = { 0 };
    zmq_msg_t identity, body;
    bool some = socket_receive(self->router, &identity, &body);
    if (some && zmq_msg_size(&identity) > DOOR_IDENTITY_MAX) metric_add(self->refused, 1);
    if (some && zmq_msg_size(&identity) <= DOOR_IDENTITY_MAX) {
        client.identity_size = (uint32_t)zmq_msg_size(&identity);
        memcpy(client.identity, zmq_msg_data(&identity), client.identity_size);
        if (recognise(self, &body, &client, now)) {
            door_take(self, &client, zmq_msg_data(&body), zmq_msg_size(&body), now, out);
        } else {
            metric_add(self->forbidden, 1);
            door_refuse(self, &client, PROBLEM_forbidden, "", "This key may not come in any more.");
        }
    }
    zmq_msg_close(&identity);
    zmq_msg_close(&body);
    return some;
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    batch_reset(&self->incoming);
    while (outbox_room(out) > 8 && take_one(self, now, out))
        continue;
    if (now - self->swept_at >= sweep_every || now < self->swept_at) {
        self->swept_at = now;
        door_sweep(self, now, out);
    }
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    return socket_poll(self->router, fds, max);
}

static int64_t timeout(struct port *self, int64_t now) {
    (void)now;
    return socket_readable(self->router) ? 0 : sweep_every;
}

const struct port_type door_port = {
    .name = "door",
    .batch_max = 64,
    .open = open_port,
    .close = close_port,
    .ready = ready,
    .handle = handle,
    .poll = poll_fds,
    .timeout = timeout,
    .step = step,
};
