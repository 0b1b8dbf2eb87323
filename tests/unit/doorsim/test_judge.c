/* Every rule of the judge: an honest story passes, a planted violation is caught by its rule and by
 * no other. */
#include "tools/doorsim/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define S INT64_C(1000000000)

enum { LOT = 1, USER = 100, ORDER = 1000, ROWS = 16 };

/* A case is built on this stage and then judged. */
static struct {
    struct history history;
    struct fact_lot lots[2];
    struct fact_order orders[ROWS];
    struct fact_sum sums[2];
    size_t lot_count, order_count, sum_count;
    uint64_t call;
    struct judge_options options;
    struct verdict verdict;
} stage;

static int set_up(void **state) {
    (void)state;
    memset(&stage, 0, sizeof stage);
    stage.lots[0] = (struct fact_lot){ .lot = LOT, .allocated = 2, .per_buyer_limit = 1 };
    stage.lot_count = 1;
    stage.options.grace_ns = S;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    history_fini(&stage.history);
    return 0;
}

/* A row in orders; `sold` follows. */
static struct fact_order *row(int64_t order, int64_t user, enum order_state state, int64_t at) {
    struct fact_order *fact = &stage.orders[stage.order_count++];
    *fact = (struct fact_order){ .order = order,
                                 .rid = order + 7,
                                 .lot = LOT,
                                 .user = user,
                                 .quantity = 1,
                                 .state = state,
                                 .created_at = at,
                                 .amount = 1999 };
    if (state == order_state_paid) fact->captured = 1999;
    if (state_holds(state)) stage.lots[0].sold++;
    return fact;
}

static void ask_at(enum history_kind kind, int64_t at, int64_t user, int64_t order) {
    struct history_event event = { .at_ns = at,
                                   .call = ++stage.call,
                                   .kind = kind,
                                   .phase = HISTORY_invoke,
                                   .user = user,
                                   .lot = LOT,
                                   .order = order,
                                   .quantity = 1 };
    assert_true(history_add(&stage.history, &event));
}

/* The answer to the question before last that has none: `call` names it. */
static void answer_at(uint64_t call, int64_t at, int status, const char *code, const char *told) {
    struct history_event event = { 0 };
    for (size_t i = 0; i < stage.history.count; i++) {
        if (stage.history.events[i].call == call) event = stage.history.events[i];
    }
    event.at_ns = at;
    event.status = status;
    event.phase = status >= 200 && status < 300  ? HISTORY_ok
                  : status == 0 || status >= 429 ? HISTORY_unknown
                                                 : HISTORY_fail;
    (void)snprintf(event.code, sizeof event.code, "%s", code);
    (void)snprintf(event.state, sizeof event.state, "%s", told);
    assert_true(history_add(&stage.history, &event));
}

/* A question and its answer. */
static void said(enum history_kind kind, int64_t from, int64_t to, int64_t user, int64_t order,
                 int status, const char *word) {
    ask_at(kind, from, user, order);
    bool fail = status >= 400;
    answer_at(stage.call, to, status, fail ? word : "", fail ? "" : word);
}

/* Judges, and demands exactly these counts: `rule` has `count` findings, all others none. */
static void expect(enum rule rule, uint64_t count) {
    struct facts facts = { .lot_count = stage.lot_count,
                           .order_count = stage.order_count,
                           .sum_count = stage.sum_count,
                           .lots = stage.lots,
                           .orders = stage.orders,
                           .sums = stage.sums };
    assert_true(judge(&stage.history, &facts, &stage.options, &stage.verdict));
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        uint64_t wanted = i == rule ? count : 0;
        if (stage.verdict.findings[i].count == wanted) continue;
        fail_msg("%s: %d findings instead of %d; first: %s", rule_name((enum rule)i),
                 (int)stage.verdict.findings[i].count, (int)wanted,
                 stage.verdict.findings[i].first);
    }
    assert_int_equal(verdict_exact(&stage.verdict), count == 0);
}

static void expect_exact(void) {
    expect(RULE_oversold, 0);
}

