/* Inventory: recovery of a shard, step by step. */
#include "tests/lib/inventory_stage.h"

/* ---- Recovery ---- */

static void recovers_from_nothing(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    shard_row(4, 99); /* PostgreSQL knows an epoch, Redis is empty: nothing to drain. */
    assert_int_equal(COUNT(ACTOR_order, drain), 0);
    assert_true(SENT(PORT_pg_shard, shard_recover)->boot != 0);
    assert_true(text_is(SENT(PORT_pg_shard, shard_recover)->run_id, "run-1"));
    truth(5, 30, "1:11:5:1;2:12:6:0;");
    assert_int_equal(SENT(PORT_redis, install_begin)->epoch, 5);
    assert_int_equal(SENT(PORT_redis, install_lot)->available, 30);
    assert_true(text_is(SENT(PORT_redis, install_holders)->holders, "1:11:5:1;2:12:6:0;"));
    assert_int_equal(COUNT(PORT_redis, install_end), 0); /* Not before all are answered. */
    installed_all();
    assert_int_equal(SENT(PORT_redis, install_end)->boot, self()->boot);
    assert_int_equal(COUNT(PORT_redis, epoch_use), 0);
    assert_int_equal(COUNT(ACTOR_order, installed), 0);
    end_done();
    assert_int_equal(SENT(PORT_redis, epoch_use)->epoch, 5);
    assert_int_equal(SENT(PORT_redis, epoch_use)->boot, SENT(PORT_redis, install_end)->boot);
    assert_int_equal(SENT(ACTOR_order, installed)->epoch, 5);
}

static void drains_first_when_redis_is_intact(void **state) {
    (void)state;
    redis_up("run-1", 7, 70);
    shard_row(7, 70);
    assert_int_equal(SENT(PORT_redis, epoch_use)->epoch, 7);
    assert_int_equal(SENT(PORT_redis, epoch_use)->boot, 70);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 0);
    reserve(1, 11); /* H23: never before R2, the same seq would be given out again. */
    assert_int_equal(refusal(), PROBLEM_recovering);
    assert_int_equal(COUNT(PORT_redis, reserve), 0);
    /* The writer may work on the journal meanwhile. */
    GIVE(ACTOR_order, settle, .entry = 5, .rows = 1);
    GIVE(ACTOR_order, journal_read, .limit = 10);
    assert_int_equal(COUNT(PORT_redis, settle), 1);
    assert_int_equal(COUNT(PORT_redis, journal_read), 1);
    struct message drain = LAST(ACTOR_order, drain);
    ANSWER_TO(&drain, done, .what = MSG_drain);
    assert_int_equal(SENT(PORT_pg_shard, shard_recover)->redis_epoch, 7);
}

static void another_boot_is_not_intact(void **state) {
    (void)state;
    redis_up("run-1", 7, 71);
    shard_row(7, 70);
    assert_int_equal(COUNT(ACTOR_order, drain), 0);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 1);
}

static void a_drain_without_an_answer_ends(void **state) {
    (void)state;
    redis_up("run-1", 7, 70);
    shard_row(7, 70);
    probe_pass(&probe, 1500 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 0);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 1);
}

static void asks_redis_when_nobody_introduces_it(void **state) {
    (void)state;
    probe_pass(&probe, 100 * MS);
    struct message ask = LAST(PORT_redis, meta_read);
    ANSWER_TO(&ask, redis_up, .run_id = text_of("run-1"));
    assert_int_equal(COUNT(PORT_pg_shard, shard_get), 1);
}

