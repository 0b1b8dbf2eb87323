#include "broker/link_mesh.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/frame.h"
#include "broker/log.h"
#include "broker/socket.h"
#include "config/config.h"

enum { HANDSHAKE_MS = 3000, HEARTBEAT_MS = 1000, SILENCE_MS = 3000, RECONNECT_MS = 100 };
enum { RECONNECT_MAX_MS = 2000, HWM_MORE = 4096 };

static bool complain(const char *what, const char *value) {
    log_error("link", "cannot be used", LOG_TEXT("why", what), LOG_TEXT("value", value), LOG_END);
    return false;
}

/* ---- Opening ---- */

static bool open_curve(struct link_mesh *self) {
    const struct config *config = self->config;
    char error[1200];
    if (config->curve_file[0] == 0) {
        if (curve_needed(config->node_listen, config->curve_loopback_plain))
            return complain("tcp needs CURVE: set curve.file and curve.nodes", config->node_listen);
        return true;
    }
    if (!curve_load(config->curve_file, &self->curve, error, sizeof error))
        return complain("curve.file cannot be used", error);
    if (strcmp(self->curve.name, self->name) != 0)
        return complain("the name in curve.file must be node.name", self->curve.name);
    struct zap_domain domain = { "nodes", config->curve_nodes };
    self->zap = zap_open(self->zmq, &domain, 1);
    self->named = strncmp(self->config->node_listen, "tcp://", 6) == 0;
    return self->zap != NULL;
}

static void measure(struct link_mesh *self) {
#define COUNTER(name, help) metrics_counter(name, help, METRIC_NO_LABELS)
    self->sent = COUNTER("link_sent_total", "Messages sent to other nodes.");
    self->received = COUNTER("link_received_total", "Messages received from other nodes.");
    self->full = COUNTER("link_full_total", "Requests not taken for a link that was full.");
    self->gone = COUNTER("link_gone_total", "Messages not taken for a node that is away.");
    self->gap = COUNTER("link_gap_total", "Messages that never arrived, found by their numbers.");
    self->dropped = COUNTER("link_dropped_total", "Messages kept for a node that went away.");
    self->stale = COUNTER("link_stale_total", "Frames for an earlier process on our endpoint.");
    self->version_refused =
        COUNTER("link_version_refused_total", "Frames and nodes with no protocol in common.");
    self->malformed = COUNTER("link_malformed_total", "Frames from nodes that are none.");
    self->impostor = COUNTER("link_impostor_total", "Frames under the number of another node.");
    self->skipped = COUNTER("link_skipped_total", "Messages from nodes that we do not know.");
#undef COUNTER
}

struct link_mesh *link_mesh_open(const struct link_setup *setup) {
    struct link_mesh *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->config = setup->config;
    self->node = setup->node;
    self->protocol_min = setup->protocol_min ? setup->protocol_min : PROTOCOL_OLDEST;
    self->protocol_max = setup->protocol_max ? setup->protocol_max : PROTOCOL_NEWEST;
    snprintf(self->name, sizeof self->name, "%s", setup->name);
    pthread_mutex_init(&self->lock, NULL);
    measure(self);
    self->zmq = zmq_ctx_new();
    if (open_curve(self)) return self;
    link_mesh_close(self);
    return NULL;
}

void link_mesh_close(struct link_mesh *self) {
    if (self == NULL) return;
    zap_close(self->zap);
    zmq_ctx_term(self->zmq);
    pthread_mutex_destroy(&self->lock);
    sodium_memzero(&self->curve, sizeof self->curve);
    free(self);
}

void link_mesh_peers(struct link_mesh *self, const struct link_peers *peers) {
    pthread_mutex_lock(&self->lock);
    self->peers = *peers;
    atomic_fetch_add(&self->version, 1);
    pthread_mutex_unlock(&self->lock);
}

const char *link_mesh_endpoints(const struct link_mesh *self) {
    return self->endpoints;
}

const char *link_mesh_key(const struct link_mesh *self) {
    return self->curve.public_key;
}

/* ---- Sockets ---- */

