/* CURVE keys and the ZAP handler: who is on the list comes in and is known by name, nobody else
 * does; the list is read again; keys that everybody knows are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "broker/allow.h"
#include "broker/curve.h"
#include "broker/metrics.h"
#include "broker/zap.h"
#include "tests/lib/folder.h"

static char dir[64], error[1200];
static struct curve server_keys;
static void *context, *server;
static struct zap *zap;
static char endpoint[64];

static const char *path(const char *name) {
    static char paths[4][256];
    static int next;
    char *to = paths[next++ % 4];
    snprintf(to, sizeof paths[0], "%s/%s", dir, name);
    return to;
}

static struct curve make(const char *folder, const char *name, const char *role) {
    struct curve pair;
    char file[300];
    assert_true(curve_make(path(folder), name, role, error, sizeof error));
    snprintf(file, sizeof file, "%s/%s", path(folder), name);
    assert_true(curve_load(file, &pair, error, sizeof error));
    return pair;
}

static void write_text(const char *name, const char *text) {
    FILE *file = fopen(path(name), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int setup(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/zap-XXXXXX");
    assert_non_null(mkdtemp(dir));
    metrics_reset();
    context = zmq_ctx_new();
    server_keys = make("own", "server", "");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    zap_close(zap);
    zap = NULL;
    if (server != NULL) zmq_close(server);
    server = NULL;
    zmq_ctx_term(context);
    folder_remove(dir);
    return 0;
}

static void set_int(void *socket, int option, int value) {
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

static void serve(void) {
    size_t size = sizeof endpoint;
    server = zmq_socket(context, ZMQ_PULL);
    set_int(server, ZMQ_LINGER, 0);
    assert_true(curve_serve(server, &server_keys, "nodes"));
    assert_int_equal(zmq_bind(server, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
}

/* Sends one message with this key: does it arrive, and as whose? */
static bool arrives(const struct curve *who, const char *server_key, char *as, char *role) {
    void *client = zmq_socket(context, ZMQ_PUSH);
    set_int(client, ZMQ_LINGER, 0);
    if (who != NULL) assert_true(curve_connect(client, who, server_key));
    assert_int_equal(zmq_connect(client, endpoint), 0);
    zmq_send(client, "hello", 5, ZMQ_DONTWAIT);
    zmq_pollitem_t item = { .socket = server, .events = ZMQ_POLLIN };
    zmq_poll(&item, 1, 300);
    zmq_msg_t message;
    zmq_msg_init(&message);
    bool got = zmq_msg_recv(&message, server, ZMQ_DONTWAIT) == 5;
    const char *name = got ? zmq_msg_gets(&message, "User-Id") : NULL;
    const char *what = got ? zmq_msg_gets(&message, "Role") : NULL;
    const char *key = got ? zmq_msg_gets(&message, "Key") : NULL;
    bool same = key != NULL && who != NULL && strcmp(key, who->public_key) == 0;
    snprintf(as, 65, "%s", name != NULL ? name : "");
    snprintf(role, 17, "%s", what != NULL ? what : "");
    zmq_msg_close(&message);
    zmq_close(client); /* Before anything fails: the context waits for its sockets. */
    if (got) assert_true(same);
    return got;
}

static uint64_t refused(void) {
    return metric_counter_value(
        metrics_counter("curve_refused_total", "", METRIC_LABELS("domain", "nodes")));
}

static struct zap *open_zap(const char *allowed) {
    struct zap_domain domain = { "nodes", path(allowed) };
    return zap_open(context, &domain, 1);
}

static void known_by_name_and_role(void **state) {
    (void)state;
    char as[65], role[17];
    struct curve ann = make("nodes", "ann", "admin"), stranger = make("own", "stranger", "admin");
    zap = open_zap("nodes");
    assert_non_null(zap);
    serve();
    assert_true(arrives(&ann, server_keys.public_key, as, role));
    assert_string_equal(as, "ann");
    assert_string_equal(role, "admin");
    assert_int_equal(refused(), 0);
    assert_false(arrives(&stranger, server_keys.public_key, as, role));
    assert_true(refused() >= 1);
    uint64_t before = refused();
    assert_false(arrives(NULL, NULL, as, role));                /* In the clear. */
    assert_false(arrives(&ann, stranger.public_key, as, role)); /* To somebody else's key. */
    assert_true(arrives(&ann, server_keys.public_key, as, role));
    assert_true(refused() >= before);
}

static void nobody_without_a_handler(void **state) {
    (void)state;
    char as[65], role[17];
    struct curve ann = make("nodes", "ann", "");
    serve();
    assert_false(arrives(&ann, server_keys.public_key, as, role));
}

static void list_is_read_again(void **state) {
    (void)state;
    char as[65], role[17];
    make("nodes", "ann", "");
    zap = open_zap("nodes");
    serve();
    struct curve ben = make("nodes", "ben", "viewer");
    assert_true(arrives(&ben, server_keys.public_key, as, role)); /* At once. */
    assert_string_equal(as, "ben");
    struct curve cem = make("nodes", "cem", "");
    assert_true(arrives(&cem, server_keys.public_key, as, role));
    assert_int_equal(unlink(path("nodes/ben")), 0);
    nanosleep(&(struct timespec){ 0, ZAP_FRESH_MS * 1100000 }, NULL);
    assert_false(arrives(&ben, server_keys.public_key, as, role));
}

