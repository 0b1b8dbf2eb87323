/* Accounts, sessions, catalogue, payments and the outbox on a real PostgreSQL, through the port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/clock.h"
#include "broker/pg/statements.h"
#include "broker/ready.h"
#include "schema/id.h"
#include "tests/lib/pg_harness.h"

#define S   INT64_C(1000000000)
#define NOW (INT64_C(1800000000) * S)

static struct pg_harness pg;

/* PUT(name, .field = ...) adds a request. */
#define PUT(name, ...) (*(struct name *)pg_put(&pg, MSG_##name) = (struct name){ __VA_ARGS__ })
#define GOT(n, name)   PG_ANSWER(&pg, n, name)

static void assert_failed(uint32_t n, enum problem problem) {
    assert_int_equal(GOT(n, failed)->problem, problem);
}

/* Every statement parses and its parameters are as many as the request has. */
static void every_statement_prepares(void **state) {
    (void)state;
    for (const struct statement *row = statements(); row->sql != NULL; row++) {
        const struct message_type *type = message_type(row->request);
        int parameters = 0;
        for (const struct field *field = type->fields; field->name != NULL; field++)
            parameters += kind_stored(field->kind) == STORED_money ? 2 : 1;
        PGresult *result = PQprepare(pg.sql, type->name, row->sql, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            fail_msg("%s: %s", type->name, PQerrorMessage(pg.sql));
        PQclear(result);
        result = PQdescribePrepared(pg.sql, type->name);
        if (PQnparams(result) != parameters)
            fail_msg("%s: %d parameters, %d wanted", type->name, PQnparams(result), parameters);
        PQclear(result);
    }
}

static void accounts(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        PUT(account_insert, .user_id = 1, .login = text_of("ann@example.org"),
            .password = text_of("$argon2id$"), .now = NOW);
    PUT(account_insert, .user_id = 2, .login = text_of("ann@example.org"), .password = text_of("x"),
        .now = NOW);
    PUT(account_insert, .user_id = 1, .login = text_of("bob@example.org"), .password = text_of("x"),
        .now = NOW);
    PUT(account_find, .login = text_of("nobody"));
    pg_ask(&pg);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(GOT(i, account_view)->user_id, 1);
        assert_true(text_is(GOT(i, account_view)->login, "a***@example.org"));
    }
    assert_failed(2, PROBLEM_login_taken);
    assert_failed(3, PROBLEM_duplicate);
    assert_failed(4, PROBLEM_not_found);
    for (int i = 0; i < 3; i++)
        PUT(login_failed, .user_id = 1, .failures_max = 3, .locked_until = NOW + 60 * S);
    PUT(account_find, .login = text_of("ann@example.org"));
    pg_ask(&pg);
    assert_int_equal(GOT(2, done)->count, 1);
    assert_int_equal(GOT(3, account_row)->failures, 3);
    assert_int_equal(GOT(3, account_row)->locked_until, NOW + 60 * S);
    assert_int_equal(GOT(3, account_row)->state, account_state_normal);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM outbox WHERE notice = 1"), 1);
}

static struct text hash(char which) {
    static char room[8][32];
    memset(room[which - 'a'], which, 32);
    room[which - 'a'][0] = '\0'; /* Any byte may come. */
    return (struct text){ room[which - 'a'], 32 };
}

static void rotate(char old, char new, int64_t now) {
    PUT(session_rotate, .old_hash = hash(old), .new_hash = hash(new), .now = now,
        .idle_since = now - 1800 * S, .grace_since = now - 10 * S);
    pg_ask(&pg);
}

static void insert_session(int64_t id) {
    pg_exec(pg.sql, "DELETE FROM session; DELETE FROM session_spent");
    PUT(session_insert, .session_id = id, .user_id = 1, .refresh_hash = hash('a'), .now = NOW,
        .expires_at = NOW + 86400 * S);
    pg_ask(&pg);
    assert_int_equal(GOT(0, session_row)->session_id, id);
    assert_int_equal(GOT(0, session_row)->expires_at, NOW + 86400 * S);
}

