/* What happens to PostgreSQL and to the commits of others. */
#include <stdlib.h>

#include "tests/sim/check.h"
#include "tests/sim/world.h"

enum fate faults_pg_fate(struct world *self, uint8_t process) {
    struct draw *draw = &self->faults_draw;
    const struct swarm *swarm = &self->swarm;
    if (self->healed) return FATE_good;
    if (self->now < self->processes[process].pg_away_until) return FATE_refused;
    if (swarm->pg_refused > 0 && draw_chance(draw, swarm->pg_refused)) return FATE_refused;
    if (swarm->pg_unknown > 0 && draw_chance(draw, swarm->pg_unknown)) return FATE_unknown;
    if (swarm->pg_late > 0 && draw_chance(draw, swarm->pg_late)) return FATE_late;
    return FATE_good;
}

bool faults_pg_away(const struct world *self, uint8_t process) {
    return !self->healed && self->now < self->processes[process].pg_away_until;
}

enum fate faults_pg_commit(struct world *self, uint8_t process) {
    struct draw *draw = &self->faults_draw;
    const struct swarm *swarm = &self->swarm;
    if (self->healed) return FATE_good;
    if (faults_pg_away(self, process)) {
        static const enum fate fates[] = { FATE_lost, FATE_unknown, FATE_late };
        return fates[draw_below(draw, 3)];
    }
    if (swarm->pg_refused > 0 && draw_chance(draw, swarm->pg_refused)) return FATE_refused;
    if (swarm->pg_unknown > 0 && draw_chance(draw, swarm->pg_unknown)) {
        return draw_chance(draw, 500) ? FATE_unknown : FATE_lost;
    }
    if (swarm->pg_late > 0 && draw_chance(draw, swarm->pg_late)) return FATE_late;
    return FATE_good;
}

static void away(struct world *self, int64_t span) {
    struct draw *draw = &self->faults_draw;
    bool all = draw_chance(draw, 600);
    uint8_t one = (uint8_t)draw_below(draw, self->process_count);
    if (all)
        world_note(self, "postgresql is away");
    else
        world_note(self, "postgresql is away for process %u", one);
    for (uint8_t p = 0; p < PROCESSES; p++)
        if (all || p == one) self->processes[p].pg_away_until = self->now + span;
}

/* The standby hears of commits now and then; what it has not heard of is gone with the primary. */
void faults_pg_standby(struct world *self) {
    if (self->healed || self->real != NULL || !swarm_has(&self->swarm, FAULT_pg_failover)) return;
    if (self->standby != NULL && !draw_chance(&self->faults_draw, self->swarm.pg_heard)) return;
    if (self->standby == NULL) {
        self->standby = calloc(1, sizeof *self->standby);
        if (self->standby == NULL) abort();
        model_pg_init(self->standby);
    }
    model_pg_copy(self->standby, self->pg);
}

static void failover(struct world *self) {
    if (self->standby == NULL) return;
    uint32_t timeline = self->pg->timeline;
    world_note(self, "a standby of postgresql takes over: %u of %u orders, epoch %u of %u",
               self->standby->order_count, self->pg->order_count, self->standby->shards[0].epoch,
               self->pg->shards[0].epoch);
    for (uint32_t k = 0; k < self->shards; k++) {
        if (self->standby->shards[k].epoch == self->pg->shards[k].epoch) continue;
        self->forgotten_from[k] = self->standby->shards[k].epoch;
        self->forgotten_to[k] = self->pg->shards[k].epoch;
    }
    model_pg_copy(self->pg, self->standby);
    self->pg->timeline = timeline + 1;
    self->pg_failovers++;
    for (uint32_t k = 0; k < self->shards; k++)
        faults_redis_doubt(self, k);
    check_failover(self);
    away(self, draw_span(&self->faults_draw, SIM_MS, self->swarm.last[FAULT_pg_failover]));
}

void faults_pg_strike(struct world *self, enum fault fault) {
    if (fault == FAULT_pg_failover)
        failover(self);
    else
        away(self, draw_span(&self->faults_draw, 10 * SIM_MS, self->swarm.last[fault]));
}
