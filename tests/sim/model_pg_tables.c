/* The tables of the model: rows that grow, and the maps that find them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/id.h"
#include "tests/sim/model_pg.h"

enum { MICROSECOND = 1000, MAP_LEAST = 256 };

int64_t model_pg_time(int64_t now) {
    return now / MICROSECOND * MICROSECOND;
}

void *model_pg_grow(void *rows, uint32_t count, uint32_t *room, size_t size) {
    if (count < *room) return rows;
    *room = *room * 2 + 64;
    void *grown = realloc(rows, *room * size);
    if (grown == NULL) abort();
    return grown;
}

/* ---- Maps ---- */

static void map_make(struct pg_map *self, uint32_t size) {
    self->cells = calloc(size, sizeof *self->cells);
    if (self->cells == NULL) abort();
    self->size = size;
    idmap_init(&self->map, self->cells, size);
}

static void map_put(struct pg_map *self, int64_t id, uint32_t value) {
    if (idmap_put(&self->map, id, value)) return;
    struct pg_map old = *self;
    map_make(self, old.size * 4);
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.cells[i].id != 0) idmap_put(&self->map, old.cells[i].id, old.cells[i].value);
    }
    free(old.cells);
    bool kept = idmap_put(&self->map, id, value);
    assert(kept);
    (void)kept;
}

static void map_copy(struct pg_map *to, const struct pg_map *from) {
    uint32_t count = from->map.count;
    free(to->cells);
    map_make(to, from->size);
    memcpy(to->cells, from->cells, from->size * sizeof *from->cells);
    to->map.count = count;
}

/* ---- Life ---- */

void model_pg_init(struct model_pg *self) {
    memset(self, 0, sizeof *self);
    self->timeline = 1;
    map_make(&self->order_map, MAP_LEAST);
    map_make(&self->rid_map, MAP_LEAST);
    map_make(&self->refusal_map, MAP_LEAST);
}

void model_pg_fini(struct model_pg *self) {
    free(self->orders);
    free(self->refusals);
    free(self->payments);
    free(self->refunds);
    free(self->notices);
    free(self->order_map.cells);
    free(self->rid_map.cells);
    free(self->refusal_map.cells);
    memset(self, 0, sizeof *self);
}

static void *rows_copy(void *old, const void *from, uint32_t room, size_t size) {
    free(old);
    if (room == 0) return NULL;
    void *made = malloc(room * size);
    if (made == NULL) abort();
    memcpy(made, from, room * size);
    return made;
}

void model_pg_copy(struct model_pg *to, const struct model_pg *from) {
    struct model_pg old = *to;
    *to = *from;
    to->orders = rows_copy(old.orders, from->orders, from->order_room, sizeof *to->orders);
    to->refusals =
        rows_copy(old.refusals, from->refusals, from->refusal_room, sizeof *to->refusals);
    to->payments =
        rows_copy(old.payments, from->payments, from->payment_room, sizeof *to->payments);
    to->refunds = rows_copy(old.refunds, from->refunds, from->refund_room, sizeof *to->refunds);
    to->notices = rows_copy(old.notices, from->notices, from->notice_room, sizeof *to->notices);
    to->order_map = old.order_map;
    to->rid_map = old.rid_map;
    to->refusal_map = old.refusal_map;
    map_copy(&to->order_map, &from->order_map);
    map_copy(&to->rid_map, &from->rid_map);
    map_copy(&to->refusal_map, &from->refusal_map);
}

struct pg_lot *model_pg_lot(struct model_pg *self, int64_t lot_id) {
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].lot_id == lot_id) return &self->lots[i];
    }
    return NULL;
}

struct pg_order *model_pg_order(struct model_pg *self, int64_t order_id) {
    uint32_t at;
    return idmap_get(&self->order_map.map, order_id, &at) ? &self->orders[at] : NULL;
}

struct pg_order *model_pg_order_of(struct model_pg *self, int64_t rid) {
    uint32_t at;
    return idmap_get(&self->rid_map.map, rid, &at) ? &self->orders[at] : NULL;
}

struct pg_refusal *model_pg_refusal(struct model_pg *self, int64_t rid) {
    uint32_t at;
    return idmap_get(&self->refusal_map.map, rid, &at) ? &self->refusals[at] : NULL;
}

/* ---- Rows ---- */

uint32_t model_pg_epoch(const struct model_pg *self, int64_t rid) {
    uint32_t shard = rid_shard(rid);
    return shard < PG_SHARDS_MAX ? self->shards[shard].epoch : 0;
}

void model_pg_set_rid(struct model_pg *self, struct pg_order *order, int64_t rid) {
    self->violated = self->violated || model_pg_order_of(self, rid) != NULL;
    if (order->rid != 0) idmap_remove(&self->rid_map.map, order->rid);
    order->rid = rid;
    order->epoch = model_pg_epoch(self, rid);
    map_put(&self->rid_map, rid, (uint32_t)(order - self->orders));
}

struct pg_order *model_pg_add_order(struct model_pg *self, const struct pg_order *row) {
    self->orders =
        model_pg_grow(self->orders, self->order_count, &self->order_room, sizeof *self->orders);
    struct pg_order *order = &self->orders[self->order_count];
    *order = *row;
    order->rid = 0;
    map_put(&self->order_map, row->order_id, self->order_count);
    self->order_count++;
    model_pg_set_rid(self, order, row->rid);
    return order;
}

void model_pg_add_refusal(struct model_pg *self, const struct pg_refusal *row) {
    self->refusals = model_pg_grow(self->refusals, self->refusal_count, &self->refusal_room,
                                   sizeof *self->refusals);
    self->refusals[self->refusal_count] = *row;
    map_put(&self->refusal_map, row->rid, self->refusal_count);
    self->refusal_count++;
}
