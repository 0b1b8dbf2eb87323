/* place -> purchase (in rid order);  failed of a purchase -> the same again, later */
#include <assert.h>

#include "actors/order/order.h"
#include "schema/id.h"

#define MILLISECOND INT64_C(1000000)
static const int64_t backoff_least = 100 * MILLISECOND, backoff_most = 1000 * MILLISECOND;
static const int64_t answer_limit = 5000 * MILLISECOND, answer_most = 80000 * MILLISECOND;

struct order_row *order_row(struct order *self, int64_t rid) {
    uint32_t slot;
    return idmap_get(&self->row_map, rid, &slot) ? &self->rows[slot] : NULL;
}

static uint32_t slot_of(const struct order *self, const struct order_row *row) {
    return (uint32_t)(row - self->rows);
}

const struct order_row *order_pending_row(const struct order *self, int64_t order_id) {
    uint32_t slot;
    return idmap_get(&self->pending_map, order_id, &slot) ? &self->rows[slot] : NULL;
}

static bool is_pending(const struct order_row *row) {
    return row->kind != reserve_kind_late;
}

static void pending_put(struct order *self, uint32_t slot) {
    if (!is_pending(&self->rows[slot])) return;
    bool kept = idmap_put(&self->pending_map, self->rows[slot].order_id, slot);
    assert(kept); /* There are more cells than rows. */
    (void)kept;
    self->pending_rows++;
}

/* The row is undecided no more.  Another one of its order may be: a refused reservation that the
 * journal brings once more, beside the next one with the same ticket.  Only then it is searched. */
static void pending_remove(struct order *self, uint32_t slot) {
    uint32_t found, other;
    int64_t order_id = self->rows[slot].order_id;
    if (!is_pending(&self->rows[slot])) return;
    self->pending_rows--;
    if (!idmap_get(&self->pending_map, order_id, &found) || found != slot) return;
    idmap_remove(&self->pending_map, order_id);
    if (self->pending_rows == self->pending_map.count) return;
    bool more = chain_first(&self->undecided, &other);
    for (; more; more = chain_next(&self->undecided, &other)) {
        if (self->rows[other].order_id != order_id || !is_pending(&self->rows[other])) continue;
        idmap_put(&self->pending_map, order_id, other);
        return;
    }
}

/* The oldest row stands for all: looking at each would cost more than the work itself. */
void order_check_pending(const struct order *self) {
    uint32_t slot, found = 0;
    assert(self->pending_map.count <= self->pending_rows);
    assert(self->pending_rows <= self->undecided.count);
    if (!chain_first(&self->undecided, &slot) || !is_pending(&self->rows[slot])) return;
    bool mapped = idmap_get(&self->pending_map, self->rows[slot].order_id, &found);
    assert(mapped && self->rows[found].order_id == self->rows[slot].order_id);
    assert(self->rows[found].state != ROW_decided && is_pending(&self->rows[found]));
    (void)mapped;
}

void order_tell_recovering(struct outbox *out, const struct head *head, int64_t order_id) {
    struct message cause = { .head = *head };
    if (head->origin == NOBODY) return;
    struct failed *failed = ANSWER(out, &cause, failed);
    failed->problem = PROBLEM_recovering;
    failed->what = MSG_reserve;
    failed->retry_after = 1;
    failed->id = order_id;
}

/* ---- Coming in ---- */

/* NULL: no room.  The row is in the journal, and is read there when there is. */
static struct order_row *add(struct order *self, const struct message *in, int64_t now) {
    const struct place *place = BODY(in, place);
    int64_t entry_id = place->entry != 0 ? place->entry : place->rid;
    uint32_t slot, address;
    struct order_entry *entry = order_entry_make(self, entry_id, place->rows, now);
    if (entry == NULL || !slots_take(&self->rows_free, &slot)) return NULL;
    if (!chunks_put(&self->chunks, place->address, &address)) {
        slots_give(&self->rows_free, slot);
        return NULL;
    }
    self->rows[slot] = (struct order_row){
        .head = in->head,
        .rid = place->rid,
        .entry = entry_id,
        .order_id = place->order_id,
        .user_id = place->user_id,
        .lot_id = place->lot_id,
        .quantity = place->quantity,
        .price_version = place->price_version,
        .kind = place->kind,
        .state = ROW_waiting,
        .address = address,
        .address_size = place->address.size,
        .since = now,
    };
    if (place->recovered) self->rows[slot].head.origin = NOBODY;
    idmap_put(&self->row_map, place->rid, slot);
    entry->known++;
    heap_set(&self->waiting, slot, place->rid);
    chain_append(&self->undecided, slot);
    pending_put(self, slot);
    return &self->rows[slot];
}

