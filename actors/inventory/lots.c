/* lot_level -> (remembered), then lot_hint to the bridges and lot_level to the catalogue */
#include <string.h>

#include "actors/inventory/inventory.h"
#include "actors/lib/bloom.h"

static const int64_t look_every = INT64_C(1000000000);

void inventory_lots_reset(struct inventory *self) {
    idmap_clear(&self->lot_map);
    memset(self->lots, 0, self->lot_count * sizeof self->lots[0]);
    memset(self->urgent_links, 0, self->lot_count * sizeof self->urgent_links[0]);
    memset(self->filters, 0, self->filters_used);
    chain_init(&self->urgent, self->urgent_links);
    self->lot_count = self->hint_cursor = self->filters_used = 0;
}

struct inventory_lot *inventory_lot(struct inventory *self, int64_t lot_id, uint64_t ids) {
    uint32_t index;
    if (idmap_get(&self->lot_map, lot_id, &index)) return &self->lots[index];
    if (self->lot_count == INVENTORY_LOTS_MAX) {
        self->lots_left_out++; /* Its buyers are asked about one by one; nothing is wrong. */
        return NULL;
    }
    index = self->lot_count++;
    idmap_put(&self->lot_map, lot_id, index);
    struct inventory_lot *lot = &self->lots[index];
    *lot = (struct inventory_lot){ .lot_id = lot_id, .changed = true };
    uint32_t size = bloom_size(ids);
    if (size <= INVENTORY_FILTERS - self->filters_used) {
        lot->filter_at = self->filters_used;
        lot->filter_size = size;
        self->filters_used += size;
    } else {
        self->filters_left_out++;
    }
    return lot;
}

/* It was made for the lot's units.  Whoever is under way when they are sold out gets in as well,
 * and a crowd would fill a small one: it would say "perhaps" of everybody, and no bridge could
 * refuse anybody by it.  The place of the smaller one in the pool is lost until the next recovery.
 */
static void make_room(struct inventory *self, struct inventory_lot *lot) {
    uint64_t ids = (uint64_t)lot->filter_ids + 1;
    if (bloom_size(ids) <= lot->filter_size) return;
    uint32_t size = bloom_size(ids * 4 + self->pending_chain.count);
    if (size > INVENTORY_FILTERS - self->filters_used) return;
    bloom_widen(self->filters + self->filters_used, size, self->filters + lot->filter_at,
                lot->filter_size);
    lot->filter_at = self->filters_used;
    lot->filter_size = size;
    self->filters_used += size;
}

void inventory_lot_holder(struct inventory *self, int64_t lot_id, int64_t order_id) {
    struct inventory_lot *lot = inventory_lot(self, lot_id, INVENTORY_UNKNOWN_IDS);
    if (lot == NULL || lot->filter_size == 0) return;
    make_room(self, lot);
    if (bloom_add(self->filters + lot->filter_at, lot->filter_size, order_id)) lot->filter_ids++;
}

static bool sellable(const struct inventory_lot *lot) {
    return lot->state == lot_state_open && lot->available > 0;
}

void inventory_on_lot_level(struct inventory *self, const struct message *in) {
    const struct lot_level *level = BODY(in, lot_level);
    if (self->phase != PHASE_ready || (level->epoch != 0 && level->epoch != self->epoch)) return;
    uint64_t ids = level->available > 0 ? (uint64_t)level->available : INVENTORY_UNKNOWN_IDS;
    struct inventory_lot *lot = inventory_lot(self, level->lot_id, ids);
    if (lot == NULL || level->version < lot->version) return;
    bool before = sellable(lot);
    bool news = lot->state != level->state || lot->available != level->available ||
                lot->per_buyer_limit != level->per_buyer_limit;
    lot->state = level->state;
    lot->available = level->available;
    lot->per_buyer_limit = level->per_buyer_limit;
    lot->version = level->version;
    if (news) lot->changed = true;
    if (sellable(lot) != before && !lot->urgent) {
        lot->urgent = true;
        chain_append(&self->urgent, (uint32_t)(lot - self->lots));
    }
}

/* A bridge may refuse by this hint, so it has to know the holders.  They travel with every such
 * hint: one that is lost must not leave new levels beside old holders. */
