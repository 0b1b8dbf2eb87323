/* purchase and order_return on a real PostgreSQL: every outcome, and what must hold when two do it
 * at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/id.h"
#include "tests/lib/pg_lot.h"

static void a_batch_is_accepted(void **state) {
    (void)state;
    fresh_lot(1000, 2);
    for (int i = 0; i < 256; i++)
        put_purchase(next_rid(), 1000 + i, 1 + i / 2, 1);
    pg_ask(&pg);
    assert_int_equal(pg.out.count, 256);
    for (uint32_t i = 0; i < 256; i++) {
        const struct decided *row = decided(i);
        assert_int_equal(row->outcome, outcome_accepted);
        assert_int_equal(row->order_id, 1000 + i);
        assert_int_equal(row->order_rid, row->rid);
        assert_int_equal(row->state, order_state_awaiting_payment);
        assert_int_equal(row->price.amount, 1999);
        assert_string_equal(row->price.currency, "CNY");
        assert_int_equal(row->created_at, NOW);
        assert_int_equal(row->pay_by, NOW + 60 * S);
    }
    /* One statement: one movement, one row in the outbox with all orders. */
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM stock_movement"), 1);
    assert_int_equal(pg_number(pg.sql, "SELECT last_rid - first_rid FROM stock_movement"), 255);
    assert_int_equal(pg_number(pg.sql, "SELECT cardinality(orders) FROM outbox"), 256);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM orders WHERE address <> '%s'", HOME),
                     0);
    assert_account();
}

static void second_lot(void) {
    pg_exec(pg.sql,
            "INSERT INTO lot (lot_id, sale_id, sku_id, shard, state, allocated, price, currency,"
            " per_buyer_limit, pay_window_us, rid_after) SELECT lot_id + 1, sale_id, sku_id,"
            " shard, state, allocated, 777, 'EUR', per_buyer_limit, 90000000, rid_after"
            " FROM lot");
}

/* Each row is answered at its own lot's price and time. */
static void two_lots_at_once(void **state) {
    (void)state;
    fresh_lot(1000, 2);
    second_lot();
    for (int i = 0; i < 100; i++) {
        struct purchase *want = put_purchase(next_rid(), 1000 + i, 1 + i, 1 + (uint32_t)i % 2);
        want->lot_id = LOT + i % 3 % 2;
        want->price_version = 0;
        want->now = NOW + i * S + 999; /* PostgreSQL keeps microseconds. */
    }
    pg_ask(&pg);
    assert_int_equal(pg.out.count, 100);
    for (uint32_t i = 0; i < 100; i++) {
        const struct decided *row = decided(i);
        bool second = row->lot_id != LOT;
        int64_t n = row->order_id - 1000;
        assert_int_equal(row->outcome, outcome_accepted);
        assert_int_equal(row->lot_id, LOT + n % 3 % 2);
        assert_int_equal(row->user_id, 1 + n);
        assert_int_equal(row->quantity, 1 + n % 2);
        assert_int_equal(row->price.amount, second ? 777 : 1999);
        assert_string_equal(row->price.currency, second ? "EUR" : "CNY");
        assert_int_equal(row->created_at, NOW + n * S);
        assert_int_equal(row->pay_by, NOW + n * S + (second ? 90 : 60) * S);
        assert_int_equal(pg_number(pg.sql,
                                   "SELECT count(*) FROM orders WHERE order_id = %lld AND rid ="
                                   " %lld AND pay_by = time_of(%lld)",
                                   (long long)row->order_id, (long long)row->rid,
                                   (long long)row->pay_by / 1000),
                         1);
    }
    assert_account();
}

/* order.batch_max says how many are committed at once: one movement for each statement. */
static void no_more_in_a_commit_than_is_set(void **state) {
    (void)state;
    int64_t before = pg.config.order_batch_max;
    pg.config.order_batch_max = 10;
    pg_harness_anew(&pg);
    fresh_lot(1000, 2);
    for (int i = 0; i < 25; i++)
        put_purchase(next_rid(), 1000 + i, 1 + i, 1);
    pg_ask(&pg);
    assert_int_equal(pg.out.count, 25);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM stock_movement"), 3);
    assert_int_equal(pg_number(pg.sql, "SELECT max(change) FROM stock_movement"), 10);
    assert_account();
    pg.config.order_batch_max = before;
    pg_harness_anew(&pg);
}

/* purchase_batch of nodes from before migration 13: a row for every row, also where all are usual.
 */
