/* PostgreSQL as the simulator sees it: tables in memory and the functions of schema/sql/ that the
 * purchase path uses, statement for statement, with the same refusals.  Every transaction is atomic
 * and its answers leave after the commit.
 *
 * Not modelled: two sessions inside one transaction at once (the locks of the real functions make
 * whole transactions follow each other), accounts, the catalogue, the outbox. */
#ifndef TESTS_SIM_MODEL_PG_H
#define TESTS_SIM_MODEL_PG_H

#include "actors/actor.h"
#include "actors/lib/idmap.h"

struct pg_lot {
    int64_t lot_id, allocated, sold, price, pay_window;
    enum lot_state state;
    uint32_t limit, price_version;
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
    int64_t captured; /* The ledger's sum for this payment: money in, and back out. */
};

struct pg_refund {
    int64_t refund_id, payment_id, order_id, amount, touched_at;
    enum refund_state state;
};

enum { PG_LOTS_MAX = 16, PG_CELLS = 1 << 16 };

struct model_pg {
    uint32_t epoch; /* The shard row; 0 = there is none yet. */
    int64_t boot;
    char run_id[65];
    struct pg_lot lots[PG_LOTS_MAX];
    uint32_t lot_count;
    struct pg_order *orders;
    struct pg_refusal *refusals;
    struct pg_payment *payments;
    struct pg_refund *refunds;
    uint32_t order_count, order_room, refusal_count, refusal_room;
    uint32_t payment_count, payment_room, refund_count, refund_room;
    struct idmap order_map, rid_map, refusal_map; /* by order id; by rid; by rid */
    struct idmap_cell order_cells[PG_CELLS], rid_cells[PG_CELLS], refusal_cells[PG_CELLS];
    uint64_t alarms; /* Redis offered what PostgreSQL had not. */
    uint64_t commits;
};

void model_pg_init(struct model_pg *self);
void model_pg_fini(struct model_pg *self);
struct pg_lot *model_pg_lot(struct model_pg *self, int64_t lot_id); /* NULL: none */
struct pg_order *model_pg_order(struct model_pg *self, int64_t order_id);
struct pg_order *model_pg_order_of(struct model_pg *self, int64_t rid);
struct pg_refusal *model_pg_refusal(struct model_pg *self, int64_t rid);
bool model_pg_holds(enum order_state state);

/* How many of these messages make one transaction: as many purchases (or returns) as follow each
 * other, up to 256; else 1. */
uint32_t model_pg_range(const struct message *in, uint32_t count);
/* One transaction, committed, and its answers. */
void model_pg_run(struct model_pg *self, const struct message *in, uint32_t count,
                  struct outbox *out);
/* Answers all of them `unavailable`, whatever became of the commit. */
void model_pg_refuse(const struct message *in, uint32_t count, struct outbox *out);
void model_pg_failed(const struct message *in, enum problem problem, struct outbox *out);

/* model_pg_pay.c: the statements of the payment actor.  False: not one of them. */
bool model_pg_pay(struct model_pg *self, const struct message *in, struct outbox *out);
/* The payment whose money waits for a unit again, or NULL. */
struct pg_payment *model_pg_late_money(struct model_pg *self, int64_t order_id);
void *model_pg_grow(void *rows, uint32_t count, uint32_t *room, size_t size);

#endif
