/* doorsim crash: dies at every crash point, starts again, judges.
 *
 * First one run with nobody dying counts how often each point is reached.  Then, for each point and
 * for `hits` of these times spread over the whole, the same scenario again with the server armed.
 * The scenario: an operator makes a sale, somebody registers and logs in, a small crowd buys, pays,
 * cancels, pays late; mail is sent; the server is told to end.  A point that is not reached is a
 * failure: it would be one that nobody tests.  Points between processes are reached by the same
 * scenario over a broker and two nodes, each of which dies there. */
#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/curve.h"
#include "broker/keys.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/crash_nodes.h"
#include "tools/doorsim/options.h"
#include "tools/doorsim/stage.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define S  (1000 * MS)

enum { UNITS = 20, SHOPPERS = 60, TEXT = 4000 };

struct crash_words {
    struct option_list points;
    int64_t hit, hits, part, parts;
    bool list, keep;
};

struct crash_run {
    struct stage stage;
    struct crash_nodes nodes;
    uint64_t counts[CRASH_POINTS];
    uint64_t node_counts[CRASH_NODES][CRASH_POINTS]; /* Of the scenario nodes. */
    unsigned run;                                    /* Number of the scenario. */
    unsigned passed, failed;
    long log_read; /* Bytes of the server's log that were looked at. */
    char text[TEXT];
};

static int list_points(void) {
    for (unsigned i = 0; i < CRASH_POINTS; i++) {
        const char *in, *doc, *name = crash_describe((enum crash_point)i, &in, &doc);
        printf("%-18s %-8s %s\n", name, in, doc);
    }
    return 0;
}

static bool in_scenario(enum crash_point point, const char *scenario) {
    const char *in;
    (void)crash_describe(point, &in, NULL);
    return strcmp(in, scenario) == 0;
}

/* ---- The scenario of the server ---- */

static bool post(struct crash_run *self, const char *path, const char *body, const char *want) {
    char url[200], status[16] = "";
    (void)snprintf(url, sizeof url, "%s%s", self->stage.base, path);
    for (int tries = 0; tries < 30 && !stage_stopped(); tries++) {
        (void)STAGE_RUN(&self->stage, status, sizeof status, 10 * S, "curl", "-s", "-m", "5", "-o",
                        "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json",
                        "-H", "Expect: 100-continue", "--data-binary", body, url);
        /* Registered already counts: the answer of the first try may be what was lost. */
        if (strstr(want, status) != NULL && strlen(status) == 3 && status[0] != '0') return true;
        stage_sleep(&self->stage, 200 * MS);
    }
    fprintf(stderr, "%s: %s\n", path, status);
    return false;
}

static bool account(struct crash_run *self) {
    char body[128];
    (void)snprintf(body, sizeof body, "{\"login\":\"c%u@crash.example\",\"password\":\"%s\"}",
                   self->run, "correct horse");
    return post(self, "/v1/accounts", body, "201 409") && post(self, "/v1/sessions", body, "201");
}

static bool crowd(struct crash_run *self, int64_t lot, const char *history) {
    char program[STAGE_PATH + 20], lot_text[24], count[16], seed[16];
    (void)snprintf(program, sizeof program, "%s/doorsim", self->stage.build);
    (void)snprintf(lot_text, sizeof lot_text, "%" PRId64, lot);
    (void)snprintf(count, sizeof count, "%d", SHOPPERS);
    (void)snprintf(seed, sizeof seed, "%u", self->run);
    int status = STAGE_RUN(
        &self->stage, self->text, TEXT, 60 * S, program, "demo", "--base", self->stage.base,
        "--shoppers", self->stage.shoppers, "--history", history, "--lot", lot_text, "--count",
        count, "--seed", seed, "--connections", "40", "--rush-ms", "300", "--twice", "20",
        "--stubborn", "60", "--abandon", "10", "--late", "10", "--cancel", "10", "--tame-ms",
        "1500", "--timeout-ms", "3000", "--end-s", "40", "--no-judge", "--quiet");
    if (status != 0) fprintf(stderr, "crowd: %d: %s\n", status, self->text);
    return status == 0;
}

static bool judged(struct crash_run *self, int64_t lot, const char *history) {
    char program[STAGE_PATH + 20], lot_text[24];
    (void)snprintf(program, sizeof program, "%s/doorsim", self->stage.build);
    (void)snprintf(lot_text, sizeof lot_text, "%" PRId64, lot);
    int status = STAGE_RUN(&self->stage, self->text, TEXT, 60 * S, program, "judge", "--dsn", "",
                           "--history", history, "--lots", lot_text, "--grace-ms", "4000");
    if (status != 0) fprintf(stderr, "judge: %d\n%s", status, self->text);
    return status == 0;
}

