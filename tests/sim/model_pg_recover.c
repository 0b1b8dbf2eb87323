/* shard_recover of schema/sql/0003_orders.sql: R2. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_pg.h"

enum { HOLDERS_CHUNK = 45000, ENDED_MAX = 100, LINE_MOST = 84 };

/* By buyer; of each those that hold units first, then the latest. */
static int later_first(const void *a, const void *b) {
    const struct pg_order *const *left = a, *const *right = b;
    bool holds = model_pg_holds((*left)->state), other = model_pg_holds((*right)->state);
    if ((*left)->user_id != (*right)->user_id) {
        return (*left)->user_id < (*right)->user_id ? -1 : 1;
    }
    if (holds != other) return holds ? -1 : 1;
    return (*left)->order_id > (*right)->order_id ? -1 : 1;
}

static int by_order(const void *a, const void *b) {
    const struct pg_order *const *left = a, *const *right = b;
    return (*left)->order_id < (*right)->order_id ? -1 : 1;
}

struct recovery {
    const struct message *in;
    struct outbox *out;
    uint32_t epoch, rows, timeline;
};

static struct recovered *add_row(struct recovery *to) {
    struct recovered *row = REPLY(to->out, to->in, recovered);
    row->epoch = to->epoch;
    row->row = ++to->rows;
    row->timeline = to->timeline;
    return row;
}

static void add_chunk(struct recovery *to, int64_t lot_id, const char *at, size_t size) {
    if (size == 0) return;
    struct recovered *row = add_row(to);
    row->lot_id = lot_id;
    row->holders = (struct text){ at, (uint32_t)size };
}

/* One buyer's orders, the oldest first. */
static size_t print_line(char *to, const struct pg_order **orders, uint32_t count) {
    size_t size = 0;
    qsort(orders, count, sizeof *orders, by_order);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t units = model_pg_holds(orders[i]->state) ? orders[i]->quantity : 0;
        size += (size_t)snprintf(to + size, LINE_MOST, "%" PRId64 ":%" PRId64 ":%" PRId64 ":%u;",
                                 orders[i]->user_id, orders[i]->order_id, orders[i]->rid, units);
    }
    return size;
}

/* Of a buyer's orders that hold nothing any more the last hundred; all of one buyer in one row. */
static void add_holders(struct model_pg *self, struct recovery *to, int64_t lot_id) {
    const struct pg_order **found = malloc((self->order_count + 1) * sizeof *found);
    char *text = outbox_text(to->out, (size_t)self->order_count * LINE_MOST + 1);
    uint32_t count = 0;
    size_t size = 0, from = 0, chunk = 0;
    if (found == NULL) abort();
    for (uint32_t i = 0; i < self->order_count; i++) {
        if (self->orders[i].lot_id == lot_id) found[count++] = &self->orders[i];
    }
    if (count > 0) qsort(found, count, sizeof *found, later_first);
    for (uint32_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && found[i + n]->user_id == found[i]->user_id;)
            n++;
        size_t line = print_line(text + size, &found[i], n < ENDED_MAX ? n : ENDED_MAX);
        if ((size + line) / HOLDERS_CHUNK != chunk) {
            add_chunk(to, lot_id, text + from, size - from);
            chunk = (size + line) / HOLDERS_CHUNK;
            from = size;
        }
        size += line;
    }
    add_chunk(to, lot_id, text + from, size - from);
    free(found);
}

static void raise_epoch(struct pg_shard *shard, const struct shard_recover *want) {
    uint32_t higher = want->redis_epoch > shard->epoch ? want->redis_epoch : shard->epoch;
    shard->epoch = higher + 1;
    shard->boot = want->boot;
    uint32_t size = want->run_id.size < 64 ? want->run_id.size : 64;
    if (size > 0) memcpy(shard->run_id, want->run_id.at, size);
    shard->run_id[size] = 0;
}

void model_pg_recover(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct shard_recover *want = BODY(in, shard_recover);
    struct pg_shard *shard = &self->shards[want->shard];
    raise_epoch(shard, want);
    struct recovery to = { in, out, shard->epoch, 0, self->timeline };
    add_row(&to);
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct pg_lot *lot = &self->lots[i];
        if (lot->state == lot_state_settled || lot->shard != want->shard) continue;
        struct recovered *row = add_row(&to);
        row->lot_id = lot->lot_id;
        row->state = lot->state;
        row->available = lot->allocated - lot->sold;
        row->per_buyer_limit = lot->limit;
        row->allocated = lot->allocated;
    }
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct pg_lot *lot = &self->lots[i];
        if (lot->state != lot_state_settled && lot->shard == want->shard) {
            add_holders(self, &to, lot->lot_id);
        }
    }
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = MSG_shard_recover;
    end->count = to.rows;
}