/* An answer of Redis is lost: R2 again, by a higher number. */
static void a_lost_install_is_done_again(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    shard_row(4, 0);
    truth(5, 30, "1:11:5:1;");
    struct message lot = LAST(PORT_redis, install_lot);
    struct message begin = LAST(PORT_redis, install_begin);
    ANSWER_TO(&begin, done, .what = MSG_install_begin);
    ANSWER_TO(&lot, done, .what = MSG_install_lot);
    ANSWER_TO(&lot, done, .what = MSG_install_lot); /* Twice does not stand for the holders. */
    assert_int_equal(COUNT(PORT_redis, install_end), 0);
    probe_pass(&probe, 2500 * MS);
    assert_int_equal(COUNT(PORT_redis, install_end), 0);
    struct message meta = LAST(PORT_redis, meta_read);
    probe_clear(&probe);
    ANSWER_TO(&meta, redis_up, .run_id = text_of("run-1"));
    shard_row(5, 1);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 1);
    ANSWER_TO(&lot, done, .what = MSG_install_lot); /* Of the old attempt, late. */
    truth(6, 30, NULL);
    assert_int_equal(SENT(PORT_redis, install_begin)->epoch, 6);
    installed_all();
    end_done();
    assert_int_equal(self()->epoch, 6);
}

static void a_lost_row_is_noticed(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    shard_row(4, 0);
    struct message ask = LAST(PORT_pg_shard, shard_recover);
    ANSWER_TO(&ask, recovered, .epoch = 5, .row = 1);
    ANSWER_TO(&ask, recovered, .epoch = 5, .row = 2, .lot_id = LOT, .state = lot_state_open);
    ANSWER_TO(&ask, recovered, .epoch = 5, .row = 2, .lot_id = LOT, .state = lot_state_open);
    ANSWER_TO(&ask, rows_end, .count = 3); /* Row 3 is lost; row 2 came twice. */
    installed_all();
    assert_int_equal(COUNT(PORT_redis, install_end), 0);
    assert_int_equal(COUNT(PORT_redis, install_lot), 1);
    ANSWER_TO(&ask, recovered, .epoch = 5, .row = 3, .lot_id = OTHER_LOT, .state = lot_state_open);
    installed_all();
    assert_int_equal(COUNT(PORT_redis, install_end), 1);
}

static void rows_of_an_older_recovery_are_ignored(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    shard_row(4, 0);
    struct message old = LAST(PORT_pg_shard, shard_recover);
    redis_up("run-2", 0, 0);
    shard_row(5, 0);
    ANSWER_TO(&old, recovered, .epoch = 5, .row = 1);
    assert_int_equal(COUNT(PORT_redis, install_begin), 0);
    truth(6, 1, NULL);
    assert_int_equal(COUNT(PORT_redis, install_begin), 1);
    assert_int_equal(SENT(PORT_redis, install_begin)->epoch, 6);
}

static void failures_back_off(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    uint32_t tries = 0;
    int64_t begin = probe.now;
    while (probe.now - begin < 10000 * MS) {
        if (self()->phase == PHASE_shard) {
            struct message ask = LAST(PORT_pg_shard, shard_get);
            probe_refuse(&probe, &ask, PROBLEM_unavailable);
            tries++;
        } else if (self()->phase == PHASE_meta) {
            struct message ask = LAST(PORT_redis, meta_read);
            ANSWER_TO(&ask, redis_up, .run_id = text_of("run-1"));
        } else {
            probe_pass(&probe, 50 * MS);
        }
    }
    assert_in_range(tries, 6, 12); /* 0.1 0.2 0.4 0.8 1.6 2 2 2 s */
}

static void another_run_id_recovers_again(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    redis_up("run-2", 5, self()->boot); /* Restarted, perhaps without its last second. */
    reserve(1, 11);
    assert_int_equal(refusal(), PROBLEM_recovering);
    assert_int_equal(COUNT(PORT_pg_shard, shard_get), 1);
}

static void the_same_redis_goes_on(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    redis_up("run-1", 5, self()->boot);
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(COUNT(PORT_redis, epoch_use), 1);
    /* Something it said before the install, late: asked again before anything is done. */
    redis_up("run-1", 4, 3);
    assert_int_equal(self()->phase, PHASE_ready);
    struct message ask = LAST(PORT_redis, meta_read);
    ANSWER_TO(&ask, redis_up, .run_id = text_of("run-1"), .epoch = 5, .boot = self()->boot);
    assert_int_equal(self()->phase, PHASE_ready);
    redis_up("run-1", 0, 0);
    ask = LAST(PORT_redis, meta_read);
    ANSWER_TO(&ask, redis_up, .run_id = text_of("run-1")); /* FLUSHALL: it is really gone. */
    assert_int_equal(self()->phase, PHASE_shard);
}

