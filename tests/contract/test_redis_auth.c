/* Redis by TCP under a user that may do only what the port needs, and the states in which Redis
 * answers but does not work: out of memory, a failed save, a replica, loading, no scripts.  In each
 * nothing crashes, what is asked is answered `unavailable`, and afterwards all is as before. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/redis_pair.h"

/* What the port itself says and what the scripts call, on the keys of shards: as docs/operations.md
 * tells operators to grant. */
static const char rights[] =
    "ACL SETUSER shop reset on >secret ~{s*}:* +auth +info +script|load +evalsha +del +exists +get"
    " +hdel +hget +hmget +hset +hvals +sadd +set +smembers +xadd +xdel +xlen +xrange";

static struct side *real = &sides[0];
static uint16_t tcp_port;
static char password_file[300];

/* A port nobody listens on, or a listener on one. */
static uint16_t loopback(int *listener) {
    struct sockaddr_in name = { .sin_family = AF_INET };
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    if (listener != NULL) {
        assert_int_equal(listen(fd, 4), 0);
        *listener = fd;
    } else {
        close(fd);
    }
    return ntohs(name.sin_port);
}

static void write_password(const char *password) {
    int fd = open(password_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, password, strlen(password)), (ssize_t)strlen(password));
    close(fd);
}

/* The port anew, by TCP as the user `shop`. */
static void reopen(uint16_t to, const char *password) {
    struct config *config = real->config;
    redis_port.close(real->port);
    write_password(password);
    snprintf(config->redis_address, sizeof config->redis_address, "127.0.0.1:%u", (unsigned)to);
    snprintf(config->redis_user, sizeof config->redis_user, "shop");
    snprintf(config->redis_password_file, sizeof config->redis_password_file, "%s", password_file);
    struct port_setup setup = { .config = config, .self = PORT_redis };
    real->port = redis_port.open(&setup);
    assert_non_null(real->port);
    side_forget(real);
}

/* The real port alone, without the model. */
static void tell_real(void) {
    side_send(real, messages, message_count);
    message_count = 0;
}

static void use_epoch(uint32_t epoch) {
    struct epoch_use *use = ASK_FOR(epoch_use);
    use->epoch = epoch;
    use->boot = BOOT;
    tell_real();
}

static uint32_t unavailable_to_reserve(void) {
    side_forget(real);
    reserve(101, 1, LOT, 1);
    tell_real();
    return side_count(real, "problem=unavailable");
}

/* Not connected: answered at once, without waiting for anybody. */
static void refused_at_once(void) {
    struct outbox out = batch_outbox(&real->got, PORT_redis, 0, 100);
    batch_reset(&real->got);
    reserve(101, 1, LOT, 1);
    redis_port.handle(real->port, messages, message_count, 0, &out);
    message_count = 0;
    assert_int_equal(real->got.count, 1);
    assert_int_equal(real->got.items[0].head.type, MSG_failed);
    assert_int_equal(BODY(&real->got.items[0], failed)->problem, PROBLEM_unavailable);
}

/* ---- AUTH ---- */

/* Every script, compared with the model, and Redis has refused nothing meanwhile. */
static void test_few_commands(void **state) {
    (void)state;
    assert_string_equal(side_command(real, rights), "OK");
    reopen(tcp_port, "secret");
    assert_true(side_wait(real, "redis_up"));
    side_command(real, "ACL LOG RESET");
    use_epoch(EPOCH);
    reserve(101, 1, LOT, 1);
    reserve(102, 2, LOT, 2);
    ASK_FOR(lot_count)->lot_id = LOT;
    tell();
    assert_true(said("reserved") && said("lot_counted"));
    undo(rid(1), 101, 1, LOT);
    ASK_FOR(journal_read)->limit = 10;
    tell();
    struct settle *settle = ASK_FOR(settle);
    settle->entry = rid(2);
    settle->rows = 1;
    struct lot_set *set = ASK_FOR(lot_set);
    set->lot_id = LOT;
    set->state = lot_state_open;
    set->per_buyer_limit = 2;
    tell();
    install_lots(EPOCH + 1, 3, 1);
    install_done(EPOCH + 1);
    tell();
    same_keys();
    assert_string_equal(side_command(real, "ACL LOG"), "(array)");
    assert_string_equal(value("HGET {s0}:meta epoch"), "6");
    assert_int_equal(side_count(real, "unavailable"), 0);
}

/* Without what the port itself says it does not come up, and goes on trying. */
static void test_each_right_counts(void **state) {
    (void)state;
    static const char *const needed[] = { "-info", "-script|load", "-evalsha" };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char words[64];
        assert_string_equal(side_command(real, rights), "OK");
        snprintf(words, sizeof words, "ACL SETUSER shop %s", needed[i]);
        assert_string_equal(side_command(real, words), "OK");
        reopen(tcp_port, "secret");
        for (int turn = 0; turn < 15; turn++)
            side_turn(real);
        assert_int_equal(side_count(real, "redis_up"), 0);
        refused_at_once();
    }
}

static void test_wrong_password(void **state) {
    (void)state;
    side_command(real, rights);
    reopen(tcp_port, "wrong");
    for (int turn = 0; turn < 30; turn++)
        side_turn(real);
    assert_int_equal(side_count(real, "redis_up"), 0);
    refused_at_once();
    /* The password is made right at the server: the port, which goes on trying, comes up. */
    side_command(real, "ACL SETUSER shop >wrong");
    assert_true(side_wait(real, "redis_up"));
    side_command(real, "ACL DELUSER shop"); /* Ends the connection, too. */
    assert_true(side_wait(real, "redis_down"));
    refused_at_once();
}

