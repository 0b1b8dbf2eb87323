/* Inventory: reservations and hints. */
#include "tests/lib/inventory_stage.h"

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

/* Reading the truth may take longer than a step's time: then the next attempt waits longer. */
static void a_slow_recovery_is_given_time(void **state) {
    (void)state;
    redis_up("run-1", 0, 0);
    shard_row(4, 99);
    assert_int_equal(self()->phase, PHASE_raise);
    probe_pass(&probe, 2400 * MS);
    struct message meta = LAST(PORT_redis, meta_read);
    ANSWER_TO(&meta, redis_up, .run_id = text_of("run-1"));
    shard_row(5, 99);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 2);
    probe_pass(&probe, 3500 * MS);
    assert_int_equal(self()->phase, PHASE_raise);
    truth(6, 10, NULL);
    installed_all();
    end_done();
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 2);
}

/* R1 is bounded in time, but not so that a long journal is thrown away while it is being decided.
 */
static void a_drain_that_gets_on_goes_on(void **state) {
    (void)state;
    redis_up("run-1", 4, 99);
    shard_row(4, 99);
    assert_int_equal(self()->phase, PHASE_drain);
    struct message ask = LAST(ACTOR_order, drain);
    ANSWER_TO(&ask, done, .what = MSG_drain, .count = 900);
    assert_int_equal(COUNT(ACTOR_order, drain), 2);
    ANSWER_TO(&ask, done, .what = MSG_drain, .count = 20);
    assert_int_equal(COUNT(ACTOR_order, drain), 3);
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 0);
    ANSWER_TO(&ask, done, .what = MSG_drain, .count = 20); /* PostgreSQL decides nothing. */
    assert_int_equal(COUNT(PORT_pg_shard, shard_recover), 1);
    assert_int_equal(self()->phase, PHASE_raise);
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

static void reserve_elsewhere(enum address from, enum reserve_kind kind, int64_t order_id) {
    probe.head = (struct head){ .origin = (uint8_t)from, .request = (uint64_t)order_id };
    GIVE(from, reserve, .order_id = order_id, .user_id = 7, .lot_id = OTHER_LOT, .quantity = 2,
         .kind = kind);
    probe.head = (struct head){ 0 };
    struct message ask = LAST(PORT_redis, reserve);
    probe_refuse(&probe, &ask, PROBLEM_not_on_sale);
}

/* An old ticket of a sale that was settled must not make the shard recover, at every click; and its
 * order is still its order. */
static void a_settled_lot_is_no_reason_to_recover(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    reserve_elsewhere(ACTOR_bridge, reserve_kind_ordinary, 21);
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(COUNT(ACTOR_bridge, failed), 0);
    const struct place *place = SENT(ACTOR_order, place);
    assert_int_equal(place->seen, 1);
    assert_int_equal(place->rid, rid_make(0, 5, 0));
    assert_int_equal(place->order_id, 21);
    assert_int_equal(place->user_id, 7);
    assert_int_equal(LAST(ACTOR_order, place).head.request, 21);
    reserve_elsewhere(ACTOR_bridge, reserve_kind_probe, 22);
    assert_int_equal(COUNT(ACTOR_order, place), 2);
    /* Late money has no unit to wait for: it goes back. */
    reserve_elsewhere(ACTOR_payment, reserve_kind_late, 23);
    assert_int_equal(SENT(ACTOR_payment, failed)->problem, PROBLEM_not_on_sale);
    assert_int_equal(COUNT(ACTOR_order, place), 2);
    assert_int_equal(self()->phase, PHASE_ready);
}

static void a_lot_that_is_lost_recovers(void **state) {
    (void)state;
    make_ready(5, 10, NULL);
    reserve(41, 11);
    struct message ask = LAST(PORT_redis, reserve);
    probe_refuse(&probe, &ask, PROBLEM_not_on_sale);
    assert_int_equal(refusal(), PROBLEM_recovering);
    assert_int_equal(COUNT(ACTOR_order, place), 0);
    assert_int_equal(self()->phase, PHASE_meta);
}

/* Nobody buys where bridges refuse: the look at the level is the only one to find it. */
static void a_lot_that_a_look_does_not_find_recovers(void **state) {
    (void)state;
    make_ready(5, 1, NULL);
    probe_pass(&probe, 1200 * MS);
    struct message look = LAST(PORT_redis, reserve);
    assert_int_equal(BODY(&look, reserve)->kind, reserve_kind_probe);
    probe_refuse(&probe, &look, PROBLEM_fenced); /* Who serves the shard is found out elsewhere. */
    assert_int_equal(self()->phase, PHASE_ready);
    struct message old = look;
    old.head.request = 4; /* Looked under the epoch before. */
    probe_refuse(&probe, &old, PROBLEM_not_on_sale);
    assert_int_equal(self()->phase, PHASE_ready);
    probe_refuse(&probe, &look, PROBLEM_not_on_sale);
    assert_int_equal(self()->phase, PHASE_meta);
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
    probe_clear(&probe);
    reserve(3, 13);
    assert_int_equal(COUNT(PORT_redis, reserve), 1);
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
    probe_clear(&probe);
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
    assert_int_equal(LAST(ACTOR_bridge, lot_hint).head.node, NODE_EVERY);
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

/* Few units and a crowd under way: its ids must not make the filter say "perhaps" of everybody. */
static void a_crowd_under_way_leaves_strangers_strangers(void **state) {
    (void)state;
    enum { CROWD = 3000 };
    uint32_t strangers = 0;
    make_ready(5, 12, "1:11:5:1;");
    level(12, 1);
    for (int64_t i = 0; i < CROWD; i++)
        reserve((uint64_t)i + 1, 100000 + i);
    level(0, 2);
    assert_true(in_last_hint(11));
    for (int64_t i = 0; i < CROWD; i++)
        assert_true(in_last_hint(100000 + i));
    for (int64_t id = 1000; id < 2000; id++)
        strangers += in_last_hint(id);
    assert_true(strangers < 50);
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
        TEST(a_reservation_goes_its_way),
        TEST(refusals_reach_the_buyer),
        TEST(a_slow_recovery_is_given_time),
        TEST(a_drain_that_gets_on_goes_on),
        TEST(fenced_recovers),
        TEST(a_settled_lot_is_no_reason_to_recover),
        TEST(a_lot_that_is_lost_recovers),
        TEST(a_lot_that_a_look_does_not_find_recovers),
        TEST(an_unknown_reservation_recovers),
        TEST(late_reservations_are_dropped_loudly),
        TEST(a_stalled_writer_stops_reservations_for_a_while),
        TEST(too_many_under_way_are_overloaded),
        TEST(while_recovering_the_writer_is_told_to_come_again),
        TEST(sold_out_is_told_at_once_with_its_holders),
        TEST(a_crowd_under_way_leaves_strangers_strangers),
        TEST(hints_are_repeated_before_they_die),
        TEST(an_answer_that_does_not_come_makes_a_holder),
        TEST(the_catalogue_hears_of_changes),
        TEST(too_many_lots_are_left_out),
        TEST(installed_is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
