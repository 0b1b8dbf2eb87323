/* Links between nodes, two meshes in one process: whole and in order, never more under way than
 * granted, full is answered and loses nothing, broken connections and earlier processes are found
 * out and counted, two versions agree or part, a key speaks as its own node,
 * deadlines are as far away on one clock as on the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "broker/clock.h"
#include "broker/curve.h"
#include "broker/link.h"
#include "broker/link_head.h"
#include "broker/metrics.h"
#include "config/config.h"
#include "tests/lib/folder.h"

enum { A = 1, B = 2, CREDIT = 64 };

struct side {
    struct config config;
    struct link_mesh *mesh;
    struct links *links;
    struct batch in;
    uint64_t next; /* Number expected in the next message. */
    uint32_t got;
};

static char dir[64];
static struct side sides[4]; /* By node number. */
static struct link_peers peers;
static int64_t deadline; /* Of what is said. */
static void *raw;        /* Context of sockets that are not a link's, and these. */
static void *raws[4];
static bool keyed; /* tcp with CURVE instead of ipc. */

static int64_t now(void) {
    return clock_now();
}

static uint64_t counted(const char *name) {
    return metric_counter_value(metrics_counter(name, "", METRIC_NO_LABELS));
}

/* A pair of keys in the folder that is everybody's allow-list. */
static const char *key_file(const char *name) {
    static char file[128];
    char keys[80], error[300];
    snprintf(keys, sizeof keys, "%s/keys", dir);
    snprintf(file, sizeof file, "%s/%s", keys, name);
    if (access(file, F_OK) != 0) assert_true(curve_make(keys, name, "", error, sizeof error));
    return file;
}

static void use_keys(struct config *config, const char *name) {
    snprintf(config->node_listen, sizeof config->node_listen, "tcp://127.0.0.1:0");
    (void)key_file("other"), (void)key_file("node3"); /* On the list from the start. */
    snprintf(config->curve_file, sizeof config->curve_file, "%s", key_file(name));
    snprintf(config->curve_nodes, sizeof config->curve_nodes, "%s/keys", dir);
}

static void open_side(uint16_t node, uint32_t protocol_min, uint32_t protocol_max) {
    struct side *side = &sides[node];
    char name[8];
    memset(side, 0, sizeof *side);
    config_defaults(&side->config);
    side->config.link_credit = CREDIT;
    side->config.link_keep_max = 1 << 20;
    snprintf(side->config.node_listen, sizeof side->config.node_listen, "ipc://%s", dir);
    snprintf(name, sizeof name, "node%u", node);
    if (keyed) use_keys(&side->config, name);
    struct link_setup setup = { &side->config, name, node, protocol_min, protocol_max };
    side->mesh = link_mesh_open(&setup);
    assert_non_null(side->mesh);
    side->links = link_links.open(side->mesh, 0);
    assert_non_null(side->links);
    side->next = 1;
}

static void close_side(uint16_t node) {
    struct side *side = &sides[node];
    if (side->links != NULL) link_links.close(side->links);
    if (side->mesh != NULL) link_mesh_close(side->mesh);
    batch_fini(&side->in);
    memset(side, 0, sizeof *side);
}

static void know(uint16_t node, uint32_t protocol_min, uint32_t protocol_max, uint16_t at) {
    struct link_peer *row = &peers.rows[peers.count++];
    *row = (struct link_peer){ .node = node,
                               .protocol_min = protocol_min,
                               .protocol_max = protocol_max };
    snprintf(row->name, sizeof row->name, "node%u", node);
    snprintf(row->key, sizeof row->key, "%s", link_mesh_key(sides[at].mesh));
    snprintf(row->endpoints, sizeof row->endpoints, "%s", link_mesh_endpoints(sides[at].mesh));
}

