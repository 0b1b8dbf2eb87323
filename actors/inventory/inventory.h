/* Inventory: the hot stock of one shard.  Passes reservations to Redis and their journal rows on to
 * the order actor, tells the bridges what they may refuse by themselves, and recovers the shard
 * when Redis is not, or may not be, what PostgreSQL believes (recovery.c).
 *
 * Invariants
 *   - Reservations go to Redis only in phase `ready`, so never between a reconnect and R2: a Redis
 *     that has lost its last second would hand out a rid twice.
 *   - `epoch` only grows, and every message of an older recovery attempt is ignored: each attempt
 *     puts its number into the upper half of the request numbers it chooses.
 *   - install_end is sent only after install_begin and every row were answered done.
 *   - Whoever may hold a unit of a lot is in the lot's filter whenever a hint carries it; an id too
 *     many costs a forwarded request, an id too few would tell a holder "sold out".
 * Everything here may be lost: the state is rebuilt by a recovery.
 *
 * The advisory lock of R0 is left out: one process serves a shard, and the lock would only save
 * work; the epoch is what makes two recoveries at once safe. */
#ifndef INVENTORY_H
#define INVENTORY_H

#include "actors/actor.h"
#include "actors/lib/idmap.h"
#include "actors/lib/slots.h"

enum {
    INVENTORY_LOTS_MAX = 4096,
    INVENTORY_LOT_CELLS = 8192,
    INVENTORY_PENDING_MAX = 12288, /* Reservations under way in Redis; more are overloaded. */
    INVENTORY_PENDING_CELLS = 32768,
    INVENTORY_FILTERS = 16 << 20,   /* Bytes of all filters; a lot without one is never refused. */
    INVENTORY_INSTALL_ROWS = 65536, /* Of one recovery. */
    INVENTORY_ASKERS = 16,          /* Who waits for, or was told of, a recovery. */
    INVENTORY_UNKNOWN_IDS = 16384,  /* A filter's size when the allocation is not told. */
    RUN_ID_MAX = 64,
};

/* down -> meta -> shard -> (drain ->) raise -> end -> ready;  any failure -> wait -> meta;
 * redis_down -> down. */
enum inventory_phase {
    PHASE_down,  /* Redis is away. */
    PHASE_meta,  /* Asked Redis for its meta. */
    PHASE_shard, /* Asked PostgreSQL for the shard row. */
    PHASE_drain, /* R1: the order actor decides what the journal holds. */
    PHASE_raise, /* R2 and R3: rows come from PostgreSQL and go to Redis. */
    PHASE_end,   /* All rows are in; meta is being written. */
    PHASE_wait,  /* Something failed; back-off. */
    PHASE_ready,
};

struct inventory_lot {
    int64_t lot_id;
    int64_t available;
    int64_t version;
    enum lot_state state;
    uint32_t per_buyer_limit;
    uint32_t filter_at, filter_size; /* In the pool; size 0 = the pool was full. */
    uint32_t filter_ids;             /* That are in it. */
    bool changed;                    /* The catalogue has not been told. */
    bool urgent;                     /* In the list of hints that do not wait. */
};

/* A reservation that Redis has not answered. */
struct inventory_pending {
    int64_t key;
    int64_t order_id;
    int64_t user_id;
    int64_t lot_id;
    int64_t since;
    uint32_t quantity;
    enum reserve_kind kind;
    bool filtered; /* It stands in the filter already. */
};

/* Rows on their way from PostgreSQL to Redis. */
struct inventory_install {
    uint32_t epoch; /* 0 = the first row has not come. */
    uint32_t sent;  /* Messages to Redis; install_begin is the first. */
    uint32_t acked;
    uint32_t received, expected; /* Rows; expected 0 = rows_end has not come. */
    bool ended;
    uint64_t row_seen[INVENTORY_INSTALL_ROWS / 64];
    uint64_t row_acked[INVENTORY_INSTALL_ROWS / 64];
};

struct inventory_asker {
    struct head head;
    bool used, told;
};

struct inventory {
    uint8_t shard;
    int64_t hint_every, hint_life;
    uint64_t random; /* For boot nonces; from the actor's seed. */
    bool stopping;
    int64_t stalled_until; /* The writer cannot keep up: reservations are refused until then. */

    enum inventory_phase phase;
    uint32_t epoch; /* In use, or used last. */
    int64_t boot;
    uint32_t attempt;
    uint8_t told_ready;        /* See outbox_ready(). */
    uint32_t verifying;        /* Attempt number of a meta_read while ready; 0 = none. */
    uint32_t verifying_record; /* The same of a shard_get. */
    uint32_t foreign;          /* How often in a row the epoch was not ours. */
    uint32_t timeline;         /* Of PostgreSQL, when the truth was read. */
    int64_t phase_until;
    int64_t patience; /* With a step; more after each that was not enough. */
    int64_t backoff;
    uint32_t drain_left; /* Undecided rows when R1 was looked at last. */
    int64_t drain_until;
    int64_t next_beat;

