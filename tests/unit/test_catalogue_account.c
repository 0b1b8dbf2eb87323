#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/catalogue_world.h"

/* ---- Settling ---- */

static void a_drained_sale_settles_by_itself(void **state) {
    (void)state;
    world.undecided = 3;
    start_in(sale_state_closed, lot_state_closed);
    pass(2 * SECOND);
    assert_true(count(ACTOR_inventory, MSG_lot_count) >= 2 * LOTS);
    assert_int_equal(count(PORT_pg_shop, MSG_sale_settle), 0);
    world.undecided = 0;
    world.unpaid = 1;
    pass(2 * SECOND);
    assert_true(count(PORT_pg_shop, MSG_sale_settle) >= 1);
    assert_int_equal(world.state, sale_state_draining);
    world.unpaid = 0;
    pass(1100 * MS);
    assert_int_equal(world.state, sale_state_settled);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, sale_view, -1)->state, sale_state_settled);
    uint32_t asked = count(PORT_pg_shop, MSG_sale_settle);
    pass(3 * SECOND);
    assert_int_equal(count(PORT_pg_shop, MSG_sale_settle), asked);
    struct sale_view other = { .sale_id = SALE + 1,
                               .title = text_of("\t"), /* Is told in the place of no other. */
                               .state = sale_state_draft,
                               .version = 1 };
    probe_give(&probe, PORT_pg_shop, &other, MSG_sale_view);
    move(sale_state_archived);
    const struct sale_view *told = PROBE_SENT(&probe, PORT_door, sale_view, 0);
    assert_int_equal(told->state, sale_state_archived);
    assert_true(text_equal(told->title, sale_row().title));
    told = PROBE_SENT(&probe, ACTOR_bridge, sale_view, -1);
    assert_int_equal(told->state, sale_state_archived);
    assert_true(text_equal(told->title, sale_row().title));
    assert_int_equal(((struct catalogue *)probe.state)->sale_count, 1);
    assert_int_equal(((struct catalogue *)probe.state)->lot_count, 0);
}

static void settle_says_what_is_still_open(void **state) {
    (void)state;
    world.undecided = 3;
    start_in(sale_state_draining, lot_state_closed);
    move(sale_state_settled);
    const struct failed *failed = PROBE_SENT(&probe, PORT_door, failed, -1);
    assert_int_equal(failed->problem, PROBLEM_illegal_state);
    assert_true(text_is(failed->detail, "6 units are reserved but not decided."));
    world.undecided = 0;
    world.unpaid = 1;
    move(sale_state_settled);
    failed = PROBE_SENT(&probe, PORT_door, failed, -1);
    assert_true(text_is(failed->detail, "Unpaid orders are left."));
    world.unpaid = 0;
    move(sale_state_settled);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, sale_view, 0)->state, sale_state_settled);
}

/* ---- Reconciling ---- */

static void reconcile(void) {
    struct reconcile body = { .sale_id = SALE };
    door(&body, MSG_reconcile);
    pass(SECOND);
}
static const struct reconcile_view *account(void) {
    assert_int_equal(count(PORT_door, MSG_reconcile_view), LOTS);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, rows_end, 0)->count, LOTS);
    return PROBE_SENT(&probe, PORT_door, reconcile_view, 0);
}

static void a_sale_that_is_not_there_is_not_exact(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    struct reconcile body = { .sale_id = SALE + 7 };
    door(&body, MSG_reconcile);
    pass(SECOND);
    assert_int_equal(refused(), PROBLEM_not_found);
    assert_int_equal(count(PORT_door, MSG_rows_end), 0);
    struct sale_view draft = { .sale_id = SALE + 7,
                               .title = text_of("No lots yet"),
                               .state = sale_state_draft,
                               .version = 1 };
    probe_give(&probe, PORT_pg_shop, &draft, MSG_sale_view);
    door(&body, MSG_reconcile);
    pass(SECOND);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, rows_end, 0)->count, 0);
}

static const struct account_figures *figures(void) {
    return PROBE_SENT(&probe, NOBODY, account_figures, -1);
}

