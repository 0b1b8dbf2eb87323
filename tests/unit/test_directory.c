/* The broker's end towards nodes, over real sockets with CURVE: a key says hello in its own name
 * and speaks for its own run, also on another connection; what is refused or cannot leave is
 * counted. */
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
#include "broker/curve.h"
#include "broker/directory/directory.h"
#include "broker/frame.h"
#include "broker/metrics.h"
#include "config/config.h"
#include "tests/lib/folder.h"

enum { RUN = 50 };

static struct config config;
static char folder[64], error[400];
static struct port *directory;
static struct batch sent; /* By the port to the broker's actor. */
static void *nodes;       /* Their context. */
static void *open_nodes[8];

static uint64_t counted(const char *name) {
    return metric_counter_value(metrics_counter(name, "", METRIC_NO_LABELS));
}

static void make_key(const char *name) {
    char keys[80];
    snprintf(keys, sizeof keys, "%s/keys", folder);
    if (!curve_make(keys, name, "", error, sizeof error)) fail_msg("%s", error);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/directory-XXXXXX");
    assert_non_null(mkdtemp(folder));
    metrics_reset();
    config_defaults(&config);
    make_key("broker");
    make_key("edge");
    make_key("shop");
    snprintf(config.curve_file, sizeof config.curve_file, "%s/keys/broker", folder);
    snprintf(config.curve_nodes, sizeof config.curve_nodes, "%s/keys", folder);
    struct port_setup setup = { .config = &config, .self = PORT_directory };
    /* A port nobody has: the port does not tell which one it took. */
    for (int tries = 0; tries < 50 && directory == NULL; tries++) {
        snprintf(config.broker_endpoint, sizeof config.broker_endpoint, "tcp://127.0.0.1:%d",
                 20000 + (int)((clock_mono() / 1000 + tries * 911) % 11000));
        directory = directory_port.open(&setup);
    }
    assert_non_null(directory);
    nodes = zmq_ctx_new();
    batch_init(&sent);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof open_nodes / sizeof *open_nodes; i++)
        if (open_nodes[i] != NULL) zmq_close(open_nodes[i]);
    memset(open_nodes, 0, sizeof open_nodes);
    zmq_ctx_term(nodes);
    directory_port.close(directory);
    directory = NULL;
    batch_fini(&sent);
    return folder_remove(folder);
}

/* A connection with this key. */
static void *node_of(const char *name) {
    struct curve own, broker;
    char file[128];
    size_t at = 0;
    snprintf(file, sizeof file, "%s/keys/%s", folder, name);
    assert_true(curve_load(file, &own, error, sizeof error));
    assert_true(curve_load_public(config.curve_file, &broker, error, sizeof error));
    while (open_nodes[at] != NULL)
        at++;
    open_nodes[at] = zmq_socket(nodes, ZMQ_DEALER);
    zmq_setsockopt(open_nodes[at], ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    assert_true(curve_connect(open_nodes[at], &own, broker.public_key));
    assert_int_equal(zmq_connect(open_nodes[at], config.broker_endpoint), 0);
    return open_nodes[at];
}

/* Sends one message and takes turns until the port has passed it on or refused something. */
static bool passes(void *node, enum message_id type, const void *body) {
    struct frame frame = { 0 };
    uint64_t refused = counted("directory_refused_total");
    batch_reset(&sent);
    if (body != NULL) frame_append(&frame, &(struct message){ { .type = (uint16_t)type }, body });
    const char *bytes = body != NULL ? (const char *)frame.bytes : "rubbish";
    assert_true(zmq_send(node, bytes, body != NULL ? frame.size : 7, 0) >= 0);
    frame_fini(&frame);
    for (int i = 0; i < 1000 && sent.count == 0 && counted("directory_refused_total") == refused;
         i++) {
        struct pollfd fds[2];
        uint32_t count = directory_port.poll(directory, fds, 2);
        if (directory_port.timeout(directory, 0) != 0) poll(fds, count, 5);
        struct outbox out = batch_outbox(&sent, PORT_directory, 0, 64);
        directory_port.step(directory, clock_now(), &out);
    }
    assert_int_equal(sent.count + counted("directory_refused_total"), refused + 1);
    return sent.count == 1;
}

static bool says_hello(void *node, const char *name, int64_t run) {
    struct node_hello hello = { .name = text_of(name),
                                .run = run,
                                .protocol_min = 1,
                                .protocol_max = 1,
                                .key = text_of("what it says itself") };
    return passes(node, MSG_node_hello, &hello);
}
static bool beats(void *node, int64_t run) {
    return passes(node, MSG_node_beat, &(struct node_beat){ .run = run });
}
static bool says_bye(void *node, int64_t run) {
    return passes(node, MSG_node_bye, &(struct node_bye){ .run = run });
}

static void key_speaks_for_its_own_node(void **state) {
    (void)state;
    void *edge = node_of("edge"), *shop = node_of("shop");
    assert_false(says_hello(shop, "edge", RUN));
    assert_true(says_hello(edge, "edge", RUN));
    struct curve own;
    char file[128];
    snprintf(file, sizeof file, "%s/keys/edge", folder);
    assert_true(curve_load_public(file, &own, error, sizeof error));
    assert_true(text_is(BODY(&sent.items[0], node_hello)->key, own.public_key)); /* The real one. */
    assert_true(beats(edge, RUN));
    assert_false(beats(shop, RUN));
    assert_false(says_bye(shop, RUN));
    assert_false(says_hello(shop, "shop", RUN));
    assert_true(says_hello(shop, "shop", RUN + 1));
    void *again = node_of("edge"); /* Its connection broke, the run is the same. */
    assert_true(beats(again, RUN));
    assert_true(says_bye(again, RUN));
    assert_int_equal(counted("directory_refused_total"), 4);
}

static void what_is_no_message_is_counted(void **state) {
    (void)state;
    void *edge = node_of("edge");
    assert_false(passes(edge, MSG_node_hello, NULL));
    assert_false(passes(edge, MSG_node_unknown, &(struct node_unknown){ 0 })); /* Not a node's. */
    assert_true(says_hello(edge, "edge", RUN));
}

static void answers_to_nobody_are_counted(void **state) {
    (void)state;
    assert_true(says_hello(node_of("edge"), "edge", RUN));
    struct node_welcome welcome = { .node = 5, .run = RUN };
    struct message message = { { .type = MSG_node_welcome, .request = sent.items[0].head.request },
                               &welcome };
    struct outbox out = batch_outbox(&sent, PORT_directory, 0, 64);
    directory_port.handle(directory, &message, 1, clock_now(), &out);
    assert_int_equal(counted("directory_unsent_total"), 0);
    message.head.request += UINT64_C(1) << 32; /* An earlier connection in that place. */
    directory_port.handle(directory, &message, 1, clock_now(), &out);
    assert_int_equal(counted("directory_unsent_total"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(key_speaks_for_its_own_node, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_message_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_to_nobody_are_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
