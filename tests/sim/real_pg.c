/* The sessions of --store=real: what is asked, begun, waits, stands at its gate, is committed. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/pg/lane.h"
#include "config/config.h"
#include "tests/lib/pg_harness.h"
#include "tests/sim/check.h"
#include "tests/sim/real.h"

enum { ROOM = 1 << 16, SESSIONS_MAX = 128, LANES = 2, US = 1000, LATE_MOST_MS = 3000 };
enum { BEGIN_MOST_US = 500, COMMIT_LEAST_US = 50 };

enum phase {
    FREE,
    AWAY, /* Not connected; comes again by itself. */
    IDLE,
    AGAIN, /* The lane tries its statement again, soon. */
    GATE,  /* All is done but the commit. */
    WAITS  /* For a lock of a session at its gate. */
};

/* A backend and its client.  lane NULL: the client has given up. */
struct session {
    struct lane *lane;
    char name[16];
    int pid; /* 0: none. */
    uint8_t phase, seat, nth;
    uint32_t turn; /* Events of an earlier one are void. */
};

/* The messages of a transaction that has not begun. */
struct ask {
    struct batch rows;
    uint8_t seat;
};

struct real {
    struct config config;
    struct mirror *mirror;
    struct session sessions[SESSIONS_MAX];
    uint32_t session_count;
    struct ask *asks; /* In the order in which they came. */
    uint32_t ask_count, ask_room;
    bool kicked;         /* A turn that begins one of them is planned. */
    struct draw draw;    /* Which session goes on, and when. */
    int64_t commit_most; /* How long it stands at its gate, in this run. */
};

static struct real_totals totals;

const struct real_totals *real_totals(void) {
    return &totals;
}

static struct outbox outbox_of(struct world *world, uint8_t number) {
    const struct seat *seat = &world->seats[number];
    struct outbox out = batch_outbox(&world->out, seat->address, seat->shard, ROOM);
    out.node = seat->process + 1U;
    return out;
}

/* ---- Turns ---- */

static void plan(struct world *world, struct session *session, int64_t after) {
    uint64_t number = (uint64_t)(session - world->real->sessions) + 1;
    flights_plan(&world->flights, EVENT_session, session->seat,
                 number | (uint64_t)++session->turn << 8, world->now + after);
}

static bool somebody_waits(const struct real *self) {
    for (uint32_t i = 0; i < self->session_count; i++)
        if (self->sessions[i].phase == WAITS) return true;
    return false;
}

static void kick(struct world *world) {
    struct real *self = world->real;
    if (self->kicked || self->ask_count == 0 || somebody_waits(self)) return;
    self->kicked = true;
    flights_plan(&world->flights, EVENT_session, 0, 0,
                 world->now + US * draw_span(&self->draw, 1, BEGIN_MOST_US));
}

/* ---- One session ---- */

static struct session *session_add(struct real *self, uint8_t seat) {
    uint32_t i = 0;
    while (i < self->session_count && self->sessions[i].phase != FREE)
        i++;
    if (i == SESSIONS_MAX) abort();
    if (i == self->session_count) self->session_count++;
    struct session *session = &self->sessions[i];
    *session = (struct session){ .seat = seat, .turn = session->turn + 1 };
    return session;
}

static void gate_forget(struct session *session) {
    if (session->pid != 0)
        pg_number(real_sql(), "SELECT pg_advisory_unlock(77, %d)::integer", session->pid);
    session->pid = 0;
}

/* The latest connection of this name is ours; its gate is shut. */
static void gate_make(struct session *session) {
    session->pid = (int)pg_number(real_sql(),
                                  "SELECT pid FROM pg_stat_activity WHERE application_name = '%s'"
                                  " ORDER BY backend_start DESC LIMIT 1",
                                  session->name);
    pg_number(real_sql(), "SELECT 1 FROM pg_advisory_lock(77, %d)", session->pid);
}

/* Connects, or finds out that it has to wait. */
static void connect_lane(struct world *world, struct session *session) {
    struct outbox out = outbox_of(world, session->seat);
    for (;;) {
        struct pollfd fd;
        lane_step(session->lane, world->now, &out);
        if (lane_connected(session->lane)) break;
        if (lane_poll(session->lane, &fd, 1) == 0) {
            plan(world, session, lane_timeout(session->lane, world->now));
            return;
        }
        poll(&fd, 1, 1000);
    }
    session->phase = IDLE;
    gate_make(session);
}

