#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/lib/moves.h"
#include "tests/lib/catalogue_world.h"

/* ---- Memory ---- */

static void asks_until_all_has_come_and_says_so_meanwhile(void **state) {
    (void)state;
    world.pg = false;
    probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    turn();
    struct sale_rows_get get = { 0 };
    probe.head = (struct head){ .origin = NOBODY };
    probe_give(&probe, ACTOR_bridge, &get, MSG_sale_rows_get);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, failed, 0)->problem, PROBLEM_unavailable);
    pass(2 * SECOND);
    assert_true(count(PORT_pg_shop, MSG_lot_rows_get) >= 2);
    world.pg = true;
    pass(SECOND);
    forget();
    probe_give(&probe, ACTOR_bridge, &get, MSG_sale_rows_get);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, sale_view, 0)->sale_id, SALE);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, rows_end, 0)->what, MSG_sale_rows_get);
    struct lot_rows_get lots = { .sale_id = SALE };
    probe_give(&probe, ACTOR_session, &lots, MSG_lot_rows_get);
    assert_int_equal(count(ACTOR_session, MSG_lot_view), LOTS);
    assert_true(text_is(PROBE_SENT(&probe, ACTOR_session, lot_view, 1)->title, "Kettle red"));
    const struct rows_end *ends = PROBE_SENT(&probe, ACTOR_session, rows_end, 0);
    assert_int_equal(ends->what, MSG_lot_rows_get);
    assert_int_equal(ends->count, LOTS);
    assert_int_equal(count(PORT_pg_shop, MSG_sale_rows_get), 0);
}

static void changes_are_told_and_older_rows_are_not(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    struct sale_view view = sale_row();
    view.version = 5;
    probe.head = (struct head){ .origin = ACTOR_catalogue };
    probe_give(&probe, PORT_pg_shop, &view, MSG_sale_view);
    assert_int_equal(count(ACTOR_bridge, MSG_sale_view), 1);
    assert_int_equal(count(ACTOR_session, MSG_sale_view), 1);
    view.version = 4;
    probe_give(&probe, PORT_pg_shop, &view, MSG_sale_view);
    assert_int_equal(count(ACTOR_bridge, MSG_sale_view), 1);
    struct lot_view lot = lot_row(0);
    lot.version = 9;
    probe_give(&probe, PORT_pg_shop, &lot, MSG_lot_view);
    probe_give(&probe, PORT_pg_shop, &lot, MSG_lot_view);
    assert_int_equal(count(ACTOR_bridge, MSG_lot_view), 1);
    assert_int_equal(count(ACTOR_session, MSG_lot_view), 1);
}

/* ---- Commands ---- */

static void commands_get_ids_and_go_to_the_store(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    world.pg = true;
    struct product_add product = { .title = text_of("Kettle") };
    door(&product, MSG_product_add);
    assert_true(PROBE_SENT(&probe, PORT_pg_shop, product_add, 0)->product_id > 0);
    struct sku_add sku = { .product_id = 1, .title = text_of("red") };
    door(&sku, MSG_sku_add);
    assert_true(PROBE_SENT(&probe, PORT_pg_shop, sku_add, 0)->sku_id > 0);
    struct stock_receive receive = { .sku_id = 1, .quantity = 7 };
    door(&receive, MSG_stock_receive);
    assert_true(PROBE_SENT(&probe, PORT_pg_shop, stock_receive, 0)->movement_id > 0);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, stock_receive, 0)->now, probe.now);
    struct lot_add lot = { .sale_id = SALE, .sku_id = 1, .quantity = 5 };
    door(&lot, MSG_lot_add);
    const struct lot_add *add = PROBE_SENT(&probe, PORT_pg_shop, lot_add, 0);
    assert_true(add->lot_id > 0 && add->movement_id > add->lot_id && add->now == probe.now);
    struct sale_create create = { .title = text_of("New"), .opens_at = 1, .closes_at = 2 };
    uint64_t request = door(&create, MSG_sale_create);
    const struct message *asked = probe_message(&probe, PORT_pg_shop, MSG_sale_create, 0);
    struct sale_view made = sale_row();
    made.sale_id = BODY(asked, sale_create)->sale_id;
    made.state = sale_state_draft;
    probe_answer(&probe, asked, &made, MSG_sale_view);
    assert_int_equal(probe_message(&probe, PORT_door, MSG_sale_view, 0)->head.request, request);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, sale_view, 0)->sale_id, made.sale_id);
    struct product_list list = { .cursor = 3 };
    door(&list, MSG_product_list);
    asked = probe_message(&probe, PORT_pg_shop, MSG_product_list, 0);
    struct product_view view = { .product_id = 4, .title = text_of("Kettle") };
    probe_answer(&probe, asked, &view, MSG_product_view);
    end_rows(asked, 1);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, product_view, 0)->product_id, 4);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, rows_end, 0)->what, MSG_product_list);
}

