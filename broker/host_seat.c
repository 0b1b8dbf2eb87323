#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "broker/clock.h"
#include "broker/figures.h"
#include "broker/host_internal.h"
#include "broker/log.h"
#include "broker/ready.h"

enum { PORT_ROOM = 4096 };

static void route_all(struct thread *thread) {
    for (uint32_t i = 0; i < thread->out.count; i++)
        route(thread, &thread->out.items[i]);
    batch_reset(&thread->out);
}

static struct outbox outbox_of(struct thread *thread, const struct seat *seat, uint32_t room) {
    struct outbox out = batch_outbox(&thread->out, seat->address, seat->shard, room);
    out.node = thread->host->node;
    return out;
}

/* The next messages of the mailbox; 0 when there are none. */
static uint32_t take_slice(struct seat *seat, uint32_t most, const struct message **items) {
    if (seat->cursor == seat->working.count) {
        batch_reset(&seat->working);
        seat->cursor = 0;
        if (seat->waiting.count > 0 && seat->waiting_since != 0)
            metric_observe(seat->wait, clock_mono() - seat->waiting_since);
        seat->waiting_since = 0;
        struct batch swap = seat->working;
        seat->working = seat->waiting;
        seat->waiting = swap;
    }
    uint32_t count = seat->working.count - seat->cursor;
    if (count > most) count = most;
    *items = seat->working.items + seat->cursor;
    seat->cursor += count;
    return count;
}

/* What has a deadline and comes too late is refused by the receiver; here it is only counted. */
static void count_expired(const struct thread *thread, const struct seat *seat,
                          const struct message *items, uint32_t count) {
    if (seat->expired == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        int64_t deadline = items[i].head.deadline;
        if (deadline != 0 && thread->now >= deadline) metric_add(seat->expired, 1);
    }
}

/* ---- Actors ---- */

static void handle_with(struct thread *thread, struct seat *seat, const struct message *items,
                        uint32_t count) {
    const struct actor_type *actor = seat->actor;
    struct outbox out = outbox_of(thread, seat, count * actor->sends_max);
    count_expired(thread, seat, items, count);
    actor->handle(seat->state, items, count, thread->now, &out);
    if (actor->check != NULL) actor->check(seat->state);
    metric_add(seat->handled, count);
    route_all(thread);
}

static struct head head_to(const struct thread *thread, const struct seat *seat,
                           enum message_id id) {
    return (struct head){ .type = (uint16_t)id,
                          .to = (uint8_t)seat->address,
                          .shard = seat->shard,
                          .node = thread->host->node };
}

static void tick_actor(struct thread *thread, struct seat *seat) {
    if (seat->actor->tick_every == 0 || thread->now < seat->next_tick) return;
    seat->next_tick = thread->now + seat->actor->tick_every;
    struct tick body = { 0 };
    struct message tick = { head_to(thread, seat, MSG_tick), &body };
    handle_with(thread, seat, &tick, 1);
}

static bool turn_actor(struct thread *thread, struct seat *seat) {
    const struct message *items;
    uint32_t most = seat->actor->batch_max;
    if (seat_phase(seat) == SEAT_asleep) return false;
    if (most > thread->host->batch_max) most = thread->host->batch_max;
    uint32_t count = take_slice(seat, most, &items);
    if (count > 0) handle_with(thread, seat, items, count);
    tick_actor(thread, seat);
    return seat_backlog(seat) > 0;
}

/* ---- Ports ---- */

static bool turn_port(struct thread *thread, struct seat *seat) {
    const struct port_type *type = seat->type;
    if (type->ready(seat->port)) {
        const struct message *items;
        uint32_t count = take_slice(seat, type->batch_max, &items);
        if (count > 0) {
            struct outbox out = outbox_of(thread, seat, PORT_ROOM + 8 * count);
            count_expired(thread, seat, items, count);
            type->handle(seat->port, items, count, thread->now, &out);
            metric_add(seat->handled, count);
            route_all(thread);
        }
    }
    struct outbox out = outbox_of(thread, seat, PORT_ROOM);
    type->step(seat->port, thread->now, &out);
    bool full = out.count >= PORT_ROOM / 2;
    route_all(thread);
    return full || (seat_backlog(seat) > 0 && type->ready(seat->port));
}

bool seat_turn(struct thread *thread, struct seat *self) {
    bool more = self->actor != NULL ? turn_actor(thread, self) : turn_port(thread, self);
    metric_set(self->depth, seat_backlog(self));
    return more;
}

/* ---- Asleep and awake ---- */

bool seat_may_sleep(const struct seat *self) {
    return self->actor != NULL && address_is_sharded(self->address);
}

void seat_tell(struct thread *thread, struct seat *self, enum message_id id) {
    struct stop body = { 0 }; /* started and stop both carry nothing. */
    struct message message = { head_to(thread, self, id), &body };
    batch_append(&self->waiting, &message);
}

/* These report by themselves; until then /readyz says no. */
static bool reports_ready(enum address address) {
    return address == ACTOR_bridge || address == ACTOR_inventory;
}

void seat_start(struct seat *self) {
    size_t size = self->actor->state_size;
    randombytes_buf(self->setup.seed, sizeof self->setup.seed);
    if (self->state == NULL) {
        /* Zeroed, and touched only where it is used: states hold limits, not loads. */
        self->state = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (self->state == MAP_FAILED) abort();
    }
    self->actor->init(self->state, &self->setup);
    self->next_tick = 0;
    if (reports_ready(self->address)) ready_set(self->name, false);
    atomic_store(&self->phase, SEAT_up);
}

static void drop_mailbox(struct thread *thread, struct seat *seat) {
    /* `phase` is asleep by now: refusals of these find their way, and nothing comes in again. */
    const struct message *items;
    uint32_t count;
    while ((count = take_slice(seat, UINT32_MAX, &items)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            bool answered = route_refuse(thread, &items[i].head, PROBLEM_recovering);
            metric_add(answered ? thread->host->sleeping_refused : thread->host->sleeping_dropped,
                       1);
        }
    }
}

void seat_sleep(struct thread *thread, struct seat *self) {
    atomic_store(&self->phase, SEAT_asleep);
    if (self->state != NULL) munmap(self->state, self->actor->state_size);
    self->state = NULL;
    drop_mailbox(thread, self);
    if (self->address == ACTOR_order) figures_forget(self->shard);
    if (reports_ready(self->address)) ready_forget(self->name);
}

/* ---- News ---- */

/* What the actor starts with the next time. */
static void renew_setup(struct seat *self, const struct actor_setup *news) {
    struct actor_setup next = *news;
    next.shard = self->setup.shard;
    next.shards = self->setup.shards;
    next.worker = self->setup.worker;
    next.node = self->setup.node;
    next.keys = self->setup.keys;
    self->setup = next;
}

void seat_take_news(struct thread *thread, struct seat *self, const struct news *news) {
    struct settings body = actor_settings(&news->actor);
    struct message message = { head_to(thread, self, MSG_settings), &body };
    if (self->actor == NULL) {
        if (self->type->reload != NULL) self->type->reload(self->port, &news->config);
        return;
    }
    renew_setup(self, &news->actor);
    if (seat_phase(self) == SEAT_up) batch_append(&self->waiting, &message);
}
