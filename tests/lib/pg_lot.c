#include "tests/lib/pg_lot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/id.h"

struct pg_harness pg;
static uint64_t seq;

int64_t next_rid(void) {
    return rid_make(0, EPOCH, ++seq);
}

void fresh_lot(int64_t units, int limit) {
    seq = 0;
    pg_exec(pg.sql,
            "TRUNCATE orders, payment, refund, outbox, lot, sale, stock_shard, sku, product,"
            " general_stock CASCADE");
    pg_exec(pg.sql, "ALTER TABLE refusal DISABLE TRIGGER append_only;"
                    "ALTER TABLE stock_movement DISABLE TRIGGER append_only;"
                    "ALTER TABLE order_event DISABLE TRIGGER append_only;"
                    "TRUNCATE refusal, stock_movement, order_event;"
                    "ALTER TABLE refusal ENABLE TRIGGER append_only;"
                    "ALTER TABLE stock_movement ENABLE TRIGGER append_only;"
                    "ALTER TABLE order_event ENABLE TRIGGER append_only");
    pg_exec(pg.sql,
            "INSERT INTO product VALUES (1, 'Lamp');"
            "INSERT INTO sku VALUES (%d, 1, 'red'); INSERT INTO general_stock VALUES (%d, 0);"
            "INSERT INTO sale VALUES (%d, 'Night', 5, 'epoch', 'now', 60000000);"
            "INSERT INTO stock_shard VALUES (0, %d)",
            SKU, SKU, SALE, EPOCH);
    pg_exec(pg.sql,
            "INSERT INTO lot VALUES (%d, %d, %d, 0, 2, %lld, 0, 1, 1999, 'CNY', 7, %d,"
            " 60000000, 0)",
            LOT, SALE, SKU, (long long)units, limit);
}

struct purchase *put_purchase(int64_t rid, int64_t order_id, int64_t user_id, uint32_t quantity) {
    struct purchase *want = pg_put(&pg, MSG_purchase);
    *want = (struct purchase){ .rid = rid,
                               .order_id = order_id,
                               .user_id = user_id,
                               .lot_id = LOT,
                               .quantity = quantity,
                               .kind = reserve_kind_ordinary,
                               .price_version = 7,
                               .address = text_of(HOME),
                               .now = NOW };
    return want;
}

struct order_return *put_return(int64_t order_id, enum order_state to, int64_t now) {
    struct order_return *want = pg_put(&pg, MSG_order_return);
    *want = (struct order_return){ .order_id = order_id, .to = to, .now = now };
    return want;
}

const struct decided *decided(uint32_t n) {
    return PG_ANSWER(&pg, n, decided);
}
const struct returned *returned(uint32_t n) {
    return PG_ANSWER(&pg, n, returned);
}

void assert_refused(uint32_t n, enum problem reason) {
    assert_int_equal(decided(n)->outcome, outcome_refused);
    assert_int_equal(decided(n)->reason, reason);
}

void assert_account(void) {
    assert_int_equal(pg_number(pg.sql,
                               "SELECT count(*) FROM lot l WHERE sold <> (SELECT"
                               " coalesce(sum(quantity), 0) FROM orders o WHERE o.lot_id = l.lot_id"
                               " AND holds_units(o.state))"),
                     0);
    assert_int_equal(
        pg_number(pg.sql,
                  "SELECT count(*) FROM lot l WHERE sold <> (SELECT"
                  " coalesce(sum(change), 0) FROM stock_movement m WHERE m.lot_id = l.lot_id"
                  " AND m.counter = 'sold')"),
        0);
}
