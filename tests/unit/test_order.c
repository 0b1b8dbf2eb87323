/* The order writer by hand: decisions, what follows them, and what is lost on the way. */
#include "tests/lib/order_stage.h"

/* ---- Decisions ---- */

static void accepted_is_told_after_the_commit_only(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    assert_int_equal(COUNT(ACTOR_bridge, order_view), 0);
    assert_true(text_is(SENT(PORT_pg_shard, purchase)->address, "{\"city\":\"X\"}"));
    assert_int_equal(SENT(PORT_pg_shard, purchase)->now, probe.now);
    assert_int_equal(LAST(PORT_pg_shard, purchase).head.trace, 77);
    accept(1);
    const struct order_view *view = SENT(ACTOR_bridge, order_view);
    assert_int_equal(LAST(ACTOR_bridge, order_view).head.request, 1);
    assert_int_equal(LAST(ACTOR_bridge, order_view).head.node, 3);
    assert_int_equal(view->order_id, 11);
    assert_int_equal(view->state, order_state_awaiting_payment);
    assert_int_equal(view->total.amount, 2 * 1999);
    assert_int_equal(view->price.amount, 1999);
    assert_true(text_is(view->address, "{\"city\":\"X\"}"));
    assert_int_equal(view->replayed, 0);
    assert_int_equal(SENT(ACTOR_timer, deadline_set)->at, view->pay_by);
    assert_int_equal(SENT(ACTOR_inventory, settle)->entry, rid(1));
    assert_int_equal(COUNT(ACTOR_inventory, undo), 0);
}

static void refused_is_undone_once_and_before_the_settle(void **state) {
    (void)state;
    place(1, 1, 2, 11);
    place(2, 1, 2, 12);
    accept(2);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 0); /* One row is undecided. */
    refuse(1, PROBLEM_limit_reached);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_limit_reached);
    const struct undo *undo = SENT(ACTOR_inventory, undo);
    assert_int_equal(undo->rid, rid(1));
    assert_int_equal(undo->quantity, 2);
    assert_int_equal(undo->keep, 0);
    assert_int_equal(undo->epoch, 0);
    assert_int_equal(SENT(ACTOR_inventory, settle)->rows, 2);
    assert_true(probe_place(&probe, ACTOR_inventory, MSG_undo, 0) <
                probe_place(&probe, ACTOR_inventory, MSG_settle, 0));
    refuse(1, PROBLEM_limit_reached); /* Told twice. */
    assert_int_equal(COUNT(ACTOR_inventory, undo), 1);
    assert_int_equal(COUNT(ACTOR_bridge, failed), 1);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 1);
    undone();
    settled();
    probe_clear(&probe);
    probe_pass(&probe, 3000 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 0);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 0);
    assert_int_equal(self()->rows_free.used, 0);
}

static void same_gives_the_same_answer(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    decide(1, outcome_same, PROBLEM_none, order_state_awaiting_payment, rid(1));
    assert_int_equal(SENT(ACTOR_bridge, order_view)->replayed, 1);
    place(2, 2, 1, 12);
    decide(2, outcome_same, PROBLEM_sold_out, order_state_none, 0); /* It had been refused. */
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_sold_out);
    assert_int_equal(SENT(ACTOR_inventory, undo)->rid, rid(2));
}

static void dup_gives_the_first_order_and_its_own_units_back(void **state) {
    (void)state;
    place(7, 7, 1, 11);
    decide(7, outcome_dup, PROBLEM_none, order_state_paid, rid(1));
    assert_int_equal(SENT(ACTOR_inventory, undo)->rid, rid(7));
    assert_int_equal(SENT(ACTOR_inventory, undo)->keep, 0);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->replayed, 1);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->rid, rid(1));
    assert_int_equal(COUNT(ACTOR_timer, deadline_set), 0); /* It is paid. */
    place(8, 8, 1, 12);
    decide(8, outcome_dup, PROBLEM_none, order_state_expired, rid(2));
    assert_int_equal(SENT(ACTOR_inventory, undo)->keep, 1); /* Else its ticket would buy anew. */
}

