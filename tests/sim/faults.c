/* The faults that strike now and then, and their end. */
#include "tests/sim/world.h"

static const enum address crashing[] = { ACTOR_bridge,  ACTOR_inventory, ACTOR_order,   ACTOR_timer,
                                         ACTOR_payment, ACTOR_catalogue, ACTOR_notifier };
enum { CRASHING = sizeof crashing / sizeof *crashing };

/* What EVENT_again brings back: the fault, and of whom. */
static uint64_t again_of(enum fault fault, uint64_t whom) {
    return (uint64_t)fault | whom << 8;
}

static void plan_again(struct world *self, enum fault fault, uint64_t whom, int64_t after) {
    flights_plan(&self->flights, EVENT_again, 0, again_of(fault, whom), self->now + after);
}

static void plan(struct world *self, enum fault fault) {
    int64_t mean = self->swarm.every[fault];
    if (mean == 0 || !swarm_has(&self->swarm, fault)) return;
    flights_plan(&self->flights, EVENT_fault, 0, fault,
                 self->now + draw_span(&self->faults_draw, SIM_MS, 2 * mean));
}

void faults_begin(struct world *self) {
    if (self->healed) return;
    for (uint32_t i = 0; i < FAULT_COUNT; i++)
        plan(self, (enum fault)i);
}

static int64_t lasts(struct world *self, enum fault fault) {
    return draw_span(&self->faults_draw, SIM_MS, self->swarm.last[fault]);
}

/* ---- Links ---- */

static uint8_t any_seat(struct world *self) {
    return (uint8_t)(1 + draw_below(&self->faults_draw, self->seat_count));
}

static void stop_up(struct world *self) {
    uint8_t from = any_seat(self), to = any_seat(self);
    self->links[from][to].clogged_to = self->now + lasts(self, FAULT_clog);
}

/* One by one, and open again in another order. */
static void swizzle(struct world *self) {
    uint32_t links = 3 + draw_below(&self->faults_draw, 20);
    int64_t opens = self->now + self->swarm.last[FAULT_swizzle];
    world_note(self, "%u links are stopped up", links);
    for (uint32_t i = 0; i < links; i++)
        self->links[any_seat(self)][any_seat(self)].clogged_to = opens + lasts(self, FAULT_swizzle);
}

static void cut_one_way(struct world *self, uint8_t from, uint8_t to, int64_t until) {
    for (uint8_t a = 1; a <= self->seat_count; a++) {
        for (uint8_t b = 1; b <= self->seat_count; b++) {
            if (self->seats[a].process == from && self->seats[b].process == to) {
                self->links[a][b].cut_to = until;
            }
        }
    }
}

static void cut(struct world *self) {
    struct draw *draw = &self->faults_draw;
    uint8_t from = (uint8_t)draw_below(draw, self->process_count);
    uint8_t to = (uint8_t)draw_below(draw, self->process_count);
    bool both = draw_chance(draw, 500);
    int64_t until = self->now + lasts(self, FAULT_cut);
    if (from == to || !self->processes[from].there || !self->processes[to].there) return;
    world_note(self, "process %u does not reach %u%s", from, to, both ? ", nor back" : "");
    cut_one_way(self, from, to, until);
    if (both) cut_one_way(self, to, from, until);
}

/* ---- Processes ---- */

static void crash(struct world *self) {
    struct draw *draw = &self->faults_draw;
    enum address victim = crashing[draw_below(draw, CRASHING)];
    uint8_t process = (uint8_t)draw_below(draw, self->process_count);
    int64_t away = draw_chance(draw, 500) ? 0 : draw_span(draw, SIM_MS, 2 * SIM_SECOND);
    uint8_t seat = self->seat_at[process][victim];
    if (seat == 0) seat = seat_find(self, victim);
    if ((self->swarm.crash_set >> victim & 1) == 0) return;
    seat_crash(self, seat);
    flights_plan(&self->flights, EVENT_restart, seat, 0, self->now + away);
}

static void pause_process(struct world *self) {
    uint8_t process = (uint8_t)draw_below(&self->faults_draw, self->process_count);
    int64_t span = lasts(self, FAULT_pause);
    if (!self->processes[process].there) return;
    world_note(self, "process %u stands still for %lld ms", process, (long long)(span / SIM_MS));
    self->processes[process].paused_until = self->now + span;
}

