#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/notifier/notifier.h"
#include "tests/lib/actor_probe.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
static struct probe probe;

static void open_with(bool mail_on, uint32_t attempts_max) {
    struct actor_setup setup = probe_setup();
    setup.mail_on = mail_on;
    setup.mail_attempts_max = attempts_max;
    probe_open(&probe, &notifier_type, &setup);
}
static int setup(void **state) {
    (void)state;
    open_with(true, 5);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

static struct outbox_row order_row(int64_t id, uint32_t attempts) {
    return (struct outbox_row){ .outbox_id = id,
                                .notice = notice_order_placed,
                                .login = text_of("ann@example.org"),
                                .order_id = 4711,
                                .title = text_of("Kettle red"),
                                .quantity = 2,
                                .total = { 3998, "CNY" },
                                .pay_by = INT64_C(1800000000) * SECOND,
                                .attempts = attempts };
}

/* Asks for rows and answers with this one. */
static void deliver(const struct outbox_row *row) {
    probe_pass(&probe, 200 * MS);
    const struct message *take = probe_message(&probe, PORT_pg_shop, MSG_outbox_take, -1);
    probe_answer(&probe, take, row, MSG_outbox_row);
    struct rows_end end = { .what = MSG_outbox_take, .count = 1 };
    take = probe_message(&probe, PORT_pg_shop, MSG_outbox_take, -1);
    probe_answer(&probe, take, &end, MSG_rows_end);
}

static void mailed(int64_t id, enum mail_outcome outcome) {
    struct mailed body = { .outbox_id = id, .outcome = outcome, .error = text_of("why") };
    probe_answer(&probe, probe_message(&probe, PORT_mail, MSG_mail, -1), &body, MSG_mailed);
}

static bool has(struct text text, const char *part) {
    return memmem(text.at, text.size, part, strlen(part)) != NULL;
}

static void asks_for_rows_and_leases_them(void **state) {
    (void)state;
    probe_pass(&probe, 200 * MS);
    const struct outbox_take *take = PROBE_SENT(&probe, PORT_pg_shop, outbox_take, 0);
    assert_int_equal(take->limit, NOTIFIER_ROWS_MAX);
    assert_int_equal(take->lease_until - take->now, 60 * SECOND);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_take), 1);
    /* The answer is lost. */
    probe_pass(&probe, 5 * SECOND);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_take), 2);
    probe_refuse(&probe, probe_message(&probe, PORT_pg_shop, MSG_outbox_take, -1),
                 PROBLEM_unavailable);
    probe_pass(&probe, 200 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_take), 3);
}

static void a_mail_is_written_and_counted_when_sent(void **state) {
    (void)state;
    struct outbox_row row = order_row(9, 0);
    deliver(&row);
    const struct mail *mail = PROBE_SENT(&probe, PORT_mail, mail, 0);
    assert_int_equal(mail->outbox_id, 9);
    assert_true(text_is(mail->to, "ann@example.org"));
    assert_true(text_is(mail->subject, "Order 4711: please pay"));
    assert_true(has(mail->body, "2 x Kettle red"));
    assert_true(has(mail->body, "Total: 39.98 CNY\n"));
    assert_true(has(mail->body, "2027-01-15T08:00:00.000Z"));
    assert_false(has(mail->body, "{"));
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_done), 0);
    mailed(9, mail_outcome_sent);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, outbox_done, 0)->outbox_id, 9);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, outbox_done, 0)->dead, 0);
    assert_int_equal(((struct notifier *)probe.state)->used, 1);
    struct done done = { .id = 9 };
    probe_answer(&probe, probe_message(&probe, PORT_pg_shop, MSG_outbox_done, 0), &done, MSG_done);
    assert_int_equal(((struct notifier *)probe.state)->used, 0);
}

static void every_notice_has_a_template(void **state) {
    (void)state;
    int64_t id = 0;
    for (uint32_t notice = 1; state_name(KIND_notice, notice) != NULL; notice++) {
        struct outbox_row row = order_row(++id, 0);
        row.notice = (enum notice)notice;
        deliver(&row);
        const struct mail *mail = PROBE_SENT(&probe, PORT_mail, mail, -1);
        assert_int_equal(mail->outbox_id, id);
        assert_true(mail->subject.size > 0 && mail->body.size > 0);
        assert_false(has(mail->body, "{") || has(mail->subject, "{"));
    }
    assert_true(id >= 6);
}

static void yen_have_no_cents_and_dinars_three(void **state) {
    (void)state;
    struct outbox_row row = order_row(1, 0);
    row.total = (struct money){ 1200, "JPY" };
    deliver(&row);
    assert_true(has(PROBE_SENT(&probe, PORT_mail, mail, -1)->body, "Total: 1200 JPY\n"));
    row = order_row(2, 0);
    row.total = (struct money){ 1005, "KWD" };
    deliver(&row);
    assert_true(has(PROBE_SENT(&probe, PORT_mail, mail, -1)->body, "Total: 1.005 KWD\n"));
}

