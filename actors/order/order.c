/* Order: what comes in, and what answers it. */
#include "actors/order/order.h"

#include <assert.h>
#include <string.h>

#define MILLISECOND INT64_C(1000000)
enum { TICK_MS = 10, BATCHES_ASKED = 2 };

static void init_tables(struct order *self) {
    idmap_init(&self->row_map, self->row_cells, ORDER_ROW_CELLS);
    idmap_init(&self->pending_map, self->pending_cells, ORDER_ROW_CELLS);
    idmap_init(&self->entry_map, self->entry_cells, ORDER_ENTRY_CELLS);
    idmap_init(&self->undo_map, self->undo_cells, ORDER_UNDO_CELLS);
    idmap_init(&self->return_map, self->return_cells, ORDER_RETURN_CELLS);
    slots_init(&self->rows_free, self->row_free, ORDER_ROWS_MAX);
    slots_init(&self->entries_free, self->entry_free, ORDER_ENTRIES_MAX);
    slots_init(&self->undos_free, self->undo_free, ORDER_UNDOS_MAX);
    slots_init(&self->returns_free, self->return_free, ORDER_RETURNS_MAX);
    slots_init(&self->waiters_free, self->waiter_free, ORDER_WAITERS_MAX);
    heap_init(&self->waiting, self->waiting_items, self->waiting_places, ORDER_ROWS_MAX);
    chain_init(&self->asked, self->asked_links);
    chain_init(&self->undecided, self->undecided_links);
    chain_init(&self->settling, self->settling_links);
    chain_init(&self->undoing, self->undoing_links);
    chain_init(&self->leaving, self->leaving_links);
    chain_init(&self->returning, self->returning_links);
    chain_init(&self->seen, self->seen_links);
    chunks_init(&self->chunks, self->chunk_items, ORDER_CHUNKS_MAX);
}

static void take_settings(struct order *self, const struct settings *it) {
    self->journal_age_max = it->journal_age_max;
    self->idle_read = it->idle_read;
    self->journal.gap = it->idle_read;
}

static void init(void *state, const struct actor_setup *setup) {
    struct order *self = state;
    struct settings settings = actor_settings(setup);
    init_tables(self);
    take_settings(self, &settings);
    self->shard = setup->shard;
    uint32_t batch = setup->batch_max > 0 ? setup->batch_max : 1;
    self->asked_max = batch * BATCHES_ASKED;
    if (self->asked_max > ORDER_ROWS_MAX) self->asked_max = ORDER_ROWS_MAX;
    self->journal.unread = true;
    memcpy(&self->recover_request, setup->seed, sizeof self->recover_request);
    memcpy(&self->born, setup->seed + sizeof self->recover_request, sizeof self->born);
}

/* What we knew of undos under way is lost: only a new installation makes the counter right. */
static void on_started(struct order *self, int64_t now) {
    self->recovered = false;
    /* Another number than the one before a crash had, even where the seed is the same. */
    self->recover_request = (self->recover_request ^ (uint64_t)now) & INT64_MAX;
    self->returns_begun = self->recover_request;
    self->recover_at = now;
    self->journal.pass_at = self->journal.ended_at = now;
}

static void ask_recovery(struct order *self, int64_t now, struct outbox *out) {
    if (self->recovered || self->recover_at == 0 || now < self->recover_at) return;
    self->recover_at = now + 1000 * MILLISECOND;
    struct recover *recover =
        ASK(out, ACTOR_inventory, recover, ACTOR_order, self->recover_request, 0);
    recover->reason = text_of("the order actor has started");
}

static void on_done(struct order *self, const struct message *in) {
    if (in->head.from == PORT_redis) {
        order_on_settled(self, in);
    } else if (in->head.from == ACTOR_inventory && in->head.request == self->recover_request) {
        self->recovered = true;
    }
}

