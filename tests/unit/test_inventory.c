/* Inventory by hand: recovery step by step, reservations, hints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/inventory/inventory.h"
#include "actors/lib/bloom.h"
#include "schema/id.h"
#include "tests/lib/actor_probe.h"

#define MS INT64_C(1000000)
enum { LOT = 100, OTHER_LOT = 101 };
static struct probe probe;

#define GIVE(from, name, ...) probe_give(&probe, (from), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define ANSWER_TO(message, name, ...)                                                              \
    probe_answer(&probe, (message), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define SENT(to, name)  PROBE_SENT(&probe, (to), name, -1)
#define COUNT(to, name) probe_count(&probe, (to), MSG_##name)
#define LAST(to, name)  (*probe_message(&probe, (to), MSG_##name, -1))

static struct inventory *self(void) {
    return probe.state;
}

static int setup(void **state) {
    (void)state;
    probe_open(&probe, &inventory_type, NULL);
    probe_restart(&probe);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

/* ---- Steps of a recovery ---- */

static void redis_up(const char *run_id, uint32_t epoch, int64_t boot) {
    GIVE(PORT_redis, redis_up, .run_id = text_of(run_id), .epoch = epoch, .boot = boot);
}

static void shard_row(uint32_t epoch, int64_t boot) {
    struct message ask = LAST(PORT_pg_shard, shard_get);
    ANSWER_TO(&ask, shard_row, .epoch = epoch, .boot = boot);
}

/* The truth: the epoch row, one lot, its holders. */
static void truth(uint32_t epoch, int64_t available, const char *holders) {
    struct message ask = LAST(PORT_pg_shard, shard_recover);
    uint32_t row = 0;
    ANSWER_TO(&ask, recovered, .epoch = epoch, .row = ++row);
    ANSWER_TO(&ask, recovered, .epoch = epoch, .row = ++row, .lot_id = LOT, .state = lot_state_open,
              .available = available, .per_buyer_limit = 1, .allocated = 50);
    if (holders != NULL) {
        ANSWER_TO(&ask, recovered, .epoch = epoch, .row = ++row, .lot_id = LOT,
                  .holders = text_of(holders));
    }
    ANSWER_TO(&ask, rows_end, .what = MSG_shard_recover, .count = row);
}

/* Redis answers all install messages sent so far. */
static void installed_all(void) {
    static const enum message_id steps[] = { MSG_install_begin, MSG_install_lot,
                                             MSG_install_holders };
    for (size_t i = 0; i < 3; i++) {
        uint32_t count = probe_count(&probe, PORT_redis, steps[i]);
        for (uint32_t k = 0; k < count; k++) {
            struct message ask = *probe_message(&probe, PORT_redis, steps[i], (int)k);
            ANSWER_TO(&ask, done, .what = ask.head.type);
        }
    }
}

static void end_done(void) {
    struct message end = LAST(PORT_redis, install_end);
    ANSWER_TO(&end, done, .what = MSG_install_end);
}

static void make_ready(uint32_t epoch, int64_t available, const char *holders) {
    redis_up("run-1", 0, 0);
    shard_row(epoch - 1, 0);
    truth(epoch, available, holders);
    installed_all();
    end_done();
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(self()->epoch, epoch);
    probe_clear(&probe);
}

static void reserve(uint64_t request, int64_t order_id) {
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = request };
    GIVE(ACTOR_bridge, reserve, .order_id = order_id, .user_id = 1, .lot_id = LOT, .quantity = 1,
         .kind = reserve_kind_ordinary, .address = text_of("{}"));
    probe.head = (struct head){ 0 };
}

static enum problem refusal(void) {
    return SENT(ACTOR_bridge, failed)->problem;
}

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

/* ---- Reservations ---- */

static void a_reservation_goes_its_way(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    reserve(41, 11);
    struct message ask = LAST(PORT_redis, reserve);
    assert_true(text_is(SENT(PORT_redis, reserve)->address, "{}"));
    ANSWER_TO(&ask, reserved, .rid = rid_make(0, 5, 1), .entry = rid_make(0, 5, 1), .rows = 1,
              .order_id = 11, .user_id = 1, .lot_id = LOT, .quantity = 1,
              .kind = reserve_kind_ordinary, .address = text_of("{}"));
    assert_int_equal(SENT(ACTOR_bridge, held)->rid, rid_make(0, 5, 1));
    const struct message *place = probe_message(&probe, ACTOR_order, MSG_place, 0);
    assert_int_equal(place->head.origin, ACTOR_bridge);
    assert_int_equal(place->head.request, 41);
    assert_int_equal(SENT(ACTOR_order, place)->rows, 1);
    assert_int_equal(self()->pending_slots.used, 0);
}

