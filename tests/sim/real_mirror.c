/* What is committed, read into the model's rows.  Rows keep their places, and new ones come behind
 * them: in the order of the commits, as the checkers expect it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/real.h"

enum { NUMBERS = 13, COLUMNS = NUMBERS + 3 };

struct mirror {
    char snapshot[256];            /* What had been committed when it was read last. */
    int64_t received[PG_SKUS_MAX]; /* Of each SKU, before the run. */
    bool begun;
    int64_t *made; /* Of each notice: the number it was written under. */
    uint32_t made_room;
};

/* kind, thirteen numbers, two texts; nothing when the snapshot is still $1. */
static const char query[] =
    "WITH now AS MATERIALIZED (SELECT pg_current_snapshot()::text AS at), rows AS ("
    "SELECT 1, shard::bigint AS a, epoch AS b, boot AS c, 0::bigint AS d, 0::bigint AS e,"
    " 0::bigint AS f, 0::bigint AS g, 0::bigint AS h, 0::bigint AS i, 0::bigint AS j,"
    " 0::bigint AS k, 0::bigint AS l, 0::bigint AS m, run_id AS s, '' AS t FROM stock_shard"
    " UNION ALL SELECT 2, lot_id, sale_id, sku_id, allocated, sold, price, pay_window_us, version,"
    " rid_after, state, per_buyer_limit, price_version, shard, '', '' FROM lot"
    " UNION ALL SELECT 3, sale_id, us_of(opens_at), us_of(closes_at), pay_window_us, version,"
    " state, 0, 0, 0, 0, 0, 0, 0, '', '' FROM sale"
    " UNION ALL SELECT 4, sku_id, on_hand, coalesce((SELECT sum(change) FROM stock_movement m"
    " WHERE m.sku_id = g.sku_id AND reason = 'receive'), 0)::bigint, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
    " 0, '', '' FROM general_stock g"
    " UNION ALL SELECT 5, rid, order_id, user_id, lot_id, price, us_of(created_at), us_of(pay_by),"
    " state, quantity, 0, 0, 0, 0, address, '' FROM orders"
    " UNION ALL SELECT 6, rid, order_id, user_id, lot_id, quantity, reason, 0, 0, 0, 0, 0, 0, 0,"
    " '', '' FROM refusal"
    " UNION ALL SELECT 7, payment_id, order_id, user_id, amount, us_of(touched_at), state, todo,"
    " coalesce(us_of(rests_until), 0), asked, (SELECT coalesce(sum(l.amount), 0)::bigint"
    " FROM ledger l WHERE l.payment_id = p.payment_id AND l.account <> 'sales'), 0, 0, 0,"
    " provider, coalesce(provider_txn, '') FROM payment p"
    " UNION ALL SELECT 8, refund_id, payment_id, order_id, amount, us_of(touched_at), state, 0, 0,"
    " 0, 0, 0, 0, 0, '', '' FROM refund"
    " UNION ALL SELECT 9, coalesce(o.made, o.outbox_id), coalesce(o.order_id, u.order_id),"
    " outbox_id, coalesce(o.user_id, x.user_id, 0), us_of(o.created_at), us_of(o.next_at), notice,"
    " (orders IS NOT NULL)::integer, attempts, (sent_at IS NOT NULL)::integer,"
    " (dead_at IS NOT NULL)::integer, 0, 0, '', '' FROM outbox o"
    " LEFT JOIN LATERAL unnest(o.orders) u(order_id) ON true"
    " LEFT JOIN orders x ON x.order_id = u.order_id"
    ") SELECT now.at, rows.* FROM now LEFT JOIN rows ON now.at <> $1 ORDER BY 2, 3, 4, 5";

void mirror_prepare(void) {
    PQclear(PQprepare(real_sql(), "mirror", query, 0, NULL));
}

struct mirror *mirror_open(void) {
    struct mirror *self = calloc(1, sizeof *self);
    if (self == NULL) abort();
    return self;
}

void mirror_close(struct mirror *self) {
    free(self->made);
    free(self);
}

struct row {
    int64_t n[NUMBERS];
    const char *s, *t;
};