static void sessions(void **state) {
    (void)state;
    insert_session(7);
    assert_int_equal(pg_number(pg.sql, "SELECT failures FROM account"), 0);
    rotate('a', 'b', NOW + S);
    assert_int_equal(GOT(0, session_row)->user_id, 1);
    rotate('a', 'b', NOW + 2 * S); /* The answer was lost; the port sent it again. */
    assert_int_equal(GOT(0, session_row)->session_id, 7);
    rotate('a', 'c', NOW + 3 * S); /* The client asks again, in the grace: once. */
    assert_int_equal(GOT(0, session_row)->session_id, 7);
    rotate('c', 'd', NOW + 4 * S);
    assert_int_equal(GOT(0, session_row)->session_id, 7);
    rotate('h', 'e', NOW + 5 * S); /* Never seen. */
    assert_failed(0, PROBLEM_login_again);
    rotate('a', 'e', NOW + 5 * S); /* Reused: the session ends. */
    assert_failed(0, PROBLEM_login_again);
    assert_int_equal(GOT(0, failed)->id, 7);
    rotate('d', 'e', NOW + 6 * S);
    assert_failed(0, PROBLEM_login_again);
    PUT(revoked_load, .since = NOW);
    pg_ask(&pg);
    assert_int_equal(GOT(0, session_revoked)->session_id, 7);
    assert_int_equal(GOT(0, session_revoked)->until, NOW + 5 * S);
    assert_int_equal(GOT(1, rows_end)->count, 1);
}

static void sessions_end(void **state) {
    (void)state;
    insert_session(8);
    rotate('a', 'b', NOW + S);
    rotate('a', 'c', NOW + 20 * S); /* Behind the grace. */
    assert_failed(0, PROBLEM_login_again);
    insert_session(9);
    rotate('a', 'b', NOW + 1801 * S); /* Idle for too long. */
    assert_failed(0, PROBLEM_login_again);
    insert_session(10);
    PUT(session_end, .session_id = 10, .user_id = 2, .now = NOW);
    PUT(session_end, .session_id = 10, .user_id = 1, .now = NOW);
    PUT(ticket_facts_get, .user_id = 1, .session_id = 10, .lot_id = 1);
    pg_ask(&pg);
    assert_int_equal(GOT(0, done)->count, 0);
    assert_int_equal(GOT(1, done)->count, 1);
    assert_int_equal(GOT(2, ticket_facts)->session_id, 0);
    rotate('a', 'b', NOW + S);
    assert_failed(0, PROBLEM_login_again);
}

/* ---- Catalogue ---- */

enum { PRODUCT = 20, SKU = 21, SALE = 22, LOT = 23 };

static void put_lot(int64_t sale, int64_t lot, uint32_t units) {
    PUT(lot_add, .sale_id = sale, .sku_id = SKU, .quantity = units, .price = { 1999, "CNY" },
        .per_buyer_limit = 2, .lot_id = lot, .movement_id = lot + 1000, .now = NOW);
}

static void put_sale(int64_t sale, int64_t opens, int64_t closes) {
    PUT(sale_create, .title = text_of("Night"), .opens_at = NOW + opens * S,
        .closes_at = NOW + closes * S, .pay_window = 60 * S, .sale_id = sale);
}

