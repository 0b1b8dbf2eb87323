/* Who sits at which address: actors with their mail, the stores, and what the simulator plays. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/world.h"

enum { ROOM = 1 << 16, SERVICE_US = 1000, PG_LEAST_US = 300, PG_MOST_US = 5000, US = 1000 };

static const struct actor_type *const actors[] = { &bridge_type, &inventory_type, &order_type,
                                                   &timer_type, &payment_type };

/* ---- Actors ---- */

static void init_actor(struct world *self, struct seat *seat) {
    struct actor_setup setup = self->setup;
    uint64_t bits[4];
    for (uint32_t i = 0; i < 4; i++)
        bits[i] = draw_bits(&self->crowd_draw);
    memcpy(setup.seed, bits, sizeof setup.seed);
    seat->type->init(seat->state, &setup);
    seat->up = true;
    seat->incarnation++;
    struct started body = { 0 };
    struct message started = { { .type = MSG_started, .to = (uint8_t)seat->type->address }, &body };
    seat_arrive(self, &started);
    if (seat->type->tick_every > 0) {
        flights_plan(&self->flights, EVENT_tick, seat->type->address, seat->incarnation,
                     self->now + seat->type->tick_every);
    }
}

void seats_open(struct world *self) {
    for (size_t i = 0; i < ADDRESS_COUNT; i++) {
        batch_init(&self->seats[i].mail);
        batch_init(&self->seats[i].work);
        self->seats[i].up = true;
    }
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++) {
        struct seat *seat = &self->seats[actors[i]->address];
        seat->type = actors[i];
        seat->state = mmap(NULL, seat->type->state_size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (seat->state == MAP_FAILED) abort();
        init_actor(self, seat);
    }
    struct outbox out = batch_outbox(&self->out, PORT_redis, 0, ROOM);
    model_redis_up(&self->redis, &out);
    world_deliver_out(self);
}

void seats_close(struct world *self) {
    for (size_t i = 0; i < ADDRESS_COUNT; i++) {
        struct seat *seat = &self->seats[i];
        batch_fini(&seat->mail);
        batch_fini(&seat->work);
        if (seat->state != NULL) munmap(seat->state, seat->type->state_size);
    }
}

void seat_crash(struct world *self, enum address address) {
    struct seat *seat = &self->seats[address];
    if (seat->type == NULL || !seat->up) return;
    world_note(self, "%s crashes", seat->type->name);
    seat->up = false;
    batch_reset(&seat->mail);
    /* Given back and zeroed, at the price of what was touched. */
    if (madvise(seat->state, seat->type->state_size, MADV_DONTNEED) != 0) abort();
}

void seat_restart(struct world *self, enum address address) {
    struct seat *seat = &self->seats[address];
    if (seat->type == NULL || seat->up) return;
    world_note(self, "%s starts", seat->type->name);
    init_actor(self, seat);
}

/* ---- What goes out ---- */

void world_deliver_out(struct world *self) {
    for (uint32_t i = 0; i < self->out.count; i++) {
        const struct message *message = &self->out.items[i];
        if (message->head.from == PORT_redis) check_redis_said(self, message);
        world_send(self, message);
    }
    batch_reset(&self->out);
}

static void handle_actor(struct world *self, struct seat *seat, const struct message *in,
                         uint32_t count) {
    const struct actor_type *type = seat->type;
    struct outbox out = batch_outbox(&self->out, type->address, 0, count * type->sends_max);
    type->handle(seat->state, in, count, self->now, &out);
    if (type->check != NULL) type->check(seat->state);
    world_deliver_out(self);
}

/* ---- The stores ---- */

static void handle_redis(struct world *self, const struct message *in, uint32_t count) {
    struct outbox out = batch_outbox(&self->out, PORT_redis, 0, ROOM);
    model_redis_handle(&self->redis, in, count, self->now, &out);
    world_deliver_out(self);
    check_stock(self);
}

static void keep_late(struct world *self, const struct message *in, uint32_t count) {
    self->late = realloc(self->late, (self->late_count + 1) * sizeof *self->late);
    if (self->late == NULL) abort();
    struct batch *kept = &self->late[self->late_count];
    batch_init(kept);
    for (uint32_t i = 0; i < count; i++)
        batch_append(kept, &in[i]);
    int64_t wait = draw_span(&self->faults_draw, 1, 3000) * SIM_MS;
    flights_plan(&self->flights, EVENT_commit, PORT_pg_shard, self->late_count++, self->now + wait);
}

