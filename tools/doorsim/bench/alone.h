/* The stores by themselves: ceilings that the pipeline is measured against, on stores of their own
 * (not the server's, whose epochs they would fence).
 *
 * Each opens once, runs rounds, closes.  A round counts rows per second over its time; a row that
 * was not taken as it should be makes it fail: a ceiling of refusals would be none. */
#ifndef DOORSIM_BENCH_ALONE_H
#define DOORSIM_BENCH_ALONE_H

#include <stdbool.h>
#include <stdint.h>

/* Shards that nobody else uses in these stores. */
enum { ALONE_SHARD = 1, ALONE_BATCH_MAX = 1024 };

/* What a buyer's address looks like: the same bytes everywhere. */
#define ALONE_ADDRESS                                                                              \
    "{\"name\":\"Shopper 1234567\",\"phone\":\"+8613800000000\",\"line\":\"1 Door Street\","       \
    "\"city\":\"Shanghai\",\"country\":\"CN\"}"

/* ---- Redis: the reserve script, `rows` a call, `flight` calls under way. ---- */
struct alone_redis;
struct alone_redis *alone_redis_open(const char *address);
/* Rows per second, or a negative number and a sentence on stderr. */
double alone_redis_round(struct alone_redis *self, uint32_t rows, unsigned flight, int64_t ns);
void alone_redis_close(struct alone_redis **self);

/* ---- PostgreSQL. ---- */
struct alone_pg;
/* Makes the lots that are bought from, and tables for the usual way. */
struct alone_pg *alone_pg_open(const char *dsn);
/* purchase_batch, `rows` a transaction, `flight` of them sent before the first is answered. */
double alone_pg_batches(struct alone_pg *self, uint32_t rows, unsigned flight, int64_t ns);
/* The same rows into the same table by COPY, a transaction each. */
double alone_pg_copy(struct alone_pg *self, uint32_t rows, int64_t ns);
/* BEGIN; take a unit of the one hot row; insert the order; COMMIT: four round trips, as usual. */
double alone_pg_usual(struct alone_pg *self, unsigned connections, int64_t ns);
/* A new lot in shard 0 for the pipeline; those of earlier rounds are closed.  0: could not. */
int64_t alone_pg_pipeline_lot(struct alone_pg *self);
/* Orders of a lot; negative: could not. */
int64_t alone_pg_orders(struct alone_pg *self, int64_t lot);
void alone_pg_close(struct alone_pg **self);

/* ---- ZeroMQ: reserves there, order views back, `rows` a frame, packed and unpacked. ---- */
double alone_zmq_round(uint32_t rows, unsigned flight, int64_t ns);

#endif
