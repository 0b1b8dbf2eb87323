/* What happens to Redis and to the connections to it. */
#include "tests/sim/check.h"
#include "tests/sim/world.h"

enum { ROOM = 1 << 16, JOURNAL_CAP = 20000 };

static uint32_t any_shard(struct world *self) {
    return draw_below(&self->faults_draw, self->shards);
}

static uint32_t any_instance(struct world *self) {
    return draw_below(&self->faults_draw, self->instances);
}

/* Does this process serve a shard that lives in this instance? */
static bool uses(const struct world *self, uint8_t process, uint32_t instance) {
    const struct process *at = &self->processes[process];
    return at->there && at->shard % self->instances == instance;
}

static struct outbox outbox_of(struct world *self, uint8_t process) {
    struct outbox out = batch_outbox(&self->out, PORT_redis, self->processes[process].shard, ROOM);
    out.node = process + 1U;
    return out;
}

/* ---- Connections ---- */

/* Scripts that were sent have run or not; nobody hears which. */
void faults_redis_lose(struct world *self, uint8_t process) {
    struct pair *pair = &self->pairs[process];
    uint8_t number = self->seat_at[process][PORT_redis];
    struct seat *seat = &self->seats[number];
    bool ran = !self->story && draw_chance(&self->faults_draw, 500);
    if (!pair->redis.up) return;
    struct outbox out = outbox_of(self, process);
    if (ran && seat->mail.count > 0 && seat->mail.count <= SCRIPT_ROWS_MAX) {
        model_redis_handle(&pair->redis, seat->mail.items, seat->mail.count,
                           world_clock(self, process), &out);
        for (uint32_t i = 0; i < self->out.count; i++)
            check_redis_said(self, process, &self->out.items[i]);
        batch_reset(&self->out);
        out = outbox_of(self, process);
    }
    for (uint32_t i = 0; i < seat->mail.count; i++)
        script_refuse(&seat->mail.items[i], PROBLEM_unavailable, &out);
    batch_reset(&seat->mail);
    model_redis_down(&pair->redis, &out);
    world_deliver_out(self, number);
}

static void plan_connect(struct world *self, uint8_t process, int64_t after) {
    flights_plan(&self->flights, EVENT_again, 0, FAULT_redis_blip | (uint64_t)process << 8,
                 self->now + after);
}

void faults_redis_connect(struct world *self, uint8_t process) {
    struct pair *pair = &self->pairs[process];
    struct outbox out = outbox_of(self, process);
    if (!self->processes[process].there || pair->redis.up) return;
    pair->redis.store = stores_servers(self, self->processes[process].shard)->store[pair->server];
    model_redis_up(&pair->redis, &out);
    world_deliver_out(self, self->seat_at[process][PORT_redis]);
    if (!pair->redis.useless) return;
    pair->redis.useless = pair->redis.up = false; /* LOADING: it tries again. */
    plan_connect(self, process, 200 * SIM_MS);
}

/* Everybody who is connected to this server, or to any. */
static void lose_all(struct world *self, uint32_t instance, uint8_t server) {
    for (uint8_t p = PROCESS_pairs; p < PROCESSES; p++)
        if (uses(self, p, instance) && self->pairs[p].server == server) faults_redis_lose(self, p);
}

/* ---- Crashes ---- */

static uint32_t number(const struct reply *reply) {
    uint32_t value = 0;
    for (uint32_t i = 0; reply->kind == REPLY_text && i < reply->text.size; i++)
        value = value * 10 + (uint32_t)(reply->text.at[i] - '0');
    return value;
}

/* From now on nothing of this or an older epoch can be believed, but for an install that begins
 * after this. */
void faults_redis_doubt(struct world *self, uint32_t shard) {
    struct trust *trust = &self->trusted[shard];
    char key[40];
    snprintf(key, sizeof key, "HGET {s%u}:meta epoch", shard);
    uint32_t has = number(lua_store_command(stores_master(self, shard), key));
    uint32_t knows = self->pg->shards[shard].epoch;
    trust->tainted = has > knows ? has : knows;
    trust->losses++;
    snprintf(key, sizeof key, "GET {s%u}:installing", shard);
    trust->begun = number(lua_store_command(stores_master(self, shard), key));
    trust->clean = 0;
}

static void doubt_all(struct world *self, uint32_t instance) {
    for (uint32_t k = instance; k < self->shards; k += self->instances)
        faults_redis_doubt(self, k);
}

