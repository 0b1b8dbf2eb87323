/* Who sits at which address: actors with their mail, ports, and what the simulator plays. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/world.h"

/* More seats than SEATS_FEW are there with more than two shards only. */
enum { SEATS_FEW = 40 };
enum { SERVICE_US = 1000, PG_LEAST_US = 300, PG_MOST_US = 5000, US = 1000, SLOW_MS = 400 };

static const struct actor_type *const shop_actors[] = { &bridge_type, &payment_type,
                                                        &catalogue_type, &notifier_type };
static const struct actor_type *const pair_actors[] = { &inventory_type, &order_type, &timer_type };
static const enum address shop_ports[] = { ACTOR_session, PORT_http, PORT_door,
                                           PORT_pay,      PORT_mail, PORT_pg_shop };
static const enum address pair_ports[] = { PORT_redis, PORT_pg_shard, PORT_pg_shop };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Coming and going ---- */

static uint8_t seat_add(struct world *self, uint8_t process, enum address address) {
    uint8_t number = ++self->seat_count;
    if (number >= SEATS_MAX) abort();
    struct seat *seat = &self->seats[number];
    seat->address = address;
    seat->process = process;
    seat->shard = self->processes[process].shard;
    seat->there = seat->up = true;
    batch_init(&seat->mail);
    batch_init(&seat->work);
    for (uint32_t other = 1; other < SEATS_MAX; other++) {
        struct draw *draw = other < SEATS_FEW ? &self->faults_draw : &self->shards_draw;
        self->links[number][other].faulty = draw_chance(draw, self->swarm.links);
        self->links[other][number].faulty = draw_chance(draw, self->swarm.links);
    }
    self->seat_at[process][address] = number;
    return number;
}

static void init_actor(struct world *self, uint8_t number) {
    struct seat *seat = &self->seats[number];
    struct actor_setup setup = self->setup;
    uint64_t bits[4];
    for (uint32_t i = 0; i < 4; i++)
        bits[i] = draw_bits(&self->crowd_draw);
    memcpy(setup.seed, bits, sizeof setup.seed);
    setup.shard = seat->shard;
    setup.node = seat->process + 1U;
    if (!self->story) setup.worker = (uint32_t)seat->process * 16U + (uint32_t)seat->address;
    seat->type->init(seat->state, &setup);
    seat->up = true;
    seat->incarnation++;
    struct started body = { 0 };
    struct message started = {
        { .type = MSG_started, .to = (uint8_t)seat->address, .shard = seat->shard }, &body
    };
    seat_arrive(self, number, &started);
    if (seat->type->tick_every > 0) {
        flights_plan(&self->flights, EVENT_tick, number, seat->incarnation,
                     self->now + seat->type->tick_every);
    }
}

