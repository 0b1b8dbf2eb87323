/* One thread's links: streams to threads of other nodes, and what comes from them. */
#include "broker/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/frame.h"
#include "broker/link_head.h"
#include "broker/link_mesh.h"
#include "broker/log.h"
#include "broker/socket.h"
#include "config/config.h"

enum { NODES_MAX = ID_WORKER_MAX + 2, PACK_MESSAGES = 256, PACK_BYTES = 256 * 1024 };
enum { TURN_MESSAGES = 8192, RETRY_MS = 5, MS = 1000000 };

static const int64_t again_after = INT64_C(10000000000);

/* A frame that waits: room for the head, then messages. */
struct pack {
    struct pack *next;
    struct frame frame;
};

/* The stream to one thread of one node, and what is known of the one from there. */
struct way {
    struct way *next;
    uint16_t node;
    uint8_t thread;
    uint8_t protocol; /* Agreed; 0 = the node is not on the map, or speaks none of ours. */
    char name[CURVE_NAME_SIZE]; /* Whose key has spoken there; empty without CURVE. */
    void *push;                 /* NULL until there is something for it. */
    struct pack *first;         /* What waits for credit or for the connection. */
    struct pack *newest;        /* The one that is being filled. */
    size_t kept;                /* Bytes that wait. */
    uint64_t stream;            /* Of ours. */
    uint64_t queued, sent;      /* Number of the last message taken, and put on the socket. */
    uint64_t acked, window;     /* Told by the other side. */
    uint64_t their_stream, heard, told; /* Of theirs: highest number seen, and acknowledged. */
    int64_t heard_at, next_probe;       /* Monotonic. */
    bool owes;                          /* Something came that has not been acknowledged. */
    bool blocked;                       /* The socket took nothing: not connected. */
    int64_t linked_at;                  /* When it last took something, or was made. */
};

struct links {
    struct link_mesh *mesh;
    uint32_t thread;
    uint32_t version; /* Of the peers copied. */
    uint64_t credit;
    size_t keep_max;
    void *pull;
    struct way *ways;
    struct way *at[NODES_MAX][HOST_THREADS_MAX];
    struct link_peers peers;
    struct metric_gauge *in_flight, *waiting;
};

/* ---- Ways ---- */

static const struct link_peer *peer_of(const struct links *self, uint16_t node) {
    for (uint32_t i = 0; i < self->peers.count; i++) {
        if (self->peers.rows[i].node == node) return &self->peers.rows[i];
    }
    return NULL;
}

/* The highest protocol that both speak; 0 when there is none. */
static uint8_t agree(const struct link_mesh *mesh, uint32_t peer_min, uint32_t peer_max) {
    return (uint8_t)protocol_common(mesh->protocol_min, mesh->protocol_max, peer_min, peer_max);
}

static struct way *way_make(struct links *self, uint16_t node, uint8_t thread) {
    struct way *way = calloc(1, sizeof *way);
    if (way == NULL) abort();
    *way = (struct way){ .next = self->ways, .node = node, .thread = thread };
    way->window = self->credit; /* Until it tells its own. */
    way->heard_at = clock_mono();
    way->stream = (uint64_t)way->heard_at;
    self->ways = way;
    self->at[node][thread] = way;
    const struct link_peer *peer = peer_of(self, node);
    if (peer != NULL) way->protocol = agree(self->mesh, peer->protocol_min, peer->protocol_max);
    return way;
}

static void pack_free(struct way *way) {
    struct pack *pack = way->first;
    way->first = pack->next;
    if (way->first == NULL) way->newest = NULL;
    way->kept -= pack->frame.size;
    frame_fini(&pack->frame);
    free(pack);
}

/* Closes it; what it kept is lost. */
static void way_close(struct links *self, struct way *way) {
    for (; way->first != NULL; pack_free(way))
        metric_add(self->mesh->dropped, way->first->frame.count);
    if (way->push != NULL) zmq_close(way->push);
    way->push = NULL;
}

static void way_forget(struct links *self, struct way **at) {
    struct way *way = *at;
    way_close(self, way);
    self->at[way->node][way->thread] = NULL;
    *at = way->next;
    free(way);
}

static bool silent(const struct way *way, int64_t mono) {
    return mono - way->heard_at > (int64_t)LINK_LIVENESS_MS * MS;
}

/* ---- Sending ---- */

