/* PORT_directory: nodes, seen from the broker.  Connections are told apart by their identities; the
 * actor knows each as a number, 0 means all of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/directory/directory.h"
#include "broker/frame.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/socket.h"
#include "broker/zap.h"
#include "config/config.h"

enum { PEERS_MAX = 256, IDENTITY_MAX = 255, HELLO_MAX = 65536, HWM = 1000, HANDSHAKE_MS = 3000 };

static const int64_t forget_after = INT64_C(30000000000);

struct peer {
    bool used;
    uint32_t generation;
    int64_t seen_at;
    int64_t run;                /* Of whom it has spoken, 0 = of nobody; with CURVE */
    char name[CURVE_NAME_SIZE]; /* under this key. */
    size_t size;
    uint8_t identity[IDENTITY_MAX];
};

struct port {
    void *context, *router;
    struct zap *zap;
    bool curve;
    struct batch incoming;
    struct frame set; /* A map that is not complete yet. */
    struct metric_counter *refused, *unsent;
    struct peer peers[PEERS_MAX];
};

static void close_port(struct port *self) {
    if (self == NULL) return;
    if (self->router != NULL) zmq_close(self->router);
    zap_close(self->zap);
    if (self->context != NULL) zmq_ctx_term(self->context);
    batch_fini(&self->incoming);
    frame_fini(&self->set);
    free(self);
}

static bool fail(const char *why, const char *value) {
    log_error("directory", "could not open", LOG_TEXT("why", why), LOG_TEXT("value", value),
              LOG_END);
    return false;
}

/* Keys on tcp: who connects must be a node on the allow-list. */
static bool secure(struct port *self, const struct config *config) {
    struct curve keys;
    char error[1200];
    const char *endpoint = config->broker_endpoint;
    if (strncmp(endpoint, "tcp://", 6) != 0) return true;
    if (config->curve_file[0] == 0) {
        if (curve_needed(endpoint, config->curve_loopback_plain))
            return fail("tcp needs CURVE: set curve.file and curve.nodes", endpoint);
        return true;
    }
    if (!curve_load(config->curve_file, &keys, error, sizeof error))
        return fail("curve.file cannot be used", error);
    struct zap_domain domain = { "nodes", config->curve_nodes };
    self->zap = zap_open(self->context, &domain, 1);
    self->curve = self->zap != NULL && curve_serve(self->router, &keys, "nodes");
    memset(&keys, 0, sizeof keys);
    return self->curve || fail("CURVE cannot be used", endpoint);
}

static struct port *open_port(const struct port_setup *setup) {
    struct port *self = calloc(1, sizeof *self);
    int64_t most = HELLO_MAX;
    if (self == NULL) return NULL;
    self->refused = metrics_counter("directory_refused_total", "Frames of nodes that were refused.",
                                    METRIC_NO_LABELS);
    self->unsent =
        metrics_counter("directory_unsent_total",
                        "Frames for nodes that were away; they ask again.", METRIC_NO_LABELS);
    self->context = zmq_ctx_new();
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    socket_set(self->router, ZMQ_LINGER, 0);
    socket_set(self->router, ZMQ_ROUTER_MANDATORY, 1);
    socket_set(self->router, ZMQ_SNDHWM, HWM);
    socket_set(self->router, ZMQ_RCVHWM, HWM);
    socket_set(self->router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    zmq_setsockopt(self->router, ZMQ_MAXMSGSIZE, &most, sizeof most);
    const char *endpoint = setup->config->broker_endpoint;
    if (secure(self, setup->config) &&
        (socket_bind_private(self->router, endpoint) || fail(zmq_strerror(errno), endpoint)))
        return self;
    close_port(self);
    return NULL;
}

static bool ready(const struct port *self) {
    (void)self;
    return true;
}

/* ---- To nodes ---- */

static void send_to(struct port *self, struct peer *peer, const uint8_t *bytes, size_t size) {
    CRASH_POINT(directory_sending);
    int sent = zmq_send(self->router, peer->identity, peer->size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    if (sent >= 0) sent = zmq_send(self->router, bytes, size, ZMQ_DONTWAIT);
    CRASH_POINT(directory_sent);
    if (sent >= 0) return;
    metric_add(self->unsent, 1);
    if (errno == EHOSTUNREACH) peer->used = false;
}

static void send_frame(struct port *self, uint64_t request, const uint8_t *bytes, size_t size) {
    uint64_t index = request & UINT32_MAX;
    bool any = false;
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &self->peers[i];
        if (!peer->used) continue;
        if (request != 0 && (index != i || peer->generation != (uint32_t)(request >> 32))) continue;
        send_to(self, peer, bytes, size);
        any = true;
    }
    if (!any && request != 0) metric_add(self->unsent, 1);
}

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    (void)now, (void)out;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t type = in[i].head.type;
        if (type == MSG_stop) continue;
        struct frame one = { 0 };
        bool of_map = type == MSG_map_node || type == MSG_node_map;
        struct frame *frame = of_map ? &self->set : &one;
        frame_append(frame, &in[i]);
        if (type == MSG_map_node) continue;
        send_frame(self, in[i].head.request, frame->bytes, frame->size);
        self->set.size = of_map ? 0 : self->set.size;
        self->set.count = of_map ? 0 : self->set.count;
        frame_fini(&one);
    }
}