    char run_id[RUN_ID_MAX]; /* Of the Redis seen last. */
    uint32_t run_id_size;
    uint32_t redis_epoch;
    int64_t redis_boot;

    struct inventory_asker askers[INVENTORY_ASKERS];
    uint32_t next_asker;
    struct inventory_install install;

    struct idmap lot_map;
    struct chain urgent;
    uint32_t lot_count;
    uint32_t hint_cursor; /* Lots from here on are still to be told in this round. */
    int64_t next_round, next_look;
    bool looking; /* In this round Redis is asked for levels that make bridges refuse. */
    uint32_t filters_used;
    uint64_t lots_left_out, filters_left_out; /* Counted: the tables were full. */

    struct idmap pending_map;
    struct slots pending_slots;
    struct chain pending_chain;

    struct inventory_lot lots[INVENTORY_LOTS_MAX];
    struct link urgent_links[INVENTORY_LOTS_MAX];
    struct idmap_cell lot_cells[INVENTORY_LOT_CELLS];
    struct inventory_pending pending[INVENTORY_PENDING_MAX];
    struct link pending_free[INVENTORY_PENDING_MAX], pending_links[INVENTORY_PENDING_MAX];
    struct idmap_cell pending_cells[INVENTORY_PENDING_CELLS];
    uint8_t filters[INVENTORY_FILTERS];
};

/* reserve.c */
void inventory_on_reserve(struct inventory *self, const struct message *in, int64_t now,
                          struct outbox *out);
void inventory_on_reserved(struct inventory *self, const struct message *in, struct outbox *out);
/* Redis refused a reserve, or was away. */
void inventory_on_reserve_failed(struct inventory *self, const struct message *in, int64_t now,
                                 struct outbox *out);
/* settle, undo, journal_read, lot_warm, lot_set, lot_count: Redis answers the sender directly. */
void inventory_pass_on(struct inventory *self, const struct message *in, struct outbox *out);
/* Gives up waiting for answers of Redis that do not come. */
void inventory_age_pending(struct inventory *self, int64_t now);
void inventory_forget_pending(struct inventory *self);

/* recovery.c */
void inventory_recover(struct inventory *self, int64_t now, struct outbox *out);
/* Something of the attempt under way failed: wait, then try again with a new epoch. */
void inventory_recovery_failed(struct inventory *self, int64_t now, struct outbox *out);
void inventory_on_redis_up(struct inventory *self, const struct message *in, int64_t now,
                           struct outbox *out);
void inventory_on_redis_down(struct inventory *self, int64_t now, struct outbox *out);
void inventory_on_shard_row(struct inventory *self, const struct message *in, int64_t now,
                            struct outbox *out);
void inventory_on_recover(struct inventory *self, const struct message *in, int64_t now,
                          struct outbox *out);
void inventory_on_drained(struct inventory *self, const struct message *in, int64_t now,
                          struct outbox *out);
void inventory_on_step_failed(struct inventory *self, const struct message *in, int64_t now,
                              struct outbox *out);
void inventory_recovery_tick(struct inventory *self, int64_t now, struct outbox *out);
/* Everything is in Redis: open the shard. */
void inventory_open(struct inventory *self, int64_t now, struct outbox *out);
uint64_t inventory_request(const struct inventory *self, uint32_t number);
bool inventory_is_ours(const struct inventory *self, const struct message *in);
void inventory_progress(struct inventory *self, int64_t now);

/* install.c */
void inventory_install_reset(struct inventory *self);
void inventory_on_recovered(struct inventory *self, const struct message *in, int64_t now,
                            struct outbox *out);
void inventory_on_rows_end(struct inventory *self, const struct message *in, int64_t now,
                           struct outbox *out);
void inventory_on_installed_row(struct inventory *self, const struct message *in, int64_t now,
                                struct outbox *out);

/* lots.c */
void inventory_lots_reset(struct inventory *self);
/* The lot, made with a filter for so many ids when it is not known; NULL: the table is full. */
struct inventory_lot *inventory_lot(struct inventory *self, int64_t lot_id, uint64_t ids);
void inventory_lot_holder(struct inventory *self, int64_t lot_id, int64_t order_id);
void inventory_on_lot_level(struct inventory *self, const struct message *in);
void inventory_on_probe_failed(struct inventory *self, const struct message *in, int64_t now,
                               struct outbox *out);
void inventory_send_hints(struct inventory *self, int64_t now, struct outbox *out);

#endif
