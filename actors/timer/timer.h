/* Timer: every deadline of a shard, precise to its tick; those of sales are all with the timer of
 * shard 0.  Holds the near ones in a heap; PostgreSQL holds the
 * unpaid orders, and those due within the next while are loaded again and again, so that a
 * deadline_set that was lost, or that found the heap full, still fires in time.
 *
 * Invariants: a deadline is in the heap and in the map of its kind, or in neither; no more than
 * TIMER_MAX are held; a deadline fires once and is forgotten then. */
#ifndef TIMER_H
#define TIMER_H

#include "actors/actor.h"
#include "actors/lib/heap.h"
#include "actors/lib/idmap.h"
#include "actors/lib/slots.h"

enum {
    TIMER_MAX = 1 << 18,
    TIMER_CELLS = 1 << 19, /* Of the map of pay_by. */
    TIMER_SALE_MAX = 4096, /* Of each other kind. */
    TIMER_SALE_CELLS = 8192,
    TIMER_KINDS = 5,   /* deadline_kind, 0 unused */
    TIMER_PAGE = 1000, /* Rows of one load. */
};

struct timer_deadline {
    int64_t id;
    enum deadline_kind kind;
};

struct timer {
    uint8_t shard;
    bool loading;
    uint64_t load; /* Number of the load under way. */
    int64_t load_at, load_after, load_until, load_last;
    uint32_t load_rows;
    int64_t next_load;
    uint64_t left_out; /* Deadlines that found no room. */

    struct heap heap;
    struct slots free;
    struct idmap maps[TIMER_KINDS];

    struct timer_deadline deadlines[TIMER_MAX];
    struct link links[TIMER_MAX];
    struct heap_item items[TIMER_MAX];
    uint32_t places[TIMER_MAX];
    struct idmap_cell cells[TIMER_CELLS];
    struct idmap_cell sale_cells[TIMER_KINDS][TIMER_SALE_CELLS];
};

/* load.c */
void timer_load(struct timer *self, int64_t now, struct outbox *out);
void timer_on_row(struct timer *self, const struct message *in);
void timer_on_rows_end(struct timer *self, const struct message *in, int64_t now,
                       struct outbox *out);
void timer_on_load_failed(struct timer *self, const struct message *in, int64_t now);

/* timer.c */
/* Remembers, replaces or (at = 0) forgets.  False: no room. */
bool timer_set(struct timer *self, enum deadline_kind kind, int64_t id, int64_t at);
bool timer_has(const struct timer *self, enum deadline_kind kind, int64_t id);

#endif
