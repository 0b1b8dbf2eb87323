/* The simulator's PostgreSQL is asked the same as the real one, from a seed and step by step: the
 * same answers, field by field, and the same tables afterwards.  PG_MODEL_SEED=n runs one seed.
 *
 * What may differ, and why; anything else is a bug of one of them:
 *   - `field`, `detail` of failed: sentences for people, whom the simulator does not have.
 *   - the order of answers to a batch: each names its request.  The order of recovered rows, and so
 *     `row`: the SQL promises none among lots.
 *   - `outbox_id`: an identity, which also counts what was rolled back.  Rows are matched by order
 *     and notice, and a take is never cut short: which rows it would leave is not promised. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/clock.h"
#include "schema/id.h"
#include "tests/lib/pg_harness.h"
#include "tests/sim/draw.h"
#include "tests/sim/model_pg.h"

#define S      INT64_C(1000000000)
#define START  (INT64_C(1800000000) * S)
#define BUDGET (10 * S)
enum { STEPS = 150, SEEDS_LEAST = 6, USERS = 5, LOTS = 3, ORDERS = 24, PAYS = 14, RIDS = 60 };
enum { ROOM = 4096, LINES_MAX = 2048, NOTICES_MAX = 4096 };

static struct pg_harness pg;
static struct model_pg model;
static struct batch said;
static struct draw draw;
static int64_t now;
static uint64_t seed, step, runs, asked, answers, seen[16];
static struct pair { int64_t real, model; } notices[NOTICES_MAX];
static uint32_t notice_count;

static const int64_t lot_ids[] = { 11, 12, 13 };
static const uint32_t lot_shard[] = { 0, 0, 1 };

static uint32_t below(uint32_t n) {
    return draw_below(&draw, n);
}

/* ---- The stage ---- */

static void fresh_real(void) {
    static const char *const logs[] = { "stock_movement", "order_event", "sale_event",
                                        "payment_event",  "ledger",      "refusal" };
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
        pg_exec(pg.sql,
                "ALTER TABLE %s DISABLE TRIGGER append_only; TRUNCATE %s CASCADE;"
                "ALTER TABLE %s ENABLE TRIGGER append_only",
                logs[i], logs[i], logs[i]);
    pg_exec(pg.sql,
            "TRUNCATE account, orders, payment, refund, outbox, lot, sale, stock_shard, sku,"
            " product, general_stock, dead_letter CASCADE;"
            "INSERT INTO product VALUES (1, 'Lamp');"
            "INSERT INTO sku VALUES (3, 1, 'red'), (4, 1, 'red');"
            "INSERT INTO general_stock VALUES (3, 5), (4, 0);"
            "INSERT INTO sale VALUES (21, 'Night', 5, 'epoch', '2030-01-01', 60000000),"
            " (22, 'Night', 6, 'epoch', '2030-01-01', 60000000);"
            "INSERT INTO stock_shard VALUES (0, 5), (1, 2);"
            "INSERT INTO lot VALUES (11, 21, 3, 0, 2, 9, 0, 1, 1999, 'CNY', 7, 3, 60000000, 0),"
            " (12, 21, 4, 0, 2, 4, 0, 1, 500, 'CNY', 1, 1, 60000000, 0),"
            " (13, 22, 4, 1, 3, 6, 0, 1, 700, 'CNY', 2, 2, 60000000, 1::bigint << 56)");
    pg_exec(pg.sql,
            "INSERT INTO account SELECT g, 'u' || g || '@here', 'x', 1, 0, 0, NULL, now()"
            " FROM generate_series(1, %d) g",
            USERS + 1);
}

