/* All checkers, and what they share. */
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* check_race first: it brings what is remembered of orders up to date. */
static const struct checker *const checkers[] = {
    &check_race,       &check_oversell,  &check_kept,          &check_once,   &check_limit,
    &check_money,      &check_fence,     &check_contradiction, &check_outbox, &check_fairness,
    &check_own_writes, &check_two_sided, &check_right_answer,  &check_shards,
};
enum { CHECKERS = sizeof checkers / sizeof *checkers };

void checks_open(struct world *self) {
    self->checks = calloc(1, sizeof *self->checks);
    if (self->checks == NULL) abort();
}

void checks_close(struct world *self) {
    if (self->checks == NULL) return;
    free(self->checks->shadows);
    free(self->checks->changed);
    free(self->checks->of_buyer);
    free(self->checks->mailed);
    free(self->checks);
}

void checks_lot(struct world *self, const struct pg_lot *lot) {
    struct lot_facts *facts = &self->checks->facts[lot - self->pg->lots];
    *facts = (struct lot_facts){ .known = true, .doubt_at = self->now };
}

void check_forget(struct checks *checks) {
    checks->shadow_count = checks->changed_count = 0;
    checks->order_changes++;
    memset(checks->sums, 0, sizeof checks->sums);
    if (checks->buyers_room == 0) return;
    memset(checks->of_buyer, 0, checks->buyers_room * sizeof *checks->of_buyer);
}

struct shadow *check_shadow(struct world *self, int64_t order_id) {
    const struct pg_order *order = model_pg_order(self->pg, order_id);
    if (order == NULL) return NULL;
    uint32_t at = (uint32_t)(order - self->pg->orders);
    return at < self->checks->shadow_count ? &self->checks->shadows[at] : NULL;
}

struct lot_facts *check_facts(struct world *self, int64_t lot_id) {
    struct pg_lot *lot = model_pg_lot(self->pg, lot_id);
    if (lot == NULL) return NULL;
    struct lot_facts *facts = &self->checks->facts[lot - self->pg->lots];
    if (!facts->known) checks_lot(self, lot);
    return facts;
}

/* News may be under way as long as the faults of this run can hold messages up, twice over (to the
 * one who tells and from there on), and what is lost is looked for once a second; a clock that was
 * set back lets a hint live twice as long. */
int64_t check_grace(const struct world *self) {
    int64_t latest = 3 * swarm_latest(&self->swarm);
    bool over = self->healed && self->now > self->healed_at + latest + 2 * SIM_SECOND;
    int64_t grace = SIM_SECOND;
    if (swarm_has(&self->swarm, FAULT_clock)) grace += SIM_SECOND;
    return over ? grace : grace + latest + 3 * SIM_SECOND;
}

void check_commit(struct world *self) {
    for (uint32_t i = 0; i < CHECKERS && !self->failure.is; i++)
        if (checkers[i]->on_commit != NULL) checkers[i]->on_commit(self);
}

void check_answer(struct world *self, struct request *request, const struct message *in) {
    struct ticket *ticket = &self->tickets[request->ticket];
    for (uint32_t i = 0; i < CHECKERS && !self->failure.is; i++)
        if (checkers[i]->on_answer != NULL) checkers[i]->on_answer(self, request, ticket, in);
}

void check_end(struct world *self) {
    for (uint32_t i = 0; i < CHECKERS && !self->failure.is; i++)
        if (checkers[i]->at_quiet != NULL) checkers[i]->at_quiet(self);
}

/* Every unit is sold, or back in general stock. */
void check_settled(struct world *self) {
    check_end(self);
    for (uint32_t i = 0; i < self->pg->stock_count && !self->failure.is; i++) {
        const struct pg_stock *stock = &self->pg->stocks[i];
        int64_t sold = 0;
        for (uint32_t k = 0; k < self->pg->lot_count; k++) {
            const struct pg_lot *lot = &self->pg->lots[k];
            if (lot->sku_id == stock->sku_id) sold += lot->sold;
        }
        if (sold + stock->on_hand == stock->received) continue;
        world_fail(self, "undersold", 0,
                   "of %" PRId64 " units of SKU %" PRId64 ", %" PRId64 " are sold and %" PRId64
                   " are back in general stock",
                   stock->received, stock->sku_id, sold, stock->on_hand);
    }
}

/* Answers of before the failover may still be on their way: what was true then stays known.  And an
 * order that late money has paid again is still that one. */
static void remember_states(struct world *self, const struct shadow *before, uint32_t count) {
    for (uint32_t i = 0; i < self->checks->shadow_count && i < count; i++) {
        struct shadow *shadow = &self->checks->shadows[i];
        if (shadow->order_id != before[i].order_id) continue;
        memcpy(shadow->left, before[i].left, sizeof shadow->left);
        shadow->late = before[i].late && before[i].rid == shadow->rid;
        if (shadow->state != before[i].state) shadow->left[before[i].state] = self->now;
    }
}

void check_failover(struct world *self) {
    struct checks *checks = self->checks;
    struct shadow *before = calloc(checks->shadow_count + 1, sizeof *before);
    uint32_t count = checks->shadow_count;
    if (before == NULL) abort();
    if (count > 0) memcpy(before, checks->shadows, count * sizeof *before);
    for (uint32_t i = 0; i < self->ticket_count; i++) {
        struct ticket *ticket = &self->tickets[i];
        const struct pg_order *order = model_pg_order(self->pg, ticket->order_id);
        uint32_t at = order != NULL ? (uint32_t)(order - self->pg->orders) : UINT32_MAX;
        bool same = at < checks->shadow_count && checks->shadows[at].state == order->state &&
                    checks->shadows[at].rid == order->rid;
        if (!same) ticket->excused = true; /* Also who was refused or told void: that is gone. */
    }
    check_forget(checks);
    checks->refusals_seen = self->pg->refusal_count;
    checks->refusals_once = 0;
    checks->orders_judged = self->pg->order_count;
    checks->placed = checks->refusals_placed = 0;
    checks->refunds_seen = self->pg->refund_count;
    memset(checks->last_decided, 0, sizeof checks->last_decided);
    check_race.on_commit(self);
    remember_states(self, before, count);
    for (uint32_t i = 0; i < CHECKERS && !self->failure.is; i++) /* Of all that have just come. */
        if (checkers[i]->on_commit != NULL && checkers[i] != &check_race)
            checkers[i]->on_commit(self);
    free(before);
}
