#include "tools/doorsim/account.h"

#include "schema/timefmt.h"

#include <inttypes.h>

enum { GRACE_MS = 1000, SETTLE_MS = 10000 };

static bool count_orders(const struct account *self, int64_t *count) {
    *count = 0;
    for (unsigned i = 0; i < self->lot_count; i++) {
        int64_t of_lot;
        if (!facts_count_orders(self->dsn, self->lots[i], &of_lot)) return false;
        *count += of_lot;
    }
    return true;
}

bool account_begin(struct account *self, const char *dsn, const int64_t *lots, unsigned lot_count) {
    *self = (struct account){ .dsn = dsn, .lots = lots, .lot_count = lot_count, .good = true };
    return dsn == NULL || lot_count == 0 || count_orders(self, &self->before);
}

static bool pronounce(struct account *self, const char *path) {
    struct history history = { 0 };
    struct facts facts = { 0 };
    const struct judge_words words = {
        .dsn = self->dsn,
        .lots = self->lots,
        .lot_count = self->lot_count,
        .settle_ns = SETTLE_MS * TIMEFMT_NS_PER_MS,
        /* A load stops asking when its time is over. */
        .options = { .grace_ns = GRACE_MS * TIMEFMT_NS_PER_MS,
                     .allow_open = true,
                     .allow_others = self->before > 0 },
    };
    bool done = history_load(&history, path) && judge_now(&history, &words, &facts, &self->verdict);
    facts_fini(&facts);
    history_fini(&history);
    return done;
}

bool account_end(struct account *self, uint64_t told_yes, uint64_t may_be, const char *history) {
    self->told_yes = told_yes;
    self->may_be = may_be;
    if (self->dsn == NULL || self->lot_count == 0) return true;
    if (!count_orders(self, &self->after)) return false;
    uint64_t made = (uint64_t)(self->after - self->before);
    self->counted = true;
    self->good = made >= told_yes && made <= told_yes + may_be;
    if (history == NULL) return true;
    if (!pronounce(self, history)) return false;
    self->judged = true;
    self->good = self->good && verdict_exact(&self->verdict);
    return true;
}

void account_print(FILE *to, const struct account *self) {
    if (!self->counted) return;
    fprintf(to, "%s: %" PRIu64 " purchases told 201, %" PRId64 " orders in PostgreSQL",
            self->good ? "ok" : "FAIL", self->told_yes, self->after - self->before);
    if (self->may_be > 0) fprintf(to, " (%" PRIu64 " purchases without an answer)", self->may_be);
    fprintf(to, "\n");
    if (self->judged) verdict_print(to, &self->verdict);
}

json_t *account_json(const struct account *self) {
    if (!self->counted) return json_null();
    json_t *rules = json_object();
    for (unsigned i = 0; self->judged && i < RULE_COUNT; i++) {
        const struct finding *finding = &self->verdict.findings[i];
        char name[64];
        (void)snprintf(name, sizeof name, "%s %s", rule_promise((enum rule)i),
                       rule_name((enum rule)i));
        json_object_set_new(rules, name,
                            finding->count == 0
                                ? json_string("kept")
                                : json_sprintf("broken %" PRIu64 " times, first: %s",
                                               finding->count, finding->first));
    }
    return json_pack("{s:b, s:I, s:I, s:I, s:b, s:o}", "good", self->good, "told_yes",
                     (json_int_t)self->told_yes, "without_answer", (json_int_t)self->may_be,
                     "orders", (json_int_t)(self->after - self->before), "judged", self->judged,
                     "promises", rules);
}
