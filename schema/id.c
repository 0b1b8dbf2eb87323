#include "schema/id.h"

#include <assert.h>

static const int64_t id_epoch_ms = INT64_C(1704067200000); /* 2024-01-01T00:00:00Z */

/* The two layouts share out the 12 bits of the sequence: the highest one tells which it is. */
enum { PLAIN_IDS = 2048, SHARDED_BIT = 2048, SHARDED_IDS = 2048 / SHARDS_MAX };

/* Moves on to the next of `most` ids in a millisecond. */
static void step(struct id_source *self, int64_t now, uint32_t most) {
    assert(self->worker <= ID_WORKER_MAX);
    int64_t ms = now / 1000000 - id_epoch_ms;
    if (ms < 1) ms = 1; /* Never 0, which means absent. */
    if (ms > self->last_ms) {
        self->last_ms = ms;
        self->sequence = 0;
    } else if (++self->sequence >= most) {
        self->last_ms++;
        self->sequence = 0;
    }
}

static int64_t pack(const struct id_source *self, uint32_t sequence) {
    return (int64_t)((uint64_t)self->last_ms << 22 | (uint64_t)self->worker << 12 | sequence);
}

int64_t id_next(struct id_source *self, int64_t now) {
    step(self, now, PLAIN_IDS);
    return pack(self, self->sequence);
}

int64_t id_next_in_shard(struct id_source *self, int64_t now, uint32_t shard) {
    assert(shard < SHARDS_MAX);
    step(self, now, SHARDED_IDS);
    return pack(self, SHARDED_BIT | self->sequence * SHARDS_MAX | shard);
}

uint32_t id_shard(int64_t order_id, uint32_t shards) {
    return (uint32_t)((uint64_t)order_id % SHARDS_MAX) % (shards > 0 ? shards : 1);
}

int64_t id_time(int64_t id) {
    return ((id >> 22) + id_epoch_ms) * 1000000;
}
