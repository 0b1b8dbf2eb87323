/* doorsim demo: a crowd at a sale, then the account. */
#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/crowd.h"
#include "tools/doorsim/fetch.h"
#include "tools/doorsim/judge_sql.h"
#include "tools/doorsim/options.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct demo_words {
    const char *base, *dsn, *shoppers, *history;
    int64_t sale, count, connections, seed, quantity;
    int64_t twice, impatient, stubborn, abandon, late, cancel, keep;
    int64_t rush_ms, tame_ms, end_s, timeout_ms, grace_ms, settle_ms, expect_held;
    struct option_list lot_words;
    bool no_judge, quiet;
    unsigned lot_count;
    int64_t lots[OPTION_LIST_MAX];
    int64_t opens_at;
};

/* Lots and opening time from the sale's page. */
static bool read_sale(struct demo_words *words, const char *json) {
    json_t *sale = json_loads(json, 0, NULL);
    const char *opens_at = json_string_value(json_object_get(sale, "opens_at"));
    json_t *lots = json_object_get(sale, "lots");
    bool good = json_is_array(lots) && json_array_size(lots) > 0;
    if (opens_at != NULL) (void)timefmt_read(opens_at, strlen(opens_at), &words->opens_at);
    for (size_t i = 0; good && i < json_array_size(lots) && i < OPTION_LIST_MAX; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(lots, i), "lot_id"));
        good = id != NULL && options_number(id, 1, INT64_MAX, &words->lots[words->lot_count++]);
    }
    json_decref(sale);
    return good;
}

static bool find_lots(struct demo_words *words) {
    for (unsigned i = 0; i < words->lot_words.count; i++) {
        if (!options_number(words->lot_words.items[i], 1, INT64_MAX,
                            &words->lots[words->lot_count++])) {
            fprintf(stderr, "doorsim demo: %s is not a lot\n", words->lot_words.items[i]);
            return false;
        }
    }
    if (words->sale == 0) return words->lot_count > 0;
    words->lot_count = 0;
    char path[64];
    struct textbuf body;
    textbuf_init(&body, HTTP_BODY_MAX);
    (void)snprintf(path, sizeof path, "/v1/sales/%" PRId64, words->sale);
    int status = fetch(words->base, path, 5 * TIMEFMT_NS_PER_S, &body);
    bool good = status == 200 && read_sale(words, body.bytes);
    if (!good) fprintf(stderr, "doorsim demo: could not read %s: status %d\n", path, status);
    textbuf_fini(&body);
    return good;
}

static void print_latency(const char *what, const struct histogram *histogram) {
    if (histogram->count == 0) return;
    printf("  %-44s p50 %8.1f  p99 %8.1f  p99.9 %8.1f ms  (%" PRIu64 ")\n", what,
           (double)histogram_percentile(histogram, 50) / 1e6,
           (double)histogram_percentile(histogram, 99) / 1e6,
           (double)histogram_percentile(histogram, 99.9) / 1e6, histogram->count);
}

static void print_crowd(const struct demo_words *words, size_t shoppers,
                        const struct crowd_result *result) {
    const struct crowd_count *count = &result->count;
    printf("\nthe crowd: %zu shoppers, %u lots, %.1f s from the doors to the end%s\n", shoppers,
           words->lot_count, result->seconds, result->finished ? "" : " (cut off)");
    printf("  tickets %" PRIu64 ", refused a ticket %" PRIu64 "; purchases asked %" PRIu64
           ", asked again %" PRIu64 "\n",
           count->tickets, count->no_ticket, count->asked, count->repeated);
    printf("  told yes %" PRIu64 " buyers, replayed %" PRIu64 ", place in line %" PRIu64
           ", sold out %" PRIu64 ", other refusals %" PRIu64 ", busy %" PRIu64
           ", no answer %" PRIu64 "\n",
           count->yes, count->replayed, count->queued, count->sold_out, count->refused, count->busy,
           count->lost);
    printf("  paid %" PRIu64 ", expired %" PRIu64 ", cancelled %" PRIu64 ", paid too late %" PRIu64
           ", still at it %" PRIu64 "\n",
           count->paid, count->expired, count->cancelled, count->late_money, count->unsettled);
    print_latency("ticket", &result->ticket);
    print_latency("purchase, as the shopper felt it", &result->buy);
    print_latency("  of these told yes", &result->yes);
    print_latency("purchase, sent to answered", &result->buy_server);
}