static void older_nodes_get_every_row(void **state) {
    (void)state;
    fresh_lot(1000, 2);
    second_lot();
    pg_exec(pg.sql, "DROP TABLE IF EXISTS old");
    for (int lots = 1; lots <= 2; lots++) {
        pg_exec(
            pg.sql,
            "CREATE TABLE old AS SELECT * FROM purchase_batch(ARRAY[%lld, %lld, %lld], ARRAY[%d,"
            " %d, %d]::bigint[], ARRAY[1, 2, 3]::bigint[], ARRAY[100, %d, 100]::bigint[],"
            " ARRAY[1, 2, 1], ARRAY[1, 1, 1], ARRAY[0, 0, 0]::bigint[], ARRAY['a', 'b', 'c'],"
            " ARRAY[7, 8, 9]::bigint[])",
            (long long)next_rid(), (long long)next_rid(), (long long)next_rid(), lots * 10,
            lots * 10 + 1, lots * 10 + 2, 99 + lots);
        assert_int_equal(
            pg_number(pg.sql,
                      "SELECT count(DISTINCT d.n) FROM old d JOIN orders o ON (o.order_id, o.rid,"
                      " o.rid, o.user_id, o.lot_id, o.quantity, o.state, o.price, o.currency,"
                      " us_of(o.created_at), us_of(o.pay_by)) = (d.order_id, d.rid, d.order_rid,"
                      " d.user_id, d.lot_id, d.quantity, d.state, d.price, d.currency,"
                      " d.created_at, d.pay_by) WHERE d.outcome = 1"),
            3);
        pg_exec(pg.sql, "DROP TABLE old");
    }
    assert_account();
}

static void the_same_again(void **state) {
    (void)state;
    fresh_lot(2, 1);
    int64_t first = next_rid(), second = next_rid(), third = next_rid();
    put_purchase(first, 1, 1, 1);
    put_purchase(second, 2, 2, 1);
    put_purchase(third, 3, 3, 1);
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_accepted);
    assert_int_equal(decided(1)->outcome, outcome_accepted);
    assert_refused(2, PROBLEM_sold_out);
    assert_int_equal(decided(2)->alarm, 1);
    /* Units are free now; what was refused stays refused. */
    pg_exec(pg.sql, "UPDATE lot SET allocated = 10");
    put_purchase(first, 1, 1, 1);
    put_purchase(third, 3, 3, 1);
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_same);
    assert_int_equal(decided(0)->reason, 0);
    assert_int_equal(decided(0)->order_rid, first);
    assert_int_equal(decided(1)->outcome, outcome_same);
    assert_int_equal(decided(1)->reason, PROBLEM_sold_out);
    assert_account();
    assert_int_equal(pg_number(pg.sql, "SELECT sold FROM lot"), 2);
}

static void another_rid_for_the_order(void **state) {
    (void)state;
    fresh_lot(10, 5);
    int64_t first = next_rid();
    put_purchase(first, 1, 1, 1);
    pg_ask(&pg);
    put_purchase(next_rid(), 1, 1, 1);
    put_purchase(next_rid(), 1, 2, 1);
    put_purchase(next_rid(), 1, 1, 2);
    put_purchase(next_rid(), 1, 1, 1)->address = text_of("elsewhere");
    put_purchase(next_rid(), 1, 1, 1)->lot_id = LOT + 1;
    /* In one batch the lowest rid wins. */
    int64_t low = next_rid(), high = next_rid();
    put_purchase(high, 2, 1, 1);
    put_purchase(low, 2, 1, 1);
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_dup);
    assert_int_equal(decided(0)->order_rid, first);
    for (uint32_t i = 1; i <= 4; i++)
        assert_refused(i, PROBLEM_duplicate);
    assert_int_equal(decided(5)->outcome, outcome_accepted);
    assert_int_equal(decided(5)->rid, low);
    assert_int_equal(decided(6)->outcome, outcome_dup);
    assert_int_equal(decided(6)->order_rid, low);
    assert_account();
}

