/* Which faults a run has, and when they strike. */
#include <string.h>

#include "tests/sim/world.h"

enum fault {
    FAULT_crash,
    FAULT_redis,
    FAULT_blip,
    FAULT_pg,
    FAULT_redis_up,
    FAULT_price,
    FAULT_writer
};

static const enum address crashing[] = { ACTOR_bridge, ACTOR_inventory, ACTOR_order, ACTOR_timer,
                                         ACTOR_payment };
enum { CRASHING = sizeof crashing / sizeof *crashing };

static uint32_t rate(struct draw *draw, uint32_t exists, uint32_t most) {
    bool there = draw_chance(draw, exists);
    uint32_t drawn = 1 + draw_below(draw, most);
    return there ? drawn : 0;
}

static int64_t every(struct draw *draw, uint32_t exists, int64_t least, int64_t most) {
    bool there = draw_chance(draw, exists);
    int64_t drawn = draw_span(draw, least, most);
    return there ? drawn : 0;
}

static void draw_stores(struct world *self) {
    struct swarm *swarm = &self->swarm;
    struct draw *draw = &self->faults_draw;
    swarm->redis_every = every(draw, 400, 300 * SIM_MS, 8 * SIM_SECOND);
    swarm->blip_every = every(draw, 250, 1 * SIM_SECOND, 12 * SIM_SECOND);
    swarm->redis_cut_most = rate(draw, 600, 20);
    swarm->redis_wipe = rate(draw, 300, 600);
    swarm->pg_every = every(draw, 300, 2 * SIM_SECOND, 15 * SIM_SECOND);
    swarm->pg_away_most = draw_span(draw, 100 * SIM_MS, 12 * SIM_SECOND);
    swarm->pg_refused = rate(draw, 300, 100);
    swarm->pg_unknown = rate(draw, 400, 150);
    swarm->pg_late = rate(draw, 300, 400);
}

/* Whatever is sent again and again is also lost again and again in some runs. */
static void draw_victim(struct world *self) {
    static const enum message_id types[] = {
        MSG_lot_level, MSG_lot_hint,  MSG_held,      MSG_place,    MSG_settle,       MSG_undo,
        MSG_undone,    MSG_decided,   MSG_returned,  MSG_reserved, MSG_order_return, MSG_epoch_use,
        MSG_redis_up,  MSG_done,      MSG_installed, MSG_recover,  MSG_redis_down,   MSG_drain,
        MSG_deadline,  MSG_purchase,  MSG_rows_end,  MSG_failed,   MSG_deadline_set, MSG_lot_level,
        MSG_lot_level, MSG_lot_level,
    };
    struct draw *draw = &self->faults_draw;
    uint32_t drawn = draw_below(draw, sizeof types / sizeof *types);
    self->swarm.victim_loss = rate(draw, 300, 1000);
    if (self->swarm.victim_loss > 0) self->swarm.victim = types[drawn];
}

void faults_draw_swarm(struct world *self) {
    struct swarm *swarm = &self->swarm;
    struct draw *draw = &self->faults_draw;
    static const int64_t slow[] = { SIM_MS, 5 * SIM_MS, 50 * SIM_MS, 250 * SIM_MS };
    swarm->delay_least = SIM_MS / 20;
    swarm->delay_most = SIM_MS / 2;
    swarm->ends = draw_span(draw, 8, 30) * SIM_SECOND;
    if (self->healed) return;
    swarm->loss = rate(draw, 400, 150);
    swarm->twice = rate(draw, 400, 200);
    swarm->reorder = rate(draw, 400, 300);
    swarm->links = draw_chance(draw, 500) ? 1000 : 1 + draw_below(draw, 1000);
    swarm->delay_most = slow[draw_below(draw, 4)];
    swarm->reorder_most = slow[draw_below(draw, 4)] * (1 + draw_below(draw, 8));
    swarm->crash_every = every(draw, 500, 500 * SIM_MS, 10 * SIM_SECOND);
    swarm->crash_set = (uint32_t)draw_bits(draw);
    swarm->silent_provider = rate(draw, 300, 1000);
    draw_stores(self);
    draw_victim(self);
    for (uint32_t from = 0; from < ADDRESS_COUNT; from++) {
        for (uint32_t to = 0; to < ADDRESS_COUNT; to++)
            self->link_faulty[from][to] = draw_chance(draw, swarm->links);
    }
}