static void catalogue(void **state) {
    (void)state;
    PUT(product_add, .title = text_of("Lamp"), .product_id = PRODUCT);
    PUT(sku_add, .product_id = PRODUCT, .title = text_of("red"), .sku_id = SKU);
    PUT(sku_add, .product_id = 999, .title = text_of("red"), .sku_id = SKU + 1);
    for (int i = 0; i < 2; i++)
        PUT(stock_receive, .sku_id = SKU, .quantity = 100, .movement_id = 500, .now = NOW);
    put_sale(SALE, 100, 200);
    put_sale(SALE + 100, 150, 250);
    put_sale(SALE + 200, 200, 250);
    put_sale(SALE + 300, 200, 100);
    PUT(sale_move, .sale_id = SALE, .to = sale_state_scheduled, .now = NOW);
    for (int i = 0; i < 2; i++)
        put_lot(SALE, LOT, 60);
    put_lot(SALE + 100, LOT + 1, 10);
    put_lot(SALE + 200, LOT + 2, 41);
    put_lot(SALE + 200, LOT + 2, 10);
    PUT(stock_show, .sku_id = SKU);
    pg_ask(&pg);
    assert_true(text_is(GOT(0, product_view)->title, "Lamp"));
    assert_int_equal(GOT(1, sku_view)->product_id, PRODUCT);
    assert_failed(2, PROBLEM_not_found);
    assert_true(text_is(GOT(2, failed)->field, "product_id"));
    assert_int_equal(GOT(4, stock_view)->on_hand, 100);
    assert_int_equal(GOT(5, sale_view)->state, sale_state_draft);
    assert_int_equal(GOT(5, sale_view)->pay_window, 60 * S);
    assert_failed(8, PROBLEM_out_of_range);
    assert_true(text_is(GOT(8, failed)->field, "closes_at"));
    assert_failed(9, PROBLEM_illegal_state); /* It has no lots. */
    for (uint32_t i = 10; i < 12; i++) {
        assert_int_equal(GOT(i, lot_view)->available, 60);
        assert_string_equal(GOT(i, lot_view)->price.currency, "CNY");
        assert_true(text_is(GOT(i, lot_view)->title, "Lamp red"));
    }
    assert_failed(12, PROBLEM_sku_on_sale);
    assert_failed(13, PROBLEM_stock_short);
    assert_int_equal(GOT(14, lot_view)->allocated, 10); /* Windows that only touch. */
    assert_int_equal(GOT(15, stock_view)->on_hand, 30);
    assert_int_equal(GOT(15, stock_view)->in_sales, 70);
}

/* All moves from all states: the legal ones, the one to itself, nothing else. */
static void sale_moves(void **state) {
    (void)state;
    static const char *const legal[] = { NULL, "2", "3", "4", "5", "67", "57", "8", "", ":", "" };
    static const int lots[] = { 0, 1, 1, 1, 1, 2, 3, 4, 4, 5, 5 };
    for (int from = 1; from <= 10; from++) {
        for (int to = 1; to <= 10; to++) {
            pg_exec(pg.sql, "UPDATE sale SET state = %d WHERE sale_id = %d", from, SALE);
            PUT(sale_move, .sale_id = SALE, .to = (enum sale_state)to, .now = NOW);
            pg_ask(&pg);
            if (from == to || strchr(legal[from], '0' + to) != NULL) {
                assert_int_equal(GOT(0, sale_view)->state, to);
                if (from == to) continue;
                assert_int_equal(pg_number(pg.sql, "SELECT state FROM lot WHERE lot_id = %d", LOT),
                                 lots[to]);
            } else {
                assert_failed(0, PROBLEM_illegal_state);
                assert_int_equal(
                    pg_number(pg.sql, "SELECT state FROM sale WHERE sale_id = %d", SALE), from);
            }
        }
    }
    pg_exec(pg.sql, "UPDATE sale SET state = 5 WHERE sale_id = %d; UPDATE lot SET state = 2", SALE);
    PUT(sale_rows_get, .sale_id = 0);
    PUT(lot_rows_get, .sale_id = SALE);
    PUT(lot_account_get, .sale_id = SALE);
    pg_ask(&pg);
    assert_int_equal(GOT(3, rows_end)->count, 3);
    assert_int_equal(GOT(4, lot_view)->sale_id, SALE);
    assert_int_equal(GOT(5, rows_end)->what, MSG_lot_rows_get);
    assert_int_equal(GOT(6, lot_account)->allocated, 60);
}

