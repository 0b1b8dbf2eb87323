/* doorsim load with arrivals of their own: plan, run, account, JSON and page. */
#include "schema/timefmt.h"
#include "tools/doorsim/account.h"
#include "tools/doorsim/load_words.h"
#include "tools/doorsim/open_json.h"
#include "tools/doorsim/report.h"

#include <stdlib.h>
#include <string.h>

bool load_is_open(const struct load_words *words) {
    return words->rate > 0 || words->at_once > 0 || words->arrivals != NULL;
}

static bool read_curve(const struct load_words *words, struct arrivals *arrivals) {
    static const char *const names[] = { "constant", "poisson", "ramp", "file" };
    struct arrivals_wish wish = {
        .curve = words->arrivals != NULL ? CURVE_file : CURVE_constant,
        .rate = (double)words->rate,
        .from_rate = (double)words->from_rate,
        .at_once = (uint64_t)words->at_once,
        .duration_ns = words->seconds * TIMEFMT_NS_PER_S,
        .seed = (uint64_t)words->seed,
        .path = words->arrivals,
    };
    for (int i = 0; words->curve != NULL && words->arrivals == NULL; i++) {
        if (i == CURVE_file) {
            fprintf(stderr, "doorsim load: --curve is constant, poisson or ramp\n");
            return false;
        }
        wish.curve = (enum curve)i;
        if (strcmp(words->curve, names[i]) == 0) break;
    }
    if (wish.duration_ns == 0 && words->arrivals == NULL) wish.duration_ns = TIMEFMT_NS_PER_S;
    return arrivals_init(arrivals, &wish);
}

static bool read_people(const struct load_words *words, unsigned percent[PEOPLES]) {
    int64_t others = words->clicking + words->retrying + words->leaving + words->bots;
    if (others > 100) {
        fprintf(stderr, "doorsim load: the percentages are above 100 together\n");
        return false;
    }
    percent[PEOPLE_honest] = (unsigned)(100 - others);
    percent[PEOPLE_clicking] = (unsigned)words->clicking;
    percent[PEOPLE_retrying] = (unsigned)words->retrying;
    percent[PEOPLE_leaving] = (unsigned)words->leaving;
    percent[PEOPLE_bot] = (unsigned)words->bots;
    return true;
}

static struct open_plan plan_of(const struct load_words *words, const char *metrics) {
    return (struct open_plan){
        .kind = words->path != NULL  ? LOAD_get
                : words->ask_tickets ? LOAD_ticket
                                     : LOAD_buy,
        .base = words->base,
        .path = words->path,
        .etag = words->etag,
        .metrics = metrics,
        .bot_tickets = words->bots > 0 ? (size_t)words->bot_tickets : 0,
        .quantity = (uint32_t)words->quantity,
        .connections = (unsigned)words->connections,
        .bot_connections = 4 * (unsigned)words->bot_addresses,
        .bot_addresses = (unsigned)words->bot_addresses,
        .bot_requests = (unsigned)words->bot_requests,
        .tries_max = (unsigned)words->tries,
        .patience_ns = words->patience_ms * TIMEFMT_NS_PER_MS,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
        .late_max_ns = words->late_max_ms * TIMEFMT_NS_PER_MS,
        .seed = (uint64_t)words->seed,
        .progress = words->quiet ? NULL : stdout,
    };
}

/* 0 when the run was good and the account is right. */
static int finish(const struct load_words *words, const struct open_plan *plan,
                  const struct open_result *result, struct account *account) {
    open_print(stdout, result);
    if (!account_end(account, result->told_yes, result->may_be, words->history)) return 2;
    account_print(stdout, account);
    json_t *json = open_json(plan, result, words->command);
    bool good = json_object_set_new(json, "account", account_json(account)) == 0;
    if (words->json != NULL) good = json_save(json, words->json) && good;
    if (words->report != NULL) good = report_write(json, words->report) && good;
    json_decref(json);
    if (!good) return 2;
    return account->good && result->fault_count == 0 ? 0 : 1;
}

int load_open(const struct load_words *words) {
    struct open_result *result = calloc(1, sizeof *result);
    struct load_stage *stage = calloc(1, sizeof *stage);
    struct account *account = calloc(1, sizeof *account);
    struct arrivals arrivals = { 0 };
    char metrics[300];
    (void)snprintf(metrics, sizeof metrics, "%s/metrics", words->base);
    struct open_plan plan = plan_of(words, words->metrics != NULL ? words->metrics : metrics);
    int exit_code = 2;
    bool good = result != NULL && stage != NULL && account != NULL &&
                read_people(words, plan.percent) && read_curve(words, &arrivals);
    if (good) {
        size_t count = (size_t)arrivals_most(&arrivals) + plan.bot_tickets;
        /* Tickets for tickets are used again, one for each shopper is enough. */
        good = load_stage_set(stage, words, plan.kind == LOAD_ticket ? 0 : count);
        plan.tickets = &stage->tickets;
        plan.arrivals = &arrivals;
        plan.history = stage->history;
        if (good && plan.kind == LOAD_buy && stage->tickets.count < count)
            printf("%zu tickets for %zu arrivals: the last get none\n", stage->tickets.count,
                   count);
    }
    bool buys = plan.kind == LOAD_buy;
    good = good && account_begin(account, buys ? words->dsn : NULL, stage->lots, words->lots.count);
    if (good && open_run(&plan, result)) {
        exit_code = load_stage_close_history(stage) ? finish(words, &plan, result, account) : 2;
    }
    if (stage != NULL) load_stage_fini(stage);
    if (result != NULL) open_result_fini(result);
    arrivals_fini(&arrivals);
    free(result);
    free(stage);
    free(account);
    return exit_code;
}