static void a_sale_is_shown_with_its_lots(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    struct sale_show show = { .sale_id = SALE };
    door(&show, MSG_sale_show);
    assert_int_equal(count(PORT_door, MSG_sale_view), 1);
    assert_int_equal(count(PORT_door, MSG_lot_view), LOTS);
    assert_int_equal(count(PORT_door, MSG_rows_end), 1);
    struct sale_rows rows = { 0 };
    door(&rows, MSG_sale_rows);
    assert_int_equal(count(PORT_door, MSG_sale_view), 2);
    assert_int_equal(count(PORT_door, MSG_rows_end), 2);
    world.state = sale_state_none;
    door(&show, MSG_sale_show);
    assert_int_equal(refused(), PROBLEM_not_found);
}

/* ---- Life ---- */

/* Its creation was committed, and the answer lost. */
static void a_sale_that_was_made_unseen_is_found(void **state) {
    (void)state;
    start_in(sale_state_none, lot_state_none);
    world.state = sale_state_draft;
    move(sale_state_scheduled);
    assert_int_equal(refused(), PROBLEM_not_found);
    pass(100 * MS);
    move(sale_state_scheduled);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, sale_view, -1)->state, sale_state_scheduled);
}

static void open_walks_from_draft_and_answers_when_the_lots_are_open(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    world.redis = false;
    move(sale_state_open);
    assert_int_equal(world.state, sale_state_warming); /* Not ready without the hot counter. */
    assert_int_equal(count(PORT_door, MSG_sale_view) + count(PORT_door, MSG_failed), 0);
    pass(1500 * MS);
    assert_int_equal(count(ACTOR_inventory, MSG_lot_warm), 2 * LOTS); /* Again each second. */
    assert_int_equal(PROBE_SENT(&probe, ACTOR_inventory, lot_warm, 0)->available, 100);
    world.redis = true;
    pass(600 * MS);
    assert_int_equal(world.state, sale_state_open);
    assert_int_equal(world.hot[0], lot_state_open);
    assert_int_equal(world.hot[1], lot_state_open);
    pass(200 * MS);
    assert_int_equal(count(PORT_door, MSG_sale_view) + count(PORT_door, MSG_failed), 1);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, sale_view, -1)->state, sale_state_open);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_session, sale_view, -1)->state, sale_state_open);
}

static void open_is_answered_at_once_when_all_is_well(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    move(sale_state_open);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, sale_view, 0)->state, sale_state_open);
    assert_true(probe_place(&probe, ACTOR_inventory, MSG_lot_set, 1) <
                probe_place(&probe, PORT_door, MSG_sale_view, 0));
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, lot_view, -1)->version, world.version);
}