/* Nobody makes us read the list as often as he likes. */
static void a_stranger_costs_no_reading(void **state) {
    (void)state;
    enum { LIFE = 1000 };
    static struct allow_kept kept;
    struct curve stranger = make("own", "stranger", ""), ann = make("nodes", "ann", "");
    nanosleep(&(struct timespec){ 0, 30000000 }, NULL); /* A change just now is looked at. */
    memset(&kept, 0, sizeof kept);
    for (int64_t now = 1; now <= LIFE; now++)
        assert_null(allow_find(&kept, path("nodes"), stranger.public_key, now, LIFE));
    assert_int_equal(kept.read_at, 1);
    assert_non_null(allow_find(&kept, path("nodes"), ann.public_key, LIFE, LIFE));
    struct curve ben = make("nodes", "ben", "viewer");
    assert_string_equal(allow_find(&kept, path("nodes"), ben.public_key, LIFE, LIFE)->name, "ben");
    assert_int_equal(kept.read_at, LIFE);
    assert_int_equal(unlink(path("nodes/ben")), 0);
    assert_non_null(allow_find(&kept, path("nodes"), ben.public_key, LIFE + 1, LIFE));
    assert_null(allow_find(&kept, path("nodes"), ben.public_key, 2 * LIFE + 1, LIFE));
    assert_true(kept.whole);
    write_text("nodes/broken", "no key");
    assert_null(allow_find(&kept, path("nodes"), ben.public_key, 2 * LIFE + 2, LIFE));
    assert_false(kept.whole);
    assert_non_null(strstr(kept.error, "broken"));
    assert_non_null(allow_find(&kept, path("nodes"), ann.public_key, 2 * LIFE + 3, LIFE));
    assert_null(allow_find(&kept, path("nowhere"), ann.public_key, 9 * LIFE, LIFE));
}

#define PUBLISHED "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

static void published_keys_are_refused(void **state) {
    (void)state;
    char as[65], role[17];
    static struct allow_list list;
    struct curve everybody = { .name = "everybody",
                               .public_key = PUBLISHED,
                               .secret_key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs" };
    char text[300];
    snprintf(text, sizeof text, "# keys\n%s ann admin\n%s everybody admin\n",
             server_keys.public_key, PUBLISHED);
    write_text("list", text);
    assert_false(allow_read(&list, path("list"), error, sizeof error));
    assert_int_equal(list.count, 1); /* The rest holds. */
    assert_null(open_zap("list"));   /* At the start. */
    snprintf(text, sizeof text, "%s ann admin\n", server_keys.public_key);
    write_text("list", text);
    zap = open_zap("list");
    assert_non_null(zap);
    serve();
    snprintf(text, sizeof text, "%s everybody admin\n", PUBLISHED);
    write_text("list", text);
    nanosleep(&(struct timespec){ 0, ZAP_FRESH_MS * 1100000 }, NULL);
    assert_false(arrives(&everybody, server_keys.public_key, as, role)); /* And later. */
    snprintf(text, sizeof text,
             "metadata\n    name = \"x\"\ncurve\n    public-key = \"%s\"\n    secret-key = "
             "\"%s\"\n",
             PUBLISHED, everybody.secret_key);
    write_text("x_secret", text);
    assert_int_equal(chmod(path("x_secret"), 0600), 0);
    assert_false(curve_load(path("x"), &everybody, error, sizeof error)); /* As our own. */
    assert_non_null(strstr(error, "test key"));
}

static void files_are_private_and_never_replaced(void **state) {
    (void)state;
    struct stat status;
    struct curve pair;
    make("own", "ann", "viewer");
    assert_int_equal(stat(path("own/ann_secret"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_false(curve_make(path("own"), "ann", "", error, sizeof error));
    assert_false(curve_make(path("own"), "../ann", "", error, sizeof error));
    assert_false(curve_make(path("own"), "a b", "", error, sizeof error));
    assert_int_equal(chmod(path("own/ann_secret"), 0640), 0);
    assert_false(curve_load(path("own/ann"), &pair, error, sizeof error));
    assert_non_null(strstr(error, "owner only"));
    assert_true(curve_load_public(path("own/ann"), &pair, error, sizeof error));
    assert_string_equal(pair.role, "viewer");
    assert_string_equal(pair.secret_key, "");
}

static void tcp_needs_curve(void **state) {
    (void)state;
    assert_true(curve_needed("tcp://10.0.0.1:5555", true));
    assert_true(curve_needed("tcp://*:5555", true));
    assert_true(curve_needed("tcp://0.0.0.0:5555", true));
    assert_true(curve_needed("tcp://127.0.0.1:5555", false));
    assert_false(curve_needed("tcp://127.0.0.1:5555", true));
    assert_false(curve_needed("tcp://[::1]:5555", true));
    assert_true(curve_needed("tcp://127.evil.example:5555", true));
    assert_false(curve_needed("ipc://var/x", false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(known_by_name_and_role, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_without_a_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(list_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stranger_costs_no_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(published_keys_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(files_are_private_and_never_replaced, setup, teardown),
        cmocka_unit_test(tcp_needs_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
