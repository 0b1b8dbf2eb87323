#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/lib/moves.h"
#include "actors/payment/payment.h"
#include "tests/lib/actor_probe.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
enum { PAYMENT = 900, ORDER = 70, USER = 5, LOT = 3, REFUND = 950 };
static struct probe probe;

static int setup(void **state) {
    (void)state;
    probe_open(&probe, &payment_type, NULL);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

static uint32_t count(enum address to, enum message_id id) {
    return probe_count(&probe, to, id);
}
static const struct message *sent(enum address to, enum message_id id) {
    return probe_message(&probe, to, id, -1);
}
static uint32_t jobs(void) {
    return ((struct payment *)probe.state)->jobs_used;
}

/* A request of a client, with a number of its own. */
static void ask(uint64_t request, const void *body, enum message_id id) {
    probe.head = (struct head){ .origin = PORT_http, .request = request, .trace = 77 };
    probe_give(&probe, ACTOR_bridge, body, id);
}
static void create(uint64_t request) {
    struct payment_create body = { .order_id = ORDER,
                                   .provider = text_of("sandbox"),
                                   .user_id = USER };
    ask(request, &body, MSG_payment_create);
}
static void callback(uint64_t request) {
    struct payment_callback body = { .provider = text_of("sandbox"),
                                     .body = text_of("raw"),
                                     .signature = text_of("sig") };
    ask(request, &body, MSG_payment_callback);
}
static struct payment_row row(enum payment_state state, const char *url, enum todo todo) {
    return (struct payment_row){ .payment_id = PAYMENT,
                                 .order_id = ORDER,
                                 .user_id = USER,
                                 .lot_id = LOT,
                                 .quantity = 2,
                                 .provider = text_of("sandbox"),
                                 .state = state,
                                 .amount = { 1999, "CNY" },
                                 .pay_url = url != NULL ? text_of(url) : (struct text){ 0 },
                                 .refund_id = todo == todo_refund ? REFUND : 0,
                                 .todo = todo };
}
static void answer_row(enum message_id to, struct payment_row body) {
    probe_answer(&probe, sent(PORT_pg_shop, to), &body, MSG_payment_row);
}
static void verified(enum payment_state state) {
    struct provider_result body = { .payment_id = PAYMENT,
                                    .order_id = ORDER,
                                    .provider = text_of("sandbox"),
                                    .provider_txn = text_of("txn-1"),
                                    .event_id = text_of("event-1"),
                                    .amount = { 1999, "CNY" },
                                    .state = state };
    enum message_id to =
        count(PORT_pay, MSG_callback_check) ? MSG_callback_check : MSG_provider_query;
    probe_answer(&probe, sent(PORT_pay, to), &body, MSG_provider_result);
}
static void settled(enum pay_outcome outcome, int64_t refund_id) {
    struct payment_settled body = { .payment_id = PAYMENT,
                                    .outcome = outcome,
                                    .order_id = ORDER,
                                    .user_id = USER,
                                    .lot_id = LOT,
                                    .quantity = 2,
                                    .refund_id = refund_id };
    probe_answer(&probe, sent(PORT_pg_shop, MSG_payment_result), &body, MSG_payment_settled);
}
/* A row of payments_due. */
static void due(struct payment_row body) {
    if (count(PORT_pg_shop, MSG_payments_due) == 0) {
        probe.head = (struct head){ 0 };
        probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    }
    answer_row(MSG_payments_due, body);
}
static enum problem refused(int nth) {
    return PROBE_SENT(&probe, PORT_http, failed, nth)->problem;
}

/* ---- Opening ---- */

static void kept_before_the_provider_is_called(void **state) {
    (void)state;
    create(1);
    const struct payment_insert *insert = PROBE_SENT(&probe, PORT_pg_shop, payment_insert, 0);
    assert_int_equal(insert->order_id, ORDER);
    assert_int_equal(insert->user_id, USER);
    assert_true(insert->payment_id > 0 && insert->now == probe.now);
    assert_int_equal(count(PORT_pay, MSG_prepay), 0);
    answer_row(MSG_payment_insert, row(payment_state_created, NULL, todo_prepay));
    const struct prepay *prepay = PROBE_SENT(&probe, PORT_pay, prepay, 0);
    assert_int_equal(prepay->payment_id, PAYMENT);
    assert_int_equal(prepay->amount.amount, 1999);
    struct prepaid prepaid = { .payment_id = PAYMENT,
                               .provider_txn = text_of("txn-1"),
                               .pay_url = text_of("http://pay/1") };
    probe_answer(&probe, sent(PORT_pay, MSG_prepay), &prepaid, MSG_prepaid);
    assert_true(
        text_is(PROBE_SENT(&probe, PORT_pg_shop, payment_pending, 0)->provider_txn, "txn-1"));
    assert_int_equal(count(PORT_http, MSG_payment_view), 0); /* Not before it is kept. */
    answer_row(MSG_payment_pending, row(payment_state_pending, "http://pay/1", todo_query));
    const struct message *view = sent(PORT_http, MSG_payment_view);
    assert_int_equal(view->head.request, 1);
    assert_int_equal(view->head.trace, 77);
    assert_true(text_is(BODY(view, payment_view)->pay_url, "http://pay/1"));
    assert_int_equal(jobs(), 0);
}

static void an_unknown_provider_is_refused_before_anything_is_kept(void **state) {
    (void)state;
    struct payment_create body = { .order_id = ORDER,
                                   .provider = text_of("sandbux"),
                                   .user_id = USER };
    ask(1, &body, MSG_payment_create);
    assert_int_equal(refused(0), PROBLEM_out_of_range);
    assert_true(text_is(PROBE_SENT(&probe, PORT_http, failed, 0)->field, "provider"));
    struct payment_callback told = { .provider = text_of("sandbux"), .body = text_of("raw") };
    ask(2, &told, MSG_payment_callback);
    assert_int_equal(refused(1), PROBLEM_not_found);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_insert), 0);
    assert_int_equal(count(PORT_pay, MSG_callback_check), 0);
    assert_int_equal(jobs(), 0);
}

