/* sale_view, lot_view of PostgreSQL -> (kept) + sale_view, lot_view to bridges and session
 * sale_rows_get, lot_rows_get -> rows, rows_end | failed;  catalogue_check -> rows_end | failed */
#include <assert.h>
#include <string.h>

#include "actors/catalogue/catalogue.h"

/* A slice of the batch lives shorter than we do. */
static uint32_t keep_title(char to[CATALOGUE_TITLE_MAX], struct text title) {
    uint32_t size = title.size < CATALOGUE_TITLE_MAX ? title.size : CATALOGUE_TITLE_MAX;
    if (size > 0) memcpy(to, title.at, size);
    return size;
}

struct catalogue_sale *catalogue_sale(struct catalogue *self, int64_t sale_id) {
    for (uint32_t i = 0; i < self->sale_count; i++) {
        if (self->sales[i].sale_id == sale_id) return &self->sales[i];
    }
    return NULL;
}

struct catalogue_lot *catalogue_lot(struct catalogue *self, int64_t lot_id) {
    uint32_t at = 0;
    if (lot_id == 0 || !idmap_get(&self->lot_map, lot_id, &at)) return NULL;
    return &self->lots[at];
}

/* A row may have another place, or be gone, before the batch has been handled. */
static struct text copy_title(const char *title, uint32_t size, struct outbox *out) {
    char *copy = outbox_text(out, size);
    if (size > 0) memcpy(copy, title, size);
    return (struct text){ copy, size };
}

void catalogue_fill_sale(const struct catalogue_sale *sale, struct sale_view *view,
                         struct outbox *out) {
    view->sale_id = sale->sale_id;
    view->title = copy_title(sale->title, sale->title_size, out);
    view->state = sale->state;
    view->opens_at = sale->opens_at;
    view->closes_at = sale->closes_at;
    view->pay_window = sale->pay_window;
    view->version = sale->version;
}

static void fill_lot(const struct catalogue_lot *lot, struct lot_view *view, struct outbox *out) {
    view->lot_id = lot->lot_id;
    view->sku_id = lot->sku_id;
    view->title = copy_title(lot->title, lot->title_size, out);
    view->price = lot->price;
    view->allocated = lot->allocated;
    view->available = lot->hot != lot_state_none ? lot->available : lot->allocated - lot->sold;
    view->per_buyer_limit = lot->per_buyer_limit;
    view->sale_id = lot->sale_id;
    view->shard = lot->shard;
    view->state = lot->state;
    view->sold = lot->sold;
    view->price_version = lot->price_version;
    view->version = lot->version;
}

static void tell_sale(const struct catalogue_sale *sale, struct outbox *out) {
    catalogue_fill_sale(sale, EVERY(out, ACTOR_bridge, sale_view), out);
    catalogue_fill_sale(sale, SEND(out, ACTOR_session, sale_view, NULL), out);
}

/* The timer wakes us to the second; our own look at the clock is what counts. */
static void set_deadline(enum deadline_kind kind, int64_t id, int64_t at, struct outbox *out) {
    outbox_about(out, 0); /* The deadlines of sales are all with one timer. */
    struct deadline_set *set = SEND(out, ACTOR_timer, deadline_set, NULL);
    set->kind = kind;
    set->id = id;
    set->at = at;
}

static void set_deadlines(const struct catalogue_sale *sale, struct outbox *out) {
    enum sale_state state = sale->state;
    int64_t warm_at = sale->opens_at - 30 * CATALOGUE_SECOND;
    if (state == sale_state_scheduled) {
        set_deadline(deadline_kind_sale_warm, sale->sale_id, warm_at > 0 ? warm_at : 1, out);
    }
    if (state >= sale_state_scheduled && state <= sale_state_ready) {
        set_deadline(deadline_kind_sale_open, sale->sale_id, sale->opens_at, out);
    }
    if (state >= sale_state_scheduled && state <= sale_state_paused) {
        set_deadline(deadline_kind_sale_close, sale->sale_id, sale->closes_at, out);
    }
}

static void drop_lots(struct catalogue *self, int64_t sale_id) {
    for (uint32_t i = 0; i < self->lot_count;) {
        if (self->lots[i].sale_id != sale_id) {
            i++;
            continue;
        }
        idmap_remove(&self->lot_map, self->lots[i].lot_id);
        self->lots[i] = self->lots[--self->lot_count];
        if (i < self->lot_count) idmap_put(&self->lot_map, self->lots[i].lot_id, i);
    }
}

/* Archived: nobody sells from it any more, its place is free. */
static void drop_sale(struct catalogue *self, struct catalogue_sale *sale) {
    drop_lots(self, sale->sale_id);
    *sale = self->sales[--self->sale_count];
    /* Rows have changed places: snapshots under way begin again, repetitions do no harm. */
    for (uint32_t i = 0; i < CATALOGUE_READERS_MAX; i++) {
        self->readers[i].next = 0;
        self->readers[i].count = 0;
        self->readers[i].news = self->news;
    }
}

