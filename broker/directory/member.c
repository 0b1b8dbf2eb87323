/* PORT_member: the broker, seen from a node, and the node itself. */
#include <stdlib.h>
#include <string.h>

#include "actors/broker/hosts.h"
#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/directory/directory.h"
#include "broker/directory/member.h"
#include "broker/door/commands.h"
#include "broker/frame.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/ready.h"
#include "broker/socket.h"
#include "config/config.h"

enum { HOSTS_SIZE = 8192 };

static const int64_t beat_every = INT64_C(1000000000);
static const int64_t again_after = INT64_C(10000000000);

static const struct member_self *self_used;

void member_use(const struct member_self *self) {
    self_used = self;
}

struct port {
    const struct member_self *self;
    void *context, *dealer; /* NULL with the broker in this process. */
    struct batch incoming;
    int64_t next_beat, linked_at; /* When the broker's socket last took something. */
    bool greeted;                 /* The broker has answered our hello. */
    char hosts[HOSTS_SIZE];
    uint32_t hosts_size;
    struct member_map map;
    struct metric_gauge *placement, *nodes;
    struct metric_counter *events, *unsent, *skipped, *malformed, *broken_maps;
};

/* ---- Ready ---- */

/* Operators' commands go from the broker's process to whom the map names; before that, they are
 * refused. */
static void tell_ready(const struct port *self) {
    if (!self->self->with_broker || self->self->mesh == NULL) return;
    for (const struct door_command *command = door_commands; command->noun; command++) {
        enum address to = command->actor;
        if (to == NOBODY || to == ACTOR_broker || address_is_port(to) || address_is_sharded(to))
            continue;
        ready_set(address_name(to),
                  placement_map_seat(&self->map.placement, to, 0).node != NODE_NONE);
    }
}

/* ---- Life ---- */

static void close_port(struct port *self) {
    if (self == NULL) return;
    if (self->dealer != NULL) {
        struct node_bye bye = { .run = self->self->run };
        struct frame frame = { 0 };
        frame_append(&frame, &(struct message){ { .type = MSG_node_bye }, &bye });
        CRASH_POINT(member_leaving);
        zmq_send(self->dealer, frame.bytes, frame.size, ZMQ_DONTWAIT);
        CRASH_POINT(member_left);
        frame_fini(&frame);
        zmq_close(self->dealer);
    }
    if (self->context != NULL) zmq_ctx_term(self->context);
    batch_fini(&self->incoming);
    free(self);
}

static void write_hosts(struct port *self) {
    for (uint32_t i = 0; i < self->self->place_count; i++) {
        const struct host_place *place = &self->self->places[i];
        struct hosted row = { (uint8_t)place->address, place->shard, (uint8_t)place->thread, 0 };
        bool told = place->actor != NULL || address_is_by_node(place->address);
        if (told) self->hosts_size = hosts_write(self->hosts, self->hosts_size, HOSTS_SIZE, &row);
    }
}

static struct port *open_port(const struct port_setup *setup) {
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL || self_used == NULL) abort();
    self->self = self_used;
    self->linked_at = clock_mono();
    self->placement =
        metrics_gauge("placement_number", "Number of the placement map in use.", METRIC_NO_LABELS);
    self->nodes = metrics_gauge("nodes", "Nodes on the placement map.", METRIC_NO_LABELS);
    self->events = metrics_counter("node_events_total",
                                   "Nodes that came, went, were replaced, refused or are spare.",
                                   METRIC_NO_LABELS);
#define COUNTER(name, help) metrics_counter(name, help, METRIC_NO_LABELS)
    self->unsent = COUNTER("member_unsent_total", "Frames for the broker while it was away.");
    self->skipped = COUNTER("member_skipped_total", "Messages of the broker that we do not know.");
    self->malformed = COUNTER("member_malformed_total", "Frames of the broker that are none.");
    self->broken_maps =
        COUNTER("member_maps_refused_total", "Maps that lacked a node; they are told again.");
#undef COUNTER
    write_hosts(self);
    tell_ready(self);
    if (self->self->with_broker) return self;
    self->context = zmq_ctx_new();
    self->dealer = member_connect(self->context, setup->config, self->self->name);
    if (self->dealer != NULL) return self;
    close_port(self);
    return NULL;
}

static bool ready(const struct port *self) {
    (void)self;
    return true;
}

/* ---- To the broker ---- */

static void tell_broker(struct port *self, enum message_id id, const void *body,
                        struct outbox *out) {
    struct message message = { { .type = (uint16_t)id,
                                 .from = PORT_member,
                                 .origin = PORT_member,
                                 .node = self->self->node },
                               body };
    if (self->dealer == NULL) {
        outbox_forward(out, ACTOR_broker, &message);
        return;
    }
    struct frame frame = { 0 };
    frame_append(&frame, &message);
    CRASH_POINT(member_sending);
    bool sent = zmq_send(self->dealer, frame.bytes, frame.size, ZMQ_DONTWAIT) >= 0;
    CRASH_POINT(member_sent);
    frame_fini(&frame);
    if (sent) self->linked_at = clock_mono();
    if (!sent) metric_add(self->unsent, 1);
    if (clock_mono() - self->linked_at < again_after) return; /* Away: the next one. */
    /* ZeroMQ gives a socket up whose key was refused; it may be on the list by now. */
    void *again = member_connect(self->context, self->self->config, self->self->name);
    self->linked_at = clock_mono();
    if (again == NULL) return;
    zmq_close(self->dealer);
    self->dealer = again;
}

