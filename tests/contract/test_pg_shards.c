/* What 0008_shards.sql adds, on a real PostgreSQL: two shards in one database, and payments that
 * nobody will hear of any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schema/id.h"
#include "tests/lib/pg_lot.h"

enum { LOT_1 = 101 };

#define PUT(name, ...) (*(struct name *)pg_put(&pg, MSG_##name) = (struct name){ __VA_ARGS__ })

/* LOT on shard 0 and LOT_1 on shard 1, both at the same epoch; an unpaid order in each: 1 and 2. */
static void two_shards(void) {
    fresh_lot(10, 5);
    pg_exec(pg.sql, "INSERT INTO stock_shard VALUES (1, %d)", EPOCH);
    pg_exec(pg.sql,
            "INSERT INTO lot VALUES (%d, %d, %d, 1, 2, 10, 0, 1, 1999, 'CNY', 7, 5, 60000000,"
            " 1::bigint << 56)",
            LOT_1, SALE, SKU);
    put_purchase(rid_make(0, EPOCH, 1), 1, 7, 1);
    put_purchase(rid_make(1, EPOCH, 1), 2, 7, 1)->lot_id = LOT_1;
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_accepted);
    assert_int_equal(decided(1)->outcome, outcome_accepted);
}

static int64_t state_of(int64_t order_id) {
    return pg_number(pg.sql, "SELECT state FROM orders WHERE order_id = %lld", (long long)order_id);
}

static void a_lot_is_sold_on_its_shard_alone(void **state) {
    (void)state;
    two_shards();
    put_purchase(rid_make(0, EPOCH, 2), 3, 8, 1)->lot_id = LOT_1;
    pg_ask(&pg);
    assert_refused(0, PROBLEM_not_on_sale);
    assert_account();
}

/* The epochs are equal, so only the shard tells the writers apart. */
static void a_writer_returns_orders_of_its_shard_alone(void **state) {
    (void)state;
    two_shards();
    struct order_return *back = put_return(2, order_state_cancelled, NOW);
    back->epoch = EPOCH; /* Of shard 0. */
    put_return(1, order_state_cancelled, NOW)->epoch = EPOCH;
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_fenced);
    assert_int_equal(rid_shard(returned(0)->rid), 1); /* Whose it is. */
    assert_int_equal(returned(1)->outcome, outcome_accepted);
    assert_int_equal(state_of(2), order_state_awaiting_payment);
    back = put_return(2, order_state_cancelled, NOW);
    back->epoch = EPOCH;
    back->shard = 1;
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_accepted);
    assert_account();
}

static void a_timer_loads_the_deadlines_of_its_shard(void **state) {
    (void)state;
    two_shards();
    for (uint32_t shard = 0; shard < 3; shard++)
        PUT(deadlines_load, .until = NOW + 3600 * S, .limit = 100, .shard = shard);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, deadline_row)->id, 1);
    assert_int_equal(PG_ANSWER(&pg, 1, rows_end)->count, 1);
    assert_int_equal(PG_ANSWER(&pg, 2, deadline_row)->id, 2);
    assert_int_equal(PG_ANSWER(&pg, 3, rows_end)->count, 1);
    assert_int_equal(PG_ANSWER(&pg, 4, rows_end)->count, 0);
}

static void a_shard_recovers_what_is_its_own(void **state) {
    (void)state;
    two_shards();
    PUT(shard_recover, .shard = 1, .run_id = text_of("abc"), .boot = 9);
    pg_ask(&pg);
    assert_int_equal(pg.out.count, 4); /* The epoch, one lot, its holders, the end. */
    assert_int_equal(PG_ANSWER(&pg, 1, recovered)->lot_id, LOT_1);
    assert_int_equal(pg_number(pg.sql, "SELECT epoch FROM stock_shard WHERE shard = 0"), EPOCH);
    /* Accounts tell where the lot is, so that it is counted there. */
    PUT(lot_account_get, .sale_id = SALE);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, lot_account)->shard, 0);
    assert_int_equal(PG_ANSWER(&pg, 1, lot_account)->shard, 1);
    assert_int_equal(PG_ANSWER(&pg, 1, lot_account)->orders, 1);
}

