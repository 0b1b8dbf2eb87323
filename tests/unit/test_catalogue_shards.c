/* A sale whose lots live on two shards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/catalogue_world.h"

enum { OTHER_SALE = 41, OTHER_LOT = 61 };

static int two_shards(void **state) {
    struct actor_setup many = probe_setup();
    many.shards = 2;
    setup(state);
    probe_close(&probe);
    probe_open(&probe, &catalogue_type, &many);
    world.shard[1] = 1;
    return 0;
}

static uint32_t shard_of(enum message_id id, int nth) {
    return probe_message(&probe, ACTOR_inventory, id, nth)->head.shard;
}

static void each_lot_is_set_on_its_shard(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    move(sale_state_open);
    pass(500 * MS);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, sale_view, -1)->state, sale_state_open);
    for (uint32_t i = 0; i < count(ACTOR_inventory, MSG_lot_warm); i++) {
        int64_t lot = PROBE_SENT(&probe, ACTOR_inventory, lot_warm, (int)i)->lot_id;
        assert_int_equal(shard_of(MSG_lot_warm, (int)i), lot == LOT_B);
    }
    for (uint32_t i = 0; i < count(ACTOR_inventory, MSG_lot_set); i++) {
        int64_t lot = PROBE_SENT(&probe, ACTOR_inventory, lot_set, (int)i)->lot_id;
        assert_int_equal(shard_of(MSG_lot_set, (int)i), lot == LOT_B);
    }
    assert_true(count(ACTOR_inventory, MSG_lot_warm) >= 2);
    assert_true(count(ACTOR_inventory, MSG_lot_set) >= 2);
    for (uint32_t i = 0; i < count(ACTOR_timer, MSG_deadline_set); i++)
        assert_int_equal(probe_message(&probe, ACTOR_timer, MSG_deadline_set, (int)i)->head.shard,
                         0);
    assert_int_equal(probe_message(&probe, ACTOR_bridge, MSG_sale_view, 0)->head.node, NODE_EVERY);
    assert_int_equal(probe_message(&probe, ACTOR_session, MSG_sale_view, 0)->head.node, 0);
}

static void it_opens_when_all_shards_follow(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none);
    world.away = 1U << 1;
    move(sale_state_open);
    pass(2500 * MS);
    assert_int_equal(world.state, sale_state_warming);
    const struct failed *failed = PROBE_SENT(&probe, PORT_door, failed, -1);
    assert_int_equal(failed->problem, PROBLEM_unavailable);
    assert_true(text_is(failed->detail, "The sale is warming; lot 52 on shard 1 has not followed "
                                        "yet.  It goes on by itself."));
    world.away = 0;
    pass(2000 * MS);
    assert_int_equal(world.state, sale_state_open);
    assert_int_equal(world.hot[1], lot_state_open);
}

/* The shard that is away has lots of another sale only. */
static void others_are_not_held_up(void **state) {
    (void)state;
    world.shard[1] = 0;
    start_in(sale_state_draft, lot_state_none);
    struct sale_view sale = sale_row();
    struct lot_view lot = lot_row(0);
    sale.sale_id = lot.sale_id = OTHER_SALE;
    sale.state = sale_state_open;
    lot.lot_id = OTHER_LOT;
    lot.shard = 1;
    probe.head = (struct head){ .origin = PORT_door, .request = 900 };
    probe_give(&probe, PORT_pg_shop, &sale, MSG_sale_view);
    probe_give(&probe, PORT_pg_shop, &lot, MSG_lot_view);
    world.away = 1U << 1;
    move(sale_state_open);
    pass(1000 * MS);
    assert_int_equal(world.state, sale_state_open);
    move(sale_state_closed);
    pass(1000 * MS);
    move(sale_state_settled);
    pass(1000 * MS);
    assert_int_equal(world.state, sale_state_settled);
}

static void settling_names_the_shard_that_is_away(void **state) {
    (void)state;
    start_in(sale_state_draining, lot_state_closed);
    pass(300 * MS);
    world.undecided = 1; /* Both follow, nothing is settled yet. */
    world.away = 1U << 1;
    pass(1000 * MS);
    move(sale_state_settled);
    const struct failed *failed = PROBE_SENT(&probe, PORT_door, failed, -1);
    assert_true(text_is(failed->detail, "The hot counter of shard 1 is away."));
}