/* Buyer A has one of the two units. */
static void a_buys(void) {
    row(ORDER, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 201, "awaiting_payment");
}

/* --------------------------------------------------------------------------------- honest stories
 */

/* What SQL found by itself counts as it was counted. */
static void checks_count(void **state) {
    struct fact_check found[] = { { RULE_effects, 0, "" }, { RULE_new_epoch, 3, "rid 7" } };
    struct facts facts = { .check_count = 2, .checks = found };
    (void)state;
    assert_true(judge(&stage.history, &facts, &stage.options, &stage.verdict));
    assert_int_equal(stage.verdict.findings[RULE_effects].count, 0);
    assert_int_equal(stage.verdict.findings[RULE_new_epoch].count, 3);
    assert_string_equal(stage.verdict.findings[RULE_new_epoch].first, "rid 7");
    assert_false(verdict_exact(&stage.verdict));
}

/* Times of two clocks are not compared, but money that is gone is gone. */
static void clocks_apart(void **state) {
    (void)state;
    stage.options.clocks_apart = true;
    row(ORDER, USER, order_state_expired, 10 * S)->captured = 1999;
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 201, "awaiting_payment");
    expect_exact();
    stage.orders[0].captured = 1000;
    expect(RULE_charge, 1);
}

static void honest(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 200, "awaiting_payment");
    said(HISTORY_pay, 14 * S, 15 * S, USER, ORDER, 201, "");
    said(HISTORY_poll, 16 * S, 17 * S, USER, ORDER, 200, "paid");
    stage.orders[0].state = order_state_paid;
    stage.orders[0].captured = 1999;
    expect_exact();
    assert_int_equal(stage.verdict.yes, 1);
    assert_int_equal(stage.verdict.paid, 1);
    assert_int_equal(stage.verdict.unsold, 1);
}

static void honest_unknown(void **state) {
    (void)state;
    row(ORDER, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 0, "");
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 503, "recovering");
    said(HISTORY_again, 14 * S, 15 * S, USER, ORDER, 201, "awaiting_payment");
    ask_at(HISTORY_poll, 16 * S, USER, ORDER); /* Never answered. */
    expect_exact();
}

static void honest_refused_then_bought(void **state) {
    (void)state;
    stage.lots[0].allocated = 1;
    row(ORDER + 1, USER + 1, order_state_expired, 5 * S)->returned_at = 12 * S;
    said(HISTORY_buy, 5 * S, 6 * S, USER + 1, ORDER + 1, 201, "awaiting_payment");
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 409, "sold_out");
    row(ORDER, USER, order_state_awaiting_payment, 13 * S);
    said(HISTORY_again, 13 * S, 14 * S, USER, ORDER, 201, "awaiting_payment");
    expect_exact();
}

static void honest_void(void **state) {
    (void)state;
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 202, "pending");
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 200, "void");
    row(ORDER, USER, order_state_awaiting_payment, 14 * S);
    said(HISTORY_again, 14 * S, 15 * S, USER, ORDER, 201, "awaiting_payment");
    expect_exact();
}

/* A double click of which the refused half came first, and a unit came back in between. */
static void honest_double_click(void **state) {
    (void)state;
    stage.lots[0].allocated = 1;
    row(ORDER + 1, USER + 1, order_state_cancelled, 5 * S)->returned_at = 10 * S + S / 2;
    said(HISTORY_buy, 5 * S, 6 * S, USER + 1, ORDER + 1, 201, "awaiting_payment");
    row(ORDER, USER, order_state_awaiting_payment, 11 * S);
    said(HISTORY_buy, 10 * S, 12 * S, USER, ORDER, 409, "sold_out");
    said(HISTORY_again, 10 * S, 12 * S, USER, ORDER, 201, "awaiting_payment");
    expect_exact();
}

static void honest_late_money(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_poll, 20 * S, 21 * S, USER, ORDER, 200, "expired");
    said(HISTORY_poll, 22 * S, 23 * S, USER, ORDER, 200, "paid");
    stage.orders[0].state = order_state_paid;
    stage.orders[0].captured = 1999;
    stage.orders[0].returned_at = 19 * S;
    expect_exact();
}