static bool journal_empty(struct crash_run *self) {
    char text[32] = "";
    for (int tries = 0; tries < 100 && !stage_stopped(); tries++) {
        (void)stage_redis(&self->stage, text, sizeof text,
                          (const char *const[]){ "XLEN", "{s0}:j", NULL });
        if (strcmp(text, "0\n") == 0) return true;
        stage_sleep(&self->stage, 100 * MS);
    }
    fprintf(stderr, "journal: %s rows are left\n", text);
    return false;
}

/* A sale on what is running; true when everybody had an answer and it all adds up. */
static bool sale_goes_well(struct crash_run *self, char history[STAGE_PATH], int64_t *lot) {
    struct stage *stage = &self->stage;
    int64_t sale;
    char name[32];
    self->run++;
    (void)snprintf(name, sizeof name, "history-%u", self->run);
    (void)snprintf(history, STAGE_PATH, "%s", stage_path(stage, name));
    return stage_ready(stage, 20 * S) && account(self) &&
           stage_sale(stage, UNITS, "1s", &sale, lot) && crowd(self, *lot, history) &&
           judged(self, *lot, history) && stage_reconciled(stage, 10 * S) && journal_empty(self);
}

/* The whole scenario. */
static bool sell(struct crash_run *self) {
    struct stage *stage = &self->stage;
    int64_t lot;
    char history[STAGE_PATH];
    stage_server_start(stage);
    bool good = sale_goes_well(self, history, &lot);
    if (good && !stage_server_stop(stage, 15 * S)) {
        /* It died on the way down: once more up, and again. */
        good = WIFEXITED(stage->last_status) && WEXITSTATUS(stage->last_status) == CRASH_STATUS;
        if (!good) fprintf(stderr, "the server did not end as it should\n");
        stage_server_start(stage);
        good = good && stage_ready(stage, 20 * S) && judged(self, lot, history) &&
               stage_reconciled(stage, 10 * S) && stage_server_stop(stage, 15 * S);
    }
    if (!good) (void)stage_server_stop(stage, 5 * S);
    good = stage_log_faults(stage, "doorbuster.log", &self->log_read) == 0 && good;
    if (good) (void)unlink(history);
    return good;
}

/* The same over several processes. */
static bool sell_over_nodes(struct crash_run *self, unsigned victim) {
    struct stage *stage = &self->stage;
    const int *status = &self->nodes.rows[victim].last_status;
    int64_t lot;
    char history[STAGE_PATH];
    crash_nodes_start(&self->nodes, stage);
    bool good = sale_goes_well(self, history, &lot);
    if (good && !crash_nodes_stop(&self->nodes, 15 * S)) {
        good = WIFEXITED(*status) && WEXITSTATUS(*status) == CRASH_STATUS;
        if (!good) fprintf(stderr, "the processes did not end as they should\n");
        crash_nodes_start(&self->nodes, stage);
        good = good && stage_ready(stage, 20 * S) && judged(self, lot, history) &&
               stage_reconciled(stage, 10 * S) && crash_nodes_stop(&self->nodes, 15 * S);
    }
    if (!good) (void)crash_nodes_stop(&self->nodes, 5 * S);
    if (good) (void)unlink(history);
    return good;
}

/* ---- The other scenarios ---- */

/* doorbuster COMMAND, armed or counting by the variable, with a database or key file of its own. */
static int command(struct crash_run *self, const char *variable, const char *what,
                   const char *set) {
    char program[STAGE_PATH + 20], text[TEXT];
    (void)snprintf(program, sizeof program, "%s/doorbuster", self->stage.build);
    return STAGE_RUN(&self->stage, text, sizeof text, 60 * S, "env",
                     variable != NULL ? variable : "NOTHING=", program, what, "--config",
                     self->stage.config, "--set", set);
}

static bool keys_scenario(struct crash_run *self, const char *variable, bool dies) {
    char set[STAGE_PATH + 40], path[STAGE_PATH], error[200];
    struct seal_keys keys;
    (void)snprintf(path, sizeof path, "%s", stage_path(&self->stage, "other-keys"));
    (void)snprintf(set, sizeof set, "keys.file=%s", path);
    (void)unlink(path);
    if (command(self, variable, "keys", set) != (dies ? CRASH_STATUS : 0)) return false;
    return command(self, NULL, "keys", set) == 0 && keys_load(path, &keys, error, sizeof error);
}