void faults_redis_crash(struct world *self, uint32_t instance, uint32_t lost, bool wipe,
                        int64_t away) {
    struct servers *servers = &self->servers[instance];
    struct lua_store *store = servers->store[servers->master];
    world_note(self, "redis crashes, %s", wipe ? "all is lost" : lost ? "its tail is lost" : "");
    lose_all(self, instance, servers->master);
    if (wipe)
        lua_store_wipe(store);
    else if (lost > 0)
        lua_store_cut(store, lost);
    if (wipe || lost > 0) doubt_all(self, instance);
    lua_store_restart(store);
    flights_plan(&self->flights, EVENT_again, 0, FAULT_redis_crash | (uint64_t)instance << 8,
                 self->now + away);
}

static void crash(struct world *self) {
    struct draw *draw = &self->faults_draw;
    bool wipe = draw_chance(draw, self->swarm.redis_wipe);
    uint32_t most = self->swarm.redis_cut_most, lost = most > 0 ? draw_below(draw, most) : 0;
    int64_t away = draw_chance(draw, 500) ? draw_span(draw, SIM_MS, 50 * SIM_MS)
                                          : draw_span(draw, 50 * SIM_MS, 3 * SIM_SECOND);
    faults_redis_crash(self, any_instance(self), lost, wipe, away);
}

/* It has taken units and said so; what is on its way to it meets one that knows nothing of them. */
void faults_redis_worst(struct world *self, uint32_t shard) {
    struct draw *draw = &self->later_draw;
    if (self->healed || self->swarm.worst == 0 || !draw_chance(draw, self->swarm.worst)) return;
    uint32_t lost = 1 + draw_below(draw, 3);
    faults_redis_crash(self, shard % self->instances, lost, false, draw_span(draw, 0, 2 * SIM_MS));
}

static void everybody_connects(struct world *self, uint32_t instance) {
    world_note(self, "redis is there");
    for (uint8_t p = PROCESS_pairs; p < PROCESSES; p++)
        if (uses(self, p, instance)) faults_redis_connect(self, p);
}

/* ---- Failover ---- */

/* The replica has not heard of the last writes.  Those who are told go to it; who is not, goes on
 * with the old master for a while (split brain). */
static void failover(struct world *self) {
    struct draw *draw = &self->faults_draw;
    uint32_t instance = any_instance(self), lag = draw_below(draw, 12);
    struct servers *servers = &self->servers[instance];
    uint8_t old = servers->master, new = (uint8_t)(old ^ 1);
    struct lua_snapshot *copy = lua_store_snapshot(servers->store[old]);
    bool split = draw_chance(draw, self->swarm.split);
    int64_t away = draw_span(draw, SIM_MS, self->swarm.last[FAULT_redis_failover]);
    world_note(self, "a replica of redis takes over, %u writes behind%s", lag,
               split ? "; the old master lives" : "");
    if (servers->store[new] == NULL)
        servers->store[new] = lua_store_open(self->seed * 31 + 7 + instance);
    lua_store_restore(servers->store[new], copy);
    lua_store_cut(servers->store[new], lag);
    lua_store_restart(servers->store[new]);
    lua_snapshot_free(copy);
    for (uint8_t p = PROCESS_pairs; p < PROCESSES; p++) {
        if (!uses(self, p, instance)) continue;
        bool stays = split && self->pairs[p].server == old && draw_chance(draw, 700);
        if (stays) {
            flights_plan(&self->flights, EVENT_again, 0, FAULT_redis_split | (uint64_t)p << 8,
                         self->now + draw_span(draw, SIM_MS, 5 * SIM_SECOND));
            continue;
        }
        faults_redis_lose(self, p);
        self->pairs[p].server = new;
        plan_connect(self, p, away);
    }
    servers->master = new;
    doubt_all(self, instance);
}

/* Whoever has stayed with the old master hears of the new one. */
static void leave_old(struct world *self, uint8_t process) {
    struct pair *pair = &self->pairs[process];
    uint8_t master = stores_servers(self, self->processes[process].shard)->master;
    if (!self->processes[process].there || pair->server == master) return;
    faults_redis_lose(self, process);
    pair->server = master;
    faults_redis_connect(self, process);
}

/* ---- The rest ---- */

