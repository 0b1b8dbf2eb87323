/* PostgreSQL as the simulator sees it: tables in memory and the functions of schema/sql/ that the
 * sale uses, statement for statement, with the same refusals.  Every transaction is atomic and its
 * answers leave after the commit.
 *
 * No test asks it and the real one the same things; that it is no easier than the real one is read,
 * not shown.  What the real one does, and what some pairs of sessions do to each other inside a
 * transaction, is in tests/contract/test_pg_*.c.  Not modelled: accounts and sessions. */
#ifndef TESTS_SIM_MODEL_PG_H
#define TESTS_SIM_MODEL_PG_H

#include "actors/actor.h"
#include "actors/lib/idmap.h"

struct pg_shard {
    uint32_t epoch; /* 0 = there is no row yet. */
    int64_t boot;
    char run_id[65];
};

struct pg_lot {
    int64_t lot_id, sale_id, sku_id;
    int64_t allocated, sold, price, pay_window, version, rid_after;
    enum lot_state state;
    uint32_t limit, price_version, shard;
    bool touched; /* By the transaction that runs. */
};

struct pg_sale {
    int64_t sale_id, opens_at, closes_at, pay_window, version;
    enum sale_state state;
};

struct pg_stock {
    int64_t sku_id, on_hand;
    int64_t received; /* The sum of what ever arrived; not in the table. */
};

struct pg_order {
    int64_t order_id, rid, user_id, lot_id, price, created_at, pay_by;
    enum order_state state;
    uint32_t quantity;
    uint32_t epoch; /* Of the shard when the row, or its last rid, was written. */
    char address[64];
};

struct pg_refusal {
    int64_t rid, order_id, user_id, lot_id;
    uint32_t quantity;
    enum problem reason;
};

struct pg_payment {
    int64_t payment_id, order_id, user_id, amount, touched_at;
    enum payment_state state;
    enum todo todo;
    char provider[32], txn[65], url[80];
    int64_t rests_until; /* 0 = NULL */
    uint32_t asked;      /* Since the order is final. */
    int64_t captured;    /* The ledger's sum for this payment: money in, and back out. */
};

struct pg_refund {
    int64_t refund_id, payment_id, order_id, amount, touched_at;
    enum refund_state state;
};

/* A message to a person. */
struct pg_notice {
    int64_t outbox_id, user_id, order_id, created_at, next_at;
    enum notice notice;
    uint32_t batch; /* Not 0: of a batch that has not been taken apart; its number. */
    uint32_t attempts;
    bool sent, dead;
};

enum { PG_LOTS_MAX = 16, PG_SALES_MAX = 8, PG_SKUS_MAX = 4, PG_SHARDS_MAX = 4, PG_BATCH_MAX = 256 };

/* A map that grows. */
struct pg_map {
    struct idmap map;
    struct idmap_cell *cells;
    uint32_t size;
};

struct model_pg {
    struct pg_shard shards[PG_SHARDS_MAX];
    struct pg_lot lots[PG_LOTS_MAX];
    struct pg_sale sales[PG_SALES_MAX];
    struct pg_stock stocks[PG_SKUS_MAX];
    uint32_t lot_count, sale_count, stock_count;
    struct pg_order *orders;
    struct pg_refusal *refusals;
    struct pg_payment *payments;
    struct pg_refund *refunds;
    struct pg_notice *notices;
    uint32_t order_count, order_room, refusal_count, refusal_room, notice_count, notice_room;
    uint32_t payment_count, payment_room, refund_count, refund_room;
    struct pg_map order_map, rid_map, refusal_map; /* by order id; by rid; by rid */
    int64_t outbox_last;
    uint32_t batch_last;
    uint64_t alarms; /* Redis offered what PostgreSQL had not. */
    uint64_t commits;
    bool violated;     /* UNIQUE (rid), by the transaction that runs. */
    uint32_t timeline; /* 1 more at each failover. */
};

void model_pg_init(struct model_pg *self);
void model_pg_fini(struct model_pg *self);
/* `to` becomes a copy of `from`; it was initialised. */
void model_pg_copy(struct model_pg *to, const struct model_pg *from);
struct pg_lot *model_pg_lot(struct model_pg *self, int64_t lot_id); /* NULL: none */
struct pg_sale *model_pg_sale(struct model_pg *self, int64_t sale_id);
struct pg_order *model_pg_order(struct model_pg *self, int64_t order_id);
struct pg_order *model_pg_order_of(struct model_pg *self, int64_t rid);
struct pg_refusal *model_pg_refusal(struct model_pg *self, int64_t rid);
struct pg_order *model_pg_add_order(struct model_pg *self, const struct pg_order *row);
void model_pg_add_refusal(struct model_pg *self, const struct pg_refusal *row);
void model_pg_set_rid(struct model_pg *self, struct pg_order *order, int64_t rid);
bool model_pg_holds(enum order_state state);
uint32_t model_pg_epoch(const struct model_pg *self, int64_t rid); /* Of the rid's shard. */

/* How many of these messages make one transaction: as many purchases (or returns) as follow each
 * other, up to 256; else 1. */
uint32_t model_pg_range(const struct message *in, uint32_t count);
/* One transaction, committed, and its answers. */
void model_pg_run(struct model_pg *self, const struct message *in, uint32_t count,
                  struct outbox *out);
/* Answers all of them `unavailable`, whatever became of the commit. */
void model_pg_refuse(const struct message *in, uint32_t count, struct outbox *out);
struct failed *model_pg_failed(const struct message *in, enum problem problem, struct outbox *out);

/* Shared by model_pg*.c. */
int64_t model_pg_time(int64_t now); /* Times are kept in microseconds there. */
void model_pg_sell(struct pg_lot *lot, int64_t units);
void *model_pg_grow(void *rows, uint32_t count, uint32_t *room, size_t size);

/* model_pg_pay.c, model_pg_shop.c, model_pg_outbox.c: false: not one of their statements. */
bool model_pg_pay(struct model_pg *self, const struct message *in, struct outbox *out);
bool model_pg_shop(struct model_pg *self, const struct message *in, struct outbox *out);
bool model_pg_outbox(struct model_pg *self, const struct message *in, struct outbox *out);
/* model_pg_recover.c: R2. */
void model_pg_recover(struct model_pg *self, const struct message *in, struct outbox *out);
/* A row of the outbox, written with the change it tells about.  batch 0: about one order. */
void model_pg_notice(struct model_pg *self, enum notice notice, int64_t user_id, int64_t order_id,
                     int64_t at, uint32_t batch);
/* The payment whose money waits for a unit again, or NULL. */
struct pg_payment *model_pg_late_money(struct model_pg *self, int64_t order_id);

#endif
