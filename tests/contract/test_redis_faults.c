/* The hot counter under random questions, and under the faults of a connection: scripts flushed,
 * connections killed, kill -9 with a cut append-only file, answers that come too late. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/clock.h"
#include "schema/id.h"
#include "tests/lib/redis_pair.h"

/* ---- At random ---- */

static uint64_t seed;
static uint32_t draw(uint32_t below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

static void random_message(uint32_t epoch) {
    int64_t user = 1 + draw(USERS), order = 100 + user * 10 + draw(6), lot = LOT + draw(LOTS);
    uint32_t what = draw(20);
    if (what < 11) {
        struct reserve *want = reserve(order, user, lot, 1 + draw(2));
        want->kind = (enum reserve_kind)(draw(4) == 0 ? 1 + draw(4) : 1);
    } else if (what < 14) {
        struct settle *settle = ASK_FOR(settle);
        settle->entry = rid_make(0, epoch, 1 + draw(30));
        settle->rows = 1;
    } else if (what < 18) {
        struct undo *back = undo(rid_make(0, epoch - draw(2), 1 + draw(30)), order, user, lot);
        back->keep = draw(2);
        back->epoch = draw(8) == 0 ? epoch + 1 : 0;
    } else {
        struct lot_set *set = ASK_FOR(lot_set);
        set->lot_id = lot;
        set->state = (enum lot_state)(draw(4) == 0 ? 1 + draw(5) : 2);
        set->per_buyer_limit = 1 + draw(3);
    }
}

static void test_random(void **state) {
    (void)state;
    for (uint64_t run = 1; run <= 12; run++) {
        uint32_t epoch = EPOCH;
        fresh(NULL);
        seed = run * UINT64_C(0x9e3779b97f4a7c15);
        print_message("seed %u\n", (unsigned)run);
        for (int step = 0; step < 40; step++) {
            uint32_t count = 1 + draw(8);
            for (uint32_t i = 0; i < count; i++)
                random_message(epoch);
            if (draw(10) == 0) ASK_FOR(journal_read)->limit = 1 + draw(10);
            if (draw(10) == 0) ASK_FOR(lot_count)->lot_id = LOT;
            if (draw(25) == 0) {
                install_lots(++epoch, 3 + draw(5), 1 + draw(3));
                install_done(epoch);
            }
            tell();
            same_keys();
        }
    }
}

/* ---- The connection ---- */

static void test_script_flush(void **state) {
    (void)state;
    side_command(&sides[0], "SCRIPT FLUSH");
    reserve(101, 1, LOT, 1);
    ASK_FOR(lot_count)->lot_id = LOT;
    tell();
    assert_true(said("reserved") && said("lot_counted"));
}

static void test_before_epoch(void **state) {
    (void)state;
    struct side *real = &sides[0];
    side_command(real, "CLIENT KILL TYPE normal SKIPME yes");
    side_forget(real);
    assert_true(side_wait(real, "redis_down"));
    assert_true(side_wait(real, "redis_up run_id=\"masked\" epoch=5 boot=77"));
    side_forget(real);
    reserve(101, 1, LOT, 1);
    side_send(real, messages, message_count);
    message_count = 0;
    assert_true(side_count(real, "problem=recovering") == 1);
}

/* kill -9 in the middle of a burst, the last entry cut in half: the whole script is forgotten. */
static void test_crash(void **state) {
    (void)state;
    struct side *real = &sides[0];
    for (int i = 0; i < 3; i++) {
        reserve(101 + i, 1 + i, LOT, 1);
        tell();
    }
    for (int i = 0; i < 200 && server_aof_size(&server) < 100; i++) {
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    reserve(110, 5, LOT, 1);
    struct outbox none = batch_outbox(&real->got, PORT_redis, 0, 100);
    kill(server.pid, SIGSTOP); /* Sent, and never answered. */
    side_forget(real);
    batch_reset(&real->got);
    redis_port.handle(real->port, messages, message_count, 0, &none);
    message_count = 0;
    server_kill(&server);
    assert_true(side_wait(real, "redis_down"));
    assert_int_equal(side_count(real, "problem=unavailable"), 1);
    reserve(111, 6, LOT, 1);
    side_send(real, messages, message_count);
    message_count = 0;
    assert_int_equal(side_count(real, "problem=unavailable"), 2);
    server_cut_aof(&server, 20);
    lua_store_cut(sides[1].store, 1);
    side_forget(real);
    assert_true(server_start(&server));
    assert_true(side_wait(real, "redis_up run_id=\"masked\" epoch=5 boot=77"));
    assert_string_equal(value("HGET {s0}:lot:11 available"), "3");
    same_keys();
    struct outbox out = batch_outbox(&sides[1].got, PORT_redis, 0, 100);
    lua_store_restart(sides[1].store);
    model_redis_down(&sides[1].model, &out);
    model_redis_up(&sides[1].model, &out);
}

/* A late answer is no answer: the connection is dropped, and nothing comes twice. */
static void test_timeout(void **state) {
    (void)state;
    struct side *real = &sides[0];
    reserve(101, 1, LOT, 1);
    kill(server.pid, SIGSTOP);
    side_forget(real);
    int64_t start = clock_mono();
    side_send(real, messages, message_count);
    message_count = 0;
    assert_true(side_wait(real, "redis_down"));
    assert_true(clock_mono() - start < INT64_C(4000000000));
    assert_int_equal(side_count(real, "problem=unavailable"), 1);
    kill(server.pid, SIGCONT);
    assert_true(side_wait(real, "redis_up"));
    assert_int_equal(side_count(real, "reserved"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_random, fresh),
        cmocka_unit_test_setup(test_script_flush, fresh),
        cmocka_unit_test_setup(test_before_epoch, fresh),
        cmocka_unit_test_setup(test_crash, fresh),
        cmocka_unit_test_setup(test_timeout, fresh),
    };
    return cmocka_run_group_tests(tests, open_sides, close_sides);
}