static void a_retry_waits_longer_each_time_up_to_an_hour(void **state) {
    (void)state;
    assert_int_equal(notifier_back_off(0), SECOND);
    assert_int_equal(notifier_back_off(3), 8 * SECOND);
    assert_int_equal(notifier_back_off(12), 3600 * SECOND);
    assert_int_equal(notifier_back_off(1000), 3600 * SECOND);
    struct outbox_row row = order_row(9, 3);
    deliver(&row);
    mailed(9, mail_outcome_retry);
    const struct outbox_retry *retry = PROBE_SENT(&probe, PORT_pg_shop, outbox_retry, 0);
    assert_in_range(retry->next_at - probe.now, 6 * SECOND, 8 * SECOND);
    assert_true(text_is(retry->error, "why"));
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_done), 0);
}

static void the_last_attempt_and_a_rejection_are_dead(void **state) {
    (void)state;
    struct outbox_row row = order_row(9, 4); /* The fifth try. */
    deliver(&row);
    mailed(9, mail_outcome_retry);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, outbox_done, 0)->dead, 1);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_retry), 0);
    row = order_row(10, 0);
    deliver(&row);
    mailed(10, mail_outcome_rejected);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, outbox_done, 1)->dead, 1);
    assert_true(text_is(PROBE_SENT(&probe, PORT_pg_shop, outbox_done, 1)->error, "why"));
}

static void a_refused_mail_is_tried_again(void **state) {
    (void)state;
    struct outbox_row row = order_row(9, 0);
    deliver(&row);
    probe_refuse(&probe, probe_message(&probe, PORT_mail, MSG_mail, 0), PROBLEM_unavailable);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, outbox_retry, 0)->outbox_id, 9);
}

static void a_phone_number_has_no_channel(void **state) {
    (void)state;
    struct outbox_row row = order_row(9, 0);
    row.login = text_of("+8613800000000");
    deliver(&row);
    const struct outbox_done *done = PROBE_SENT(&probe, PORT_pg_shop, outbox_done, 0);
    assert_int_equal(done->dead, 0);
    assert_true(text_is(done->error, "no channel"));
    assert_int_equal(probe_count(&probe, PORT_mail, MSG_mail), 0);
}

static void without_mail_the_outbox_is_put_aside(void **state) {
    (void)state;
    probe_close(&probe);
    open_with(false, 5);
    probe_pass(&probe, 200 * MS);
    probe_pass(&probe, 200 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_skip), 1);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_take), 0);
    struct done done = { .what = MSG_outbox_skip, .count = 7 };
    probe_answer(&probe, probe_message(&probe, PORT_pg_shop, MSG_outbox_skip, 0), &done, MSG_done);
    probe_pass(&probe, 200 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_skip), 2);
    probe_refuse(&probe, probe_message(&probe, PORT_pg_shop, MSG_outbox_skip, 1),
                 PROBLEM_unavailable);
    probe_pass(&probe, 200 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_skip), 3);
}

static void a_row_that_comes_twice_is_mailed_once(void **state) {
    (void)state;
    struct outbox_row row = order_row(9, 0);
    deliver(&row);
    deliver(&row);
    assert_int_equal(probe_count(&probe, PORT_mail, MSG_mail), 1);
}

static void at_most_fifty_are_under_way_and_a_lapsed_lease_frees_them(void **state) {
    (void)state;
    for (int64_t id = 1; id <= NOTIFIER_ROWS_MAX + 10; id++) {
        struct outbox_row row = order_row(id, 0);
        probe.head = (struct head){ .origin = ACTOR_notifier };
        probe_give(&probe, PORT_pg_shop, &row, MSG_outbox_row);
    }
    assert_int_equal(probe_count(&probe, PORT_mail, MSG_mail), NOTIFIER_ROWS_MAX);
    probe_clear(&probe);
    probe_pass(&probe, SECOND);
    assert_int_equal(probe_count(&probe, PORT_pg_shop, MSG_outbox_take), 0);
    probe_pass(&probe, 60 * SECOND);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shop, outbox_take, 0)->limit, NOTIFIER_ROWS_MAX);
}

static void a_refused_statement_frees_the_row(void **state) {
    (void)state;
    struct outbox_row row = order_row(9, 0);
    deliver(&row);
    mailed(9, mail_outcome_sent);
    probe_refuse(&probe, probe_message(&probe, PORT_pg_shop, MSG_outbox_done, 0),
                 PROBLEM_unavailable);
    assert_int_equal(((struct notifier *)probe.state)->used, 0);
    deliver(&row); /* The lease has lapsed: it comes again, and is sent again by the same id. */
    assert_int_equal(PROBE_SENT(&probe, PORT_mail, mail, 1)->outbox_id, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(asks_for_rows_and_leases_them),
        TEST(a_mail_is_written_and_counted_when_sent),
        TEST(every_notice_has_a_template),
        TEST(yen_have_no_cents_and_dinars_three),
        TEST(a_retry_waits_longer_each_time_up_to_an_hour),
        TEST(the_last_attempt_and_a_rejection_are_dead),
        TEST(a_refused_mail_is_tried_again),
        TEST(a_phone_number_has_no_channel),
        TEST(without_mail_the_outbox_is_put_aside),
        TEST(a_row_that_comes_twice_is_mailed_once),
        TEST(at_most_fifty_are_under_way_and_a_lapsed_lease_frees_them),
        TEST(a_refused_statement_frees_the_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
