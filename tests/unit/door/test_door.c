/* The door itself, over real sockets: who comes in, what each key may do, and that nothing is
 * carried out without a row in the record.  The test is everybody behind the door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>
#include <zmq.h>

#include "broker/clock.h"
#include "broker/curve.h"
#include "broker/door/door.h"
#include "broker/frame.h"
#include "config/config.h"
#include "tests/lib/folder.h"

#define S INT64_C(1000000000)

static struct config config;
static char folder[64], error[1200];
static struct port *door;
static struct batch sent, got; /* By the door to actors and stores; to the client. */
static void *clients;          /* Their context. */
static void *open_clients[8];  /* A test that fails leaves some, which would keep the context. */
static int64_t now;

static void key_of(const char *name, struct curve *key) {
    char file[128];
    snprintf(file, sizeof file, "%s/operators/%s", folder, name);
    assert_true(curve_load(file, key, error, sizeof error));
}

static void make_key(const char *dir, const char *name, const char *role) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, dir);
    if (!curve_make(path, name, role, error, sizeof error)) fail_msg("%s", error);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_door-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(config.door_endpoint, sizeof config.door_endpoint, "ipc://%s/door.sock", folder);
    snprintf(config.door_key, sizeof config.door_key, "%s/door.key", folder);
    snprintf(config.door_operators, sizeof config.door_operators, "%s/operators", folder);
    make_key("operators", "vera", "viewer");
    make_key("operators", "otto", "operator");
    make_key("operators", "ada", "admin");
    make_key("operators", "norole", "");
    make_key("operators", "wrong", "emperor");
    make_key("strangers", "eve", "admin");
    struct port_setup setup = { .config = &config, .self = PORT_door };
    door = door_port.open(&setup);
    assert_non_null(door);
    clients = zmq_ctx_new();
    batch_init(&sent);
    batch_init(&got);
    now = INT64_C(1800000000) * S;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < 8; i++)
        if (open_clients[i] != NULL) zmq_close(open_clients[i]);
    memset(open_clients, 0, sizeof open_clients);
    zmq_ctx_term(clients);
    door_port.close(door);
    batch_fini(&sent);
    batch_fini(&got);
    return folder_remove(folder);
}

static void *client_with(const struct curve *key) {
    int none = 0;
    struct curve public;
    void *client = zmq_socket(clients, ZMQ_DEALER), **place = open_clients;
    while (*place != NULL)
        place++;
    *place = client;
    zmq_setsockopt(client, ZMQ_LINGER, &none, sizeof none);
    assert_true(curve_load_public(config.door_key, &public, error, sizeof error));
    if (key != NULL) assert_true(curve_connect(client, key, public.public_key));
    assert_int_equal(zmq_connect(client, config.door_endpoint), 0);
    return client;
}

static void *client_of(const char *name) {
    struct curve key;
    key_of(name, &key);
    return client_with(&key);
}

/* One turn of the host. */
static void turn(void) {
    struct pollfd fds[4];
    uint32_t count = door_port.poll(door, fds, 4);
    if (door_port.timeout(door, now) != 0) poll(fds, count, 5);
    struct outbox out = batch_outbox(&sent, PORT_door, 0, 64);
    door_port.step(door, now, &out);
}

/* Waits for a frame at the client; false after some time. */
static bool arrives(void *client, int turns) {
    for (int i = 0; i < turns; i++) {
        turn();
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        bool some = zmq_msg_recv(&frame, client, ZMQ_DONTWAIT) >= 0;
        if (some) {
            batch_reset(&got);
            assert_true(frame_read(zmq_msg_data(&frame), zmq_msg_size(&frame), &got));
        }
        zmq_msg_close(&frame);
        if (some) return true;
    }
    return false;
}

static void ask(void *client, enum message_id id, const void *body) {
    struct frame frame = { 0 };
    frame_append(&frame, &(struct message){ { .type = (uint16_t)id }, body });
    assert_int_equal(zmq_send(client, frame.bytes, frame.size, 0), frame.size);
    frame_fini(&frame);
}

/* Until the door has sent something inwards. */
static const struct message *sent_on(enum address to, enum message_id id) {
    for (int i = 0; i < 400 && sent.count == 0; i++)
        turn();
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.items[0].head.to, to);
    assert_int_equal(sent.items[0].head.type, id);
    return &sent.items[0];
}