static void fresh_model(void) {
    const int64_t end = INT64_C(1893456000) * S; /* 2030 */
    model_pg_fini(&model);
    model_pg_init(&model);
    model.shards[0].epoch = 5;
    model.shards[1].epoch = 2;
    model.stocks[0] = (struct pg_stock){ .sku_id = 3, .on_hand = 5 };
    model.stocks[1] = (struct pg_stock){ .sku_id = 4 };
    model.stock_count = 2;
    model.sales[0] = (struct pg_sale){ 21, 0, end, 60 * S, 1, sale_state_open };
    model.sales[1] = (struct pg_sale){ 22, 0, end, 60 * S, 1, sale_state_paused };
    model.sale_count = 2;
    static const struct pg_lot lots[LOTS] = {
        { .lot_id = 11,
          .sale_id = 21,
          .sku_id = 3,
          .allocated = 9,
          .price = 1999,
          .limit = 3,
          .pay_window = 60 * S,
          .version = 1,
          .state = lot_state_open,
          .price_version = 7 },
        { .lot_id = 12,
          .sale_id = 21,
          .sku_id = 4,
          .allocated = 4,
          .price = 500,
          .limit = 1,
          .pay_window = 60 * S,
          .version = 1,
          .state = lot_state_open,
          .price_version = 1 },
        { .lot_id = 13,
          .sale_id = 22,
          .sku_id = 4,
          .allocated = 6,
          .price = 700,
          .limit = 2,
          .pay_window = 60 * S,
          .version = 1,
          .state = lot_state_paused,
          .price_version = 2,
          .shard = 1,
          .rid_after = INT64_C(1) << 56 },
    };
    memcpy(model.lots, lots, sizeof lots);
    model.lot_count = LOTS;
}

/* ---- Asking both, comparing ---- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The answer as a line without what may differ. */
static char *line_of(const struct message *message) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    union {
        struct failed failed;
        struct recovered recovered;
        struct outbox_row row;
    } copy;
    const void *body = message->body;
    if (message->head.type == MSG_failed) {
        copy.failed = *BODY(message, failed);
        copy.failed.field = copy.failed.detail = (struct text){ 0 };
        body = &copy;
    } else if (message->head.type == MSG_recovered) {
        copy.recovered = *BODY(message, recovered);
        copy.recovered.row = 0;
        body = &copy;
    } else if (message->head.type == MSG_outbox_row) {
        copy.row = *BODY(message, outbox_row);
        copy.row.outbox_id = 0;
        body = &copy;
    }
    fprintf(to, "%u ", (unsigned)message->head.request);
    message_print(to, message_type((enum message_id)message->head.type), body);
    fclose(to);
    return text;
}

static void tell_both(char **real, uint32_t reals, char **mine, uint32_t mines) {
    for (uint32_t i = 0; i < reals; i++)
        fprintf(stderr, "  real  %s\n", real[i]);
    for (uint32_t i = 0; i < mines; i++)
        fprintf(stderr, "  model %s\n", mine[i]);
    fprintf(stderr, "again: PG_MODEL_SEED=%llu, step %llu\n", (unsigned long long)seed,
            (unsigned long long)step);
}

static void compare(char **real, uint32_t reals, char **mine, uint32_t mines) {
    qsort(real, reals, sizeof *real, by_text);
    qsort(mine, mines, sizeof *mine, by_text);
    bool same = reals == mines;
    for (uint32_t i = 0; same && i < reals; i++)
        same = strcmp(real[i], mine[i]) == 0;
    if (!same) tell_both(real, reals, mine, mines);
    assert_true(same);
}

/* Rows of the outbox that are the same message have two numbers. */
static void match_notices(void) {
    for (uint32_t i = 0; i < pg.out.count; i++) {
        if (pg.out.items[i].head.type != MSG_outbox_row) continue;
        const struct outbox_row *real = BODY(&pg.out.items[i], outbox_row);
        uint32_t nth = 0;
        for (uint32_t k = 0; k < i; k++) {
            const struct outbox_row *other = BODY(&pg.out.items[k], outbox_row);
            nth += other->order_id == real->order_id && other->notice == real->notice;
        }
        for (uint32_t k = 0; k < said.count; k++) {
            if (said.items[k].head.type != MSG_outbox_row) continue;
            const struct outbox_row *mine = BODY(&said.items[k], outbox_row);
            if (mine->order_id != real->order_id || mine->notice != real->notice) continue;
            if (nth-- > 0) continue;
            assert_true(notice_count < NOTICES_MAX);
            notices[notice_count++] = (struct pair){ real->outbox_id, mine->outbox_id };
            break;
        }
    }
}

static void note_outcomes(void) {
    for (uint32_t i = 0; i < said.count; i++) {
        const struct message *row = &said.items[i];
        if (row->head.type == MSG_decided) seen[BODY(row, decided)->outcome]++;
        if (row->head.type == MSG_payment_settled) seen[5 + BODY(row, payment_settled)->outcome]++;
        if (row->head.type == MSG_failed) seen[13]++;
        if (row->head.type == MSG_recovered) seen[14]++;
    }
}

