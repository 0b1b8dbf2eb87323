/* doorsim load: one run of the closed loop from the command line. */
#include "broker/clock.h"
#include "broker/keys.h"
#include "schema/timefmt.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/load.h"
#include "tools/doorsim/options.h"

#include <inttypes.h>
#include <string.h>

struct load_words {
    const char *base, *shoppers, *keys, *history, *path;
    struct option_list lots;
    int64_t connections, seconds, requests, expect_units, quantity, timeout_ms, tickets;
    bool refuse;
};

static bool read_lots(const struct option_list *list, int64_t *lots) {
    for (unsigned i = 0; i < list->count; i++) {
        if (!options_number(list->items[i], 1, INT64_MAX, &lots[i])) {
            fprintf(stderr, "doorsim load: %s is not a lot\n", list->items[i]);
            return false;
        }
    }
    return true;
}

/* Fills the tickets, by signature or by asking; those that were given come first, up to
 * plan->last_ticket. */
static bool get_tickets(const struct load_words *words, struct load_plan *like,
                        struct tickets *tickets) {
    if (words->keys != NULL) {
        struct seal_keys keys;
        char error[200];
        if (!keys_load(words->keys, &keys, error, sizeof error)) {
            fprintf(stderr, "doorsim load: %s\n", error);
            return false;
        }
        return tickets_sign(tickets, &keys, (uint32_t)words->quantity);
    }
    struct load_plan plan = *like;
    struct load_result result;
    plan.kind = LOAD_ticket;
    plan.duration_ns = 0;
    plan.requests = 0;
    if (!load_run(&plan, &result)) return false;
    printf("tickets: ");
    load_print(stdout, &result);
    size_t kept = 0;
    for (size_t i = 0; i < tickets->count; i++) {
        if (tickets->list[i].text == NULL) continue;
        struct ticket swap = tickets->list[kept];
        tickets->list[kept++] = tickets->list[i];
        tickets->list[i] = swap;
    }
    if (kept < tickets->count) printf("%zu tickets were not given\n", tickets->count - kept);
    like->last_ticket = kept;
    return kept > 0;
}

static int finish(const struct load_words *words, const struct load_result *result) {
    load_print(stdout, result);
    if (words->expect_units == 0) return 0;
    uint64_t units = result->created * (uint64_t)words->quantity;
    bool right = units == (uint64_t)words->expect_units && result->queued + result->lost == 0;
    printf("%s: %" PRIu64 " units told sold, %" PRId64 " expected\n", right ? "ok" : "FAIL", units,
           words->expect_units);
    return right ? 0 : 1;
}

static int run(const struct load_words *words) {
    int64_t lots[OPTION_LIST_MAX];
    struct shoppers shoppers = { 0 };
    struct tickets tickets = { 0 };
    struct load_plan plan = {
        .kind = words->path != NULL ? LOAD_get
                : words->refuse     ? LOAD_refuse
                                    : LOAD_buy,
        .base = words->base,
        .path = words->path,
        .quantity = (uint32_t)words->quantity,
        .connections = (unsigned)words->connections,
        .duration_ns = words->seconds * TIMEFMT_NS_PER_S,
        .requests = (uint64_t)words->requests,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
    };
    struct load_result result;
    int exit_code = 2;
    if (words->history != NULL && (plan.history = fopen(words->history, "we")) == NULL) {
        perror(words->history);
        return 2;
    }
    if (plan.kind == LOAD_get) {
        if (load_run(&plan, &result)) exit_code = finish(words, &result);
    } else if (read_lots(&words->lots, lots) && shoppers_load(&shoppers, words->shoppers, 0)) {
        size_t count = words->tickets > 0    ? (size_t)words->tickets
                       : words->requests > 0 ? (size_t)words->requests
                                             : shoppers.count;
        plan.tickets = &tickets;
        plan.last_ticket = count;
        if (tickets_plan(&tickets, &shoppers, lots, words->lots.count, count) &&
            get_tickets(words, &plan, &tickets) && load_run(&plan, &result)) {
            exit_code = finish(words, &result);
        }
    }
    if (plan.history != NULL && fclose(plan.history) != 0) exit_code = 2;
    tickets_fini(&tickets);
    shoppers_fini(&shoppers);
    return exit_code;
}

int load_command(int argc, char **argv) {
    struct load_words words = { .connections = 64, .quantity = 1, .timeout_ms = 10000 };
    const struct option options[] = {
        { "base", OPTION_text, true, &words.base, 0, 0, "Address of the shop, http://host:port." },
        { "path", OPTION_text, false, &words.path, 0, 0, "GET this instead of buying." },
        { "shoppers", OPTION_text, false, &words.shoppers, 0, 0, "File made by doorsim seed." },
        { "lot", OPTION_list, false, &words.lots, 0, 0, "A lot to buy from; may be repeated." },
        { "keys", OPTION_text, false, &words.keys, 0, 0,
          "The server's token keys: sign tickets here instead of asking for them." },
        { "tickets", OPTION_number, false, &words.tickets, 0, 100000000,
          "How many tickets (default: --requests, else one per shopper)." },
        { "sold-out", OPTION_flag, false, &words.refuse, 0, 0,
          "Use the tickets over and over: the lots are sold out." },
        { "quantity", OPTION_number, false, &words.quantity, 1, QUANTITY_MAX, "Units each." },
        { "connections", OPTION_number, false, &words.connections, 1, 60000, "Default 64." },
        { "seconds", OPTION_number, false, &words.seconds, 0, 3600,
          "How long (default: until the tickets are used up)." },
        { "requests", OPTION_number, false, &words.requests, 0, 1000000000, "At most so many." },
        { "timeout-ms", OPTION_number, false, &words.timeout_ms, 1, 600000, "Default 10000." },
        { "expect-units", OPTION_number, false, &words.expect_units, 0, 1000000000,
          "Exit 1 unless exactly so many units are told sold, with every question answered." },
        { "history", OPTION_text, false, &words.history, 0, 0, "Write what was told here." },
        { 0 },
    };
    switch (
        options_read(argc, argv, options, "buys, or fetches a page, as fast as it is answered")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    if (words.path == NULL && (words.shoppers == NULL || words.lots.count == 0)) {
        fprintf(stderr, "doorsim load: --shoppers and --lot, or --path, are required\n");
        return 2;
    }
    if (words.path != NULL && words.seconds == 0 && words.requests == 0) words.requests = 100000;
    return run(&words);
}
