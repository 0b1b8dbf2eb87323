/* doorsim chaos: a sale on real processes while everything around them is broken, as a seed says;
 * then everything is mended, all must be decided within bounded time, and the judge looks at what
 * clients were told and at what PostgreSQL has. */
#include "broker/clock.h"
#include "tools/doorsim/chaos.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/options.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum need { NEED_plain, NEED_disk, NEED_clock };

static const struct {
    const char *name, *doc;
    enum need need;
    void (*run)(struct chaos *self);
} faults[CHAOS_FAULTS] = {
#define FAULT(name, needs, doc) { #name, doc, NEED_##needs, chaos_##name },
#include "tools/doorsim/chaos.def"
#undef FAULT
};

enum {
    SHOPPERS = 160,
    UNITS = 60,
    EACH = 4, /* Faults that a seed must do; `EACH` seeds apart they repeat. */
    TEXT = 6000,
    GRACE_MS = 15000,
};

struct chaos_words {
    int64_t seed, seconds;
    struct option_list only;
    bool list, keep;
};

uint64_t chaos_draw(struct chaos *self, uint64_t bound) {
    uint64_t mixed = self->random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    return bound == 0 ? 0 : mixed % bound;
}

int64_t chaos_span(struct chaos *self, int64_t least_ms, int64_t most_ms) {
    int64_t span = least_ms + (int64_t)chaos_draw(self, (uint64_t)(most_ms - least_ms + 1));
    return least_ms < 0 ? span : span * CHAOS_MS;
}

void chaos_say(struct chaos *self, const char *format, ...) {
    va_list args;
    printf("%6.1f s  ", (double)(clock_mono() - self->began) / 1e9);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
    (void)fflush(stdout);
}

/* ---- What the stage is prepared with ---- */

static bool mount_small(const char *path, const char *size, const struct passwd *owner) {
    char options[100];
    (void)snprintf(options, sizeof options, "size=%s,mode=0700,uid=%u,gid=%u", size,
                   owner != NULL ? owner->pw_uid : getuid(),
                   owner != NULL ? owner->pw_gid : getgid());
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return false;
    return mount("none", path, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
}

/* The folders that tools/stack would make are there already, and small. */
static bool before_stack(void *context) {
    struct chaos *self = context;
    const struct passwd *owner = getpwnam("postgres");
    if (!self->disk) return true;
    if (owner == NULL) owner = getpwnam("nobody");
    if (mkdir(self->stage.stack, 0755) == 0 &&
        mount_small(stage_path(&self->stage, "stack/data"), "280m", owner) &&
        mount_small(stage_path(&self->stage, "stack/data/redis"), "24m", owner)) {
        return true;
    }
    printf("left out: small disks cannot be mounted here: %s\n", strerror(errno));
    self->disk = false;
    return true;
}

static void after_wipe(void *context) {
    struct chaos *self = context;
    (void)umount2(stage_path(&self->stage, "stack/data/redis"), MNT_DETACH);
    (void)umount2(stage_path(&self->stage, "stack/data"), MNT_DETACH);
}

static void add_env(struct chaos *self, const char *name, const char *value) {
    unsigned count = 0;
    while (self->env_list[count] != NULL)
        count++;
    (void)snprintf(self->envs[count], sizeof self->envs[count], "%s=%s", name, value);
    self->env_list[count] = self->envs[count];
}

/* The clock's folder is not the stage's, which does not exist yet. */
static bool prepare_clock(struct chaos *self) {
    glob_t found;
    bool good = glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &found) == 0;
    (void)snprintf(self->clock_file, sizeof self->clock_file, "/tmp/chaos-clock-%ld",
                   (long)getpid());
    good = good && chaos_clock_set(self, 0) && chmod(self->clock_file, 0644) == 0;
    if (!good) {
        printf("left out: libfaketime is not there\n");
        return false;
    }
    add_env(self, "LD_PRELOAD", found.gl_pathv[0]);
    add_env(self, "FAKETIME_TIMESTAMP_FILE", self->clock_file);
    add_env(self, "FAKETIME_CACHE_DURATION", "1");
    /* CLOCK_MONOTONIC never jumps on a real machine either. */
    add_env(self, "FAKETIME_DONT_FAKE_MONOTONIC", "1");
    globfree(&found);
    return true;
}