static void pages(void **state) {
    (void)state;
    pg_exec(pg.sql, "INSERT INTO product SELECT g, 'p' FROM generate_series(1001, 1150) g");
    PUT(product_list, .cursor = 1000);
    PUT(product_list, .cursor = 1100);
    pg_ask(&pg);
    assert_int_equal(GOT(0, product_view)->product_id, 1001);
    assert_int_equal(GOT(100, rows_end)->next, 1100);
    assert_int_equal(GOT(101, product_view)->product_id, 1101);
    assert_int_equal(GOT(151, rows_end)->next, 0);
}

/* ---- Payments ---- */

enum { FIRST = 300 }; /* Orders, one per case. */

static void buy(int64_t order_id, uint32_t quantity) {
    pg_exec(pg.sql, "INSERT INTO stock_shard VALUES (0, 1) ON CONFLICT DO NOTHING");
    PUT(purchase, .rid = rid_make(0, 1, (uint64_t)order_id), .order_id = order_id,
        .user_id = order_id, .lot_id = LOT, .quantity = quantity, .kind = reserve_kind_ordinary,
        .address = text_of("x"), .now = NOW);
    pg_ask(&pg);
    assert_int_equal(GOT(0, decided)->outcome, outcome_accepted);
}

static void put_pay(int64_t payment_id, int64_t order_id) {
    PUT(payment_insert, .payment_id = payment_id, .order_id = order_id, .user_id = order_id,
        .provider = text_of("sandbox"), .now = NOW + S);
}

static enum pay_outcome tell(int64_t payment_id, int64_t amount, enum payment_state what) {
    char txn[32];
    snprintf(txn, sizeof txn, "t%lld", (long long)payment_id);
    PUT(payment_result, .payment_id = payment_id, .provider = text_of("sandbox"),
        .provider_txn = text_of(txn), .amount = { amount, "CNY" }, .state = what,
        .refund_id = payment_id + 5000, .now = NOW + 2 * S);
    pg_ask(&pg);
    return GOT(0, payment_settled)->outcome;
}

static int64_t order_state_of(int64_t order_id) {
    return pg_number(pg.sql, "SELECT state FROM orders WHERE order_id = %lld", (long long)order_id);
}

static void give_back(int64_t order_id, enum order_state to) {
    PUT(order_return, .order_id = order_id, .to = to, .now = NOW + 3600 * S);
    pg_ask(&pg);
    assert_int_equal(GOT(0, returned)->outcome, outcome_accepted);
}

static void assert_ledger(void) {
    assert_int_equal(pg_number(pg.sql, "SELECT coalesce(sum(amount), 0) FROM ledger"), 0);
    /* Captured minus sent back is nothing or the amount, for every order. */
    assert_int_equal(
        pg_number(pg.sql,
                  "SELECT count(*) FROM (SELECT l.order_id, sum(l.amount) s"
                  " FROM ledger l WHERE l.account <> 'sales' GROUP BY l.order_id) x JOIN orders o"
                  " USING (order_id) WHERE s NOT IN (0, o.price * o.quantity) AND NOT EXISTS"
                  " (SELECT FROM refund f WHERE f.order_id = x.order_id AND f.state = 1)"),
        0);
}