static void lots_follow_pause_resume_and_close(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    const enum sale_state to[] = { sale_state_paused, sale_state_open, sale_state_closed };
    const enum lot_state hot[] = { lot_state_paused, lot_state_open, lot_state_closed };
    world.unpaid = 1;
    for (int i = 0; i < 3; i++) {
        move(to[i]);
        assert_int_equal(world.hot[0], hot[i]);
        assert_int_equal(world.hot[1], hot[i]);
        assert_int_equal(count(PORT_door, MSG_sale_view), i + 1);
    }
    assert_int_equal(world.state, sale_state_draining); /* At once. */
}

static void an_operator_is_told_after_two_seconds_and_it_goes_on(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    world.redis = false;
    move(sale_state_paused);
    pass(1900 * MS);
    assert_int_equal(count(PORT_door, MSG_failed), 0);
    pass(200 * MS);
    const struct failed *failed = PROBE_SENT(&probe, PORT_door, failed, 0);
    assert_int_equal(failed->problem, PROBLEM_unavailable);
    assert_non_null(memmem(failed->detail.at, failed->detail.size, "lot 51", 6));
    world.redis = true;
    pass(1100 * MS);
    assert_int_equal(world.hot[0], lot_state_paused);
    assert_int_equal(count(PORT_door, MSG_sale_view), 0); /* Answered once. */
}

static void a_store_that_is_away_is_asked_again(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    world.pg = false;
    move(sale_state_closed);
    assert_int_equal(world.hot[0], lot_state_open); /* The store first, then the counter. */
    pass(2500 * MS);
    assert_int_equal(refused(), PROBLEM_unavailable);
    world.pg = true;
    pass(1100 * MS);
    assert_true(world.state >= sale_state_closed);
    assert_int_equal(world.hot[1], lot_state_closed);
}

static void a_lost_lot_asks_for_a_recovery(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    struct lot_level level = {
        .lot_id = LOT_A, .state = lot_state_open, .epoch = 7, .version = 99
    };
    probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    struct failed failed = { .problem = PROBLEM_fenced, .what = MSG_lot_set, .id = LOT_A };
    probe_clear(&probe);
    probe.head = (struct head){ .origin = ACTOR_catalogue, .request = LOT_A };
    probe_give(&probe, PORT_redis, &failed, MSG_failed);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_inventory, recover, -1)->epoch, 7);
    failed.problem = PROBLEM_recovering; /* Somebody is at it already. */
    probe_clear(&probe);
    probe_give(&probe, ACTOR_inventory, &failed, MSG_failed);
    assert_int_equal(count(ACTOR_inventory, MSG_recover), 0);
    probe.head = (struct head){ 0 };
}

static void resume(void) {
    struct sale_resume body = { .sale_id = SALE };
    probe.head = (struct head){ .origin = PORT_door, .request = 9 };
    probe_give(&probe, PORT_door, &body, MSG_sale_resume);
    probe.head = (struct head){ 0 };
    pass(100 * MS);
}

static void only_a_paused_sale_is_resumed(void **state) {
    (void)state;
    start_in(sale_state_scheduled, lot_state_none);
    resume();
    assert_int_equal(refused(), PROBLEM_illegal_state);
    assert_int_equal(world.state, sale_state_scheduled);
    teardown(NULL);
    setup(NULL);
    start_in(sale_state_paused, lot_state_paused);
    resume();
    assert_int_equal(world.state, sale_state_open);
    assert_int_equal(count(PORT_door, MSG_sale_view), 1);
}

