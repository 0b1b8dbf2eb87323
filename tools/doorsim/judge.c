#include "tools/doorsim/judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *promise, *doc;
} rules[RULE_COUNT] = {
#define RULE(name, promise, doc) { #name, promise, doc },
#include "tools/doorsim/rules.def"
#undef RULE
};

const char *rule_name(enum rule rule) {
    return rules[rule].name;
}
const char *rule_promise(enum rule rule) {
    return rules[rule].promise;
}
const char *rule_doc(enum rule rule) {
    return rules[rule].doc;
}

#define BIT(state) (1U << order_state_##state)

/* From each kept state, all states that may follow it, now or later.
 *
 *   awaiting_payment -> paying -> paid -> shipped -> completed
 *   awaiting_payment | paying -> cancelled | expired
 *   paid -> refund_pending -> refunded          (paid -> cancelled is forbidden)
 *   expired -> paid                             late money that got a unit again */
enum {
    AFTER_PAID = BIT(paid) | BIT(shipped) | BIT(completed) | BIT(refund_pending) | BIT(refunded),
    AFTER_EXPIRED = BIT(expired) | AFTER_PAID,
    AFTER_PAYING = BIT(paying) | BIT(cancelled) | AFTER_EXPIRED,
};

static const unsigned reachable[] = {
    [order_state_awaiting_payment] = BIT(awaiting_payment) | AFTER_PAYING,
    /* A payment that failed leaves the order where it was before. */
    [order_state_paying] = BIT(awaiting_payment) | AFTER_PAYING,
    [order_state_paid] = AFTER_PAID,
    [order_state_shipped] = BIT(shipped) | BIT(completed) | BIT(refund_pending) | BIT(refunded),
    [order_state_completed] = BIT(completed) | BIT(refund_pending) | BIT(refunded),
    [order_state_cancelled] = BIT(cancelled),
    [order_state_expired] = AFTER_EXPIRED,
    [order_state_refund_pending] = BIT(refund_pending) | BIT(refunded),
    [order_state_refunded] = BIT(refunded),
};

bool state_reaches(enum order_state from, enum order_state to) {
    if ((size_t)from >= sizeof reachable / sizeof reachable[0]) return false;
    return (reachable[from] >> to & 1) != 0;
}

bool state_holds(enum order_state state) {
    return state == order_state_awaiting_payment || state == order_state_paying ||
           state == order_state_paid || state == order_state_shipped ||
           state == order_state_completed || state == order_state_refund_pending;
}

void verdict_note(struct verdict *self, enum rule rule, const char *format, ...) {
    struct finding *finding = &self->findings[rule];
    if (finding->count++ > 0) return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->first, sizeof finding->first, format, args);
    va_end(args);
}

bool verdict_exact(const struct verdict *verdict) {
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        if (verdict->findings[i].count != 0) return false;
    }
    return true;
}

void verdict_print(FILE *to, const struct verdict *verdict) {
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        const struct finding *finding = &verdict->findings[i];
        fprintf(to, "%-4s %-3s %-14s %6" PRIu64 "  %s\n", finding->count == 0 ? "ok" : "FAIL",
                rules[i].promise, rules[i].name, finding->count, rules[i].doc);
        if (finding->count > 0) fprintf(to, "         first: %s\n", finding->first);
    }
    fprintf(to,
            "judged: %" PRId64 " lots, %" PRId64 " units, %" PRId64 " held (%" PRId64
            " paid), %" PRId64 " unsold; %" PRId64 " orders, %" PRId64
            " of them returned their units\n",
            verdict->lots, verdict->allocated, verdict->held, verdict->paid, verdict->unsold,
            verdict->orders, verdict->returned);
    fprintf(to,
            "heard: %" PRIu64 " questions, %" PRIu64 " tickets used: %" PRIu64 " told yes, %" PRIu64
            " told no, %" PRIu64 " without a final answer\n",
            verdict->questions, verdict->tickets_used, verdict->yes, verdict->no, verdict->open);
    fprintf(to, "%s\n", verdict_exact(verdict) ? "exact" : "NOT EXACT");
}

bool verdict_expect_held(FILE *to, const struct verdict *verdict, int64_t units) {
    if (units < 0) return true;
    bool right = verdict->held == units;
    fprintf(to, "%-4s %" PRId64 " units held, %" PRId64 " expected\n", right ? "ok" : "FAIL",
            verdict->held, units);
    return right;
}

bool verdict_expect_sold(FILE *to, const struct verdict *verdict) {
    bool right = verdict->no == 0 || verdict->unsold == 0;
    fprintf(to, "%-4s %" PRIu64 " buyers without a unit, %" PRId64 " units without a buyer\n",
            right ? "ok" : "FAIL", verdict->no, verdict->unsold);
    return right;
}

void facts_fini(struct facts *self) {
    free(self->lots);
    free(self->orders);
    free(self->sums);
    free(self->checks);
    *self = (struct facts){ 0 };
}

static int by_order(const void *a, const void *b) {
    const struct fact_order *left = a, *right = b;
    return (left->order > right->order) - (left->order < right->order);
}

static int by_lot(const void *a, const void *b) {
    const struct fact_lot *left = a, *right = b;
    return (left->lot > right->lot) - (left->lot < right->lot);
}

const struct fact_order *facts_order(const struct facts *facts, int64_t order) {
    struct fact_order key = { .order = order };
    if (facts->order_count == 0) return NULL;
    return bsearch(&key, facts->orders, facts->order_count, sizeof key, by_order);
}

const struct fact_lot *facts_lot(const struct facts *facts, int64_t lot) {
    struct fact_lot key = { .lot = lot };
    if (facts->lot_count == 0) return NULL;
    return bsearch(&key, facts->lots, facts->lot_count, sizeof key, by_lot);
}

bool judge(const struct history *history, struct facts *facts, const struct judge_options *options,
           struct verdict *verdict) {
    memset(verdict, 0, sizeof *verdict);
    if (facts->order_count > 0) {
        qsort(facts->orders, facts->order_count, sizeof *facts->orders, by_order);
    }
    if (facts->lot_count > 0) qsort(facts->lots, facts->lot_count, sizeof *facts->lots, by_lot);
    judge_tables(facts, options, verdict);
    return judge_stories(history, facts, options, verdict);
}