static void read_shard(struct model_pg *pg, const struct row *row) {
    struct pg_shard *shard = &pg->shards[row->n[0]];
    shard->epoch = (uint32_t)row->n[1];
    shard->boot = row->n[2];
    snprintf(shard->run_id, sizeof shard->run_id, "%s", row->s);
}

static void read_lot(struct model_pg *pg, const struct row *row) {
    struct pg_lot *lot = model_pg_lot(pg, row->n[0]);
    if (lot == NULL && pg->lot_count == PG_LOTS_MAX) abort();
    if (lot == NULL) lot = &pg->lots[pg->lot_count++];
    *lot = (struct pg_lot){ .lot_id = row->n[0],
                            .sale_id = row->n[1],
                            .sku_id = row->n[2],
                            .allocated = row->n[3],
                            .sold = row->n[4],
                            .price = row->n[5],
                            .pay_window = row->n[6] * 1000,
                            .version = row->n[7],
                            .rid_after = row->n[8],
                            .state = (enum lot_state)row->n[9],
                            .limit = (uint32_t)row->n[10],
                            .price_version = (uint32_t)row->n[11],
                            .shard = (uint32_t)row->n[12] };
}

static void read_sale(struct model_pg *pg, const struct row *row) {
    struct pg_sale *sale = model_pg_sale(pg, row->n[0]);
    if (sale == NULL && pg->sale_count == PG_SALES_MAX) abort();
    if (sale == NULL) sale = &pg->sales[pg->sale_count++];
    *sale = (struct pg_sale){ .sale_id = row->n[0],
                              .opens_at = row->n[1] * 1000,
                              .closes_at = row->n[2] * 1000,
                              .pay_window = row->n[3] * 1000,
                              .version = row->n[4],
                              .state = (enum sale_state)row->n[5] };
}

static void read_stock(struct mirror *self, struct model_pg *pg, const struct row *row) {
    uint32_t i = 0;
    while (i < pg->stock_count && pg->stocks[i].sku_id != row->n[0])
        i++;
    if (i == pg->stock_count) abort();
    pg->stocks[i].on_hand = row->n[1];
    pg->stocks[i].received = self->received[i] + row->n[2];
}

/* The shards are read before: an order's epoch is its shard's when its rid was written. */
static void read_order(struct model_pg *pg, const struct row *row) {
    struct pg_order fresh = { .order_id = row->n[1],
                              .rid = row->n[0],
                              .user_id = row->n[2],
                              .lot_id = row->n[3],
                              .price = row->n[4],
                              .created_at = row->n[5] * 1000,
                              .pay_by = row->n[6] * 1000,
                              .state = (enum order_state)row->n[7],
                              .quantity = (uint32_t)row->n[8] };
    struct pg_order *order = model_pg_order(pg, fresh.order_id);
    snprintf(fresh.address, sizeof fresh.address, "%s", row->s);
    if (order == NULL) {
        model_pg_add_order(pg, &fresh);
        return;
    }
    if (order->rid != fresh.rid) model_pg_set_rid(pg, order, fresh.rid);
    fresh.epoch = order->epoch;
    *order = fresh;
}

static void read_refusal(struct model_pg *pg, const struct row *row) {
    struct pg_refusal fresh = { row->n[0], row->n[1],           row->n[2],
                                row->n[3], (uint32_t)row->n[4], (enum problem)row->n[5] };
    struct pg_refusal *known = model_pg_refusal(pg, fresh.rid);
    if (known == NULL)
        model_pg_add_refusal(pg, &fresh);
    else
        *known = fresh;
}

static void read_payment(struct model_pg *pg, const struct row *row) {
    uint32_t i = 0;
    while (i < pg->payment_count && pg->payments[i].payment_id != row->n[0])
        i++;
    if (i == pg->payment_count) {
        pg->payments = model_pg_grow(pg->payments, i, &pg->payment_room, sizeof *pg->payments);
        pg->payment_count++;
    }
    struct pg_payment *payment = &pg->payments[i];
    *payment = (struct pg_payment){ .payment_id = row->n[0],
                                    .order_id = row->n[1],
                                    .user_id = row->n[2],
                                    .amount = row->n[3],
                                    .touched_at = row->n[4] * 1000,
                                    .state = (enum payment_state)row->n[5],
                                    .todo = (enum todo)row->n[6],
                                    .rests_until = row->n[7] * 1000,
                                    .asked = (uint32_t)row->n[8],
                                    .captured = row->n[9] };
    snprintf(payment->provider, sizeof payment->provider, "%s", row->s);
    snprintf(payment->txn, sizeof payment->txn, "%s", row->t);
}

