/* Figures of the closed loop over HTTP. */
#include "schema/timefmt.h"
#include "tools/doorsim/bench/bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICKETS_PER_S = 150000, /* More than any machine sells. */
    TICKETS_TO_ASK_PER_S = 60000,
    LOGIN_CONNECTIONS = 4, /* As many as wait for the one hashing thread without being refused. */
    REFUSED_TICKETS = 50000,
};

static struct load_plan plan_of(const struct bench *self, enum load_kind kind) {
    const struct bench_words *words = self->words;
    return (struct load_plan){
        .kind = kind,
        .base = words->base,
        .quantity = 1,
        .connections = (unsigned)words->connections,
        .duration_ns = words->round_ms * TIMEFMT_NS_PER_MS,
        .warmup_ns = words->warmup_ms * TIMEFMT_NS_PER_MS,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
    };
}

/* Runs and books answers of the kind that is meant; others are noted. */
static bool round_of(struct bench *self, enum figure figure, const struct load_plan *plan,
                     enum tally meant) {
    struct load_result *result = self->result;
    if (!load_run(plan, result)) return false;
    uint64_t counted = result->count[meant];
    book_add(&self->book, figure, result->seconds > 0 ? (double)counted / result->seconds : 0);
    if (counted < result->requests || counted == 0) {
        book_note(&self->book, "%s: %" PRIu64 " of %" PRIu64 " answers were others",
                  figure_name(figure), result->requests - counted, result->requests);
        self->wrong = true;
        printf("  %s: ", figure_name(figure));
        load_print(stdout, result);
    }
    if (result->cores > 0.98) {
        book_note(&self->book, "%s: the generator itself was at the end of its one core",
                  figure_name(figure));
    }
    return true;
}

static size_t tickets_for_round(const struct bench *self, size_t per_s) {
    return (size_t)((self->words->round_ms + self->words->warmup_ms) * (int64_t)per_s / 1000) +
           (size_t)self->words->connections;
}

bool bench_buy(struct bench *self, enum figure figure, unsigned lot_count) {
    struct load_plan plan = plan_of(self, LOAD_buy);
    struct tickets tickets = { 0 };
    struct expense expense;
    size_t per_s = self->best > 0 ? (size_t)(self->best * 2) : TICKETS_PER_S / 2;
    if (!bench_tickets(self, &tickets, lot_count, tickets_for_round(self, per_s))) return false;
    plan.tickets = &tickets;
    plan.last_ticket = tickets.count;
    bool costs = figure == FIGURE_purchases;
    if (costs) expense_begin(self, &expense);
    bool good = round_of(self, figure, &plan, TALLY_created);
    self->told_yes += self->result->yes_all;
    self->may_be += self->result->open_all;
    if (costs) {
        /* Warm-up included on both sides. */
        double seconds =
            self->result->seconds + (double)(self->words->warmup_ms * TIMEFMT_NS_PER_MS) / 1e9;
        expense_end(self, &expense, self->result->yes_all, seconds);
        self->best = book_median(&self->book, FIGURE_purchases);
    }
    if (good && self->result->next_ticket == tickets.count) {
        book_note(&self->book, "%s: a round ended early: its tickets were used up",
                  figure_name(figure));
    }
    tickets_fini(&tickets);
    return good;
}

static bool refuse(struct bench *self) {
    struct load_plan plan = plan_of(self, LOAD_refuse);
    struct tickets tickets = { 0 };
    /* The same shoppers again and again: nobody gets anything. */
    size_t at = self->next_shopper;
    int64_t lot = self->lots[0];
    uint32_t shard = self->shards[0];
    self->lots[0] = self->words->empty_lot;
    self->shards[0] = self->empty_shard;
    bool good = bench_tickets(self, &tickets, 1, REFUSED_TICKETS);
    self->lots[0] = lot;
    self->shards[0] = shard;
    self->next_shopper = at;
    plan.tickets = &tickets;
    plan.last_ticket = tickets.count;
    good = good && round_of(self, FIGURE_sold_out, &plan, TALLY_sold_out);
    tickets_fini(&tickets);
    return good;
}

static bool get(struct bench *self, enum figure figure, const char *base, const char *path,
                const char *etag) {
    struct load_plan plan = plan_of(self, LOAD_get);
    plan.base = base;
    plan.path = path;
    plan.etag = etag;
    return round_of(self, figure, &plan, TALLY_ok);
}

/* With tickets planned, but not signed. */
static bool ask(struct bench *self, enum figure figure, enum load_kind kind, unsigned connections) {
    struct load_plan plan = plan_of(self, kind);
    struct tickets tickets = { 0 };
    size_t count = tickets_for_round(self, TICKETS_TO_ASK_PER_S);
    bool good = tickets_plan(&tickets, &self->shoppers, self->lots, 1, count);
    for (size_t i = 0; i < tickets.count; i++) {
        size_t shopper = (self->next_shopper + i) % self->shoppers.count;
        tickets.list[i].shopper = &self->shoppers.list[shopper];
    }
    plan.tickets = &tickets;
    plan.last_ticket = tickets.count;
    plan.password = "open at eight";
    /* A password takes as long as a hundred purchases: a short round would see none. */
    if (kind == LOAD_login && plan.duration_ns < TIMEFMT_NS_PER_S)
        plan.duration_ns = TIMEFMT_NS_PER_S;
    plan.connections = connections;
    good = good && round_of(self, figure, &plan, TALLY_ok);
    tickets_fini(&tickets);
    return good;
}

bool bench_http(struct bench *self) {
    const struct bench_words *words = self->words;
    bool good = true;
    if (words->nginx != NULL && bench_wants(self, "nginx"))
        good = get(self, FIGURE_nginx, words->nginx, "/", NULL);
    if (good && words->nothing != NULL && bench_wants(self, "nothing"))
        good = get(self, FIGURE_nothing, words->base, words->nothing, NULL);
    /* Beside what they are compared with: half a million purchases leave the stores to clear up. */
    if (good && words->page != NULL && bench_wants(self, "page"))
        good = get(self, FIGURE_sale_page, words->base, words->page, NULL) &&
               get(self, FIGURE_sale_page_304, words->base, words->page, self->etag);
    if (good && self->lot_count > 0 && bench_wants(self, "tickets"))
        good = ask(self, FIGURE_tickets, LOAD_ticket, (unsigned)words->connections);
    if (good && words->empty_lot > 0 && bench_wants(self, "sold_out")) good = refuse(self);
    if (good && self->lot_count > 0 && bench_wants(self, "purchases"))
        good = bench_buy(self, FIGURE_purchases, 1);
    if (good && self->lot_count > 1 && bench_wants(self, "lots"))
        good = bench_buy(self, FIGURE_purchases_64_lots, self->lot_count);
    if (good && self->lot_count > 0 && bench_wants(self, "logins"))
        good = ask(self, FIGURE_logins, LOAD_login, LOGIN_CONNECTIONS);
    return good;
}