static void a_callback_about_something_else_is_received(void **state) {
    (void)state;
    callback(3);
    struct done done = { .what = MSG_callback_check };
    probe_answer(&probe, sent(PORT_pay, MSG_callback_check), &done, MSG_done);
    assert_int_equal(count(PORT_http, MSG_done), 1);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_result), 0);
    assert_int_equal(jobs(), 0);
}

static void a_repeat_returns_the_open_one(void **state) {
    (void)state;
    create(2);
    answer_row(MSG_payment_insert, row(payment_state_pending, "http://pay/1", todo_query));
    assert_int_equal(PROBE_SENT(&probe, PORT_http, payment_view, 0)->payment_id, PAYMENT);
    assert_int_equal(count(PORT_pay, MSG_prepay), 0);
    assert_int_equal(jobs(), 0);
}

static void a_refusal_of_the_store_is_passed_on(void **state) {
    (void)state;
    create(3);
    probe_refuse(&probe, sent(PORT_pg_shop, MSG_payment_insert), PROBLEM_illegal_state);
    assert_int_equal(refused(0), PROBLEM_illegal_state);
    assert_int_equal(jobs(), 0);
}

static void an_unknown_prepay_is_never_a_failure(void **state) {
    (void)state;
    create(4);
    answer_row(MSG_payment_insert, row(payment_state_created, NULL, todo_prepay));
    probe_refuse(&probe, sent(PORT_pay, MSG_prepay), PROBLEM_provider_unknown);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, payment_unknown, 0)->payment_id, PAYMENT);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_result), 0);
    answer_row(MSG_payment_unknown, row(payment_state_unknown, NULL, todo_query));
    assert_int_equal(refused(0), PROBLEM_provider_unknown);
    /* The repeat returns the open one and asks again. */
    create(5);
    answer_row(MSG_payment_insert, row(payment_state_unknown, NULL, todo_query));
    assert_int_equal(count(PORT_pay, MSG_prepay), 2);
}

static void a_definite_refusal_fails_the_payment(void **state) {
    (void)state;
    create(6);
    answer_row(MSG_payment_insert, row(payment_state_created, NULL, todo_prepay));
    probe_refuse(&probe, sent(PORT_pay, MSG_prepay), PROBLEM_provider_refused);
    const struct payment_result *result = PROBE_SENT(&probe, PORT_pg_shop, payment_result, 0);
    assert_int_equal(result->state, payment_state_failed);
    assert_true(text_is(result->provider_txn, "refused-900"));
    assert_int_equal(count(PORT_http, MSG_failed), 0);
    settled(pay_outcome_failed, 0);
    assert_int_equal(refused(0), PROBLEM_provider_refused);
    assert_int_equal(jobs(), 0);
}

