/* The operators' door: a ZeroMQ ROUTER on an ipc socket that only its owner can open.  A request is
 * one frame (broker/frame.h), every message of its answer another one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#include "broker/frame.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/port.h"
#include "config/config.h"

enum { CLIENTS_MAX = 256, IDENTITY_MAX = 255, REQUEST_MAX = 65536 };

static const int64_t answer_max = INT64_C(30000000000); /* Then the operator hears unavailable. */

struct client {
    bool used;
    bool rows; /* The answer is a list that ends with rows_end. */
    uint32_t generation;
    uint32_t identity_size;
    int64_t since;
    uint8_t identity[IDENTITY_MAX];
};

struct port {
    void *context;
    void *router;
    uint64_t traces;
    struct metric_counter *refused;
    struct batch incoming; /* Requests of this step: their texts are sent on when it returns. */
    struct client clients[CLIENTS_MAX];
};

enum answers { ONE, ROWS };

static const struct {
    enum message_id message;
    enum address actor;
    enum answers answers;
} doors[] = {
#define DOOR(noun, verb, message, actor, preset, answers, doc, example)                            \
    { MSG_##message, actor, answers },
#include "schema/doors.def"
#undef DOOR
};

/* The socket's file is made with mode 0600 from the start. */
static bool bind_private(void *router, const char *endpoint) {
    mode_t old = umask(0177);
    int code = zmq_bind(router, endpoint);
    umask(old);
    return code == 0;
}

static void close_port(struct port *self) {
    if (self == NULL) return;
    if (self->router != NULL) zmq_close(self->router);
    if (self->context != NULL) zmq_ctx_term(self->context);
    batch_fini(&self->incoming);
    free(self);
}

static struct port *open_port(const struct port_setup *setup) {
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    int linger = (int)(setup->config->host_linger / 1000000), one = 1;
    int64_t most = REQUEST_MAX;
    self->refused = metrics_counter("door_refused_total", "Operators' frames that were refused.",
                                    METRIC_NO_LABELS);
    self->context = zmq_ctx_new();
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    zmq_setsockopt(self->router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(self->router, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(self->router, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (!bind_private(self->router, setup->config->door_endpoint)) {
        log_error("door", "could not open", LOG_TEXT("endpoint", setup->config->door_endpoint),
                  LOG_TEXT("error", zmq_strerror(errno)), LOG_END);
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

static void send_to(struct port *self, const struct client *client, const struct message *message) {
    struct frame frame = { 0 };
    frame_append(&frame, message);
    int sent =
        zmq_send(self->router, client->identity, client->identity_size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    if (sent >= 0) sent = zmq_send(self->router, frame.bytes, frame.size, ZMQ_DONTWAIT);
    if (sent < 0) metric_add(self->refused, 1); /* The operator has gone, or does not read. */
    frame_fini(&frame);
}

static void send_failed(struct port *self, const struct client *client, enum problem problem,
                        const char *field, const char *detail) {
    struct failed body = { .problem = problem, .field = text_of(field), .detail = text_of(detail) };
    send_to(self, client, &(struct message){ { .type = MSG_failed, .from = PORT_door }, &body });
}

static bool ends_answer(const struct client *client, const struct message *message) {
    return !client->rows || message->head.type == MSG_failed || message->head.type == MSG_rows_end;
}

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    (void)now, (void)out;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t index = in[i].head.request & UINT32_MAX;
        if (in[i].head.type == MSG_stop || index >= CLIENTS_MAX) continue;
        struct client *client = &self->clients[index];
        if (!client->used || client->generation != (uint32_t)(in[i].head.request >> 32)) continue;
        send_to(self, client, &in[i]);
        if (ends_answer(client, &in[i])) client->used = false;
    }
}

/* ---- Requests ---- */

static struct client *client_free(struct port *self, int64_t now) {
    for (struct client *client = self->clients; client < self->clients + CLIENTS_MAX; client++) {
        if (!client->used || now - client->since > answer_max) return client;
    }
    return NULL;
}

/* The figures of /metrics as rows; histograms only as sum and count. */
static void answer_status(struct port *self, const struct client *client) {
    static char text[1 << 18];
    uint32_t rows = 0;
    metrics_write(text, sizeof text);
    for (char *line = text, *next; line != NULL && *line != 0; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) *next++ = 0;
        char *space = strrchr(line, ' ');
        if (line[0] == '#' || space == NULL || strstr(line, "_bucket{") != NULL) continue;
        struct status_row row = { .name = { line, (uint32_t)(space - line) },
                                  .value = (int64_t)strtod(space + 1, NULL) };
        if (row.name.size > 120) continue;
        send_to(self, client,
                &(struct message){ { .type = MSG_status_row, .from = PORT_door }, &row });
        rows++;
    }
    struct rows_end end = { .what = MSG_status_get, .count = rows };
    send_to(self, client, &(struct message){ { .type = MSG_rows_end, .from = PORT_door }, &end });
}

static void pass_on(struct port *self, struct client *client, const struct message *message,
                    int64_t now, struct outbox *out) {
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++) {
        if (message->head.type != (uint16_t)doors[i].message) continue;
        if (doors[i].actor == NOBODY) {
            answer_status(self, client);
            return;
        }
        client->used = true;
        client->generation++;
        client->since = now;
        client->rows = doors[i].answers == ROWS;
        struct message asked = *message;
        asked.head = (struct head){ .type = message->head.type,
                                    .origin = PORT_door,
                                    .node = out->node,
                                    .request = (uint64_t)client->generation << 32 |
                                               (uint64_t)(client - self->clients),
                                    .trace = (uint64_t)now ^ ++self->traces << 48 };
        asked.head.from = PORT_door;
        outbox_forward(out, doors[i].actor, &asked);
        return;
    }
    send_failed(self, client, PROBLEM_forbidden, "", "this message is not an operator's command");
}

/* CONTEXT fields are ours to fill, here as in HTTP. */
static const char *context_given(const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->need == CONTEXT && field_present(field, message->body)) return field->name;
    }
    return NULL;
}

static void take_frame(struct port *self, struct client *client, const uint8_t *bytes, size_t size,
                       int64_t now, struct outbox *out) {
    uint32_t before = self->incoming.count;
    bool good = size > 0 && frame_read(bytes, size, &self->incoming);
    if (!good || self->incoming.count != before + 1) {
        metric_add(self->refused, 1);
        send_failed(self, client, PROBLEM_malformed, "", "frame must hold one valid message");
    } else {
        const struct message *message = &self->incoming.items[before];
        const char *given = context_given(message);
        if (given != NULL)
            send_failed(self, client, PROBLEM_unknown_field, given, "");
        else
            pass_on(self, client, message, now, out);
    }
}

static bool more_parts(void *socket) {
    int more = 0;
    size_t size = sizeof more;
    zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
    return more != 0;
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    static struct client overflow; /* To say no to one operator too many. */
    batch_reset(&self->incoming);
    while (outbox_room(out) > 8) {
        zmq_msg_t identity, body;
        zmq_msg_init(&identity);
        zmq_msg_init(&body);
        if (zmq_msg_recv(&identity, self->router, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&identity);
            zmq_msg_close(&body);
            return;
        }
        while (more_parts(self->router))
            zmq_msg_recv(&body, self->router, ZMQ_DONTWAIT);
        struct client *client = client_free(self, now);
        bool full = client == NULL;
        if (full) client = &overflow;
        client->identity_size = (uint32_t)zmq_msg_size(&identity);
        if (client->identity_size <= IDENTITY_MAX) {
            memcpy(client->identity, zmq_msg_data(&identity), client->identity_size);
            if (full)
                send_failed(self, client, PROBLEM_overloaded, "", "too many operators");
            else
                take_frame(self, client, zmq_msg_data(&body), zmq_msg_size(&body), now, out);
        }
        zmq_msg_close(&identity);
        zmq_msg_close(&body);
    }
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    size_t size = sizeof fds[0].fd;
    if (max == 0) return 0;
    fds[0].events = POLLIN;
    zmq_getsockopt(self->router, ZMQ_FD, &fds[0].fd, &size);
    return 1;
}

/* The descriptor is edge-triggered: what was missed is found this much later. */
static int64_t timeout(struct port *self, int64_t now) {
    int events = 0;
    size_t size = sizeof events;
    (void)now;
    zmq_getsockopt(self->router, ZMQ_EVENTS, &events, &size);
    return (events & ZMQ_POLLIN) != 0 ? 0 : -1;
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