static void a_new_lot_goes_where_the_catalogue_says(void **state) {
    (void)state;
    two_shards();
    pg_exec(pg.sql, "UPDATE general_stock SET on_hand = 50");
    pg_exec(pg.sql, "INSERT INTO sale VALUES (11, 'Day', 1, 'epoch', 'now', 60000000)");
    pg_exec(pg.sql, "UPDATE sale SET state = 9 WHERE sale_id = %d", SALE);
    PUT(lot_add, .sale_id = 11, .sku_id = SKU, .quantity = 5, .price = { 1, "CNY" }, .lot_id = 200,
        .home = 1, .movement_id = 1, .now = NOW, .shard = text_of("1"));
    PUT(lot_add, .sale_id = 11, .sku_id = SKU, .quantity = 5, .price = { 1, "CNY" }, .lot_id = 201,
        .home = 1, .movement_id = 2, .now = NOW);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, lot_view)->shard, 1);
    assert_int_equal(PG_ANSWER(&pg, 1, lot_view)->shard, 1);
    /* Its orders are looked for among those of its shard, behind what there is now. */
    assert_true(pg_number(pg.sql, "SELECT rid_after FROM lot WHERE lot_id = 200") ==
                rid_make(1, EPOCH, 1));
}

/* ---- Payments ---- */

static void ask_due(int64_t at, int64_t every) {
    PUT(payments_due, .now = at, .older_than = at - every * S, .limit = 10);
}

/* Asked about every 5 s while the order waits for money; then less and less often, up to an hour.
 */
static void nobody_asks_for_ever(void **state) {
    (void)state;
    enum { EVERY = 5, PAYMENT = 70 };
    static const int64_t pauses[] = { 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600 };
    int64_t at = NOW + 10 * S;
    fresh_lot(10, 5);
    put_purchase(next_rid(), 1, 7, 1);
    PUT(payment_insert, .payment_id = PAYMENT, .order_id = 1, .user_id = 7,
        .provider = text_of("sandbox"), .now = NOW);
    PUT(payment_unknown, .payment_id = PAYMENT, .now = at);
    pg_ask(&pg);
    for (int i = 0; i < 3; i++) {
        ask_due(at += EVERY * S, EVERY);
        pg_ask(&pg);
        assert_int_equal(PG_ANSWER(&pg, 0, payment_row)->todo, todo_query);
    }
    put_return(1, order_state_expired, NOW + 3600 * S);
    pg_ask(&pg);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        ask_due(at + pauses[i] * S - S / 10, EVERY);
        ask_due(at += pauses[i] * S, EVERY);
        pg_ask(&pg);
        assert_int_equal(PG_ANSWER(&pg, 0, rows_end)->count, 0);
        assert_int_equal(PG_ANSWER(&pg, 1, payment_row)->payment_id, PAYMENT);
    }
    /* Money that comes all the same does not rest: it needs a unit, not a question. */
    PUT(payment_result, .payment_id = PAYMENT, .provider = text_of("sandbox"),
        .provider_txn = text_of("t"), .amount = { 1999, "CNY" }, .state = payment_state_succeeded,
        .refund_id = 71, .now = at);
    ask_due(at + 5 * S, EVERY);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, payment_settled)->outcome, pay_outcome_late);
    assert_int_equal(PG_ANSWER(&pg, 1, payment_row)->todo, todo_late);
}

static int open_pg(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_shards");
    return 0;
}
static int close_pg(void **state) {
    (void)state;
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lot_is_sold_on_its_shard_alone),
        cmocka_unit_test(a_writer_returns_orders_of_its_shard_alone),
        cmocka_unit_test(a_timer_loads_the_deadlines_of_its_shard),
        cmocka_unit_test(a_shard_recovers_what_is_its_own),
        cmocka_unit_test(a_new_lot_goes_where_the_catalogue_says),
        cmocka_unit_test(nobody_asks_for_ever),
    };
    return cmocka_run_group_tests(tests, open_pg, close_pg);
}