static void session_open(struct world *world, uint8_t seat, uint8_t nth) {
    struct session *session = session_add(world->real, seat);
    snprintf(session->name, sizeof session->name, "sim-%u-%u", seat, nth);
    session->nth = nth;
    session->phase = AWAY;
    session->lane = lane_open(&world->real->config, session->name, world->seats[seat].address);
    connect_lane(world, session);
}

/* Where is the backend?  GATE, WAITS, or IDLE: neither (it works, or has done). */
static enum phase place_of(int pid) {
    static const enum phase places[] = { IDLE, GATE, WAITS };
    return places[pg_number(real_sql(),
                            "SELECT coalesce(max(CASE WHEN locktype = 'advisory' AND classid = 77"
                            " THEN 1 ELSE 2 END), 0) FROM pg_locks WHERE pid = %d AND NOT granted",
                            pid)];
}

static void on_away(struct world *world, struct session *session) {
    gate_forget(session);
    session->phase = AWAY;
    plan(world, session, lane_timeout(session->lane, world->now));
}

/* Where the client stands when nothing more happens by itself; its answers are in the outbox. */
static enum phase phase_of(struct world *world, const struct session *session, struct outbox *out) {
    const struct timespec soon = { .tv_nsec = 150 * US };
    for (;;) {
        struct pollfd fd;
        lane_step(session->lane, world->now, out);
        if (!lane_connected(session->lane)) return AWAY;
        if (lane_idle(session->lane)) return IDLE;
        if (lane_timeout(session->lane, world->now) >= 0) return AGAIN;
        if (lane_poll(session->lane, &fd, 1) == 1 && ppoll(&fd, 1, &soon, NULL) > 0) continue;
        enum phase place = place_of(session->pid);
        if (place != IDLE) return place;
    }
}

/* Mostly a moment, so that not all of a run is spent there. */
static int64_t commit_delay(struct world *world) {
    struct draw *draw = &world->real->draw;
    int64_t most = world->healed ? 3 * SIM_MS : world->real->commit_most;
    if (draw_chance(draw, 500)) most = COMMIT_LEAST_US * US + most / 100;
    return draw_span(draw, COMMIT_LEAST_US * US, most);
}

static void set_phase(struct world *world, struct session *session, enum phase phase) {
    if (phase == WAITS && session->phase != WAITS) {
        world_remark(world, "%s waits", session->name);
        totals.waits++;
    }
    if (phase == GATE) totals.gates++;
    session->phase = (uint8_t)phase;
    switch (phase) {
    case AWAY: on_away(world, session); return;
    case AGAIN: plan(world, session, lane_timeout(session->lane, world->now)); return;
    case GATE: plan(world, session, commit_delay(world)); return;
    case FREE:
    case IDLE:
    case WAITS: return;
    }
}

static void settle(struct world *world, struct session *session) {
    struct outbox out = outbox_of(world, session->seat);
    set_phase(world, session, phase_of(world, session, &out));
    world_deliver_out(world, session->seat);
}

/* The client is gone: until the backend is at its gate, waits, or has ended. */
static void settle_orphan(struct world *world, struct session *session) {
    enum phase place;
    while ((place = place_of(session->pid)) == IDLE) {
        if (pg_number(real_sql(),
                      "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND state = 'active'",
                      session->pid) > 0) {
            continue;
        }
        gate_forget(session);
        session->phase = FREE;
        return;
    }
    set_phase(world, session, place);
}

/* ---- Beginning ---- */

static bool fits(const struct world *world, const struct session *session, const struct ask *ask) {
    if (session->lane == NULL || session->seat != ask->seat || session->phase == FREE) return false;
    if (world->seats[ask->seat].address != PORT_pg_shard) return true;
    /* As broker/pg/pg.c: purchases go through one, in the order in which they came. */
    return session->nth == (ask->rows.items[0].head.type == MSG_purchase ? 0 : 1);
}

/* Who can take it now; one that is away refuses it, when there is no other. */
static struct session *taker(struct world *world, const struct ask *ask) {
    struct real *self = world->real;
    struct session *away = NULL;
    bool connected = false;
    for (uint32_t i = 0; i < self->session_count; i++) {
        struct session *session = &self->sessions[i];
        if (!fits(world, session, ask)) continue;
        if (session->phase == IDLE) return session;
        if (session->phase == AWAY)
            away = session;
        else
            connected = true;
    }
    return connected ? NULL : away;
}

static void ask_forget(struct real *self, uint32_t at) {
    batch_fini(&self->asks[at].rows);
    memmove(&self->asks[at], &self->asks[at + 1], (self->ask_count - at - 1) * sizeof *self->asks);
    self->ask_count--;
}

