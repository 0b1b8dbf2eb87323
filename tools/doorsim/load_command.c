/* doorsim load: the command line, and the closed loop. */
#include "schema/id.h"
#include "schema/timefmt.h"
#include "tools/doorsim/account.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/load_words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int finish(const struct load_words *words, const struct load_result *result,
                  struct account *account) {
    load_print(stdout, result);
    if (!account_end(account, result->yes_all, result->open_all, words->history)) return 2;
    account_print(stdout, account);
    if (words->expect_units == 0) return account->good ? 0 : 1;
    uint64_t units = result->count[TALLY_created] * (uint64_t)words->quantity;
    bool right = units == (uint64_t)words->expect_units &&
                 result->count[TALLY_queued] + result->count[TALLY_lost] == 0;
    printf("%s: %" PRIu64 " units told sold, %" PRId64 " expected\n", right ? "ok" : "FAIL", units,
           words->expect_units);
    return right && account->good ? 0 : 1;
}

static int load_closed(const struct load_words *words) {
    struct load_plan plan = {
        .kind = words->path != NULL  ? LOAD_get
                : words->ask_tickets ? LOAD_ticket
                : words->refuse      ? LOAD_refuse
                                     : LOAD_buy,
        .base = words->base,
        .path = words->path,
        .etag = words->etag,
        .quantity = (uint32_t)words->quantity,
        .connections = (unsigned)words->connections,
        .duration_ns = words->seconds * TIMEFMT_NS_PER_S,
        .requests = (uint64_t)words->requests,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
    };
    struct load_result *result = calloc(1, sizeof *result);
    struct load_stage *stage = calloc(1, sizeof *stage);
    struct account account = { 0 };
    int exit_code = 2;
    if (result != NULL && stage != NULL && load_stage_set(stage, words, (size_t)words->requests)) {
        bool buys = plan.kind == LOAD_buy || plan.kind == LOAD_refuse;
        plan.tickets = &stage->tickets;
        plan.last_ticket = stage->tickets.count;
        plan.history = stage->history;
        if (account_begin(&account, buys ? words->dsn : NULL, stage->lots, words->lots.count) &&
            load_run(&plan, result) && load_stage_close_history(stage)) {
            exit_code = finish(words, result, &account);
        }
    }
    if (stage != NULL) load_stage_fini(stage);
    free(stage);
    free(result);
    return exit_code;
}

static void keep_command(struct load_words *words, int argc, char **argv) {
    size_t at = (size_t)snprintf(words->command, sizeof words->command, "doorsim");
    for (int i = 0; i < argc && at < sizeof words->command; i++) {
        at += (size_t)snprintf(words->command + at, sizeof words->command - at, " %s", argv[i]);
    }
}