static void a_client_whose_time_is_over_is_told_once(void **state) {
    (void)state;
    create(7);
    answer_row(MSG_payment_insert, row(payment_state_created, NULL, todo_prepay));
    probe_pass(&probe, 20 * SECOND);
    assert_int_equal(refused(0), PROBLEM_provider_unknown);
    struct prepaid prepaid = { .payment_id = PAYMENT,
                               .provider_txn = text_of("txn-1"),
                               .pay_url = text_of("http://pay/1") };
    probe_answer(&probe, sent(PORT_pay, MSG_prepay), &prepaid, MSG_prepaid);
    answer_row(MSG_payment_pending, row(payment_state_pending, "http://pay/1", todo_query));
    assert_int_equal(count(PORT_http, MSG_failed) + count(PORT_http, MSG_payment_view), 1);
    assert_int_equal(jobs(), 0);
}

static void an_answer_from_before_a_restart_finds_no_job(void **state) {
    (void)state;
    create(8);
    answer_row(MSG_payment_insert, row(payment_state_created, NULL, todo_prepay));
    struct message old = *sent(PORT_pay, MSG_prepay);
    struct prepaid prepaid = { .payment_id = PAYMENT,
                               .provider_txn = text_of("txn-1"),
                               .pay_url = text_of("http://pay/1") };
    probe.now += SECOND;
    probe_restart(&probe);
    create(9);
    answer_row(MSG_payment_insert, row(payment_state_created, NULL, todo_prepay));
    probe_answer(&probe, &old, &prepaid, MSG_prepaid);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_pending), 0);
}

/* ---- Results ---- */

static void done_only_after_the_commit(void **state) {
    (void)state;
    callback(1);
    const struct callback_check *check = PROBE_SENT(&probe, PORT_pay, callback_check, 0);
    assert_true(text_is(check->body, "raw") && text_is(check->signature, "sig"));
    verified(payment_state_succeeded);
    const struct payment_result *result = PROBE_SENT(&probe, PORT_pg_shop, payment_result, 0);
    assert_int_equal(result->state, payment_state_succeeded);
    assert_int_equal(result->order_id, ORDER);
    assert_int_equal(result->amount.amount, 1999);
    assert_true(text_is(result->event_id, "event-1") && result->refund_id > 0);
    assert_int_equal(count(PORT_http, MSG_done), 0);
    settled(pay_outcome_paid, 0);
    assert_int_equal(count(PORT_http, MSG_done), 1);
    assert_int_equal(count(ACTOR_inventory, MSG_reserve), 0);
    assert_int_equal(jobs(), 0);
}

static void a_callback_that_is_not_valid_changes_nothing(void **state) {
    (void)state;
    callback(1);
    probe_refuse(&probe, sent(PORT_pay, MSG_callback_check), PROBLEM_callback_invalid);
    assert_int_equal(refused(0), PROBLEM_callback_invalid);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_result), 0);
}

static void a_result_that_does_not_match_is_refused(void **state) {
    (void)state;
    const enum pay_outcome outcomes[] = { pay_outcome_mismatch, pay_outcome_unmatched };
    for (int i = 0; i < 2; i++) {
        callback((uint64_t)i + 1);
        verified(payment_state_succeeded);
        settled(outcomes[i], 0);
        assert_int_equal(refused(i), PROBLEM_callback_mismatch);
    }
    assert_int_equal(count(PORT_http, MSG_done), 0);
}

static void a_store_that_is_away_makes_the_provider_tell_it_again(void **state) {
    (void)state;
    callback(1);
    verified(payment_state_succeeded);
    probe_refuse(&probe, sent(PORT_pg_shop, MSG_payment_result), PROBLEM_unavailable);
    assert_int_equal(refused(0), PROBLEM_unavailable);
    assert_int_equal(count(PORT_http, MSG_done), 0);
    callback(2);
    verified(payment_state_succeeded);
    probe_pass(&probe, 5 * SECOND); /* The answer never comes. */
    assert_int_equal(refused(1), PROBLEM_unavailable);
}