/* The door's pair of key files, as the server makes them when there are none. */
static bool curve_scenario(struct crash_run *self, const char *variable, bool dies) {
    char program[STAGE_PATH + 20], dir[STAGE_PATH];
    (void)snprintf(program, sizeof program, "%s/doorbuster", self->stage.build);
    (void)snprintf(dir, sizeof dir, "%s", stage_path(&self->stage, "other-curve"));
    (void)STAGE_RUN(&self->stage, NULL, 0, 5 * S, "rm", "-rf", "--", dir);
    const char *const words[] = { "env",     variable != NULL ? variable : "NOTHING=",
                                  program,   "keys",
                                  "--curve", "door",
                                  "--dir",   dir,
                                  NULL };
    if (stage_run(&self->stage, NULL, 0, 10 * S, words) != (dies ? CRASH_STATUS : 0)) return false;
    struct curve curve;
    char error[400], file[STAGE_PATH + 20];
    (void)snprintf(file, sizeof file, "%s/door", dir);
    /* As door.c does it: made when the public one is not there, then loaded. */
    if (access(file, F_OK) != 0 && !curve_make(dir, "door", "", error, sizeof error)) return false;
    return curve_load(file, &curve, error, sizeof error);
}

static bool migrate_scenario(struct crash_run *self, const char *variable, bool dies) {
    char set[2 * STAGE_PATH];
    (void)snprintf(set, sizeof set,
                   "pg.dsn=host='%s' port=5432 user=doorbuster dbname=doorbuster_again",
                   self->stage.pg_host);
    (void)STAGE_RUN(&self->stage, NULL, 0, 30 * S, "psql", "-XqAt", "-U", "postgres", "-c",
                    "DROP DATABASE IF EXISTS doorbuster_again");
    if (STAGE_RUN(&self->stage, NULL, 0, 30 * S, "psql", "-XqAt", "-U", "postgres", "-c",
                  "CREATE DATABASE doorbuster_again OWNER doorbuster") != 0)
        return false;
    if (command(self, variable, "migrate", set) != (dies ? CRASH_STATUS : 0)) return false;
    return command(self, NULL, "migrate", set) == 0 && command(self, NULL, "migrate", set) == 0;
}

/* ---- Counting and dying ---- */

static bool read_counts(uint64_t counts[CRASH_POINTS], const char *path, const char *scenario) {
    char name[64];
    unsigned long long hits;
    FILE *in = fopen(path, "re");
    if (in == NULL) return false;
    while (fscanf(in, "%63s %llu", name, &hits) == 2) {
        for (unsigned i = 0; i < CRASH_POINTS; i++) {
            enum crash_point point = (enum crash_point)i;
            if (strcmp(name, crash_describe(point, NULL, NULL)) != 0) continue;
            if (in_scenario(point, scenario)) counts[i] = hits;
        }
    }
    return fclose(in) == 0;
}

static bool count_all(struct crash_run *self) {
    char path[STAGE_PATH], variable[STAGE_PATH + 40];
    (void)snprintf(path, sizeof path, "%s", stage_path(&self->stage, "counts"));
    (void)snprintf(variable, sizeof variable, "CRASH_COUNT=%s", path);
    (void)snprintf(self->stage.count, sizeof self->stage.count, "%s", path);
    if (!sell(self) || !read_counts(self->counts, path, "serve")) return false;
    self->stage.count[0] = '\0';
    return keys_scenario(self, variable, false) && read_counts(self->counts, path, "keys") &&
           curve_scenario(self, variable, false) && read_counts(self->counts, path, "curve") &&
           migrate_scenario(self, variable, false) && read_counts(self->counts, path, "migrate");
}

static bool count_nodes(struct crash_run *self) {
    for (unsigned node = 0; node < CRASH_NODES; node++)
        (void)snprintf(self->nodes.rows[node].count, STAGE_PATH, "%s-counts",
                       stage_path(&self->stage, crash_node_word(node)));
    bool good = sell_over_nodes(self, 0);
    for (unsigned node = 0; node < CRASH_NODES; node++) {
        struct crash_node *row = &self->nodes.rows[node];
        good = good && read_counts(self->node_counts[node], row->count, "nodes");
        row->count[0] = '\0';
    }
    for (unsigned i = 0; i < CRASH_POINTS; i++) {
        for (unsigned node = 0; node < CRASH_NODES; node++)
            self->counts[i] += self->node_counts[node][i];
    }
    return good;
}