static void fenced_is_forgotten_and_asks_for_recovery(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    decide(1, outcome_fenced, PROBLEM_none, order_state_none, 0);
    assert_int_equal(SENT(ACTOR_bridge, failed)->problem, PROBLEM_recovering);
    assert_int_equal(SENT(ACTOR_inventory, recover)->epoch, EPOCH);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 0);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 0);
    assert_int_equal(self()->rows_free.used, 0);
}

static void rows_go_in_rid_order(void **state) {
    (void)state;
    static const uint64_t seqs[] = { 4, 2, 3, 1 };
    for (size_t i = 0; i < 4; i++) {
        struct place body = place_of(seqs[i], seqs[i], 1, (int64_t)(10 + seqs[i]));
        probe_queue(&probe, ACTOR_inventory, &body, MSG_place);
    }
    probe_run(&probe);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(PROBE_SENT(&probe, PORT_pg_shard, purchase, i)->rid, rid((uint64_t)i + 1));
    }
}

static void the_host_is_told_figures(void **state) {
    (void)state;
    probe_pass(&probe, 2000 * MS);
    assert_int_equal(COUNT(NOBODY, writer_figures), 0); /* Nothing is no news. */
    place(1, 1, 2, 11);
    place(2, 1, 2, 12);
    probe_pass(&probe, 1500 * MS);
    assert_true(COUNT(NOBODY, writer_figures) <= 3); /* Once a second. */
    assert_int_equal(SENT(NOBODY, writer_figures)->undecided, 2);
    assert_true(SENT(NOBODY, writer_figures)->lag >= 500 * MS);
    assert_true(SENT(NOBODY, writer_figures)->lag <= 1500 * MS);
    struct place rows[] = { place_of(1, 1, 2, 11), place_of(2, 1, 2, 12) };
    journal(rows, 2);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(SENT(NOBODY, writer_figures)->journal_rows, 2);
    accept(1);
    accept(2);
    probe_pass(&probe, 1100 * MS);
    assert_int_equal(SENT(NOBODY, writer_figures)->undecided, 0);
    assert_true(SENT(NOBODY, writer_figures)->lag == 0);
}

static void settings_change_while_it_runs(void **state) {
    (void)state;
    GIVE(NOBODY, settings, .journal_age_max = 100 * MS, .idle_read = 7 * MS);
    assert_true(self()->idle_read == 7 * MS);
    place(1, 1, 1, 11);
    probe_pass(&probe, 300 * MS);
    assert_true(SENT(ACTOR_inventory, writer_lag)->age > 100 * MS);
}

static void no_more_are_asked_than_postgresql_takes(void **state) {
    (void)state;
    for (uint64_t seq = 1; seq <= 1500; seq++)
        place(seq, seq, 1, (int64_t)seq);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 1024); /* 2 batches of 512 */
    accept(1);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 1025);
    assert_int_equal(SENT(PORT_pg_shard, purchase)->rid, rid(1025));
}

/* ---- Lost on the way ---- */

static void an_unknown_commit_is_asked_again_in_order(void **state) {
    (void)state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        place(seq, seq, 1, (int64_t)(10 + seq));
    for (int i = 2; i >= 0; i--) {
        struct message ask = NTH(PORT_pg_shard, purchase, i);
        probe_refuse(&probe, &ask, PROBLEM_unavailable);
    }
    place(4, 4, 1, 14);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 3); /* Not at once, and not out of turn. */
    assert_int_equal(COUNT(ACTOR_bridge, failed), 0);    /* Nobody hears of what is unknown. */
    probe_pass(&probe, 110 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 7);
    for (int i = 0; i < 4; i++) {
        const struct purchase *again = PROBE_SENT(&probe, PORT_pg_shard, purchase, 3 + i);
        assert_int_equal(again->rid, rid((uint64_t)i + 1));
        assert_true(text_is(again->address, "{\"city\":\"X\"}"));
    }
    struct message ask = LAST(PORT_pg_shard, purchase);
    probe_refuse(&probe, &ask, PROBLEM_unavailable);
    probe_pass(&probe, 150 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 7); /* Twice as long now. */
    probe_pass(&probe, 100 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 8);
    decide(4, outcome_same, PROBLEM_none, order_state_awaiting_payment, rid(4));
    assert_int_equal(SENT(ACTOR_bridge, order_view)->order_id, 14);
}