/* A connection that is lost before the answer to a transaction that wrote nothing. */
static bool reading_lost(struct world *world, const struct session *session) {
    const struct swarm *swarm = &world->swarm;
    if (world->healed || session->phase != IDLE || swarm->pg_unknown == 0) return false;
    return draw_chance(&world->faults_draw, swarm->pg_unknown / 2);
}

static void begin(struct world *world, struct session *session, uint32_t at) {
    struct real *self = world->real;
    struct outbox out = outbox_of(world, session->seat);
    bool was_away = session->phase == AWAY;
    totals.transactions++;
    struct ask *ask = &self->asks[at];
    for (uint32_t i = 0; i < ask->rows.count; i++)
        lane_put(session->lane, &ask->rows.items[i]);
    lane_pump(session->lane, world->now, &out);
    if (!was_away) set_phase(world, session, phase_of(world, session, &out));
    if (!was_away && reading_lost(world, session)) {
        batch_reset(&world->out);
        out = outbox_of(world, session->seat);
        model_pg_refuse(ask->rows.items, ask->rows.count, &out);
        lane_drop(session->lane, world->now);
        set_phase(world, session, AWAY);
    }
    ask_forget(self, at);
    world_deliver_out(world, session->seat);
}

/* One of those that could begin, drawn: not the second of a session. */
static void begin_one(struct world *world) {
    struct real *self = world->real;
    uint32_t found[SESSIONS_MAX], count = 0;
    if (somebody_waits(self)) return;
    for (uint32_t i = 0; i < self->ask_count && count < SESSIONS_MAX; i++) {
        struct session *session = taker(world, &self->asks[i]);
        bool first = session != NULL;
        for (uint32_t k = 0; k < count && first; k++)
            first = taker(world, &self->asks[found[k]]) != session;
        if (first) found[count++] = i;
    }
    if (count == 0) return;
    uint32_t at = found[draw_below(&self->draw, count)];
    begin(world, taker(world, &self->asks[at]), at);
    if (count > 1) kick(world);
}

void real_transact(struct world *world, uint8_t seat, const struct message *in, uint32_t count) {
    struct real *self = world->real;
    bool there = false;
    for (uint32_t i = 0; i < self->session_count; i++)
        there = there || (self->sessions[i].phase != FREE && self->sessions[i].lane != NULL &&
                          self->sessions[i].seat == seat);
    for (uint8_t nth = 0; nth < LANES && !there; nth++)
        session_open(world, seat, nth);
    self->asks = world_grow(self->asks, self->ask_count, &self->ask_room, sizeof *self->asks);
    struct ask *ask = &self->asks[self->ask_count++];
    *ask = (struct ask){ .seat = seat };
    batch_init(&ask->rows);
    for (uint32_t i = 0; i < count; i++)
        batch_append(&ask->rows, &in[i]);
    kick(world);
}

/* ---- Ending ---- */

/* A transaction has ended: what it held is free. */
static void ended(struct world *world) {
    struct real *self = world->real;
    if (mirror_read(self->mirror, world)) stores_committed(world);
    for (uint32_t i = 0; i < self->session_count; i++) {
        struct session *session = &self->sessions[i];
        if (session->phase != WAITS) continue;
        if (session->lane != NULL)
            settle(world, session);
        else
            settle_orphan(world, session);
    }
}

/* Ends when the transaction has: whoever goes through holds the gate's lock until then. */
static void gate_open(const struct session *session) {
    pg_number(real_sql(), "SELECT pg_advisory_unlock(77, %d)::integer, pg_advisory_lock(77, %d)",
              session->pid, session->pid);
}

static void gate_refuse(const struct session *session) {
    pg_number(real_sql(),
              "SELECT pg_advisory_lock(78, %d), pg_advisory_unlock(77, %d),"
              " pg_advisory_lock(77, %d), pg_advisory_unlock(78, %d)",
              session->pid, session->pid, session->pid, session->pid);
}

static void terminate(const struct session *session) {
    pg_number(real_sql(), "SELECT pg_terminate_backend(%d)::integer", session->pid);
    while (pg_number(real_sql(), "SELECT count(*) FROM pg_stat_activity WHERE pid = %d",
                     session->pid) > 0)
        continue;
}

/* The client gives up; the backend goes on alone. */
static struct session *orphan(struct world *world, struct session *session) {
    struct session *left = session_add(world->real, session->seat);
    left->pid = session->pid;
    left->phase = session->phase;
    snprintf(left->name, sizeof left->name, "late-%u", session->seat);
    session->pid = 0;
    world->late_count++;
    if (left->phase == GATE)
        plan(world, left, SIM_MS * draw_span(&world->faults_draw, 1, LATE_MOST_MS));
    return left;
}

