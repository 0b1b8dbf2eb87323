/* doorsim sim: runs seeds, tells how they went. */
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"
#include "tests/sim/world.h"

enum { TAIL_LINES = 60, TAIL_BYTES = 1 << 16 };

struct options {
    uint64_t first, last;
    uint32_t shoppers;
    bool trace, faults, quiet, summary, first_only;
    int64_t order;
};

struct totals {
    uint64_t steps, passed, failed;
    int64_t simulated;
};

/* An assertion ends the process: what was running must be told all the same. */
static volatile sig_atomic_t seed_high, seed_low;

static void on_abort(int signal) {
    char line[80];
    uint64_t seed = (uint64_t)(uint32_t)seed_high << 32 | (uint32_t)seed_low;
    int size = snprintf(line, sizeof line, "seed %" PRIu64 " assertion (see above)\n", seed);
    if (size > 0 && write(STDOUT_FILENO, line, (size_t)size) < 0) _exit(signal);
    _exit(1);
}

static int64_t real_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SIM_SECOND + now.tv_nsec;
}

static struct world *run(const struct options *options, uint64_t seed, FILE *trace, int64_t order) {
    struct world_options what = { .seed = seed,
                                  .shoppers = options->shoppers,
                                  .faults = options->faults,
                                  .crowd = true,
                                  .trace = trace,
                                  .trace_order = order };
    struct world *world = world_open(&what);
    world_run(world);
    return world;
}

/* The last lines of what was written. */
static const char *tail(const char *text, size_t size) {
    uint32_t lines = 0;
    for (size_t i = size; i > 0; i--) {
        if (text[i - 1] == '\n' && ++lines > TAIL_LINES) return text + i;
    }
    return text;
}

/* The same run once more, listened to: it is the same. */
static void tell_failure(const struct options *options, uint64_t seed,
                         const struct failure *failure) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) abort();
    struct world *again = run(options, seed, to, failure->order_id);
    fclose(to);
    printf("seed %" PRIu64 ", step %" PRIu64 ": %s\n  %s\n", seed, failure->step, failure->rule,
           failure->text);
    if (failure->order_id != 0)
        printf("  the last messages of order %" PRId64 ":\n", failure->order_id);
    fputs(tail(text, size), stdout);
    printf("  again: doorsim sim --seed %" PRIu64 "%s --trace", seed,
           options->faults ? "" : " --no-faults");
    if (options->shoppers > 0) printf(" --shoppers %u", options->shoppers);
    printf("\n");
    if (again->failure.step != failure->step) printf("  (the second run went another way)\n");
    world_close(again);
    free(text);
}

static void run_seed(const struct options *options, uint64_t seed, struct totals *totals) {
    seed_high = (sig_atomic_t)(seed >> 32);
    seed_low = (sig_atomic_t)(uint32_t)seed;
    struct world *world = run(options, seed, options->trace ? stdout : NULL, options->order);
    totals->steps += world->step;
    totals->simulated += world->now - SIM_START;
    if (world->failure.is) {
        totals->failed++;
        if (options->summary) {
            printf("seed %" PRIu64 " %s %s\n", seed, world->failure.rule, world->failure.text);
        } else {
            tell_failure(options, seed, &world->failure);
        }
    } else {
        totals->passed++;
        if (!options->quiet) {
            printf("seed %" PRIu64 ": %" PRIu64 " steps, %u shoppers, %u orders, %u refusals, "
                   "epoch %u, %" PRIu64 " losses of redis\n",
                   seed, world->step, world->shopper_count, world->pg->order_count,
                   world->pg->refusal_count, world->pg->epoch, world->redis_losses);
        }
    }
    fflush(stdout);
    world_close(world);
}

static void usage(FILE *to) {
    fprintf(to, "doorsim sim --seed N [--trace] [--order ID] [--shoppers N] [--no-faults]\n"
                "doorsim sim --seeds A..B [--shoppers N] [--no-faults] [--summary] [--first]\n"
                "  --seed N       one run; the same number is the same run\n"
                "  --seeds A..B   many; ends with \"N passed, N failed\"\n"
                "  --trace        every message, as it is sent\n"
                "  --order ID     with --trace: only what is about this order\n"
                "  --shoppers N   so many instead of a number drawn from the seed\n"
                "  --no-faults    nothing goes wrong\n"
                "  --summary      one line for a run that fails\n"
                "  --first        stop at the first that does\n");
}

static bool parse_value(struct options *options, const char *name, const char *value) {
    char *end = NULL;
    uint64_t first = strtoull(value, &end, 10);
    if (end == value) return false;
    if (strcmp(name, "--seeds") == 0) {
        if (strncmp(end, "..", 2) != 0) return false;
        options->first = first;
        options->last = strtoull(end + 2, &end, 10);
        options->quiet = true;
    } else if (strcmp(name, "--seed") == 0) {
        options->first = options->last = first;
    } else if (strcmp(name, "--shoppers") == 0 && first <= 20000) {
        options->shoppers = (uint32_t)first;
    } else if (strcmp(name, "--order") == 0) {
        options->order = (int64_t)first;
    } else {
        return false;
    }
    return *end == 0;
}

static bool parse(struct options *options, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            options->trace = true;
        else if (strcmp(argv[i], "--no-faults") == 0)
            options->faults = false;
        else if (strcmp(argv[i], "--summary") == 0)
            options->summary = true;
        else if (strcmp(argv[i], "--first") == 0)
            options->first_only = true;
        else if (i + 1 >= argc || !parse_value(options, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return options->first <= options->last;
}

int sim_command(int argc, char **argv) {
    struct options options = { .first = 1, .last = 1, .faults = true };
    struct totals totals = { 0 };
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (!parse(&options, argc, argv)) {
        usage(stderr);
        return 2;
    }
    if (sodium_init() < 0) return 1;
    int64_t began = real_time();
    signal(SIGABRT, on_abort);
    for (uint64_t seed = options.first; seed <= options.last; seed++) {
        run_seed(&options, seed, &totals);
        if (options.first_only && totals.failed > 0) break;
    }
    double seconds = (double)(real_time() - began) / 1e9;
    /* Not to standard output: that is the same for the same seed. */
    fprintf(stderr,
            "%" PRIu64 " steps and %.0f simulated seconds in %.2f s: %.0f and %.0f a second\n",
            totals.steps, (double)totals.simulated / 1e9, seconds, (double)totals.steps / seconds,
            (double)totals.simulated / 1e9 / seconds);
    if (options.quiet)
        printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed, totals.failed);
    return totals.failed == 0 ? 0 : 1;
}
