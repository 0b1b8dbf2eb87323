/* The catalogue's table of messages, and what it does when time passes. */
#include "actors/catalogue/catalogue.h"

#include <assert.h>

static void init(void *state, const struct actor_setup *setup) {
    struct catalogue *self = state;
    self->shards = setup->shards > 0 ? setup->shards : 1;
    self->ids.worker = setup->worker;
    self->reconcile_every = actor_settings(setup).reconcile_every;
    idmap_init(&self->lot_map, self->lot_cells, CATALOGUE_LOT_CELLS);
}

/* Asked again until all has come: PostgreSQL may start after us. */
static void load(struct catalogue *self, int64_t now, struct outbox *out) {
    if (self->sales_known && self->lots_known) return;
    if (self->asked_at != 0 && now - self->asked_at < CATALOGUE_SECOND) return;
    self->asked_at = now;
    /* Begins with the clock: a count from before a restart finds no run. */
    if (self->runs_made == 0) self->runs_made = (uint64_t)(now / 1000);
    if (self->news == 0) self->news = now;
    ASK(out, PORT_pg_shop, sale_rows_get, ACTOR_catalogue, 0, 0);
    ASK(out, PORT_pg_shop, lot_rows_get, ACTOR_catalogue, 0, 0);
}

static void on_own_end(struct catalogue *self, const struct message *in, int64_t now) {
    uint32_t what = BODY(in, rows_end)->what;
    struct run *run = catalogue_run(self, in->head.request);
    if (run != NULL) {
        if (what == MSG_lot_account_get) catalogue_run_accounts_end(self, run, now);
        return;
    }
    self->dirty = true;
    if (in->head.request == 0) {
        /* A row that is lost on the way would be a sale nobody can close. */
        uint32_t rows = BODY(in, rows_end)->count;
        bool sales = self->sale_count >= rows || self->sale_count == CATALOGUE_SALES_MAX;
        bool lots = self->lot_count >= rows || self->lot_count == CATALOGUE_LOTS_MAX;
        if (what == MSG_sale_rows_get && sales) self->sales_known = true;
        if (what == MSG_lot_rows_get && lots) self->lots_known = true;
        return;
    }
    struct catalogue_sale *sale = catalogue_sale(self, (int64_t)in->head.request);
    if (sale != NULL && what == MSG_lot_rows_get) sale->lots_stale = false;
}

/* A shard was recovered: perhaps because PostgreSQL has failed over, and then its rows may be older
 * than those we have.  They are read again and believed whatever their versions. */
static void look_again(struct catalogue *self, int64_t now) {
    if (self->again_at == 0 || now < self->again_at) return;
    self->again_at = 0;
    self->sales_known = self->lots_known = false;
    self->asked_at = 0;
    for (uint32_t i = 0; i < self->sale_count; i++)
        self->sales[i].version = -1;
    for (uint32_t i = 0; i < self->lot_count; i++)
        self->lots[i].version = -1;
}

/* A lot that was in the hot counter and is not any more, or its buyers: a key is lost.  While
 * nobody buys, a count is the only one to find that.  Only the epoch in which the lot was seen is
 * ended, so that a lot which does not belong there starts nothing twice. */
static void on_lot_lost(struct catalogue *self, const struct message *in, struct outbox *out) {
    const struct failed *failed = BODY(in, failed);
    bool set = failed->what == MSG_lot_set, counted = failed->what == MSG_lot_count;
    const struct catalogue_lot *lot =
        catalogue_lot(self, set ? (int64_t)in->head.request : failed->id);
    if (lot == NULL || (!set && !counted) || failed->problem != PROBLEM_fenced) return;
    if (lot->hot_epoch == 0) return;
    outbox_about(out, lot->shard);
    struct recover *recover = SEND(out, ACTOR_inventory, recover, NULL);
    recover->reason = text_of("a lot or its buyers are missing in the hot counter");
    recover->epoch = lot->hot_epoch;
}

static void on_own_failed(struct catalogue *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    struct run *run = catalogue_run(self, in->head.request);
    if (run != NULL)
        catalogue_run_failed(run, in, now, out);
    else if (in->head.request != 0)
        catalogue_on_sale_failed(self, in, now, out);
    on_lot_lost(self, in, out);
}

static void on_sale_view(struct catalogue *self, const struct message *in, int64_t now,
                         struct outbox *out) {
    const struct sale_view *view = BODY(in, sale_view);
    if (in->head.origin == ACTOR_catalogue && in->head.request == (uint64_t)view->sale_id) {
        struct catalogue_sale *sale = catalogue_sale(self, view->sale_id);
        if (sale != NULL) sale->asking = 0;
    }
    catalogue_learn_sale(self, view, now, out);
    if (in->head.origin != ACTOR_catalogue) catalogue_pass_on(self, in, out);
}

static void on_counted(struct catalogue *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    struct run *run = catalogue_run(self, in->head.request);
    if (run != NULL)
        catalogue_run_counted(run, BODY(in, lot_counted), now);
    else
        catalogue_on_counted(self, in, now, out);
}

static void on_deadline(struct catalogue *self, const struct message *in, int64_t now) {
    struct catalogue_sale *sale = catalogue_sale(self, BODY(in, deadline)->id);
    if (sale != NULL) catalogue_look_at_clock(sale, now);
}

