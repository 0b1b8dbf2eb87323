/* The order writer by hand: asked again, epochs, recovery, drain, stop. */
#include "tests/lib/order_stage.h"

/* ---- Asked again ---- */

static void a_double_click_waits_for_the_same_decision(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    seen(900, 1, 11);
    assert_int_equal(COUNT(PORT_pg_shop, order_find), 0); /* It is here, undecided. */
    accept(1);
    probe_pass(&probe, 50 * MS);
    struct message ask = LAST(PORT_pg_shop, order_find);
    assert_int_equal(((const struct order_find *)ask.body)->rid, rid(1));
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_awaiting_payment);
    assert_int_equal(LAST(ACTOR_bridge, order_view).head.request, 900);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->replayed, 1);
}

/* The ticket is used again for something else. */
static void another_purchase_is_a_duplicate(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    struct place other = place_of(1, 0, 0, 11);
    other.entry = 0;
    other.seen = 1;
    other.quantity = 1;
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = 901 };
    probe_give(&probe, ACTOR_inventory, &other, MSG_place); /* While it is undecided. */
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_duplicate);
    accept(1);
    other.quantity = 2;
    other.address = text_of("{\"city\":\"Y\"}");
    probe_give(&probe, ACTOR_inventory, &other, MSG_place); /* And after. */
    probe.head = (struct head){ 0 };
    struct message ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_awaiting_payment,
              .quantity = 2, .address = text_of("{\"city\":\"X\"}"));
    assert_int_equal(COUNT(ACTOR_bridge, failed), 2);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_duplicate);
    seen(902, 1, 11);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_awaiting_payment,
              .quantity = 2, .address = text_of("{\"city\":\"X\"}"));
    assert_int_equal(SENT(ACTOR_bridge, order_view)->replayed, 1);
    assert_int_equal(self()->waiters_free.used, 0);
}

static void seen_before_the_decision_is_asked_until_found(void **state) {
    (void)state;
    seen(900, 1, 11); /* Not in the window: its place was lost. */
    struct message ask = LAST(PORT_pg_shop, order_find);
    probe_refuse(&probe, &ask, PROBLEM_not_found);
    assert_int_equal(SENT(ACTOR_bridge, held)->rid, rid(1));
    assert_int_equal(COUNT(ACTOR_bridge, failed), 0);
    probe_pass(&probe, 50 * MS);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_pending);
    probe_pass(&probe, 50 * MS);
    assert_true(COUNT(PORT_pg_shop, order_find) >= 3);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_expired, .rid = rid(1));
    assert_int_equal(SENT(ACTOR_bridge, order_view)->state, order_state_expired);
    assert_int_equal(COUNT(ACTOR_bridge, held), 1);
    assert_int_equal(self()->waiters_free.used, 0);
}

/* Both stand in the first place of their table; a host draws another seed at each start. */
static void an_answer_to_one_who_crashed_is_nobodys(void **state) {
    (void)state;
    seen(900, 1, 11);
    struct message found = LAST(PORT_pg_shop, order_find);
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = 901 };
    GIVE(ACTOR_bridge, order_list, .user_id = USER);
    struct message listed = LAST(PORT_pg_shop, order_rows_get);
    memset(probe.setup.seed, 9, sizeof probe.setup.seed);
    probe.head = (struct head){ 0 };
    probe_restart(&probe);
    seen(902, 2, 12);
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = 903 };
    GIVE(ACTOR_bridge, order_list, .user_id = USER + 1);
    probe.head = (struct head){ 0 };
    ANSWER_TO(&found, order_view, .order_id = 11, .state = order_state_awaiting_payment);
    ANSWER_TO(&listed, order_view, .order_id = 11, .state = order_state_awaiting_payment);
    ANSWER_TO(&listed, rows_end, .what = MSG_order_rows_get, .count = 1);
    assert_int_equal(COUNT(ACTOR_bridge, order_view), 0);
    assert_int_equal(COUNT(ACTOR_bridge, rows_end), 0);
    assert_int_equal(self()->waiters_free.used, 1); /* He waits for his own. */
    struct message ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_awaiting_payment);
    assert_int_equal(COUNT(ACTOR_bridge, order_view), 0); /* Not even under his number. */
}

/* The ticket was refused before, and has a new reservation now: the old refusal is no answer. */
static void an_older_refusal_is_not_the_answer(void **state) {
    (void)state;
    seen(900, 5, 11);
    struct message ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_refused,
              .code = PROBLEM_sold_out, .rid = rid(2));
    assert_int_equal(COUNT(ACTOR_bridge, failed), 0);
    probe_pass(&probe, 50 * MS);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_refused,
              .code = PROBLEM_limit_reached, .rid = rid(5));
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_limit_reached);
}

/* Its lot is not in the hot counter any more: the order, or a definite no, and never a receipt. */
static void a_settled_lot_has_orders_or_nothing(void **state) {
    (void)state;
    seen(900, 0, 11);
    struct message ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_expired, .rid = rid(4));
    assert_int_equal(SENT(ACTOR_bridge, order_view)->state, order_state_expired);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->replayed, 1);
    seen(901, 0, 12);
    ask = LAST(PORT_pg_shop, order_find);
    probe_refuse(&probe, &ask, PROBLEM_unavailable);
    probe_pass(&probe, 50 * MS);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 12, .state = order_state_pending, .rid = rid(0));
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_not_on_sale);
    assert_int_equal(LAST(ACTOR_bridge, failed).head.request, 901);
    assert_int_equal(COUNT(ACTOR_bridge, held), 0);
    assert_int_equal(self()->waiters_free.used, 0);
}