static void tell_all(void) {
    struct placement_map map = { 0 };
    for (uint16_t node = A; node <= 3; node++) {
        if (sides[node].mesh == NULL) continue;
        link_mesh_peers(sides[node].mesh, &peers);
        link_links.follow(sides[node].links, &map);
    }
}

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/link-XXXXXX");
    assert_non_null(mkdtemp(dir));
    metrics_reset();
    memset(&peers, 0, sizeof peers);
    open_side(A, 1, 1);
    open_side(B, 1, 1);
    know(A, 1, 1, A);
    know(B, 1, 1, B);
    tell_all();
    return 0;
}

static int setup_keyed(void **state) {
    keyed = true;
    return setup(state);
}

static int teardown(void **state) {
    (void)state;
    for (uint16_t node = A; node <= 3; node++)
        close_side(node);
    for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
        if (raws[i] != NULL) zmq_close(raws[i]);
        raws[i] = NULL;
    }
    if (raw != NULL) zmq_ctx_term(raw);
    raw = NULL;
    keyed = false;
    deadline = 0;
    folder_remove(dir);
    return 0;
}

static enum links_sent say(uint16_t from, uint16_t to, uint64_t number, bool must) {
    struct account_view body = { .user_id = 7, .login = text_of("somebody with a name") };
    struct message message = { { .type = MSG_account_view,
                                 .from = ACTOR_bridge,
                                 .to = ACTOR_order,
                                 .origin = PORT_http,
                                 .node = from,
                                 .request = number,
                                 .deadline = deadline },
                               &body };
    return link_links.send(sides[from].links, to, 0, &message, must);
}

/* One turn of a side: what arrives must be the next in order. */
static void turn(uint16_t node) {
    struct side *side = &sides[node];
    link_links.receive(side->links, now(), &side->in);
    for (uint32_t i = 0; i < side->in.count; i++) {
        const struct message *message = &side->in.items[i];
        assert_int_equal(message->head.request, side->next);
        assert_true(text_is(BODY(message, account_view)->login, "somebody with a name"));
        side->next++;
        side->got++;
    }
    batch_reset(&side->in);
    link_links.flush(side->links, now());
}

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Both take turns until `node` has got so many, or two seconds have passed. */
static void turns(uint16_t node, uint32_t got) {
    for (int i = 0; i < 2000 && sides[node].got < got; i++) {
        for (uint16_t each = A; each <= 3; each++)
            if (sides[each].links != NULL) turn(each);
        pause_ms(1);
    }
    assert_int_equal(sides[node].got, got);
}

static void whole_and_in_order(void **state) {
    (void)state;
    for (uint64_t number = 1; number <= 5000; number++)
        assert_int_equal(say(A, B, number, true), LINKS_SENT);
    for (uint64_t number = 1; number <= 300; number++)
        assert_int_equal(say(B, A, number, true), LINKS_SENT);
    turns(B, 5000);
    turns(A, 300);
    assert_int_equal(counted("link_gap_total"), 0);
    assert_int_equal(counted("link_received_total"), 5300);
    assert_int_equal(counted("link_sent_total"), 5300);
}

static void full_is_answered_and_loses_nothing(void **state) {
    (void)state;
    uint64_t taken = 0;
    say(A, B, 1, true);
    turns(B, 1); /* They know each other, and A knows that it has arrived. */
    for (int i = 0; i < 50; i++) {
        turn(A);
        turn(B);
        pause_ms(1);
    }
    /* B sleeps: requests are taken up to the window, then answered; what must go is kept. */
    while (say(A, B, taken + 2, false) == LINKS_SENT) {
        taken++;
        link_links.flush(sides[A].links, now());
        assert_true(taken <= CREDIT);
    }
    assert_int_equal(taken, CREDIT);
    assert_int_equal(counted("link_full_total"), 1);
    for (uint64_t number = 0; number < 500; number++)
        assert_int_equal(say(A, B, taken + 2 + number, true), LINKS_SENT);
    link_links.flush(sides[A].links, now());
    pause_ms(50);
    /* Not more than granted is on its way. */
    link_links.receive(sides[B].links, now(), &sides[B].in);
    assert_int_equal(sides[B].in.count, CREDIT);
    assert_int_equal(say(A, B, 0, false), LINKS_FULL);
    sides[B].next += sides[B].in.count;
    sides[B].got += sides[B].in.count;
    batch_reset(&sides[B].in);
    turns(B, 1 + CREDIT + 500);
    turn(A);
    assert_int_equal(say(A, B, 1 + CREDIT + 501, false), LINKS_SENT); /* There is room again. */
    assert_int_equal(counted("link_gap_total"), 0);
}