static void paid_once(void **state) {
    (void)state;
    buy(FIRST, 2);
    put_pay(1, FIRST);
    put_pay(2, FIRST); /* A repeat returns the open one. */
    PUT(payment_insert, .payment_id = 3, .order_id = FIRST, .user_id = 5,
        .provider = text_of("sandbox"), .now = NOW);
    PUT(payment_pending, .payment_id = 1, .provider_txn = text_of("t1"),
        .pay_url = text_of("http://pay/1"), .now = NOW + S);
    pg_ask(&pg);
    assert_int_equal(GOT(0, payment_row)->payment_id, 1);
    assert_int_equal(GOT(0, payment_row)->amount.amount, 3998);
    assert_int_equal(GOT(0, payment_row)->order_state, order_state_paying);
    assert_int_equal(GOT(0, payment_row)->todo, todo_prepay);
    assert_int_equal(GOT(1, payment_row)->payment_id, 1);
    assert_failed(2, PROBLEM_not_found);
    assert_int_equal(GOT(3, payment_row)->state, payment_state_pending);
    assert_true(text_is(GOT(3, payment_row)->pay_url, "http://pay/1"));
    assert_int_equal(tell(1, 1999, payment_state_succeeded), pay_outcome_mismatch);
    assert_int_equal(tell(77, 1999, payment_state_succeeded), pay_outcome_unmatched);
    assert_int_equal(order_state_of(FIRST), order_state_paying);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM ledger"), 0);
    assert_int_equal(tell(1, 3998, payment_state_succeeded), pay_outcome_paid);
    assert_int_equal(GOT(0, payment_settled)->order_id, FIRST);
    assert_int_equal(tell(1, 3998, payment_state_succeeded), pay_outcome_already);
    assert_int_equal(tell(1, 3998, payment_state_failed), pay_outcome_already);
    assert_int_equal(order_state_of(FIRST), order_state_paid);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM payment_event"), 3);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM outbox WHERE notice = 3"), 1);
    assert_ledger();
}

static void failed_then_again(void **state) {
    (void)state;
    buy(FIRST + 1, 1);
    put_pay(10, FIRST + 1);
    pg_ask(&pg);
    assert_int_equal(tell(10, 1999, payment_state_failed), pay_outcome_failed);
    put_pay(11, FIRST + 1);
    pg_ask(&pg);
    assert_int_equal(GOT(0, payment_row)->payment_id, 11);
    assert_int_equal(tell(11, 1999, payment_state_succeeded), pay_outcome_paid);
    /* The first was paid after all: one order, two payments. */
    assert_int_equal(tell(10, 1999, payment_state_succeeded), pay_outcome_second);
    assert_int_equal(GOT(0, payment_settled)->refund_id, 5010);
    assert_ledger();
    PUT(refund_result, .refund_id = 5010, .state = refund_state_succeeded, .now = NOW);
    PUT(refund_result, .refund_id = 5010, .state = refund_state_succeeded, .now = NOW);
    PUT(refund_insert, .payment_id = 11, .refund_id = 1, .now = NOW);
    pg_ask(&pg);
    assert_int_equal(GOT(0, done)->count, 1);
    assert_int_equal(GOT(1, done)->count, 0);
    assert_failed(2, PROBLEM_illegal_state);
    assert_ledger();
}

static void late_and_cancelled(void **state) {
    (void)state;
    for (int64_t id = FIRST + 2; id <= FIRST + 3; id++) {
        buy(id, 1);
        put_pay(id, id);
        pg_ask(&pg);
        give_back(id, id == FIRST + 2 ? order_state_expired : order_state_cancelled);
    }
    assert_int_equal(tell(FIRST + 2, 1999, payment_state_succeeded), pay_outcome_late);
    assert_int_equal(GOT(0, payment_settled)->quantity, 1);
    assert_int_equal(tell(FIRST + 3, 1999, payment_state_succeeded), pay_outcome_second);
    assert_int_equal(order_state_of(FIRST + 2), order_state_expired);
    assert_int_equal(order_state_of(FIRST + 3), order_state_cancelled);
    PUT(payments_due, .now = NOW + 100 * S, .older_than = NOW + 50 * S, .limit = 10);
    PUT(payments_due, .now = NOW + 101 * S, .older_than = NOW + 51 * S, .limit = 10);
    for (int i = 0; i < 2; i++)
        PUT(refund_insert, .payment_id = FIRST + 2, .refund_id = 90 + i, .now = NOW);
    pg_ask(&pg);
    assert_int_equal(GOT(0, payment_row)->payment_id, FIRST + 2);
    assert_int_equal(GOT(0, payment_row)->todo, todo_late);
    assert_int_equal(GOT(1, payment_row)->todo, todo_refund);
    assert_int_equal(GOT(1, payment_row)->refund_id, FIRST + 3 + 5000);
    assert_int_equal(GOT(2, rows_end)->count, 2);
    assert_int_equal(GOT(3, rows_end)->count, 0); /* Handed out a moment ago. */
    assert_int_equal(GOT(4, payment_row)->refund_id, 90);
    assert_int_equal(GOT(5, payment_row)->refund_id, 90);
    assert_ledger();
}