static void refusals_reach_the_buyer(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    reserve(41, 11);
    struct message ask = LAST(PORT_redis, reserve);
    probe_refuse(&probe, &ask, PROBLEM_sold_out);
    assert_int_equal(refusal(), PROBLEM_sold_out);
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(COUNT(ACTOR_order, place), 0);
}

static void fenced_recovers(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    reserve(41, 11);
    struct message ask = LAST(PORT_redis, reserve);
    probe_refuse(&probe, &ask, PROBLEM_fenced);
    assert_int_equal(refusal(), PROBLEM_recovering);
    assert_int_equal(self()->phase, PHASE_meta);
    struct message meta = LAST(PORT_redis, meta_read);
    ANSWER_TO(&meta, redis_up, .run_id = text_of("run-1"));
    shard_row(5, 1);
    truth(6, 10, NULL);
    installed_all();
    end_done();
    probe_refuse(&probe, &ask, PROBLEM_fenced); /* The same answer again, late. */
    assert_int_equal(self()->phase, PHASE_ready);
}

static void an_unknown_reservation_recovers(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    reserve(41, 11);
    struct message ask = LAST(PORT_redis, reserve);
    probe_refuse(&probe, &ask, PROBLEM_unavailable);
    assert_int_equal(refusal(), PROBLEM_unavailable);
    assert_int_equal(self()->phase, PHASE_meta);
}

static void late_reservations_are_dropped_loudly(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = 1, .deadline = probe.now };
    GIVE(ACTOR_bridge, reserve, .order_id = 11, .user_id = 1, .lot_id = LOT, .quantity = 1,
         .kind = reserve_kind_ordinary);
    assert_int_equal(refusal(), PROBLEM_overloaded);
    assert_int_equal(COUNT(PORT_redis, reserve), 0);
}

static void a_stalled_writer_stops_reservations_for_a_while(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    GIVE(ACTOR_order, writer_lag, .age = 11000 * MS);
    reserve(1, 11);
    assert_int_equal(refusal(), PROBLEM_unavailable);
    GIVE(ACTOR_order, writer_lag, .age = 0);
    reserve(2, 12);
    assert_int_equal(COUNT(PORT_redis, reserve), 1);
    GIVE(ACTOR_order, writer_lag, .age = 11000 * MS);
    probe_pass(&probe, 3100 * MS); /* The order actor is gone, and says nothing more. */
    reserve(3, 13);
    assert_int_equal(COUNT(PORT_redis, reserve), 2);
}

static void too_many_under_way_are_overloaded(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    for (uint64_t i = 0; i < INVENTORY_PENDING_MAX; i++) {
        reserve(1000 + i, (int64_t)i + 1);
        probe_clear(&probe);
    }
    reserve(1, 7);
    assert_int_equal(refusal(), PROBLEM_overloaded);
    probe_pass(&probe, 5100 * MS); /* Their answers do not come. */
    reserve(2, 7);
    assert_int_equal(COUNT(PORT_redis, reserve), 1);
}

static void while_recovering_the_writer_is_told_to_come_again(void **state) {
    (void)state;
    probe.head = (struct head){ .origin = ACTOR_order, .request = 9 };
    GIVE(ACTOR_order, undo, .rid = 9, .order_id = 1, .user_id = 1, .lot_id = LOT, .quantity = 1);
    assert_int_equal(SENT(ACTOR_order, failed)->problem, PROBLEM_fenced);
    GIVE(ACTOR_order, journal_read, .limit = 1);
    assert_int_equal(SENT(ACTOR_order, failed)->problem, PROBLEM_recovering);
    GIVE(ACTOR_catalogue, lot_set, .lot_id = LOT, .state = lot_state_paused, .per_buyer_limit = 1);
    assert_int_equal(SENT(ACTOR_catalogue, failed)->problem, PROBLEM_recovering);
    probe.head = (struct head){ 0 };
    make_ready(5, 10, NULL);
    GIVE(ACTOR_order, undo, .rid = 9, .order_id = 1, .user_id = 1, .lot_id = LOT, .quantity = 1);
    const struct message *undo = probe_message(&probe, PORT_redis, MSG_undo, 0);
    assert_int_equal(undo->head.from, ACTOR_order); /* Redis answers the sender. */
}

/* ---- Hints ---- */

static void level(int64_t available, int64_t version) {
    GIVE(PORT_redis, lot_level, .lot_id = LOT, .state = lot_state_open, .available = available,
         .per_buyer_limit = 1, .version = version, .epoch = 5);
}

static bool in_last_hint(int64_t order_id) {
    const struct lot_hint *hint = SENT(ACTOR_bridge, lot_hint);
    return bloom_may_have((const uint8_t *)hint->holders.at, hint->holders.size, order_id);
}