static void waiters_are_bounded_and_leave(void **state) {
    (void)state;
    for (uint64_t i = 0; i < ORDER_WAITERS_MAX + 1; i++) {
        seen(1000 + i, 1, 11);
        if (i % 512 == 0) probe_clear(&probe);
    }
    assert_int_equal(self()->waiters_left_out, 1);
    probe_pass(&probe, 2100 * MS);
    assert_int_equal(self()->waiters_free.used, 0);
}

/* ---- Epochs, recovery, drain, stop ---- */

static void a_new_epoch_ends_what_was_undecided(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    place(2, 2, 1, 12);
    refuse(2, PROBLEM_sold_out); /* An undo and a settle are under way. */
    GIVE(ACTOR_inventory, installed, .epoch = EPOCH + 1);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_recovering);
    assert_int_equal(LAST(ACTOR_bridge, failed).head.request, 1);
    assert_int_equal(self()->rows_free.used, 0);
    assert_int_equal(self()->entries_free.used, 0);
    assert_int_equal(self()->undos_free.used, 1); /* R4 */
    probe_clear(&probe);
    place(3, 3, 1, 13); /* Of the old epoch still. */
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_recovering);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 0);
    GIVE(ACTOR_inventory, installed, .epoch = EPOCH); /* Late. */
    assert_int_equal(self()->epoch, EPOCH + 1);
}

static void a_rid_proves_its_epoch(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    struct place body = place_of(1, 1, 1, 12);
    body.rid = body.entry = rid_make(0, EPOCH + 1, 1); /* `installed` was lost. */
    probe_give(&probe, ACTOR_inventory, &body, MSG_place);
    assert_int_equal(self()->epoch, EPOCH + 1);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_recovering);
    assert_int_equal(SENT(PORT_pg_shard, purchase)->rid, body.rid);
}

static void after_a_start_it_asks_for_recovery_until_done(void **state) {
    (void)state;
    probe_restart(&probe);
    assert_int_equal(COUNT(ACTOR_inventory, recover), 1);
    probe_pass(&probe, 2100 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, recover), 3);
    struct message ask = LAST(ACTOR_inventory, recover);
    assert_int_equal(((const struct recover *)ask.body)->epoch, 0);
    uint64_t request = ask.head.request;
    ANSWER_TO(&ask, done, .what = MSG_recover);
    probe_clear(&probe);
    probe_pass(&probe, 2100 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, recover), 0);
    probe_restart(&probe); /* Another life, another wish. */
    assert_true(LAST(ACTOR_inventory, recover).head.request != request);
}

static void drain(uint64_t request, int64_t until) {
    probe.head = (struct head){ .origin = ACTOR_inventory, .request = request };
    GIVE(ACTOR_inventory, drain, .until = until);
    probe.head = (struct head){ 0 };
}

static void drain_decides_what_the_journal_holds(void **state) {
    (void)state;
    drain(500, probe.now + 2000 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, journal_read), 1);
    struct place row = place_of(1, 1, 1, 11);
    journal(&row, 1);
    assert_int_equal(COUNT(ACTOR_inventory, done), 0);
    accept(1);
    assert_int_equal(LAST(ACTOR_inventory, done).head.request, 500);
    assert_int_equal(SENT(ACTOR_inventory, done)->count, 0);
}

static void drain_gives_up_in_time(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    drain(500, probe.now + 2000 * MS);
    journal(NULL, 0);
    probe_pass(&probe, 1900 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, done), 0);
    probe_pass(&probe, 200 * MS);
    assert_int_equal(SENT(ACTOR_inventory, done)->count, 1);
}

static void drain_begins_its_own_pass(void **state) {
    (void)state;
    probe_pass(&probe, 1100 * MS); /* A read is under way; what it will say may be old. */
    struct message old = LAST(ACTOR_inventory, journal_read);
    drain(500, probe.now + 2000 * MS);
    old.head.to = PORT_redis;
    ANSWER_TO(&old, rows_end, .what = MSG_journal_read);
    assert_int_equal(COUNT(ACTOR_inventory, done), 0);
    journal(NULL, 0);
    assert_int_equal(COUNT(ACTOR_inventory, done), 1);
}

static void stop_waits_for_everything(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    GIVE(PORT_door, stop, 0);
    journal(NULL, 0);
    refuse(1, PROBLEM_sold_out);
    assert_int_equal(COUNT(PORT_door, stopped), 0);
    undone();
    assert_int_equal(COUNT(PORT_door, stopped), 0);
    settled();
    assert_int_equal(COUNT(PORT_door, stopped), 1);
}

static void lag_is_told_and_taken_back(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    probe_pass(&probe, 9900 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, writer_lag), 0);
    probe_pass(&probe, 2500 * MS);
    assert_in_range(COUNT(ACTOR_inventory, writer_lag), 2, 4);
    assert_true(SENT(ACTOR_inventory, writer_lag)->age > 10000 * MS);
    accept(1);
    assert_int_equal(SENT(ACTOR_inventory, writer_lag)->age, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_double_click_waits_for_the_same_decision),
        TEST(another_purchase_is_a_duplicate),
        TEST(seen_before_the_decision_is_asked_until_found),
        TEST(an_answer_to_one_who_crashed_is_nobodys),
        TEST(an_older_refusal_is_not_the_answer),
        TEST(a_settled_lot_has_orders_or_nothing),
        TEST(waiters_are_bounded_and_leave),
        TEST(a_new_epoch_ends_what_was_undecided),
        TEST(a_rid_proves_its_epoch),
        TEST(after_a_start_it_asks_for_recovery_until_done),
        TEST(drain_decides_what_the_journal_holds),
        TEST(drain_gives_up_in_time),
        TEST(drain_begins_its_own_pass),
        TEST(stop_waits_for_everything),
        TEST(lag_is_told_and_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
