/* doorsim sim: runs seeds, tells how they went. */
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/log.h"
#include "tests/sim/real.h"
#include "tests/sim/runs.h"
#include "tests/sim/sim.h"

struct options {
    uint64_t first, last;
    struct run_options run;
    int64_t order;
    bool trace, hash, quiet, summary, first_only, minimize;
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

static double processor_time(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* ---- Runs ---- */

/* FNV-1a of every line of the trace: equal on every machine and with every compiler. */
static ssize_t hash_write(void *cookie, const char *bytes, size_t size) {
    uint64_t *hash = cookie;
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001b3);
    return (ssize_t)size;
}

static void run_hashed(const struct run_options *run) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    FILE *to = fopencookie(&hash, "w", (cookie_io_functions_t){ .write = hash_write });
    if (to == NULL) abort();
    struct world *world = run_world(run, to, 0);
    fclose(to);
    printf("seed %" PRIu64 ": %" PRIu64 " steps, trace %016" PRIx64 "\n", run->seed, world->step,
           hash);
    world_close(world);
}

static void tell(const struct run_options *run, const struct world *world) {
    printf("seed %" PRIu64 ": %" PRIu64 " steps, %u shoppers, %u orders, %u refusals, ", run->seed,
           world->step, world->shopper_count, world->pg->order_count, world->pg->refusal_count);
    for (uint32_t k = 0; k < world->shards; k++)
        printf("epoch %u and %u losses of redis%s, ", world->pg->shards[k].epoch,
               world->trusted[k].losses, world->shards > 1 ? " in a shard" : "");
    printf("%u of postgresql\n", world->pg_failovers);
}

static void tell_failure(const struct options *options, const struct run_options *run,
                         const struct failure *failure) {
    if (options->summary)
        printf("seed %" PRIu64 " %s %s\n", run->seed, failure->rule, failure->text);
    else if (options->minimize)
        run_minimize(*run, failure);
    else
        run_tell_failure(run, failure);
}

static void run_seed(const struct options *options, uint64_t seed, struct totals *totals) {
    struct run_options run = options->run;
    seed_high = (sig_atomic_t)(seed >> 32);
    seed_low = (sig_atomic_t)(uint32_t)seed;
    run.seed = seed;
    if (options->hash) {
        run_hashed(&run);
        totals->passed++;
        return;
    }
    struct world *world = run_world(&run, options->trace ? stdout : NULL, options->order);
    totals->steps += world->step;
    totals->simulated += world->now - SIM_START;
    struct failure failure = world->failure;
    if (!failure.is && !options->quiet) tell(&run, world);
    world_close(world); /* Before it is told: a real PostgreSQL has room for one. */
    if (failure.is)
        totals->failed++;
    else
        totals->passed++;
    if (failure.is) tell_failure(options, &run, &failure);
    fflush(stdout);
}

/* ---- Words ---- */

static void usage(FILE *to) {
    fprintf(to,
            "doorsim sim --seed N [--trace] [--order ID] [--minimize]\n"
            "doorsim sim --seeds A..B [--summary] [--first] [--minimize]\n"
            "  --seed N         one run; the same number is the same run\n"
            "  --seeds A..B     many; ends with \"N passed, N failed\"\n"
            "  --trace          every message, as it is sent\n"
            "  --order ID       with --trace: only what is about this order\n"
            "  --minimize       a run that fails: find a smaller one and tell that\n"
            "  --hash           only the hash of the trace\n"
            "  --shoppers N     so many instead of a number drawn from the seed\n"
            "  --shards N       so many instead of a number drawn from the seed (1 to 4)\n"
            "  --units N        one lot of so many units\n"
            "  --fault-ms N     the faults stop after so many simulated milliseconds\n"
            "  --no-faults      nothing goes wrong\n"
            "  --without A,B    none of these faults      --only A,B   no others (--faults: list)\n"
            "  --store=real     with a private PostgreSQL, its sessions interleaved by the seed\n"
            "  --summary        one line for a run that fails\n"
            "  --first          stop at the first that does\n");
}

static void list_faults(void) {
    for (uint32_t i = 0; i < FAULT_COUNT; i++)
        printf("%-15s %s\n", fault_name((enum fault)i), fault_doc((enum fault)i));
}

static bool parse_faults(const char *text, uint64_t *faults) {
    *faults = 0;
    while (*text != 0) {
        size_t size = strcspn(text, ",");
        enum fault fault = fault_named(text, size);
        if (fault == FAULT_COUNT) return false;
        *faults |= UINT64_C(1) << fault;
        text += size + (text[size] == ',');
    }
    return *faults != 0;
}

static bool parse_seeds(struct options *options, const char *value) {
    char *end = NULL;
    options->first = strtoull(value, &end, 10);
    if (end == value || strncmp(end, "..", 2) != 0) return false;
    value = end + 2;
    options->last = strtoull(value, &end, 10);
    options->quiet = true;
    return end != value && *end == 0;
}

static bool parse_number(const char *value, uint64_t most, uint64_t *number) {
    char *end = NULL;
    *number = strtoull(value, &end, 10);
    return end != value && *end == 0 && *number <= most;
}