static void due(void **state) {
    (void)state;
    pg_exec(pg.sql, "UPDATE refund SET state = 2"); /* Of earlier tests. */
    buy(FIRST + 4, 1);
    put_pay(FIRST + 4, FIRST + 4);
    PUT(payments_due, .now = NOW + 100 * S, .older_than = NOW + 2 * S, .limit = 10);
    PUT(payment_unknown, .payment_id = FIRST + 4, .now = NOW + 101 * S);
    PUT(payments_due, .now = NOW + 200 * S, .older_than = NOW + 101 * S, .limit = 1);
    PUT(deadlines_load, .until = NOW + 61 * S, .limit = 10);
    PUT(deadlines_load, .until = NOW + 60 * S, .limit = 10);
    pg_ask(&pg);
    assert_int_equal(GOT(1, payment_row)->todo, todo_prepay);
    assert_int_equal(GOT(3, payment_row)->todo, todo_query);
    assert_int_equal(GOT(4, payment_row)->todo, todo_query);
    assert_int_equal(GOT(6, deadline_row)->id, FIRST + 4);
    assert_int_equal(GOT(6, deadline_row)->at, NOW + 60 * S);
    assert_int_equal(GOT(8, rows_end)->count, 0);
}

/* ---- Outbox, worker ids ---- */

static void outbox(void **state) {
    (void)state;
    pg_exec(pg.sql,
            "DELETE FROM outbox; INSERT INTO account SELECT g, 'u' || g || '@x', 'h', 1, 0,"
            " 0, NULL, now() FROM generate_series(%d, %d) g",
            FIRST + 10, FIRST + 12);
    for (int64_t id = FIRST + 10; id <= FIRST + 12; id++)
        PUT(purchase, .rid = rid_make(0, 1, (uint64_t)id), .order_id = id, .user_id = id,
            .lot_id = LOT, .quantity = 2, .kind = reserve_kind_ordinary, .address = text_of("x"),
            .now = NOW);
    PUT(outbox_take, .now = NOW, .lease_until = NOW + 60 * S, .limit = 2);
    PUT(outbox_take, .now = NOW, .lease_until = NOW + 60 * S, .limit = 10);
    PUT(outbox_take, .now = NOW + 59 * S, .lease_until = NOW + 90 * S, .limit = 10);
    pg_ask(&pg);
    assert_int_equal(GOT(3, outbox_row)->notice, notice_order_placed);
    assert_int_equal(GOT(3, outbox_row)->order_id, FIRST + 10);
    assert_true(text_is(GOT(3, outbox_row)->login, "u310@x"));
    assert_true(text_is(GOT(3, outbox_row)->title, "Lamp red"));
    assert_int_equal(GOT(3, outbox_row)->total.amount, 3998);
    assert_int_equal(GOT(5, rows_end)->count, 2);
    assert_int_equal(GOT(6, outbox_row)->order_id, FIRST + 12);
    assert_int_equal(GOT(8, rows_end)->count, 0);
    int64_t first = GOT(3, outbox_row)->outbox_id, second = GOT(4, outbox_row)->outbox_id;
    PUT(outbox_done, .outbox_id = first, .now = NOW);
    PUT(outbox_done, .outbox_id = second, .dead = 1, .now = NOW, .error = text_of("no such box"));
    PUT(outbox_retry, .outbox_id = GOT(6, outbox_row)->outbox_id, .next_at = NOW + 70 * S,
        .error = text_of("busy"));
    PUT(outbox_take, .now = NOW + 99 * S, .lease_until = NOW + 199 * S, .limit = 10);
    pg_ask(&pg);
    assert_int_equal(GOT(2, done)->count, 1);
    assert_int_equal(GOT(3, outbox_row)->attempts, 1);
    assert_int_equal(GOT(4, rows_end)->count, 1);
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM dead_letter WHERE reference = %lld",
                               (long long)second),
                     1);
}

