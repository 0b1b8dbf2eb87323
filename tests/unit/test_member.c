/* A node's end towards the broker: what cannot leave or be read is counted, a map that lacks a node
 * changes nothing; the broker's own process is ready when its map says who carries commands out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "broker/clock.h"
#include "broker/directory/directory.h"
#include "broker/frame.h"
#include "broker/metrics.h"
#include "broker/ready.h"
#include "config/config.h"
#include "tests/lib/folder.h"

static struct config config;
static char folder[64];
static struct member_self self;
static struct placement placement;
static struct port *member;
static struct batch sent;      /* By the port, within the process. */
static void *context, *broker; /* The broker, played by the test: a ROUTER. */
static uint8_t identity[256];  /* Of the node there. */
static int identity_size;

static uint64_t counted(const char *name) {
    return metric_counter_value(metrics_counter(name, "", METRIC_NO_LABELS));
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/member-XXXXXX");
    assert_non_null(mkdtemp(folder));
    metrics_reset();
    ready_reset();
    config_defaults(&config);
    snprintf(config.broker_endpoint, sizeof config.broker_endpoint, "ipc://%s/broker", folder);
    snprintf(config.node_listen, sizeof config.node_listen, "ipc://%s/links", folder);
    placement_init(&placement);
    self = (struct member_self){ .config = &config, .name = "edge", .run = 50, .node = 3 };
    batch_init(&sent);
    context = zmq_ctx_new();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    member_port.close(member);
    member = NULL;
    link_mesh_close(self.mesh);
    placement_fini(&placement);
    if (broker != NULL) zmq_close(broker);
    broker = NULL;
    zmq_ctx_term(context);
    batch_fini(&sent);
    return folder_remove(folder);
}

static void open_member(void) {
    struct port_setup setup = { .config = &config, .self = PORT_member };
    member_use(&self);
    member = member_port.open(&setup);
    assert_non_null(member);
}

static void step(void) {
    struct outbox out = batch_outbox(&sent, PORT_member, 0, 64);
    member_port.step(member, clock_now(), &out);
}