static void read_refund(struct model_pg *pg, const struct row *row) {
    uint32_t i = 0;
    while (i < pg->refund_count && pg->refunds[i].refund_id != row->n[0])
        i++;
    if (i == pg->refund_count) {
        pg->refunds = model_pg_grow(pg->refunds, i, &pg->refund_room, sizeof *pg->refunds);
        pg->refund_count++;
    }
    pg->refunds[i] = (struct pg_refund){ .refund_id = row->n[0],
                                         .payment_id = row->n[1],
                                         .order_id = row->n[2],
                                         .amount = row->n[3],
                                         .touched_at = row->n[4] * 1000,
                                         .state = (enum refund_state)row->n[5] };
}

/* A row of a batch is a notice for each of its orders from the first on, and stays it when it gets
 * a row of its own. */
static void read_notice(struct mirror *self, struct model_pg *pg, const struct row *row) {
    uint32_t i = 0;
    while (i < pg->notice_count &&
           (self->made[i] != row->n[0] || pg->notices[i].order_id != row->n[1]))
        i++;
    if (i == pg->notice_count) {
        pg->notices = model_pg_grow(pg->notices, i, &pg->notice_room, sizeof *pg->notices);
        self->made = model_pg_grow(self->made, i, &self->made_room, sizeof *self->made);
        self->made[i] = row->n[0];
        pg->notice_count++;
    }
    bool batch = row->n[7] != 0;
    pg->notices[i] = (struct pg_notice){ .outbox_id = row->n[2],
                                         .user_id = row->n[3],
                                         .order_id = row->n[1],
                                         .created_at = row->n[4] * 1000,
                                         .next_at = row->n[5] * 1000,
                                         .notice = (enum notice)row->n[6],
                                         .batch = batch ? (uint32_t)row->n[2] : 0,
                                         .attempts = (uint32_t)row->n[8],
                                         .sent = row->n[9] != 0,
                                         .dead = row->n[10] != 0 };
}

static void read_row(struct mirror *self, struct model_pg *pg, int64_t kind,
                     const struct row *row) {
    switch (kind) {
    case 1: read_shard(pg, row); return;
    case 2: read_lot(pg, row); return;
    case 3: read_sale(pg, row); return;
    case 4: read_stock(self, pg, row); return;
    case 5: read_order(pg, row); return;
    case 6: read_refusal(pg, row); return;
    case 7: read_payment(pg, row); return;
    case 8: read_refund(pg, row); return;
    default: read_notice(self, pg, row); return;
    }
}

static void begin(struct mirror *self, const struct model_pg *pg) {
    self->begun = true;
    for (uint32_t i = 0; i < pg->stock_count; i++)
        self->received[i] = pg->stocks[i].received;
}

bool mirror_read(struct mirror *self, struct world *world) {
    const char *values[] = { self->snapshot };
    if (!self->begun) begin(self, world->pg);
    PGresult *rows = PQexecPrepared(real_sql(), "mirror", 1, values, NULL, NULL, 0);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        fprintf(stderr, "doorsim: the tables: %s", PQerrorMessage(real_sql()));
        exit(1);
    }
    snprintf(self->snapshot, sizeof self->snapshot, "%s", PQgetvalue(rows, 0, 0));
    bool any = !PQgetisnull(rows, 0, 1);
    for (int i = 0; any && i < PQntuples(rows); i++) {
        struct row row = { .s = PQgetvalue(rows, i, COLUMNS - 1),
                           .t = PQgetvalue(rows, i, COLUMNS) };
        for (int k = 0; k < NUMBERS; k++)
            row.n[k] = strtoll(PQgetvalue(rows, i, 2 + k), NULL, 10);
        read_row(self, world->pg, strtoll(PQgetvalue(rows, i, 1), NULL, 10), &row);
    }
    PQclear(rows);
    return any;
}