static void moves_follow_the_table(void **state) {
    (void)state;
    for (uint32_t from = 1; from < sale_state_archived; from++) {
        for (uint32_t to = 1; to <= sale_state_archived; to++) {
            teardown(NULL);
            setup(NULL);
            start_in((enum sale_state)from, lot_state_none);
            world.unpaid = 1;
            bool there =
                world.state == to || (to == sale_state_closed && from >= sale_state_closed);
            there = there || (to == sale_state_scheduled &&
                              (from == sale_state_warming || from == sale_state_ready));
            bool may = machine_may_move(KIND_sale_state, world.state, to) ||
                       (to == sale_state_open && from < sale_state_open);
            /* States that a sale only takes by itself. */
            may = may &&
                  (to != sale_state_warming && to != sale_state_ready && to != sale_state_draining);
            if (world.state == sale_state_draining && to == sale_state_settled) continue;
            move((enum sale_state)to);
            pass(200 * MS);
            bool yes = count(PORT_door, MSG_sale_view) == 1;
            bool no = count(PORT_door, MSG_failed) == 1 && refused() == PROBLEM_illegal_state;
            if (yes == no || yes != (may || there)) fail_msg("%u -> %u: %d %d", from, to, yes, no);
        }
    }
}

static void a_level_that_contradicts_is_set_again(void **state) {
    (void)state;
    start_in(sale_state_closed, lot_state_closed);
    world.unpaid = 1;
    forget();
    struct lot_level level = { .lot_id = LOT_B, .state = lot_state_open };
    probe.head = (struct head){ 0 };
    probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    const struct lot_set *set = PROBE_SENT(&probe, ACTOR_inventory, lot_set, 0);
    assert_int_equal(set->lot_id, LOT_B);
    assert_int_equal(set->state, lot_state_closed);
    /* A counter that insists does not make us run in circles. */
    for (int i = 0; i < 10; i++)
        probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    assert_int_equal(count(ACTOR_inventory, MSG_lot_set), 1);
}

static void an_older_level_is_not_news(void **state) {
    (void)state;
    start_in(sale_state_closed, lot_state_closed);
    world.unpaid = 1;
    forget();
    probe.head = (struct head){ 0 };
    struct lot_level level = {
        .lot_id = LOT_A, .state = lot_state_closed, .epoch = 3, .version = 8
    };
    probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    level.state = lot_state_open;
    level.version = 7;
    probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    level.epoch = 2;
    level.version = 99;
    probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    assert_int_equal(count(ACTOR_inventory, MSG_lot_set), 0);
    level.epoch = 4;
    level.version = 1;
    probe_give(&probe, ACTOR_inventory, &level, MSG_lot_level);
    assert_int_equal(count(ACTOR_inventory, MSG_lot_set), 1);
}

static void an_install_that_nobody_told_us_of_is_repaired(void **state) {
    (void)state;
    start_in(sale_state_paused, lot_state_paused);
    world.hot[0] = lot_state_open;
    pass(5100 * MS);
    assert_int_equal(world.hot[0], lot_state_paused);
}

static void a_restart_sets_the_lots_again(void **state) {
    (void)state;
    start_in(sale_state_paused, lot_state_open);
    assert_int_equal(world.hot[0], lot_state_paused);
}

static void the_timer_opens_and_closes_and_repeats_do_no_harm(void **state) {
    (void)state;
    world.opens_at = probe.now + 40 * SECOND;
    world.closes_at = probe.now + 60 * SECOND;
    world.state = sale_state_scheduled;
    world.unpaid = 1;
    probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    turn();
    assert_int_equal(count(ACTOR_timer, MSG_deadline_set), 3);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_timer, deadline_set, 0)->at,
                     world.opens_at - 30 * SECOND);
    struct deadline deadline = { .kind = deadline_kind_sale_open, .id = SALE };
    probe.head = (struct head){ 0 };
    probe_give(&probe, ACTOR_timer, &deadline, MSG_deadline); /* Much too early. */
    turn();
    assert_int_equal(world.state, sale_state_scheduled);
    probe.now += 10 * SECOND;
    deadline.kind = deadline_kind_sale_warm;
    probe_give(&probe, ACTOR_timer, &deadline, MSG_deadline);
    turn();
    assert_int_equal(world.state, sale_state_ready);
    assert_int_equal(world.hot[0], lot_state_waiting);
    probe.now += 30 * SECOND;
    deadline.kind = deadline_kind_sale_open;
    probe_give(&probe, ACTOR_timer, &deadline, MSG_deadline);
    turn();
    assert_int_equal(world.state, sale_state_open);
    move(sale_state_paused);
    probe.head = (struct head){ 0 };
    probe_give(&probe, ACTOR_timer, &deadline, MSG_deadline); /* Again, and late. */
    turn();
    assert_int_equal(world.state, sale_state_paused);
    pass(21 * SECOND); /* The deadline of the end is lost: our own clock closes. */
    assert_int_equal(world.state, sale_state_draining);
    assert_int_equal(world.hot[0], lot_state_closed);
}