static void handle_one(struct catalogue *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    bool own = in->head.origin == ACTOR_catalogue;
    switch ((enum message_id)in->head.type) {
    case MSG_started:
    case MSG_tick:
        look_again(self, now);
        load(self, now, out);
        return;
    case MSG_settings: self->reconcile_every = BODY(in, settings)->reconcile_every; return;
    case MSG_stop: return; /* Nothing here has to be finished. */
    case MSG_product_add:
    case MSG_product_list:
    case MSG_sku_add:
    case MSG_sku_list:
    case MSG_stock_receive:
    case MSG_stock_show:
    case MSG_sale_create:
    case MSG_lot_add:
    case MSG_sale_rows:
    case MSG_sale_show: catalogue_on_command(self, in, now, out); return;
    case MSG_sale_resume: catalogue_on_sale_resume(self, in, now, out); return;
    case MSG_sale_move: catalogue_on_sale_move(self, in, now, out); return;
    case MSG_reconcile: catalogue_on_reconcile(self, in, now, out); return;
    case MSG_sale_rows_get:
        catalogue_on_rows_get(self, in, BODY(in, sale_rows_get)->sale_id, out);
        return;
    case MSG_lot_rows_get:
        catalogue_on_rows_get(self, in, BODY(in, lot_rows_get)->sale_id, out);
        return;
    case MSG_catalogue_check: catalogue_on_check(self, in, out); return;
    case MSG_sale_view: on_sale_view(self, in, now, out); return;
    case MSG_lot_view:
        catalogue_learn_lot(self, BODY(in, lot_view), out);
        if (!own) catalogue_pass_on(self, in, out);
        return;
    case MSG_product_view:
    case MSG_sku_view:
    case MSG_stock_view: catalogue_pass_on(self, in, out); return;
    case MSG_rows_end:
        if (own)
            on_own_end(self, in, now);
        else
            catalogue_pass_on(self, in, out);
        return;
    case MSG_failed:
        if (own)
            on_own_failed(self, in, now, out);
        else
            catalogue_pass_on(self, in, out);
        return;
    case MSG_lot_level: catalogue_on_lot_level(self, in, now); return;
    case MSG_lot_counted: on_counted(self, in, now, out); return;
    case MSG_lot_account: {
        struct run *run = catalogue_run(self, in->head.request);
        if (run != NULL) catalogue_run_account(run, BODY(in, lot_account));
        return;
    }
    case MSG_deadline: on_deadline(self, in, now); return;
    default: outbox_reply_failed(out, in, PROBLEM_malformed); return;
    }
}

/* Where do the sales want to go?  Looked at after every batch, the clock once a second. */
static void go_on(struct catalogue *self, int64_t now, struct outbox *out) {
    bool sweep = now - self->swept_at >= CATALOGUE_SECOND;
    if (sweep) self->swept_at = now;
    for (uint32_t i = 0; i < self->sale_count; i++) {
        /* Before the load is complete a lot could be missing where all have to agree. */
        if (!self->lots_known || !self->sales_known) break;
        if (sweep) catalogue_look_at_clock(&self->sales[i], now);
        catalogue_advance(self, &self->sales[i], now, out);
    }
    bool look = self->dirty || now - self->looked_at >= 100 * CATALOGUE_MS;
    if (self->lots_known && self->sales_known && look) {
        self->looked_at = now;
        self->dirty = outbox_room(out) == 0;
        catalogue_set_lots(self, now, out);
    }
    catalogue_answer_waiters(self, now, out);
    catalogue_reconcile_by_itself(self, now, out);
    for (uint32_t i = 0; i < CATALOGUE_RUNS_MAX; i++) {
        catalogue_run_step(self, &self->runs[i], now, out);
    }
    catalogue_read(self, out);
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct catalogue *self = state;
    for (uint32_t i = 0; i < count; i++)
        handle_one(self, &in[i], now, out);
    go_on(self, now, out);
}

static void check(const void *state) {
    const struct catalogue *self = state;
    assert(self->sale_count <= CATALOGUE_SALES_MAX && self->lot_count <= CATALOGUE_LOTS_MAX);
    assert(self->lot_map.count == self->lot_count);
    for (uint32_t i = 0; i < self->lot_count; i++) {
        uint32_t at = 0;
        assert(idmap_get(&self->lot_map, self->lots[i].lot_id, &at) && at == i);
        (void)at;
    }
    for (uint32_t i = 0; i < self->sale_count; i++) {
        const struct catalogue_sale *sale = &self->sales[i];
        assert(sale->state != sale_state_none && sale->state != sale_state_archived);
        assert(sale->settling == SETTLING_no || sale->state == sale_state_draining);
    }
    for (uint32_t i = 0; i < CATALOGUE_RUNS_MAX; i++) {
        assert(self->runs[i].waiting <= self->runs[i].count);
        assert(self->runs[i].count <= CATALOGUE_LOTS_MAX);
    }
}

const struct actor_type catalogue_type = {
    .name = "catalogue",
    .address = ACTOR_catalogue,
    .state_size = sizeof(struct catalogue),
    .batch_max = 64,
    .sends_max = 4096, /* One batch can count all lots, or serve a snapshot of them. */
    .tick_every = 100 * CATALOGUE_MS,
    .init = init,
    .handle = handle,
    .check = check,
};