/* A refusal of something we asked for ourselves; or of a read, which its origin waits for. */
static void on_failed(struct order *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    const struct failed *got = BODY(in, failed);
    if (in->head.origin != ACTOR_order) {
        if (in->head.from == PORT_pg_shop) *ANSWER(out, in, failed) = *got;
        return;
    }
    switch (got->what) {
    case MSG_purchase_refuse:
    case MSG_purchase: order_on_purchase_failed(self, in, now, out); break;
    case MSG_order_return: order_on_return_failed(self, in, out); break;
    case MSG_journal_read: order_on_journal_failed(self, in, now, out); break;
    case MSG_order_find: order_on_seen_failed(self, in, out); break;
    case MSG_order_rows_get: order_on_list_failed(self, in, out); break;
    case MSG_undo: /* Its epoch may be one that was raised and never installed. */
        if (got->problem == PROBLEM_fenced) order_on_fence(self, now, out);
        break;
    default: break; /* undo, settle, recover: sent again when their time has come. */
    }
}

static void on_rows_end(struct order *self, const struct message *in, int64_t now,
                        struct outbox *out) {
    if (in->head.from == PORT_redis)
        order_on_journal_end(self, in, now);
    else
        order_on_list_end(self, in, out);
}

static void on_message(struct order *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch (in->head.type) {
    case MSG_started: on_started(self, now); break;
    case MSG_stop: order_on_stop(self, in, now); break;
    case MSG_settings: take_settings(self, BODY(in, settings)); break;
    case MSG_tick: order_ask_seen(self, now, out); break;
    case MSG_place: order_on_place(self, in, now, out); break;
    case MSG_decided: order_on_decided(self, in, now, out); break;
    case MSG_undone: order_on_undone(self, in); break;
    case MSG_drain: order_on_drain(self, in, now); break;
    case MSG_installed: order_raise_epoch(self, BODY(in, installed)->epoch); break;
    case MSG_order_get: order_on_get(self, in, out); break;
    case MSG_order_list: order_on_list(self, in, now, out); break;
    case MSG_order_cancel: order_on_cancel(self, in, out); break;
    case MSG_order_view: order_on_view(self, in, out); break;
    case MSG_returned: order_on_returned(self, in, now, out); break;
    case MSG_deadline: order_on_deadline(self, in, now, out); break;
    case MSG_done: on_done(self, in); break;
    case MSG_rows_end: on_rows_end(self, in, now, out); break;
    case MSG_failed: on_failed(self, in, now, out); break;
    default: break; /* Not for us; a newer sender. */
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct order *self = state;
    for (uint32_t i = 0; i < count; i++)
        on_message(self, &in[i], now, out);
    order_sweep(self, out);
    order_time_out_purchases(self, now);
    order_send_purchases(self, now, out);
    order_send_undos(self, now, out);
    order_send_settles(self, now, out);
    order_send_returns(self, now, out);
    ask_recovery(self, now, out);
    order_read_journal(self, now, out);
    order_grant_wishes(self, now, out);
    order_tell_lag(self, now, out);
    order_tell_figures(self, now, out);
}

static void check(const void *state) {
    const struct order *self = state;
    uint32_t undecided = self->waiting.count + self->asked.count;
    assert(self->undecided.count == undecided);
    assert(undecided <= self->rows_free.used);
    assert(self->row_map.count == self->rows_free.used);
    order_check_pending(self);
    assert(self->entry_map.count == self->entries_free.used);
    assert(self->undo_map.count == self->undos_free.used);
    assert(self->undoing.count == self->undos_free.used);
    assert(self->return_map.count == self->returns_free.used);
    assert(self->leaving.count + self->returning.count == self->returns_free.used);
    assert(self->returning.count <= ORDER_RETURNS_ASKED);
    assert(self->settling.count <= self->entries_free.used);
    assert(self->seen.count == self->waiters_free.used);
    assert(self->chunks.used <= ORDER_CHUNKS_MAX);
    assert(self->rows_free.used > 0 || self->chunks.used == 0);
    heap_check(&self->waiting);
}

const struct actor_type order_type = {
    .name = "order",
    .address = ACTOR_order,
    .state_size = sizeof(struct order),
    .batch_max = 512,
    .sends_max = 256, /* At most 5 of its own; the rest is room for what is sent again. */
    .tick_every = TICK_MS * MILLISECOND,
    .init = init,
    .handle = handle,
    .check = check,
};