static bool open_proxies(struct chaos *self) {
    char target[STAGE_PATH + 40], listen[STAGE_PATH + 40];
    (void)snprintf(self->pg_folder, sizeof self->pg_folder, "%s", stage_path(&self->stage, "pg"));
    if (mkdir(self->pg_folder, 0755) != 0) return false;
    (void)snprintf(listen, sizeof listen, "%s/.s.PGSQL.5432", self->pg_folder);
    (void)snprintf(target, sizeof target, "%s/.s.PGSQL.5432", self->stage.pg_host);
    self->pg = proxy_open(listen, target);
    /* Redis by TCP in every second run. */
    if (chaos_draw(self, 2) == 0)
        (void)snprintf(self->redis_listen, sizeof self->redis_listen, "127.0.0.1:%d",
                       self->stage.port + 1005);
    else
        (void)snprintf(self->redis_listen, sizeof self->redis_listen, "%s",
                       stage_path(&self->stage, "redis.sock"));
    self->redis = proxy_open(self->redis_listen, self->stage.redis);
    self->stage.setup.pg_host = self->pg_folder;
    self->stage.setup.redis = self->redis_listen;
    return self->pg != NULL && self->redis != NULL && stage_configure(&self->stage);
}

#define SETS                                                                                       \
    "order.batch_max=16", "payment.query_every=500ms", "pg.answer_timeout=3s", "redis.timeout=1s", \
        "payment.timeout=1s"

static bool open_all(struct chaos *self, int64_t seed) {
    /* Both ways to spread a process over threads take their turns. */
    static const char *const together[] = { SETS, "host.shard_threads=0", NULL };
    static const char *const apart[] = { SETS, "host.shard_threads=1", NULL };
    struct stage_setup setup = { .name = "chaos",
                                 .sets = seed % 2 == 0 ? together : apart,
                                 .before_stack = before_stack,
                                 .after_wipe = after_wipe,
                                 .context = self };
    if (self->clock) self->clock = prepare_clock(self);
    if (self->clock) setup.server_env = self->env_list;
    return stage_open(&self->stage, &setup) && open_proxies(self) &&
           stage_seed(&self->stage, SHOPPERS) && chaos_prepare_sql(self);
}

static void close_all(struct chaos *self, bool keep) {
    if (self->second > 0) {
        (void)kill(self->second, SIGKILL);
        (void)waitpid(self->second, NULL, 0);
    }
    if (self->replica > 0) {
        (void)kill(self->replica, SIGKILL);
        (void)waitpid(self->replica, NULL, 0);
    }
    stage_close(&self->stage, keep);
    proxy_close(&self->pg);
    proxy_close(&self->redis);
    proxy_close(&self->link);
    if (self->clock_file[0] != '\0') (void)unlink(self->clock_file);
}

/* ---- The run ---- */

static pid_t start_crowd(struct chaos *self, const struct chaos_words *words, const char *history) {
    char program[STAGE_PATH + 20], lot[24], rush[24], tame[24], end[24], seed[24], count[24];
    (void)snprintf(program, sizeof program, "%s/doorsim", self->stage.build);
    (void)snprintf(lot, sizeof lot, "%" PRId64, self->lot);
    (void)snprintf(seed, sizeof seed, "%" PRId64, words->seed);
    (void)snprintf(count, sizeof count, "%d", SHOPPERS);
    /* They come all through the faults, most of them at the beginning. */
    (void)snprintf(rush, sizeof rush, "%" PRId64, words->seconds * 900);
    (void)snprintf(tame, sizeof tame, "%" PRId64, words->seconds * 1000);
    (void)snprintf(end, sizeof end, "%" PRId64, words->seconds + 90);
    return stage_spawn(&self->stage, "crowd.log",
                       (const char *const[]){ program,
                                              "demo",
                                              "--base",
                                              self->stage.base,
                                              "--shoppers",
                                              self->stage.shoppers,
                                              "--history",
                                              history,
                                              "--lot",
                                              lot,
                                              "--count",
                                              count,
                                              "--seed",
                                              seed,
                                              "--connections",
                                              "120",
                                              "--rush-ms",
                                              rush,
                                              "--twice",
                                              "25",
                                              "--impatient",
                                              "15",
                                              "--stubborn",
                                              "100",
                                              "--abandon",
                                              "10",
                                              "--late",
                                              "10",
                                              "--cancel",
                                              "10",
                                              "--tame-ms",
                                              tame,
                                              "--timeout-ms",
                                              "2500",
                                              "--end-s",
                                              end,
                                              "--no-judge",
                                              "--quiet",
                                              NULL });
}

