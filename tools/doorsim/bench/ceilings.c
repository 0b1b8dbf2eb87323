/* Ceilings: the stores and the links alone, and the pipeline between them. */
#include "schema/timefmt.h"
#include "tools/doorsim/bench/bench.h"
#include "tools/doorsim/bench/pipeline.h"

#include <inttypes.h>

enum { USUAL_CONNECTIONS = 8, FRAMES_IN_FLIGHT = 4 };

static bool book_rate(struct bench *self, enum figure figure, double rate) {
    if (rate < 0) return false;
    book_add(&self->book, figure, rate);
    return true;
}

static bool pipeline(struct bench *self) {
    const struct bench_words *words = self->words;
    struct pipeline_result result;
    const struct pipeline_words wanted = {
        .dsn = words->alone_dsn,
        .redis = words->alone_redis,
        .keys = words->keys,
        .lot = alone_pg_pipeline_lot(self->alone_pg),
        .flight = (unsigned)words->flight,
        .warmup_ns = words->warmup_ms * TIMEFMT_NS_PER_MS,
        .ns = words->round_ms * TIMEFMT_NS_PER_MS,
    };
    if (wanted.lot == 0 || !pipeline_run(&wanted, &result)) return false;
    book_add(&self->book, FIGURE_pipeline, result.per_s);
    int64_t orders = alone_pg_orders(self->alone_pg, wanted.lot);
    if (orders < 0) return false;
    if ((uint64_t)orders != result.accepted) {
        book_note(&self->book, "pipeline: %" PRIu64 " told accepted, %" PRId64 " orders",
                  result.accepted, orders);
        self->wrong = true;
    }
    if (result.refused > 0) {
        book_note(&self->book, "pipeline: refused although there was stock: %" PRIu64,
                  result.refused);
        self->wrong = true;
    }
    return true;
}

bool bench_alone(struct bench *self) {
    int64_t ns = self->words->round_ms * TIMEFMT_NS_PER_MS;
    bool good = true;
    if (self->alone_redis != NULL && bench_wants(self, "script")) {
        good =
            book_rate(self, FIGURE_script_256, alone_redis_round(self->alone_redis, 256, 1, ns)) &&
            book_rate(self, FIGURE_script_256_two,
                      alone_redis_round(self->alone_redis, 256, 2, ns));
    }
    if (good && self->alone_pg != NULL && bench_wants(self, "batch")) {
        good =
            book_rate(self, FIGURE_batch_64, alone_pg_batches(self->alone_pg, 64, 1, ns)) &&
            book_rate(self, FIGURE_batch_256, alone_pg_batches(self->alone_pg, 256, 1, ns)) &&
            book_rate(self, FIGURE_batch_256_two, alone_pg_batches(self->alone_pg, 256, 2, ns)) &&
            book_rate(self, FIGURE_copy_256, alone_pg_copy(self->alone_pg, 256, ns));
    }
    if (good && bench_wants(self, "links"))
        good = book_rate(self, FIGURE_push_pull, alone_zmq_round(256, FRAMES_IN_FLIGHT, ns));
    if (good && self->alone_pg != NULL && bench_wants(self, "usual"))
        good = book_rate(self, FIGURE_usual_way,
                         alone_pg_usual(self->alone_pg, USUAL_CONNECTIONS, ns));
    if (good && self->alone_pg != NULL && self->alone_redis != NULL &&
        bench_wants(self, "pipeline"))
        good = pipeline(self);
    return good;
}
