/* shard_recover, receipts, and connections that are lost, on a real PostgreSQL. */
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

/* ---- Recovery ---- */

static void put_recover(struct pg_harness *at, uint32_t redis_epoch) {
    struct shard_recover *want = pg_put(at, MSG_shard_recover);
    *want =
        (struct shard_recover){ .redis_epoch = redis_epoch, .run_id = text_of("abc"), .boot = 99 };
}

static void recovery_tells_everything(void **state) {
    (void)state;
    fresh_lot(10, 5);
    put_purchase(next_rid(), 1, 7, 2);
    put_purchase(next_rid(), 2, 8, 1);
    put_purchase(next_rid(), 3, 7, 1);
    pg_ask(&pg);
    put_return(3, order_state_cancelled, NOW);
    pg_ask(&pg);
    put_recover(&pg, 8);
    pg_ask(&pg);
    assert_int_equal(pg.out.count, 4);
    assert_int_equal(PG_ANSWER(&pg, 0, recovered)->epoch, 9);
    assert_int_equal(PG_ANSWER(&pg, 0, recovered)->lot_id, 0);
    assert_int_equal(PG_ANSWER(&pg, 1, recovered)->lot_id, LOT);
    assert_int_equal(PG_ANSWER(&pg, 1, recovered)->available, 7);
    assert_int_equal(PG_ANSWER(&pg, 1, recovered)->per_buyer_limit, 5);
    assert_int_equal(PG_ANSWER(&pg, 1, recovered)->holders.size, 0);
    char wanted[200];
    snprintf(wanted, sizeof wanted, "7:1:%lld:2;7:3:%lld:0;8:2:%lld:1;",
             (long long)rid_make(0, EPOCH, 1), (long long)rid_make(0, EPOCH, 3),
             (long long)rid_make(0, EPOCH, 2));
    struct text holders = PG_ANSWER(&pg, 2, recovered)->holders;
    assert_int_equal(holders.size, strlen(wanted));
    assert_memory_equal(holders.at, wanted, holders.size);
    assert_int_equal(PG_ANSWER(&pg, 3, rows_end)->count, 3);
    /* The old epoch decides nothing any more, not even what it knows. */
    put_purchase(next_rid(), 4, 9, 1);
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_fenced);
    /* Nor may its writer give anything back: nobody would hear of it and undo it. */
    put_return(2, order_state_cancelled, NOW)->epoch = EPOCH;
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_fenced);
    assert_int_equal(returned(0)->state, order_state_awaiting_payment);
    put_return(2, order_state_cancelled, NOW)->epoch = 9;
    pg_ask(&pg);
    assert_int_equal(returned(0)->outcome, outcome_accepted);
    assert_int_equal(returned(0)->epoch, 9);
    struct shard_get *get = pg_put(&pg, MSG_shard_get);
    get->shard = 0;
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, shard_row)->epoch, 9);
    assert_int_equal(PG_ANSWER(&pg, 0, shard_row)->boot, 99);
    assert_true(text_is(PG_ANSWER(&pg, 0, shard_row)->run_id, "abc"));
}

/* Better to stop than to make rids of another shard. */
static void epochs_end(void **state) {
    (void)state;
    fresh_lot(10, 5);
    put_recover(&pg, RID_EPOCH_MAX - 1);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, recovered)->epoch, RID_EPOCH_MAX);
    put_recover(&pg, 0);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_internal);
    assert_int_equal(pg_number(pg.sql, "SELECT epoch FROM stock_shard"), RID_EPOCH_MAX);
}

/* All orders of a buyer stand in one chunk, and no chunk is too large for a message. */
static void holders_come_in_chunks(void **state) {
    (void)state;
    fresh_lot(100000, 100);
    pg_exec(pg.sql,
            "INSERT INTO orders SELECT g, %lld + g, g / 3, %d, 1, now(), now(), 0,"
            " 2 + 6 * (g %% 2), 1, 'CNY', '' FROM generate_series(1, 6000) g",
            (long long)rid_make(0, EPOCH, 0), LOT);
    put_recover(&pg, 0);
    pg_ask(&pg);
    uint32_t chunks = pg.out.count - 3, orders = 0;
    int64_t last_user = -1;
    assert_true(chunks >= 2);
    for (uint32_t n = 2; n < pg.out.count - 1; n++) {
        struct text holders = PG_ANSWER(&pg, n, recovered)->holders;
        assert_true(holders.size > 0 && holders.size <= 60000);
        assert_true(strtoll(holders.at, NULL, 10) > last_user);
        for (uint32_t i = 0; i < holders.size; i++) {
            if (holders.at[i] != ';') continue;
            orders++;
            if (i + 1 < holders.size) last_user = strtoll(holders.at + i + 1, NULL, 10);
        }
    }
    assert_int_equal(orders, 6000);
}

/* R2 waits for a purchase that is under way and sees its order (H5); a purchase that waits for R2
 * is fenced (H4). */