static void ask_both(void) {
    static char *real[LINES_MAX], *mine[LINES_MAX];
    struct outbox out = batch_outbox(&said, PORT_pg_shop, 0, ROOM);
    struct message in[PG_BATCH_MAX];
    uint32_t count = pg.in.count;
    assert_true(count > 0 && count <= PG_BATCH_MAX);
    batch_reset(&said);
    for (uint32_t i = 0; i < count; i++)
        pg.in.items[i].head.request = i + 1;
    memcpy(in, pg.in.items, count * sizeof *in);
    assert_int_equal(model_pg_range(in, count), count);
    model_pg_run(&model, in, count, &out);
    pg_ask(&pg);
    uint32_t reals = pg.out.count, mines = said.count;
    assert_true(reals < LINES_MAX && mines < LINES_MAX);
    for (uint32_t i = 0; i < reals; i++)
        real[i] = line_of(&pg.out.items[i]);
    for (uint32_t i = 0; i < mines; i++)
        mine[i] = line_of(&said.items[i]);
    compare(real, reals, mine, mines);
    match_notices();
    note_outcomes();
    asked += count;
    answers += reals;
    for (uint32_t i = 0; i < reals; i++)
        free(real[i]);
    for (uint32_t i = 0; i < mines; i++)
        free(mine[i]);
}

/* ---- The tables ---- */

static const char tables[] =
    "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
    "SELECT concat_ws(' ', 'order', order_id, rid, user_id, lot_id, price, us_of(created_at),"
    " us_of(pay_by), state, quantity, address) AS line FROM orders UNION ALL "
    "SELECT concat_ws(' ', 'refusal', rid, order_id, user_id, lot_id, quantity, reason)"
    " FROM refusal UNION ALL "
    "SELECT concat_ws(' ', 'lot', lot_id, allocated, sold, state, version) FROM lot UNION ALL "
    "SELECT concat_ws(' ', 'sale', sale_id, state, version) FROM sale UNION ALL "
    "SELECT concat_ws(' ', 'stock', sku_id, on_hand) FROM general_stock UNION ALL "
    "SELECT concat_ws(' ', 'shard', shard, epoch, boot, run_id) FROM stock_shard UNION ALL "
    "SELECT concat_ws(' ', 'payment', payment_id, order_id, state, todo, amount, us_of(touched_at),"
    " coalesce(us_of(rests_until), 0), asked, coalesce(provider_txn, '-'), (SELECT"
    " coalesce(sum(l.amount), 0) FROM ledger l WHERE l.payment_id = p.payment_id"
    " AND l.account <> 'sales')) FROM payment p UNION ALL "
    "SELECT concat_ws(' ', 'refund', refund_id, payment_id, state, amount, us_of(touched_at))"
    " FROM refund) t";

static void put(char **lines, uint32_t *count, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put(char **lines, uint32_t *count, const char *format, ...) {
    va_list args;
    va_start(args, format);
    assert_true(*count < LINES_MAX && vasprintf(&lines[*count], format, args) >= 0);
    va_end(args);
    ++*count;
}

typedef long long ll;
static uint32_t model_sale_lines(char **lines) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < model.lot_count; i++) {
        const struct pg_lot *l = &model.lots[i];
        put(lines, &n, "lot %lld %lld %lld %d %lld", (ll)l->lot_id, (ll)l->allocated, (ll)l->sold,
            (int)l->state, (ll)l->version);
    }
    for (uint32_t i = 0; i < model.sale_count; i++)
        put(lines, &n, "sale %lld %d %lld", (ll)model.sales[i].sale_id, (int)model.sales[i].state,
            (ll)model.sales[i].version);
    for (uint32_t i = 0; i < model.stock_count; i++)
        put(lines, &n, "stock %lld %lld", (ll)model.stocks[i].sku_id, (ll)model.stocks[i].on_hand);
    for (uint32_t i = 0; i < PG_SHARDS_MAX; i++)
        if (model.shards[i].epoch != 0)
            put(lines, &n, "shard %u %u %lld %s", i, model.shards[i].epoch,
                (ll)model.shards[i].boot, model.shards[i].run_id);
    return n;
}