static bool may_refuse(const struct inventory_lot *lot) {
    return lot->state != lot_state_open || lot->available < QUANTITY_MAX;
}

static void send_hint(struct inventory *self, struct inventory_lot *lot, struct outbox *out) {
    if (lot->state == lot_state_none) return; /* Known by a holder only. */
    struct lot_hint *hint = EVERY(out, ACTOR_bridge, lot_hint);
    hint->lot_id = lot->lot_id;
    hint->epoch = self->epoch;
    hint->version = lot->version;
    hint->state = lot->state;
    hint->available = lot->available;
    hint->life = self->hint_life;
    if (may_refuse(lot) && lot->filter_size > 0) {
        char *copy = outbox_text(out, lot->filter_size);
        memcpy(copy, self->filters + lot->filter_at, lot->filter_size);
        hint->holders = (struct text){ copy, lot->filter_size };
    }
}

static bool may_change(const struct inventory_lot *lot) {
    return lot->state == lot_state_waiting || lot->state == lot_state_open ||
           lot->state == lot_state_paused;
}

/* The level that says so may be lost, and nobody would touch the lot any more.  A probe for an
 * order that is not there takes nothing and brings the level. */
static void look_again(const struct inventory *self, const struct inventory_lot *lot,
                       struct outbox *out) {
    struct reserve *probe = ASK(out, PORT_redis, reserve, ACTOR_inventory, self->epoch, 0);
    probe->order_id = probe->user_id = ID_MAX;
    probe->lot_id = lot->lot_id;
    probe->quantity = 1;
    probe->kind = reserve_kind_probe;
}

static void tell_catalogue(const struct inventory *self, struct inventory_lot *lot,
                           struct outbox *out) {
    if (!lot->changed || lot->state == lot_state_none) return;
    struct lot_level *level = SEND(out, ACTOR_catalogue, lot_level, NULL);
    level->lot_id = lot->lot_id;
    level->state = lot->state;
    level->available = lot->available;
    level->per_buyer_limit = lot->per_buyer_limit;
    level->version = lot->version;
    level->epoch = self->epoch;
    lot->changed = false;
}

/* Whoever is still under way at a lot that has just sold out may be the one who got its last unit:
 * he must not be refused when his answer is lost. */
static void shelter_pending(struct inventory *self) {
    uint32_t slot, index;
    for (bool more = chain_first(&self->pending_chain, &slot); more;
         more = chain_next(&self->pending_chain, &slot)) {
        struct inventory_pending *pending = &self->pending[slot];
        if (pending->filtered || !idmap_get(&self->lot_map, pending->lot_id, &index)) continue;
        if (!self->lots[index].urgent) continue;
        inventory_lot_holder(self, pending->lot_id, pending->order_id);
        pending->filtered = true;
    }
}

/* Under our epoch Redis does not know a lot that it was given: its key is lost, and as long as
 * nobody buys there we are the only ones to find that. */
void inventory_on_probe_failed(struct inventory *self, const struct message *in, int64_t now,
                               struct outbox *out) {
    bool current = self->phase == PHASE_ready && in->head.request == self->epoch;
    if (current && BODY(in, failed)->problem == PROBLEM_not_on_sale) {
        inventory_recover(self, now, out);
    }
}

void inventory_send_hints(struct inventory *self, int64_t now, struct outbox *out) {
    if (self->phase != PHASE_ready) return;
    uint32_t index;
    if (self->urgent.count > 0) shelter_pending(self);
    while (out->capacity - out->count >= 2 && chain_first(&self->urgent, &index)) {
        chain_remove(&self->urgent, index);
        self->lots[index].urgent = false;
        send_hint(self, &self->lots[index], out);
    }
    if (self->hint_cursor >= self->lot_count && now >= self->next_round) {
        self->hint_cursor = 0;
        self->next_round = now + self->hint_every;
        self->looking = now >= self->next_look;
        if (self->looking) self->next_look = now + look_every;
    }
    while (out->capacity - out->count >= 3 && self->hint_cursor < self->lot_count) {
        struct inventory_lot *lot = &self->lots[self->hint_cursor++];
        send_hint(self, lot, out);
        tell_catalogue(self, lot, out);
        if (self->looking && may_change(lot) && may_refuse(lot)) look_again(self, lot, out);
    }
}
