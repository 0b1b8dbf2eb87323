/* Inventory: what comes in, and what answers it. */
#include "actors/inventory/inventory.h"

#include <assert.h>
#include <string.h>

enum { TICK_MS = 50, STALL_MS = 3000, MILLISECOND = 1000000 };

static void take_settings(struct inventory *self, const struct settings *it) {
    self->hint_every = it->hint_every;
    self->hint_life = it->hint_life;
}

static void init(void *state, const struct actor_setup *setup) {
    struct inventory *self = state;
    self->shard = setup->shard;
    struct settings settings = actor_settings(setup);
    take_settings(self, &settings);
    memcpy(&self->random, setup->seed, sizeof self->random);
    if (self->random == 0) self->random = 1;
    idmap_init(&self->lot_map, self->lot_cells, INVENTORY_LOT_CELLS);
    chain_init(&self->urgent, self->urgent_links);
    idmap_init(&self->pending_map, self->pending_cells, INVENTORY_PENDING_CELLS);
    slots_init(&self->pending_slots, self->pending_free, INVENTORY_PENDING_MAX);
    chain_init(&self->pending_chain, self->pending_links);
}

static void on_failed(struct inventory *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    if (in->head.origin == ACTOR_inventory && BODY(in, failed)->what == MSG_reserve) {
        inventory_on_probe_failed(self, in, now, out);
    } else if (in->head.origin == ACTOR_inventory) {
        inventory_on_step_failed(self, in, now, out);
    } else if (in->head.from == PORT_redis && BODY(in, failed)->what == MSG_reserve) {
        inventory_on_reserve_failed(self, in, now, out);
    }
    /* A place that the order actor could not take is in the journal. */
}

static void on_done(struct inventory *self, const struct message *in, int64_t now,
                    struct outbox *out) {
    if (in->head.from == ACTOR_order)
        inventory_on_drained(self, in, now, out);
    else if (in->head.from == PORT_redis)
        inventory_on_installed_row(self, in, now, out);
}

static void on_writer_lag(struct inventory *self, const struct message *in, int64_t now) {
    bool over = BODY(in, writer_lag)->age == 0;
    self->stalled_until = over ? 0 : now + (int64_t)STALL_MS * MILLISECOND;
}

static void on_message(struct inventory *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch (in->head.type) {
    case MSG_started:
        inventory_on_redis_down(self, now, out);
        self->next_beat = now; /* Redis may have introduced itself before we were there. */
        break;
    case MSG_settings: take_settings(self, BODY(in, settings)); break;
    case MSG_tick: inventory_recovery_tick(self, now, out); break;
    case MSG_stop:
        self->stopping = true; /* What is journalled is the order actor's to finish. */
        REPLY(out, in, stopped);
        break;
    case MSG_reserve: inventory_on_reserve(self, in, now, out); break;
    case MSG_reserved: inventory_on_reserved(self, in, out); break;
    case MSG_settle:
    case MSG_undo:
    case MSG_journal_read:
    case MSG_lot_warm:
    case MSG_lot_set:
    case MSG_lot_count: inventory_pass_on(self, in, out); break;
    case MSG_lot_level: inventory_on_lot_level(self, in); break;
    case MSG_redis_up: inventory_on_redis_up(self, in, now, out); break;
    case MSG_redis_down: inventory_on_redis_down(self, now, out); break;
    case MSG_shard_row: inventory_on_shard_row(self, in, now, out); break;
    case MSG_recovered: inventory_on_recovered(self, in, now, out); break;
    case MSG_rows_end: inventory_on_rows_end(self, in, now, out); break;
    case MSG_recover: inventory_on_recover(self, in, now, out); break;
    case MSG_writer_lag: on_writer_lag(self, in, now); break;
    case MSG_done: on_done(self, in, now, out); break;
    case MSG_failed: on_failed(self, in, now, out); break;
    default: break; /* Not for us; a newer sender. */
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct inventory *self = state;
    for (uint32_t i = 0; i < count; i++)
        on_message(self, &in[i], now, out);
    inventory_age_pending(self, now);
    inventory_send_hints(self, now, out);
}

static void check(const void *state) {
    const struct inventory *self = state;
    assert(self->pending_map.count == self->pending_slots.used);
    assert(self->pending_chain.count == self->pending_slots.used);
    assert(self->lot_map.count == self->lot_count);
    assert(self->filters_used <= INVENTORY_FILTERS);
    assert(self->install.acked <= self->install.sent);
    assert(self->phase != PHASE_ready || (self->epoch != 0 && self->boot != 0));
    assert(self->phase != PHASE_end || self->install.acked == self->install.sent);
}

const struct actor_type inventory_type = {
    .name = "inventory",
    .address = ACTOR_inventory,
    .state_size = sizeof(struct inventory),
    .batch_max = 512,
    .sends_max = 256, /* At most 20 of its own; the rest is room for hints. */
    .tick_every = (int64_t)TICK_MS * MILLISECOND,
    .init = init,
    .handle = handle,
    .check = check,
};