static uint32_t model_lines(char **lines) {
    uint32_t n = model_sale_lines(lines);
    for (uint32_t i = 0; i < model.order_count; i++) {
        const struct pg_order *o = &model.orders[i];
        put(lines, &n, "order %lld %lld %lld %lld %lld %lld %lld %d %u %s", (ll)o->order_id,
            (ll)o->rid, (ll)o->user_id, (ll)o->lot_id, (ll)o->price, (ll)o->created_at / 1000,
            (ll)o->pay_by / 1000, (int)o->state, o->quantity, o->address);
    }
    for (uint32_t i = 0; i < model.refusal_count; i++) {
        const struct pg_refusal *r = &model.refusals[i];
        put(lines, &n, "refusal %lld %lld %lld %lld %u %d", (ll)r->rid, (ll)r->order_id,
            (ll)r->user_id, (ll)r->lot_id, r->quantity, (int)r->reason);
    }
    for (uint32_t i = 0; i < model.payment_count; i++) {
        const struct pg_payment *p = &model.payments[i];
        put(lines, &n, "payment %lld %lld %d %d %lld %lld %lld %u %s %lld", (ll)p->payment_id,
            (ll)p->order_id, (int)p->state, (int)p->todo, (ll)p->amount, (ll)p->touched_at / 1000,
            (ll)p->rests_until / 1000, p->asked, p->txn[0] != 0 ? p->txn : "-", (ll)p->captured);
    }
    for (uint32_t i = 0; i < model.refund_count; i++) {
        const struct pg_refund *r = &model.refunds[i];
        put(lines, &n, "refund %lld %lld %d %lld %lld", (ll)r->refund_id, (ll)r->payment_id,
            (int)r->state, (ll)r->amount, (ll)r->touched_at / 1000);
    }
    return n;
}

static void same_tables(void) {
    static char *real[LINES_MAX], *mine[LINES_MAX];
    PGresult *result = PQexec(pg.sql, tables);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    uint32_t reals = 0, mines = model_lines(mine);
    char *rest = NULL;
    for (char *at = strtok_r(PQgetvalue(result, 0, 0), "\n", &rest); at != NULL;
         at = strtok_r(NULL, "\n", &rest))
        real[reals++] = at;
    compare(real, reals, mine, mines);
    PQclear(result);
    for (uint32_t i = 0; i < mines; i++)
        free(mine[i]);
}

/* ---- What is asked ---- */

#define PUT(name, ...) (*(struct name *)pg_put(&pg, MSG_##name) = (struct name){ __VA_ARGS__ })

/* Few numbers, so that all meet again. */
static int64_t any_rid(void) {
    uint32_t shard = below(20) == 0 ? below(4) : below(4) == 0;
    uint32_t epoch = model.shards[shard].epoch;
    if (below(8) == 0) epoch = below(2) == 0 || epoch == 0 ? epoch + 1 : epoch - 1;
    return rid_make(shard, epoch, 1 + below(RIDS));
}

static int64_t any_order(void) {
    return 1000 + below(ORDERS);
}

static void ask_purchase(void) {
    static uint64_t fresh = 1000;
    static const char *const homes[] = { "{\"home\":1}", "{\"home\":2}" };
    uint32_t rows = 1 + below(below(4) == 0 ? 12 : 4);
    bool usual = below(3) != 0;
    for (uint32_t i = 0; i < rows; i++) {
        struct purchase *want = pg_put(&pg, MSG_purchase);
        int64_t order_id = any_order();
        uint32_t lot = (uint32_t)(order_id % LOTS);
        *want = (struct purchase){ .order_id = order_id,
                                   .user_id = 1 + order_id % USERS,
                                   .lot_id = lot_ids[lot],
                                   .quantity = 1 + (order_id % 5 == 0),
                                   .kind = reserve_kind_ordinary,
                                   .address = text_of(homes[0]),
                                   .now = usual ? now : now + i * 900 };
        uint32_t shard = lot_shard[lot];
        want->rid = rid_make(shard, model.shards[shard].epoch, ++fresh);
        if (usual) continue;
        if (below(4) == 0) want->rid = any_rid();
        const struct pg_order *known = model_pg_order(&model, order_id);
        if (known != NULL && below(4) == 0) want->rid = known->rid;
        if (below(12) == 0) want->user_id = 1 + below(USERS);
        if (below(12) == 0) want->quantity = 1 + below(4);
        if (below(16) == 0) want->lot_id = 11 + below(4);
        if (below(12) == 0) want->address = text_of(homes[1]);
        if (below(6) == 0) want->price_version = 1 + below(8);
        if (below(3) == 0) want->kind = below(3) == 0 ? reserve_kind_pull : reserve_kind_late;
    }
}