/* The answer to what was sent on last. */
static void reply(enum message_id id, const void *body) {
    struct head head = sent.items[sent.count - 1].head;
    head.from = head.to;
    head.to = PORT_door;
    head.type = (uint16_t)id;
    batch_reset(&sent);
    struct outbox out = batch_outbox(&sent, PORT_door, 0, 64);
    door_port.handle(door, &(struct message){ head, body }, 1, now, &out);
}

static void reply_done(enum message_id what, int64_t id) {
    struct done done = { .what = what, .id = id, .count = 1 };
    reply(MSG_done, &done);
}

static const struct failed *refused(void *client) {
    assert_true(arrives(client, 400));
    assert_int_equal(got.items[0].head.type, MSG_failed);
    return BODY(&got.items[0], failed);
}

static uint64_t figure(const char *name) {
    static char text[1 << 18];
    metrics_write(text, sizeof text);
    char line[200];
    snprintf(line, sizeof line, "\ndoorbuster_%s ", name);
    const char *at = strstr(text, line);
    assert_non_null(at);
    return strtoull(at + strlen(line), NULL, 10);
}

static const struct sale_rows nothing;

static void a_viewer_looks_but_does_not_touch(void **state) {
    (void)state;
    void *client = client_of("vera");
    struct product_add add = { .title = text_of("Phone") };
    ask(client, MSG_sale_rows, &nothing);
    sent_on(ACTOR_catalogue, MSG_sale_rows); /* No record. */
    struct rows_end end = { .what = MSG_sale_rows };
    reply(MSG_rows_end, &end);
    assert_int_equal(sent.count, 0);
    assert_true(arrives(client, 400));
    assert_int_equal(got.items[0].head.type, MSG_rows_end);
    uint64_t before = figure("door_forbidden_total");
    ask(client, MSG_product_add, &add);
    const struct failed *failed = refused(client);
    assert_int_equal(failed->problem, PROBLEM_forbidden);
    assert_true(
        text_is(failed->detail, "This needs the role operator; the key vera has the role viewer."));
    assert_int_equal(sent.count, 0);
    assert_int_equal(figure("door_forbidden_total"), before + 1);
}

static void a_role_that_does_not_exist_may_nothing(void **state) {
    (void)state;
    static const char *const names[] = { "norole", "wrong" };
    for (size_t i = 0; i < 2; i++) {
        void *client = client_of(names[i]);
        ask(client, MSG_sale_rows, &nothing);
        assert_int_equal(refused(client)->problem, PROBLEM_forbidden);
        assert_int_equal(sent.count, 0);
    }
}

static void first_the_record_then_the_command_then_the_answer(void **state) {
    (void)state;
    void *client = client_of("otto");
    struct product_add add = { .title = text_of("Phone") };
    uint64_t commands = figure("door_commands_total");
    ask(client, MSG_product_add, &add);
    const struct audit_begin *begin = BODY(sent_on(PORT_pg_shop, MSG_audit_begin), audit_begin);
    assert_true(text_is(begin->who, "otto"));
    assert_int_equal(begin->role, role_operator);
    assert_true(text_is(begin->command, "product add"));
    assert_true(text_is(begin->fields, "{\"title\":\"Phone\"}"));
    assert_int_equal(begin->now, now);
    reply_done(MSG_audit_begin, 77);
    const struct message *asked = sent_on(ACTOR_catalogue, MSG_product_add);
    assert_true(text_is(BODY(asked, product_add)->title, "Phone"));
    assert_int_equal(asked->head.origin, PORT_door);
    struct product_view view = { .product_id = 5, .title = text_of("Phone") };
    reply(MSG_product_view, &view);
    const struct audit_end *end = BODY(sent_on(PORT_pg_shop, MSG_audit_end), audit_end);
    assert_int_equal(end->audit_id, 77);
    assert_int_equal(end->id, 5);
    assert_true(text_is(end->outcome, "done"));
    assert_int_equal(figure("door_commands_total"), commands + 1);
    assert_false(arrives(client, 10)); /* Not before the record is complete. */
    reply_done(MSG_audit_end, 77);
    assert_true(arrives(client, 400));
    assert_int_equal(BODY(&got.items[0], product_view)->product_id, 5);
}

static void without_a_record_nothing_is_done(void **state) {
    (void)state;
    void *client = client_of("otto");
    struct sale_resume resume = { .sale_id = 3 };
    struct failed away = { .problem = PROBLEM_unavailable, .what = MSG_audit_begin };
    ask(client, MSG_sale_resume, &resume);
    sent_on(PORT_pg_shop, MSG_audit_begin);
    reply(MSG_failed, &away);
    assert_int_equal(sent.count, 0);
    assert_int_equal(refused(client)->problem, PROBLEM_unavailable);

    ask(client, MSG_sale_resume, &resume); /* And when the record says nothing at all. */
    sent_on(PORT_pg_shop, MSG_audit_begin);
    batch_reset(&sent);
    now += 31 * S;
    assert_int_equal(refused(client)->problem, PROBLEM_unavailable);
    assert_int_equal(sent.count, 0);
}

