/* doorsim bench: what the shop does in a second, beside what the machine can do at most.
 *
 * Every figure is measured in rounds, and the rounds of all figures take turns, so that a machine
 * that is slower for a while is slower for all of them.  Ratios are of medians of the same run. */
#include "broker/clock.h"
#include "broker/keys.h"
#include "schema/id.h"
#include "schema/timefmt.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/judge_sql.h"
#include "tools/doorsim/load.h"
#include "tools/doorsim/options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 20 };

enum figure { FIGURE_buy, FIGURE_sold_out, FIGURE_nothing, FIGURE_nginx, FIGURE_COUNT };

static const struct {
    const char *name, *what;
} figures[FIGURE_COUNT] = {
    { "purchases", "purchases committed, stock left" },
    { "sold_out", "sold-out answers" },
    { "nothing", "do-nothing handler" },
    { "nginx", "nginx, static 200" },
};

struct bench_words {
    const char *base, *dsn, *shoppers, *keys, *nothing, *nginx, *json;
    int64_t lot, empty_lot, shard, tickets, connections, rounds, round_ms, warmup_ms, timeout_ms;
};

struct series {
    unsigned rounds;
    double rate[ROUNDS_MAX];  /* Of what counts: commits, refusals, pages. */
    double cores[ROUNDS_MAX]; /* That the generator used. */
    uint64_t counted, other;  /* Answers that were meant, and all others. */
    struct histogram latency;
};

struct bench {
    const struct bench_words *words;
    struct shoppers shoppers;
    struct tickets stock, refused;
    size_t next_ticket;
    uint64_t told_yes, may_be; /* Purchases of all rounds: told 201; perhaps made. */
    struct series series[FIGURE_COUNT];
};

