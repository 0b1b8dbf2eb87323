/* The judge: do the buyers' histories and the tables of PostgreSQL tell the same, exact story?
 *
 * Its witnesses are what clients asked and were told (history.h) and rows read by SQL (facts).  It
 * never asks the server.  Everything here is pure; judge_sql.h reads the facts.
 *
 * How a history is read.  An *attempt* is a question and its answer.  It may say something about
 * the order its ticket became:
 *   yes      a 201 or 200 for a purchase, or any answer that shows the order in a kept state
 *   no       a purchase refused for good, a receipt found `refused` or `void`
 *   nothing  no answer, 429, 5xx, a 202, an authentication or form error, `duplicate`
 * A refusal does not burn a ticket, so "no" and later "yes" is right when another purchase with
 * that ticket was put after, or was still open at, the moment of the "no".  If that purchase was
 * open beside the refused one (a double click), the refusal is only right if what it says could
 * change in between: "sold out" needs a unit of that lot to have come back.  "Yes" and later "no"
 * is never right, nor is a "no" to a question put after the order was made.
 *
 * Undersold.  A "sold out" is wrong when PostgreSQL shows that enough units lay free during the
 * whole time from `grace` before the question to `grace` after the answer.  Units that are reserved
 * and not yet committed look free there, so runs that stop PostgreSQL need a larger grace. */
#ifndef DOORSIM_JUDGE_H
#define DOORSIM_JUDGE_H

#include "schema/schema.h"
#include "tools/doorsim/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What SQL says.  Times are nanoseconds of the wall clock, 0 = not there. */
struct fact_lot {
    int64_t lot;
    int64_t allocated, sold, per_buyer_limit;
    bool has_movements;
    int64_t moved_sold, moved_allocated; /* Folds of stock_movement. */
};

struct fact_order {
    int64_t order, rid, lot, user;
    int64_t quantity;
    enum order_state state;
    int64_t created_at;
    int64_t returned_at; /* When its units went back. */
    int64_t amount;      /* To be paid, minor units. */
    int64_t captured, refunded;
    int64_t refund_due; /* Asked for at the provider and not yet confirmed. */
};

struct fact_sum {
    char name[16]; /* A currency. */
    int64_t sum;
};

/* What SQL alone has found about a rule. */
struct fact_check {
    unsigned rule; /* enum rule */
    int64_t count;
    char first[64];
};

/* The arrays are owned; judge() sorts them. */
struct facts {
    size_t lot_count, order_count, sum_count;
    struct fact_lot *lots;
    struct fact_order *orders;
    struct fact_sum *sums; /* The ledger per currency. */
    size_t check_count;
    struct fact_check *checks;
};

void facts_fini(struct facts *self);

enum rule {
#define RULE(name, promise, doc) RULE_##name,
#include "tools/doorsim/rules.def"
#undef RULE
    RULE_COUNT
};

enum { FINDING_MAX = 160 };

struct finding {
    uint64_t count;
    char first[FINDING_MAX]; /* A sentence about the first one found. */
};

struct verdict {
    struct finding findings[RULE_COUNT];
    int64_t lots, orders, allocated, held, unsold, paid, returned;
    uint64_t questions, tickets_used, yes, no, open;
};

struct judge_options {
    int64_t grace_ns;
    bool allow_open;   /* Purchases without a final answer are counted, not held against anyone. */
    bool clocks_apart; /* The server's clock was moved: its times and ours cannot be compared. */
    bool allow_others; /* Orders that no history asked for are all right: histories are partial. */
};

const char *rule_name(enum rule rule);
const char *rule_promise(enum rule rule);
const char *rule_doc(enum rule rule);

/* False only when memory is out.  The verdict may hold findings either way. */
bool judge(const struct history *history, struct facts *facts, const struct judge_options *options,
           struct verdict *verdict);

/* True when no rule was broken. */
bool verdict_exact(const struct verdict *verdict);

/* Compares the units held with what a test expects (negative: anything), and says so. */
bool verdict_expect_held(FILE *to, const struct verdict *verdict, int64_t units);

/* Somebody ended without a unit: then none may be left.  For crowds that go on asking until the
 * sale is quiet. */
bool verdict_expect_sold(FILE *to, const struct verdict *verdict);

/* One line per rule, then the account. */
void verdict_print(FILE *to, const struct verdict *verdict);

/* ---- Shared by the judge's own files. ---- */

/* Does an order in this state hold units?  Written from the design, not taken from the server. */
bool state_holds(enum order_state state);

/* May an order that was in `from` later be in `to` (or still in it)? */
bool state_reaches(enum order_state from, enum order_state to);

/* Notes one violation of a rule; the first of each is kept as a sentence. */
void verdict_note(struct verdict *self, enum rule rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void judge_tables(const struct facts *facts, const struct judge_options *options,
                  struct verdict *verdict);
bool judge_stories(const struct history *history, const struct facts *facts,
                   const struct judge_options *options, struct verdict *verdict);

/* Facts must be sorted by id.  NULL when there is none. */
const struct fact_order *facts_order(const struct facts *facts, int64_t order);
const struct fact_lot *facts_lot(const struct facts *facts, int64_t lot);

#endif