static void a_refusal_is_recorded_too(void **state) {
    (void)state;
    void *client = client_of("otto");
    struct order_withdraw withdraw = { .order_id = 42, .reason = text_of("asked by phone") };
    ask(client, MSG_order_withdraw, &withdraw);
    const struct audit_begin *begin = BODY(sent_on(PORT_pg_shop, MSG_audit_begin), audit_begin);
    assert_int_equal(begin->id, 42);
    assert_true(text_is(begin->about, "order_id"));
    assert_true(text_is(begin->fields, "{\"order_id\":\"42\",\"reason\":\"asked by phone\"}"));
    reply_done(MSG_audit_begin, 78);
    assert_int_equal(BODY(sent_on(ACTOR_order, MSG_order_cancel), order_cancel)->order_id, 42);
    struct failed no = { .problem = PROBLEM_illegal_state, .what = MSG_order_cancel };
    reply(MSG_failed, &no);
    assert_true(
        text_is(BODY(sent_on(PORT_pg_shop, MSG_audit_end), audit_end)->outcome, "illegal_state"));
    struct failed late = { .problem = PROBLEM_internal, .what = MSG_order_cancel };
    struct message stray = { sent.items[0].head, &late }; /* Not of the record. */
    stray.head.type = MSG_failed;
    struct outbox out = batch_outbox(&sent, PORT_door, 0, 64);
    door_port.handle(door, &stray, 1, now, &out);
    reply_done(MSG_audit_end, 78);
    assert_int_equal(refused(client)->problem, PROBLEM_illegal_state);
}

static void an_actor_that_is_silent(void **state) {
    (void)state;
    void *client = client_of("vera");
    ask(client, MSG_sale_rows, &nothing);
    sent_on(ACTOR_catalogue, MSG_sale_rows);
    now += 31 * S;
    assert_int_equal(refused(client)->problem, PROBLEM_unavailable);
    struct rows_end end = { .what = MSG_sale_rows }; /* Too late. */
    reply(MSG_rows_end, &end);
    assert_false(arrives(client, 10));
}

static void the_time_and_the_name_are_ours(void **state) {
    (void)state;
    void *client = client_of("otto");
    struct dead_drop drop = { .letter_id = 9 }, claimed = { .letter_id = 9, .now = 5 };
    ask(client, MSG_dead_drop, &claimed);
    assert_int_equal(refused(client)->problem, PROBLEM_unknown_field);
    ask(client, MSG_dead_drop, &drop);
    sent_on(PORT_pg_shop, MSG_audit_begin);
    reply_done(MSG_audit_begin, 1);
    const struct dead_drop *asked = BODY(sent_on(PORT_pg_shop, MSG_dead_drop), dead_drop);
    assert_int_equal(asked->now, now);
    assert_true(text_is(asked->who, "otto"));
}

/* The letter's bytes go to the actor, and never to the operator. */
static void a_letter_goes_out_again(void **state) {
    (void)state;
    void *client = client_of("otto");
    struct dead_retry retry = { .letter_id = 9 };
    struct undo undo = { .rid = 1, .order_id = 2, .user_id = 3, .lot_id = 4, .quantity = 1 };
    struct frame frame = { 0 };
    frame_append(&frame, &(struct message){ { .type = MSG_undo,
                                              .from = ACTOR_order,
                                              .to = ACTOR_inventory,
                                              .shard = 3,
                                              .trace = 99 },
                                            &undo });
    struct dead_row row = { .letter_id = 9,
                            .state = letter_state_retried,
                            .what = text_of("message"),
                            .at = now,
                            .frame = { (const char *)frame.bytes, (uint32_t)frame.size } };
    ask(client, MSG_dead_retry, &retry);
    sent_on(PORT_pg_shop, MSG_audit_begin);
    reply_done(MSG_audit_begin, 1);
    sent_on(PORT_pg_shop, MSG_dead_retry);
    reply(MSG_dead_row, &row);
    assert_int_equal(sent.count, 2);
    assert_int_equal(sent.items[0].head.to, ACTOR_inventory);
    assert_int_equal(sent.items[0].head.shard, 3);
    assert_int_equal(sent.items[0].head.trace, 99);
    assert_int_equal(BODY(&sent.items[0], undo)->order_id, 2);
    assert_int_equal(sent.items[1].head.type, MSG_audit_end);
    reply_done(MSG_audit_end, 1);
    assert_true(arrives(client, 400));
    const struct dead_row *shown = BODY(&got.items[0], dead_row);
    assert_int_equal(shown->frame.size, 0);
    assert_true(text_is(shown->content, "undo rid=0-1 order_id=2 user_id=3 lot_id=4 quantity=1"));
    frame_fini(&frame);
}

