/* The bench: rounds in turns over everything that figures.def names, so that what the machine does
 * meanwhile falls on figures and ceilings alike.  Inside of doorsim bench only. */
#ifndef DOORSIM_BENCH_BENCH_H
#define DOORSIM_BENCH_BENCH_H

#include "schema/seal.h"
#include "tools/doorsim/bench/alone.h"
#include "tools/doorsim/bench/book.h"
#include "tools/doorsim/bench/parts.h"
#include "tools/doorsim/http_response.h"
#include "tools/doorsim/load.h"
#include "tools/doorsim/options.h"

enum { LOTS_MAX = 64 };

struct bench_words {
    const char *base, *dsn, *redis, *users, *keys, *nothing, *page, *nginx, *json, *only, *label;
    const char *alone_dsn, *alone_redis;
    struct option_list lots, boots;
    int64_t empty_lot, connections, rounds, round_ms, warmup_ms, timeout_ms, server_pid, redis_pid,
        pg_pid, idle, flight;
};

struct bench {
    const struct bench_words *words;
    struct book book;
    struct seal_keys keys;
    struct shoppers shoppers;
    size_t next_shopper; /* Buyers come in turn, over all rounds. */
    int64_t lots[LOTS_MAX];
    uint32_t shards[LOTS_MAX], empty_shard;
    unsigned lot_count;
    char etag[HTTP_ETAG_MAX];
    uint64_t told_yes, may_be; /* Purchases of all rounds. */
    double best;               /* Median of purchases so far. */
    struct alone_redis *alone_redis;
    struct alone_pg *alone_pg;
    struct load_result *result; /* Of the round under way. */
    bool wrong;                 /* Something was answered that is no answer to count. */
};

/* Is this group of figures asked for? */
bool bench_wants(const struct bench *self, const char *group);

/* `count` tickets for the next shoppers in turn over the first `lot_count` lots; the caller ends
 * them with tickets_fini(). */
bool bench_tickets(struct bench *self, struct tickets *tickets, unsigned lot_count, size_t count);

/* One round of purchases in a closed loop over the first `lot_count` lots, booked under `figure`.
 */
bool bench_buy(struct bench *self, enum figure figure, unsigned lot_count);

/* One round of each group; false: it could not be run. */
bool bench_http(struct bench *self);  /* Closed loops. */
bool bench_open(struct bench *self);  /* Half, full, three times, half again; one closed loop. */
bool bench_alone(struct bench *self); /* Ceilings, usual way, pipeline. */
bool bench_idle(struct bench *self);  /* All rounds at once. */

/* What the stores and the parts of the system used up during a round of purchases. */
struct expense {
    struct parts parts;
    double generator;
    int64_t wal, aof, memory;
    struct watcher *watcher;
};
void expense_begin(struct bench *self, struct expense *expense);
/* Books what `purchases` in `seconds` have cost. */
void expense_end(struct bench *self, struct expense *expense, uint64_t purchases, double seconds);

#endif
