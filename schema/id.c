#include "schema/id.h"

#include <assert.h>

static const int64_t id_epoch_ms = INT64_C(1704067200000); /* 2024-01-01T00:00:00Z */

int64_t id_next(struct id_source *self, int64_t now) {
    assert(self->worker <= ID_WORKER_MAX);
    int64_t ms = now / 1000000 - id_epoch_ms;
    if (ms < 1) ms = 1; /* Never 0, which means absent. */
    if (ms > self->last_ms) {
        self->last_ms = ms;
        self->sequence = 0;
    } else if (++self->sequence > 4095) {
        self->last_ms++;
        self->sequence = 0;
    }
    int64_t id =
        (int64_t)((uint64_t)self->last_ms << 22 | (uint64_t)self->worker << 12 | self->sequence);
    return id;
}

int64_t id_next_in_shard(struct id_source *self, int64_t now, uint32_t shard) {
    assert(shard < SHARDS_MAX);
    int64_t ms = now / 1000000 - id_epoch_ms;
    if (ms < 1) ms = 1;
    if (ms > self->last_ms) {
        self->last_ms = ms;
        self->sequence = 0;
    } else if (++self->sequence >= 4096 / SHARDS_MAX) {
        self->last_ms++;
        self->sequence = 0;
    }
    return (int64_t)((uint64_t)self->last_ms << 22 | (uint64_t)self->worker << 12 |
                     self->sequence * SHARDS_MAX | shard);
}

uint32_t id_shard(int64_t order_id, uint32_t shards) {
    return (uint32_t)((uint64_t)order_id % SHARDS_MAX) % (shards > 0 ? shards : 1);
}

int64_t id_time(int64_t id) {
    return ((id >> 22) + id_epoch_ms) * 1000000;
}