/* ------------------------------------------------------------------------------ planted: the
 * tables */

static void oversold(void **state) {
    (void)state;
    stage.lots[0].allocated = 1;
    for (int64_t i = 0; i < 3; i++) {
        row(ORDER + i, USER + i, order_state_paid, 10 * S);
        said(HISTORY_buy, 10 * S, 11 * S, USER + i, ORDER + i, 201, "awaiting_payment");
    }
    expect(RULE_oversold, 2);
}

static void miscounted(void **state) {
    (void)state;
    a_buys();
    stage.lots[0].sold = 2;
    expect(RULE_miscounted, 1);
}

static void movements(void **state) {
    (void)state;
    a_buys();
    stage.lots[0].has_movements = true;
    stage.lots[0].moved_sold = 4;
    stage.lots[0].moved_allocated = 2;
    expect(RULE_movements, 3);
    stage.lots[0].moved_sold = 1;
    stage.lots[0].moved_allocated = 3;
    expect(RULE_movements, 1);
    stage.lots[0].moved_allocated = 2;
    expect_exact();
}

static void double_order(void **state) {
    (void)state;
    a_buys();
    row(ORDER + 1, USER + 1, order_state_awaiting_payment, 10 * S)->rid = ORDER + 7;
    said(HISTORY_buy, 10 * S, 11 * S, USER + 1, ORDER + 1, 201, "awaiting_payment");
    expect(RULE_double_orders, 1);
}

static void limit(void **state) {
    (void)state;
    a_buys();
    row(ORDER + 1, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER + 1, 201, "awaiting_payment");
    expect(RULE_limit, 1);
}

static void charge_twice(void **state) {
    (void)state;
    a_buys();
    stage.orders[0].state = order_state_paid;
    stage.orders[0].captured = 2 * 1999;
    expect(RULE_charge, 1);
    stage.orders[0].refund_due = 1999;
    expect_exact();
}

static void charge_kept(void **state) {
    (void)state;
    a_buys();
    stage.lots[0].sold = 0;
    stage.orders[0].state = order_state_expired;
    stage.orders[0].captured = 1999;
    expect(RULE_charge, 1);
    stage.orders[0].refunded = 1999;
    expect_exact();
}

static void charge_missing(void **state) {
    (void)state;
    a_buys();
    stage.orders[0].state = order_state_paid;
    expect(RULE_charge, 1);
}

static void ledger(void **state) {
    (void)state;
    stage.sums[0] = (struct fact_sum){ .name = "CNY", .sum = 0 };
    stage.sums[1] = (struct fact_sum){ .name = "EUR", .sum = -1 };
    stage.sum_count = 2;
    expect(RULE_ledger, 1);
}

/* --------------------------------------------------------------------------- planted: the
 * histories */

static void lost(void **state) {
    (void)state;
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 201, "awaiting_payment");
    expect(RULE_lost, 1);
}

static void lost_after_line(void **state) {
    (void)state;
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 202, "pending");
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 200, "awaiting_payment");
    expect(RULE_lost, 1);
}

static void altered(void **state) {
    (void)state;
    a_buys();
    stage.orders[0].user = USER + 1;
    expect(RULE_altered, 1);
}

static void other_order(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 200, "awaiting_payment");
    stage.history.events[stage.history.count - 1].order = ORDER + 5;
    expect(RULE_other_order, 1);
}

static void unasked(void **state) {
    (void)state;
    a_buys();
    row(ORDER + 1, USER + 1, order_state_awaiting_payment, 10 * S);
    expect(RULE_unasked, 1);
    stage.options.allow_others = true;
    expect_exact();
}

