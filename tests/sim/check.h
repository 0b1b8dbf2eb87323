/* The checkers: what must hold (docs: GUARANTEES, section 1.1), one file each.  They see all stores
 * at once and everything that anybody is told, which nobody inside can; they change nothing.
 *
 * A checker says why it is not content with world_fail(); the first one ends the run. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "tests/sim/world.h"

enum { ORDER_STATES = 13, ENTRIES_MAX = 4096 };

struct checker {
    const char *rule, *promise;
    /* After each commit of PostgreSQL. */
    void (*on_commit)(struct world *self);
    /* A buyer is told something about one of his tickets. */
    void (*on_answer)(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in);
    /* Nothing is under way. */
    void (*at_quiet)(struct world *self);
};

extern const struct checker check_oversell, check_kept, check_once, check_contradiction,
    check_limit, check_money, check_race, check_outbox, check_fence, check_own_writes,
    check_fairness, check_two_sided, check_right_answer, check_shards;

/* What the checkers remember of an order in PostgreSQL.  Every row is compared with its shadow
 * after every commit (check_race.c); the checkers behind it look at those that are not the same. */
struct shadow {
    int64_t order_id, rid, price, pay_by, user_id, lot_id;
    int64_t seen_at;            /* Its commit. */
    int64_t left[ORDER_STATES]; /* When it left a state last; 0 = never. */
    enum order_state state;
    uint32_t quantity;
    uint32_t before; /* The order of the same buyer before it, its index + 1; 0 = none. */
    bool late;       /* Its units were taken again by late money. */
};

/* What the shadows of a lot's orders add up to. */
struct lot_sums {
    int64_t units;            /* Held. */
    uint32_t holding, unpaid; /* Orders. */
};

/* What an independent observer knows of a lot: when each reason for a "no" was last true. */
struct lot_facts {
    bool known;
    bool is_short[QUANTITY_MAX + 1], is_state[8];
    int64_t short_at[QUANTITY_MAX + 1]; /* Fewer units than this were free. */
    int64_t state_at[8];                /* It was in this state in one of the stores. */
    int64_t doubt_at;                   /* Redis was not what PostgreSQL believed. */
};

/* What Redis holds of a shard. */
struct account {
    uint32_t epoch;
    int64_t boot;
    struct {
        int64_t first;
        uint32_t rows;
    } journal[ENTRIES_MAX];
    uint32_t entries;
};

/* How everything that G2 is made of was when a shard was looked at last. */
struct looked {
    const struct lua_store *at;
    uint64_t changes, order_changes;
    uint32_t tainted, losses, refusals, journal_cap;
    bool under_pg; /* It was what PostgreSQL believes; else it is looked at again. */
    struct pg_shard row;
    struct pg_lot lots[PG_LOTS_MAX];
};

struct checks {
    struct looked looked[SHARDS_MOST];
    struct shadow *shadows; /* One for each row of orders, at the same index. */
    uint32_t shadow_count, shadow_room;
    uint32_t *changed; /* Indices of the orders that are new or not the same, by this commit. */
    uint32_t changed_count, changed_room;
    uint64_t order_changes; /* So far. */
    struct lot_sums sums[PG_LOTS_MAX];
    uint32_t *of_buyer; /* By shopper: his last order, its index + 1; 0 = none. */
    uint32_t buyers_room;
    struct lot_facts facts[PG_LOTS_MAX];
    uint32_t refusals_seen, refusals_once; /* By check_fence.c, check_once.c. */
    int64_t last_decided[SHARDS_MOST];
    uint32_t orders_judged;
    uint32_t refunds_seen;
    uint32_t placed, refusals_placed; /* By check_shards.c. */
    uint8_t *mailed;                  /* By index of the notice: how often it was taken. */
    uint32_t mailed_room;
    struct account account;
};

/* check.c */
void checks_open(struct world *self);
void checks_close(struct world *self);
void checks_lot(struct world *self, const struct pg_lot *lot);
void check_commit(struct world *self);
void check_answer(struct world *self, struct request *request, const struct message *in);
void check_end(struct world *self);
void check_settled(struct world *self);
/* A standby has taken over: what it has not heard of is not promised any more. */
void check_failover(struct world *self);
/* NULL: no order, or a row of it that has not been looked at yet. */
struct shadow *check_shadow(struct world *self, int64_t order_id);
/* Forgets all shadows: every order is looked at anew by the next commit. */
void check_forget(struct checks *checks);
struct lot_facts *check_facts(struct world *self, int64_t lot_id);
/* How old what somebody believes may be, beyond the second that is promised. */
int64_t check_grace(const struct world *self);

/* check_stock.c: G2, after every step of a store that has changed anything it is made of. */
void check_stores(struct world *self);
/* The same after a step of Redis: nothing is looked at again when nothing was written. */
void check_redis_step(struct world *self);
bool check_intact(struct world *self, uint32_t shard, struct account *account);
bool check_in_journal(const struct account *account, int64_t rid);
int64_t check_held(struct world *self, int64_t lot_id, int64_t user_id);

/* check_back_once.c: G12 and H23, whatever Redis says. */
void check_redis_said(struct world *self, uint8_t process, const struct message *said);

/* check_batch.c: H3, of what Redis was asked and said. */
void check_batch(struct world *self, const struct message *in, uint32_t count,
                 const struct batch *said);

/* The catalogue's own comparison: what it mends only two writers may have caused, or a standby of
 * PostgreSQL that lags; anything else would be a hole that it hides. */
void check_figures(struct world *self, const struct account_figures *figures);

/* check_decided.c: G5.  NULL when nothing is under way any more, else what is. */
const char *check_quiet(struct world *self);

/* check_outbox.c: a mail is handed in. */
void check_mail(struct world *self, int64_t outbox_id, bool taken);
bool check_outbox_empty(const struct world *self);

#endif