/* For the metrics: by itself, as often as the settings say, and told to the host alone. */
static void the_account_is_compared_by_itself(void **state) {
    (void)state;
    world.sold = world.orders = world.held = 10;
    world.available = 90;
    start_in(sale_state_open, lot_state_open);
    pass(2 * SECOND);
    assert_int_equal(count(NOBODY, MSG_account_figures), 0); /* 0 = never. */
    struct settings settings = { .reconcile_every = 10 * SECOND };
    probe_give(&probe, NOBODY, &settings, MSG_settings);
    pass(SECOND);
    assert_int_equal(figures()->lots, LOTS);
    assert_int_equal(figures()->lots_off, 0);
    assert_int_equal(figures()->difference, 0);
    assert_true(figures()->at <= probe.now && figures()->at > probe.now - SECOND);
    assert_int_equal(count(PORT_door, MSG_reconcile_view), 0);
    world.available = 87; /* In both lots. */
    forget();
    pass(8 * SECOND);
    assert_int_equal(count(NOBODY, MSG_account_figures), 0);
    pass(4 * SECOND);
    assert_int_equal(count(NOBODY, MSG_account_figures), 1);
    assert_int_equal(figures()->lots_off, LOTS);
    assert_int_equal(figures()->difference, 3 * LOTS);
    world.orders = 12;
    pass(12 * SECOND);
    assert_int_equal(figures()->difference, 5 * LOTS);
    forget();
    world.redis = false; /* No figures are better than wrong ones. */
    pass(15 * SECOND);
    assert_int_equal(count(NOBODY, MSG_account_figures), 0);
}

static uint32_t recoveries(void) {
    return count(ACTOR_inventory, MSG_recover);
}
/* The epoch is heard with the levels. */
static void start_by_itself(void) {
    struct settings settings = { .reconcile_every = 10 * SECOND };
    world.epoch = 5;
    start_in(sale_state_open, lot_state_open);
    probe_give(&probe, NOBODY, &settings, MSG_settings);
    pass(SECOND);
    forget();
}

/* A writer died with undos after another had taken over: nobody gives these two back any more. */
static void units_held_for_nobody_are_recovered(void **state) {
    (void)state;
    world.sold = world.orders = 10;
    world.held = 12;
    world.available = 88;
    start_by_itself();
    pass(8 * SECOND);
    assert_int_equal(recoveries(), 0); /* Once may be chance. */
    pass(4 * SECOND);
    assert_int_equal(recoveries(), 1); /* Both lots are of one shard. */
    const struct recover *recover = PROBE_SENT(&probe, ACTOR_inventory, recover, 0);
    assert_int_equal(recover->epoch, 5);
    assert_true(recover->reason.size > 0);
    assert_int_equal(figures()->recoveries, 1);
    pass(10 * SECOND); /* No more than that in an interval. */
    assert_int_equal(recoveries(), 1);
    world.held = 10;
    world.available = 90;
    pass(30 * SECOND);
    assert_int_equal(recoveries(), 1);
    assert_int_equal(figures()->recoveries, 0);
}

/* While nobody buys, nobody else would notice. */
static void lost_buyers_are_recovered(void **state) {
    (void)state;
    world.available = 100;
    start_by_itself();
    world.buyers_lost = LOT_B;
    pass(10 * SECOND);
    assert_int_equal(recoveries(), 1);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_inventory, recover, 0)->epoch, 5);
}

static void a_sale_whose_buyers_are_lost_settles_after_a_recovery(void **state) {
    (void)state;
    world.buyers_lost = LOT_A;
    world.epoch = 5;
    start_in(sale_state_closed, lot_state_closed);
    pass(2 * SECOND);
    assert_int_equal(count(PORT_pg_shop, MSG_sale_settle), 0);
    assert_true(recoveries() > 0);
    world.buyers_lost = 0;
    pass(4 * SECOND);
    assert_true(count(PORT_pg_shop, MSG_sale_settle) >= 1);
}

static void what_moves_is_not_held_for_nobody(void **state) {
    (void)state;
    world.sold = world.orders = 10;
    world.held = 12;
    world.available = 88;
    world.undecided = 2; /* They are in the journal. */
    start_by_itself();
    pass(30 * SECOND);
    assert_int_equal(recoveries(), 0);
    world.undecided = 0;
    for (int i = 0; i < 400; i++) { /* Units come and go. */
        pass(100 * MS);
        world.held = i % 2 == 0 ? 11 : 13;
        world.available = 100 - world.held;
    }
    assert_int_equal(recoveries(), 0);
}