static void refusals(void **state) {
    (void)state;
    fresh_lot(10, 2);
    put_purchase(next_rid(), 1, 1, 1)->price_version = 6;
    put_purchase(next_rid(), 2, 1, 1)->price_version = 0;
    put_purchase(next_rid(), 3, 1, 2);
    put_purchase(next_rid(), 4, 1, 1)->lot_id = LOT + 1;
    put_purchase(rid_make(0, EPOCH - 1, 77), 5, 9, 1);
    put_purchase(rid_make(0, EPOCH + 1, 77), 6, 9, 1);
    pg_ask(&pg);
    assert_int_equal(decided(0)->rid, rid_make(0, EPOCH - 1, 77)); /* In rid order. */
    assert_int_equal(decided(0)->outcome, outcome_fenced);
    assert_refused(1, PROBLEM_price_changed);
    assert_int_equal(decided(2)->outcome, outcome_accepted);
    assert_refused(3, PROBLEM_limit_reached);
    assert_refused(4, PROBLEM_not_on_sale);
    assert_int_equal(decided(5)->outcome, outcome_fenced);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM refusal"), 3);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM orders"), 1);
    pg_exec(pg.sql, "UPDATE lot SET state = 5");
    put_purchase(next_rid(), 7, 7, 1);
    pg_ask(&pg);
    assert_refused(0, PROBLEM_sale_closed);
    assert_account();
}

/* The limit counts live orders of earlier batches, not those that gave their units back. */
static void limit_over_batches(void **state) {
    (void)state;
    fresh_lot(10, 2);
    put_purchase(next_rid(), 1, 1, 2);
    pg_ask(&pg);
    put_purchase(next_rid(), 2, 1, 1);
    pg_ask(&pg);
    assert_refused(0, PROBLEM_limit_reached);
    put_return(1, order_state_cancelled, NOW);
    put_purchase(next_rid(), 3, 1, 1);
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_accepted);
    assert_int_equal(decided(1)->outcome, outcome_accepted);
    assert_account();
}

static struct purchase_refuse *put_refuse(int64_t rid, int64_t order_id, int64_t user_id) {
    struct purchase_refuse *refuse = pg_put(&pg, MSG_purchase_refuse);
    *refuse = (struct purchase_refuse){ .rid = rid,
                                        .order_id = order_id,
                                        .user_id = user_id,
                                        .lot_id = LOT,
                                        .quantity = 1,
                                        .now = NOW };
    return refuse;
}

/* What cannot be carried out is refused on record: never under an old epoch, never once it was
 * accepted, and never as somebody else's order. */
static void refused_for_good(void **state) {
    (void)state;
    fresh_lot(10, 2);
    int64_t bought = next_rid(), bad = next_rid();
    put_purchase(bought, 1, 1, 1);
    put_refuse(bad, 2, 2);
    put_refuse(bad, 2, 2);
    put_refuse(bought, 1, 1);
    put_refuse(rid_make(0, EPOCH - 1, 77), 4, 4);
    pg_ask(&pg);
    assert_refused(1, PROBLEM_internal);
    assert_refused(2, PROBLEM_internal);
    assert_int_equal(decided(3)->outcome, outcome_same);
    assert_int_equal(decided(3)->reason, 0);
    assert_int_equal(decided(3)->state, order_state_awaiting_payment);
    assert_int_equal(decided(3)->order_rid, bought);
    assert_int_equal(decided(3)->pay_by, NOW + 60 * S);
    assert_int_equal(decided(4)->outcome, outcome_fenced);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM refusal"), 1);
    put_refuse(bought, 3, 3); /* The rid was given out twice: order 3 is not order 1. */
    pg_ask(&pg);
    assert_refused(0, PROBLEM_internal);
    assert_account();
}

/* UNIQUE(rid) is the tripwire of H23: the row that hits it fails alone. */
static void a_poison_row_is_isolated(void **state) {
    (void)state;
    fresh_lot(1000, 100);
    int64_t used = next_rid();
    put_purchase(used, 1, 1, 1);
    pg_ask(&pg);
    for (int i = 0; i < 256; i++) {
        bool poison = i == 100;
        put_purchase(poison ? used : next_rid(), 1000 + i, 2000 + i, 1);
    }
    pg_ask(&pg);
    assert_int_equal(pg.out.count, 256);
    uint32_t accepted = 0, failed = 0;
    for (uint32_t i = 0; i < pg.out.count; i++) {
        if (pg.out.items[i].head.type == MSG_decided) {
            accepted += decided(i)->outcome == outcome_accepted;
        } else {
            const struct failed *row = PG_ANSWER(&pg, i, failed);
            assert_int_equal(row->problem, PROBLEM_internal);
            assert_int_equal(row->id, used);
            failed++;
        }
    }
    assert_int_equal(accepted, 255);
    assert_int_equal(failed, 1);
    assert_int_equal(pg_number(pg.sql, "SELECT sold FROM lot"), 256);
    assert_account();
}

/* ---- Returns ---- */

