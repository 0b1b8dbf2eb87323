/* The hot counter as the simulator sees it: the messages of broker/redis/redis.c, answered at once
 * from a lua_store, by the same scripts and the same code for words and replies.
 *
 * What a network does (loss, delay, repeats) is the simulator's.  A crash of Redis is
 * model_redis_down(), then the store's cut, wipe or restart, then model_redis_up(). */
#ifndef TESTS_SIM_MODEL_REDIS_H
#define TESTS_SIM_MODEL_REDIS_H

#include "broker/batch.h"
#include "broker/redis/script_call.h"
#include "tests/sim/lua_store.h"

struct model_redis {
    struct lua_store *store; /* Borrowed. */
    struct script_state state;
    struct batch memory;
    bool up;
    bool look;          /* A call was fenced: tell inventory what meta says, once per batch. */
    bool useless;       /* This Redis cannot serve now: whoever runs it disconnects. */
    char run_id[48];    /* Of the store when the connection was made. */
    struct outbox *out; /* While handle() runs. */
};

void model_redis_init(struct model_redis *self, struct lua_store *store, uint8_t shard,
                      uint32_t journal_cap);
void model_redis_fini(struct model_redis *self);

/* Connects: redis_up to inventory.  Scripts are refused until epoch_use comes again. */
void model_redis_up(struct model_redis *self, struct outbox *out);
/* Disconnects: redis_down to inventory; every message is answered `unavailable` until the next
 * up. */
void model_redis_down(struct model_redis *self, struct outbox *out);

/* Answers a batch.  `out` needs room for count + 2 * lots + 1 messages, and for a journal_read for
 * at least SCRIPT_ROWS_MAX + 2 (a page ends where the room does). */
void model_redis_handle(struct model_redis *self, const struct message *in, uint32_t count,
                        int64_t now, struct outbox *out);

#endif