static void client_drops(struct world *world, struct session *session) {
    lane_drop(session->lane, world->now);
    settle(world, session);
}

static void commit_of(struct world *world, struct session *session, enum fate fate) {
    switch (fate) {
    case FATE_good: gate_open(session); break;
    case FATE_refused:
        world_remark(world, "%s: a serialization error", session->name);
        gate_refuse(session);
        break;
    case FATE_lost:
        world_remark(world, "%s is lost before its commit", session->name);
        terminate(session);
        break;
    case FATE_unknown:
        world_remark(world, "%s: commit unknown: it was done", session->name);
        gate_open(session);
        ended(world);
        client_drops(world, session);
        return;
    case FATE_late:
        world_remark(world, "%s: commit unknown: it will be done", session->name);
        orphan(world, session);
        client_drops(world, session);
        return;
    }
    ended(world);
    settle(world, session);
}

static void commit(struct world *world, struct session *session) {
    uint8_t process = world->seats[session->seat].process;
    if (session->lane != NULL) {
        commit_of(world, session, faults_pg_commit(world, process));
        return;
    }
    world_remark(world, "a late commit");
    gate_open(session);
    settle_orphan(world, session);
    ended(world);
}

void real_turn(struct world *world, uint64_t number) {
    struct real *self = world->real;
    struct session *session = &self->sessions[(number & 0xff) - 1];
    if (number == 0) {
        self->kicked = false;
        begin_one(world);
        return;
    }
    if (session->turn != (uint32_t)(number >> 8)) return;
    switch ((enum phase)session->phase) {
    case AWAY: connect_lane(world, session); break;
    case AGAIN:
        if (somebody_waits(self))
            plan(world, session, SIM_MS);
        else
            settle(world, session);
        break;
    case GATE: commit(world, session); break;
    case FREE:
    case IDLE:
    case WAITS: break;
    }
    kick(world);
}

/* ---- Life ---- */

void real_open(struct world *world) {
    static const int64_t mosts[] = { 3 * SIM_MS, 60 * SIM_MS, 600 * SIM_MS };
    struct real *self = calloc(1, sizeof *self);
    if (self == NULL) abort();
    world->real = self;
    config_defaults(&self->config);
    snprintf(self->config.pg_dsn, sizeof self->config.pg_dsn, "%s", real_dsn());
    self->config.pg_answer_timeout = 86400 * SIM_SECOND; /* Giving up is drawn. */
    self->mirror = mirror_open();
    self->draw = draw_make(world->seed, 6);
    self->commit_most = mosts[draw_below(&self->draw, sizeof mosts / sizeof *mosts)];
    real_seed(world->seed);
    real_stage(world);
    mirror_read(self->mirror, world);
}

void real_close_port(struct world *world, uint8_t seat) {
    struct real *self = world->real;
    for (uint32_t i = 0; i < self->session_count; i++) {
        struct session *session = &self->sessions[i];
        if (session->phase == FREE || session->lane == NULL || session->seat != seat) continue;
        if (session->phase == GATE || session->phase == WAITS)
            orphan(world, session);
        else
            gate_forget(session);
        lane_close(session->lane);
        session->lane = NULL;
        session->phase = FREE;
        session->turn++;
    }
    for (uint32_t i = self->ask_count; i > 0; i--)
        if (self->asks[i - 1].seat == seat) ask_forget(self, i - 1);
}

void real_close(struct world *world) {
    struct real *self = world->real;
    for (uint32_t i = 0; i < self->session_count; i++)
        lane_close(self->sessions[i].lane);
    while (pg_number(real_sql(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                 " WHERE application_name LIKE 'sim-%%'") > 0)
        continue;
    pg_number(real_sql(), "SELECT 1 FROM pg_advisory_unlock_all()");
    while (self->ask_count > 0)
        ask_forget(self, self->ask_count - 1);
    mirror_close(self->mirror);
    free(self->asks);
    free(self);
}

bool real_price(const struct pg_lot *lot) {
    return pg_number(real_sql(),
                     "WITH free AS (SELECT lot_id FROM lot WHERE lot_id = %lld FOR UPDATE SKIP"
                     " LOCKED), done AS (UPDATE lot l SET price = %lld, price_version = %u,"
                     " version = l.version + 1 FROM free WHERE l.lot_id = free.lot_id RETURNING 1)"
                     " SELECT count(*) FROM done",
                     (long long)lot->lot_id, (long long)lot->price, lot->price_version) > 0;
}