static uint64_t found(const struct verdict *verdict, enum rule rule) {
    return verdict->findings[rule].count;
}

static void print_account(const struct verdict *verdict, const struct facts *facts) {
    printf("\nthe account (PostgreSQL and the shoppers' own records)\n");
    printf("  sold %" PRId64 " of %" PRId64 " units (%" PRId64 " paid), unsold %" PRId64
           ", orders that gave their units back %" PRId64 "\n",
           verdict->held, verdict->allocated, verdict->paid, verdict->unsold, verdict->returned);
    printf("  oversold %" PRIu64 "\n", found(verdict, RULE_oversold));
    printf("  undersold %" PRIu64 "\n", found(verdict, RULE_undersold));
    printf("  201s missing in PostgreSQL %" PRIu64 "\n", found(verdict, RULE_lost));
    printf("  double orders %" PRIu64 "\n", found(verdict, RULE_double_orders) +
                                                found(verdict, RULE_other_order) +
                                                found(verdict, RULE_limit));
    printf("  buyers told both yes and no %" PRIu64 "\n", found(verdict, RULE_contradiction));
    printf("  ledger sum");
    for (size_t i = 0; i < facts->sum_count; i++) {
        printf(" %" PRId64 " %s", facts->sums[i].sum, facts->sums[i].name);
    }
    printf("%s\n\n", facts->sum_count == 0 ? " 0" : "");
}

static int pronounce(const struct demo_words *words) {
    struct history history = { 0 };
    struct facts facts = { 0 };
    struct verdict verdict;
    const struct judge_words judge_words = {
        .dsn = words->dsn,
        .lots = words->lots,
        .lot_count = words->lot_count,
        .settle_ns = words->settle_ms * TIMEFMT_NS_PER_MS,
        .options.grace_ns = words->grace_ms * TIMEFMT_NS_PER_MS,
    };
    int exit_code = 2;
    if (history_load(&history, words->history) &&
        judge_now(&history, &judge_words, &facts, &verdict)) {
        print_account(&verdict, &facts);
        verdict_print(stdout, &verdict);
        bool held = verdict_expect_held(stdout, &verdict, words->expect_held);
        exit_code = verdict_exact(&verdict) && held ? 0 : 1;
    }
    facts_fini(&facts);
    history_fini(&history);
    return exit_code;
}

static int run(struct demo_words *words) {
    struct shoppers shoppers;
    struct crowd_result *result = calloc(1, sizeof *result);
    int exit_code = 2;
    if (!shoppers_load(&shoppers, words->shoppers, (size_t)words->count)) {
        free(result);
        return 2;
    }
    FILE *history = fopen(words->history, "we");
    if (history == NULL) perror(words->history);
    if (result != NULL && history != NULL && find_lots(words)) {
        const struct crowd_options options = {
            .base = words->base,
            .shoppers = &shoppers,
            .lots = words->lots,
            .lot_count = words->lot_count,
            .connections = (unsigned)words->connections,
            .seed = (uint64_t)words->seed,
            .mix = { (unsigned)words->twice, (unsigned)words->impatient, (unsigned)words->stubborn,
                     (unsigned)words->abandon, (unsigned)words->late, (unsigned)words->cancel,
                     (unsigned)words->keep },
            .quantity = (uint32_t)words->quantity,
            .opens_at = words->opens_at,
            .rush_ns = words->rush_ms * TIMEFMT_NS_PER_MS,
            .tame_after_ns = words->tame_ms * TIMEFMT_NS_PER_MS,
            .end_after_ns = words->end_s * TIMEFMT_NS_PER_S,
            .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
            .history = history,
            .progress = words->quiet ? NULL : stdout,
        };
        if (crowd_run(&options, result)) {
            print_crowd(words, shoppers.count, result);
            exit_code = result->finished ? 0 : 1;
        }
    }
    if (history != NULL && fclose(history) != 0) exit_code = 2;
    free(result);
    shoppers_fini(&shoppers);
    if (exit_code == 2 || words->no_judge) return exit_code;
    int verdict = pronounce(words);
    return verdict != 0 ? verdict : exit_code;
}

