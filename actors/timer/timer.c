/* deadline_set -> (remembered);  its time has come -> deadline to order (pay_by) or catalogue */
#include "actors/timer/timer.h"

#include <assert.h>

enum { TICK_MS = 50, MILLISECOND = 1000000 };

static void init(void *state, const struct actor_setup *setup) {
    struct timer *self = state;
    self->shard = setup->shard;
    heap_init(&self->heap, self->items, self->places, TIMER_MAX);
    slots_init(&self->free, self->links, TIMER_MAX);
    idmap_init(&self->maps[deadline_kind_pay_by], self->cells, TIMER_CELLS);
    for (uint32_t kind = deadline_kind_pay_by + 1; kind < TIMER_KINDS; kind++) {
        idmap_init(&self->maps[kind], self->sale_cells[kind], TIMER_SALE_CELLS);
    }
}

static bool kind_known(enum deadline_kind kind) {
    return (uint32_t)kind > 0 && (uint32_t)kind < TIMER_KINDS;
}

static uint32_t room_of(enum deadline_kind kind) {
    return kind == deadline_kind_pay_by ? TIMER_MAX - (TIMER_KINDS - 2) * TIMER_SALE_MAX
                                        : TIMER_SALE_MAX;
}

static void forget(struct timer *self, uint32_t slot) {
    const struct timer_deadline *deadline = &self->deadlines[slot];
    idmap_remove(&self->maps[deadline->kind], deadline->id);
    heap_remove(&self->heap, slot);
    slots_give(&self->free, slot);
}

bool timer_has(const struct timer *self, enum deadline_kind kind, int64_t id) {
    uint32_t slot;
    return kind_known(kind) && idmap_get(&self->maps[kind], id, &slot);
}

bool timer_set(struct timer *self, enum deadline_kind kind, int64_t id, int64_t at) {
    uint32_t slot;
    if (!kind_known(kind) || id == 0) return false;
    struct idmap *map = &self->maps[kind];
    bool known = idmap_get(map, id, &slot);
    if (at == 0) {
        if (known) forget(self, slot);
        return true;
    }
    if (!known) {
        if (map->count >= room_of(kind) || !slots_take(&self->free, &slot)) {
            self->left_out++; /* An unpaid order is loaded when it is due and there is room. */
            return false;
        }
        idmap_put(map, id, slot);
        self->deadlines[slot] = (struct timer_deadline){ .id = id, .kind = kind };
    }
    heap_set(&self->heap, slot, at);
    return true;
}

static void fire(struct timer *self, int64_t now, struct outbox *out) {
    const struct heap_item *first;
    /* What does not fit goes out at the next call. */
    while (out->capacity - out->count >= 2 && (first = heap_first(&self->heap)) != NULL &&
           first->key <= now) {
        struct timer_deadline due = self->deadlines[first->slot];
        forget(self, first->slot);
        enum address owner = due.kind == deadline_kind_pay_by ? ACTOR_order : ACTOR_catalogue;
        struct deadline *deadline = SEND(out, owner, deadline, NULL);
        deadline->kind = due.kind;
        deadline->id = due.id;
    }
}

static void on_message(struct timer *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    switch (in->head.type) {
    case MSG_deadline_set: {
        const struct deadline_set *set = BODY(in, deadline_set);
        timer_set(self, set->kind, set->id, set->at);
        break;
    }
    case MSG_deadline_row: timer_on_row(self, in); break;
    case MSG_rows_end: timer_on_rows_end(self, in, now, out); break;
    case MSG_failed: timer_on_load_failed(self, in, now); break;
    case MSG_stop: REPLY(out, in, stopped); break;
    default: break; /* started, tick: what is due is looked for after every batch. */
    }
}

static void handle(void *state, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    struct timer *self = state;
    for (uint32_t i = 0; i < count; i++)
        on_message(self, &in[i], now, out);
    timer_load(self, now, out);
    fire(self, now, out);
}

static void check(const void *state) {
    const struct timer *self = state;
    uint32_t known = 0;
    for (uint32_t kind = 1; kind < TIMER_KINDS; kind++)
        known += self->maps[kind].count;
    assert(known == self->heap.count && known == self->free.used);
    heap_check(&self->heap);
}

const struct actor_type timer_type = {
    .name = "timer",
    .address = ACTOR_timer,
    .state_size = sizeof(struct timer),
    .batch_max = 512,
    .sends_max = 512, /* One of its own; the rest is room for what is due at once. */
    .tick_every = (int64_t)TICK_MS * MILLISECOND,
    .init = init,
    .handle = handle,
    .check = check,
};