static void strangers_stay_outside(void **state) {
    (void)state;
    struct curve eve, printed = { .name = "printed" };
    char file[128];
    uint64_t before = figure("curve_refused_total{domain=\"door\"}");
    snprintf(file, sizeof file, "%s/strangers/eve", folder);
    assert_true(curve_load(file, &eve, error, sizeof error));
    void *client = client_with(&eve);
    ask(client, MSG_sale_rows, &nothing);
    assert_false(arrives(client, 60));
    assert_true(figure("curve_refused_total{domain=\"door\"}") > before);

    /* The pair that zmq_curve(7) prints for clients. */
    memcpy(printed.public_key, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", CURVE_KEY_SIZE);
    memcpy(printed.secret_key, "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs", CURVE_KEY_SIZE);
    before = figure("curve_refused_total{domain=\"door\"}");
    client = client_with(&printed);
    ask(client, MSG_sale_rows, &nothing);
    assert_false(arrives(client, 60));
    assert_true(figure("curve_refused_total{domain=\"door\"}") > before);

    client = client_with(NULL); /* Without CURVE, on the same socket. */
    ask(client, MSG_sale_rows, &nothing);
    assert_false(arrives(client, 60));
    assert_int_equal(sent.count, 0);
}

static void *lists_sales(const char *name) {
    void *client = client_of(name);
    struct rows_end end = { .what = MSG_sale_rows };
    ask(client, MSG_sale_rows, &nothing);
    sent_on(ACTOR_catalogue, MSG_sale_rows);
    reply(MSG_rows_end, &end);
    assert_true(arrives(client, 400));
    return client;
}

static void a_key_counts_at_once_and_so_does_its_end(void **state) {
    (void)state;
    char file[128];
    lists_sales("ada"); /* The door has read its list, */
    make_key("operators", "mona", "operator");
    void *client = lists_sales("mona"); /* and the same instant later somebody is new. */
    snprintf(file, sizeof file, "%s/operators/mona", folder);
    assert_int_equal(unlink(file), 0);
    now += S;
    ask(client, MSG_sale_rows, &nothing);
    assert_int_equal(refused(client)->problem, PROBLEM_forbidden);
    assert_int_equal(sent.count, 0);
}

static void garbage_is_answered(void **state) {
    (void)state;
    void *client = client_of("ada");
    uint8_t bytes[3000];
    uint64_t before = figure("door_refused_total");
    for (int i = 0; i < 200; i++) {
        uint8_t from[randombytes_SEEDBYTES] = { (uint8_t)i };
        size_t size = (size_t)i * 15;
        randombytes_buf_deterministic(bytes, size, from);
        assert_int_equal(zmq_send(client, bytes, size, 0), size);
        assert_int_equal(refused(client)->problem, PROBLEM_malformed);
    }
    assert_int_equal(figure("door_refused_total"), before + 200);
    zmq_send(client, "a", 1, ZMQ_SNDMORE); /* Several parts: the last one counts. */
    zmq_send(client, "b", 1, 0);
    assert_int_equal(refused(client)->problem, PROBLEM_malformed);
    struct purchase_refuse other = { 1, 1, 1, 1, 1, 1, 1 };
    ask(client, MSG_purchase_refuse, &other); /* A message, but nobody's command. */
    assert_int_equal(refused(client)->problem, PROBLEM_forbidden);
    assert_int_equal(sent.count, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_viewer_looks_but_does_not_touch),
        TEST(a_role_that_does_not_exist_may_nothing),
        TEST(first_the_record_then_the_command_then_the_answer),
        TEST(without_a_record_nothing_is_done),
        TEST(a_refusal_is_recorded_too),
        TEST(an_actor_that_is_silent),
        TEST(the_time_and_the_name_are_ours),
        TEST(a_letter_goes_out_again),
        TEST(strangers_stay_outside),
        TEST(a_key_counts_at_once_and_so_does_its_end),
        TEST(garbage_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