static int by_value(const void *a, const void *b) {
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* The median; lowest and highest round in the others. */
static double median(const struct series *series, double *low, double *high) {
    double sorted[ROUNDS_MAX];
    *low = *high = 0;
    if (series->rounds == 0) return 0;
    memcpy(sorted, series->rate, series->rounds * sizeof sorted[0]);
    qsort(sorted, series->rounds, sizeof sorted[0], by_value);
    *low = sorted[0];
    *high = sorted[series->rounds - 1];
    size_t middle = series->rounds / 2;
    return series->rounds % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/* False when there is nothing to measure it with. */
static bool plan_of(struct bench *self, enum figure figure, struct load_plan *plan) {
    const struct bench_words *words = self->words;
    *plan = (struct load_plan){
        .kind = LOAD_get,
        .base = words->base,
        .connections = (unsigned)words->connections,
        .duration_ns = words->round_ms * TIMEFMT_NS_PER_MS,
        .warmup_ns = words->warmup_ms * TIMEFMT_NS_PER_MS,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
        .quantity = 1,
    };
    switch (figure) {
    case FIGURE_buy:
        plan->kind = LOAD_buy;
        plan->tickets = &self->stock;
        plan->first_ticket = self->next_ticket;
        plan->last_ticket = self->stock.count;
        return words->lot != 0;
    case FIGURE_sold_out:
        plan->kind = LOAD_refuse;
        plan->tickets = &self->refused;
        plan->last_ticket = self->refused.count;
        return words->empty_lot != 0;
    case FIGURE_nothing: plan->path = words->nothing; return words->nothing != NULL;
    case FIGURE_nginx:
        plan->path = "/";
        plan->base = words->nginx;
        return words->nginx != NULL;
    case FIGURE_COUNT: break;
    }
    return false;
}

static uint64_t meant(enum figure figure, const struct load_result *result) {
    if (figure == FIGURE_buy) return result->count[TALLY_created];
    return figure == FIGURE_sold_out ? result->count[TALLY_sold_out] : result->count[TALLY_ok];
}

static bool run_round(struct bench *self, enum figure figure) {
    struct load_plan plan;
    if (!plan_of(self, figure, &plan)) return true;
    struct load_result *result = malloc(sizeof *result);
    bool good = result != NULL && load_run(&plan, result);
    if (good) {
        struct series *series = &self->series[figure];
        uint64_t counted = meant(figure, result);
        if (figure == FIGURE_buy) {
            self->next_ticket = result->next_ticket;
            self->told_yes += result->yes_all;
            self->may_be += result->open_all;
        }
        series->rate[series->rounds] = result->seconds > 0 ? (double)counted / result->seconds : 0;
        series->cores[series->rounds] = result->cores;
        series->rounds++;
        series->counted += counted;
        series->other += result->requests - counted;
        histogram_merge(&series->latency, &result->latency);
        printf("  round %u  %-10s %9.0f/s", series->rounds, figures[figure].name,
               series->rate[series->rounds - 1]);
        if (result->requests > counted) {
            printf("   and %" PRIu64 " other answers", result->requests - counted);
        }
        printf("\n");
        if (counted != result->requests) load_print(stdout, result);
        fflush(stdout);
    }
    free(result);
    return good;
}

static double ms(const struct series *series, double percent) {
    return (double)histogram_percentile(&series->latency, percent) / 1e6;
}

static void print_table(const struct bench *self) {
    double low, high;
    double nginx = median(&self->series[FIGURE_nginx], &low, &high);
    double nothing = median(&self->series[FIGURE_nothing], &low, &high);
    printf("\n%-32s %10s %21s %8s %10s %8s %8s %8s\n", "", "median/s", "lowest - highest",
           "/ nginx", "/ nothing", "p50 ms", "p99 ms", "p99.9");
    for (int i = 0; i < FIGURE_COUNT; i++) {
        const struct series *series = &self->series[i];
        if (series->rounds == 0) continue;
        double middle = median(series, &low, &high);
        printf("%-32s %10.0f %10.0f - %8.0f", figures[i].what, middle, low, high);
        if (nginx > 0)
            printf(" %8.3f", middle / nginx);
        else
            printf(" %8s", "-");
        if (nothing > 0)
            printf(" %10.3f", middle / nothing);
        else
            printf(" %10s", "-");
        printf(" %8.2f %8.2f %8.2f\n", ms(series, 50), ms(series, 99), ms(series, 99.9));
    }
    printf("%" PRId64 " connections, %" PRId64 " rounds of %" PRId64
           " ms each, in turns; latency under full load, closed loop\n",
           self->words->connections, self->words->rounds, self->words->round_ms);
}

static void write_series(FILE *to, enum figure figure, const struct series *series, double nginx,
                         double nothing) {
    double low, high, middle = median(series, &low, &high);
    fprintf(to,
            "    {\"name\": \"%s\", \"median_per_s\": %.1f, \"lowest_per_s\": %.1f, "
            "\"highest_per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p99_9_ms\": %.3f, "
            "\"counted\": %" PRIu64 ", \"other_answers\": %" PRIu64,
            figures[figure].name, middle, low, high, ms(series, 50), ms(series, 99),
            ms(series, 99.9), series->counted, series->other);
    if (nginx > 0) fprintf(to, ", \"of_nginx\": %.4f", middle / nginx);
    if (nothing > 0) fprintf(to, ", \"of_nothing\": %.4f", middle / nothing);
    fprintf(to, ", \"rounds_per_s\": [");
    for (unsigned i = 0; i < series->rounds; i++) {
        fprintf(to, "%s%.1f", i > 0 ? ", " : "", series->rate[i]);
    }
    fprintf(to, "], \"generator_cores\": [");
    for (unsigned i = 0; i < series->rounds; i++) {
        fprintf(to, "%s%.3f", i > 0 ? ", " : "", series->cores[i]);
    }
    fprintf(to, "]}");
}

static bool write_json(const struct bench *self) {
    double low, high;
    double nginx = median(&self->series[FIGURE_nginx], &low, &high);
    double nothing = median(&self->series[FIGURE_nothing], &low, &high);
    if (self->words->json == NULL) return true;
    FILE *to = fopen(self->words->json, "we");
    if (to == NULL) {
        perror(self->words->json);
        return false;
    }
    char when[TIMEFMT_SIZE];
    fprintf(to,
            "{\n  \"at\": \"%s\",\n  \"connections\": %" PRId64 ",\n  \"rounds\": %" PRId64
            ",\n  \"round_ms\": %" PRId64 ",\n  \"figures\": [\n",
            timefmt_write(clock_now(), when), self->words->connections, self->words->rounds,
            self->words->round_ms);
    bool first = true;
    for (int i = 0; i < FIGURE_COUNT; i++) {
        if (self->series[i].rounds == 0) continue;
        if (!first) fprintf(to, ",\n");
        write_series(to, (enum figure)i, &self->series[i], nginx, nothing);
        first = false;
    }
    fprintf(to, "\n  ]\n}\n");
    return fclose(to) == 0;
}

static bool prepare(struct bench *self) {
    const struct bench_words *words = self->words;
    struct seal_keys keys;
    char error[200];
    if (words->lot == 0 && words->empty_lot == 0) return true;
    if (words->shoppers == NULL || words->keys == NULL) {
        fprintf(stderr, "doorsim bench: --lot and --empty-lot need --shoppers and --keys\n");
        return false;
    }
    if (!keys_load(words->keys, &keys, error, sizeof error)) {
        fprintf(stderr, "doorsim bench: %s\n", error);
        return false;
    }
    if (!shoppers_load(&self->shoppers, words->shoppers, 0)) return false;
    size_t count = words->tickets > 0 ? (size_t)words->tickets : self->shoppers.count;
    return tickets_plan(&self->stock, &self->shoppers, &words->lot, 1, count) &&
           tickets_sign(&self->stock, &keys, 1, (uint32_t)words->shard) &&
           tickets_plan(&self->refused, &self->shoppers, &words->empty_lot, 1,
                        self->shoppers.count) &&
           tickets_sign(&self->refused, &keys, 1, (uint32_t)words->shard);
}

/* Ran, and every figure that was asked for has answers of the kind that counts, and no others. */
static bool measured(const struct bench *self) {
    bool good = true;
    for (int i = 0; i < FIGURE_COUNT; i++) {
        const struct series *series = &self->series[i];
        if (series->rounds == 0 || (series->counted > 0 && series->other == 0)) continue;
        printf("note: %s: %" PRIu64 " answers counted, %" PRIu64 " others\n", figures[i].name,
               series->counted, series->other);
        if (series->counted == 0) good = false;
    }
    return good;
}

/* Every 201 is an order in PostgreSQL, and there are no others than those that may be. */
static bool committed(const struct bench *self) {
    int64_t count;
    if (self->words->dsn == NULL || self->words->lot == 0) return true;
    if (!facts_count_orders(self->words->dsn, self->words->lot, &count)) return false;
    uint64_t orders = (uint64_t)count;
    bool good = orders >= self->told_yes && orders <= self->told_yes + self->may_be;
    printf("%s: %" PRIu64 " purchases told 201, %" PRIu64 " orders in PostgreSQL",
           good ? "ok" : "FAIL", self->told_yes, orders);
    if (self->may_be > 0) printf(" (%" PRIu64 " purchases without an answer)", self->may_be);
    printf("\n");
    return good;
}

static int run(struct bench *self) {
    bool good = prepare(self);
    for (int64_t round = 0; good && round < self->words->rounds; round++) {
        for (int i = 0; good && i < FIGURE_COUNT; i++) {
            good = run_round(self, (enum figure)i);
        }
    }
    if (!good) return 2;
    print_table(self);
    bool whole = measured(self);
    whole = committed(self) && whole;
    return write_json(self) && whole ? 0 : 1;
}

int bench_command(int argc, char **argv) {
    struct bench_words words = {
        .connections = 256, .rounds = 3, .round_ms = 3000, .warmup_ms = 300, .timeout_ms = 10000
    };
    const struct option options[] = {
        { "base", OPTION_text, true, &words.base, 0, 0, "Address of the shop, http://host:port." },
        { "dsn", OPTION_text, false, &words.dsn, 0, 0,
          "PostgreSQL: compare the 201s with its orders afterwards." },
        { "shoppers", OPTION_text, false, &words.shoppers, 0, 0, "File made by doorsim seed." },
        { "keys", OPTION_text, false, &words.keys, 0, 0, "The server's file of token keys." },
        { "lot", OPTION_number, false, &words.lot, 1, INT64_MAX,
          "A lot with more stock than tickets." },
        { "empty-lot", OPTION_number, false, &words.empty_lot, 1, INT64_MAX,
          "A lot that is sold out." },
        { "shard", OPTION_number, false, &words.shard, 0, SHARDS_MAX - 1,
          "Where both lots live (0; `doorctl sale show` tells)." },
        { "tickets", OPTION_number, false, &words.tickets, 1, 100000000,
          "Purchases at most (default: one per shopper)." },
        { "nothing", OPTION_text, false, &words.nothing, 0, 0,
          "Path of a handler of the shop that does nothing." },
        { "nginx", OPTION_text, false, &words.nginx, 0, 0,
          "Address of an nginx with a static 200 at /." },
        { "connections", OPTION_number, false, &words.connections, 1, 60000, "Default 256." },
        { "rounds", OPTION_number, false, &words.rounds, 1, ROUNDS_MAX, "Default 3." },
        { "round-ms", OPTION_number, false, &words.round_ms, 100, 60000, "Counted part (3000)." },
        { "warmup-ms", OPTION_number, false, &words.warmup_ms, 0, 60000, "Before it (300)." },
        { "timeout-ms", OPTION_number, false, &words.timeout_ms, 10, 600000, "Patience (10000)." },
        { "json", OPTION_text, false, &words.json, 0, 0, "Write the figures here as well." },
        { 0 },
    };
    switch (options_read(argc, argv, options, "measures the shop beside its ceilings")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    struct bench *self = calloc(1, sizeof *self);
    if (self == NULL) return 2;
    self->words = &words;
    int exit_code = run(self);
    tickets_fini(&self->stock);
    tickets_fini(&self->refused);
    shoppers_fini(&self->shoppers);
    free(self);
    return exit_code;
}