static void unresolved(void **state) {
    (void)state;
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 202, "pending");
    said(HISTORY_buy, 10 * S, 11 * S, USER + 1, ORDER + 1, 503, "overloaded");
    said(HISTORY_buy, 10 * S, 11 * S, USER + 2, ORDER + 2, 0, "");
    said(HISTORY_again, 12 * S, 13 * S, USER + 2, ORDER + 2, 409, "sale_closed");
    expect(RULE_unresolved, 2);
    stage.options.allow_open = true;
    expect_exact();
    assert_int_equal(stage.verdict.open, 2);
}

static void yes_then_no(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 409, "sale_closed");
    expect(RULE_contradiction, 1);
}

static void yes_then_absent(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 404, "not_found");
    expect(RULE_contradiction, 1);
}

static void yes_then_void(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 200, "void");
    expect(RULE_contradiction, 1);
}

static void no_yet_has_order(void **state) {
    (void)state;
    row(ORDER, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 409, "sale_paused");
    expect(RULE_contradiction, 1);
}

/* The yes was lost on its way, and the repeat is refused: he held the unit by then. */
static void holder_told_no(void **state) {
    (void)state;
    row(ORDER, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 0, "");
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 409, "sold_out");
    said(HISTORY_again, 14 * S, 15 * S, USER, ORDER, 200, "awaiting_payment");
    stage.lots[0].allocated = 1;
    expect(RULE_contradiction, 1);
}

/* He has a place in line; until that is decided "paused" is no answer to him. */
static void in_line_told_no(void **state) {
    (void)state;
    row(ORDER, USER, order_state_awaiting_payment, 12 * S + S / 2);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 202, "pending");
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 409, "sale_paused");
    said(HISTORY_poll, 14 * S, 15 * S, USER, ORDER, 200, "awaiting_payment");
    expect(RULE_contradiction, 1);
}

static void void_then_yes(void **state) {
    (void)state;
    row(ORDER, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 202, "pending");
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 200, "void");
    said(HISTORY_poll, 14 * S, 15 * S, USER, ORDER, 200, "awaiting_payment");
    expect(RULE_contradiction, 1);
}

/* The last unit goes to one half of a double click, the other half hears "sold out". */
static void holder_told_sold_out(void **state) {
    (void)state;
    stage.lots[0].allocated = 1;
    row(ORDER, USER, order_state_awaiting_payment, 10 * S);
    said(HISTORY_buy, 10 * S, 12 * S, USER, ORDER, 201, "awaiting_payment");
    said(HISTORY_again, 10 * S, 12 * S, USER, ORDER, 409, "sold_out");
    expect(RULE_contradiction, 1);
}

/* The same, but PostgreSQL had just taken a unit back: it was offered again between the two halves.
 */
static void unit_came_back_beside(void **state) {
    (void)state;
    stage.lots[0].allocated = 1;
    row(ORDER + 1, USER + 1, order_state_expired, 5 * S)->returned_at = 10 * S - S / 2;
    said(HISTORY_buy, 5 * S, 5 * S, USER + 1, ORDER + 1, 201, "awaiting_payment");
    row(ORDER, USER, order_state_awaiting_payment, 11 * S);
    said(HISTORY_buy, 10 * S, 12 * S, USER, ORDER, 201, "awaiting_payment");
    said(HISTORY_again, 10 * S, 12 * S, USER, ORDER, 409, "sold_out");
    expect_exact();
}

static void duplicate_is_no_refusal(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_again, 12 * S, 13 * S, USER, ORDER, 409, "duplicate");
    expect_exact();
}

static void backwards_told(void **state) {
    (void)state;
    a_buys();
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 200, "paid");
    said(HISTORY_poll, 14 * S, 15 * S, USER, ORDER, 200, "paying");
    stage.orders[0].state = order_state_paid;
    stage.orders[0].captured = 1999;
    expect(RULE_backwards, 1);
}

static void backwards_kept(void **state) {
    (void)state;
    row(ORDER, USER, order_state_cancelled, 10 * S)->returned_at = 14 * S;
    said(HISTORY_buy, 10 * S, 11 * S, USER, ORDER, 201, "awaiting_payment");
    said(HISTORY_poll, 12 * S, 13 * S, USER, ORDER, 200, "paid");
    expect(RULE_backwards, 1);
}