static bool possible(const struct chaos *self, unsigned fault) {
    return faults[fault].need == NEED_plain || (faults[fault].need == NEED_disk && self->disk) ||
           (faults[fault].need == NEED_clock && self->clock);
}

static void do_fault(struct chaos *self, unsigned fault) {
    chaos_say(self, "%s", faults[fault].name);
    faults[fault].run(self);
    self->done[fault]++;
}

/* First those that this seed must do, then any of the enabled ones until the time is over. */
static void break_things(struct chaos *self, const unsigned *must, unsigned must_count,
                         int64_t until) {
    for (unsigned i = 0; !stage_stopped() && (i < must_count || clock_mono() < until); i++) {
        unsigned fault = i < must_count ? must[i] : (unsigned)chaos_draw(self, CHAOS_FAULTS);
        if (!possible(self, fault) || (i >= must_count && !self->enabled[fault])) continue;
        stage_sleep(&self->stage, chaos_span(self, 100, 900));
        do_fault(self, fault);
    }
}

static bool judged(struct chaos *self, const char *history) {
    char program[STAGE_PATH + 20], lot[24], grace[24], out[TEXT];
    const char *all[STAGE_WORDS] = { program,        "judge", "--dsn",       "",
                                     "--history",    history, "--lots",      lot,
                                     "--grace-ms",   grace,   "--settle-ms", "20000",
                                     "--expect-sold" };
    unsigned count = 13;
    (void)snprintf(program, sizeof program, "%s/doorsim", self->stage.build);
    (void)snprintf(lot, sizeof lot, "%" PRId64, self->lot);
    (void)snprintf(grace, sizeof grace, "%d", GRACE_MS);
    if (self->clock) all[count++] = "--clocks-apart";
    int status = stage_run(&self->stage, out, sizeof out, 60 * CHAOS_S, all);
    if (status != 0) printf("judge: %d\n%s", status, out);
    return status == 0;
}

static bool zero(struct chaos *self, const char *what, const char *sql) {
    char out[400] = "";
    if (stage_sql(&self->stage, sql, out, sizeof out) && strcmp(out, "0") == 0) return true;
    printf("FAIL %s: %s\n", what, out);
    return false;
}

/* Supervision hides a failed assertion from everybody but the log. */
static bool logs_clean(struct chaos *self) {
    long first = 0, second = 0;
    unsigned faults_found = stage_log_faults(&self->stage, "doorbuster.log", &first) +
                            stage_log_faults(&self->stage, "second.log", &second);
    if (self->stage.aborts > 0)
        printf("FAIL the server ended itself %u times\n", self->stage.aborts);
    return faults_found == 0 && self->stage.aborts == 0;
}

static bool journal_empty(struct chaos *self) {
    char out[64] = "";
    for (int tries = 0; tries < 100 && !stage_stopped(); tries++) {
        (void)stage_redis(&self->stage, out, sizeof out,
                          (const char *const[]){ "XLEN", "{s0}:j", NULL });
        if (strcmp(out, "0\n") == 0) return true;
        stage_sleep(&self->stage, 100 * CHAOS_MS);
    }
    printf("FAIL the journal still has %s", out);
    return false;
}

/* After everything was mended: all must be decided, within bounded time. */
static bool settle(struct chaos *self, pid_t crowd, const char *history) {
    bool ready = stage_ready(&self->stage, 30 * CHAOS_S);
    if (!ready) printf("FAIL not ready 30 s after everything was mended\n");
    chaos_say(self, "all is mended, the server is %s", ready ? "ready" : "not ready");
    int status = stage_wait(&self->stage, crowd, 100 * CHAOS_S);
    if (status != 0) printf("FAIL the crowd does not come to an end: %d\n", status);
    chaos_say(self, "everybody has an answer");
    bool good = ready && status == 0;
    good = judged(self, history) && good;
    good = stage_reconciled(&self->stage, 10 * CHAOS_S) && good;
    good = journal_empty(self) && good;
    good = zero(self, "G14 orders or refusals of another epoch than their shard's",
                "SELECT count(*) FROM chaos_fenced") &&
           good;
    good = chaos_money(self, 20 * CHAOS_S) && good;
    bool stopped = stage_server_stop(&self->stage, 15 * CHAOS_S);
    if (!stopped) printf("FAIL the server does not end in time when told to\n");
    return logs_clean(self) && good && stopped;
}