static void ask_return(void) {
    for (uint32_t rows = 1 + below(5); rows > 0; rows--) {
        struct order_return *want = pg_put(&pg, MSG_order_return);
        static const enum order_state to[] = { order_state_cancelled, order_state_expired,
                                               order_state_expired, order_state_refunded };
        *want = (struct order_return){ .order_id = any_order(), .to = to[below(4)], .now = now };
        uint32_t shard = lot_shard[want->order_id % LOTS];
        want->shard = shard;
        if (below(2) == 0) want->epoch = model.shards[shard].epoch - (below(4) == 0);
        if (below(8) == 0) want->shard = below(2);
        if (below(6) == 0) want->user_id = 1 + below(USERS);
        if (below(4) == 0) want->now = now + 61 * S;
    }
}

static void ask_money(void) {
    int64_t id = 5000 + below(PAYS);
    static const char *const ways[] = { "sandbox", "sandbox", "sandbox", "other" };
    if (below(2) == 0) {
        struct payment_insert *want = pg_put(&pg, MSG_payment_insert);
        *want = (struct payment_insert){
            .payment_id = id, .order_id = any_order(), .provider = text_of("sandbox"), .now = now
        };
        want->user_id = below(8) == 0 ? 1 : 1 + want->order_id % USERS;
    } else {
        struct payment_result *want = pg_put(&pg, MSG_payment_result);
        const struct pg_payment *found = NULL;
        for (uint32_t i = 0; i < model.payment_count; i++)
            if (model.payments[i].payment_id == id) found = &model.payments[i];
        for (uint32_t i = 0; below(2) == 0 && i < model.payment_count; i++) { /* Late money. */
            const struct pg_order *order = model_pg_order(&model, model.payments[i].order_id);
            if (order->state == order_state_expired) found = &model.payments[i];
        }
        if (found != NULL) id = found->payment_id;
        static char txn[16];
        snprintf(txn, sizeof txn, "t%lld", (ll)(below(12) == 0 ? 5000 + below(PAYS) : id));
        *want = (struct payment_result){ .payment_id = id,
                                         .provider = text_of(ways[below(4)]),
                                         .provider_txn = text_of(txn),
                                         .event_id = text_of("e"),
                                         .refund_id = 7000 + id,
                                         .now = now };
        want->state = below(4) == 0 ? payment_state_failed : payment_state_succeeded;
        if (found != NULL && below(4) == 0) want->order_id = found->order_id;
        if (below(16) == 0) want->order_id = any_order();
        want->amount = (struct money){ found != NULL ? found->amount : 1, "CNY" };
        if (below(10) == 0) want->amount.amount = below(3000);
        if (below(16) == 0) memcpy(want->amount.currency, "USD", 4);
    }
}

static void ask_money_on(void) {
    int64_t id = 5000 + below(PAYS);
    static char txn[16];
    snprintf(txn, sizeof txn, "t%lld", (ll)id);
    switch (below(5)) {
    case 0:
        PUT(payment_pending, .payment_id = id, .provider_txn = text_of(txn),
            .pay_url = text_of("https://pay"), .now = now);
        return;
    case 1: PUT(payment_unknown, .payment_id = id, .now = now); return;
    case 2: PUT(refund_insert, .payment_id = id, .refund_id = 9000 + id, .now = now); return;
    case 3:
        PUT(refund_result, .refund_id = (below(2) == 0 ? 7000 : 9000) + id,
            .state = below(3) == 0 ? refund_state_failed : refund_state_succeeded, .now = now);
        return;
    default:
        PUT(payments_due, .now = now, .older_than = now - (int64_t)below(40) * S, .limit = 1000);
        return;
    }
}

static void ask_find(void) {
    struct order_find *find = pg_put(&pg, MSG_order_find);
    find->order_id = any_order();
    if (below(2) == 0) find->user_id = 1 + below(USERS);
    if (below(2) == 0) find->rid = any_rid();
    if (model.refusal_count > 0 && below(4) == 0) {
        const struct pg_refusal *one = &model.refusals[below(model.refusal_count)];
        find->order_id = one->order_id;
        if (find->rid != 0) find->rid = one->rid;
    }
}

static void ask_read(void) {
    switch (below(4)) {
    case 0:
        PUT(deadlines_load, .after = now - 60 * S, .until = now + (int64_t)below(70) * S,
            .limit = 1 + below(6), .shard = below(2));
        return;
    case 1:
        PUT(order_rows_get, .user_id = 1 + below(USERS), .before = any_order(),
            .limit = 1 + below(5));
        return;
    default: ask_find(); return;
    }
}