/* Without mail the rows of a batch stay one row, and mail switched on later tells nothing old. */
static void outbox_is_put_aside(void **state) {
    (void)state;
    pg_exec(pg.sql,
            "DELETE FROM outbox; INSERT INTO account VALUES (%d, 'y@x', 'h', 1, 0, 0, NULL, now());"
            "INSERT INTO outbox (notice, user_id, orders, created_at, next_at) VALUES"
            " (1, %d, NULL, time_of(0), time_of(0)), (2, NULL, '{1,2,3}', time_of(0), time_of(0)),"
            " (5, %d, NULL, time_of(0), time_of(%lld))",
            FIRST + 30, FIRST + 30, FIRST + 30, (long long)(NOW / 1000 + 1));
    PUT(outbox_skip, .now = NOW, .limit = 10);
    PUT(outbox_skip, .now = NOW, .limit = 10);
    PUT(outbox_take, .now = NOW, .lease_until = NOW + 60 * S, .limit = 10);
    PUT(outbox_skip, .now = NOW + S, .limit = 10);
    pg_ask(&pg);
    assert_int_equal(GOT(0, done)->count, 2);
    assert_int_equal(GOT(1, done)->count, 0);
    assert_int_equal(GOT(2, rows_end)->count, 0);
    assert_int_equal(GOT(3, done)->count, 1); /* It was not due before. */
    assert_int_equal(pg_number(pg.sql, "SELECT count(*) FROM outbox WHERE error = 'mail is off'"),
                     3);
}

static void outbox_keeps_the_order_of_an_order(void **state) {
    long long us = (long long)(NOW / 1000);
    (void)state;
    pg_exec(pg.sql,
            "DELETE FROM outbox; INSERT INTO account VALUES (%d, 'x@x', 'h', 1, 0, 0, NULL, now());"
            "INSERT INTO outbox (notice, user_id, order_id, created_at, next_at, made) VALUES"
            /* Taken out of an older batch, which a clock that was ahead has dated. */
            " (5, %d, 9, time_of(%lld), time_of(0), NULL),"
            " (2, %d, 9, time_of(%lld), time_of(%lld), 0),"
            " (2, %d, 8, time_of(%lld), time_of(0), NULL),"
            " (1, %d, NULL, time_of(%lld), time_of(0), NULL)",
            FIRST + 20, FIRST + 20, us, FIRST + 20, us + 1, us + 9000000, FIRST + 20, us,
            FIRST + 20, us);
    PUT(outbox_take, .now = NOW + S, .lease_until = NOW + 2 * S, .limit = 10);
    pg_ask(&pg);
    assert_int_equal(GOT(0, outbox_row)->order_id, 8); /* 9 waits for its older one. */
    assert_int_equal(GOT(1, outbox_row)->order_id, 0);
    assert_int_equal(GOT(2, rows_end)->count, 2);
    pg_exec(pg.sql, "UPDATE outbox SET sent_at = now() WHERE notice <> 5");
    PUT(outbox_take, .now = NOW + 10 * S, .lease_until = NOW + 20 * S, .limit = 10);
    pg_ask(&pg);
    assert_int_equal(GOT(0, outbox_row)->notice, notice_order_expired);
}

/* Asks for a sale until the port is connected; false when it does not come to that. */
static bool connected(void) {
    for (int tries = 0; tries < 200; tries++) {
        ((struct sale_rows_get *)pg_put(&pg, MSG_sale_rows_get))->sale_id = 1;
        pg_ask(&pg);
        if (pg.out.items[0].head.type != MSG_failed) return true;
        pg_turn(&pg, 20);
    }
    return false;
}