static void way_append(struct way *way, const struct message *message) {
    struct pack *pack = way->newest;
    bool full =
        pack == NULL || pack->frame.count >= PACK_MESSAGES || pack->frame.size >= PACK_BYTES;
    if (full) {
        pack = calloc(1, sizeof *pack);
        if (pack == NULL) abort();
        pack->frame.capacity = 4096;
        pack->frame.bytes = malloc(pack->frame.capacity);
        if (pack->frame.bytes == NULL) abort();
        pack->frame.size = LINK_HEAD_SIZE;
        way->kept += LINK_HEAD_SIZE;
        if (way->newest != NULL)
            way->newest->next = pack;
        else
            way->first = pack;
        way->newest = pack;
    }
    size_t before = pack->frame.size;
    frame_append(&pack->frame, message);
    way->kept += pack->frame.size - before;
    way->queued++;
}

static enum links_sent refused(struct metric_counter *counter, enum links_sent answer) {
    metric_add(counter, 1);
    return answer;
}

static enum links_sent send_message(struct links *self, uint16_t node, uint8_t thread,
                                    const struct message *message, bool must) {
    struct link_mesh *mesh = self->mesh;
    if (node >= NODES_MAX || thread >= HOST_THREADS_MAX) return refused(mesh->gone, LINKS_GONE);
    struct way *way = self->at[node][thread];
    if (way == NULL && peer_of(self, node) == NULL) return refused(mesh->gone, LINKS_GONE);
    if (way == NULL) way = way_make(self, node, thread);
    if (way->protocol == 0) return refused(mesh->gone, LINKS_GONE);
    if (!must && silent(way, clock_mono())) return refused(mesh->gone, LINKS_GONE);
    if (!must && way->queued - way->acked >= way->window) return refused(mesh->full, LINKS_FULL);
    if (way->kept > self->keep_max) return refused(mesh->gone, LINKS_GONE);
    way_append(way, message);
    return LINKS_SENT;
}

static bool connected(struct links *self, struct way *way) {
    if (way->push != NULL) return true;
    const struct link_peer *peer = peer_of(self, way->node);
    if (peer == NULL || way->protocol == 0) return false;
    way->push = link_mesh_connect(self->mesh, peer, way->thread);
    way->linked_at = clock_mono();
    return way->push != NULL;
}

/* Puts a frame on the socket, with its head; an empty one when pack is NULL. */
static bool put(struct links *self, struct way *way, struct pack *pack, int64_t now) {
    uint8_t empty[LINK_HEAD_SIZE];
    uint8_t *bytes = pack != NULL ? pack->frame.bytes : empty;
    struct link_head head = { .protocol_min = (uint8_t)self->mesh->protocol_min,
                              .protocol_max = (uint8_t)self->mesh->protocol_max,
                              .protocol = way->protocol,
                              .from_thread = (uint8_t)self->thread,
                              .to_thread = way->thread,
                              .from_node = self->mesh->node,
                              .to_node = way->node,
                              .count = pack != NULL ? pack->frame.count : 0,
                              .window = (uint32_t)self->credit,
                              .stream = way->stream,
                              .first = way->sent + 1,
                              .ack_stream = way->their_stream,
                              .ack = way->heard,
                              .sent_at = way->protocol >= PROTOCOL_SENT_AT ? now : 0 };
    if (!connected(self, way)) return false;
    link_head_write(&head, bytes);
    size_t size = pack != NULL ? pack->frame.size : sizeof empty;
    CRASH_POINT(link_sending);
    way->blocked = zmq_send(way->push, bytes, size, ZMQ_DONTWAIT) < 0;
    CRASH_POINT(link_sent);
    if (way->blocked) {
        if (clock_mono() - way->linked_at < again_after) return false;
        /* ZeroMQ gives a socket up whose key was refused; it may be on the list by now. */
        zmq_close(way->push);
        way->push = NULL;
        return false;
    }
    way->linked_at = clock_mono();
    way->told = way->heard;
    way->owes = false;
    way->sent += head.count;
    metric_add(self->mesh->sent, head.count);
    return true;
}

static bool has_credit(const struct way *way) {
    uint64_t flying = way->sent - way->acked;
    /* A window smaller than a frame lets one frame through at a time. */
    return flying == 0 || flying + way->first->frame.count <= way->window;
}

static void way_flush(struct links *self, struct way *way, int64_t now, int64_t mono) {
    bool any = false;
    while (way->first != NULL && has_credit(way) && put(self, way, way->first, now)) {
        pack_free(way);
        any = true;
    }
    /* Whoever sends nothing back says at least what it has heard: a turn receives less than a
     * window or all of it, so the other side never waits for long. */
    if (way->owes && way->protocol != 0) put(self, way, NULL, now);
    if (mono < way->next_probe) return;
    way->next_probe = mono + (int64_t)LINK_PROBE_MS * MS;
    if (!any && way->protocol != 0) put(self, way, NULL, now);
}

