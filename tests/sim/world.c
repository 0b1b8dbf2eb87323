#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/clock.h"
#include "tests/sim/check.h"
#include "tests/sim/real.h"

/* Undecided for so long after the faults have stopped is undecided for ever. */
enum {
    QUIET_LIMIT_S = 480,
    LATE_LIMIT_S = 120,
    END_LIMIT_S = 180,
    LATE_COMMITS_S = 4,
    FETCHED = 5
};

void *world_grow(void *rows, uint32_t count, uint32_t *room, size_t size) {
    return model_pg_grow(rows, count, room, size);
}

int64_t world_clock(struct world *self, uint8_t process) {
    struct process *at = &self->processes[process];
    int64_t passed = self->now - at->told_at, wall = self->now + self->wall + at->clock;
    if (passed > 0 || wall > at->told) at->told = clock_onward(at->told, wall, passed);
    at->told_at = self->now;
    return at->told;
}

/* ---- Steps ---- */

static void dispatch(struct world *self, const struct flight *flight) {
    switch ((enum event)flight->event) {
    case EVENT_message: seat_arrive(self, flight->seat, &flight->parcel->message); return;
    case EVENT_frame: seat_take_frame(self, flight->seat, &flight->frame->messages); return;
    case EVENT_wake: seat_wake(self, flight->seat); return;
    case EVENT_tick: seat_tick(self, flight->seat, flight->number); return;
    case EVENT_restart: seat_restart(self, flight->seat); return;
    case EVENT_shopper: shopper_turn(self, flight->number); return;
    case EVENT_call: provider_call(self, flight->number); return;
    case EVENT_fault: faults_strike(self, flight->number); return;
    case EVENT_again: faults_again(self, flight->number); return;
    case EVENT_commit: stores_commit_late(self, flight->number); return;
    case EVENT_session: real_turn(self, flight->number); return;
    case EVENT_door: operators_turn(self); return;
    }
}

bool world_is_calm(const struct world *self) {
    return self->swarm.on == 0 && !self->story;
}

static void fetch_ahead(const struct world *self) {
    const struct flight_heap *next = &self->flights.now;
    for (uint32_t i = 0; i < next->count && i < FETCHED; i++) {
        if (next->items[i].event != EVENT_shopper) continue;
        shoppers_fetch_turn(self, (uint32_t)next->items[i].number, i == 0);
    }
}

bool world_step(struct world *self) {
    if (self->failure.is || self->flights.count == 0) return false;
    self->now = flights_next(&self->flights);
    struct flight flight = flights_take(&self->flights);
    self->step++;
    fetch_ahead(self);
    dispatch(self, &flight);
    flights_give(&self->flights, &flight);
    return !self->failure.is;
}

void world_pass(struct world *self, int64_t span) {
    int64_t end = self->now + span;
    while (!self->failure.is && self->flights.count > 0 && flights_next(&self->flights) <= end)
        world_step(self);
    if (!self->failure.is) self->now = end;
}

/* A clock that was ahead goes at half its speed until the others have caught up. */
static bool clocks_agree(struct world *self) {
    int64_t least = INT64_MAX, most = 0;
    for (uint8_t p = 0; p < PROCESSES; p++) {
        if (!self->processes[p].there) continue;
        int64_t told = world_clock(self, p);
        least = told < least ? told : least;
        most = told > most ? told : most;
    }
    return most - least < 50 * SIM_MS;
}

/* Until nothing is under way, looked at every 100 ms; false when it takes longer than the limit. */
static bool until_quiet(struct world *self, int64_t limit) {
    int64_t end = self->now + limit;
    while (!self->failure.is && self->now < end) {
        world_pass(self, 100 * SIM_MS);
        bool done = self->shoppers_done == self->shopper_count && clocks_agree(self) &&
                    operators_content(self);
        if (done && check_quiet(self) == NULL) return true;
    }
    return false;
}

