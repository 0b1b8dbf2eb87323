/* The rules that need histories: what one buyer was told about one order, beside what SQL has. */
#include "tools/doorsim/judge_attempts.h"
#include "tools/doorsim/judge_timeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* All attempts with one ticket, in the order they were made. */
struct story {
    const struct attempt *attempts;
    size_t count;
    const struct fact_order *fact; /* NULL: not in PostgreSQL. */
    const struct facts *facts;
    const struct timelines *timelines;
    int64_t grace;
    bool clocks_apart;
};

static const struct attempt *first_yes(const struct story *story) {
    const struct attempt *found = NULL;
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *one = &story->attempts[i];
        if (one->claim != CLAIM_yes) continue;
        if (found == NULL || one->answered_at < found->answered_at) found = one;
    }
    return found;
}

/* Could what the refusal says have changed while both purchases were open? */
static bool could_change(const struct story *story, const struct attempt *no,
                         const struct attempt *other) {
    if (strcmp(no->code, "sold_out") == 0) {
        /* A unit that PostgreSQL has taken back is offered again within `grace`. */
        return timelines_returned(story->timelines, no->lot, no->asked_at - story->grace,
                                  other->answered_at);
    }
    if (strcmp(no->code, "limit_reached") == 0) {
        for (size_t i = 0; i < story->facts->order_count; i++) {
            const struct fact_order *fact = &story->facts->orders[i];
            if (fact->user == no->user && fact->lot == no->lot && fact->order != no->order &&
                fact->returned_at >= no->asked_at - story->grace) {
                return true;
            }
        }
        return false;
    }
    /* Time only goes one way. */
    return strcmp(no->code, "ticket_expired") != 0 && strcmp(no->code, "sale_closed") != 0;
}

/* A purchase that may have become the order although `no` was said: put later, or still open then.
 */
static bool was_enabled(const struct story *story, const struct attempt *no) {
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *other = &story->attempts[i];
        if (other == no || !attempt_buys(other) || other->answered_at <= no->asked_at) continue;
        bool unknown = other->answered_at == INT64_MAX;
        if (!unknown && other->claim != CLAIM_yes && other->claim != CLAIM_pending) continue;
        bool beside = other->asked_at < no->answered_at;
        if (!beside || unknown || story->clocks_apart || could_change(story, no, other))
            return true;
    }
    return false;
}

static void judge_contradiction(const struct story *story, const struct attempt *yes,
                                struct verdict *verdict) {
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *no = &story->attempts[i];
        if (no->claim != CLAIM_no && no->claim != CLAIM_absent) continue;
        bool after_yes = yes != NULL && yes->answered_at <= no->asked_at;
        bool held = !story->clocks_apart && no->claim == CLAIM_no && story->fact != NULL &&
                    story->fact->created_at < no->asked_at;
        bool has_order = no->claim == CLAIM_no && (yes != NULL || story->fact != NULL);
        if (!after_yes && !held && (!has_order || was_enabled(story, no))) continue;
        verdict_note(verdict, RULE_contradiction,
                     "user %" PRId64 ", order %" PRId64 ": %s refused (%s) %s", no->user, no->order,
                     history_kind_name(no->kind), *no->code == '\0' ? "no code" : no->code,
                     after_yes     ? "after it was told yes"
                     : held        ? "while PostgreSQL had the order"
                     : yes != NULL ? "and told yes for the same attempt"
                                   : "and yet PostgreSQL has the order");
        return; /* Buyers are counted, not answers. */
    }
}

static void judge_backwards(const struct story *story, struct verdict *verdict) {
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *one = &story->attempts[i];
        if (one->claim != CLAIM_yes || one->state == order_state_none) continue;
        enum order_state bad = order_state_none;
        for (size_t j = i + 1; j < story->count && bad == order_state_none; j++) {
            const struct attempt *later = &story->attempts[j];
            if (later->claim != CLAIM_yes || later->state == order_state_none) continue;
            if (later->asked_at < one->answered_at) continue;
            if (!state_reaches(one->state, later->state)) bad = later->state;
        }
        if (bad == order_state_none && story->fact != NULL &&
            !state_reaches(one->state, story->fact->state)) {
            bad = story->fact->state;
        }
        if (bad == order_state_none) continue;
        verdict_note(verdict, RULE_backwards, "order %" PRId64 ": %s, then %s", one->order,
                     state_name(KIND_order_state, one->state), state_name(KIND_order_state, bad));
        return;
    }
}

/* A purchase without a final answer: put after the last "no", and never answered for good. */
static bool is_open(const struct story *story) {
    int64_t last_no = INT64_MIN;
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *one = &story->attempts[i];
        if (one->claim == CLAIM_no && one->asked_at > last_no) last_no = one->asked_at;
    }
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *one = &story->attempts[i];
        bool undecided = one->claim == CLAIM_pending || one->answered_at == INT64_MAX;
        if (attempt_buys(one) && undecided && one->asked_at > last_no) return true;
    }
    return false;
}