static void the_same_callback_many_times_has_one_effect(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        callback(i + 1);
    for (int i = 0; i < 5; i++) {
        struct provider_result told = { .payment_id = PAYMENT,
                                        .provider = text_of("sandbox"),
                                        .provider_txn = text_of("txn-1"),
                                        .amount = { 1999, "CNY" },
                                        .state = payment_state_succeeded };
        probe_answer(&probe, probe_message(&probe, PORT_pay, MSG_callback_check, i), &told,
                     MSG_provider_result);
    }
    /* PostgreSQL says late to one of them, and, were it wrong, to a second: one unit is asked for.
     */
    for (int i = 0; i < 5; i++) {
        struct payment_settled body = { .payment_id = PAYMENT,
                                        .outcome = i < 2 ? pay_outcome_late : pay_outcome_already,
                                        .order_id = ORDER,
                                        .user_id = USER,
                                        .lot_id = LOT,
                                        .quantity = 2 };
        probe_answer(&probe, probe_message(&probe, PORT_pg_shop, MSG_payment_result, i), &body,
                     MSG_payment_settled);
    }
    assert_int_equal(count(PORT_http, MSG_done), 5);
    assert_int_equal(count(ACTOR_inventory, MSG_reserve), 1);
    assert_int_equal(jobs(), 1);
}

/* ---- Late money ---- */

static void late(void) {
    callback(1);
    verified(payment_state_succeeded);
    settled(pay_outcome_late, 0);
}

static void late_money_asks_for_a_unit_and_the_provider_does_not_wait(void **state) {
    (void)state;
    late();
    assert_int_equal(count(PORT_http, MSG_done), 1);
    const struct message *asked = sent(ACTOR_inventory, MSG_reserve);
    assert_int_equal(asked->head.origin, ACTOR_payment);
    assert_int_equal(asked->head.request, PAYMENT);
    const struct reserve *reserve = BODY(asked, reserve);
    assert_int_equal(reserve->kind, reserve_kind_late);
    assert_int_equal(reserve->order_id, ORDER);
    assert_int_equal(reserve->quantity, 2);
    struct held held = { .order_id = ORDER, .rid = 8 };
    probe_answer(&probe, asked, &held, MSG_held);
    assert_int_equal(jobs(), 1);
    struct order_view view = { .order_id = ORDER, .state = order_state_paid };
    probe_answer(&probe, sent(ACTOR_inventory, MSG_reserve), &view, MSG_order_view);
    assert_int_equal(jobs(), 0);
    assert_int_equal(count(PORT_pg_shop, MSG_refund_insert), 0);
}

static void late_money_without_a_unit_goes_back_once(void **state) {
    (void)state;
    const enum problem definite[] = { PROBLEM_sold_out,  PROBLEM_sale_closed, PROBLEM_limit_reached,
                                      PROBLEM_duplicate, PROBLEM_not_on_sale, PROBLEM_not_found };
    for (size_t i = 0; i < sizeof definite / sizeof definite[0]; i++) {
        probe_clear(&probe);
        late();
        probe_refuse(&probe, sent(ACTOR_inventory, MSG_reserve), definite[i]);
        assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, refund_insert, 0)->payment_id, PAYMENT);
        assert_int_equal(count(PORT_pay, MSG_provider_refund), 0); /* Kept first. */
        answer_row(MSG_refund_insert, row(payment_state_succeeded, NULL, todo_refund));
        const struct provider_refund *back = PROBE_SENT(&probe, PORT_pay, provider_refund, 0);
        assert_int_equal(back->refund_id, REFUND);
        assert_int_equal(back->amount.amount, 1999);
        assert_true(text_is(back->provider, "sandbox"));
        struct done done = { .id = REFUND };
        probe_answer(&probe, sent(PORT_pay, MSG_provider_refund), &done, MSG_done);
        const struct refund_result *result = PROBE_SENT(&probe, PORT_pg_shop, refund_result, 0);
        assert_int_equal(result->refund_id, REFUND);
        assert_int_equal(result->state, refund_state_succeeded);
        probe_answer(&probe, sent(PORT_pg_shop, MSG_refund_result), &done, MSG_done);
        assert_int_equal(jobs(), 0);
    }
}