/* It is in the window: brought by the journal, or twice. */
static void known_again(struct order *self, struct order_row *row, const struct message *in,
                        int64_t now, struct outbox *out) {
    const struct place *place = BODY(in, place);
    if (place->recovered) {
        struct order_entry *entry = order_entry(self, row->entry);
        /* Still in the journal although it was settled: the settle may be lost. */
        if (entry != NULL && entry->settling) entry->sent_at -= MILLISECOND * 500;
    } else if (row->state == ROW_decided) {
        order_seen(self, in, now, out); /* The journal was faster; he still waits. */
    } else if (row->head.origin == NOBODY) {
        row->head = in->head;
    }
}

void order_on_place(struct order *self, const struct message *in, int64_t now, struct outbox *out) {
    const struct place *place = BODY(in, place);
    if (place->seen) { /* Its rid may be of any epoch. */
        order_seen(self, in, now, out);
        return;
    }
    uint32_t epoch = rid_epoch(place->rid);
    if (epoch < self->epoch) { /* Never to be decided: R2 has passed it by. */
        if (!place->recovered) order_tell_recovering(out, &in->head, place->order_id);
        return;
    }
    if (epoch > self->epoch) order_raise_epoch(self, epoch); /* `installed` was lost, or is late. */
    if (!place->recovered) {
        self->journal.gap = self->idle_read;
        self->journal.busy_at = now;
    }
    struct order_row *row = order_row(self, place->rid);
    bool added = false, left = false;
    if (row != NULL) {
        known_again(self, row, in, now, out);
    } else {
        added = add(self, in, now) != NULL;
        left = !added;
    }
    if (left) {
        self->left_out++;
        self->journal.unread = true;
    }
    if (place->recovered) order_journal_row(self, place, added, left);
}

/* ---- Going out ---- */

static void undecided_no_more(struct order *self, struct order_row *row) {
    uint32_t slot = slot_of(self, row);
    heap_remove(&self->waiting, slot);
    if (row->state == ROW_asked) chain_remove(&self->asked, slot);
    if (row->state != ROW_decided) {
        chain_remove(&self->undecided, slot);
        pending_remove(self, slot);
    }
    chunks_drop(&self->chunks, row->address);
    row->address = row->address_size = 0;
}

void order_row_decided(struct order *self, struct order_row *row) {
    assert(row->state != ROW_decided);
    undecided_no_more(self, row);
    row->state = ROW_decided;
}

void order_row_drop(struct order *self, struct order_row *row) {
    struct order_entry *entry = order_entry(self, row->entry);
    undecided_no_more(self, row);
    if (entry != NULL) {
        entry->known--;
        if (row->state == ROW_decided) entry->decided--;
    }
    idmap_remove(&self->row_map, row->rid);
    slots_give(&self->rows_free, slot_of(self, row));
    row->rid = 0;
}

void order_row_again(struct order *self, struct order_row *row) {
    assert(row->state == ROW_asked);
    chain_remove(&self->asked, slot_of(self, row));
    row->state = ROW_waiting;
    heap_set(&self->waiting, slot_of(self, row), row->rid);
}

/* Both kinds of question name the row by the same fields. */
#define NAME_ROW(question, row, at)                                                                \
    do {                                                                                           \
        (question)->rid = (row)->rid;                                                              \
        (question)->order_id = (row)->order_id;                                                    \
        (question)->user_id = (row)->user_id;                                                      \
        (question)->lot_id = (row)->lot_id;                                                        \
        (question)->quantity = (row)->quantity;                                                    \
        (question)->now = (at);                                                                    \
    } while (0)

static void send_purchase(struct order *self, struct order_row *row, int64_t now,
                          struct outbox *out) {
    struct purchase *purchase =
        ASK(out, PORT_pg_shard, purchase, ACTOR_order, (uint64_t)row->rid, row->head.trace);
    NAME_ROW(purchase, row, now);
    purchase->kind = row->kind;
    purchase->price_version = row->price_version;
    if (row->address_size > 0) {
        char *address = outbox_text(out, row->address_size);
        chunks_get(&self->chunks, row->address, row->address_size, address);
        purchase->address = (struct text){ address, row->address_size };
    }
}