static void not_quiet(struct world *self, int64_t limit_s) {
    for (uint32_t i = 0; i < self->shopper_count; i++) {
        const struct shopper *shopper = &self->shoppers[i];
        if (shopper->state == SHOPPER_done) continue;
        int64_t order_id = self->tickets[shopper->ticket].order_id;
        world_fail(self, "G5", order_id,
                   "%" PRId64 " s after the faults stopped, user %" PRId64
                   " has no final answer (state %d, order %" PRId64 ")",
                   limit_s, shopper_user(i), (int)shopper->state, order_id);
    }
    const char *left = check_quiet(self);
    world_fail(self, "G5", 0, "%" PRId64 " s after the faults stopped, work is left: %s", limit_s,
               left != NULL ? left : "none");
}

/* What was not sold goes back to general stock, once. */
static void settle_all(struct world *self) {
    int64_t end = self->now + END_LIMIT_S * SIM_SECOND;
    operators_end(self);
    while (!self->failure.is && self->now < end && !operators_settled(self))
        world_pass(self, 100 * SIM_MS);
    if (!operators_settled(self)) {
        world_fail(self, "G5", 0, "a sale that was closed is not settled after %d s", END_LIMIT_S);
    }
}

/* A unit that came back just now is offered.  What an operator asked for long ago may only have
 * arrived meanwhile: nobody buys from a sale that he has paused. */
static void until_offered(struct world *self) {
    int64_t end = self->now + LATE_LIMIT_S * SIM_SECOND;
    do {
        world_pass(self, SIM_SECOND + 500 * SIM_MS);
    } while (!self->failure.is && self->now < end && !operators_content(self));
    if (!operators_content(self)) not_quiet(self, LATE_LIMIT_S);
}

bool world_run(struct world *self) {
    world_pass(self, self->swarm.ends);
    faults_heal(self);
    if (self->late_count > 0) world_pass(self, LATE_COMMITS_S * SIM_SECOND);
    if (!self->failure.is && !until_quiet(self, QUIET_LIMIT_S * SIM_SECOND)) {
        not_quiet(self, QUIET_LIMIT_S);
    }
    if (!self->failure.is) check_end(self);
    if (!self->failure.is) {
        until_offered(self);
        self->quiet_at = self->now;
        shoppers_late_comers(self);
        if (!until_quiet(self, LATE_LIMIT_S * SIM_SECOND)) not_quiet(self, LATE_LIMIT_S);
    }
    if (!self->failure.is) check_end(self);
    if (!self->failure.is) settle_all(self);
    if (!self->failure.is) check_settled(self);
    return !self->failure.is;
}

/* ---- Life ---- */

void world_lot(struct world *self, int64_t lot_id, int64_t units, uint32_t limit, int64_t window) {
    struct pg_lot *lot = &self->pg->lots[self->pg->lot_count++];
    *lot = (struct pg_lot){ .lot_id = lot_id,
                            .sale_id = SALE_MAIN,
                            .sku_id = SKU_MAIN,
                            .allocated = units,
                            .price = 1999,
                            .pay_window = window,
                            .version = 1,
                            .state = lot_state_open,
                            .limit = limit,
                            .price_version = 1,
                            .shard = (uint32_t)lot_id % self->shards };
    lot->rid_after = (int64_t)lot->shard << 56;
    self->pg->stocks[0].received += units;
    checks_lot(self, lot);
}

/* One sale that is open, and a second SKU of which there is nothing yet. */
static void open_shop(struct world *self) {
    struct model_pg *pg = self->pg;
    pg->sales[pg->sale_count++] = (struct pg_sale){ .sale_id = SALE_MAIN,
                                                    .opens_at = SIM_START - SIM_SECOND,
                                                    .closes_at = SIM_START + 86400 * SIM_SECOND,
                                                    .pay_window = 5 * SIM_SECOND,
                                                    .version = 1,
                                                    .state = sale_state_open };
    pg->stocks[pg->stock_count++] = (struct pg_stock){ .sku_id = SKU_MAIN };
    pg->stocks[pg->stock_count++] = (struct pg_stock){ .sku_id = SKU_SECOND };
}

