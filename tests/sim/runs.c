/* One run, told or not, and a smaller one that fails as well. */
#include "tests/sim/runs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/real.h"

enum { TAIL_LINES = 60, SEEDS_TRIED = 40, ROUNDS_MAX = 6 };

struct world *run_world(const struct run_options *options, FILE *trace, int64_t order) {
    struct world_options what = { .seed = options->seed,
                                  .shoppers = options->shoppers,
                                  .shards = options->shards,
                                  .units = options->units,
                                  .ends = options->ends,
                                  .allowed = options->real ? options->allowed & ~REAL_LEAVES_OUT
                                                           : options->allowed,
                                  .real = options->real,
                                  .crowd = true,
                                  .trace = trace,
                                  .trace_order = order };
    struct world *world = world_open(&what);
    world_run(world);
    return world;
}

/* ---- Telling ---- */

static void print_faults(FILE *to, uint64_t faults) {
    bool some = false;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if ((faults >> i & 1) == 0) continue;
        fprintf(to, "%s%s", some ? "," : "", fault_name((enum fault)i));
        some = true;
    }
}

void run_print_command(FILE *to, const struct run_options *options) {
    fprintf(to, "doorsim sim --seed %" PRIu64, options->seed);
    if (options->allowed == 0) {
        fprintf(to, " --no-faults");
    } else if (options->allowed != FAULTS_ALL) {
        fprintf(to, " --only ");
        print_faults(to, options->allowed);
    }
    if (options->real) fprintf(to, " --store=real");
    if (options->shoppers > 0) fprintf(to, " --shoppers %u", options->shoppers);
    if (options->shards > 0) fprintf(to, " --shards %u", options->shards);
    if (options->units > 0) fprintf(to, " --units %" PRId64, options->units);
    if (options->ends > 0) fprintf(to, " --fault-ms %" PRId64, options->ends / SIM_MS);
}

/* The last lines of what was written. */
static const char *tail(const char *text, size_t size) {
    uint32_t lines = 0;
    for (size_t i = size; i > 0; i--) {
        if (text[i - 1] == '\n' && ++lines > TAIL_LINES) return text + i;
    }
    return text;
}

void run_tell_failure(const struct run_options *options, const struct failure *failure) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) abort();
    struct world *again = run_world(options, to, failure->order_id);
    fclose(to);
    printf("seed %" PRIu64 ", step %" PRIu64 ": %s\n  %s\n", options->seed, failure->step,
           failure->rule, failure->text);
    printf("  faults of this run: ");
    print_faults(stdout, again->swarm.on);
    if (failure->order_id != 0)
        printf("\n  the last messages of order %" PRId64 ":", failure->order_id);
    printf("\n%s  again: ", tail(text, size));
    run_print_command(stdout, options);
    printf(" --trace\n");
    if (again->failure.step != failure->step) printf("  (the second run went another way)\n");
    world_close(again);
    free(text);
}

/* ---- A smaller one ---- */

struct found {
    struct run_options options;
    struct failure failure;
    uint32_t shoppers, shards;
    uint64_t on;
};

static bool fails_alike(const struct run_options *options, struct found *found) {
    struct world *world = run_world(options, NULL, 0);
    bool alike = world->failure.is && strcmp(world->failure.rule, found->failure.rule) == 0;
    if (alike) {
        uint32_t late = world->late_comers;
        found->options = *options;
        found->failure = world->failure;
        found->shoppers = world->shopper_count - late;
        found->on = world->swarm.on;
        found->shards = world->shards;
    }
    world_close(world);
    return alike;
}

/* With this seed, or with one of some others: a smaller world draws other numbers. */
static bool try_with(struct run_options smaller, struct found *found) {
    uint64_t seed = smaller.seed;
    for (uint64_t i = 0; i < SEEDS_TRIED; i++) {
        smaller.seed = i == 0 ? seed : i;
        if (fails_alike(&smaller, found)) return true;
    }
    return false;
}

static bool without_a_fault(struct found *found) {
    bool smaller = false;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        struct run_options options = found->options;
        if ((found->on >> i & 1) == 0) continue;
        options.allowed = found->on & ~(UINT64_C(1) << i);
        smaller = try_with(options, found) || smaller;
    }
    return smaller;
}

static bool with_fewer_shoppers(struct found *found) {
    bool smaller = false;
    for (uint32_t cut = found->shoppers / 2; cut > 0; cut /= 2) {
        struct run_options options = found->options;
        if (found->shoppers <= cut) continue;
        options.shoppers = found->shoppers - cut;
        smaller = try_with(options, found) || smaller;
    }
    return smaller;
}

static bool with_less_time(struct found *found) {
    struct run_options options = found->options;
    int64_t ends = options.ends > 0 ? options.ends : 30 * SIM_SECOND;
    if (ends < 1000 * SIM_MS) return false;
    options.ends = ends / 2;
    return try_with(options, found);
}

static bool with_fewer_shards(struct found *found) {
    bool smaller = false;
    for (uint32_t shards = 1; shards < found->shards && !smaller; shards++) {
        struct run_options options = found->options;
        options.shards = shards;
        smaller = try_with(options, found);
    }
    return smaller;
}

void run_minimize(struct run_options options, const struct failure *failure) {
    struct found found = { .options = options, .failure = *failure };
    if (!fails_alike(&options, &found)) return;
    for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
        bool smaller = without_a_fault(&found);
        smaller = with_fewer_shoppers(&found) || smaller;
        smaller = with_fewer_shards(&found) || smaller;
        smaller = with_less_time(&found) || smaller;
        if (!smaller) break;
    }
    found.options.allowed = found.on;
    found.options.shards = found.shards;
    if (!fails_alike(&found.options, &found)) return;
    printf("the smallest run found that breaks %s: %u shoppers, step %" PRIu64 "\n",
           found.failure.rule, found.shoppers, found.failure.step);
    run_tell_failure(&found.options, &found.failure);
}
