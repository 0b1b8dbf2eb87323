/* Order: the one writer of a shard.  Brings reservations before PostgreSQL in the order of their
 * rids, answers whoever waits, and sees to it that the hot counter follows: undo for what was
 * refused or given back, settle for journal entries that are decided.
 *
 * Invariants
 *   - A row of the window is waiting (in `waiting`), asked (in `asked`) or decided (its entry is
 * not settled yet); `undecided` lists the first two by arrival.
 *   - Nobody hears of a decision before PostgreSQL has told it, and PostgreSQL tells it committed.
 *   - An entry is settled only when all its rows are decided, and after the undos of its refused
 *     rows.  Undos and settles are repeated until answered: both are idempotent.
 *   - `pending_map` finds an undecided row of every order that has one but for late money.
 *   - Every undo that a row or return under way may need has room: purchases and returns wait for
 * it.
 *   - What does not fit is left where it is safe: rows in the journal, deadlines with the timer.
 *   - Rows, entries and settles of an epoch below `epoch` are forgotten; undos never are.
 * After a crash all this is gone: the actor asks inventory to recover, which makes the lost undos
 * unnecessary, and reads the journal. */
#ifndef ORDER_H
#define ORDER_H

#include "actors/actor.h"
#include "actors/lib/chunks.h"
#include "actors/lib/heap.h"
#include "actors/lib/idmap.h"
#include "actors/lib/slots.h"

enum {
    ORDER_ROWS_MAX = 32768, /* The window; more are left to the journal. */
    ORDER_ROW_CELLS = 65536,
    ORDER_CHUNKS_MAX = 65536, /* 8 MiB of addresses. */
    ORDER_ENTRIES_MAX = 32768,
    ORDER_ENTRY_CELLS = 65536,
    ORDER_UNDOS_MAX = 65536,
    ORDER_UNDO_CELLS = 131072,
    ORDER_UNDOS_SPARE = 8192, /* For decisions that come twice, or after we gave them up. */
    ORDER_RETURNS_MAX = 32768,
    ORDER_RETURN_CELLS = 65536,
    ORDER_RETURNS_ASKED = 1024, /* Of them at PostgreSQL at once: two of its batches. */
    ORDER_WAITERS_MAX = 4096,   /* Who asked again for what is not decided yet. */
    ORDER_LISTS_MAX = 256,      /* Lists under way. */
};

enum order_row_state { ROW_waiting = 1, ROW_asked, ROW_decided };

struct order_row {
    struct head head; /* Who waits for the decision. */
    int64_t rid, entry, order_id, user_id, lot_id;
    uint32_t quantity, price_version;
    enum reserve_kind kind;
    enum order_row_state state;
    uint32_t address, address_size; /* In the chunks. */
    int64_t since;                  /* Arrival. */
    int64_t asked_at;
};

struct order_entry {
    int64_t entry;
    uint32_t rows;    /* In the journal. */
    uint32_t known;   /* In the window. */
    uint32_t decided; /* Of these. */
    uint32_t pass;    /* Of the journal, when it was last read there. */
    bool settling;
    int64_t since, sent_at;
};

struct order_undo {
    struct undo body;
    int64_t sent_at;
};

struct order_back {
    struct head head; /* Who cancels; origin NOBODY = it expires, or nobody waits any more. */
    int64_t order_id, user_id;
    uint64_t number; /* PostgreSQL is asked under it, and answers; 0 = ended. */
    enum order_state to;
    bool asked;    /* In `returning`; else in `leaving`. */
    uint8_t tries; /* Without any answer. */
    int64_t sent_at;
};

struct order_waiter {
    struct head head;
    int64_t rid, order_id, user_id;
    int64_t since, asked_at;
    uint32_t generation; /* How often this place has been used, from `born` on. */
    uint32_t quantity;
    uint64_t address; /* Its hash; 0 = not known. */
    bool used, told_held;
    bool asking; /* PostgreSQL has not answered. */
};

struct order_list_slot {
    struct head head;
    uint32_t generation;
    uint32_t limit, seen;
    int64_t row_id;  /* Of the row that came last, */
    int64_t last_id; /* and of the last one told. */
    int64_t since;
    bool used;
};

