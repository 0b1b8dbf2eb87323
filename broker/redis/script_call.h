/* Messages to the hot counter as script calls, and the scripts' replies as answers.
 *
 * The one place that knows what the scripts in this folder take and give.  It does not know how a
 * call reaches Redis: the port (redis.c) sends it over a socket, the simulator runs the same script
 * over a store in memory (tests/sim/model_redis.h).  Pure: no I/O, no clock.
 *
 * Invariants: every message is answered exactly once (rows, then rows_end, count as one), except
 * epoch_use, started, tick and stop, which have no answer.  A call keeps copies of its messages, so
 * that their answers can be made whenever the reply comes.  rids of one call are consecutive. */
#ifndef BROKER_REDIS_SCRIPT_CALL_H
#define BROKER_REDIS_SCRIPT_CALL_H

#include "actors/actor.h"
#include "broker/redis/reply.h"

struct batch;

enum script {
    SCRIPT_reserve,
    SCRIPT_settle,
    SCRIPT_warm_lot,
    SCRIPT_set_lot,
    SCRIPT_install_begin,
    SCRIPT_install_lot,
    SCRIPT_install_holders,
    SCRIPT_install_end,
    SCRIPT_journal,
    SCRIPT_count_lot,
    SCRIPT_meta,
    SCRIPT_COUNT
};

/* "reserve": the file's name without folder and ".lua"; static. */
const char *script_name(enum script script);

enum {
    SCRIPT_ROWS_MAX = 512,     /* Messages in one call. */
    SCRIPT_WORDS_BEFORE = 3,   /* Free places before the words, for EVALSHA, sha, number of keys. */
    SCRIPT_JOURNAL_PAGE = 256, /* Entries read by one call. */
};

/* What calls are made with; zero it and set shard and journal_cap. */
struct script_state {
    uint8_t shard;
    uint32_t journal_cap;
    uint32_t epoch; /* 0 = epoch_use has not come: most messages are answered `recovering`. */
    int64_t boot;
    const char *run_id;   /* Of the Redis connected to; NULL = not known. */
    uint64_t undecodable; /* Journal rows that could not be read, since the start. */
};

/* One call.  Everything it points to lies in the batch it was made in. */
struct script_call {
    enum script script;
    uint32_t epoch; /* It was made under. */
    uint32_t keys, words;
    const char **at; /* SCRIPT_WORDS_BEFORE free places, then keys and arguments, `words` in all. */
    size_t *size;
    struct message *rows;
    uint32_t row_count;
    int64_t *lots; /* Whose levels come back, in the order of the keys. */
    uint32_t lot_count;
    uint32_t attempts; /* For the caller. */
};

/* Makes the calls for a batch of messages, in the order in which they must run: consecutive
 * reserves become one call, consecutive settles and undos one, everything else one each and a
 * barrier.  epoch_use changes the state for what comes behind it.  `issue` takes each call and
 * keeps it as long as `memory` is not reset.  Messages that need no call are answered in `out`. */
void script_plan(struct script_state *state, const struct message *in, uint32_t count, int64_t now,
                 struct batch *memory, struct outbox *out,
                 void (*issue)(void *context, struct script_call *call), void *context);

/* The call that asks for meta because nobody did: its answer goes to inventory unasked. */
struct script_call *script_meta(const struct script_state *state, struct batch *memory);

enum script_verdict {
    SCRIPT_answered,
    SCRIPT_fenced,  /* Answered; inventory does not know yet: send the meta call. */
    SCRIPT_useless, /* Answered; this Redis cannot serve now (READONLY, LOADING): disconnect. */
};

/* Messages that script_answer() may send at least; do not call it with less room. */
uint32_t script_room(const struct script_call *call);

/* Answers all messages of the call.  `run_id` (borrowed) must outlive the delivery of `out`. */
enum script_verdict script_answer(struct script_state *state, const struct script_call *call,
                                  const struct reply *reply, struct text run_id,
                                  struct outbox *out);

/* Answers all messages of the call with a problem. */
void script_fail(const struct script_call *call, enum problem problem, struct outbox *out);
/* One message, of any type. */
void script_refuse(const struct message *message, enum problem problem, struct outbox *out);

#endif
