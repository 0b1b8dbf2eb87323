#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "broker/clock.h"
#include "broker/crash.h"
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

struct call {
    const struct seat *seat;
    const struct message *items;
    uint32_t count;
    int64_t now;
    struct outbox out;
};

static void call_actor(void *context) {
    struct call *call = context;
    const struct actor_type *actor = call->seat->actor;
    actor->handle(call->seat->state, call->items, call->count, call->now, &call->out);
    if (actor->check != NULL) actor->check(call->seat->state);
}

/* False: it crashed. */
static bool handle_with(struct thread *thread, struct seat *seat, const struct message *items,
                        uint32_t count, bool from_mailbox) {
    struct guard_failure failure;
    struct call call = { .seat = seat,
                         .items = items,
                         .count = count,
                         .now = thread->now,
                         .out = outbox_of(thread, seat, count * seat->actor->sends_max) };
    if (!guard_run(call_actor, &call, &failure)) {
        seat_crashed(thread, seat, items, count, from_mailbox, &failure);
        return false;
    }
    count_expired(thread, seat, items, count);
    metric_add(seat->handled, count);
    CRASH_POINT(host_handled);
    route_all(thread);
    CRASH_POINT(host_delivered);
    return true;
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
    handle_with(thread, seat, &tick, 1, false);
}

void seat_handle_started(struct thread *thread, struct seat *self) {
    struct started body = { 0 };
    struct message started = { head_to(thread, self, MSG_started), &body };
    handle_with(thread, self, &started, 1, false);
}

static bool turn_actor(struct thread *thread, struct seat *seat) {
    const struct message *items;
    uint32_t most = seat->actor->batch_max;
    if (!seat_tend(thread, seat)) return false;
    if (most > thread->host->batch_max) most = thread->host->batch_max;
    if (seat->suspects > 0) most = 1;
    uint32_t count = take_slice(seat, most, &items);
    if (count > 0) {
        if (!handle_with(thread, seat, items, count, true)) return false;
        if (seat->suspects > 0) seat->suspects--;
    }
    tick_actor(thread, seat);
    if (seat_phase(seat) != SEAT_up) return false;
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
            CRASH_POINT(host_port_handled);
            route_all(thread);
        }
    }
    uint32_t room = type->step_max != 0 ? type->step_max : PORT_ROOM;
    struct outbox out = outbox_of(thread, seat, room);
    type->step(seat->port, thread->now, &out);
    bool full = out.count >= room / 2;
    if (out.count > 0) CRASH_POINT(host_port_stepped);
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
    return self->actor != NULL && self->address != ACTOR_broker &&
           !address_is_by_node(self->address);
}

void seat_tell_stop(struct thread *thread, struct seat *self) {
    struct stop body = { 0 };
    struct message message = { head_to(thread, self, MSG_stop), &body };
    batch_append(&self->waiting, &message);
}

bool seat_reports_ready(const struct seat *self) {
    return self->address == ACTOR_bridge || self->address == ACTOR_inventory;
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
    if (seat_reports_ready(self)) ready_set(self->name, false);
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
    self->suspects = 0;
    self->backoff = 0;
    drop_mailbox(thread, self);
    if (self->address == ACTOR_order) figures_forget(self->shard);
    ready_forget(self->name);
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