static uint8_t any_pair(struct world *self) {
    uint8_t home = self->home[any_shard(self)], other = (uint8_t)(home ^ 1);
    bool second = draw_chance(&self->faults_draw, 300);
    return second && self->processes[other].there ? other : home;
}

static void blip(struct world *self) {
    uint8_t process = any_pair(self);
    world_note(self, "process %u loses its connection to redis", process);
    faults_redis_lose(self, process);
    plan_connect(self, process,
                 draw_span(&self->faults_draw, SIM_MS, self->swarm.last[FAULT_redis_blip]));
}

/* DEL of one key, by whoever.  (A journal without rows and the set of lots are not missed, nor are
 * the keys of a lot that is settled.)  What was not there is not lost. */
static void lose_key(struct world *self) {
    static const char *const words[] = { "meta", "lot", "u" };
    uint32_t shard = any_shard(self), which = draw_below(&self->faults_draw, 3);
    const struct pg_lot *lot = &self->pg->lots[draw_below(&self->faults_draw, self->pg->lot_count)];
    if (which > 0) shard = lot->shard;
    char command[64];
    if (which < 1)
        snprintf(command, sizeof command, "DEL {s%u}:%s", shard, words[which]);
    else
        snprintf(command, sizeof command, "DEL {s%u}:%s:%lld", shard, words[which],
                 (long long)lot->lot_id);
    world_note(self, "redis: %s", command);
    const struct reply *reply = lua_store_command(stores_master(self, shard), command);
    bool was_there = reply->kind == REPLY_integer && reply->integer > 0;
    bool missed = which < 1 || lot->state != lot_state_settled;
    if (was_there && missed) faults_redis_doubt(self, shard);
}

static void refuse(struct world *self) {
    static const char *const words[] = {
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "MISCONF Redis is configured to save RDB snapshots, but it cannot persist on disk.",
    };
    uint32_t instance = any_instance(self), which = draw_below(&self->faults_draw, 4);
    const struct servers *servers = &self->servers[instance];
    int64_t span = draw_span(&self->faults_draw, SIM_MS, self->swarm.last[FAULT_redis_refuse]);
    world_note(self, "redis refuses: %.8s", words[which]);
    lua_store_refuse(servers->store[servers->master], words[which], which == 2);
    flights_plan(&self->flights, EVENT_again, 0, FAULT_redis_refuse | (uint64_t)instance << 8,
                 self->now + span);
}

void faults_redis_strike(struct world *self, enum fault fault) {
    switch (fault) {
    case FAULT_redis_crash: crash(self); return;
    case FAULT_redis_failover: failover(self); return;
    case FAULT_redis_blip: blip(self); return;
    case FAULT_redis_key: lose_key(self); return;
    case FAULT_redis_slow: {
        uint8_t process = any_pair(self);
        self->pairs[process].slow_until =
            self->now + draw_span(&self->faults_draw, SIM_MS, self->swarm.last[fault]);
        world_note(self, "redis is slow for process %u", process);
        return;
    }
    case FAULT_redis_refuse: refuse(self); return;
    default: return;
    }
}

static void stop_refusing(struct world *self, uint32_t instance) {
    for (uint32_t i = 0; i < 2; i++) {
        struct lua_store *store = self->servers[instance].store[i];
        if (store != NULL) lua_store_refuse(store, NULL, false);
    }
}

void faults_redis_again(struct world *self, uint64_t number) {
    uint32_t whom = (uint32_t)(number >> 8);
    switch ((enum fault)(number & 0xff)) {
    case FAULT_redis_crash: everybody_connects(self, whom); return;
    case FAULT_redis_split: leave_old(self, (uint8_t)whom); return;
    case FAULT_redis_blip: faults_redis_connect(self, (uint8_t)whom); return;
    case FAULT_redis_refuse: stop_refusing(self, whom); return;
    default: return;
    }
}

void faults_redis_heal(struct world *self) {
    self->setup.journal_cap = JOURNAL_CAP;
    for (uint8_t p = PROCESS_pairs; p < PROCESSES; p++)
        self->pairs[p].redis.state.journal_cap = JOURNAL_CAP;
    for (uint32_t k = 0; k < self->instances; k++) {
        stop_refusing(self, k);
        for (uint8_t p = PROCESS_pairs; p < PROCESSES; p++) {
            self->pairs[p].slow_until = 0;
            if (uses(self, p, k)) leave_old(self, p);
        }
        everybody_connects(self, k);
    }
}
