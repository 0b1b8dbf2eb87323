/* schema/sql/0006_outbox.sql in C; every user is one who has a mail address. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_pg.h"

enum { BATCHES_AT_ONCE = 8 };

void model_pg_notice(struct model_pg *self, enum notice notice, int64_t user_id, int64_t order_id,
                     int64_t at, uint32_t batch) {
    self->notices =
        model_pg_grow(self->notices, self->notice_count, &self->notice_room, sizeof *self->notices);
    bool first = batch != 0 &&
                 (self->notice_count == 0 || self->notices[self->notice_count - 1].batch != batch);
    if (batch == 0 || first) self->outbox_last++;
    self->notices[self->notice_count++] = (struct pg_notice){ .outbox_id = self->outbox_last,
                                                              .user_id = user_id,
                                                              .order_id = order_id,
                                                              .created_at = model_pg_time(at),
                                                              .next_at = model_pg_time(at),
                                                              .notice = notice,
                                                              .batch = batch };
}

/* Up to eight batches, the oldest first: one row per order instead, behind all there are. */
static void take_apart(struct model_pg *self) {
    uint32_t batches = 0, batch = 0;
    for (uint32_t i = 0; i < self->notice_count; i++) {
        struct pg_notice *row = &self->notices[i];
        if (row->batch == 0) continue;
        if (row->batch != batch && ++batches > BATCHES_AT_ONCE) return;
        batch = row->batch;
        row->batch = 0;
        row->outbox_id = ++self->outbox_last;
    }
}

static bool is_open(const struct pg_notice *row) {
    return !row->sent && !row->dead;
}

/* "Please pay" must not arrive behind "expired"; a batch that is not taken apart may be about
 * anybody.  Rows stand in the order of their commits. */
static bool older_is_left(const struct model_pg *self, const struct pg_notice *row) {
    for (const struct pg_notice *other = self->notices; other < row; other++) {
        if (other->batch != 0) return true;
        if (other->order_id == row->order_id && is_open(other)) return true;
    }
    return false;
}

static int by_next(const void *a, const void *b) {
    const struct pg_notice *const *left = a, *const *right = b;
    if ((*left)->next_at != (*right)->next_at) return (*left)->next_at < (*right)->next_at ? -1 : 1;
    return (*left)->outbox_id < (*right)->outbox_id ? -1 : 1;
}

static int by_id(const void *a, const void *b) {
    const struct pg_notice *const *left = a, *const *right = b;
    return (*left)->outbox_id < (*right)->outbox_id ? -1 : 1;
}

static void answer_row(struct model_pg *self, const struct message *in,
                       const struct pg_notice *notice, struct outbox *out) {
    const struct pg_order *order = model_pg_order(self, notice->order_id);
    struct outbox_row *row = REPLY(out, in, outbox_row);
    row->outbox_id = notice->outbox_id;
    row->notice = notice->notice;
    row->login = outbox_printf(out, "u%" PRId64 "@here", notice->user_id);
    row->order_id = notice->order_id;
    row->attempts = notice->attempts;
    if (order == NULL) return;
    row->title = text_of("Lamp red");
    row->quantity = order->quantity;
    row->total = (struct money){ order->price * order->quantity, "CNY" };
    row->pay_by = order->pay_by;
}

static void outbox_take(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct outbox_take *want = BODY(in, outbox_take);
    uint32_t count = 0;
    take_apart(self);
    struct pg_notice **due = malloc((self->notice_count + 1) * sizeof *due);
    if (due == NULL) abort();
    for (uint32_t i = 0; i < self->notice_count; i++) {
        struct pg_notice *row = &self->notices[i];
        if (!is_open(row) || row->batch != 0 || row->next_at > model_pg_time(want->now)) continue;
        if (!older_is_left(self, row)) due[count++] = row;
    }
    if (count > 0) qsort(due, count, sizeof *due, by_next);
    if (count > want->limit) count = want->limit;
    for (uint32_t i = 0; i < count; i++)
        due[i]->next_at = model_pg_time(want->lease_until);
    if (count > 0) qsort(due, count, sizeof *due, by_id);
    for (uint32_t i = 0; i < count; i++)
        answer_row(self, in, due[i], out);
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = MSG_outbox_take;
    end->count = count;
    free(due);
}

static struct pg_notice *open_row(struct model_pg *self, int64_t outbox_id) {
    for (uint32_t i = 0; i < self->notice_count; i++) {
        struct pg_notice *row = &self->notices[i];
        if (row->batch == 0 && row->outbox_id == outbox_id) return is_open(row) ? row : NULL;
    }
    return NULL;
}

static void outbox_done(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct outbox_done *want = BODY(in, outbox_done);
    struct pg_notice *row = open_row(self, want->outbox_id);
    if (row != NULL) {
        row->sent = want->dead == 0;
        row->dead = want->dead != 0;
    }
    struct done *done = REPLY(out, in, done);
    done->what = in->head.type;
    done->id = want->outbox_id;
    done->count = 1;
}

static void outbox_retry(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct outbox_retry *want = BODY(in, outbox_retry);
    struct pg_notice *row = open_row(self, want->outbox_id);
    struct done *done = REPLY(out, in, done);
    done->what = in->head.type;
    if (row == NULL) return;
    row->attempts++;
    row->next_at = model_pg_time(want->next_at);
    done->id = want->outbox_id;
    done->count = 1;
}

bool model_pg_outbox(struct model_pg *self, const struct message *in, struct outbox *out) {
    switch (in->head.type) {
    case MSG_outbox_take: outbox_take(self, in, out); return true;
    case MSG_outbox_done: outbox_done(self, in, out); return true;
    case MSG_outbox_retry: outbox_retry(self, in, out); return true;
    default: return false;
    }
}
