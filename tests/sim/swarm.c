#include "tests/sim/swarm.h"

#include <string.h>

#include "actors/actor.h"
#include "tests/sim/draw.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

static const struct {
    const char *name, *doc;
    uint32_t share;
} faults[FAULT_COUNT] = {
#define FAULT(name, share, doc) { #name, doc, share },
#include "tests/sim/faults.def"
#undef FAULT
};

const char *fault_name(enum fault fault) {
    return faults[fault].name;
}

const char *fault_doc(enum fault fault) {
    return faults[fault].doc;
}

enum fault fault_named(const char *name, unsigned long size) {
    uint32_t i = 0;
    while (i < FAULT_COUNT &&
           (strlen(faults[i].name) != size || memcmp(faults[i].name, name, size) != 0))
        i++;
    return (enum fault)i;
}

/* Those that strike now and then: mean times between two, and how long one lasts, in ms. */
static const struct {
    enum fault fault;
    int64_t least, most, lasts;
} strikes[] = {
    { FAULT_clog, 300, 6000, 3000 },         { FAULT_swizzle, 4000, 20000, 3000 },
    { FAULT_cut, 1000, 10000, 4000 },        { FAULT_crash, 500, 10000, 2000 },
    { FAULT_pause, 1000, 12000, 6000 },      { FAULT_writer, 2000, 15000, 8000 },
    { FAULT_move, 2000, 15000, 4000 },       { FAULT_clock, 1000, 12000, 0 },
    { FAULT_redis_crash, 300, 8000, 3000 },  { FAULT_redis_failover, 2000, 15000, 2000 },
    { FAULT_redis_key, 1000, 12000, 0 },     { FAULT_redis_blip, 1000, 12000, 500 },
    { FAULT_redis_slow, 1000, 12000, 4000 }, { FAULT_redis_refuse, 1000, 12000, 4000 },
    { FAULT_pg_away, 2000, 15000, 12000 },   { FAULT_pg_failover, 3000, 20000, 2000 },
    { FAULT_price, 2000, 20000, 0 },         { FAULT_paused, 2000, 12000, 3000 },
    { FAULT_closed, 6000, 20000, 0 },        { FAULT_restock, 1000, 12000, 0 },
    { FAULT_recover, 1000, 10000, 0 },
};

static uint32_t rate(struct draw *draw, uint32_t most) {
    return 1 + draw_below(draw, most);
}

static void draw_rates(struct swarm *self, struct draw *draw) {
    static const int64_t slow[] = { 5 * MS, 50 * MS, 250 * MS };
    self->loss = rate(draw, 150);
    self->twice = rate(draw, 200);
    self->reorder = rate(draw, 300);
    self->links = draw_chance(draw, 500) ? 1000 : rate(draw, 1000);
    self->delay_most = slow[draw_below(draw, 3)];
    self->reorder_most = slow[draw_below(draw, 3)] * (1 + draw_below(draw, 8));
    self->mailbox = 2 + draw_below(draw, 30);
    self->crash_set = (uint32_t)draw_bits(draw);
    self->redis_cut_most = rate(draw, 20);
    self->redis_wipe = rate(draw, 600);
    self->split = rate(draw, 1000);
    self->pg_refused = rate(draw, 100);
    self->pg_unknown = rate(draw, 150);
    self->pg_late = rate(draw, 400);
    self->pg_heard = rate(draw, 600);
    self->silent = rate(draw, 1000);
    self->doubled = rate(draw, 1000);
    self->wrong = rate(draw, 600);
    self->pay_away = rate(draw, 400);
    self->mail_away = rate(draw, 500);
    self->cheats = rate(draw, 500);
    self->misrouted = rate(draw, 600);
    self->journal_cap = draw_chance(draw, 200) ? 2 + draw_below(draw, 10) : 20000;
}