static void report(struct crash_run *self, bool good, enum crash_point point, uint64_t hit,
                   const char *why, int64_t began) {
    if (stage_stopped()) return;
    if (good)
        self->passed++;
    else
        self->failed++;
    printf("%-4s %-18s hit %6" PRIu64 " of about %6" PRIu64 "  %4.1f s  %s\n", good ? "ok" : "FAIL",
           crash_describe(point, NULL, NULL), hit, self->counts[point],
           (double)(clock_mono() - began) / 1e9, why);
    (void)fflush(stdout);
}

/* True when the server died at the point and nowhere else. */
static bool died_there(struct crash_run *self, unsigned deaths_before) {
    struct stage *stage = &self->stage;
    return stage->deaths == deaths_before + 2; /* There, and when it was told to end. */
}

static void die_serving(struct crash_run *self, enum crash_point point, uint64_t hit) {
    int64_t began = clock_mono();
    const char *why = "";
    bool good = false;
    /* How often a point is reached is not the same every time: nearer to the beginning then. */
    for (int tries = 0; tries < 3 && !good && *why == '\0'; tries++) {
        unsigned deaths = self->stage.deaths;
        (void)snprintf(self->stage.crash, sizeof self->stage.crash, "%s:%" PRIu64,
                       crash_describe(point, NULL, NULL), hit);
        good = sell(self);
        if (!good) {
            why = "does not add up";
        } else if (!died_there(self, deaths)) {
            good = false;
            if (hit == 1) why = "not reached";
            hit = hit / 2 > 0 ? hit / 2 : 1;
        }
    }
    if (!good && *why == '\0') why = "not reached";
    report(self, good, point, hit, why, began);
}

static void die_at(struct crash_run *self, enum crash_point point, uint64_t hit) {
    char variable[100];
    int64_t began = clock_mono();
    if (in_scenario(point, "serve")) {
        die_serving(self, point, hit);
        return;
    }
    (void)snprintf(variable, sizeof variable, "CRASH_POINT=%s:%" PRIu64,
                   crash_describe(point, NULL, NULL), hit);
    bool good = in_scenario(point, "keys")    ? keys_scenario(self, variable, true)
                : in_scenario(point, "curve") ? curve_scenario(self, variable, true)
                                              : migrate_scenario(self, variable, true);
    report(self, good, point, hit, good ? "" : "does not start again", began);
}

/* In the given process. */
static void die_in_node(struct crash_run *self, unsigned node, enum crash_point point,
                        uint64_t hit) {
    struct crash_node *row = &self->nodes.rows[node];
    int64_t began = clock_mono();
    char why[80] = "";
    bool good = false;
    for (int tries = 0; tries < 3 && !good && *why == '\0'; tries++) {
        unsigned deaths = row->deaths;
        (void)snprintf(row->crash, sizeof row->crash, "%s:%" PRIu64,
                       crash_describe(point, NULL, NULL), hit);
        good = sell_over_nodes(self, node);
        if (!good) {
            (void)snprintf(why, sizeof why, "does not add up: ");
        } else if (row->deaths != deaths + 2) { /* There, and when it was told to end. */
            good = false;
            if (hit == 1) (void)snprintf(why, sizeof why, "not reached: ");
            hit = hit / 2 > 0 ? hit / 2 : 1;
        }
    }
    if (!good && *why == '\0') (void)snprintf(why, sizeof why, "not reached: ");
    (void)snprintf(why + strlen(why), sizeof why - strlen(why), "%s", crash_node_word(node));
    report(self, good, point, hit, why, began);
}

/* In each process in turn, in the middle of equal parts of the times it gets there: at the first of
 * them nothing is under way yet. */
static void die_in_nodes(struct crash_run *self, const struct crash_words *words,
                         enum crash_point point) {
    for (unsigned node = 0; node < CRASH_NODES; node++) {
        uint64_t all = self->node_counts[node][point], hits = (uint64_t)words->hits, last = 0;
        if (all == 0) continue;
        self->counts[point] = all; /* As it is reported. */
        for (uint64_t i = 0; i < (words->hit > 0 ? 1 : hits) && !stage_stopped(); i++) {
            uint64_t hit = 1 + all * (2 * i + 1) / (2 * hits);
            if (words->hit > 0) hit = (uint64_t)words->hit;
            if (hit > last) die_in_node(self, node, point, hit);
            last = hit;
        }
    }
}