static void what_is_not_certain_is_left_for_later(void **state) {
    (void)state;
    const enum problem passing[] = { PROBLEM_unavailable, PROBLEM_recovering,  PROBLEM_overloaded,
                                     PROBLEM_fenced,      PROBLEM_sale_paused, PROBLEM_stopping };
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        late();
        probe_refuse(&probe, sent(ACTOR_inventory, MSG_reserve), passing[i]);
        assert_int_equal(count(PORT_pg_shop, MSG_refund_insert), 0);
        assert_int_equal(jobs(), 0);
    }
    /* It comes again by itself. */
    uint32_t before = count(ACTOR_inventory, MSG_reserve);
    due(row(payment_state_succeeded, NULL, todo_late));
    assert_int_equal(count(ACTOR_inventory, MSG_reserve), before + 1);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_inventory, reserve, -1)->user_id, USER);
}

static void a_refused_order_view_is_a_refusal_too(void **state) {
    (void)state;
    late();
    struct order_view view = { .order_id = ORDER,
                               .state = order_state_refused,
                               .code = PROBLEM_sold_out };
    probe_answer(&probe, sent(ACTOR_inventory, MSG_reserve), &view, MSG_order_view);
    assert_int_equal(count(PORT_pg_shop, MSG_refund_insert), 1);
}

static void a_second_success_is_refunded(void **state) {
    (void)state;
    callback(1);
    verified(payment_state_succeeded);
    settled(pay_outcome_second, REFUND);
    assert_int_equal(count(PORT_http, MSG_done), 1);
    assert_int_equal(PROBE_SENT(&probe, PORT_pay, provider_refund, 0)->refund_id, REFUND);
    assert_int_equal(PROBE_SENT(&probe, PORT_pay, provider_refund, 0)->amount.amount, 1999);
    assert_int_equal(count(PORT_pg_shop, MSG_refund_insert), 0); /* PostgreSQL has opened it. */
    probe_refuse(&probe, sent(PORT_pay, MSG_provider_refund), PROBLEM_provider_unknown);
    assert_int_equal(count(PORT_pg_shop, MSG_refund_result), 0);
    assert_int_equal(jobs(), 0);
    due(row(payment_state_succeeded, NULL, todo_refund));
    probe_refuse(&probe, sent(PORT_pay, MSG_provider_refund), PROBLEM_provider_refused);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, refund_result, 0)->state,
                     refund_state_failed);
}

/* ---- Todos ---- */

static void todos_are_asked_for_at_start_and_every_while(void **state) {
    (void)state;
    probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    assert_int_equal(count(PORT_pg_shop, MSG_payments_due), 1);
    struct rows_end end = { .what = MSG_payments_due };
    probe_answer(&probe, sent(PORT_pg_shop, MSG_payments_due), &end, MSG_rows_end);
    probe_pass(&probe, 4900 * MS);
    assert_int_equal(count(PORT_pg_shop, MSG_payments_due), 1);
    probe_pass(&probe, 100 * MS);
    assert_int_equal(count(PORT_pg_shop, MSG_payments_due), 2);
    const struct payments_due *asked = PROBE_SENT(&probe, PORT_pg_shop, payments_due, -1);
    assert_int_equal(asked->now - asked->older_than, 5 * SECOND);
}

static void the_same_todo_is_not_done_twice_at_once(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        due(row(payment_state_succeeded, NULL, todo_late));
        due(row(payment_state_succeeded, NULL, todo_refund));
        due(row(payment_state_pending, NULL, todo_query));
    }
    assert_int_equal(count(ACTOR_inventory, MSG_reserve), 1);
    assert_int_equal(count(PORT_pay, MSG_provider_refund), 0);
    assert_int_equal(count(PORT_pay, MSG_provider_query), 0);
    assert_int_equal(jobs(), 1);
    /* The answer is lost: after a while it may be done again. */
    probe_pass(&probe, 100 * SECOND);
    assert_int_equal(jobs(), 0);
    due(row(payment_state_succeeded, NULL, todo_late));
    assert_int_equal(count(ACTOR_inventory, MSG_reserve), 2);
}