static void draw_lots(struct world *self, int64_t fixed) {
    struct draw *draw = &self->crowd_draw;
    uint32_t lots = 1 + draw_below(draw, 3);
    if (self->shards > 1) lots += draw_below(&self->shards_draw, self->shards + 1U);
    for (uint32_t i = 0; i < (fixed > 0 ? 1 : lots); i++) {
        int64_t units = draw_span(draw, 1, 12);
        uint32_t limit = 1 + draw_below(draw, 3);
        int64_t window = draw_span(draw, 2, 8) * SIM_SECOND;
        world_lot(self, 11 + i, fixed > 0 ? fixed : units, limit, window);
    }
}

static void fill_setup(struct world *self) {
    self->keys = (struct seal_keys){ .count = 1 };
    self->keys.key[0].id = 1;
    for (uint32_t i = 0; i < SEAL_KEY_BYTES; i++)
        self->keys.key[0].bytes[i] = (uint8_t)(i * 7 + 1);
    self->setup = (struct actor_setup){
        .shards = self->shards,
        .worker = 1,
        .keys = &self->keys,
        .hold = 300 * SIM_MS,
        .inflight_max = 8192,
        .batch_max = 512,
        .journal_cap = self->story || self->swarm.on == 0 ? 20000 : self->swarm.journal_cap,
        .journal_age_max = 10 * SIM_SECOND,
        .idle_read = 20 * SIM_MS,
        .hint_every = 200 * SIM_MS,
        .hint_life = 500 * SIM_MS,
        .payment_query_every = 1 * SIM_SECOND,
        .pay_window = 5 * SIM_SECOND,
        .reconcile_every = 10 * SIM_SECOND,
        .mail_attempts_max = 1000,
        .mail_on = true,
    };
}

/* Shards may share a Redis, all of them or some. */
static void draw_shards(struct world *self, const struct world_options *options) {
    struct draw *draw = &self->shards_draw;
    bool several = draw_chance(draw, 500) && options->crowd;
    uint32_t drawn = 2 + draw_below(draw, SHARDS_MOST - 1);
    self->shards = (uint8_t)(options->shards > 0 ? options->shards : several ? drawn : 1);
    self->instances = (uint8_t)(1 + draw_below(draw, self->shards));
    self->process_count = (uint8_t)(PROCESS_pairs + 2 * (self->shards > 2 ? self->shards : 2));
}

static void begin(struct world *self, const struct world_options *options) {
    uint32_t drawn = 4 + draw_below(&self->crowd_draw, 28);
    operators_open(self);
    shoppers_open(self, options->shoppers > 0 ? options->shoppers : drawn);
    faults_begin(self);
}

struct world *world_open(const struct world_options *options) {
    struct world *self = calloc(1, sizeof *self);
    if (self == NULL || (self->pg = calloc(1, sizeof *self->pg)) == NULL) abort();
    self->seed = options->seed;
    self->now = SIM_START;
    self->links_draw = draw_make(options->seed, 1);
    self->faults_draw = draw_make(options->seed, 2);
    self->crowd_draw = draw_make(options->seed, 3);
    self->trace = options->trace;
    self->trace_order = options->trace_order;
    self->story = !options->crowd;
    self->fixed_delay = SIM_MS;
    batch_init(&self->out);
    self->later_draw = draw_make(options->seed, 4);
    self->shards_draw = draw_make(options->seed, 5);
    draw_shards(self, options);
    swarm_draw(&self->swarm, &self->faults_draw, &self->later_draw,
               options->crowd ? options->allowed : 0);
    if (options->ends > 0) self->swarm.ends = options->ends;
    self->healed = self->swarm.on == 0;
    fill_setup(self);
    checks_open(self);
    model_pg_init(self->pg);
    open_shop(self);
    if (options->crowd) draw_lots(self, options->units);
    if (options->real) real_open(self);
    seats_open(self);
    if (options->crowd) begin(self, options);
    return self;
}

void world_close(struct world *self) {
    if (self == NULL) return;
    if (self->real != NULL) real_close(self);
    seats_close(self);
    flights_fini(&self->flights);
    shoppers_close(self);
    operators_close(self);
    checks_close(self);
    if (self->standby != NULL) model_pg_fini(self->standby);
    model_pg_fini(self->pg);
    batch_fini(&self->out);
    free(self->standby);
    free(self->deals);
    free(self->rids);
    free(self->pg);
    free(self);
}