void order_send_purchases(struct order *self, int64_t now, struct outbox *out) {
    const struct heap_item *first;
    while (order_room(out, 2) && (first = heap_first(&self->waiting)) != NULL) {
        struct order_row *row = &self->rows[first->slot];
        if (rid_epoch(row->rid) < self->epoch) { /* They come first: the smallest rids. */
            order_tell_recovering(out, &row->head, row->order_id);
            order_row_drop(self, row);
            continue;
        }
        if (now < self->retry_at || self->asked.count >= self->asked_max) break;
        if (!order_undo_room(self)) break;
        send_purchase(self, row, now, out);
        heap_remove(&self->waiting, slot_of(self, row));
        row->state = ROW_asked;
        row->asked_at = now;
        chain_append(&self->asked, slot_of(self, row));
    }
}

/* ---- When it goes wrong ---- */

void order_back_off(struct order *self, int64_t now) {
    if (now < self->retry_at) return; /* The same failure, told of many rows. */
    self->backoff = self->backoff == 0 ? backoff_least : self->backoff * 2;
    if (self->backoff > backoff_most) self->backoff = backoff_most;
    self->retry_at = now + self->backoff;
}

/* PostgreSQL cannot carry this row out even alone: it is refused, for good and on record, instead
 * of being tried for ever.  `decided` tells when that is kept. */
static void refuse_poison(struct order *self, struct order_row *row, int64_t now,
                          struct outbox *out) {
    struct purchase_refuse *refuse =
        ASK(out, PORT_pg_shard, purchase_refuse, ACTOR_order, (uint64_t)row->rid, row->head.trace);
    NAME_ROW(refuse, row, now);
    self->poisoned++;
}

void order_on_purchase_failed(struct order *self, const struct message *in, int64_t now,
                              struct outbox *out) {
    struct order_row *row = order_row(self, (int64_t)in->head.request);
    self->answer_wait = answer_limit;
    if (row == NULL || row->state != ROW_asked) return;
    if (BODY(in, failed)->problem == PROBLEM_internal && BODY(in, failed)->what == MSG_purchase) {
        refuse_poison(self, row, now, out);
        return;
    }
    if (BODY(in, failed)->problem == PROBLEM_fenced) order_on_fence(self, now, out);
    order_back_off(self, now);
    order_row_again(self, row); /* Committed or not: the same row again, and SAME comes back. */
}

void order_time_out_purchases(struct order *self, int64_t now) {
    uint32_t slot;
    bool late = false;
    if (self->answer_wait == 0) self->answer_wait = answer_limit;
    while (chain_first(&self->asked, &slot) &&
           now - self->rows[slot].asked_at > self->answer_wait) {
        order_row_again(self, &self->rows[slot]);
        late = true;
    }
    /* Silence may mean that they wait in its mailbox: not to be filled without end. */
    if (late && self->answer_wait < answer_most) self->answer_wait *= 2;
}

/* ---- Epochs ---- */

void order_raise_epoch(struct order *self, uint32_t epoch) {
    if (epoch <= self->epoch) return;
    self->epoch = epoch;
    self->sweep_row = self->sweep_entry = 0;
    self->journal.unread = true;
    self->journal.reading = false; /* Its rows would be of the old epoch. */
    self->journal.after = 0;
    self->journal.number++;
}

void order_sweep(struct order *self, struct outbox *out) {
    while (self->sweep_row < self->rows_free.fresh && order_room(out, 2)) {
        struct order_row *row = &self->rows[self->sweep_row++];
        if (row->rid == 0 || rid_epoch(row->rid) >= self->epoch) continue;
        if (row->state != ROW_decided) order_tell_recovering(out, &row->head, row->order_id);
        order_row_drop(self, row);
    }
    if (self->sweep_row < self->rows_free.fresh) return;
    while (self->sweep_entry < self->entries_free.fresh) {
        struct order_entry *entry = &self->entries[self->sweep_entry++];
        if (entry->entry == 0 || rid_epoch(entry->entry) >= self->epoch) continue;
        order_entry_drop(self, entry);
    }
}