#define PERCENT(name, doc)                                                                         \
    { #name, OPTION_number, false, &words.name, 0, 100, doc }

static struct load_words words = {
    .connections = 64,
    .quantity = 1,
    .timeout_ms = 10000,
    .bot_addresses = 3,
    .bot_tickets = 20,
    .bot_requests = 10,
    .patience_ms = 150,
    .tries = 5,
    .late_max_ms = 10,
    .seed = 1,
};

static const struct option options[] = {
    { "base", OPTION_text, true, &words.base, 0, 0, "Address of the shop, http://host:port." },
    { "path", OPTION_text, false, &words.path, 0, 0, "GET this instead of buying." },
    { "etag", OPTION_text, false, &words.etag, 0, 0, "With --path: what we have of it." },
    { "ask-tickets", OPTION_flag, false, &words.ask_tickets, 0, 0,
      "Ask for tickets instead of buying." },
    { "shoppers", OPTION_text, false, &words.shoppers, 0, 0, "File made by doorsim seed." },
    { "users", OPTION_text, false, &words.users, 0, 0,
      "Or FIRST:COUNT of seeded users; their tokens are made here (--keys)." },
    { "lot", OPTION_list, false, &words.lots, 0, 0, "A lot to buy from; may be repeated." },
    { "keys", OPTION_text, false, &words.keys, 0, 0,
      "The server's token keys: sign tickets here instead of asking for them." },
    { "shard", OPTION_number, false, &words.shard, 0, SHARDS_MAX - 1,
      "Where the lots live, for tickets signed here (0; `doorctl sale show` tells)." },
    { "tickets", OPTION_number, false, &words.tickets, 0, 100000000,
      "How many tickets (default: as many as are used)." },
    { "sold-out", OPTION_flag, false, &words.refuse, 0, 0,
      "Closed loop: use the tickets over and over: the lots are sold out." },
    { "quantity", OPTION_number, false, &words.quantity, 1, QUANTITY_MAX, "Units each." },
    { "connections", OPTION_number, false, &words.connections, 1, 60000, "Default 64." },
    { "seconds", OPTION_number, false, &words.seconds, 0, 3600,
      "How long (default: until the tickets are used up; open: 1)." },
    { "requests", OPTION_number, false, &words.requests, 0, 1000000000,
      "Closed loop: at most so many." },
    { "timeout-ms", OPTION_number, false, &words.timeout_ms, 1, 600000, "Default 10000." },
    { "expect-units", OPTION_number, false, &words.expect_units, 0, 1000000000,
      "Closed loop: exit 1 unless exactly so many units are told sold, every question "
      "answered." },
    { "history", OPTION_text, false, &words.history, 0, 0, "Write what was told here." },
    { "dsn", OPTION_text, false, &words.dsn, 0, 0,
      "PostgreSQL: afterwards compare its orders with what was told; with --history, judge." },
    { "rate", OPTION_number, false, &words.rate, 1, 10000000, "Open loop: arrivals a second." },
    { "curve", OPTION_text, false, &words.curve, 0, 0,
      "constant (the default), poisson, or ramp (from --from-rate to --rate)." },
    { "from-rate", OPTION_number, false, &words.from_rate, 0, 10000000, "Where a ramp begins." },
    { "at-once", OPTION_number, false, &words.at_once, 1, 10000000,
      "So many arrive at the very beginning, besides the curve." },
    { "arrivals", OPTION_text, false, &words.arrivals, 0, 0,
      "A recorded curve: a file with one time in seconds a line." },
    PERCENT(clicking, "Click twice, percent (0)."),
    PERCENT(retrying, "Ask again after --patience-ms or a 503, percent (0)."),
    PERCENT(leaving, "Leave before --patience-ms is over, percent (0)."),
    PERCENT(bots, "Bots, percent (0)."),
    { "bot-addresses", OPTION_number, false, &words.bot_addresses, 1, 200,
      "Addresses that they all come from (3)." },
    { "bot-tickets", OPTION_number, false, &words.bot_tickets, 1, 1000000,
      "Tickets that they all use (20)." },
    { "bot-requests", OPTION_number, false, &words.bot_requests, 1, 100000,
      "Requests in a row of each (10)." },
    { "patience-ms", OPTION_number, false, &words.patience_ms, 1, 60000, "Default 150." },
    { "tries", OPTION_number, false, &words.tries, 1, 1000, "Of those who retry (5)." },
    { "late-max-ms", OPTION_number, false, &words.late_max_ms, 1, 600000,
      "A run that sent later than this (p99) is not good (10)." },
    { "seed", OPTION_number, false, &words.seed, 0, INT64_MAX, "Who does what, when (1)." },
    { "metrics", OPTION_text, false, &words.metrics, 0, 0,
      "Address of the server's /metrics, for the queues (default: under --base)." },
    { "json", OPTION_text, false, &words.json, 0, 0, "Open loop: write the run here." },
    { "report", OPTION_text, false, &words.report, 0, 0, "Open loop: write a page here." },
    { "quiet", OPTION_flag, false, &words.quiet, 0, 0, "No line per second." },
    { 0 },
};

static const char purpose[] =
    "buys, or fetches a page: as fast as it is answered, or (--rate, --at-once, --arrivals) as "
    "people come";

int load_command(int argc, char **argv) {
    switch (options_read(argc, argv, options, purpose)) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    bool people = (words.shoppers != NULL || words.users != NULL) && words.lots.count > 0;
    if (words.path == NULL && !people) {
        fprintf(stderr, "doorsim load: --shoppers or --users and --lot, or --path, are required\n");
        return 2;
    }
    keep_command(&words, argc, argv);
    if (load_is_open(&words)) return load_open(&words);
    if (words.path != NULL && words.seconds == 0 && words.requests == 0) words.requests = 100000;
    return load_closed(&words);
}