static void an_account_names_the_shard_that_is_away(void **state) {
    (void)state;
    world.sold = world.orders = world.held = 10;
    world.available = 90;
    start_in(sale_state_open, lot_state_open);
    world.away = 1U << 1;
    struct reconcile body = { .sale_id = SALE };
    door(&body, MSG_reconcile);
    pass(SECOND);
    assert_int_equal(count(PORT_door, MSG_reconcile_view), 1); /* Of the other shard. */
    assert_int_equal(PROBE_SENT(&probe, PORT_door, reconcile_view, 0)->lot_id, LOT_A);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, reconcile_view, 0)->off.size, 0);
    assert_int_equal(refused(), PROBLEM_recovering);
    assert_true(text_is(PROBE_SENT(&probe, PORT_door, failed, 0)->detail,
                        "Away: shard 1; lots not counted there: 1."));
    assert_int_equal(count(PORT_door, MSG_rows_end), 0);
    world.away = 0;
    forget();
    door(&body, MSG_reconcile);
    pass(SECOND);
    assert_int_equal(count(PORT_door, MSG_reconcile_view), 2);
    assert_int_equal(PROBE_SENT(&probe, PORT_door, rows_end, 0)->count, 2);
}

static void a_lost_lot_makes_its_own_shard_recover(void **state) {
    (void)state;
    start_in(sale_state_open, lot_state_open);
    struct lot_level level = { .lot_id = LOT_B, .state = lot_state_open, .epoch = 4, .version = 1 };
    pass(6 * SECOND);
    probe_give(&probe, PORT_redis, &level, MSG_lot_level);
    struct message ask = { 0 };
    for (uint32_t i = 0; i < probe.sent_count; i++) {
        bool set = probe.sent[i].head.type == MSG_lot_set;
        if (set && probe.sent[i].head.request == LOT_B) ask = probe.sent[i];
    }
    probe_refuse(&probe, &ask, PROBLEM_fenced);
    assert_int_equal(shard_of(MSG_recover, 0), 1);
}

/* ---- Where a new lot goes ---- */

static const struct lot_add *added(const char *shard) {
    struct lot_add body = { .sale_id = SALE,
                            .sku_id = 9,
                            .quantity = 1,
                            .price = { 1, "CNY" },
                            .shard = shard != NULL ? text_of(shard) : (struct text){ 0 } };
    door(&body, MSG_lot_add);
    return PROBE_SENT(&probe, PORT_pg_shop, lot_add, -1);
}

static void new_lots_are_spread(void **state) {
    (void)state;
    world.shard[1] = 0; /* Both there are on shard 0. */
    start_in(sale_state_draft, lot_state_none);
    assert_int_equal(added(NULL)->home, 1);
    assert_int_equal(added(NULL)->home, 1); /* None has come back: still the emptier one. */
    assert_int_equal(added("0")->home, 0);
    assert_int_equal(added("1")->home, 1);
    uint32_t asked = count(PORT_pg_shop, MSG_lot_add);
    static const char *const wrong[] = { "2", "99", "x", "-1" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        (void)added(wrong[i]);
        const struct failed *failed = PROBE_SENT(&probe, PORT_door, failed, -1);
        assert_int_equal(failed->problem, PROBLEM_out_of_range);
        assert_true(text_is(failed->field, "shard"));
    }
    assert_int_equal(count(PORT_pg_shop, MSG_lot_add), asked);
}

static void among_equals_they_take_turns(void **state) {
    (void)state;
    start_in(sale_state_draft, lot_state_none); /* One on each. */
    uint32_t first = added(NULL)->home;
    assert_int_equal(added(NULL)->home, 1 - first);
    assert_int_equal(added(NULL)->home, first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_shards, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_lot_is_set_on_its_shard),
        TEST(it_opens_when_all_shards_follow),
        TEST(others_are_not_held_up),
        TEST(settling_names_the_shard_that_is_away),
        TEST(an_account_names_the_shard_that_is_away),
        TEST(a_lost_lot_makes_its_own_shard_recover),
        TEST(new_lots_are_spread),
        TEST(among_equals_they_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