static void returned_once(void **state) {
    (void)state;
    fresh_lot(10, 5);
    int64_t rid = next_rid();
    put_purchase(rid, 1, 1, 3);
    put_purchase(next_rid(), 2, 2, 1);
    pg_ask(&pg);
    put_return(1, order_state_expired, NOW + 59 * S);
    put_return(1, order_state_cancelled, NOW)->user_id = 2;
    put_return(3, order_state_cancelled, NOW);
    put_return(2, order_state_refunded, NOW);
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_refused);
    assert_int_equal(returned(0)->reason, PROBLEM_illegal_state);
    assert_int_equal(returned(0)->pay_by, NOW + 60 * S);
    assert_int_equal(returned(1)->reason, PROBLEM_not_found);
    assert_int_equal(returned(2)->reason, PROBLEM_not_found);
    assert_int_equal(returned(3)->reason, PROBLEM_illegal_state);
    put_return(1, order_state_expired, NOW + 60 * S);
    put_return(1, order_state_expired, NOW + 60 * S);
    pg_ask(&pg);
    put_return(1, order_state_expired, NOW + 60 * S);
    pg_send(&pg);
    pg_wait(&pg);
    assert_int_equal(returned(0)->outcome, outcome_accepted);
    for (uint32_t i = 0; i < 3; i++) {
        if (i > 0) assert_int_equal(returned(i)->outcome, outcome_same);
        assert_int_equal(returned(i)->rid, rid);
        assert_int_equal(returned(i)->quantity, 3);
        assert_int_equal(returned(i)->epoch, EPOCH);
        assert_int_equal(returned(i)->to_general, 0);
        assert_int_equal(returned(i)->state, order_state_expired);
    }
    assert_int_equal(pg_number(pg.sql, "SELECT sold FROM lot"), 1);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM order_event"), 1);
    put_return(1, order_state_cancelled, NOW);
    pg_ask(&pg);
    assert_int_equal(returned(0)->reason, PROBLEM_illegal_state);
    assert_account();
}

static void paid_is_not_cancelled(void **state) {
    (void)state;
    fresh_lot(10, 5);
    put_purchase(next_rid(), 1, 1, 1);
    pg_ask(&pg);
    for (int to = order_state_paid; to <= order_state_refunded; to++) {
        if (to == order_state_cancelled) continue;
        pg_exec(pg.sql, "UPDATE orders SET state = %d", to);
        put_return(1, order_state_cancelled, NOW + 100 * S);
        pg_ask(&pg);
        assert_int_equal(returned(0)->reason, PROBLEM_illegal_state);
    }
    assert_int_equal(pg_number(pg.sql, "SELECT sold FROM lot"), 1);
}

/* After the lot is settled, returned units go to general stock, in that transaction. */
static void settled_once(void **state) {
    (void)state;
    fresh_lot(10, 5);
    put_purchase(next_rid(), 1, 1, 3);
    pg_ask(&pg);
    pg_exec(pg.sql, "UPDATE sale SET state = 8");
    for (int i = 0; i < 3; i++) {
        struct sale_settle *settle = pg_put(&pg, MSG_sale_settle);
        *settle = (struct sale_settle){ .sale_id = SALE, .now = NOW };
        pg_ask(&pg);
        if (i == 0) {
            assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_illegal_state);
            pg_exec(pg.sql, "UPDATE orders SET state = 9");
            continue;
        }
        assert_int_equal(PG_ANSWER(&pg, 0, sale_view)->state, sale_state_settled);
        assert_int_equal(pg_number(pg.sql, "SELECT on_hand FROM general_stock"), 7);
    }
    assert_int_equal(pg_number(pg.sql, "SELECT allocated FROM lot"), 3);
    put_return(1, order_state_refunded, NOW);
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_accepted);
    assert_int_equal(returned(0)->to_general, 1);
    assert_int_equal(pg_number(pg.sql, "SELECT on_hand FROM general_stock"), 10);
    assert_int_equal(pg_number(pg.sql, "SELECT sum(change) FROM stock_movement"
                                       " WHERE counter = 'general'"),
                     10);
    assert_account();
}

/* The guard is the database's own: nobody oversells, whatever the functions do. */
static void guard_is_a_tripwire(void **state) {
    (void)state;
    fresh_lot(3, 5);
    PGresult *result = PQexec(pg.sql, "UPDATE lot SET sold = 4");
    assert_string_equal(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME), "lot_guard");
    PQclear(result);
    result = PQexec(pg.sql, "UPDATE lot SET sold = -1");
    assert_string_equal(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME), "lot_guard");
    PQclear(result);
    result = PQexec(pg.sql, "DELETE FROM stock_movement");
    assert_non_null(strstr(PQresultErrorMessage(result), "append-only"));
    PQclear(result);
}

