/* Numbers that name things.
 *
 * id: 63 bits, time-ordered: 41 bits of milliseconds since 2024-01-01 UTC, 10 bits worker, 12 bits
 * sequence.  The worker id is leased in PostgreSQL, so two nodes never make the same id.
 * rid: one deduction in the hot counter: 7 bits shard, 20 bits epoch, 36 bits sequence.  Within a
 * shard a later reservation has a larger rid; a later epoch always has. */
#ifndef ID_H
#define ID_H

#include <stdint.h>

enum { ID_WORKER_MAX = 1023, RID_EPOCH_MAX = (1 << 20) - 1 };
#define RID_SEQ_MAX ((UINT64_C(1) << 36) - 1)

/* State of one generator; zero it and set worker. */
struct id_source {
    uint32_t worker;
    uint32_t sequence;
    int64_t last_ms;
};

/* The next id.  `now` is wall time in ns; when it goes back, or 4096 ids were made in one
 * millisecond, ids run ahead of the clock instead of repeating.  Never fails. */
int64_t id_next(struct id_source *self, int64_t now);

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