/* Whatever is sent again and again is also lost again and again in some runs. */
static void draw_victim(struct swarm *self, struct draw *draw) {
    static const enum message_id types[] = {
        MSG_lot_level, MSG_lot_hint,  MSG_held,      MSG_place,    MSG_settle,       MSG_undo,
        MSG_undone,    MSG_decided,   MSG_returned,  MSG_reserved, MSG_order_return, MSG_epoch_use,
        MSG_redis_up,  MSG_done,      MSG_installed, MSG_recover,  MSG_redis_down,   MSG_drain,
        MSG_deadline,  MSG_purchase,  MSG_rows_end,  MSG_failed,   MSG_deadline_set, MSG_lot_set,
        MSG_sale_view, MSG_sale_move, MSG_lot_level, MSG_mailed,
    };
    uint32_t drawn = draw_below(draw, sizeof types / sizeof *types);
    self->victim_loss = rate(draw, 1000);
    self->victim = types[drawn];
}

void swarm_draw(struct swarm *self, struct draw *draw, struct draw *later, uint64_t allowed) {
    memset(self, 0, sizeof *self);
    self->ends = draw_span(draw, 8, 30) * SECOND;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        struct draw *from = i < FAULT_regret ? draw : later;
        if (draw_chance(from, faults[i].share)) self->on |= UINT64_C(1) << i;
    }
    self->on &= allowed;
    self->regrets = rate(later, 1000);
    self->worst = rate(later, 200);
    draw_rates(self, draw);
    draw_victim(self, draw);
    for (size_t i = 0; i < sizeof strikes / sizeof *strikes; i++) {
        enum fault fault = strikes[i].fault;
        self->every[fault] = draw_span(draw, strikes[i].least * MS, strikes[i].most * MS);
        self->last[fault] = strikes[i].lasts * MS;
    }
    self->delay_least = MS / 20;
    if (!swarm_has(self, FAULT_slow)) self->delay_most = MS / 2;
    if (!swarm_has(self, FAULT_loss)) self->loss = 0;
    if (!swarm_has(self, FAULT_twice)) self->twice = 0;
    if (!swarm_has(self, FAULT_reorder)) self->reorder = 0;
    if (!swarm_has(self, FAULT_victim)) self->victim = 0;
    if (!swarm_has(self, FAULT_redis_tail)) self->redis_cut_most = 0;
    if (!swarm_has(self, FAULT_redis_wipe)) self->redis_wipe = 0;
    if (!swarm_has(self, FAULT_redis_split)) self->split = 0;
    if (!swarm_has(self, FAULT_pg_refuse)) self->pg_refused = 0;
    if (!swarm_has(self, FAULT_pg_unknown)) self->pg_unknown = 0;
    if (!swarm_has(self, FAULT_pg_late)) self->pg_late = 0;
    if (!swarm_has(self, FAULT_pay_silent)) self->silent = 0;
    if (!swarm_has(self, FAULT_pay_twice)) self->doubled = 0;
    if (!swarm_has(self, FAULT_pay_wrong)) self->wrong = 0;
    if (!swarm_has(self, FAULT_pay_away)) self->pay_away = 0;
    if (!swarm_has(self, FAULT_mail_away)) self->mail_away = 0;
    if (!swarm_has(self, FAULT_cheats)) self->cheats = 0;
    if (!swarm_has(self, FAULT_mailbox)) self->mailbox = 0;
    if (!swarm_has(self, FAULT_regret)) self->regrets = 0;
    if (!swarm_has(self, FAULT_worst)) self->worst = 0;
}

int64_t swarm_latest(const struct swarm *self) {
    int64_t latest = self->delay_most;
    if (self->reorder > 0 || self->twice > 0) latest += self->reorder_most;
    if (swarm_has(self, FAULT_clog) || swarm_has(self, FAULT_swizzle)) {
        latest += self->last[FAULT_clog] * 2;
    }
    if (swarm_has(self, FAULT_pause)) latest += self->last[FAULT_pause];
    return latest;
}
