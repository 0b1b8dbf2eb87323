/* Purchases without HTTP: the actors, the host and both stores as the server runs them, in a
 * process of their own, with a port in the bridge's place that asks and counts. */
#ifndef DOORSIM_BENCH_PIPELINE_H
#define DOORSIM_BENCH_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

struct pipeline_words {
    const char *dsn, *redis, *keys; /* Stores that no server uses. */
    int64_t lot;                    /* In shard 0, open, with stock for all. */
    unsigned flight;                /* Purchases under way. */
    int64_t warmup_ns, ns;
    uint32_t batch_max; /* order.batch_max; 0: its default. */
};

struct pipeline_result {
    double per_s;
    uint64_t accepted; /* Over the whole run, warm-up included. */
    uint64_t refused;  /* Since the first was accepted. */
    double cpu_us;     /* Processor time of the process a purchase. */
};

/* False, with a sentence on stderr, when it did not run or somebody was not answered. */
bool pipeline_run(const struct pipeline_words *words, struct pipeline_result *result);

#endif