static void a_query_brings_the_result(void **state) {
    (void)state;
    due(row(payment_state_unknown, NULL, todo_query));
    verified(payment_state_pending);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_result), 0);
    assert_int_equal(jobs(), 0);
    due(row(payment_state_unknown, NULL, todo_query));
    probe_refuse(&probe, sent(PORT_pay, MSG_provider_query), PROBLEM_provider_unknown);
    assert_int_equal(count(PORT_pg_shop, MSG_payment_result), 0); /* Never a failure. */
    due(row(payment_state_unknown, NULL, todo_query));
    verified(payment_state_succeeded);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, payment_result, 0)->state,
                     payment_state_succeeded);
    settled(pay_outcome_paid, 0);
    assert_int_equal(jobs(), 0);
    assert_int_equal(count(PORT_http, MSG_done), 0); /* Nobody waited. */
}

static void an_unfinished_prepay_is_taken_up(void **state) {
    (void)state;
    due(row(payment_state_created, NULL, todo_prepay));
    struct prepaid prepaid = { .payment_id = PAYMENT,
                               .provider_txn = text_of("txn-1"),
                               .pay_url = text_of("http://pay/1") };
    probe_answer(&probe, sent(PORT_pay, MSG_prepay), &prepaid, MSG_prepaid);
    answer_row(MSG_payment_pending, row(payment_state_pending, "http://pay/1", todo_query));
    assert_int_equal(jobs(), 0);
}

static void when_full_clients_are_told_so(void **state) {
    (void)state;
    for (uint64_t i = 0; i < PAYMENT_JOBS_MAX; i++)
        callback(i + 1);
    assert_int_equal(count(PORT_http, MSG_failed), 0);
    callback(PAYMENT_JOBS_MAX + 1);
    assert_int_equal(refused(0), PROBLEM_overloaded);
    create(PAYMENT_JOBS_MAX + 2);
    assert_int_equal(refused(1), PROBLEM_overloaded);
    probe_pass(&probe, 100 * SECOND);
    assert_int_equal(jobs(), 0);
    assert_int_equal(count(PORT_http, MSG_failed), PAYMENT_JOBS_MAX + 2);
}

/* What schema/sql does to payments and refunds, and what it must never do. */
static void moves_are_those_of_the_store(void **state) {
    (void)state;
    for (uint32_t from = 1; from <= payment_state_unknown; from++) {
        bool final = from == payment_state_succeeded || from == payment_state_failed;
        for (uint32_t to = 1; to <= payment_state_unknown; to++) {
            bool may = !final && from != to && to != payment_state_created;
            assert_int_equal(machine_may_move(KIND_payment_state, from, to), may);
        }
    }
    assert_false(machine_may_move(KIND_refund_state, refund_state_succeeded, refund_state_failed));
    assert_true(machine_may_move(KIND_refund_state, refund_state_pending, refund_state_failed));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(kept_before_the_provider_is_called),
        TEST(an_unknown_provider_is_refused_before_anything_is_kept),
        TEST(a_callback_about_something_else_is_received),
        TEST(a_repeat_returns_the_open_one),
        TEST(a_refusal_of_the_store_is_passed_on),
        TEST(an_unknown_prepay_is_never_a_failure),
        TEST(a_definite_refusal_fails_the_payment),
        TEST(a_client_whose_time_is_over_is_told_once),
        TEST(an_answer_from_before_a_restart_finds_no_job),
        TEST(done_only_after_the_commit),
        TEST(a_callback_that_is_not_valid_changes_nothing),
        TEST(a_result_that_does_not_match_is_refused),
        TEST(a_store_that_is_away_makes_the_provider_tell_it_again),
        TEST(the_same_callback_many_times_has_one_effect),
        TEST(late_money_asks_for_a_unit_and_the_provider_does_not_wait),
        TEST(late_money_without_a_unit_goes_back_once),
        TEST(what_is_not_certain_is_left_for_later),
        TEST(a_refused_order_view_is_a_refusal_too),
        TEST(a_second_success_is_refunded),
        TEST(todos_are_asked_for_at_start_and_every_while),
        TEST(the_same_todo_is_not_done_twice_at_once),
        TEST(a_query_brings_the_result),
        TEST(an_unfinished_prepay_is_taken_up),
        TEST(when_full_clients_are_told_so),
        TEST(moves_are_those_of_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