static void undersold(void **state) {
    (void)state;
    stage.lots[0].allocated = 1;
    row(ORDER + 1, USER + 1, order_state_expired, 5 * S)->returned_at = 10 * S;
    said(HISTORY_buy, 5 * S, 6 * S, USER + 1, ORDER + 1, 201, "awaiting_payment");
    /* Within a second of the return the refusal may be true; later it is not. */
    said(HISTORY_buy, 10 * S + S / 2, 10 * S + S / 2 + 1, USER, ORDER, 409, "sold_out");
    expect_exact();
    said(HISTORY_again, 12 * S, 12 * S + 1, USER, ORDER, 409, "sold_out");
    expect(RULE_undersold, 1);
    /* With a larger grace it may be the commit that is late. */
    stage.options.grace_ns = 5 * S;
    expect_exact();
}

/* ------------------------------------------------------------------------------- the history's
 * text */

static void lines(void **state) {
    (void)state;
    struct history_event event;
    assert_true(history_read_line("12 3 buy fail 4 5 6 1 409 sold_out -", &event));
    assert_int_equal(event.at_ns, 12);
    assert_int_equal(event.status, 409);
    assert_string_equal(event.code, "sold_out");
    assert_string_equal(event.state, "");
    assert_false(history_read_line("12 3 buy fail 4 5 6 1 409 sold_out", &event));
    assert_false(history_read_line("12 3 buy fail 4 5 6 1 409 sold_out - -", &event));
    assert_false(history_read_line("12 3 bay fail 4 5 6 1 409 sold_out -", &event));
    assert_false(history_read_line("12 x buy fail 4 5 6 1 409 sold_out -", &event));
    assert_false(history_read_line("", &event));
}

static void files(void **state) {
    (void)state;
    char path[] = "/tmp/history-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    struct history_event event = { .at_ns = 5,
                                   .call = 1,
                                   .kind = HISTORY_poll,
                                   .phase = HISTORY_ok,
                                   .user = 2,
                                   .lot = 3,
                                   .order = INT64_MAX,
                                   .quantity = 4,
                                   .status = 200,
                                   .state = "paid" };
    history_write(file, &event);
    fputs("6 2 buy invo", file); /* The writer was killed here. */
    fclose(file);
    struct history history = { 0 };
    assert_true(history_load(&history, path));
    assert_true(history_load(&history, path));
    assert_int_equal(history.count, 2);
    assert_int_equal(history.events[0].order, INT64_MAX);
    assert_string_equal(history.events[0].state, "paid");
    assert_int_not_equal(history.events[0].call, history.events[1].call);
    file = fopen(path, "a");
    fputs("\n7 2 buy\n", file); /* In the middle such a line is an error. */
    fclose(file);
    assert_false(history_load(&history, path));
    history_fini(&history);
    remove(path);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(honest),
        CASE(checks_count),
        CASE(clocks_apart),
        CASE(honest_unknown),
        CASE(honest_refused_then_bought),
        CASE(honest_void),
        CASE(honest_double_click),
        CASE(honest_late_money),
        CASE(oversold),
        CASE(miscounted),
        CASE(movements),
        CASE(double_order),
        CASE(limit),
        CASE(charge_twice),
        CASE(charge_kept),
        CASE(charge_missing),
        CASE(ledger),
        CASE(lost),
        CASE(lost_after_line),
        CASE(altered),
        CASE(other_order),
        CASE(unasked),
        CASE(unresolved),
        CASE(yes_then_no),
        CASE(yes_then_absent),
        CASE(yes_then_void),
        CASE(no_yet_has_order),
        CASE(holder_told_no),
        CASE(in_line_told_no),
        CASE(void_then_yes),
        CASE(holder_told_sold_out),
        CASE(unit_came_back_beside),
        CASE(duplicate_is_no_refusal),
        CASE(backwards_told),
        CASE(backwards_kept),
        CASE(undersold),
        CASE(lines),
        CASE(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