static void an_answer_that_does_not_come_is_asked_for(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    probe_pass(&probe, 5200 * MS);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 2);
}

static void a_lost_place_is_found_in_the_journal(void **state) {
    (void)state;
    place(1, 1, 2, 11); /* Row 2 of the entry does not come. */
    accept(1);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 0);
    probe_pass(&probe, 50 * MS); /* Quiet for longer than 20 ms. */
    struct place rows[] = { place_of(1, 1, 2, 11), place_of(2, 1, 2, 12) };
    journal(rows, 2);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 2);
    assert_int_equal(SENT(PORT_pg_shard, purchase)->rid, rid(2));
    accept(2);
    assert_int_equal(COUNT(ACTOR_bridge, order_view), 1); /* Nobody waits for row 2. */
    assert_int_equal(SENT(ACTOR_inventory, settle)->entry, rid(1));
    settled();
    assert_int_equal(self()->rows_free.used, 0);
    assert_int_equal(self()->entries_free.used, 0);
}

static void a_lost_last_place_is_found_within_a_second(void **state) {
    (void)state;
    probe_pass(&probe, 1100 * MS); /* Nothing is known to be there. */
    assert_true(COUNT(ACTOR_inventory, journal_read) >= 1);
    struct place row = place_of(1, 1, 1, 11);
    journal(&row, 1);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 1);
}

static void a_lost_settle_is_sent_again(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    accept(1);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 1);
    probe_pass(&probe, 1100 * MS);
    assert_true(COUNT(ACTOR_inventory, settle) >= 2);
    struct place row = place_of(1, 1, 1, 11);
    journal(&row, 1); /* The journal still holds it: not decided twice. */
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 1);
    settled();
    probe_clear(&probe);
    probe_pass(&probe, 3000 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, settle), 0);
}

static void a_lost_undo_is_sent_again(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    refuse(1, PROBLEM_sold_out);
    struct message ask = LAST(ACTOR_inventory, undo);
    probe_refuse(&probe, &ask, PROBLEM_fenced); /* Recovery is under way. */
    probe_pass(&probe, 2200 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 3);
    assert_int_equal(SENT(ACTOR_inventory, undo)->rid, rid(1));
    undone();
    probe_pass(&probe, 2200 * MS);
    assert_int_equal(COUNT(ACTOR_inventory, undo), 3);
}

/* A place that comes a second time after its entry was settled must not stay for ever. */
static void a_late_double_goes_away_again(void **state) {
    (void)state;
    place(1, 1, 2, 11);
    place(2, 1, 2, 12);
    accept(1);
    accept(2);
    settled();
    assert_int_equal(self()->entries_free.used, 0);
    place(2, 1, 2, 12);
    decide(2, outcome_same, PROBLEM_none, order_state_awaiting_payment, rid(2));
    assert_int_equal(self()->entries_free.used, 1); /* Its other row will not come. */
    probe_pass(&probe, 50 * MS);
    journal(NULL, 0);
    assert_int_equal(self()->entries_free.used, 0);
    assert_int_equal(self()->rows_free.used, 0);
}

static void the_journal_overtakes_the_place(void **state) {
    (void)state;
    probe_pass(&probe, 1100 * MS);
    struct place row = place_of(1, 1, 1, 11);
    journal(&row, 1);
    place(1, 1, 1, 11); /* Now somebody waits for it. */
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 1);
    accept(1);
    assert_int_equal(SENT(ACTOR_bridge, order_view)->order_id, 11);
}