static bool play(struct chaos *self, const struct chaos_words *words, const unsigned *must,
                 unsigned must_count) {
    char history[STAGE_PATH];
    struct stage *stage = &self->stage;
    (void)snprintf(history, sizeof history, "%s", stage_path(stage, "history"));
    stage_server_start(stage);
    if (!stage_ready(stage, 30 * CHAOS_S) ||
        !stage_sale(stage, UNITS, "5s", &self->sale, &self->lot)) {
        printf("FAIL there is no sale\n");
        return false;
    }
    self->began = clock_mono();
    pid_t crowd = start_crowd(self, words, history);
    break_things(self, must, must_count, clock_mono() + words->seconds * CHAOS_S);
    if (!chaos_heal(self) && !stage_stopped()) printf("FAIL could not mend everything\n");
    return settle(self, crowd, history);
}

static void list_faults(void) {
    static const char *const needs[] = { "", "small disks", "libfaketime" };
    for (unsigned i = 0; i < CHAOS_FAULTS; i++)
        printf("%-18s %s%s%s\n", faults[i].name, faults[i].doc,
               faults[i].need != NEED_plain ? "; needs " : "", needs[faults[i].need]);
}

/* Four in a row of the list, so that consecutive seeds go through all of it; or those named. */
static bool choose(const struct chaos_words *words, unsigned *must, unsigned *count) {
    *count = 0;
    for (unsigned i = 0; words->only.count == 0 && i < EACH; i++)
        must[(*count)++] = (unsigned)(((uint64_t)words->seed * EACH + i) % CHAOS_FAULTS);
    for (unsigned i = 0; i < words->only.count; i++) {
        unsigned at = 0;
        while (at < CHAOS_FAULTS && strcmp(faults[at].name, words->only.items[i]) != 0)
            at++;
        if (at == CHAOS_FAULTS) {
            fprintf(stderr, "doorsim chaos: %s is no fault; --list shows them\n",
                    words->only.items[i]);
            return false;
        }
        must[(*count)++] = at;
    }
    return true;
}

static int run(const struct chaos_words *words, const unsigned *must, unsigned must_count) {
    static struct chaos self;
    self.random = (uint64_t)words->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    for (unsigned i = 0; i < must_count; i++) {
        self.disk = self.disk || faults[must[i]].need == NEED_disk;
        self.clock = self.clock || faults[must[i]].need == NEED_clock;
    }
    for (unsigned i = 0; i < CHAOS_FAULTS; i++)
        self.enabled[i] = words->only.count == 0 && chaos_draw(&self, 100) < 30;
    for (unsigned i = 0; i < must_count; i++)
        self.enabled[must[i]] = true;
    int64_t began = clock_mono();
    bool good = open_all(&self, words->seed) && play(&self, words, must, must_count);
    close_all(&self, words->keep || (!good && !stage_stopped()));
    if (stage_stopped()) return 1;
    printf("did");
    for (unsigned i = 0; i < CHAOS_FAULTS; i++)
        if (self.done[i] > 0) printf(" %s=%u", faults[i].name, self.done[i]);
    printf("; the server was started %u times\n", self.stage.starts);
    printf("%s: seed %" PRId64 ", %.0f s; again: doorsim chaos --seed %" PRId64
           " --seconds %" PRId64 "\n",
           good ? "exact" : "NOT EXACT", words->seed, (double)(clock_mono() - began) / 1e9,
           words->seed, words->seconds);
    return good ? 0 : 1;
}

int chaos_command(int argc, char **argv) {
    struct chaos_words words = { .seed = 1, .seconds = 12 };
    unsigned must[OPTION_LIST_MAX], must_count;
    const struct option options[] = {
        { "seed", OPTION_number, false, &words.seed, 0, INT64_MAX,
          "What is broken, and when (1)." },
        { "seconds", OPTION_number, false, &words.seconds, 1, 3600,
          "Time in which things are broken (12)." },
        { "fault", OPTION_list, false, &words.only, 0, 0, "Only this one; may be repeated." },
        { "list", OPTION_flag, false, &words.list, 0, 0, "Only list the faults." },
        { "keep", OPTION_flag, false, &words.keep, 0, 0, "Keep logs and histories." },
        { 0 },
    };
    switch (options_read(argc, argv, options,
                         "breaks everything around a sale, mends it, and judges")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    if (words.list) {
        list_faults();
        return 0;
    }
    if (!choose(&words, must, &must_count)) return 2;
    return run(&words, must, must_count);
}