/* It would only be copied. */
static void what_postgresql_is_wrong_about_is_not_recovered(void **state) {
    (void)state;
    world.sold = 9;
    world.orders = 10;
    world.held = 10;
    world.available = 90;
    start_by_itself();
    pass(40 * SECOND);
    assert_int_equal(recoveries(), 0);
    assert_int_equal(figures()->lots_off, LOTS);
}

/* A commit that came after it had been given up: nobody told of it. */
static void rows_that_were_moved_behind_its_back_are_read_again(void **state) {
    (void)state;
    start_by_itself();
    world.lot_moved = lot_state_paused;
    pass(8 * SECOND);
    assert_int_equal(count(PORT_pg_shop, MSG_sale_rows_get), 0);
    pass(4 * SECOND);
    assert_int_equal(count(PORT_pg_shop, MSG_sale_rows_get), 1);
    assert_int_equal(count(PORT_pg_shop, MSG_lot_rows_get), 1);
}

static void an_exact_account(void **state) {
    (void)state;
    world.sold = world.orders = 10;
    world.held = 15;
    world.undecided = 3;
    world.available = 85;
    start_in(sale_state_open, lot_state_open);
    reconcile();
    const struct reconcile_view *view = account();
    assert_int_equal(view->undos, 2);
    assert_int_equal(view->difference, 0);
    assert_int_equal(view->allocated, 100);
    assert_int_equal(view->off.size, 0);
    assert_int_equal(count(PORT_pg_shop, MSG_lot_account_get), 1);
}

static void what_is_off_is_named_after_four_looks(void **state) {
    (void)state;
    world.sold = world.orders = 10;
    world.held = 10;
    world.available = 89;
    start_in(sale_state_open, lot_state_open);
    reconcile();
    assert_int_equal(account()->difference, 1);
    assert_true(text_is(account()->off, "available"));
    assert_int_equal(count(PORT_pg_shop, MSG_lot_account_get), 4);
    forget();
    world.available = 90;
    world.orders = 9;
    reconcile();
    assert_true(text_is(account()->off, "sold"));
    forget();
    world.orders = 10;
    world.held = 8;
    world.available = 92;
    reconcile();
    assert_true(text_is(account()->off, "undos"));
}

static void two_stores_read_at_two_instants_are_read_again(void **state) {
    (void)state;
    world.sold = world.orders = 10;
    world.held = 10;
    world.available = 89;
    start_in(sale_state_open, lot_state_open);
    struct reconcile body = { .sale_id = SALE };
    door(&body, MSG_reconcile);
    assert_int_equal(count(PORT_door, MSG_reconcile_view), 0);
    world.available = 90;
    pass(300 * MS);
    assert_int_equal(account()->off.size, 0);
}

static void lots_outside_the_hot_counter_are_not_counted(void **state) {
    (void)state;
    world.redis = false;
    start_in(sale_state_scheduled, lot_state_none);
    reconcile();
    assert_int_equal(account()->available, 100);
    assert_int_equal(account()->off.size, 0);
    assert_int_equal(count(ACTOR_inventory, MSG_lot_count), 0);
    forget();
    world.state = sale_state_settled;
    world.sold = 10;
    world.orders = 9;
    reconcile();
    assert_true(text_is(account()->off, "sold"));
    assert_int_equal(count(ACTOR_inventory, MSG_lot_count), 0);
}

static void without_the_hot_counter_nobody_can_tell(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    world.redis = false;
    reconcile();
    assert_int_equal(refused(), PROBLEM_recovering);
    assert_int_equal(count(PORT_door, MSG_failed), 1);
    assert_int_equal(count(PORT_door, MSG_reconcile_view), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_drained_sale_settles_by_itself),
        TEST(settle_says_what_is_still_open),
        TEST(a_sale_that_is_not_there_is_not_exact),
        TEST(the_account_is_compared_by_itself),
        TEST(units_held_for_nobody_are_recovered),
        TEST(lost_buyers_are_recovered),
        TEST(a_sale_whose_buyers_are_lost_settles_after_a_recovery),
        TEST(what_moves_is_not_held_for_nobody),
        TEST(what_postgresql_is_wrong_about_is_not_recovered),
        TEST(rows_that_were_moved_behind_its_back_are_read_again),
        TEST(an_exact_account),
        TEST(what_is_off_is_named_after_four_looks),
        TEST(two_stores_read_at_two_instants_are_read_again),
        TEST(lots_outside_the_hot_counter_are_not_counted),
        TEST(without_the_hot_counter_nobody_can_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