static void say_hello(struct port *self, struct outbox *out) {
    const struct member_self *me = self->self;
    struct node_hello hello = { .name = text_of(me->name),
                                .run = me->run,
                                .protocol_min = PROTOCOL_OLDEST,
                                .protocol_max = PROTOCOL_NEWEST,
                                .node = me->node,
                                .own_lease = me->own_lease,
                                .hosts = { self->hosts, self->hosts_size },
                                .placement = self->map.number,
                                .owned_shards = (int64_t)self->map.owned_shards,
                                .owned_actors = self->map.owned_actors };
    if (me->mesh != NULL) {
        hello.endpoints = text_of(link_mesh_endpoints(me->mesh));
        hello.key = text_of(link_mesh_key(me->mesh));
    }
    tell_broker(self, MSG_node_hello, &hello, out);
}

static void beat(struct port *self, int64_t now, struct outbox *out) {
    if (now < self->next_beat && now > self->next_beat - 2 * beat_every) return;
    self->next_beat = now + beat_every;
    if (!self->greeted) {
        say_hello(self, out);
        return;
    }
    struct node_beat body = { .run = self->self->run,
                              .node = self->self->node,
                              .placement = self->map.number };
    tell_broker(self, MSG_node_beat, &body, out);
}

/* ---- From the broker ---- */

static void apply_map(struct port *self) {
    const struct member_self *me = self->self;
    metric_set(self->placement, self->map.number);
    metric_set(self->nodes, self->map.peers.count);
    if (me->mesh == NULL) return;
    link_mesh_peers(me->mesh, &self->map.peers); /* Before somebody is sent there. */
    placement_publish(me->placement, &self->map.placement);
    tell_ready(self);
    log_info("member", "new map", LOG_I64("number", self->map.number),
             LOG_I64("nodes", self->map.peers.count), LOG_END);
}

static void log_event(struct port *self, const struct node_event *event) {
    metric_add(self->events, 1);
    struct log_field what = LOG_SLICE("event", event->event.at, event->event.size);
    struct log_field node = LOG_SLICE("node_name", event->name.at, event->name.size);
    struct log_field detail = LOG_SLICE("detail", event->detail.at, event->detail.size);
    if (text_is(event->event, "joined") || text_is(event->event, "moved"))
        log_info("broker", "node event", what, node, detail, LOG_END);
    else
        log_warn("broker", "node event", what, node, detail, LOG_END);
}

/* Somebody else has our name: we serve nothing any more. */
static void on_refused(struct port *self, const struct failed *failed) {
    log_error("member", "the broker refuses this node",
              LOG_SLICE("why", failed->detail.at, failed->detail.size), LOG_END);
    member_map_clear(&self->map, self->self->node);
    apply_map(self);
    self->greeted = false;
}

static void on_directory(struct port *self, const struct message *in, struct outbox *out) {
    switch (in->head.type) {
    case MSG_node_welcome: self->greeted = true; break;
    case MSG_node_unknown: say_hello(self, out); break;
    case MSG_map_node: member_map_node(&self->map, BODY(in, map_node)); break;
    case MSG_node_map:
        if (self->map.next_peers.count != BODY(in, node_map)->nodes)
            metric_add(self->broken_maps, 1);
        if (member_map_end(&self->map, BODY(in, node_map), self->self->node)) apply_map(self);
        break;
    case MSG_failed: on_refused(self, BODY(in, failed)); break;
    default: break;
    }
}

/* ---- Questions ---- */

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    (void)now;
    for (uint32_t i = 0; i < count; i++) {
        switch (in[i].head.type) {
        case MSG_node_event: log_event(self, BODY(&in[i], node_event)); break;
        case MSG_actor_list:
        case MSG_actor_restart:
        case MSG_node_status:
        case MSG_node_trace: member_answer(&in[i], self->self->name, out); break;
        default:
            if (self->dealer == NULL) on_directory(self, &in[i], out);
        }
    }
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    zmq_msg_t part;
    beat(self, now, out);
    if (self->dealer == NULL) return;
    zmq_msg_init(&part);
    while (outbox_room(out) > 8 && zmq_msg_recv(&part, self->dealer, ZMQ_DONTWAIT) >= 0) {
        struct frame_skips skips = { 0 }; /* The broker may be newer. */
        if (!frame_read_from(zmq_msg_data(&part), zmq_msg_size(&part), &self->incoming, &skips))
            metric_add(self->malformed, 1);
        metric_add(self->skipped, skips.unknown + skips.invalid);
        for (uint32_t i = 0; i < self->incoming.count; i++)
            on_directory(self, &self->incoming.items[i], out);
        batch_reset(&self->incoming);
    }
    zmq_msg_close(&part);
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    return socket_poll(self->dealer, fds, max);
}

static int64_t timeout(struct port *self, int64_t now) {
    int64_t wait = self->next_beat - now;
    if (socket_readable(self->dealer) || wait < 0) return 0;
    return wait < beat_every ? wait : beat_every;
}

const struct port_type member_port = {
    .name = "member",
    .batch_max = 256,
    .open = open_port,
    .close = close_port,
    .ready = ready,
    .handle = handle,
    .poll = poll_fds,
    .timeout = timeout,
    .step = step,
};
