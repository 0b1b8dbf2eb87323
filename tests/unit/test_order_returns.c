/* The order actor by hand: cancel, expire, reads. */
#include "tests/lib/order_stage.h"

/* ---- Cancel and expire ---- */

static void due(int64_t order_id) {
    GIVE(ACTOR_timer, deadline, .kind = deadline_kind_pay_by, .id = order_id);
}
#define RETURNED(name, ...)                                                                        \
    ANSWER_TO(&(name), returned, .order_id = 11, .user_id = USER, .lot_id = LOT, .rid = rid(1),    \
              .epoch = EPOCH + 2, __VA_ARGS__)

static void an_expired_order_gives_its_units_back(void **state) {
    (void)state;
    due(11);
    struct message ask = LAST(PORT_pg_shard, order_return);
    assert_int_equal(SENT(PORT_pg_shard, order_return)->to, order_state_expired);
    RETURNED(ask, .outcome = outcome_accepted, .state = order_state_expired, .quantity = 2);
    const struct undo *undo = SENT(ACTOR_inventory, undo);
    assert_int_equal(undo->rid, rid(1));
    assert_int_equal(undo->keep, 1);
    assert_int_equal(undo->epoch, EPOCH + 2); /* Read in the transaction of the return. */
    RETURNED(ask, .outcome = outcome_accepted, .state = order_state_expired, .quantity = 2);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 1);
}

static void paid_in_time_does_not_expire(void **state) {
    (void)state;
    due(11);
    struct message ask = LAST(PORT_pg_shard, order_return);
    RETURNED(ask, .outcome = outcome_refused, .reason = PROBLEM_illegal_state,
             .state = order_state_paid);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 0);
    assert_int_equal(COUNT(ACTOR_timer, deadline_set), 0);
}

static void not_due_yet_is_set_again(void **state) {
    (void)state;
    due(11);
    struct message ask = LAST(PORT_pg_shard, order_return);
    RETURNED(ask, .outcome = outcome_refused, .reason = PROBLEM_illegal_state,
             .state = order_state_paying, .pay_by = probe.now + 5000 * MS);
    assert_int_equal(SENT(ACTOR_timer, deadline_set)->at, probe.now + 5000 * MS);
    due(11);
    ask = LAST(PORT_pg_shard, order_return);
    RETURNED(ask, .outcome = outcome_refused, .reason = PROBLEM_illegal_state,
             .state = order_state_paying, .pay_by = probe.now - 1);
    assert_true(SENT(ACTOR_timer, deadline_set)->at > probe.now); /* No loop. */
}

static void an_unknown_return_is_asked_again(void **state) {
    (void)state;
    due(11);
    due(11); /* Twice is once. */
    assert_int_equal(COUNT(PORT_pg_shard, order_return), 1);
    struct message ask = LAST(PORT_pg_shard, order_return);
    probe_refuse(&probe, &ask, PROBLEM_unavailable);
    probe_pass(&probe, 2100 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, order_return), 2);
    RETURNED(ask, .outcome = outcome_same, .state = order_state_expired, .quantity = 2);
    assert_int_equal(SENT(ACTOR_inventory, undo)->rid, rid(1));
    probe_pass(&probe, 2100 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, order_return), 2);
}

static void cancel(uint64_t request) {
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = request };
    GIVE(ACTOR_bridge, order_cancel, .order_id = 11, .user_id = USER);
    probe.head = (struct head){ 0 };
}

static void a_cancel_shows_the_order(void **state) {
    (void)state;
    cancel(31);
    struct message ask = LAST(PORT_pg_shard, order_return);
    assert_int_equal(SENT(PORT_pg_shard, order_return)->user_id, USER);
    RETURNED(ask, .outcome = outcome_accepted, .state = order_state_cancelled, .quantity = 2);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 1);
    assert_int_equal(SENT(ACTOR_timer, deadline_set)->at, 0);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_cancelled);
    assert_int_equal(LAST(ACTOR_bridge, order_view).head.request, 31);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->replayed, 0);
}

/* The return may have been committed before the lot was settled, and its answer lost. */
static void units_of_a_settled_lot_are_not_held_any_more(void **state) {
    (void)state;
    cancel(31);
    struct message ask = LAST(PORT_pg_shard, order_return);
    RETURNED(ask, .outcome = outcome_accepted, .state = order_state_cancelled, .quantity = 2,
             .to_general = 1);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 1);
    assert_int_equal(COUNT(PORT_pg_shop, order_find), 1);
}