static void flush(struct links *self, int64_t now) {
    int64_t mono = clock_mono();
    uint64_t flying = 0, waiting = 0;
    for (struct way *way = self->ways; way != NULL; way = way->next) {
        way_flush(self, way, now, mono);
        flying += way->sent - way->acked;
        waiting += way->queued - way->sent;
    }
    metric_set(self->in_flight, (int64_t)flying);
    metric_set(self->waiting, (int64_t)waiting);
}

/* ---- Receiving ---- */

static void take_numbers(struct links *self, struct way *way, const struct link_head *head) {
    way->heard_at = clock_mono();
    if (head->ack_stream == way->stream && head->ack > way->acked && head->ack <= way->sent) {
        way->acked = head->ack;
    }
    if (head->window > 0) way->window = head->window;
    if (head->stream > way->their_stream) { /* It has begun anew. */
        way->their_stream = head->stream;
        way->heard = way->told = 0;
    }
    if (head->stream < way->their_stream) return; /* Late, from before. */
    if (head->first > way->heard + 1) metric_add(self->mesh->gap, head->first - way->heard - 1);
    uint64_t last = head->first - 1 + head->count;
    if (last > way->heard) {
        way->heard = last;
        way->owes = true;
    }
}

/* With CURVE a key speaks as its own node and as no other: `name` is the one on the allow-list.  A
 * frame may be here before the map that names its node; then nobody else takes that number, and
 * follow() compares. */
static bool speaks_for_itself(struct links *self, const struct link_head *head, const char *name) {
    const struct link_peer *peer = peer_of(self, head->from_node);
    const struct way *way = self->at[head->from_node][head->from_thread];
    const char *owner = peer != NULL ? peer->name : way != NULL ? way->name : "";
    if (name != NULL && (*owner == 0 || strcmp(owner, name) == 0)) return true;
    metric_add(self->mesh->impostor, 1);
    log_warn("link", "a key speaks as another node", LOG_I64("node", head->from_node),
             LOG_TEXT("owner", owner), LOG_TEXT("key_of", name != NULL ? name : ""), LOG_END);
    return false;
}

/* Whether a frame with this head is for us, from whom it says. */
static bool accepts(struct links *self, const struct link_head *head, const char *name) {
    struct link_mesh *mesh = self->mesh;
    if (head->to_node != mesh->node) {
        metric_add(mesh->stale, 1);
        return false;
    }
    if (agree(mesh, head->protocol_min, head->protocol_max) == 0 ||
        head->protocol < mesh->protocol_min || head->protocol > mesh->protocol_max) {
        metric_add(mesh->version_refused, 1);
        log_error("link", "no protocol in common", LOG_I64("node", head->from_node),
                  LOG_I64("their_min", head->protocol_min),
                  LOG_I64("their_max", head->protocol_max), LOG_END);
        return false;
    }
    if (head->from_node == 0 || head->from_node >= NODES_MAX || head->first == 0 ||
        head->from_thread >= HOST_THREADS_MAX || head->to_thread != self->thread) {
        metric_add(mesh->malformed, 1);
        return false;
    }
    return !mesh->named || speaks_for_itself(self, head, name);
}

/* What was so far away on the sender's clock when the frame left is as far away on ours. */
static void move_deadlines(struct batch *batch, uint32_t from, int64_t sent_at, int64_t now) {
    for (uint32_t i = from; i < batch->count; i++) {
        int64_t *deadline = &batch->items[i].head.deadline, left, moved;
        if (*deadline == 0 || __builtin_sub_overflow(*deadline, sent_at, &left) ||
            __builtin_add_overflow(now, left, &moved))
            continue;
        *deadline = moved > 0 ? moved : 1; /* 0 would be none. */
    }
}

static void take_frame(struct links *self, zmq_msg_t *frame, int64_t now, struct batch *to) {
    struct link_mesh *mesh = self->mesh;
    const uint8_t *bytes = zmq_msg_data(frame);
    size_t size = zmq_msg_size(frame);
    const char *name = mesh->named ? zmq_msg_gets(frame, "User-Id") : "";
    struct link_head head;
    if (!link_head_read(&head, bytes, size)) {
        metric_add(mesh->malformed, 1);
        return;
    }
    if (!accepts(self, &head, name)) return;
    struct way *way = self->at[head.from_node][head.from_thread];
    if (way == NULL) way = way_make(self, head.from_node, head.from_thread);
    snprintf(way->name, sizeof way->name, "%s", name);
    take_numbers(self, way, &head);
    uint32_t before = to->count;
    struct frame_skips skips = { 0 };
    if (!frame_read_from(bytes + LINK_HEAD_SIZE, size - LINK_HEAD_SIZE, to, &skips)) {
        metric_add(mesh->malformed, 1);
        log_error("link", "frame is malformed", LOG_I64("node", head.from_node), LOG_END);
    }
    if (head.sent_at != 0) move_deadlines(to, before, head.sent_at, now);
    metric_add(mesh->received, to->count - before);
    uint32_t skipped = skips.unknown + skips.invalid;
    if (skipped > 0) {
        metric_add(mesh->skipped, skipped);
        log_warn("link", "messages we do not know", LOG_I64("node", head.from_node),
                 LOG_I64("count", skipped), LOG_END);
    }
}