#define PERCENT(name, doc)                                                                         \
    { #name, OPTION_number, false, &words.name, 0, 100, doc }

int demo_command(int argc, char **argv) {
    struct demo_words words = {
        .connections = 512,
        .seed = 1,
        .quantity = 1,
        .twice = 20,
        .impatient = 8,
        .stubborn = 40,
        .abandon = 15,
        .late = 8,
        .cancel = 8,
        .rush_ms = 3000,
        .tame_ms = 12000,
        .end_s = 40,
        .timeout_ms = 5000,
        .grace_ms = 1000,
        .settle_ms = 10000,
        .expect_held = -1,
    };
    const struct option options[] = {
        { "base", OPTION_text, true, &words.base, 0, 0, "Address of the shop, http://host:port." },
        { "dsn", OPTION_text, false, &words.dsn, 0, 0, "PostgreSQL, for the judge." },
        { "shoppers", OPTION_text, true, &words.shoppers, 0, 0, "File made by doorsim seed." },
        { "history", OPTION_text, true, &words.history, 0, 0, "Where to write what was told." },
        { "sale", OPTION_number, false, &words.sale, 1, INT64_MAX,
          "Buy from all lots of this sale." },
        { "lot", OPTION_list, false, &words.lot_words, 0, 0, "Or from these lots." },
        { "count", OPTION_number, false, &words.count, 0, 10000000, "Shoppers (default: all)." },
        { "connections", OPTION_number, false, &words.connections, 1, 60000, "Default 512." },
        { "seed", OPTION_number, false, &words.seed, 0, INT64_MAX, "Who does what (default 1)." },
        { "quantity", OPTION_number, false, &words.quantity, 1, QUANTITY_MAX, "Units each." },
        PERCENT(twice, "Click twice, percent of all (20)."),
        PERCENT(impatient, "Ask again after 150 ms, percent of all (8)."),
        PERCENT(stubborn, "Keep asking when sold out, percent of all (40)."),
        PERCENT(abandon, "Never pay, percent of buyers (15)."),
        PERCENT(late, "Pay after the order has expired, percent of buyers (8)."),
        PERCENT(cancel, "Cancel, percent of buyers (8)."),
        PERCENT(keep, "Do nothing with an order, percent of buyers (0)."),
        { "rush-ms", OPTION_number, false, &words.rush_ms, 0, 600000, "All arrive within (3000)." },
        { "tame-ms", OPTION_number, false, &words.tame_ms, 0, 600000,
          "After this time everybody who buys pays (12000)." },
        { "end-s", OPTION_number, false, &words.end_s, 1, 3600, "Hard end (40)." },
        { "timeout-ms", OPTION_number, false, &words.timeout_ms, 10, 600000, "Patience (5000)." },
        { "grace-ms", OPTION_number, false, &words.grace_ms, 0, 600000,
          "A free unit must be offered again within this time (1000)." },
        { "settle-ms", OPTION_number, false, &words.settle_ms, 0, 600000,
          "Money may be on its way so long (10000)." },
        { "expect-held", OPTION_number, false, &words.expect_held, 0, INT64_MAX,
          "Orders must hold exactly so many units." },
        { "no-judge", OPTION_flag, false, &words.no_judge, 0, 0,
          "Leave judging to doorsim judge." },
        { "quiet", OPTION_flag, false, &words.quiet, 0, 0, "No line per second." },
        { 0 },
    };
    switch (options_read(argc, argv, options, "sends a crowd to a sale and judges the outcome")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    if ((words.dsn == NULL && !words.no_judge) || (words.sale == 0 && words.lot_words.count == 0)) {
        fprintf(stderr, "doorsim demo: --dsn (or --no-judge) and --sale or --lot are required\n");
        return 2;
    }
    return run(&words);
}
