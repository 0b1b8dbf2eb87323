/* The port to PostgreSQL: several connections, and which message goes to which.
 *
 * The shop has pg.shop_connections of them, so that a payment's commit does not hold up a ticket's
 * look-up: each lane takes the next message when it is idle, and those behind it that can share its
 * statement.  Nobody may count on the order of two messages that he has not waited for.
 *
 * A shard has two: its purchases go through one, in the order in which they came (G23), everything
 * else through the other. */
#include <stdlib.h>

#include "broker/pg/lane.h"
#include "broker/pg/statements.h"
#include "broker/port.h"
#include "broker/ready.h"
#include "config/config.h"

enum { LANES_MAX = 32, SHARD_LANES = 2, LANE_purchases = 0, LANE_others };

struct port {
    const char *name;
    bool shard;
    bool told; /* What /readyz was told of the connections. */
    uint32_t count;
    struct lane *lanes[LANES_MAX];
    struct batch queue; /* Of the shop; from `taken` on nobody has it. */
    uint32_t taken;
};

static struct port *pg_open(const struct port_setup *setup) {
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) abort();
    self->name = setup->name != NULL ? setup->name : address_name(setup->self);
    self->shard = setup->self == PORT_pg_shard;
    self->count = self->shard ? SHARD_LANES : (uint32_t)setup->config->pg_shop_connections;
    if (self->count > LANES_MAX) self->count = LANES_MAX;
    for (uint32_t i = 0; i < self->count; i++)
        self->lanes[i] = lane_open(setup->config, self->name, setup->self);
    ready_set(self->name, false);
    return self;
}

static void pg_close(struct port *self) {
    if (self == NULL) return;
    for (uint32_t i = 0; i < self->count; i++)
        lane_close(self->lanes[i]);
    batch_fini(&self->queue);
    free(self);
}

static void pg_reload(struct port *self, const struct config *config) {
    for (uint32_t i = 0; i < self->count; i++)
        lane_reload(self->lanes[i], config);
}

static bool pg_ready(const struct port *self) {
    if (self->taken < self->queue.count) return false;
    for (uint32_t i = 0; i < self->count; i++) {
        if (lane_idle(self->lanes[i])) return true;
    }
    return false;
}

/* ---- A shard ---- */

static void to_shard(struct port *self, const struct message *message) {
    bool purchase = message->head.type == MSG_purchase;
    lane_put(self->lanes[purchase ? LANE_purchases : LANE_others], message);
}

/* ---- The shop ---- */

/* An idle lane.  One that is not connected refuses what it gets: only when none is. */
static struct lane *idle_lane(struct port *self) {
    struct lane *idle = NULL;
    bool connected = false;
    for (uint32_t i = 0; i < self->count; i++) {
        struct lane *lane = self->lanes[i];
        connected = connected || lane_connected(lane);
        if (!lane_idle(lane)) continue;
        if (lane_connected(lane)) return lane;
        idle = lane;
    }
    return connected ? NULL : idle;
}

/* How many messages from the next on can be one statement. */
static uint32_t next_count(const struct port *self) {
    const struct message *first = &self->queue.items[self->taken];
    uint32_t number, count = 1, left = self->queue.count - self->taken;
    const struct statement *statement = statement_for(first->head.type, &number);
    if (statement == NULL || statement->mode != STATEMENT_BATCH) return 1;
    while (count < left && count < STATEMENT_BATCH_MAX &&
           first[count].head.type == first->head.type)
        count++;
    return count;
}

static void feed_lanes(struct port *self, int64_t now, struct outbox *out) {
    struct lane *lane;
    while (self->taken < self->queue.count && (lane = idle_lane(self)) != NULL) {
        for (uint32_t count = next_count(self); count > 0; count--)
            lane_put(lane, &self->queue.items[self->taken++]);
        lane_pump(lane, now, out);
    }
    if (self->taken < self->queue.count) return;
    batch_reset(&self->queue);
    self->taken = 0;
}

/* ---- Both ---- */

static void pg_handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                      struct outbox *out) {
    for (uint32_t i = 0; i < count; i++) {
        if (self->shard)
            to_shard(self, &in[i]);
        else
            batch_append(&self->queue, &in[i]);
    }
    if (self->shard) {
        for (uint32_t i = 0; i < self->count; i++)
            lane_pump(self->lanes[i], now, out);
    } else {
        feed_lanes(self, now, out);
    }
}

static uint32_t pg_poll(struct port *self, struct pollfd *fds, uint32_t max) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < self->count; i++)
        used += lane_poll(self->lanes[i], fds + used, max - used);
    return used;
}

static int64_t pg_timeout(struct port *self, int64_t now) {
    int64_t least = -1;
    for (uint32_t i = 0; i < self->count; i++) {
        int64_t wait = lane_timeout(self->lanes[i], now);
        if (wait >= 0 && (least < 0 || wait < least)) least = wait;
    }
    return least;
}

/* Without its record the shop can promise nothing: /readyz says so. */
static void tell_ready(struct port *self) {
    bool connected = true;
    for (uint32_t i = 0; i < self->count; i++)
        connected = connected && lane_connected(self->lanes[i]);
    if (self->told == connected) return;
    self->told = connected;
    ready_set(self->name, connected);
}

static void pg_step(struct port *self, int64_t now, struct outbox *out) {
    for (uint32_t i = 0; i < self->count; i++)
        lane_step(self->lanes[i], now, out);
    if (!self->shard) feed_lanes(self, now, out);
    tell_ready(self);
}

const struct port_type pg_port = {
    .name = "pg",
    .batch_max = STATEMENT_BATCH_MAX,
    .open = pg_open,
    .close = pg_close,
    .ready = pg_ready,
    .handle = pg_handle,
    .poll = pg_poll,
    .timeout = pg_timeout,
    .step = pg_step,
    .reload = pg_reload,
};