static void a_sale_past_its_end_is_closed_at_load_and_never_open(void **state) {
    (void)state;
    world.opens_at = probe.now - 20 * SECOND;
    world.closes_at = probe.now - 10 * SECOND;
    world.state = sale_state_scheduled;
    world.unpaid = 1;
    probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    turn();
    pass(2 * SECOND);
    assert_int_equal(world.state, sale_state_draining);
    assert_int_equal(world.hot[0], lot_state_closed);
    for (uint32_t i = 0; i < count(ACTOR_inventory, MSG_lot_set); i++) {
        assert_int_equal(PROBE_SENT(&probe, ACTOR_inventory, lot_set, (int)i)->state,
                         lot_state_closed);
    }
}

/* ---- Limits ---- */

static void when_full_a_sale_and_a_lot_are_refused(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    probe.head = (struct head){ .origin = ACTOR_catalogue };
    for (int64_t i = 0; i < CATALOGUE_LOTS_MAX + 5; i++) {
        struct lot_view lot = lot_row(0);
        lot.lot_id = 1000 + i;
        probe_give(&probe, PORT_pg_shop, &lot, MSG_lot_view);
        struct sale_view sale = sale_row();
        sale.sale_id = 9000 + i;
        probe_give(&probe, PORT_pg_shop, &sale, MSG_sale_view);
    }
    forget();
    struct sale_create create = { .title = text_of("New"), .opens_at = 1, .closes_at = 2 };
    door(&create, MSG_sale_create);
    assert_int_equal(refused(), PROBLEM_overloaded);
    struct lot_add lot = { .sale_id = SALE, .sku_id = 1, .quantity = 5 };
    door(&lot, MSG_lot_add);
    assert_int_equal(count(PORT_door, MSG_failed), 2);
    struct lot_rows_get get = { 0 };
    probe.head = (struct head){ 0 };
    probe_give(&probe, ACTOR_bridge, &get, MSG_lot_rows_get);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_bridge, rows_end, 0)->count, CATALOGUE_LOTS_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_sale_that_was_made_unseen_is_found),
        TEST(asks_until_all_has_come_and_says_so_meanwhile),
        TEST(changes_are_told_and_older_rows_are_not),
        TEST(commands_get_ids_and_go_to_the_store),
        TEST(a_sale_is_shown_with_its_lots),
        TEST(open_walks_from_draft_and_answers_when_the_lots_are_open),
        TEST(open_is_answered_at_once_when_all_is_well),
        TEST(lots_follow_pause_resume_and_close),
        TEST(an_operator_is_told_after_two_seconds_and_it_goes_on),
        TEST(a_store_that_is_away_is_asked_again),
        TEST(a_lost_lot_asks_for_a_recovery),
        TEST(only_a_paused_sale_is_resumed),
        TEST(moves_follow_the_table),
        TEST(a_level_that_contradicts_is_set_again),
        TEST(an_older_level_is_not_news),
        TEST(an_install_that_nobody_told_us_of_is_repaired),
        TEST(a_restart_sets_the_lots_again),
        TEST(the_timer_opens_and_closes_and_repeats_do_no_harm),
        TEST(a_sale_past_its_end_is_closed_at_load_and_never_open),
        TEST(when_full_a_sale_and_a_lot_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
