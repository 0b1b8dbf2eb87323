/* Numbers that name things.
 *
 * id: 63 bits, time-ordered: 41 bits of milliseconds since 2024-01-01 UTC, 10 bits worker, 12 bits
 * sequence.  The worker id is leased in PostgreSQL, so two nodes never make the same id.  In the id
 * of an order the last 6 bits of the sequence are the shard of its lot, so that whoever asks about
 * an order knows where.  The first bit of the sequence is set in an id with a shard and in no
 * other: one worker never gives the same number twice, whichever layouts it uses.
 * rid: one deduction in the hot counter: 7 bits shard, 20 bits epoch, 36 bits sequence.  Within a
 * shard a later reservation has a larger rid; a later epoch always has. */
#ifndef ID_H
#define ID_H

#include <stdint.h>

enum { ID_WORKER_MAX = 1023, SHARDS_MAX = 64, RID_EPOCH_MAX = (1 << 20) - 1 };
#define RID_SEQ_MAX ((UINT64_C(1) << 36) - 1)

/* State of one generator; zero it and set worker. */
struct id_source {
    uint32_t worker;
    uint32_t sequence;
    int64_t last_ms;
};

/* The next id.  `now` is wall time in ns; when it goes back, or 2048 ids were made in one
 * millisecond, ids run ahead of the clock instead of repeating.  Never fails. */
int64_t id_next(struct id_source *self, int64_t now);

/* The next id for an order of a lot in this shard, from a source of its own; 32 in a
 * millisecond. */
int64_t id_next_in_shard(struct id_source *self, int64_t now, uint32_t shard);

/* The shard of an order where there are `shards` (0 counts as 1); always one that exists. */
uint32_t id_shard(int64_t order_id, uint32_t shards);

/* When an id was made, in ns since 1970. */
int64_t id_time(int64_t id);

static inline int64_t rid_make(uint32_t shard, uint32_t epoch, uint64_t seq) {
    return (int64_t)((uint64_t)shard << 56 | (uint64_t)epoch << 36 | seq);
}
static inline uint32_t rid_shard(int64_t rid) {
    return (uint32_t)((uint64_t)rid >> 56);
}
static inline uint32_t rid_epoch(int64_t rid) {
    return (uint32_t)((uint64_t)rid >> 36) & RID_EPOCH_MAX;
}
static inline uint64_t rid_seq(int64_t rid) {
    return (uint64_t)rid & RID_SEQ_MAX;
}

#endif