static void ask_shard(void) {
    if (below(3) == 0) {
        ((struct shard_get *)pg_put(&pg, MSG_shard_get))->shard = below(3);
        return;
    }
    PUT(shard_recover, .shard = below(12) == 0 ? 2 : below(2), .redis_epoch = 1 + below(40),
        .run_id = text_of("run"), .boot = 1 + below(1000));
}

static void ask_shop(void) {
    static const enum sale_state ways[] = { sale_state_open, sale_state_paused, sale_state_open,
                                            sale_state_closed, sale_state_draining };
    int64_t sale_id = 21 + below(20) / 9;
    switch (below(5)) {
    case 0: PUT(sale_settle, .sale_id = sale_id, .now = now); return;
    case 1:
        PUT(sale_move, .sale_id = sale_id, .to = ways[below(step < STEPS / 2 ? 3 : 5)], .now = now);
        return;
    case 2: PUT(lot_rows_get, .sale_id = 21); return;
    case 3: PUT(sale_rows_get, .sale_id = 0); return;
    default: PUT(stock_show, .sku_id = 3 + below(3)); return;
    }
}

/* Both hear the number they know a message by. */
static void ask_about_notice(void) {
    const struct pair *one = &notices[below(notice_count)];
    struct outbox out = batch_outbox(&said, PORT_pg_shop, 0, ROOM);
    struct outbox_done done = { .outbox_id = one->model, .dead = below(4) == 0, .now = now };
    struct outbox_retry retry = { .outbox_id = one->model, .next_at = now + 5 * S };
    bool again = below(3) == 0;
    struct message in = { .head = { .type = again ? MSG_outbox_retry : MSG_outbox_done },
                          .body = again ? (void *)&retry : (void *)&done };
    batch_reset(&said);
    model_pg_run(&model, &in, 1, &out);
    done.outbox_id = retry.outbox_id = one->real;
    if (again)
        *(struct outbox_retry *)pg_put(&pg, MSG_outbox_retry) = retry;
    else
        *(struct outbox_done *)pg_put(&pg, MSG_outbox_done) = done;
    pg_ask(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, done)->count, BODY(&said.items[0], done)->count);
}

static void ask_mail(void) {
    if (notice_count > 0 && below(3) != 0) {
        ask_about_notice();
        return;
    }
    PUT(outbox_take, .now = now, .lease_until = now + 8 * S, .limit = 1000);
    ask_both();
}

static void one_step(void) {
    static void (*const asks[])(void) = { ask_purchase, ask_purchase, ask_purchase, ask_return,
                                          ask_money,    ask_money,    ask_money_on, ask_read,
                                          ask_read,     ask_shard,    ask_shop };
    uint32_t which = below(13);
    now += below(6) * S + below(5000);
    if (which >= 11) {
        ask_mail();
        return;
    }
    asks[which]();
    ask_both();
}

static void run(uint64_t number) {
    seed = number;
    draw = draw_make(seed, 1);
    now = START;
    notice_count = 0;
    fresh_real();
    fresh_model();
    for (step = 0; step < STEPS; step++) {
        one_step();
        if (step % 10 == 9) same_tables();
    }
}

static bool all_seen(void) {
    for (size_t i = 1; i < 15; i++)
        if (seen[i] == 0) return false;
    return true;
}

static void same_answers(void **state) {
    (void)state;
    const char *only = getenv("PG_MODEL_SEED");
    int64_t begun = clock_mono();
    if (only != NULL) {
        run(strtoull(only, NULL, 10));
        return;
    }
    do
        run(++runs);
    while (runs < SEEDS_LEAST || clock_mono() - begun < BUDGET || (!all_seen() && runs < 60));
    print_message("%llu seeds, %llu requests, %llu answers compared\n", (unsigned long long)runs,
                  (unsigned long long)asked, (unsigned long long)answers);
    /* All that can happen has happened: five outcomes, seven of payments, refusals, recoveries. */
    assert_true(all_seen());
}

static int open_both(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_model");
    model_pg_init(&model);
    batch_init(&said);
    return 0;
}

static int close_both(void **state) {
    (void)state;
    pg_harness_close(&pg);
    model_pg_fini(&model);
    batch_fini(&said);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(same_answers) };
    return cmocka_run_group_tests(tests, open_both, close_both);
}