/* ---- From nodes ---- */

static struct peer *peer_of(struct port *self, const void *identity, size_t size, int64_t now) {
    struct peer *oldest = NULL;
    for (struct peer *peer = self->peers; peer < self->peers + PEERS_MAX; peer++) {
        if (peer->used && peer->size == size && memcmp(peer->identity, identity, size) == 0)
            return peer;
        if (peer->used && now - peer->seen_at < forget_after) continue;
        if (oldest == NULL || !peer->used) oldest = peer;
    }
    if (oldest == NULL || size > IDENTITY_MAX) return NULL;
    oldest->used = true;
    oldest->generation++;
    oldest->run = 0;
    oldest->size = size;
    memcpy(oldest->identity, identity, size);
    return oldest;
}

static int64_t run_of(const struct message *message) {
    switch (message->head.type) {
    case MSG_node_hello: return BODY(message, node_hello)->run;
    case MSG_node_beat: return BODY(message, node_beat)->run;
    case MSG_node_bye: return BODY(message, node_bye)->run;
    default: return 0;
    }
}

/* A run belongs to the key that spoke of it first: nobody else beats for it or says that it ends.
 * It keeps it on a new connection. */
static bool owns_run(struct port *self, struct peer *peer, int64_t run, const char *name) {
    for (const struct peer *other = self->peers; other < self->peers + PEERS_MAX; other++) {
        if (other->used && other->run == run && strcmp(other->name, name) != 0) return false;
    }
    peer->run = run;
    snprintf(peer->name, sizeof peer->name, "%s", name);
    return true;
}

/* With CURVE a node speaks in the name of its key, and that is the key others will look for. */
static bool takes_key(struct port *self, struct peer *peer, zmq_msg_t *part,
                      struct message *message, struct node_hello *hello) {
    bool greets = message->head.type == MSG_node_hello;
    if (greets) {
        *hello = *BODY(message, node_hello);
        message->body = hello;
        hello->key = (struct text){ 0 };
    }
    if (!self->curve) return true;
    const char *name = zmq_msg_gets(part, "User-Id"), *key = zmq_msg_gets(part, "Key");
    if (name == NULL || key == NULL || (greets && !text_is(hello->name, name))) return false;
    if (greets) hello->key = text_of(key);
    return owns_run(self, peer, run_of(message), name);
}

static void take_frame(struct port *self, zmq_msg_t *identity, zmq_msg_t *part, int64_t now,
                       struct outbox *out) {
    uint32_t before = self->incoming.count;
    struct peer *peer = peer_of(self, zmq_msg_data(identity), zmq_msg_size(identity), now);
    bool good = peer != NULL && zmq_msg_size(part) > 0 &&
                frame_read(zmq_msg_data(part), zmq_msg_size(part), &self->incoming) &&
                self->incoming.count == before + 1;
    struct message message = { 0 };
    struct node_hello hello;
    if (good) {
        message = self->incoming.items[before];
        uint16_t type = message.head.type;
        good = (type == MSG_node_hello || type == MSG_node_beat || type == MSG_node_bye) &&
               takes_key(self, peer, part, &message, &hello);
    }
    if (!good) {
        metric_add(self->refused, 1);
        const char *name = self->curve ? zmq_msg_gets(part, "User-Id") : NULL;
        log_warn("directory", "frame refused", LOG_TEXT("key_of", name != NULL ? name : ""),
                 LOG_END);
        return;
    }
    peer->seen_at = now;
    message.head = (struct head){ .type = message.head.type,
                                  .from = PORT_directory,
                                  .origin = PORT_directory,
                                  .node = out->node,
                                  .request = (uint64_t)peer->generation << 32 |
                                             (uint64_t)(peer - self->peers) };
    outbox_forward(out, ACTOR_broker, &message);
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    batch_reset(&self->incoming);
    while (outbox_room(out) > 8) {
        zmq_msg_t identity, part;
        bool some = socket_receive(self->router, &identity, &part);
        if (some) take_frame(self, &identity, &part, now, out);
        zmq_msg_close(&identity);
        zmq_msg_close(&part);
        if (!some) return;
    }
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    return socket_poll(self->router, fds, max);
}

static int64_t timeout(struct port *self, int64_t now) {
    (void)now;
    return socket_readable(self->router) ? 0 : -1;
}

const struct port_type directory_port = {
    .name = "directory",
    .batch_max = 256,
    .open = open_port,
    .close = close_port,
    .ready = ready,
    .handle = handle,
    .poll = poll_fds,
    .timeout = timeout,
    .step = step,
};
