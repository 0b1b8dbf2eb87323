/* Catalogue: what is sold, and the life of a sale.  Operators' commands go through it to
 * PostgreSQL; it keeps the sales that are not archived and their lots in memory, tells all bridges
 * and session of every change, and makes the hot counter follow the state of the sale.
 *
 * A lot lives on a shard for good; what is asked about it goes to that shard.  A shard that is away
 * holds up the sales that have lots there, and no others.
 *
 * PostgreSQL moves first, the hot counter follows.  Which state a lot shall have there is never
 * remembered, it follows from the sale (catalogue_wanted), and is sent again until the counter has
 * confirmed it: a lost message, a restart and a recovery repair themselves.
 *
 * Invariants: at most one question about a sale is under way at PostgreSQL; every lot is found by
 * lot_map at its index; state is a cache and may be lost at any moment. */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "actors/actor.h"
#include "actors/lib/idmap.h"
#include "schema/id.h"

#define CATALOGUE_MS     INT64_C(1000000)
#define CATALOGUE_SECOND (1000 * CATALOGUE_MS)
/* Numbers of own questions; ids are smaller for the next thirty years. */
#define CATALOGUE_RUN (UINT64_C(1) << 62)

enum {
    CATALOGUE_SALES_MAX = 256, /* Not archived; then sale_create is answered overloaded. */
    CATALOGUE_LOTS_MAX = 1024,
    CATALOGUE_LOT_CELLS = 2048,
    CATALOGUE_TITLE_MAX = 250,
    CATALOGUE_DETAIL_MAX = 300,
    CATALOGUE_WAITERS_MAX = 64,
    CATALOGUE_READERS_MAX = 16,
    CATALOGUE_SHOWS_MAX = 16,
    CATALOGUE_RUNS_MAX = 4,
    CATALOGUE_RECOUNTS = 3, /* Two stores cannot be read at one instant. */
};

enum settling { SETTLING_no, SETTLING_counting, SETTLING_asked };

struct catalogue_sale {
    int64_t sale_id;
    int64_t version;
    int64_t opens_at, closes_at, pay_window;
    enum sale_state state;
    uint32_t title_size;
    char title[CATALOGUE_TITLE_MAX];

    enum sale_state goal; /* Where it goes by itself; none = it stays. */
    uint32_t refused;     /* Moves, one after the other, that PostgreSQL calls illegal. */
    bool missed;     /* Closing time came before it was opened: never open in the hot counter. */
    bool lots_stale; /* PostgreSQL moved the lots along; their rows are to be read again. */
    enum message_id asking; /* Question under way at PostgreSQL; 0 = none. */
    int64_t asking_until;   /* Then the answer is taken for lost. */
    int64_t retry_at;
    int64_t stale_at; /* When the lots were asked for last. */

    enum settling settling;
    int64_t settle_at;    /* Next try, while draining. */
    int64_t settle_until; /* Then the counts are taken for lost. */
};

struct catalogue_lot {
    int64_t lot_id, sale_id, sku_id;
    struct money price;
    int64_t allocated, sold, version;
    uint32_t per_buyer_limit, shard, price_version;
    enum lot_state state; /* In PostgreSQL. */
    uint32_t title_size;
    char title[CATALOGUE_TITLE_MAX];

    enum lot_state hot; /* In the hot counter, as heard last; none = not heard. */
    uint32_t hot_epoch; /* Of what was heard last: older news is not news. */
    int64_t hot_version;
    int64_t available; /* The same. */
    int64_t sent_at;   /* lot_warm or lot_set; 0 = to be sent at once. */
    bool counted;      /* In the present try to settle. */
    bool suspect;      /* The last reconciliation by itself found it stuck. */
    int64_t undecided;
};

/* An operator who waits until a sale is where he wants it. */
struct waiter {
    bool used;
    struct head head;
    int64_t sale_id;
    enum sale_state to;
    int64_t until;
};

/* A snapshot on its way to bridge or session. */
struct reader {
    bool used;
    struct head head;
    int64_t sale_id; /* 0 = all */
    int64_t news;    /* When it began. */
    uint32_t next, count;
};

/* sale_show: the sale has been asked for, the lots follow. */
struct show {
    int64_t until; /* 0 = free */
    struct head head;
    int64_t sale_id;
};

struct run_lot {
    int64_t lot_id, allocated, sold, orders;
    int64_t available, held, undecided;
    enum lot_state state;
    uint32_t shard;
    bool off;   /* To be counted, or counted again. */
    bool stuck; /* So far: units that neither buyers nor the account know of. */
    int64_t before_held, before_sold; /* At the look before; see stays(). */
    bool counted;
    bool away; /* Its shard cannot count it now. */
};

enum run_stage { RUN_free, RUN_accounts, RUN_counts, RUN_pause, RUN_answer };

/* A reconciliation. */
struct run {
    enum run_stage stage;
    struct head head;
    bool own; /* By itself: the answer is account_figures to the host. */
    uint64_t number;
    int64_t sale_id;
    int64_t until; /* End of the stage. */
    uint32_t count, next, waiting, recounts;
    struct run_lot lots[CATALOGUE_LOTS_MAX];
};