static void transact(struct world *self, enum address address, const struct message *in,
                     uint32_t count) {
    struct outbox out = batch_outbox(&self->out, address, 0, ROOM);
    enum fate fate = faults_pg_fate(self);
    if (fate == FATE_good || fate == FATE_unknown) {
        model_pg_run(self->pg, in, count, &out);
        check_orders(self);
        check_stock(self);
    }
    if (fate == FATE_unknown) {
        if (self->trace_order == 0) world_note(self, "commit unknown: it was done");
        batch_reset(&self->out);
    }
    if (fate == FATE_late) {
        if (self->trace_order == 0) world_note(self, "commit unknown: it will be done");
        keep_late(self, in, count);
        faults_commit_is_late(self);
    }
    if (fate != FATE_good) {
        out = batch_outbox(&self->out, address, 0, ROOM);
        model_pg_refuse(in, count, &out);
    }
    world_deliver_out(self);
}

void stores_commit_late(struct world *self, uint64_t number) {
    struct batch *kept = &self->late[number];
    struct outbox out = batch_outbox(&self->out, PORT_pg_shard, 0, ROOM);
    if (self->trace_order == 0) world_note(self, "a late commit");
    model_pg_run(self->pg, kept->items, kept->count, &out);
    batch_reset(&self->out);
    batch_fini(kept);
    check_orders(self);
    check_stock(self);
}

/* ---- What the simulator plays ---- */

/* The catalogue has no sales to tell of, the session actor knows of no ended session. */
static void handle_stub(struct world *self, enum address address, const struct message *in) {
    struct outbox out = batch_outbox(&self->out, address, 0, ROOM);
    if (in->head.type == MSG_sale_rows_get || in->head.type == MSG_lot_rows_get ||
        in->head.type == MSG_revoked_load || in->head.type == MSG_catalogue_check) {
        REPLY(&out, in, rows_end)->what = in->head.type;
    }
    world_deliver_out(self);
}

static void handle_one(struct world *self, enum address address, const struct message *in) {
    if (address == PORT_http) {
        shoppers_answer(self, in);
    } else if (address == PORT_pay) {
        struct outbox out = batch_outbox(&self->out, PORT_pay, 0, ROOM);
        provider_handle(self, in, &out);
        world_deliver_out(self);
    } else if (address == ACTOR_catalogue || address == ACTOR_session) {
        handle_stub(self, address, in);
    }
}

/* ---- Mail ---- */

static int64_t service_time(struct world *self, enum address address) {
    if (self->story) return 0;
    bool pg = address == PORT_pg_shard || address == PORT_pg_shop;
    return US * (pg ? draw_span(&self->links_draw, PG_LEAST_US, PG_MOST_US)
                    : draw_span(&self->links_draw, 0, SERVICE_US));
}

void seat_arrive(struct world *self, const struct message *message) {
    enum address to = (enum address)message->head.to;
    struct seat *seat = &self->seats[to];
    if (!seat->up) return; /* Lost with the mailbox. */
    batch_append(&seat->mail, message);
    if (seat->waking) return;
    seat->waking = true;
    flights_plan(&self->flights, EVENT_wake, to, 0, self->now + service_time(self, to));
}

static void handle_mail(struct world *self, enum address address) {
    struct seat *seat = &self->seats[address];
    bool pg = address == PORT_pg_shard || address == PORT_pg_shop;
    for (uint32_t i = 0; i < seat->work.count && !self->failure.is;) {
        const struct message *in = &seat->work.items[i];
        uint32_t left = seat->work.count - i, count = 1;
        if (seat->type != NULL) {
            count = left < seat->type->batch_max ? left : seat->type->batch_max;
            handle_actor(self, seat, in, count);
        } else if (address == PORT_redis) {
            count = left < SCRIPT_ROWS_MAX ? left : SCRIPT_ROWS_MAX;
            handle_redis(self, in, count);
        } else if (pg) {
            count = model_pg_range(in, left);
            transact(self, address, in, count);
        } else {
            handle_one(self, address, in);
        }
        i += count;
    }
    batch_reset(&seat->work);
}

void seat_wake(struct world *self, enum address address) {
    struct seat *seat = &self->seats[address];
    struct batch kept = seat->work;
    seat->waking = false;
    if (!seat->up) return;
    seat->work = seat->mail;
    seat->mail = kept;
    handle_mail(self, address);
}

void seat_tick(struct world *self, enum address address, uint64_t incarnation) {
    struct seat *seat = &self->seats[address];
    if (!seat->up || seat->incarnation != incarnation) return;
    struct tick body = { 0 };
    struct message tick = { { .type = MSG_tick, .to = (uint8_t)address }, &body };
    handle_actor(self, seat, &tick, 1);
    flights_plan(&self->flights, EVENT_tick, address, incarnation,
                 self->now + seat->type->tick_every);
}