static void keeps_no_more_than_its_limit(void **state) {
    (void)state;
    uint32_t taken = 0;
    while (say(A, 2, taken + 1, true) == LINKS_SENT && taken < 100000)
        taken++;
    assert_in_range(taken, 1000, 99999); /* 1 MiB of them. */
    assert_int_equal(counted("link_gone_total"), 1);
    turns(B, taken);
}

static void silent_node_takes_no_requests(void **state) {
    (void)state;
    say(A, B, 1, true);
    turns(B, 1);
    turn(A);
    pause_ms(LINK_LIVENESS_MS + 100);
    link_links.flush(sides[A].links, now());
    assert_int_equal(say(A, B, 2, false), LINKS_GONE);
    assert_int_equal(say(A, B, 2, true), LINKS_SENT); /* Kept for it. */
    turns(B, 2);
    turn(A);
    assert_int_equal(say(A, B, 3, false), LINKS_SENT);
}

static void comes_again_after_a_break(void **state) {
    (void)state;
    say(A, B, 1, true);
    turns(B, 1);
    /* The map loses B and finds it again: a new stream from A, the old one from B. */
    struct link_peers both = peers;
    peers.count = 1;
    struct placement_map map = { 0 };
    link_mesh_peers(sides[A].mesh, &peers);
    link_links.follow(sides[A].links, &map);
    assert_int_equal(say(A, B, 2, true), LINKS_GONE);
    link_mesh_peers(sides[A].mesh, &both);
    link_links.follow(sides[A].links, &map);
    for (uint64_t number = 2; number <= 1000; number++)
        assert_int_equal(say(A, B, number, true), LINKS_SENT);
    turns(B, 1000); /* More than a window: acknowledgements count in the new stream. */
}

static void earlier_process_on_the_endpoint(void **state) {
    (void)state;
    say(A, B, 1, true);
    turns(B, 1);
    close_side(B);
    open_side(3, 1, 1); /* Another run: another number... */
    peers.count = 1;
    know(A, 1, 1, 3);
    peers.rows[1].node = B; /* ...but A believes in the old one, there. */
    struct placement_map map = { 0 };
    struct link_peers one = peers; /* Gone and back, so that it connects to that endpoint. */
    one.count = 1;
    link_mesh_peers(sides[A].mesh, &one);
    link_links.follow(sides[A].links, &map);
    link_mesh_peers(sides[A].mesh, &peers);
    link_links.follow(sides[A].links, &map);
    assert_int_equal(say(A, B, 1, true), LINKS_SENT);
    for (int i = 0; i < 1000 && counted("link_stale_total") == 0; i++) {
        turn(A);
        turn(3);
        pause_ms(1);
    }
    assert_true(counted("link_stale_total") > 0);
    assert_int_equal(sides[3].got, 0);
}

