/* The rules that need no history: what PostgreSQL says must agree with itself. */
#include "tools/doorsim/judge.h"

#include <inttypes.h>
#include <stdlib.h>

static int64_t distance(int64_t a, int64_t b) {
    return a > b ? a - b : b - a;
}

/* Violations that are counted in units. */
static void note_units(struct verdict *verdict, enum rule rule, int64_t units, int64_t lot,
                       int64_t found, int64_t expected) {
    if (units <= 0) return;
    verdict_note(verdict, rule, "lot %" PRId64 ": %" PRId64 " instead of %" PRId64, lot, found,
                 expected);
    verdict->findings[rule].count += (uint64_t)units - 1;
}

static void judge_lot(const struct fact_lot *lot, int64_t held, struct verdict *verdict) {
    verdict->lots++;
    verdict->allocated += lot->allocated;
    verdict->held += held;
    if (held < lot->allocated) verdict->unsold += lot->allocated - held;
    note_units(verdict, RULE_oversold, held - lot->allocated, lot->lot, held, lot->allocated);
    note_units(verdict, RULE_miscounted, distance(lot->sold, held), lot->lot, lot->sold, held);
    if (lot->has_movements) {
        note_units(verdict, RULE_movements, distance(lot->sold, lot->moved_sold), lot->lot,
                   lot->moved_sold, lot->sold);
        note_units(verdict, RULE_movements, distance(lot->allocated, lot->moved_allocated),
                   lot->lot, lot->moved_allocated, lot->allocated);
    }
}

static void judge_lots(const struct facts *facts, struct verdict *verdict) {
    int64_t *held = calloc(facts->lot_count + 1, sizeof *held);
    if (held == NULL) abort(); /* A judge that cannot count says nothing. */
    for (size_t i = 0; i < facts->order_count; i++) {
        const struct fact_order *order = &facts->orders[i];
        const struct fact_lot *lot = facts_lot(facts, order->lot);
        if (lot != NULL && state_holds(order->state)) held[lot - facts->lots] += order->quantity;
    }
    for (size_t i = 0; i < facts->lot_count; i++) {
        judge_lot(&facts->lots[i], held[i], verdict);
    }
    free(held);
}

static void judge_order(const struct fact_order *order, const struct judge_options *options,
                        struct verdict *verdict) {
    int64_t kept = order->captured - order->refunded;
    verdict->orders++;
    if (!state_holds(order->state)) verdict->returned++;
    bool paid = order->state == order_state_paid || order->state == order_state_shipped ||
                order->state == order_state_completed;
    if (paid) verdict->paid += order->quantity;
    int64_t due = paid ? order->amount : 0;
    /* Money to give back may still be on its way, but the order to send it must be there. */
    if (kept == due || kept - order->refund_due == due) return;
    /* When it is looked at again was said by a clock that has gone back since. */
    if (options->clocks_apart && kept == order->amount) return;
    verdict_note(verdict, RULE_charge,
                 "order %" PRId64 " is %s: captured %" PRId64 ", refunded %" PRId64
                 ", amount %" PRId64,
                 order->order, state_name(KIND_order_state, order->state), order->captured,
                 order->refunded, order->amount);
}

static int by_rid(const void *a, const void *b) {
    const struct fact_order *const *left = a, *const *right = b;
    return ((*left)->rid > (*right)->rid) - ((*left)->rid < (*right)->rid);
}

static int by_holder(const void *a, const void *b) {
    const struct fact_order *const *left = a, *const *right = b;
    if ((*left)->lot != (*right)->lot) return (*left)->lot < (*right)->lot ? -1 : 1;
    return ((*left)->user > (*right)->user) - ((*left)->user < (*right)->user);
}

static void judge_doubles(const struct facts *facts, const struct fact_order **order,
                          struct verdict *verdict) {
    for (size_t i = 1; i < facts->order_count; i++) {
        if (facts->orders[i - 1].order != facts->orders[i].order) continue;
        verdict_note(verdict, RULE_double_orders, "order %" PRId64 " appears twice",
                     facts->orders[i].order);
    }
    qsort(order, facts->order_count, sizeof *order, by_rid);
    for (size_t i = 1; i < facts->order_count; i++) {
        if (order[i]->rid == 0 || order[i - 1]->rid != order[i]->rid) continue;
        verdict_note(verdict, RULE_double_orders,
                     "orders %" PRId64 " and %" PRId64 " have one reservation", order[i - 1]->order,
                     order[i]->order);
    }
}

static void judge_limits(const struct facts *facts, const struct fact_order **order,
                         struct verdict *verdict) {
    qsort(order, facts->order_count, sizeof *order, by_holder);
    for (size_t i = 0, next; i < facts->order_count; i = next) {
        int64_t held = 0;
        for (next = i; next < facts->order_count && by_holder(&order[i], &order[next]) == 0;
             next++) {
            if (state_holds(order[next]->state)) held += order[next]->quantity;
        }
        const struct fact_lot *lot = facts_lot(facts, order[i]->lot);
        if (lot == NULL || lot->per_buyer_limit <= 0 || held <= lot->per_buyer_limit) continue;
        verdict_note(verdict, RULE_limit,
                     "user %" PRId64 " holds %" PRId64 " of lot %" PRId64 ", limit %" PRId64,
                     order[i]->user, held, lot->lot, lot->per_buyer_limit);
    }
}

void judge_tables(const struct facts *facts, const struct judge_options *options,
                  struct verdict *verdict) {
    judge_lots(facts, verdict);
    for (size_t i = 0; i < facts->order_count; i++) {
        judge_order(&facts->orders[i], options, verdict);
    }
    if (facts->order_count > 0) {
        const struct fact_order **order = calloc(facts->order_count, sizeof *order);
        if (order == NULL) abort();
        for (size_t i = 0; i < facts->order_count; i++) {
            order[i] = &facts->orders[i];
        }
        judge_doubles(facts, order, verdict);
        judge_limits(facts, order, verdict);
        free(order);
    }
    for (size_t i = 0; i < facts->check_count; i++) {
        const struct fact_check *check = &facts->checks[i];
        if (check->count == 0) continue;
        verdict_note(verdict, (enum rule)check->rule, "%s", check->first);
        verdict->findings[check->rule].count += (uint64_t)check->count - 1;
    }
    for (size_t i = 0; i < facts->sum_count; i++) {
        if (facts->sums[i].sum == 0) continue;
        verdict_note(verdict, RULE_ledger, "%s sums to %" PRId64, facts->sums[i].name,
                     facts->sums[i].sum);
    }
}
