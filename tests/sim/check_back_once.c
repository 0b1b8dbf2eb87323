/* G12: units come back once.  H23: a rid is handed out once.  Both are seen in what Redis says. */
#include <inttypes.h>

#include "schema/id.h"
#include "tests/sim/check.h"

static struct handed *find(struct world *self, int64_t rid) {
    for (uint32_t i = self->rid_count; i > 0; i--) {
        if (self->rids[i - 1].rid == rid) return &self->rids[i - 1];
    }
    return NULL;
}

static void touch(struct world *self, int64_t order_id) {
    struct ticket *ticket = world_ticket(self, order_id);
    if (ticket != NULL) self->shoppers[ticket->shopper].touched_at = self->now;
}

/* A standby that lags has never heard of the epoch, Redis has lost it as well, and so has whoever
 * served the shard: nobody is left to know that it was used (GUARANTEES 3.7, asynchronous standby).
 * Nothing of before can be committed: PostgreSQL had an older epoch until this one. */
static bool is_forgotten(const struct world *self, const struct handed *before) {
    uint32_t epoch = rid_epoch(before->rid), shard = rid_shard(before->rid);
    return before->made != self->trusted[shard].losses && epoch > self->forgotten_from[shard] &&
           epoch <= self->forgotten_to[shard];
}

static void on_reserved(struct world *self, const struct reserved *got) {
    const struct handed *before = find(self, got->rid);
    if (before != NULL && !is_forgotten(self, before)) {
        world_fail(self, "H23", got->order_id,
                   "rid %" PRId64 " was given to order %" PRId64 " and to %" PRId64, got->rid,
                   before->order_id, got->order_id);
    }
    self->rids = world_grow(self->rids, self->rid_count, &self->rid_room, sizeof *self->rids);
    const struct trust *trust = &self->trusted[rid_shard(got->rid)];
    self->rids[self->rid_count++] =
        (struct handed){ .rid = got->rid, .order_id = got->order_id, .made = trust->losses };
    touch(self, got->order_id);
}

/* After a loss of Redis, or under another epoch, the same units may have to come back again. */
static void on_undone(struct world *self, uint8_t process, const struct undone *got) {
    struct handed *handed = find(self, got->rid);
    if (handed == NULL || !got->changed) return;
    const struct pair *pair = &self->pairs[process];
    uint8_t shard = self->processes[process].shard;
    const struct servers *servers = stores_servers(self, shard);
    uint32_t losses = self->trusted[shard].losses;
    if (pair->server != servers->master) return; /* The master of before is nobody's truth. */
    uint32_t epoch = self->pairs[process].redis.state.epoch;
    bool again = handed->undone && handed->losses == losses && handed->epoch == epoch;
    if (again) {
        world_fail(self, "G12", handed->order_id, "the units of rid %" PRId64 " came back twice",
                   got->rid);
    }
    handed->losses = losses;
    handed->epoch = epoch;
    handed->undone = true;
    touch(self, handed->order_id);
}

void check_figures(struct world *self, const struct account_figures *figures) {
    bool two = swarm_has(&self->swarm, FAULT_writer) || swarm_has(&self->swarm, FAULT_move);
    /* A standby that lags has forgotten orders; what became of their units is not promised. */
    if (figures->recoveries == 0 || two || swarm_has(&self->swarm, FAULT_pg_failover)) return;
    /* Undos that are lost nearly every time are on their way still, for longer than two looks. */
    if (!self->healed && self->swarm.victim == MSG_undo) return;
    world_fail(self, "G12", 0, "units were held for nobody although no shard had two writers");
}

void check_redis_said(struct world *self, uint8_t process, const struct message *said) {
    if (said->head.type == MSG_undone) {
        on_undone(self, process, BODY(said, undone));
    } else if (said->head.type == MSG_reserved && !BODY(said, reserved)->seen) {
        on_reserved(self, BODY(said, reserved));
    }
}