static bool chosen(const struct crash_words *words, unsigned point) {
    if (words->points.count == 0) return (int64_t)point % words->parts == words->part - 1;
    for (unsigned i = 0; i < words->points.count; i++) {
        if (strcmp(words->points.items[i], crash_describe((enum crash_point)point, NULL, NULL)) ==
            0)
            return true;
    }
    return false;
}

/* The first time, and the others spread evenly over the rest. */
static void die_often(struct crash_run *self, const struct crash_words *words,
                      enum crash_point point) {
    uint64_t all = self->counts[point], last = 0;
    if (all == 0) {
        report(self, false, point, 0, "not reached by the scenario", clock_mono());
        return;
    }
    if (in_scenario(point, "nodes")) {
        die_in_nodes(self, words, point);
        return;
    }
    if (words->hit > 0) {
        die_at(self, point, (uint64_t)words->hit);
        return;
    }
    for (uint64_t i = 0; i < (uint64_t)words->hits && !stage_stopped(); i++) {
        uint64_t hit = 1 + all * i / (uint64_t)words->hits;
        if (hit <= last) continue;
        die_at(self, point, hit);
        last = hit;
    }
}

static bool names_known(const struct crash_words *words) {
    for (unsigned i = 0; i < words->points.count; i++) {
        bool known = false;
        for (unsigned k = 0; k < CRASH_POINTS; k++)
            known = known || strcmp(words->points.items[i],
                                    crash_describe((enum crash_point)k, NULL, NULL)) == 0;
        if (known) continue;
        fprintf(stderr, "doorsim crash: %s is no crash point; --list shows them\n",
                words->points.items[i]);
        return false;
    }
    return true;
}

static bool any_chosen(const struct crash_words *words, const char *scenario, bool of_it) {
    for (unsigned i = 0; i < CRASH_POINTS; i++)
        if (chosen(words, i) && in_scenario((enum crash_point)i, scenario) == of_it) return true;
    return false;
}

static int run(const struct crash_words *words) {
    static struct crash_run self;
    static const char *const sets[] = { "order.batch_max=8", "payment.query_every=500ms",
                                        "http.hold=300ms", NULL };
    static const char *const pay_words[] = { "--fail-rate", "0.1", "--callback-copies", "2", NULL };
    const struct stage_setup setup = {
        .name = "crash", .sets = sets, .pay_words = pay_words, .mail = true
    };
    bool good = stage_open(&self.stage, &setup) && stage_seed(&self.stage, SHOPPERS);
    if (good) {
        good = (!any_chosen(words, "nodes", false) || count_all(&self)) &&
               (!any_chosen(words, "nodes", true) || count_nodes(&self));
        if (!good) fprintf(stderr, "doorsim crash: the scenario fails without a crash\n");
    }
    for (unsigned i = 0; good && i < CRASH_POINTS && !stage_stopped(); i++) {
        if (chosen(words, i)) die_often(&self, words, (enum crash_point)i);
    }
    bool all = good && self.failed == 0 && self.passed > 0;
    if (self.nodes.wanted) (void)crash_nodes_stop(&self.nodes, 0);
    stage_close(&self.stage, words->keep || (!all && !stage_stopped()));
    printf("%u passed, %u failed\n", self.passed, self.failed + (good ? 0 : 1));
    return all && !stage_stopped() ? 0 : 1;
}

int crash_command(int argc, char **argv) {
    struct crash_words words = { .hits = 2, .part = 1, .parts = 1 };
    const struct option options[] = {
        { "list", OPTION_flag, false, &words.list, 0, 0, "Only list the points." },
        { "point", OPTION_list, false, &words.points, 0, 0, "Only this one; may be repeated." },
        { "hit", OPTION_number, false, &words.hit, 1, INT64_MAX, "Only when reached so often." },
        { "hits", OPTION_number, false, &words.hits, 1, 1000,
          "How many of the times a point is reached (2)." },
        { "part", OPTION_number, false, &words.part, 1, 100, "Which of the parts (1)." },
        { "parts", OPTION_number, false, &words.parts, 1, 100,
          "Divide the points, to run parts side by side (1)." },
        { "keep", OPTION_flag, false, &words.keep, 0, 0, "Keep logs and histories." },
        { 0 },
    };
    switch (
        options_read(argc, argv, options, "dies at every crash point, starts again and judges")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    if (words.list) return list_points();
    if (!names_known(&words) || words.part > words.parts) return 2;
    return run(&words);
}