static void recovery_and_purchase_exclude_each_other(void **state) {
    (void)state;
    struct pg_harness other;
    fresh_lot(10, 5);
    pg_harness_join(&other, &pg);
    pg_exec(pg.sql, "BEGIN");
    assert_int_equal(
        pg_number(pg.sql,
                  "SELECT outcome FROM purchase_batch(ARRAY[%lld], ARRAY[1],"
                  " ARRAY[1], ARRAY[%d], ARRAY[2], ARRAY[1], ARRAY[0], ARRAY['x'], ARRAY[1])",
                  (long long)next_rid(), LOT),
        outcome_accepted);
    put_recover(&other, 0);
    pg_send(&other);
    for (int i = 0; i < 5; i++)
        pg_turn(&other, 20);
    assert_false(pg_port.ready(other.port));
    pg_exec(pg.sql, "COMMIT");
    batch_reset(&other.out);
    pg_wait(&other);
    assert_int_equal(PG_ANSWER(&other, 1, recovered)->available, 8);

    pg_exec(pg.sql, "BEGIN");
    pg_exec(pg.sql, "SELECT FROM shard_recover(0, 0, 'r', 1)");
    struct purchase *want = pg_put(&other, MSG_purchase);
    *want = (struct purchase){ .rid = rid_make(0, EPOCH + 1, 1),
                               .order_id = 2,
                               .user_id = 2,
                               .lot_id = LOT,
                               .quantity = 1,
                               .kind = reserve_kind_ordinary,
                               .address = text_of("x"),
                               .now = NOW };
    batch_reset(&other.out);
    pg_send(&other);
    for (int i = 0; i < 5; i++)
        pg_turn(&other, 20);
    assert_false(pg_port.ready(other.port));
    pg_exec(pg.sql, "COMMIT");
    pg_wait(&other);
    assert_int_equal(PG_ANSWER(&other, 0, decided)->outcome, outcome_fenced);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM orders"), 1);
    pg_harness_close(&other);
}

/* R5: what a receipt of an older epoch stands for is definite. */
static void receipts_are_definite(void **state) {
    (void)state;
    fresh_lot(1, 5);
    int64_t taken = next_rid(), short_of = next_rid(), lost = next_rid();
    put_purchase(taken, 1, 1, 1);
    put_purchase(short_of, 2, 2, 1);
    pg_ask(&pg);
    static const struct {
        int64_t order_id, user_id;
        int rid;               /* 0 none, 1 taken, 2 short, 3 lost */
        int64_t before, after; /* order_state, or -problem */
    } cases[] = {
        { 1, 1, 1, order_state_awaiting_payment, order_state_awaiting_payment },
        { 1, 0, 0, order_state_awaiting_payment, order_state_awaiting_payment },
        { 1, 2, 0, -PROBLEM_not_found, -PROBLEM_not_found },
        { 2, 2, 2, order_state_refused, order_state_refused },
        { 2, 2, 0, order_state_refused, order_state_refused },
        { 2, 1, 0, -PROBLEM_not_found, -PROBLEM_not_found },
        { 3, 3, 3, order_state_pending, order_state_void },
        { 2, 2, 3, order_state_pending, order_state_void },
        { 3, 3, 0, -PROBLEM_not_found, -PROBLEM_not_found },
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct order_find *find = pg_put(&pg, MSG_order_find);
            int64_t rids[] = { 0, taken, short_of, lost };
            *find = (struct order_find){ .order_id = cases[i].order_id,
                                         .user_id = cases[i].user_id,
                                         .rid = rids[cases[i].rid] };
            pg_ask(&pg);
            int64_t want = round == 0 ? cases[i].before : cases[i].after;
            if (want < 0) {
                assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, -want);
                continue;
            }
            assert_int_equal(PG_ANSWER(&pg, 0, order_view)->state, want);
            if (want == order_state_refused)
                assert_int_equal(PG_ANSWER(&pg, 0, order_view)->code, PROBLEM_sold_out);
        }
        put_recover(&pg, 0);
        pg_ask(&pg);
    }
}

/* The connection dies while a batch is under way: unknown; asked again, it is decided once. */
static void lost_at_commit(void **state) {
    (void)state;
    fresh_lot(10, 5);
    int64_t rid = next_rid();
    pg_exec(pg.sql, "CREATE OR REPLACE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
                    "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON orders DEFERRABLE"
                    " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()");
    put_purchase(rid, 1, 1, 1);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_unavailable);
    pg_exec(pg.sql, "DROP TRIGGER die ON orders");
    for (int i = 0; i < 200; i++) {
        put_purchase(rid, 1, 1, 1);
        pg_ask(&pg);
        if (pg.out.items[0].head.type == MSG_decided) break;
        pg_turn(&pg, 20);
    }
    assert_int_equal(decided(0)->outcome, outcome_accepted);
    assert_account();
}

/* An error at the commit, after the rows have come: the rows are not believed. */
static void refused_at_commit(void **state) {
    (void)state;
    fresh_lot(10, 5);
    pg_exec(pg.sql, "CREATE OR REPLACE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$"
                    " BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$;"
                    "CREATE CONSTRAINT TRIGGER object AFTER INSERT ON orders DEFERRABLE"
                    " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION object()");
    put_purchase(next_rid(), 1, 1, 1);
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_unavailable);
    pg_exec(pg.sql, "DROP TRIGGER object ON orders");
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM orders"), 0);
}

static int open_pg(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_recovery");
    return 0;
}

static int close_pg(void **state) {
    (void)state;
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovery_tells_everything),
        cmocka_unit_test(epochs_end),
        cmocka_unit_test(holders_come_in_chunks),
        cmocka_unit_test(recovery_and_purchase_exclude_each_other),
        cmocka_unit_test(receipts_are_definite),
        cmocka_unit_test(lost_at_commit),
        cmocka_unit_test(refused_at_commit),
    };
    return cmocka_run_group_tests(tests, open_pg, close_pg);
}