static void plan(struct world *self, enum fault fault, int64_t mean) {
    if (mean == 0) return;
    flights_plan(&self->flights, EVENT_fault, NOBODY, fault,
                 self->now + draw_span(&self->faults_draw, SIM_MS, 2 * mean));
}

void faults_begin(struct world *self) {
    if (self->healed) return;
    plan(self, FAULT_crash, self->swarm.crash_every);
    plan(self, FAULT_redis, self->swarm.redis_every);
    plan(self, FAULT_blip, self->swarm.blip_every);
    plan(self, FAULT_pg, self->swarm.pg_every);
    if (draw_chance(&self->faults_draw, 300)) plan(self, FAULT_price, self->swarm.ends / 2);
}

/* Not a fault, but the way to refusals by PostgreSQL: tickets of the old price get none. */
static void change_price(struct world *self) {
    struct pg_lot *lot = &self->pg->lots[draw_below(&self->faults_draw, self->pg->lot_count)];
    lot->price_version++;
    lot->price += 100;
    world_note(self, "the price of lot %lld changes", (long long)lot->lot_id);
}

/* A transaction is still on its way: the worst moment for the writer to forget it. */
void faults_commit_is_late(struct world *self) {
    if (draw_chance(&self->faults_draw, 200)) plan(self, FAULT_writer, 300 * SIM_MS);
}

static void crash_writer(struct world *self) {
    seat_crash(self, ACTOR_order);
    flights_plan(&self->flights, EVENT_restart, ACTOR_order, 0,
                 self->now + draw_span(&self->faults_draw, 0, 300 * SIM_MS));
}

static void crash_somebody(struct world *self) {
    enum address victim = crashing[draw_below(&self->faults_draw, CRASHING)];
    int64_t away = draw_chance(&self->faults_draw, 500)
                       ? 0
                       : draw_span(&self->faults_draw, SIM_MS, 2 * SIM_SECOND);
    if ((self->swarm.crash_set >> victim & 1) == 0) return;
    seat_crash(self, victim);
    flights_plan(&self->flights, EVENT_restart, victim, 0, self->now + away);
}

/* ---- Redis ---- */

/* Scripts that were sent have run or not; nobody hears which. */
static void lose_connection(struct world *self) {
    struct seat *seat = &self->seats[PORT_redis];
    struct outbox out = batch_outbox(&self->out, PORT_redis, 0, 1 << 16);
    bool ran = !self->story && draw_chance(&self->faults_draw, 500);
    if (!self->redis.up) return;
    if (ran && seat->mail.count > 0 && seat->mail.count <= SCRIPT_ROWS_MAX) {
        model_redis_handle(&self->redis, seat->mail.items, seat->mail.count, self->now, &out);
        for (uint32_t i = 0; i < self->out.count; i++)
            check_redis_said(self, &self->out.items[i]);
        batch_reset(&self->out);
        out = batch_outbox(&self->out, PORT_redis, 0, 1 << 16);
    }
    for (uint32_t i = 0; i < seat->mail.count; i++)
        script_refuse(&seat->mail.items[i], PROBLEM_unavailable, &out);
    batch_reset(&seat->mail);
    model_redis_down(&self->redis, &out);
    world_deliver_out(self);
}