static void a_cancel_is_refused_or_unknown(void **state) {
    (void)state;
    cancel(31);
    cancel(31); /* The same message twice. */
    cancel(32); /* Another click. */
    assert_int_equal(COUNT(PORT_pg_shard, order_return), 1);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_overloaded);
    assert_int_equal(LAST(ACTOR_bridge, failed).head.request, 32);
    struct message ask = LAST(PORT_pg_shard, order_return);
    probe_refuse(&probe, &ask, PROBLEM_unavailable);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_unavailable);
    assert_int_equal(LAST(ACTOR_bridge, failed).head.request, 31);
    probe_pass(&probe, 2100 * MS); /* It may have been committed: units must not be lost. */
    ask = LAST(PORT_pg_shard, order_return);
    RETURNED(ask, .outcome = outcome_same, .state = order_state_cancelled, .quantity = 2);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 1);
    assert_int_equal(COUNT(ACTOR_bridge, failed), 2);
    cancel(33);
    ask = LAST(PORT_pg_shard, order_return);
    RETURNED(ask, .outcome = outcome_refused, .reason = PROBLEM_not_found);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_not_found);
}

/* A stranger's cancel was sent again; the second refusal comes while the owner's is asked. */
static void a_refusal_is_for_who_asked(void **state) {
    (void)state;
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = 31 };
    GIVE(ACTOR_bridge, order_cancel, .order_id = 11, .user_id = USER + 1);
    struct message strange = LAST(PORT_pg_shard, order_return);
    ANSWER_TO(&strange, returned, .order_id = 11, .outcome = outcome_refused,
              .reason = PROBLEM_not_found);
    assert_int_equal(LAST(ACTOR_bridge, failed).head.request, 31);
    cancel(32);
    struct message ask = LAST(PORT_pg_shard, order_return);
    ANSWER_TO(&strange, returned, .order_id = 11, .outcome = outcome_refused,
              .reason = PROBLEM_not_found);
    probe_refuse(&probe, &strange, PROBLEM_unavailable);
    assert_int_equal(COUNT(ACTOR_bridge, failed), 1);
    RETURNED(ask, .outcome = outcome_accepted, .state = order_state_cancelled, .quantity = 2);
    ask = LAST(PORT_pg_shop, order_find);
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_cancelled);
    assert_int_equal(LAST(ACTOR_bridge, order_view).head.request, 32);
}

/* 25,000 orders are due in one second and PostgreSQL is slow: it gets some at a time, and not the
 * same again and again. */
static void many_returns_do_not_fill_the_mailbox(void **state) {
    (void)state;
    enum { MANY = 25000 };
    for (int64_t id = 1; id <= MANY; id++) {
        struct deadline due = { .kind = deadline_kind_pay_by, .id = id };
        probe_queue(&probe, ACTOR_timer, &due, MSG_deadline);
        if (id % 500 == 0) probe_run(&probe);
    }
    assert_int_equal(COUNT(PORT_pg_shard, order_return), ORDER_RETURNS_ASKED);
    probe_pass(&probe, 70000 * MS); /* It hangs. */
    assert_true(COUNT(PORT_pg_shard, order_return) >= 3 * ORDER_RETURNS_ASKED);
    assert_true(COUNT(PORT_pg_shard, order_return) <= 8 * ORDER_RETURNS_ASKED);
    /* It goes on: all are returned. */
    uint32_t back = 0;
    while (self()->returns_free.used > 0 && back++ < MANY) {
        uint32_t slot = 0;
        assert_true(chain_first(&self()->returning, &slot));
        struct message ask = LAST(PORT_pg_shard, order_return);
        ask.head.request = self()->returns[slot].number;
        ANSWER_TO(&ask, returned, .order_id = self()->returns[slot].order_id,
                  .outcome = outcome_refused, .state = order_state_paid);
    }
    assert_int_equal(back, MANY);
}

/* ---- Reads ---- */

/* The record is asked, under the rid that waits here: it may know of a commit before we do. */
static void undecided_is_pending(void **state) {
    (void)state;
    place(4, 4, 1, 11);
    probe_clear(&probe);
    probe.head = (struct head){ .origin = PORT_http, .request = 62 };
    GIVE(ACTOR_bridge, order_get, .order_id = 11, .user_id = USER);
    struct message ask = LAST(PORT_pg_shop, order_find);
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, rid(4));
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_pending);
    assert_int_equal(SENT(PORT_http, order_view)->state, order_state_pending);
    GIVE(ACTOR_bridge, order_get, .order_id = 11, .user_id = USER + 1); /* Not his. */
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, 0);
    GIVE(ACTOR_bridge, order_get, .order_id = 12, .user_id = USER);
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, 0);
    probe.head = (struct head){ 0 };
}