static void redis_down_recovers_at_its_return(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    GIVE(PORT_redis, redis_down, 0);
    reserve(1, 11);
    assert_int_equal(refusal(), PROBLEM_recovering);
    redis_up("run-1", 5, self()->boot);
    /* Answers were lost with the connection, so the filters are not to be trusted. */
    assert_int_equal(self()->phase, PHASE_shard);
}

static void recover_is_answered_once_it_is_done(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    probe.head = (struct head){ .origin = ACTOR_order, .request = 55 };
    GIVE(ACTOR_order, recover, 0);
    probe.head = (struct head){ 0 };
    struct message meta = LAST(PORT_redis, meta_read);
    ANSWER_TO(&meta, redis_up, .run_id = text_of("run-1"), .epoch = 5, .boot = self()->boot);
    shard_row(5, 12345);
    truth(6, 10, NULL);
    assert_int_equal(self()->phase, PHASE_raise);
    /* The same wish again does not begin anew, … */
    probe.head = (struct head){ .origin = ACTOR_order, .request = 55 };
    GIVE(ACTOR_order, recover, 0);
    probe.head = (struct head){ 0 };
    assert_int_equal(self()->phase, PHASE_raise);
    installed_all();
    end_done();
    assert_int_equal(COUNT(ACTOR_order, done), 1);
    assert_int_equal(probe_message(&probe, ACTOR_order, MSG_done, 0)->head.request, 55);
    /* … and a late repeat is answered from memory. */
    probe.head = (struct head){ .origin = ACTOR_order, .request = 55 };
    GIVE(ACTOR_order, recover, 0);
    probe.head = (struct head){ 0 };
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(COUNT(ACTOR_order, done), 2);
}

/* An order actor that starts after R2 was read has lost undos that R2 does not know of. */
static void recover_after_r2_reads_again(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    shard_row(4, 0);
    truth(5, 10, NULL);
    probe.head = (struct head){ .origin = ACTOR_order, .request = 56 };
    GIVE(ACTOR_order, recover, 0);
    probe.head = (struct head){ 0 };
    assert_int_equal(self()->phase, PHASE_meta);
}

/* Old introductions that come again and again: one question, whose answer decides. */
static void late_introductions_ask_once(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    uint32_t before = COUNT(PORT_redis, meta_read);
    for (int i = 0; i < 5; i++)
        redis_up("run-1", 4, 3);
    assert_int_equal(COUNT(PORT_redis, meta_read), before + 1);
    struct message ask = LAST(PORT_redis, meta_read);
    ANSWER_TO(&ask, redis_up, .run_id = text_of("run-1"), .epoch = 5, .boot = self()->boot);
    assert_int_equal(self()->phase, PHASE_ready);
    redis_up("run-1", 4, 3);
    assert_int_equal(COUNT(PORT_redis, meta_read), before + 2);
}

static void a_fence_of_an_old_epoch_is_no_reason(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    GIVE(ACTOR_order, recover, .epoch = 4);
    assert_int_equal(self()->phase, PHASE_ready);
    GIVE(ACTOR_order, recover, .epoch = 5);
    assert_int_equal(self()->phase, PHASE_meta);
    GIVE(ACTOR_order, recover, .epoch = 5); /* Under way. */
    assert_int_equal(COUNT(PORT_redis, meta_read), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(recovers_from_nothing),
        TEST(drains_first_when_redis_is_intact),
        TEST(another_boot_is_not_intact),
        TEST(a_drain_without_an_answer_ends),
        TEST(asks_redis_when_nobody_introduces_it),
        TEST(a_lost_install_is_done_again),
        TEST(a_lost_row_is_noticed),
        TEST(rows_of_an_older_recovery_are_ignored),
        TEST(failures_back_off),
        TEST(another_run_id_recovers_again),
        TEST(the_same_redis_goes_on),
        TEST(redis_down_recovers_at_its_return),
        TEST(recover_is_answered_once_it_is_done),
        TEST(recover_after_r2_reads_again),
        TEST(late_introductions_ask_once),
        TEST(a_fence_of_an_old_epoch_is_no_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