static void lose_data(struct world *self, uint32_t lost, bool wipe) {
    if (!wipe && lost == 0) return;
    self->tainted = self->pg->epoch;
    self->redis_losses++;
    if (wipe)
        lua_store_wipe(self->store);
    else
        lua_store_cut(self->store, lost);
    const struct reply *begun = lua_store_command(self->store, "GET {s0}:installing");
    self->clean = 0;
    self->begun = 0;
    for (uint32_t i = 0; begun->kind == REPLY_text && i < begun->text.size; i++)
        self->begun = self->begun * 10 + (uint32_t)(begun->text.at[i] - '0');
}

void faults_redis_crash(struct world *self, uint32_t lost, bool wipe, int64_t away) {
    world_note(self, "redis crashes, %s", wipe ? "all is lost" : lost ? "its tail is lost" : "");
    lose_connection(self);
    lose_data(self, lost, wipe);
    lua_store_restart(self->store);
    flights_plan(&self->flights, EVENT_fault, NOBODY, FAULT_redis_up, self->now + away);
}

static void redis_comes(struct world *self) {
    struct outbox out = batch_outbox(&self->out, PORT_redis, 0, 1 << 16);
    if (self->redis.up) return;
    world_note(self, "redis is there");
    model_redis_up(&self->redis, &out);
    world_deliver_out(self);
}

static void blip(struct world *self) {
    world_note(self, "the connection to redis is lost");
    lose_connection(self);
    flights_plan(&self->flights, EVENT_fault, NOBODY, FAULT_redis_up,
                 self->now + draw_span(&self->faults_draw, SIM_MS, 500 * SIM_MS));
}

static void crash_redis(struct world *self) {
    struct draw *draw = &self->faults_draw;
    bool wipe = draw_chance(draw, self->swarm.redis_wipe);
    uint32_t lost =
        self->swarm.redis_cut_most > 0 ? draw_below(draw, self->swarm.redis_cut_most) : 0;
    int64_t away = draw_chance(draw, 500) ? draw_span(draw, SIM_MS, 50 * SIM_MS)
                                          : draw_span(draw, 50 * SIM_MS, 3 * SIM_SECOND);
    faults_redis_crash(self, lost, wipe, away);
}

/* ---- PostgreSQL ---- */

static void pg_goes(struct world *self) {
    self->pg_away_until =
        self->now + draw_span(&self->faults_draw, 10 * SIM_MS, self->swarm.pg_away_most);
    world_note(self, "postgresql is away");
}

enum fate faults_pg_fate(struct world *self) {
    struct draw *draw = &self->faults_draw;
    if (self->healed) return FATE_good;
    if (self->now < self->pg_away_until || draw_chance(draw, self->swarm.pg_refused)) {
        return FATE_refused;
    }
    if (draw_chance(draw, self->swarm.pg_unknown)) return FATE_unknown;
    if (draw_chance(draw, self->swarm.pg_late)) return FATE_late;
    return FATE_good;
}

void faults_strike(struct world *self, uint64_t kind) {
    bool over = self->healed;
    switch ((enum fault)kind) {
    case FAULT_crash:
        if (over) return;
        crash_somebody(self);
        plan(self, FAULT_crash, self->swarm.crash_every);
        return;
    case FAULT_redis:
        if (over) return;
        crash_redis(self);
        plan(self, FAULT_redis, self->swarm.redis_every);
        return;
    case FAULT_blip:
        if (over) return;
        blip(self);
        plan(self, FAULT_blip, self->swarm.blip_every);
        return;
    case FAULT_pg:
        if (over) return;
        pg_goes(self);
        plan(self, FAULT_pg, self->swarm.pg_every);
        return;
    case FAULT_redis_up: redis_comes(self); return;
    case FAULT_writer:
        if (!over) crash_writer(self);
        return;
    case FAULT_price: change_price(self); return;
    }
}

void faults_heal(struct world *self) {
    self->healed = true;
    self->healed_at = self->now;
    self->pg_away_until = 0;
    self->swarm.delay_most = SIM_MS / 2;
    world_note(self, "the faults stop");
    for (uint32_t i = 0; i < CRASHING; i++)
        seat_restart(self, crashing[i]);
    redis_comes(self);
}