/* Late money: the order has expired, and takes its place in the hot counter with it. */
static void late_money_is_not_pending(void **state) {
    (void)state;
    struct place late = place_of(4, 4, 1, 11);
    late.kind = reserve_kind_late;
    probe_give(&probe, ACTOR_inventory, &late, MSG_place);
    probe.head = (struct head){ .origin = PORT_http, .request = 62 };
    GIVE(ACTOR_bridge, order_get, .order_id = 11, .user_id = USER);
    probe.head = (struct head){ 0 };
    assert_int_equal(COUNT(PORT_http, order_view), 0);
    assert_int_equal(COUNT(PORT_pg_shop, order_find), 1);
    /* Refused: its ticket still finds the order. */
    refuse(4, PROBLEM_sold_out);
    assert_int_equal(SENT(ACTOR_inventory, undo)->keep, 1);
}

static void get_and_list(void **state) {
    (void)state;
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = 61 };
    GIVE(ACTOR_bridge, order_get, .order_id = 11, .user_id = USER, .rid = rid(4));
    struct message ask = LAST(PORT_pg_shop, order_find);
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, rid(4));
    ANSWER_TO(&ask, order_view, .order_id = 11, .state = order_state_void);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->state, order_state_void);
    assert_int_equal(LAST(ACTOR_bridge, order_view).head.request, 61);
    probe_refuse(&probe, &ask, PROBLEM_not_found);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_not_found);

    probe_clear(&probe);
    GIVE(ACTOR_bridge, order_list, .user_id = USER, .limit = 2);
    ask = LAST(PORT_pg_shop, order_rows_get);
    assert_int_equal(SENT(PORT_pg_shop, order_rows_get)->limit, 3);
    assert_int_equal(SENT(PORT_pg_shop, order_rows_get)->before, ID_MAX);
    for (int64_t id = 30; id > 27; id--) {
        ANSWER_TO(&ask, order_view, .order_id = id, .state = order_state_paid);
    }
    ANSWER_TO(&ask, rows_end, .what = MSG_order_rows_get, .count = 3);
    assert_int_equal(COUNT(ACTOR_bridge, order_view), 2);
    assert_int_equal(SENT(ACTOR_bridge, rows_end)->next, 29);
    assert_int_equal(LAST(ACTOR_bridge, rows_end).head.request, 61);
    GIVE(ACTOR_bridge, order_list, .user_id = USER, .limit = 2, .cursor = 29);
    ask = LAST(PORT_pg_shop, order_rows_get);
    ANSWER_TO(&ask, order_view, .order_id = 28, .state = order_state_paid);
    ANSWER_TO(&ask, rows_end, .what = MSG_order_rows_get, .count = 1);
    assert_int_equal(SENT(ACTOR_bridge, rows_end)->next, 0);
    /* A row is lost on the way: half a list would deny an order. */
    uint32_t ends = COUNT(ACTOR_bridge, rows_end);
    GIVE(ACTOR_bridge, order_list, .user_id = USER, .limit = 2);
    ask = LAST(PORT_pg_shop, order_rows_get);
    ANSWER_TO(&ask, rows_end, .what = MSG_order_rows_get, .count = 1);
    assert_int_equal(COUNT(ACTOR_bridge, rows_end), ends);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_unavailable);
    /* One that comes twice does not stand for one that is lost. */
    GIVE(ACTOR_bridge, order_list, .user_id = USER, .limit = 2);
    ask = LAST(PORT_pg_shop, order_rows_get);
    ANSWER_TO(&ask, order_view, .order_id = 28, .state = order_state_paid);
    ANSWER_TO(&ask, order_view, .order_id = 28, .state = order_state_paid);
    ANSWER_TO(&ask, rows_end, .what = MSG_order_rows_get, .count = 2);
    assert_int_equal(COUNT(ACTOR_bridge, rows_end), ends);
    probe.head = (struct head){ 0 };
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_expired_order_gives_its_units_back),
        TEST(paid_in_time_does_not_expire),
        TEST(not_due_yet_is_set_again),
        TEST(an_unknown_return_is_asked_again),
        TEST(a_cancel_shows_the_order),
        TEST(units_of_a_settled_lot_are_not_held_any_more),
        TEST(a_cancel_is_refused_or_unknown),
        TEST(a_refusal_is_for_who_asked),
        TEST(many_returns_do_not_fill_the_mailbox),
        TEST(undecided_is_pending),
        TEST(late_money_is_not_pending),
        TEST(get_and_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