static bool parse_value(struct options *options, const char *name, const char *value) {
    uint64_t number = 0, faults;
    if (strcmp(name, "--seeds") == 0) return parse_seeds(options, value);
    if (strcmp(name, "--without") == 0 || strcmp(name, "--only") == 0) {
        if (!parse_faults(value, &faults)) return false;
        options->run.allowed = strcmp(name, "--only") == 0 ? faults : FAULTS_ALL & ~faults;
        return true;
    }
    if (!parse_number(value, UINT64_MAX, &number)) return false;
    if (strcmp(name, "--seed") == 0) {
        options->first = options->last = number;
    } else if (strcmp(name, "--shoppers") == 0 && number <= 4000000) {
        options->run.shoppers = (uint32_t)number;
    } else if (strcmp(name, "--shards") == 0 && number >= 1 && number <= SHARDS_MOST) {
        options->run.shards = (uint32_t)number;
    } else if (strcmp(name, "--units") == 0 && number <= 1000000) {
        options->run.units = (int64_t)number;
    } else if (strcmp(name, "--fault-ms") == 0 && number <= 3600000) {
        options->run.ends = (int64_t)number * SIM_MS;
    } else if (strcmp(name, "--order") == 0) {
        options->order = (int64_t)number;
    } else {
        return false;
    }
    return true;
}

static bool *flag_of(struct options *options, const char *name) {
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        { "--trace", &options->trace },      { "--summary", &options->summary },
        { "--first", &options->first_only }, { "--minimize", &options->minimize },
        { "--hash", &options->hash },        { "--store=real", &options->run.real },
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(name, flags[i].name) == 0) return flags[i].flag;
    return NULL;
}

static bool parse(struct options *options, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        bool *flag = flag_of(options, argv[i]);
        if (flag != NULL)
            *flag = true;
        else if (strcmp(argv[i], "--no-faults") == 0)
            options->run.allowed = 0;
        else if (i + 1 >= argc || !parse_value(options, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return options->first <= options->last;
}

/* ---- The real PostgreSQL ---- */

/* Once more, beside a PostgreSQL that is stopped and wiped when that has ended, however it ends.
 * Returns only if that cannot be begun. */
static void run_in_stack(int argc, char **argv) {
    enum { WORDS_MAX = 64 };
    const char *words[WORDS_MAX] = { "tools/stack", "run", "--fsync=off", "--wipe" };
    char folder[64], self[512];
    int count = 4;
    /* Tables are emptied between runs, which on a disk takes longer than the run. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/doorsim-XXXXXX", base != NULL ? base : "/tmp");
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (access("tools/stack", X_OK) != 0) {
        fprintf(stderr, "doorsim: run me in the project's folder: tools/stack is needed\n");
        return;
    }
    if (argc > WORDS_MAX - 8 || size < 0 || mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
        return; /* 0755: started by root, the server runs as somebody else. */
    self[size] = 0;
    words[count++] = folder;
    words[count++] = "--";
    words[count++] = self;
    for (int i = 0; i < argc; i++)
        words[count++] = argv[i];
    (void)execv(words[0], (char *const *)(uintptr_t)words);
    perror("tools/stack");
}

int sim_command(int argc, char **argv) {
    struct options options = { .first = 1, .last = 1, .run = { .allowed = FAULTS_ALL } };
    struct totals totals = { 0 };
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--faults") == 0) {
        list_faults();
        return 0;
    }
    if (!parse(&options, argc, argv)) {
        usage(stderr);
        return 2;
    }
    if (options.run.real && getenv("STACK") == NULL) {
        run_in_stack(argc, argv);
        return 1;
    }
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(LOG_LEVEL_error, LOG_FORMAT_logfmt, 1, nowhere); /* What goes wrong here is meant. */
    if (options.run.real) real_begin();
    if (sodium_init() < 0) return 1;
    int64_t began = real_time();
    signal(SIGABRT, on_abort);
    /* A crowd's batches come and go by hundreds of megabytes: they are not given back in between.
     */
    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    for (uint64_t seed = options.first; seed <= options.last; seed++) {
        run_seed(&options, seed, &totals);
        if (options.first_only && totals.failed > 0) break;
    }
    if (options.run.real) {
        const struct real_totals *real = real_totals();
        fprintf(stderr,
                "%" PRIu64 " transactions, %" PRIu64 " commits, %" PRIu64 " waits for a lock\n",
                real->transactions, real->gates, real->waits);
        real_end();
    }
    double seconds = (double)(real_time() - began) / 1e9;
    /* Not to standard output: that is the same for the same seed. */
    fprintf(stderr,
            "%" PRIu64 " steps and %.0f simulated seconds in %.2f s (%.2f s of processor): %.0f and"
            " %.0f a second\n",
            totals.steps, (double)totals.simulated / 1e9, seconds, processor_time(),
            (double)totals.steps / seconds, (double)totals.simulated / 1e9 / seconds);
    if (options.quiet)
        printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed, totals.failed);
    return totals.failed == 0 ? 0 : 1;
}
