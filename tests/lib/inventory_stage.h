/* A stage for tests of the inventory actor: a probe, and the steps that Redis and PostgreSQL play
 * in a recovery. */
#ifndef INVENTORY_STAGE_H
#define INVENTORY_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/inventory/inventory.h"
#include "actors/lib/bloom.h"
#include "schema/id.h"
#include "tests/lib/actor_probe.h"

#define MS INT64_C(1000000)
enum { LOT = 100, OTHER_LOT = 101 };
static struct probe probe;

#define GIVE(from, name, ...) probe_give(&probe, (from), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define ANSWER_TO(message, name, ...)                                                              \
    probe_answer(&probe, (message), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define SENT(to, name)  PROBE_SENT(&probe, (to), name, -1)
#define COUNT(to, name) probe_count(&probe, (to), MSG_##name)
#define LAST(to, name)  (*probe_message(&probe, (to), MSG_##name, -1))

static inline struct inventory *self(void) {
    return probe.state;
}

static inline int setup(void **state) {
    (void)state;
    probe_open(&probe, &inventory_type, NULL);
    probe_restart(&probe);
    return 0;
}
static inline int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

/* ---- Steps of a recovery ---- */

static inline void redis_up(const char *run_id, uint32_t epoch, int64_t boot) {
    GIVE(PORT_redis, redis_up, .run_id = text_of(run_id), .epoch = epoch, .boot = boot);
}

static inline void shard_row(uint32_t epoch, int64_t boot) {
    struct message ask = LAST(PORT_pg_shard, shard_get);
    ANSWER_TO(&ask, shard_row, .epoch = epoch, .boot = boot);
}

/* The truth: the epoch row, one lot, its holders. */
static inline void truth(uint32_t epoch, int64_t available, const char *holders) {
    struct message ask = LAST(PORT_pg_shard, shard_recover);
    uint32_t row = 0;
    ANSWER_TO(&ask, recovered, .epoch = epoch, .row = ++row);
    ANSWER_TO(&ask, recovered, .epoch = epoch, .row = ++row, .lot_id = LOT, .state = lot_state_open,
              .available = available, .per_buyer_limit = 1, .allocated = 50);
    if (holders != NULL) {
        ANSWER_TO(&ask, recovered, .epoch = epoch, .row = ++row, .lot_id = LOT,
                  .holders = text_of(holders));
    }
    ANSWER_TO(&ask, rows_end, .what = MSG_shard_recover, .count = row);
}

/* Redis answers all install messages sent so far. */
static inline void installed_all(void) {
    static const enum message_id steps[] = { MSG_install_begin, MSG_install_lot,
                                             MSG_install_holders };
    for (size_t i = 0; i < 3; i++) {
        uint32_t count = probe_count(&probe, PORT_redis, steps[i]);
        for (uint32_t k = 0; k < count; k++) {
            struct message ask = *probe_message(&probe, PORT_redis, steps[i], (int)k);
            ANSWER_TO(&ask, done, .what = ask.head.type);
        }
    }
}

static inline void end_done(void) {
    struct message end = LAST(PORT_redis, install_end);
    ANSWER_TO(&end, done, .what = MSG_install_end);
}

static inline void make_ready(uint32_t epoch, int64_t available, const char *holders) {
    redis_up("run-1", 0, 0);
    shard_row(epoch - 1, 0);
    truth(epoch, available, holders);
    installed_all();
    end_done();
    assert_int_equal(self()->phase, PHASE_ready);
    assert_int_equal(self()->epoch, epoch);
    probe_clear(&probe);
}

static inline void reserve(uint64_t request, int64_t order_id) {
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = request };
    GIVE(ACTOR_bridge, reserve, .order_id = order_id, .user_id = 1, .lot_id = LOT, .quantity = 1,
         .kind = reserve_kind_ordinary, .address = text_of("{}"));
    probe.head = (struct head){ 0 };
}

static inline enum problem refusal(void) {
    return SENT(ACTOR_bridge, failed)->problem;
}

#endif