/* ---- Late money ---- */

static void late_money_gets_a_unit_again(void **state) {
    (void)state;
    fresh_lot(2, 1);
    put_purchase(next_rid(), 1, 1, 1);
    put_purchase(next_rid(), 2, 2, 1);
    pg_ask(&pg);
    put_return(1, order_state_expired, NOW + 60 * S);
    put_return(2, order_state_expired, NOW + 60 * S);
    pg_ask(&pg);
    int64_t without = next_rid(), late = next_rid();
    put_purchase(without, 1, 1, 1)->kind = reserve_kind_late;
    pg_ask(&pg);
    assert_refused(0, PROBLEM_illegal_state);
    pg_exec(pg.sql,
            "INSERT INTO payment VALUES (50, 1, 1, 'sandbox', 3, 3, 1999, 'CNY', '', 'x',"
            " now(), now()), (51, 2, 2, 'sandbox', 3, 3, 1999, 'CNY', '', 'y', now(), now())");
    put_purchase(late, 1, 1, 1)->kind = reserve_kind_late;
    put_purchase(next_rid(), 3, 3, 1);
    put_purchase(next_rid(), 2, 2, 1)->kind = reserve_kind_late;
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_accepted);
    assert_int_equal(decided(0)->state, order_state_paid);
    assert_int_equal(decided(0)->order_rid, late);
    assert_int_equal(decided(1)->outcome, outcome_accepted);
    assert_refused(2, PROBLEM_sold_out);
    assert_int_equal(decided(2)->alarm, 0);
    put_purchase(late, 1, 1, 1)->kind = reserve_kind_late;
    put_purchase(next_rid(), 1, 1, 1)->kind = reserve_kind_late;
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_same);
    assert_int_equal(decided(0)->reason, 0);
    assert_int_equal(decided(1)->outcome, outcome_dup);
    assert_account();
}

/* ---- Two at once ---- */

enum { RIVALS = 2, EACH = 300, UNITS = 100 };

static void *rival(void *arg) {
    struct pg_harness own;
    int64_t me = (int64_t)(intptr_t)arg;
    pg_harness_join(&own, &pg);
    int64_t sold = 0;
    for (int i = 0; i < EACH; i++) {
        struct purchase *want = pg_put(&own, MSG_purchase);
        *want = (struct purchase){ .rid = rid_make(0, EPOCH, (uint64_t)(1000 * me + i + 1)),
                                   .order_id = 10000 * me + i,
                                   .user_id = 10000 * me + i,
                                   .lot_id = LOT,
                                   .quantity = 1,
                                   .kind = reserve_kind_ordinary,
                                   .address = text_of("here"),
                                   .now = NOW };
        if (i % 7 == 6 || i == EACH - 1) {
            pg_ask(&own);
            for (uint32_t n = 0; n < own.out.count; n++)
                sold += PG_ANSWER(&own, n, decided)->outcome == outcome_accepted;
        }
    }
    pg_harness_close(&own);
    return (void *)(intptr_t)sold;
}

static void two_sell_the_last_units(void **state) {
    (void)state;
    fresh_lot(UNITS, 1);
    pthread_t threads[RIVALS];
    int64_t sold = 0;
    for (intptr_t i = 0; i < RIVALS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rival, (void *)(i + 1)), 0);
    for (int i = 0; i < RIVALS; i++) {
        void *part;
        pthread_join(threads[i], &part);
        sold += (int64_t)(intptr_t)part;
    }
    assert_int_equal(sold, UNITS);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM refusal"), RIVALS * EACH - UNITS);
    assert_account();
}

static int open_pg(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_purchase");
    return 0;
}

static int close_pg(void **state) {
    (void)state;
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_in_a_commit_than_is_set),
        cmocka_unit_test(two_lots_at_once),
        cmocka_unit_test(older_nodes_get_every_row),
        cmocka_unit_test(a_batch_is_accepted),
        cmocka_unit_test(the_same_again),
        cmocka_unit_test(another_rid_for_the_order),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limit_over_batches),
        cmocka_unit_test(refused_for_good),
        cmocka_unit_test(a_poison_row_is_isolated),
        cmocka_unit_test(returned_once),
        cmocka_unit_test(paid_is_not_cancelled),
        cmocka_unit_test(settled_once),
        cmocka_unit_test(guard_is_a_tripwire),
        cmocka_unit_test(late_money_gets_a_unit_again),
        cmocka_unit_test(two_sell_the_last_units),
    };
    return cmocka_run_group_tests(tests, open_pg, close_pg);
}