struct catalogue {
    uint32_t shards;
    uint32_t next_shard; /* Where to look first for the next lot's place. */
    int64_t news;        /* Raised by every change that is told; begins with the clock. */
    struct id_source ids;
    bool sales_known, lots_known, dirty;
    int64_t reconcile_every, reconciled_at; /* By itself, for the figures that the host shows. */
    uint32_t recoveries;                    /* Asked for by it since figures were told last. */
    int64_t asked_at, swept_at, looked_at;
    int64_t again_at; /* All is read again then; 0 = no need. */
    uint32_t sale_count, lot_count;
    uint64_t runs_made;
    struct idmap lot_map;
    struct waiter waiters[CATALOGUE_WAITERS_MAX];
    struct reader readers[CATALOGUE_READERS_MAX];
    struct show shows[CATALOGUE_SHOWS_MAX];
    struct catalogue_sale sales[CATALOGUE_SALES_MAX];
    struct idmap_cell lot_cells[CATALOGUE_LOT_CELLS];
    struct catalogue_lot lots[CATALOGUE_LOTS_MAX];
    struct run runs[CATALOGUE_RUNS_MAX];
};

/* ---- table.c: the memory ---- */
struct catalogue_sale *catalogue_sale(struct catalogue *self, int64_t sale_id);
struct catalogue_lot *catalogue_lot(struct catalogue *self, int64_t lot_id);
/* Keeps a row that is new and tells bridge and session. */
void catalogue_learn_sale(struct catalogue *self, const struct sale_view *view, int64_t now,
                          struct outbox *out);
void catalogue_learn_lot(struct catalogue *self, const struct lot_view *view, struct outbox *out);
/* `view` is a body in `out`, which gets a copy of the title. */
void catalogue_fill_sale(const struct catalogue_sale *sale, struct sale_view *view,
                         struct outbox *out);
/* Answers sale_rows_get and lot_rows_get of an actor, as far as the outbox has room. */
void catalogue_on_rows_get(struct catalogue *self, const struct message *in, int64_t sale_id,
                           struct outbox *out);
void catalogue_read(struct catalogue *self, struct outbox *out);
/* Has anything changed? */
void catalogue_on_check(struct catalogue *self, const struct message *in, struct outbox *out);

/* ---- command.c: what operators ask ---- */
void catalogue_on_command(struct catalogue *self, const struct message *in, int64_t now,
                          struct outbox *out);
void catalogue_on_sale_resume(struct catalogue *self, const struct message *in, int64_t now,
                              struct outbox *out);
void catalogue_on_sale_move(struct catalogue *self, const struct message *in, int64_t now,
                            struct outbox *out);
/* An answer of PostgreSQL to an operator's question. */
void catalogue_pass_on(struct catalogue *self, const struct message *in, struct outbox *out);
/* Answers those whose sale has arrived, and those who have waited long enough. */
void catalogue_answer_waiters(struct catalogue *self, int64_t now, struct outbox *out);
/* Those who want this sale in this state (none = in any) are told why not. */
void catalogue_fail_waiters(struct catalogue *self, int64_t sale_id, enum sale_state to,
                            enum problem problem, struct text detail, struct outbox *out);

/* ---- life.c: where a sale goes, and its lots with it ---- */
enum lot_state catalogue_wanted(const struct catalogue_sale *sale);
/* Have all lots arrived where the sale wants them? */
bool catalogue_follows(const struct catalogue *self, const struct catalogue_sale *sale);
void catalogue_look_at_clock(struct catalogue_sale *sale, int64_t now);
void catalogue_advance(struct catalogue *self, struct catalogue_sale *sale, int64_t now,
                       struct outbox *out);
void catalogue_set_lots(struct catalogue *self, int64_t now, struct outbox *out);
void catalogue_on_lot_level(struct catalogue *self, const struct message *in, int64_t now);
/* A question about a sale was refused, or the count of a lot for settling. */
void catalogue_on_sale_failed(struct catalogue *self, const struct message *in, int64_t now,
                              struct outbox *out);

/* ---- settle.c ---- */
void catalogue_settle(struct catalogue *self, struct catalogue_sale *sale, int64_t now,
                      struct outbox *out);
void catalogue_on_counted(struct catalogue *self, const struct message *in, int64_t now,
                          struct outbox *out);
void catalogue_not_settled(struct catalogue *self, struct catalogue_sale *sale,
                           enum problem problem, struct text detail, int64_t now,
                           struct outbox *out);

/* ---- reconcile.c ---- */
void catalogue_on_reconcile(struct catalogue *self, const struct message *in, int64_t now,
                            struct outbox *out);
/* Begins one of its own when its time has come; without a free place, later. */
void catalogue_reconcile_by_itself(struct catalogue *self, int64_t now, struct outbox *out);
struct run *catalogue_run(struct catalogue *self, uint64_t number);
void catalogue_run_account(struct run *run, const struct lot_account *account);
void catalogue_run_accounts_end(struct catalogue *self, struct run *run, int64_t now);
void catalogue_run_counted(struct run *run, const struct lot_counted *counted, int64_t now);
void catalogue_run_failed(struct run *run, const struct message *in, int64_t now,
                          struct outbox *out);
void catalogue_run_step(struct catalogue *self, struct run *run, int64_t now, struct outbox *out);

#endif