/* Closed when the test ends, however it ends. */
static void *raw_push(void) {
    size_t at = 0;
    if (raw == NULL) raw = zmq_ctx_new();
    while (raws[at] != NULL)
        at++;
    raws[at] = zmq_socket(raw, ZMQ_PUSH);
    zmq_setsockopt(raws[at], ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    return raws[at];
}

/* A frame by hand, as another program would send it. */
static void *raw_socket(uint16_t to) {
    void *socket = raw_push();
    assert_int_equal(zmq_connect(socket, link_mesh_endpoints(sides[to].mesh)), 0);
    return socket;
}

static void send_head(void *socket, struct link_head head) {
    uint8_t bytes[LINK_HEAD_SIZE];
    link_head_write(&head, bytes);
    assert_int_equal(zmq_send(socket, bytes, sizeof bytes, 0), sizeof bytes);
}

static void wait_for(const char *counter, uint64_t value) {
    for (int i = 0; i < 1000 && counted(counter) < value; i++) {
        turn(B);
        pause_ms(1);
    }
    assert_int_equal(counted(counter), value);
}

static void lost_frames_heal_the_window(void **state) {
    (void)state;
    void *socket = raw_socket(B);
    struct link_head head = { .protocol_min = 1,
                              .protocol_max = 1,
                              .protocol = 1,
                              .from_node = A,
                              .to_node = B,
                              .window = 10,
                              .stream = 5,
                              .first = 1 };
    send_head(socket, head);
    head.first = 40; /* 39 messages never came; this probe says that they were sent. */
    send_head(socket, head);
    wait_for("link_gap_total", 39);
    head.first = 41;
    send_head(socket, head);
    wait_for("link_gap_total", 40);
    head.stream = 4; /* From before the break: not counted. */
    head.first = 90;
    send_head(socket, head);
    zmq_send(socket, "rubbish", 7, 0);
    wait_for("link_malformed_total", 1);
    assert_int_equal(counted("link_gap_total"), 40);
}

static void versions_agree_or_part(void **state) {
    (void)state;
    close_side(B);
    peers.count = 1;
    open_side(B, 2, 3);
    know(B, 2, 3, B);
    tell_all();
    assert_int_equal(say(A, B, 1, true), LINKS_GONE); /* A speaks 1 alone. */
    assert_int_equal(say(B, A, 1, false), LINKS_GONE);
    void *socket = raw_socket(B);
    struct link_head head = { .protocol_min = 1,
                              .protocol_max = 1,
                              .protocol = 1,
                              .from_node = A,
                              .to_node = B,
                              .window = 10,
                              .stream = 5,
                              .first = 1 };
    send_head(socket, head);
    uint64_t before = counted("link_version_refused_total");
    wait_for("link_version_refused_total", before + 1);
    /* A is upgraded: it speaks 1 and 2, and they agree on 2. */
    close_side(A);
    peers.count = 0;
    open_side(A, 1, 2);
    know(A, 1, 2, A);
    know(B, 2, 3, B);
    tell_all();
    assert_int_equal(say(A, B, 1, true), LINKS_SENT);
    turns(B, 1);
    assert_int_equal(say(B, A, 1, true), LINKS_SENT);
    turns(A, 1);
}

/* A socket of somebody with this key. */
static void *raw_keyed(const char *name, uint16_t to) {
    struct curve pair;
    char error[300];
    assert_true(curve_load(key_file(name), &pair, error, sizeof error));
    void *socket = raw_push();
    assert_true(curve_connect(socket, &pair, link_mesh_key(sides[to].mesh)));
    assert_int_equal(zmq_connect(socket, link_mesh_endpoints(sides[to].mesh)), 0);
    return socket;
}

static void key_speaks_as_its_own_node(void **state) {
    (void)state;
    say(A, B, 1, true);
    turns(B, 1);
    /* Another node's key: as A it would acknowledge, and begin a stream that A's never reaches. */
    void *socket = raw_keyed("node3", B);
    struct link_head head = { .protocol_min = 1,
                              .protocol_max = 1,
                              .protocol = 1,
                              .from_node = A,
                              .to_node = B,
                              .window = 1,
                              .stream = UINT64_MAX,
                              .first = 1000 };
    send_head(socket, head);
    wait_for("link_impostor_total", 1);
    for (uint64_t number = 2; number <= 300; number++)
        say(A, B, number, true);
    turns(B, 300);
    assert_int_equal(counted("link_gap_total"), 0);
}

static void number_that_is_not_on_the_map_yet(void **state) {
    (void)state;
    /* The number is nobody's, so far as B knows: whoever comes first keeps others away. */
    void *socket = raw_keyed("other", B), *second = raw_keyed("node3", B);
    struct link_head head = { .protocol_min = 1,
                              .protocol_max = 1,
                              .protocol = 1,
                              .from_node = 3,
                              .to_node = B,
                              .window = 1,
                              .stream = UINT64_MAX,
                              .first = 1 };
    send_head(socket, head);
    head.first = 11;
    send_head(socket, head);
    wait_for("link_gap_total", 10); /* It has been taken. */
    send_head(second, head);
    wait_for("link_impostor_total", 1);
    /* The map says whose it is: he begins anew, with more messages than a window. */
    open_side(3, 1, 1);
    know(3, 1, 1, 3);
    tell_all();
    assert_int_equal(counted("link_impostor_total"), 2);
    for (uint64_t number = 1; number <= 300; number++)
        assert_int_equal(say(3, B, number, true), LINKS_SENT);
    turns(B, 300);
    send_head(socket, head);
    wait_for("link_impostor_total", 3);
    assert_int_equal(counted("link_gap_total"), 10);
}

/* The deadline with which a message arrives that has 300 ms left when it leaves, at a clock that is
 * an hour ahead. */
static int64_t arrives_with(int64_t left_at, uint32_t protocol_max) {
    static const int64_t hour = INT64_C(3600000000000);
    close_side(A);
    close_side(B);
    peers.count = 0;
    open_side(A, 1, protocol_max);
    open_side(B, 1, 2);
    know(A, 1, protocol_max, A);
    know(B, 1, 2, B);
    tell_all();
    deadline = left_at + INT64_C(300000000);
    assert_int_equal(say(A, B, 1, true), LINKS_SENT);
    for (int i = 0; i < 2000 && sides[B].in.count == 0; i++) {
        link_links.flush(sides[A].links, left_at);
        pause_ms(1);
        link_links.receive(sides[B].links, left_at + hour, &sides[B].in);
    }
    assert_int_equal(sides[B].in.count, 1);
    return sides[B].in.items[0].head.deadline - hour;
}

static void deadlines_move_to_the_receivers_clock(void **state) {
    (void)state;
    int64_t left_at = now();
    assert_int_equal(arrives_with(left_at, 2), left_at + INT64_C(300000000));
    /* Protocol 1 says nothing of its clock. */
    assert_int_equal(arrives_with(left_at, 1),
                     left_at + INT64_C(300000000) - INT64_C(3600000000000));
}

static void tcp_needs_keys(void **state) {
    (void)state;
    struct config config = sides[A].config;
    struct link_setup setup_ = { &config, "node1", 9, 0, 0 };
    snprintf(config.node_listen, sizeof config.node_listen, "tcp://127.0.0.1:0");
    assert_null(link_mesh_open(&setup_));
    config.curve_loopback_plain = true;
    struct link_mesh *mesh = link_mesh_open(&setup_);
    assert_non_null(mesh);
    link_mesh_close(mesh);
    snprintf(config.node_listen, sizeof config.node_listen, "tcp://10.1.2.3:0");
    assert_null(link_mesh_open(&setup_));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(full_is_answered_and_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_no_more_than_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(silent_node_takes_no_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(comes_again_after_a_break, setup, teardown),
        cmocka_unit_test_setup_teardown(earlier_process_on_the_endpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_frames_heal_the_window, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_agree_or_part, setup, teardown),
        cmocka_unit_test_setup_teardown(deadlines_move_to_the_receivers_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(key_speaks_as_its_own_node, setup_keyed, teardown),
        cmocka_unit_test_setup_teardown(number_that_is_not_on_the_map_yet, setup_keyed, teardown),
        cmocka_unit_test_setup_teardown(tcp_needs_keys, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