static struct catalogue_sale *make_sale(struct catalogue *self, const struct sale_view *view) {
    if (view->state == sale_state_archived || self->sale_count == CATALOGUE_SALES_MAX) return NULL;
    struct catalogue_sale *sale = &self->sales[self->sale_count++];
    *sale = (struct catalogue_sale){ .sale_id = view->sale_id, .version = -1 };
    return sale;
}

void catalogue_learn_sale(struct catalogue *self, const struct sale_view *view, int64_t now,
                          struct outbox *out) {
    struct catalogue_sale *sale = catalogue_sale(self, view->sale_id);
    if (sale == NULL) sale = make_sale(self, view);
    if (sale == NULL || view->version <= sale->version) return;
    bool moved = sale->state != view->state, fresh = sale->state == sale_state_none;
    sale->version = view->version;
    sale->refused = 0;
    sale->state = view->state;
    sale->opens_at = view->opens_at;
    sale->closes_at = view->closes_at;
    sale->pay_window = view->pay_window;
    sale->title_size = keep_title(sale->title, view->title);
    self->dirty = true;
    self->news++;
    tell_sale(sale, out);
    if (!moved) return;
    if (sale->goal == sale->state) sale->goal = sale_state_none;
    sale->settling = SETTLING_no;
    sale->settle_at = 0;
    sale->lots_stale = !fresh;
    sale->stale_at = 0;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].sale_id == sale->sale_id) self->lots[i].sent_at = 0;
    }
    set_deadlines(sale, out);
    if (sale->state != sale_state_archived) return;
    catalogue_answer_waiters(self, now, out);
    drop_sale(self, sale);
}

void catalogue_learn_lot(struct catalogue *self, const struct lot_view *view, struct outbox *out) {
    struct catalogue_lot *lot = catalogue_lot(self, view->lot_id);
    if (lot == NULL) {
        if (self->lot_count == CATALOGUE_LOTS_MAX) return;
        lot = &self->lots[self->lot_count];
        *lot = (struct catalogue_lot){ .lot_id = view->lot_id, .version = -1 };
        bool kept = idmap_put(&self->lot_map, view->lot_id, self->lot_count);
        assert(kept);
        self->lot_count++;
    }
    if (view->version <= lot->version) return;
    lot->version = view->version;
    lot->sale_id = view->sale_id;
    lot->sku_id = view->sku_id;
    lot->price = view->price;
    lot->allocated = view->allocated;
    lot->sold = view->sold;
    lot->per_buyer_limit = view->per_buyer_limit;
    lot->shard = view->shard;
    lot->price_version = view->price_version;
    lot->state = view->state;
    lot->title_size = keep_title(lot->title, view->title);
    self->dirty = true;
    self->news++;
    fill_lot(lot, EVERY(out, ACTOR_bridge, lot_view), out);
    fill_lot(lot, SEND(out, ACTOR_session, lot_view, NULL), out);
}

void catalogue_on_rows_get(struct catalogue *self, const struct message *in, int64_t sale_id,
                           struct outbox *out) {
    if (!self->sales_known || !self->lots_known) {
        outbox_reply_failed(out, in, PROBLEM_unavailable);
        return;
    }
    for (uint32_t i = 0; i < CATALOGUE_READERS_MAX; i++) {
        if (self->readers[i].used) continue;
        self->readers[i] = (struct reader){
            .used = true, .head = in->head, .sale_id = sale_id, .news = self->news
        };
        return;
    }
    outbox_reply_failed(out, in, PROBLEM_overloaded);
}

void catalogue_on_check(struct catalogue *self, const struct message *in, struct outbox *out) {
    if (!self->sales_known || !self->lots_known) {
        outbox_reply_failed(out, in, PROBLEM_unavailable);
        return;
    }
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = in->head.type;
    end->next = self->news;
}

/* One row, or false when the one at `next` is not wanted. */
static bool read_row(const struct catalogue *self, const struct reader *reader,
                     const struct message *cause, struct outbox *out) {
    if (reader->head.type == MSG_sale_rows_get) {
        const struct catalogue_sale *sale = &self->sales[reader->next];
        if (reader->sale_id != 0 && reader->sale_id != sale->sale_id) return false;
        catalogue_fill_sale(sale, REPLY(out, cause, sale_view), out);
        return true;
    }
    const struct catalogue_lot *lot = &self->lots[reader->next];
    if (reader->sale_id != 0 && reader->sale_id != lot->sale_id) return false;
    fill_lot(lot, REPLY(out, cause, lot_view), out);
    return true;
}

void catalogue_read(struct catalogue *self, struct outbox *out) {
    for (uint32_t i = 0; i < CATALOGUE_READERS_MAX; i++) {
        struct reader *reader = &self->readers[i];
        if (!reader->used) continue;
        const struct message cause = { .head = reader->head };
        uint32_t rows = reader->head.type == MSG_sale_rows_get ? self->sale_count : self->lot_count;
        while (reader->next < rows && outbox_room(out) > 1) {
            if (read_row(self, reader, &cause, out)) reader->count++;
            reader->next++;
        }
        if (reader->next < rows || outbox_room(out) == 0) return;
        struct rows_end *end = REPLY(out, &cause, rows_end);
        end->what = reader->head.type;
        end->count = reader->count;
        end->next = reader->news;
        reader->used = false;
    }
}