/* Mostly one clock, and little: who serves a sale together keeps within the hold time of each other
 * (a reserve that is late by the receiver's clock is refused).  Now and then all clocks, by up to
 * an hour, for good: forward, because what was set back goes at half its speed for as long. */
static void step_clock(struct world *self) {
    struct draw *draw = &self->faults_draw;
    uint8_t process = (uint8_t)draw_below(draw, self->process_count);
    bool all = draw_chance(draw, 150), ends = draw_chance(draw, 300);
    int64_t ahead = draw_span(draw, -20 * SIM_SECOND, (all ? 3600 : 20) * SIM_SECOND);
    if (all) {
        world_note(self, "all clocks step by %+lld ms", (long long)(ahead / SIM_MS));
        self->wall += ahead;
    } else if (self->processes[process].there) {
        self->processes[process].clock = ends ? 0 : ahead;
        world_note(self, "the clock of process %u is %+lld ms off", process,
                   (long long)(self->processes[process].clock / SIM_MS));
    }
}

/* A second pair for the shard, while the first lives. */
static void second_writer(struct world *self, bool moves) {
    uint8_t shard = (uint8_t)draw_below(&self->faults_draw, self->shards);
    uint8_t first = self->home[shard], second = (uint8_t)(first ^ 1);
    int64_t span = lasts(self, moves ? FAULT_move : FAULT_writer);
    bool notices = moves && draw_chance(&self->faults_draw, 500);
    if (self->processes[second].there) return;
    world_note(self,
               moves ? "shard %u moves from process %u to %u%s"
                     : "a second writer for shard %u: beside process %u, process %u%s",
               shard, first, second, notices ? "" : ", and both live");
    if (moves) self->home[shard] = second;
    if (notices) seats_close_pair(self, first);
    seats_open_pair(self, second);
    plan_again(self, FAULT_writer, shard, span);
}

/* Only the one that the map names is left. */
static void end_second(struct world *self, uint32_t shard) {
    uint8_t other = (uint8_t)(self->home[shard] ^ 1);
    if (!self->processes[other].there) return;
    world_note(self, "process %u is gone", other);
    seats_close_pair(self, other);
}

/* ---- The table ---- */

static void strike(struct world *self, enum fault fault) {
    switch (fault) {
    case FAULT_clog: stop_up(self); return;
    case FAULT_swizzle: swizzle(self); return;
    case FAULT_cut: cut(self); return;
    case FAULT_crash: crash(self); return;
    case FAULT_pause: pause_process(self); return;
    case FAULT_clock: step_clock(self); return;
    case FAULT_writer: second_writer(self, false); return;
    case FAULT_move: second_writer(self, true); return;
    case FAULT_redis_crash:
    case FAULT_redis_failover:
    case FAULT_redis_blip:
    case FAULT_redis_key:
    case FAULT_redis_slow:
    case FAULT_redis_refuse: faults_redis_strike(self, fault); return;
    case FAULT_pg_away:
    case FAULT_pg_failover: faults_pg_strike(self, fault); return;
    default: operators_strike(self, fault); return;
    }
}

void faults_strike(struct world *self, uint64_t kind) {
    if (self->healed) return;
    strike(self, (enum fault)kind);
    plan(self, (enum fault)kind);
}

void faults_again(struct world *self, uint64_t number) {
    enum fault fault = (enum fault)(number & 0xff);
    if (fault == FAULT_writer)
        end_second(self, (uint32_t)(number >> 8));
    else
        faults_redis_again(self, number);
}

void faults_heal(struct world *self) {
    self->healed = true;
    self->healed_at = self->now;
    self->swarm.delay_most = SIM_MS / 2;
    world_note(self, "the faults stop");
    for (uint8_t a = 1; a <= self->seat_count; a++) {
        for (uint8_t b = 1; b <= self->seat_count; b++)
            self->links[a][b].clogged_to = self->links[a][b].cut_to = 0;
    }
    for (uint32_t p = 0; p < PROCESSES; p++) {
        self->processes[p].paused_until = 0;
        self->processes[p].pg_away_until = 0;
        self->processes[p].clock = 0;
    }
    for (uint32_t k = 0; k < self->shards; k++)
        end_second(self, k);
    for (uint8_t number = 1; number <= self->seat_count; number++) {
        self->seats[number].limit = 0;
        if (self->seats[number].type != NULL) seat_restart(self, number);
    }
    faults_redis_heal(self);
    operators_heal(self);
}