/* Reading the journal. */
struct order_journal {
    bool reading;
    bool unread;       /* Not read to its end since the start, an install or an overflow. */
    uint64_t number;   /* Of the read under way. */
    int64_t read_at;   /* It began. */
    int64_t after;     /* Where the page begins. */
    int64_t last;      /* Largest entry on the page. */
    uint32_t entries;  /* On the page. */
    uint32_t pass;     /* From the head to the end is one pass. */
    int64_t pass_at;   /* It began. */
    uint32_t new_rows; /* In this pass. */
    uint32_t left;     /* Rows that found no room in this pass. */
    uint32_t seen;     /* Rows in this pass. */
    uint32_t rows;     /* Rows in the last one that came to the end. */
    int64_t gap;       /* Quiet time before the next pass. */
    int64_t busy_at;   /* A row came, or a decision. */
    int64_t not_before;
    int64_t ended_at; /* The last pass came to the end. */
};

/* Something that ends when nothing is left to decide. */
struct order_wish {
    bool active;
    struct head head;
    uint32_t pass; /* Done when a pass later than this has come to the end. */
    int64_t until; /* 0 = no limit */
};

struct order {
    uint8_t shard;
    uint32_t asked_max; /* Rows at PostgreSQL at once: a batch, and the next one behind it. */
    int64_t journal_age_max, idle_read;
    uint32_t epoch; /* Highest known to be installed; 0 = none yet. */

    bool recovered; /* Inventory has recovered since our start. */
    uint64_t recover_request;
    uint64_t returns_begun; /* From a random number on. */
    uint32_t born; /* Where generations begin: what was sent to one who crashed is nobody's here. */
    int64_t recover_at;
    int64_t fence_at; /* recover was asked for because of a fence. */

    int64_t retry_at, backoff; /* Of purchases. */
    int64_t answer_wait;       /* For a purchase; grows while PostgreSQL is silent. */
    bool lagging;
    int64_t lag_at;
    uint32_t sweep_row, sweep_entry; /* Looking for what is of an older epoch. */
    uint64_t left_out, waiters_left_out, poisoned;

    struct order_journal journal;
    struct writer_figures figures; /* As told last. */
    int64_t figures_at;
    struct order_wish drain, stop;

    struct idmap row_map, entry_map, undo_map, return_map;
    struct idmap pending_map; /* Order id -> an undecided row of it. */
    uint32_t pending_rows; /* Undecided rows but for late money: as many as the map has, or more. */
    struct slots rows_free, entries_free, undos_free, returns_free, waiters_free;
    struct heap waiting;
    struct chain asked, undecided, settling, undoing, leaving, returning, seen;
    struct chunks chunks;

    struct order_row rows[ORDER_ROWS_MAX];
    struct link row_free[ORDER_ROWS_MAX], asked_links[ORDER_ROWS_MAX],
        undecided_links[ORDER_ROWS_MAX];
    struct heap_item waiting_items[ORDER_ROWS_MAX];
    uint32_t waiting_places[ORDER_ROWS_MAX];
    struct idmap_cell row_cells[ORDER_ROW_CELLS], pending_cells[ORDER_ROW_CELLS];
    struct chunk chunk_items[ORDER_CHUNKS_MAX];

    struct order_entry entries[ORDER_ENTRIES_MAX];
    struct link entry_free[ORDER_ENTRIES_MAX], settling_links[ORDER_ENTRIES_MAX];
    struct idmap_cell entry_cells[ORDER_ENTRY_CELLS];

    struct order_undo undos[ORDER_UNDOS_MAX];
    struct link undo_free[ORDER_UNDOS_MAX], undoing_links[ORDER_UNDOS_MAX];
    struct idmap_cell undo_cells[ORDER_UNDO_CELLS];

    struct order_back returns[ORDER_RETURNS_MAX];
    struct link return_free[ORDER_RETURNS_MAX], returning_links[ORDER_RETURNS_MAX],
        leaving_links[ORDER_RETURNS_MAX];
    struct idmap_cell return_cells[ORDER_RETURN_CELLS];

    struct order_waiter waiters[ORDER_WAITERS_MAX];
    struct link waiter_free[ORDER_WAITERS_MAX], seen_links[ORDER_WAITERS_MAX];

    struct order_list_slot lists[ORDER_LISTS_MAX];
    uint32_t next_list;
};

/* Room in the outbox for `count` more messages, with some to spare for handlers. */
static inline bool order_room(const struct outbox *out, uint32_t count) {
    return out->capacity - out->count >= count;
}