/* ---- Redis answers, and does not work ---- */

/* After the trouble the same question is answered as if nothing had been. */
static void works_again(void) {
    static const char want[] = " order_id=101 ";
    use_epoch(EPOCH);
    for (int i = 0; i < 100; i++) {
        side_forget(real);
        reserve(101, 1, LOT, 1);
        tell_real();
        if (side_count(real, want) == 1) break;
        side_turn(real);
        use_epoch(EPOCH);
    }
    if (side_count(real, want) != 1) print_error("%s", real->said);
    assert_int_equal(side_count(real, want), 1);
    assert_string_equal(side_command(real, "HGET {s0}:lot:11 available"), "4");
}

static void test_out_of_memory(void **state) {
    (void)state;
    side_command(real, "CONFIG SET maxmemory 1");
    assert_int_equal(unavailable_to_reserve(), 1);
    assert_int_equal(side_count(real, "redis_down"), 0); /* Undos and settles still work. */
    assert_string_equal(side_command(real, "HGET {s0}:lot:11 available"), "5");
    side_command(real, "CONFIG SET maxmemory 0");
    works_again();
}

/* A failed save with stop-writes-on-bgsave-error: MISCONF. */
static void test_failed_save(void **state) {
    (void)state;
    freeReplyObject(redisCommand(real->direct, "CONFIG SET save %s", "3600 1"));
    /* A folder in the way of the snapshot's file. */
    char folder[400];
    snprintf(folder, sizeof folder, "%s/dump.rdb", server.folder);
    unlink(folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    side_command(real, "BGSAVE");
    for (int i = 0; i < 200 && strstr(side_command(real, "SET x 1"), "MISCONF") == NULL; i++)
        side_turn(real);
    assert_int_equal(unavailable_to_reserve(), 1);
    assert_true(strstr(side_command(real, "SET x 1"), "MISCONF") != NULL);
    rmdir(folder);
    side_command(real, "CONFIG SET stop-writes-on-bgsave-error no");
    freeReplyObject(redisCommand(real->direct, "CONFIG SET save %s", ""));
    works_again();
    side_command(real, "CONFIG SET stop-writes-on-bgsave-error yes");
}

/* A replica: the connection is given up, for it will lead to another server some time. */
static void test_replica(void **state) {
    (void)state;
    char words[80];
    snprintf(words, sizeof words, "REPLICAOF 127.0.0.1 %u", (unsigned)loopback(NULL));
    side_command(real, words);
    assert_int_equal(unavailable_to_reserve(), 1);
    assert_int_equal(side_count(real, "redis_down"), 1);
    side_command(real, "REPLICAOF NO ONE");
    assert_true(side_wait(real, "redis_up"));
    works_again();
}

/* A server that says LOADING to everything, as one that reads its journal does, and hangs up. */
static void test_loading(void **state) {
    (void)state;
    int listener, peer;
    uint16_t to = loopback(&listener);
    char request[4096];
    reopen(to, "secret");
    for (int round = 0; round < 2; round++) {
        peer = -1;
        for (int turn = 0; turn < 200 && peer < 0; turn++) {
            side_turn(real);
            peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        }
        assert_true(peer >= 0);
        side_turn(real);
        assert_true(recv(peer, request, sizeof request, 0) > 0);
        for (int i = 0; i < SCRIPT_COUNT + 2; i++)
            (void)send(peer, "-LOADING Redis is loading the dataset in memory\r\n", 49,
                       MSG_NOSIGNAL);
        for (int turn = 0; turn < 3; turn++)
            side_turn(real);
        assert_int_equal(side_count(real, "redis_up"), 0);
        refused_at_once();
        close(peer); /* It comes again after a pause. */
    }
    close(listener);
}

/* The scripts vanish again and again: each is sent anew, and nothing is done twice. */
static void test_no_script(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        side_command(real, "SCRIPT FLUSH");
        reserve(200 + i, 1 + i % USERS, LOT + i % LOTS, 1);
        tell();
    }
    same_keys();
}

/* ---- */

static int set_up(void **state) {
    if (open_sides(state) != 0) return -1;
    char words[64];
    tcp_port = loopback(NULL);
    snprintf(words, sizeof words, "CONFIG SET port %u", (unsigned)tcp_port);
    snprintf(password_file, sizeof password_file, "%s/password", server.folder);
    return strcmp(side_command(real, words), "OK") == 0 ? 0 : -1;
}

/* A good connection, whatever the last test did to it. */
static int again(void **state) {
    side_command(real, "REPLICAOF NO ONE");
    side_command(real, rights);
    reopen(tcp_port, "secret");
    if (!side_wait(real, "redis_up")) return -1;
    return fresh(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_few_commands, again),
        cmocka_unit_test_setup(test_each_right_counts, again),
        cmocka_unit_test_setup(test_wrong_password, again),
        cmocka_unit_test_setup(test_out_of_memory, again),
        cmocka_unit_test_setup(test_failed_save, again),
        cmocka_unit_test_setup(test_replica, again),
        cmocka_unit_test_setup(test_loading, again),
        cmocka_unit_test_setup(test_no_script, again),
    };
    return cmocka_run_group_tests(tests, set_up, close_sides);
}