static void *open_socket(struct link_mesh *self, int type, bool tcp) {
    void *socket = zmq_socket(self->zmq, type);
    int64_t most = FRAME_MAX, hwm = self->config->link_credit + HWM_MORE;
    bool good = socket != NULL && socket_set(socket, ZMQ_LINGER, 0) &&
                socket_set(socket, ZMQ_SNDHWM, hwm) && socket_set(socket, ZMQ_RCVHWM, hwm) &&
                socket_set(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
                zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0;
    if (good && type == ZMQ_PUSH)
        good = socket_set(socket, ZMQ_IMMEDIATE, 1) &&
               socket_set(socket, ZMQ_RECONNECT_IVL,
                          RECONNECT_MS + randombytes_uniform(RECONNECT_MS)) &&
               socket_set(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    if (good && tcp)
        good = socket_set(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
               socket_set(socket, ZMQ_HEARTBEAT_TIMEOUT, SILENCE_MS) &&
               socket_set(socket, ZMQ_HEARTBEAT_TTL, SILENCE_MS);
    if (good) return socket;
    log_error("link", "could not make a socket", LOG_TEXT("error", zmq_strerror(errno)), LOG_END);
    if (socket != NULL) zmq_close(socket);
    return NULL;
}

/* node.listen for one thread: a file in a folder, or the thread's port. */
static bool endpoint_of(const struct link_mesh *self, uint32_t thread, char *to, size_t size) {
    const char *listen = self->config->node_listen, *colon = strrchr(listen, ':');
    if (strncmp(listen, "ipc://", 6) == 0)
        return snprintf(to, size, "%s/%s-%u.link", listen, self->name, thread) < (int)size;
    if (strncmp(listen, "tcp://", 6) != 0 || colon < listen + 6) return false;
    if (listen[6] == '*' || strncmp(listen + 6, "0.0.0.0", 7) == 0) return false;
    long port = strtol(colon + 1, NULL, 10);
    if (port == 0) return snprintf(to, size, "%s", listen) < (int)size;
    return snprintf(to, size, "%.*s:%ld", (int)(colon - listen), listen, port + (long)thread) <
           (int)size;
}

void *link_mesh_bind(struct link_mesh *self, uint32_t thread) {
    char endpoint[LINK_ENDPOINT_SIZE];
    size_t size = sizeof endpoint, used = strlen(self->endpoints);
    bool tcp = strncmp(self->config->node_listen, "tcp://", 6) == 0;
    if (!endpoint_of(self, thread, endpoint, sizeof endpoint)) {
        complain("node.listen must be ipc://FOLDER or tcp://ADDRESS:PORT, one that others reach",
                 self->config->node_listen);
        return NULL;
    }
    void *socket = open_socket(self, ZMQ_PULL, tcp);
    if (!tcp) mkdir(self->config->node_listen + strlen("ipc://"), 0700); /* For us alone. */
    if (socket == NULL) return NULL;
    bool good = (!self->named || curve_serve(socket, &self->curve, "nodes")) &&
                socket_bind_private(socket, endpoint) &&
                zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0;
    if (good && used + size + 1 < sizeof self->endpoints) {
        snprintf(self->endpoints + used, sizeof self->endpoints - used, "%s%s", used > 0 ? " " : "",
                 endpoint);
        return socket;
    }
    log_error("link", "could not bind", LOG_TEXT("endpoint", endpoint),
              LOG_TEXT("error", zmq_strerror(errno)), LOG_END);
    zmq_close(socket);
    return NULL;
}

static bool nth_word(const char *words, uint32_t nth, char *to, size_t size) {
    while (nth-- > 0) {
        words += strcspn(words, " ");
        words += strspn(words, " ");
    }
    size_t length = strcspn(words, " ");
    if (length == 0 || length >= size) return false;
    snprintf(to, size, "%.*s", (int)length, words);
    return true;
}

void *link_mesh_connect(struct link_mesh *self, const struct link_peer *peer, uint32_t thread) {
    char endpoint[LINK_ENDPOINT_SIZE];
    if (!nth_word(peer->endpoints, thread, endpoint, sizeof endpoint)) return NULL;
    bool tcp = strncmp(endpoint, "tcp://", 6) == 0;
    if (tcp && peer->key[0] == 0 && curve_needed(endpoint, self->config->curve_loopback_plain)) {
        complain("tcp needs CURVE, and the node has shown no key", peer->name);
        return NULL;
    }
    void *socket = open_socket(self, ZMQ_PUSH, tcp);
    if (socket == NULL) return NULL;
    bool good = (!tcp || peer->key[0] == 0 || curve_connect(socket, &self->curve, peer->key)) &&
                zmq_connect(socket, endpoint) == 0;
    if (good) return socket;
    log_error("link", "could not connect", LOG_TEXT("endpoint", endpoint),
              LOG_TEXT("error", zmq_strerror(errno)), LOG_END);
    zmq_close(socket);
    return NULL;
}