static void sold_out_is_told_at_once_with_its_holders(void **state) {
    (void)state;
    make_ready(5, 300, "1:11:5:1;2:12:6:0;");
    level(299, 1);
    assert_int_equal(COUNT(ACTOR_bridge, lot_hint), 0); /* Still sellable: it has time. */
    reserve(1, 13);
    struct message ask = LAST(PORT_redis, reserve);
    reserve(2, 14); /* Not answered yet: he may be the last holder. */
    probe.head = ask.head;
    struct reserved reserved = { .rid = rid_make(0, 5, 1),
                                 .order_id = 13,
                                 .user_id = 3,
                                 .lot_id = LOT,
                                 .quantity = 1,
                                 .kind = reserve_kind_ordinary };
    probe_queue(&probe, PORT_redis, &reserved, MSG_reserved);
    probe.head = (struct head){ 0 };
    level(0, 2);
    assert_int_equal(COUNT(ACTOR_bridge, lot_hint), 1);
    assert_int_equal(SENT(ACTOR_bridge, lot_hint)->available, 0);
    assert_int_equal(SENT(ACTOR_bridge, lot_hint)->epoch, 5);
    assert_true(in_last_hint(11) && in_last_hint(12) && in_last_hint(13) && in_last_hint(14));
    uint32_t strangers = 0;
    for (int64_t id = 1000; id < 2000; id++)
        strangers += in_last_hint(id);
    assert_true(strangers < 50);
    level(1, 3); /* A unit came back: offered again at once. */
    assert_int_equal(COUNT(ACTOR_bridge, lot_hint), 2);
    level(5, 2); /* Older. */
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(SENT(ACTOR_bridge, lot_hint)->available, 1);
}

static void hints_are_repeated_before_they_die(void **state) {
    (void)state;
    make_ready(5, 0, "1:11:5:1;");
    probe_pass(&probe, 2000 * MS);
    assert_in_range(COUNT(ACTOR_bridge, lot_hint), 8, 11);
    assert_true(in_last_hint(11));
    assert_int_equal(SENT(ACTOR_bridge, lot_hint)->life, 500 * MS);
    GIVE(PORT_redis, redis_down, 0);
    probe_clear(&probe);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(COUNT(ACTOR_bridge, lot_hint), 0); /* Nothing is known any more. */
}

static void an_answer_that_does_not_come_makes_a_holder(void **state) {
    (void)state;
    make_ready(5, 0, NULL);
    reserve(1, 77);
    struct message ask = LAST(PORT_redis, reserve);
    reserve(2, 78);
    probe_refuse(&probe, &ask, PROBLEM_sold_out); /* 77 is answered: he holds nothing. */
    probe_pass(&probe, 300 * MS);
    assert_false(in_last_hint(77));
    assert_true(in_last_hint(78));
}

static void the_catalogue_hears_of_changes(void **state) {
    (void)state;
    make_ready(5, 30, NULL);
    probe_pass(&probe, 250 * MS);
    uint32_t before = COUNT(ACTOR_catalogue, lot_level);
    for (int64_t i = 0; i < 20; i++)
        level(29 - i, 1 + i);
    probe_pass(&probe, 250 * MS);
    assert_int_equal(COUNT(ACTOR_catalogue, lot_level), before + 1);
    assert_int_equal(SENT(ACTOR_catalogue, lot_level)->available, 10);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(COUNT(ACTOR_catalogue, lot_level), before + 1);
}

static void too_many_lots_are_left_out(void **state) {
    (void)state;
    make_ready(5, 30, NULL);
    for (int64_t i = 0; i < INVENTORY_LOTS_MAX + 3; i++) {
        GIVE(PORT_redis, lot_level, .lot_id = 1000 + i, .state = lot_state_open, .available = 5,
             .version = 1, .epoch = 5);
    }
    assert_int_equal(self()->lots_left_out, 4);
}

static void installed_is_repeated(void **state) {
    (void)state;
    make_ready(5, 30, NULL);
    probe_pass(&probe, 3100 * MS);
    assert_int_equal(COUNT(ACTOR_order, installed), 3);
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
        TEST(a_fence_of_an_old_epoch_is_no_reason),
        TEST(a_reservation_goes_its_way),
        TEST(refusals_reach_the_buyer),
        TEST(fenced_recovers),
        TEST(an_unknown_reservation_recovers),
        TEST(late_reservations_are_dropped_loudly),
        TEST(a_stalled_writer_stops_reservations_for_a_while),
        TEST(too_many_under_way_are_overloaded),
        TEST(while_recovering_the_writer_is_told_to_come_again),
        TEST(sold_out_is_told_at_once_with_its_holders),
        TEST(hints_are_repeated_before_they_die),
        TEST(an_answer_that_does_not_come_makes_a_holder),
        TEST(the_catalogue_hears_of_changes),
        TEST(too_many_lots_are_left_out),
        TEST(installed_is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