static bool receive(struct links *self, int64_t now, struct batch *to) {
    bool any = false;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (to->count < TURN_MESSAGES && zmq_msg_recv(&frame, self->pull, ZMQ_DONTWAIT) >= 0) {
        take_frame(self, &frame, now, to);
        any = true;
    }
    zmq_msg_close(&frame);
    return any;
}

/* ---- The map ---- */

static void check_protocol(struct links *self, struct way *way, const struct link_peer *peer) {
    way->protocol = agree(self->mesh, peer->protocol_min, peer->protocol_max);
    if (way->protocol != 0) return;
    metric_add(self->mesh->version_refused, 1);
    log_error("link", "no protocol in common", LOG_TEXT("node", peer->name),
              LOG_I64("their_min", peer->protocol_min), LOG_I64("their_max", peer->protocol_max),
              LOG_END);
}

/* Somebody has spoken under this number before it was on the map, and it is not his: the one whose
 * it is begins anew. */
static bool is_of_another(struct links *self, const struct way *way, const struct link_peer *peer) {
    if (way->name[0] == 0 || strcmp(way->name, peer->name) == 0) return false;
    metric_add(self->mesh->impostor, 1);
    log_warn("link", "a key spoke as another node", LOG_I64("node", way->node),
             LOG_TEXT("owner", peer->name), LOG_TEXT("key_of", way->name), LOG_END);
    return true;
}

static void follow(struct links *self, const struct placement_map *map) {
    struct link_mesh *mesh = self->mesh;
    (void)map; /* It names the nodes; how they are reached stands in the mesh. */
    if (atomic_load(&mesh->version) == self->version) return;
    pthread_mutex_lock(&mesh->lock);
    self->peers = mesh->peers;
    self->version = atomic_load(&mesh->version);
    pthread_mutex_unlock(&mesh->lock);
    for (struct way **at = &self->ways; *at != NULL;) {
        const struct link_peer *peer = peer_of(self, (*at)->node);
        if (peer == NULL || is_of_another(self, *at, peer)) {
            way_forget(self, at);
            continue;
        }
        check_protocol(self, *at, peer);
        at = &(*at)->next;
    }
}

/* ---- Waiting, life ---- */

static uint32_t poll_fds(struct links *self, struct pollfd *fds, uint32_t max) {
    return socket_poll(self->pull, fds, max);
}

static int64_t timeout(struct links *self, int64_t now) {
    int64_t mono = clock_mono(), least = (int64_t)LINK_PROBE_MS * MS;
    (void)now;
    if (socket_readable(self->pull)) return 0;
    for (const struct way *way = self->ways; way != NULL; way = way->next) {
        int64_t wait = way->next_probe - mono;
        if (way->blocked && (way->first != NULL || way->owes)) wait = (int64_t)RETRY_MS * MS;
        if (wait < least) least = wait > 0 ? wait : 0;
    }
    return least;
}

static void close_links(struct links *self) {
    if (self == NULL) return;
    while (self->ways != NULL)
        way_forget(self, &self->ways);
    if (self->pull != NULL) zmq_close(self->pull);
    free(self);
}

static struct links *open_links(void *context, uint32_t thread) {
    struct links *self = calloc(1, sizeof *self);
    char label[12];
    if (self == NULL) abort();
    self->mesh = context;
    self->thread = thread;
    self->credit = (uint64_t)self->mesh->config->link_credit;
    self->keep_max = (size_t)self->mesh->config->link_keep_max;
    self->pull = link_mesh_bind(self->mesh, thread);
    if (self->pull == NULL) {
        close_links(self);
        return NULL;
    }
    snprintf(label, sizeof label, "%u", thread);
    self->in_flight = metrics_gauge("link_in_flight", "Messages sent and not yet acknowledged.",
                                    METRIC_LABELS("thread", label));
    self->waiting = metrics_gauge("link_waiting", "Messages that wait for a link to other nodes.",
                                  METRIC_LABELS("thread", label));
    return self;
}

const struct links_type link_links = { .open = open_links,
                                       .close = close_links,
                                       .send = send_message,
                                       .receive = receive,
                                       .flush = flush,
                                       .follow = follow,
                                       .poll = poll_fds,
                                       .timeout = timeout };