static void long_journals_are_read_in_pages(void **state) {
    (void)state;
    probe_pass(&probe, 1100 * MS);
    struct place rows[64];
    uint32_t limit = SENT(ACTOR_inventory, journal_read)->limit;
    assert_int_equal(limit, 64);
    for (uint32_t i = 0; i < limit; i++)
        rows[i] = place_of(i + 1, i + 1, 1, (int64_t)i + 1);
    journal(rows, limit);
    assert_int_equal(SENT(ACTOR_inventory, journal_read)->after, rid(64));
    rows[0] = place_of(65, 65, 1, 65);
    journal(rows, 1);
    assert_int_equal(COUNT(PORT_pg_shard, purchase), 65);
}

static void a_full_window_leaves_rows_in_the_journal(void **state) {
    (void)state;
    for (uint64_t seq = 1; seq <= ORDER_ROWS_MAX + 10; seq++) {
        place(seq, seq, 1, (int64_t)seq);
        if (seq % 1000 == 0 && seq > 2000) probe_clear(&probe);
    }
    assert_int_equal(self()->left_out, 10);
    assert_true(self()->journal.unread);
    assert_int_equal(COUNT(ACTOR_bridge, failed), 0);
}

/* Without a receipt the undecided row itself is what tells. */
static void ask_without_receipt(int64_t order_id) {
    probe.head = (struct head){ .origin = PORT_http, .request = 5 };
    GIVE(ACTOR_bridge, order_get, .order_id = order_id, .user_id = USER);
    probe.head = (struct head){ 0 };
}

/* A refused reservation that the journal brings once more stands beside the next one with the same
 * ticket: as long as one of them is undecided the order is pending. */
static void an_undecided_order_is_found_by_its_id(void **state) {
    (void)state;
    place(1, 1, 1, 11);
    place(2, 2, 1, 11);
    place(3, 3, 1, 13);
    assert_int_equal(self()->pending_map.count, 2);
    assert_int_equal(self()->pending_rows, 3);
    refuse(2, PROBLEM_limit_reached);
    ask_without_receipt(11);
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, rid(1));
    refuse(1, PROBLEM_limit_reached);
    ask_without_receipt(11);
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, 0);
    ask_without_receipt(13);
    assert_int_equal(SENT(PORT_pg_shop, order_find)->rid, rid(3));
    assert_int_equal(COUNT(PORT_http, order_view), 0);
    GIVE(ACTOR_inventory, installed, .epoch = EPOCH + 1); /* Forgotten with the epoch. */
    assert_int_equal(self()->pending_map.count, 0);
    assert_int_equal(self()->pending_rows, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(accepted_is_told_after_the_commit_only),
        TEST(refused_is_undone_once_and_before_the_settle),
        TEST(same_gives_the_same_answer),
        TEST(dup_gives_the_first_order_and_its_own_units_back),
        TEST(fenced_is_forgotten_and_asks_for_recovery),
        TEST(rows_go_in_rid_order),
        TEST(the_host_is_told_figures),
        TEST(settings_change_while_it_runs),
        TEST(no_more_are_asked_than_postgresql_takes),
        TEST(an_unknown_commit_is_asked_again_in_order),
        TEST(an_answer_that_does_not_come_is_asked_for),
        TEST(a_lost_place_is_found_in_the_journal),
        TEST(a_lost_last_place_is_found_within_a_second),
        TEST(a_lost_settle_is_sent_again),
        TEST(a_lost_undo_is_sent_again),
        TEST(a_late_double_goes_away_again),
        TEST(the_journal_overtakes_the_place),
        TEST(long_journals_are_read_in_pages),
        TEST(an_undecided_order_is_found_by_its_id),
        TEST(a_full_window_leaves_rows_in_the_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