/* window.c: the rows */
void order_on_place(struct order *self, const struct message *in, int64_t now, struct outbox *out);
struct order_row *order_row(struct order *self, int64_t rid);
/* An undecided row of this order, not of late money, or NULL. */
const struct order_row *order_pending_row(const struct order *self, int64_t order_id);
void order_check_pending(const struct order *self);
void order_row_drop(struct order *self, struct order_row *row);
void order_row_decided(struct order *self, struct order_row *row);
/* PostgreSQL has not answered, or is away: ask again later. */
void order_row_again(struct order *self, struct order_row *row);
void order_send_purchases(struct order *self, int64_t now, struct outbox *out);
void order_on_purchase_failed(struct order *self, const struct message *in, int64_t now,
                              struct outbox *out);
void order_time_out_purchases(struct order *self, int64_t now);
void order_raise_epoch(struct order *self, uint32_t epoch);
void order_sweep(struct order *self, struct outbox *out);
void order_tell_recovering(struct outbox *out, const struct head *head, int64_t order_id);
void order_back_off(struct order *self, int64_t now);

/* decided.c: the decisions */
void order_on_decided(struct order *self, const struct message *in, int64_t now,
                      struct outbox *out);
void order_set_deadline(struct outbox *out, int64_t order_id, int64_t at);
/* Something of the current epoch was fenced. */
void order_on_fence(struct order *self, int64_t now, struct outbox *out);

/* entries.c: journal entries and their settling */
struct order_entry *order_entry(struct order *self, int64_t entry);
/* NULL: no room. */
struct order_entry *order_entry_make(struct order *self, int64_t entry, uint32_t rows, int64_t now);
/* Counts one decided row; settles when it was the last. */
void order_entry_decided(struct order *self, int64_t entry, int64_t now, struct outbox *out);
void order_entry_drop(struct order *self, struct order_entry *entry);
void order_send_settles(struct order *self, int64_t now, struct outbox *out);
void order_on_settled(struct order *self, const struct message *in);
/* A pass of the journal has ended: what it did not show is not there. */
void order_entries_after_pass(struct order *self);

/* undos.c */
bool order_undo_room(const struct order *self);
/* Sends it, and repeats it until it is answered.  False: no room. */
bool order_undo(struct order *self, const struct undo *undo, int64_t now, struct outbox *out);
void order_send_undos(struct order *self, int64_t now, struct outbox *out);
void order_on_undone(struct order *self, const struct message *in);

/* returns.c: cancel and expire */
void order_on_cancel(struct order *self, const struct message *in, struct outbox *out);
void order_on_deadline(struct order *self, const struct message *in, int64_t now,
                       struct outbox *out);
void order_on_returned(struct order *self, const struct message *in, int64_t now,
                       struct outbox *out);
void order_on_return_failed(struct order *self, const struct message *in, struct outbox *out);
void order_send_returns(struct order *self, int64_t now, struct outbox *out);

/* seen.c: asked again */
void order_seen(struct order *self, const struct message *in, int64_t now, struct outbox *out);
void order_on_seen_found(struct order *self, const struct message *in, struct outbox *out);
void order_on_seen_failed(struct order *self, const struct message *in, struct outbox *out);
void order_ask_seen(struct order *self, int64_t now, struct outbox *out);

/* reads.c: get and list */
void order_on_get(struct order *self, const struct message *in, struct outbox *out);
void order_on_list(struct order *self, const struct message *in, int64_t now, struct outbox *out);
void order_on_view(struct order *self, const struct message *in, struct outbox *out);
void order_on_list_end(struct order *self, const struct message *in, struct outbox *out);
void order_on_list_failed(struct order *self, const struct message *in, struct outbox *out);
bool order_is_list(uint64_t request);

/* journal.c: reading it, drain, stop, lag */
void order_journal_row(struct order *self, const struct place *row, bool added, bool left);
void order_on_journal_end(struct order *self, const struct message *in, int64_t now);
void order_on_journal_failed(struct order *self, const struct message *in, int64_t now,
                             struct outbox *out);
void order_read_journal(struct order *self, int64_t now, struct outbox *out);
void order_on_drain(struct order *self, const struct message *in, int64_t now);
void order_on_stop(struct order *self, const struct message *in, int64_t now);
void order_grant_wishes(struct order *self, int64_t now, struct outbox *out);
void order_tell_lag(struct order *self, int64_t now, struct outbox *out);
/* To the host, at most once a second and only news. */
void order_tell_figures(struct order *self, int64_t now, struct outbox *out);

#endif