/* A server that keeps the connection and says nothing: the question is answered all the same. */
static void silence_ends(void **state) {
    (void)state;
    struct port_setup setup = { .config = &pg.config, .self = PORT_pg_shop };
    pg_port.close(pg.port);
    pg.config.pg_answer_timeout = INT64_C(300000000);
    pg.port = pg_port.open(&setup);
    assert_true(connected());
    pg_exec(pg.sql, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    int64_t before = clock_mono();
    ((struct order_find *)pg_put(&pg, MSG_order_find))->order_id = 1;
    pg_ask(&pg);
    assert_failed(0, PROBLEM_unavailable);
    assert_true(clock_mono() - before > INT64_C(200000000)); /* It had been asked. */
    pg_exec(pg.sql, "COMMIT");
    assert_true(connected());
}

/* A statement that waits for a lock holds up nobody else, and no answer is lost or doubled. */
static void one_waits_others_go_on(void **state) {
    (void)state;
    struct port_setup setup = { .config = &pg.config, .self = PORT_pg_shop };
    pg_port.close(pg.port);
    pg.config.pg_shop_connections = 3;
    pg.config.pg_answer_timeout = 30 * S;
    pg.port = pg_port.open(&setup);
    int64_t end = clock_mono() + 10 * S;
    while (!ready_all() && clock_mono() < end)
        pg_turn(&pg, 20);
    pg_exec(pg.sql, "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    batch_reset(&pg.out);
    PUT(order_find, .order_id = 1);
    pg_send(&pg);
    for (int i = 0; i < 20; i++)
        PUT(stock_show, .sku_id = 999999);
    pg_send(&pg);
    end = clock_mono() + 10 * S;
    while (pg.out.count < 20 && clock_mono() < end)
        pg_turn(&pg, 20);
    assert_int_equal(pg.out.count, 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(GOT(i, failed)->what, MSG_stock_show);
    pg_exec(pg.sql, "COMMIT");
    end = clock_mono() + 10 * S;
    while (pg.out.count < 21 && clock_mono() < end)
        pg_turn(&pg, 20);
    for (int i = 0; i < 5; i++)
        pg_turn(&pg, 10);
    assert_int_equal(pg.out.count, 21);
    assert_int_equal(GOT(20, failed)->what, MSG_order_find);
}

static void workers(void **state) {
    (void)state;
    PUT(worker_lease, .worker = -1, .holder = text_of("a"), .now = NOW, .until = NOW + S);
    PUT(worker_lease, .worker = -1, .holder = text_of("b"), .now = NOW, .until = NOW + S);
    PUT(worker_lease, .worker = -1, .holder = text_of("a"), .now = NOW, .until = NOW + 2 * S);
    PUT(worker_lease, .worker = 0, .holder = text_of("c"), .now = NOW + S, .until = NOW + 2 * S);
    PUT(worker_lease, .worker = 1, .holder = text_of("c"), .now = NOW + S, .until = NOW + 2 * S);
    pg_ask(&pg);
    assert_int_equal(GOT(0, worker_leased)->worker, 0);
    assert_int_equal(GOT(1, worker_leased)->worker, 1);
    assert_int_equal(GOT(2, worker_leased)->worker, 0);
    assert_failed(3, PROBLEM_unavailable);
    assert_int_equal(GOT(4, worker_leased)->worker, 1);
}

static int open_pg(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_shop");
    return 0;
}

static int close_pg(void **state) {
    (void)state;
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_prepares),
        cmocka_unit_test(accounts),
        cmocka_unit_test(sessions),
        cmocka_unit_test(sessions_end),
        cmocka_unit_test(catalogue),
        cmocka_unit_test(sale_moves),
        cmocka_unit_test(pages),
        cmocka_unit_test(paid_once),
        cmocka_unit_test(failed_then_again),
        cmocka_unit_test(late_and_cancelled),
        cmocka_unit_test(due),
        cmocka_unit_test(outbox),
        cmocka_unit_test(outbox_is_put_aside),
        cmocka_unit_test(outbox_keeps_the_order_of_an_order),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(workers),
        cmocka_unit_test(one_waits_others_go_on),
    };
    return cmocka_run_group_tests(tests, open_pg, close_pg);
}