static void judge_against_sql(const struct story *story, const struct attempt *yes,
                              struct verdict *verdict) {
    const struct fact_order *fact = story->fact;
    if (yes != NULL && fact == NULL) {
        verdict_note(verdict, RULE_lost,
                     "user %" PRId64 " was told yes for order %" PRId64 " of lot %" PRId64,
                     yes->user, yes->order, yes->lot);
    }
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *one = &story->attempts[i];
        if (one->answered_order == 0 || one->answered_order == one->order) continue;
        verdict_note(verdict, RULE_other_order,
                     "ticket of order %" PRId64 " was answered with order %" PRId64, one->order,
                     one->answered_order);
        break;
    }
    for (size_t i = 0; fact != NULL && i < story->count; i++) {
        const struct attempt *one = &story->attempts[i];
        bool same = one->user == fact->user && one->lot == fact->lot &&
                    (one->quantity == 0 || one->quantity == fact->quantity);
        if (!attempt_buys(one) || one->claim != CLAIM_yes || same) continue;
        verdict_note(verdict, RULE_altered,
                     "order %" PRId64 " belongs to user %" PRId64 ", lot %" PRId64
                     ", quantity %" PRId64,
                     fact->order, fact->user, fact->lot, fact->quantity);
        break;
    }
}

static void judge_undersold(const struct story *story, int64_t grace, struct verdict *verdict) {
    for (size_t i = 0; i < story->count; i++) {
        const struct attempt *no = &story->attempts[i];
        if (!attempt_buys(no) || no->claim != CLAIM_no || strcmp(no->code, "sold_out") != 0) {
            continue;
        }
        int64_t quantity = no->quantity == 0 ? 1 : no->quantity;
        if (!timelines_free(story->timelines, no->lot, quantity, no->asked_at - grace,
                            no->answered_at + grace)) {
            continue;
        }
        verdict_note(verdict, RULE_undersold,
                     "user %" PRId64 " was refused lot %" PRId64 " at %" PRId64, no->user, no->lot,
                     no->answered_at);
        return;
    }
}

static void judge_story(const struct story *story, const struct judge_options *options,
                        struct verdict *verdict) {
    const struct attempt *yes = first_yes(story);
    bool used = false;
    for (size_t i = 0; i < story->count; i++) {
        used = used || attempt_buys(&story->attempts[i]);
    }
    if (used) {
        verdict->tickets_used++;
        if (yes != NULL) {
            verdict->yes++;
        } else if (is_open(story)) {
            verdict->open++;
            if (!options->allow_open) {
                verdict_note(verdict, RULE_unresolved, "user %" PRId64 ", order %" PRId64,
                             story->attempts[0].user, story->attempts[0].order);
            }
        } else {
            verdict->no++;
        }
    }
    judge_against_sql(story, yes, verdict);
    judge_contradiction(story, yes, verdict);
    judge_backwards(story, verdict);
    if (!options->clocks_apart) judge_undersold(story, options->grace_ns, verdict);
}

/* Orders in PostgreSQL that no purchase of any history names. */
static void judge_unasked(const struct facts *facts, const bool *asked, struct verdict *verdict) {
    for (size_t i = 0; i < facts->order_count; i++) {
        if (asked[i]) continue;
        verdict_note(verdict, RULE_unasked, "order %" PRId64 " of user %" PRId64 ", lot %" PRId64,
                     facts->orders[i].order, facts->orders[i].user, facts->orders[i].lot);
    }
}

bool judge_stories(const struct history *history, const struct facts *facts,
                   const struct judge_options *options, struct verdict *verdict) {
    struct attempts attempts = { 0 };
    struct timelines *timelines = timelines_open(facts);
    bool *asked = calloc(facts->order_count + 1, sizeof *asked);
    bool good = timelines != NULL && asked != NULL && attempts_read(&attempts, history);
    verdict->questions = attempts.count;
    for (size_t i = 0, next; good && i < attempts.count; i = next) {
        for (next = i + 1; next < attempts.count; next++) {
            if (attempts.list[next].order != attempts.list[i].order) break;
        }
        struct story story = {
            .attempts = &attempts.list[i],
            .count = next - i,
            .fact = facts_order(facts, attempts.list[i].order),
            .facts = facts,
            .timelines = timelines,
            .grace = options->grace_ns,
            .clocks_apart = options->clocks_apart,
        };
        for (size_t j = 0; story.fact != NULL && j < story.count; j++) {
            if (attempt_buys(&story.attempts[j])) asked[story.fact - facts->orders] = true;
        }
        judge_story(&story, options, verdict);
    }
    if (good && !options->allow_others) judge_unasked(facts, asked, verdict);
    attempts_fini(&attempts);
    timelines_close(&timelines);
    free(asked);
    return good;
}
