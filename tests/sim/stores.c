/* The stores at work: Redis behind the port of each pair, PostgreSQL behind each port to it. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/real.h"
#include "tests/sim/world.h"

enum { ROOM = 1 << 16 };

/* A transaction that will be committed after its client has given up. */
struct late {
    struct batch rows;
    uint8_t seat;
    uint32_t timeline; /* Of PostgreSQL; a commit does not cross a failover. */
};

/* ---- Redis ---- */

struct servers *stores_servers(struct world *self, uint32_t shard) {
    return &self->servers[shard % self->instances];
}

struct lua_store *stores_master(struct world *self, uint32_t shard) {
    const struct servers *servers = stores_servers(self, shard);
    return servers->store[servers->master];
}

void stores_open_redis(struct world *self, uint8_t process) {
    struct pair *pair = &self->pairs[process];
    uint8_t shard = self->processes[process].shard;
    const struct servers *servers = stores_servers(self, shard);
    pair->server = servers->master;
    pair->slow_until = 0;
    model_redis_init(&pair->redis, servers->store[pair->server], shard, self->setup.journal_cap);
    faults_redis_connect(self, process);
}

void stores_close_redis(struct world *self, uint8_t process) {
    model_redis_fini(&self->pairs[process].redis);
}

static bool took_units(const struct world *self) {
    for (uint32_t i = 0; i < self->out.count; i++) {
        const struct message *said = &self->out.items[i];
        if (said->head.type == MSG_reserved && !BODY(said, reserved)->seen) return true;
    }
    return false;
}

void stores_redis(struct world *self, uint8_t seat, const struct message *in, uint32_t count) {
    uint8_t process = self->seats[seat].process;
    struct model_redis *redis = &self->pairs[process].redis;
    struct outbox out = batch_outbox(&self->out, PORT_redis, self->seats[seat].shard, ROOM);
    out.node = process + 1U;
    model_redis_handle(redis, in, count, world_clock(self, process), &out);
    for (uint32_t i = 0; i < self->out.count; i++)
        check_redis_said(self, process, &self->out.items[i]);
    check_batch(self, in, count, &self->out);
    bool took = took_units(self);
    world_deliver_out(self, seat);
    if (took) faults_redis_worst(self, self->seats[seat].shard);
    if (redis->useless) { /* READONLY, LOADING: the port disconnects. */
        redis->useless = false;
        faults_redis_lose(self, process);
        flights_plan(&self->flights, EVENT_again, 0, FAULT_redis_blip | (uint64_t)process << 8,
                     self->now + 200 * SIM_MS);
    }
    check_redis_step(self);
}

/* ---- PostgreSQL ---- */

static struct outbox outbox_of(struct world *self, uint8_t number) {
    const struct seat *seat = &self->seats[number];
    struct outbox out = batch_outbox(&self->out, seat->address, seat->shard, ROOM);
    out.node = seat->process + 1U;
    return out;
}

static void keep_late(struct world *self, uint8_t seat, const struct message *in, uint32_t count) {
    self->late = realloc(self->late, (self->late_count + 1) * sizeof *self->late);
    if (self->late == NULL) abort();
    struct late *late = &self->late[self->late_count];
    batch_init(&late->rows);
    late->seat = seat;
    late->timeline = self->pg->timeline;
    for (uint32_t i = 0; i < count; i++)
        batch_append(&late->rows, &in[i]);
    int64_t wait = draw_span(&self->faults_draw, 1, 3000) * SIM_MS;
    flights_plan(&self->flights, EVENT_commit, seat, self->late_count++, self->now + wait);
}

void stores_committed(struct world *self) {
    check_commit(self);
    check_stores(self);
    faults_pg_standby(self);
}

/* A writer that forgets while its transaction is still on the way: the worst moment. */
static void forget_writer(struct world *self, uint8_t seat) {
    uint8_t writer = self->seat_at[self->seats[seat].process][ACTOR_order];
    if (writer == 0 || !swarm_has(&self->swarm, FAULT_crash)) return;
    if (!draw_chance(&self->faults_draw, 200)) return;
    seat_crash(self, writer);
    flights_plan(&self->flights, EVENT_restart, writer, 0,
                 self->now + draw_span(&self->faults_draw, 0, 300 * SIM_MS));
}

static void transact_really(struct world *self, uint8_t seat, const struct message *in,
                            uint32_t count) {
    struct outbox out = outbox_of(self, seat);
    bool many = in->head.type == MSG_sale_create && self->pg->sale_count == PG_SALES_MAX;
    if (faults_pg_away(self, self->seats[seat].process)) {
        model_pg_refuse(in, count, &out);
    } else if (many) { /* As the model: there is no room for more in the simulator. */
        model_pg_failed(in, PROBLEM_overloaded, &out);
    } else {
        real_transact(self, seat, in, count);
        return;
    }
    world_deliver_out(self, seat);
}

void stores_close_port(struct world *self, uint8_t seat) {
    if (self->real != NULL) real_close_port(self, seat);
}

void stores_transact(struct world *self, uint8_t seat, const struct message *in, uint32_t count) {
    if (self->real != NULL) {
        transact_really(self, seat, in, count);
        return;
    }
    struct outbox out = outbox_of(self, seat);
    enum fate fate = faults_pg_fate(self, self->seats[seat].process);
    if (fate == FATE_good || fate == FATE_unknown) {
        model_pg_run(self->pg, in, count, &out);
        stores_committed(self);
    }
    if (fate == FATE_unknown) {
        world_remark(self, "commit unknown: it was done");
        batch_reset(&self->out);
    }
    if (fate == FATE_late) {
        world_remark(self, "commit unknown: it will be done");
        keep_late(self, seat, in, count);
    }
    if (fate != FATE_good) {
        out = outbox_of(self, seat);
        model_pg_refuse(in, count, &out);
    }
    world_deliver_out(self, seat);
    if (fate == FATE_late) forget_writer(self, seat);
}

void stores_commit_late(struct world *self, uint64_t number) {
    struct late *late = &self->late[number];
    struct outbox out = outbox_of(self, late->seat);
    bool there = late->timeline == self->pg->timeline;
    world_remark(self, "a late commit%s", there ? "" : " is lost with its server");
    if (there) model_pg_run(self->pg, late->rows.items, late->rows.count, &out);
    batch_reset(&self->out);
    batch_fini(&late->rows);
    if (there) stores_committed(self);
}