static void open_broker(void) {
    broker = zmq_socket(context, ZMQ_ROUTER);
    zmq_setsockopt(broker, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    assert_int_equal(zmq_bind(broker, config.broker_endpoint), 0);
}

/* Takes turns until the node has said something; its type. */
static uint16_t heard(void) {
    struct batch got;
    zmq_msg_t part;
    uint16_t type = 0;
    batch_init(&got);
    zmq_msg_init(&part);
    for (int i = 0; i < 600 && type == 0; i++) {
        step();
        zmq_pollitem_t item = { .socket = broker, .events = ZMQ_POLLIN };
        if (zmq_poll(&item, 1, 10) <= 0) continue;
        identity_size = zmq_recv(broker, identity, sizeof identity, 0);
        assert_true(identity_size > 0 && zmq_msg_recv(&part, broker, 0) > 0);
        assert_true(frame_read(zmq_msg_data(&part), zmq_msg_size(&part), &got));
        type = got.items[0].head.type;
    }
    zmq_msg_close(&part);
    batch_fini(&got);
    return type;
}

static void tell_bytes(const void *bytes, size_t size) {
    assert_true(zmq_send(broker, identity, (size_t)identity_size, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(broker, bytes, size, 0) >= 0);
}

static void tell(uint16_t type, const void *body) {
    struct frame frame = { 0 };
    frame_append(&frame, &(struct message){ { .type = type, .to = PORT_member }, body });
    tell_bytes(frame.bytes, frame.size);
    frame_fini(&frame);
}

static bool reaches(const char *name, uint64_t value) {
    for (int i = 0; i < 200 && counted(name) != value; i++) {
        struct pollfd fds[2];
        uint32_t count = member_port.poll(member, fds, 2);
        if (member_port.timeout(member, clock_now()) != 0) poll(fds, count, 10);
        step();
    }
    return counted(name) == value;
}

static void what_the_broker_says_wrong_is_counted(void **state) {
    (void)state;
    open_member();
    open_broker();
    assert_int_equal(heard(), MSG_node_hello);
    tell_bytes("rubbish", 7);
    assert_true(reaches("member_malformed_total", 1));
    struct failed newer = { .problem = (enum problem)5555 }; /* A problem of a later version. */
    tell(MSG_failed, &newer);
    assert_true(reaches("member_skipped_total", 1));
    struct node_map lacking = { .number = 7, .nodes = 2 };
    tell(MSG_node_map, &lacking);
    assert_true(reaches("member_maps_refused_total", 1));
    struct node_map whole = { .number = 8, .nodes = 0 };
    tell(MSG_node_map, &whole);
    struct node_welcome welcome = { .node = 3, .run = 50 };
    tell(MSG_node_welcome, &welcome);
    uint16_t next = heard();
    for (int i = 0; i < 5 && next == MSG_node_hello; i++) /* One may be under way. */
        next = heard();
    assert_int_equal(next, MSG_node_beat);
    assert_int_equal(counted("member_maps_refused_total"), 1);
    assert_int_equal(counted("member_malformed_total"), 1);
}

static void what_cannot_leave_is_counted(void **state) {
    (void)state;
    open_member();
    assert_int_equal(counted("member_unsent_total"), 0);
    step(); /* The hello; nobody is there. */
    assert_int_equal(counted("member_unsent_total"), 1);
    step(); /* Not before the next second. */
    assert_int_equal(counted("member_unsent_total"), 1);
    assert_true(reaches("member_unsent_total", 2));
}

static void events_are_counted(void **state) {
    (void)state;
    self.with_broker = true;
    open_member();
    struct node_event event = { .event = text_of("joined"), .name = text_of("core") };
    struct message message = { { .type = MSG_node_event }, &event };
    struct outbox out = batch_outbox(&sent, PORT_member, 0, 64);
    member_port.handle(member, &message, 1, clock_now(), &out);
    assert_int_equal(counted("node_events_total"), 1);
    assert_string_equal(ready_missing(), "start"); /* In one process it is no part of readiness. */
}

/* ---- The broker's own process ---- */

static void new_map(int64_t number, const char *seats) {
    struct map_node node = { .node = 5,
                             .name = text_of("core"),
                             .protocol_min = 1,
                             .protocol_max = 1,
                             .hosts = text_of("session@0 catalogue@0") };
    struct node_map map = { .number = number, .nodes = 1, .seats = text_of(seats) };
    struct message messages[] = { { { .type = MSG_map_node }, &node },
                                  { { .type = MSG_node_map }, &map } };
    struct outbox out = batch_outbox(&sent, PORT_member, 0, 64);
    member_port.handle(member, messages, 2, clock_now(), &out);
}

static void the_broker_is_ready_when_commands_are_carried_out(void **state) {
    (void)state;
    struct link_setup links = { &config, "broker", 3, 0, 0 };
    self.with_broker = true;
    self.mesh = link_mesh_open(&links);
    assert_non_null(self.mesh);
    self.placement = &placement;
    open_member();
    assert_string_equal(ready_missing(), "catalogue"); /* It does not know anybody yet. */
    new_map(1, "session@5.0");
    assert_string_equal(ready_missing(), "catalogue");
    new_map(2, "session@5.0 catalogue@5.0");
    assert_null(ready_missing());
    new_map(3, "catalogue@5.0"); /* The node with it has gone. */
    assert_string_equal(ready_missing(), "session");
    new_map(4, "session@5.0 catalogue@5.0 order/0@5.0");
    assert_null(ready_missing());
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_the_broker_says_wrong_is_counted),
        TEST(what_cannot_leave_is_counted),
        TEST(events_are_counted),
        TEST(the_broker_is_ready_when_commands_are_carried_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