static void add_actor(struct world *self, uint8_t process, const struct actor_type *type) {
    uint8_t number = seat_add(self, process, type->address);
    struct seat *seat = &self->seats[number];
    seat->type = type;
    seat->limit = self->swarm.mailbox;
    seat->state = mmap(NULL, type->state_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (seat->state == MAP_FAILED) abort();
    init_actor(self, number);
}

/* Its clock agrees with the others': where they go slowly because they were set back, it does. */
static void process_start(struct world *self, uint8_t process) {
    struct process *at = &self->processes[process];
    at->told = self->now;
    if (process != PROCESS_shop) at->told = world_clock(self, PROCESS_shop);
    at->there = true;
    at->told_at = self->now;
}

void seats_open_pair(struct world *self, uint8_t process) {
    struct process *at = &self->processes[process];
    bool before = self->seat_at[process][ACTOR_inventory] != 0;
    *at = (struct process){ .shard = (uint8_t)((process - PROCESS_pairs) / 2) };
    process_start(self, process);
    if (before) { /* Its seats are there, empty. */
        for (size_t i = 0; i < COUNT(pair_ports); i++)
            self->seats[self->seat_at[process][pair_ports[i]]].up = true;
        for (size_t i = 0; i < COUNT(pair_actors); i++)
            init_actor(self, self->seat_at[process][pair_actors[i]->address]);
    } else {
        for (size_t i = 0; i < COUNT(pair_actors); i++)
            add_actor(self, process, pair_actors[i]);
        for (size_t i = 0; i < COUNT(pair_ports); i++)
            seat_add(self, process, pair_ports[i]);
    }
    stores_open_redis(self, process);
}

void seats_close_pair(struct world *self, uint8_t process) {
    if (!self->processes[process].there) return;
    for (size_t i = 0; i < COUNT(pair_actors); i++)
        seat_crash(self, self->seat_at[process][pair_actors[i]->address]);
    for (size_t i = 0; i < COUNT(pair_ports); i++) {
        struct seat *seat = &self->seats[self->seat_at[process][pair_ports[i]]];
        seat->up = false;
        batch_reset(&seat->mail);
        stores_close_port(self, self->seat_at[process][pair_ports[i]]);
    }
    stores_close_redis(self, process);
    self->processes[process].there = false;
}

void seats_open(struct world *self) {
    process_start(self, PROCESS_shop);
    for (uint8_t k = 0; k < self->instances; k++)
        self->servers[k].store[0] = lua_store_open(self->seed + k * 7919U);
    for (uint8_t k = 0; k < self->shards; k++)
        self->home[k] = (uint8_t)(PROCESS_pairs + 2 * k);
    add_actor(self, PROCESS_shop, shop_actors[0]);
    for (uint8_t k = 0; k < self->shards; k++)
        seats_open_pair(self, self->home[k]);
    for (size_t i = 1; i < COUNT(shop_actors); i++) {
        bool played = self->story && shop_actors[i] != &payment_type;
        if (played)
            seat_add(self, PROCESS_shop, shop_actors[i]->address);
        else
            add_actor(self, PROCESS_shop, shop_actors[i]);
    }
    for (size_t i = 0; i < COUNT(shop_ports); i++)
        seat_add(self, PROCESS_shop, shop_ports[i]);
    if (self->story || draw_chance(&self->crowd_draw, 500)) return;
    process_start(self, PROCESS_edge);
    add_actor(self, PROCESS_edge, &bridge_type);
}

void seats_close(struct world *self) {
    for (size_t i = 1; i <= self->seat_count; i++) {
        struct seat *seat = &self->seats[i];
        batch_fini(&seat->mail);
        batch_fini(&seat->work);
        if (seat->state != NULL) munmap(seat->state, seat->type->state_size);
    }
    for (uint8_t p = PROCESS_pairs; p < PROCESSES; p++)
        if (self->processes[p].there) stores_close_redis(self, p);
    for (uint32_t k = 0; k < SHARDS_MOST; k++) {
        lua_store_close(self->servers[k].store[0]);
        lua_store_close(self->servers[k].store[1]);
    }
}

uint8_t seat_find(struct world *self, enum address address) {
    if (!address_is_sharded(address)) return self->seat_at[PROCESS_shop][address];
    uint32_t shard = self->shards > 1 ? draw_below(&self->shards_draw, self->shards) : 0;
    return self->seat_at[self->home[shard]][address];
}

void seat_crash(struct world *self, uint8_t number) {
    struct seat *seat = &self->seats[number];
    if (number == 0 || seat->type == NULL || !seat->up) return;
    world_note(self, "%s crashes", seat->type->name);
    seat->up = false;
    batch_reset(&seat->mail);
    /* Given back and zeroed, at the price of what was touched. */
    if (madvise(seat->state, seat->type->state_size, MADV_DONTNEED) != 0) abort();
}

void seat_restart(struct world *self, uint8_t number) {
    struct seat *seat = &self->seats[number];
    if (number == 0 || seat->type == NULL || seat->up) return;
    if (!self->processes[seat->process].there) return;
    world_note(self, "%s starts", seat->type->name);
    init_actor(self, number);
}

/* ---- What goes out ---- */

void world_deliver_out(struct world *self, uint8_t from) {
    for (uint32_t i = 0; i < self->out.count; i++)
        world_send(self, from, &self->out.items[i]);
    batch_reset(&self->out);
}

static struct outbox outbox_of(struct world *self, const struct seat *seat, uint32_t room) {
    struct outbox out = batch_outbox(&self->out, seat->address, seat->shard, room);
    out.node = seat->process + 1U;
    return out;
}

static void handle_actor(struct world *self, uint8_t number, const struct message *in,
                         uint32_t count) {
    struct seat *seat = &self->seats[number];
    const struct actor_type *type = seat->type;
    struct outbox out = outbox_of(self, seat, count * type->sends_max);
    type->handle(seat->state, in, count, world_clock(self, seat->process), &out);
    if (type->check != NULL) type->check(seat->state);
    world_deliver_out(self, number);
}

/* ---- What the simulator plays ---- */

/* In stories the catalogue has no sales to tell of; the session actor knows of no ended session. */
static void handle_stub(const struct message *in, struct outbox *out) {
    if (in->head.type == MSG_sale_rows_get || in->head.type == MSG_lot_rows_get ||
        in->head.type == MSG_revoked_load || in->head.type == MSG_catalogue_check) {
        REPLY(out, in, rows_end)->what = in->head.type;
    }
}

static void handle_one(struct world *self, uint8_t number, const struct message *in) {
    struct seat *seat = &self->seats[number];
    struct outbox out = outbox_of(self, seat, 16);
    switch (seat->address) {
    case PORT_http: shoppers_answer(self, in); return;
    case PORT_door: operators_answer(self, in); return;
    case PORT_pay: provider_handle(self, in, &out); break;
    case PORT_mail: provider_mail(self, in, &out); break;
    default: handle_stub(in, &out); break;
    }
    world_deliver_out(self, number);
}

/* ---- Mail ---- */

static bool is_pg(enum address address) {
    return address == PORT_pg_shard || address == PORT_pg_shop;
}

static int64_t service_time(struct world *self, const struct seat *seat) {
    if (self->story) return 0;
    bool slow = seat->address == PORT_redis && self->now < self->pairs[seat->process].slow_until;
    if (slow) return SIM_MS * draw_span(&self->links_draw, 1, SLOW_MS);
    return US * (is_pg(seat->address) ? draw_span(&self->links_draw, PG_LEAST_US, PG_MOST_US)
                                      : draw_span(&self->links_draw, 0, SERVICE_US));
}

static void wake_at(struct world *self, uint8_t number, int64_t at) {
    struct seat *seat = &self->seats[number];
    if (seat->waking) return;
    seat->waking = true;
    flights_plan(&self->flights, EVENT_wake, number, 0, at);
}

/* As the host: requests from the edge find a full mailbox, answers and consequences get in. */
static bool refusable(const struct head *head) {
    if (head->origin == NOBODY) return false;
    if (head->from == PORT_http || head->from == ACTOR_bridge || head->from == PORT_door) {
        return true;
    }
    return head->type == MSG_order_find &&
           (head->origin == PORT_http || head->origin == ACTOR_bridge);
}

static void refuse_full(struct world *self, uint8_t number, const struct message *message) {
    struct failed body = { .problem = PROBLEM_overloaded,
                           .what = message->head.type,
                           .retry_after = 1 };
    struct message answer = { message->head, &body };
    answer.head.type = MSG_failed;
    answer.head.from = message->head.to;
    answer.head.to = message->head.origin;
    world_send(self, number, &answer);
}

void seat_arrive(struct world *self, uint8_t number, const struct message *message) {
    struct seat *seat = &self->seats[number];
    if (!seat->up) return; /* Lost with the mailbox. */
    if (seat->limit > 0 && seat->mail.count >= seat->limit && !self->healed &&
        refusable(&message->head)) {
        refuse_full(self, number, message);
        return;
    }
    batch_append(&seat->mail, message);
    if (!seat->waking) wake_at(self, number, self->now + service_time(self, seat));
}

void seat_take_frame(struct world *self, uint8_t number, struct batch *messages) {
    struct seat *seat = &self->seats[number];
    if (seat->address == PORT_http || seat->address == PORT_door) { /* They only listen. */
        for (uint32_t i = 0; i < messages->count && !self->failure.is; i++) {
            if (seat->address == PORT_http) shoppers_fetch_answer(self, messages, i);
            handle_one(self, number, &messages->items[i]);
        }
        return;
    }
    if (seat->mail.count == 0) {
        struct batch empty = seat->mail;
        seat->mail = *messages;
        *messages = empty;
    } else {
        for (uint32_t i = 0; i < messages->count; i++)
            batch_append(&seat->mail, &messages->items[i]);
    }
    wake_at(self, number, self->now + service_time(self, seat));
}

static void handle_mail(struct world *self, uint8_t number) {
    struct seat *seat = &self->seats[number];
    for (uint32_t i = 0; i < seat->work.count && !self->failure.is;) {
        const struct message *in = &seat->work.items[i];
        uint32_t left = seat->work.count - i, count = 1;
        if (!seat->up) break;
        if (seat->type != NULL) {
            count = left < seat->type->batch_max ? left : seat->type->batch_max;
            handle_actor(self, number, in, count);
        } else if (seat->address == PORT_redis) {
            count = left < SCRIPT_ROWS_MAX ? left : SCRIPT_ROWS_MAX;
            stores_redis(self, number, in, count);
        } else if (is_pg(seat->address)) {
            count = model_pg_range(in, left);
            stores_transact(self, number, in, count);
        } else {
            handle_one(self, number, in);
        }
        i += count;
    }
    batch_reset(&seat->work);
}

/* A process that stands still takes its mail when it goes on. */
static bool stands_still(struct world *self, uint8_t number) {
    int64_t until = self->processes[self->seats[number].process].paused_until;
    if (until <= self->now) return false;
    wake_at(self, number, until);
    return true;
}

void seat_wake(struct world *self, uint8_t number) {
    struct seat *seat = &self->seats[number];
    seat->waking = false;
    if (!seat->up || stands_still(self, number)) return;
    struct batch kept = seat->work;
    seat->work = seat->mail;
    seat->mail = kept;
    handle_mail(self, number);
}

void seat_tick(struct world *self, uint8_t number, uint64_t incarnation) {
    struct seat *seat = &self->seats[number];
    int64_t resumes = self->processes[seat->process].paused_until;
    if (!seat->up || seat->incarnation != incarnation) return;
    int64_t next = self->now + seat->type->tick_every;
    if (resumes <= self->now) {
        struct tick body = { 0 };
        struct message tick = {
            { .type = MSG_tick, .to = (uint8_t)seat->address, .shard = seat->shard }, &body
        };
        handle_actor(self, number, &tick, 1);
    } else {
        next = resumes;
    }
    flights_plan(&self->flights, EVENT_tick, number, incarnation, next);
}
