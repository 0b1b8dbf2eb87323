#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/timer/timer.h"
#include "tests/lib/actor_probe.h"

#define MS INT64_C(1000000)
static struct probe probe;

static int setup(void **state) {
    (void)state;
    probe_open(&probe, &timer_type, NULL);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

static void set(enum deadline_kind kind, int64_t id, int64_t at) {
    struct deadline_set body = { .kind = kind, .id = id, .at = at };
    probe_give(&probe, ACTOR_order, &body, MSG_deadline_set);
}

static uint32_t fired(void) {
    return probe_count(&probe, NOBODY, MSG_deadline);
}

static void fires_in_time_and_once(void **state) {
    (void)state;
    int64_t begin = probe.now;
    set(deadline_kind_pay_by, 5, begin + 330 * MS);
    probe_pass(&probe, 300 * MS);
    assert_int_equal(fired(), 0);
    probe_pass(&probe, 50 * MS);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_order, deadline, 0)->id, 5);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(fired(), 1);
}

static void in_order_and_to_the_owner(void **state) {
    (void)state;
    set(deadline_kind_sale_close, 7, probe.now + 30 * MS);
    set(deadline_kind_pay_by, 7, probe.now + 20 * MS);
    set(deadline_kind_sale_open, 7, probe.now + 10 * MS);
    probe_pass(&probe, 50 * MS);
    assert_int_equal(PROBE_SENT(&probe, NOBODY, deadline, 0)->kind, deadline_kind_sale_open);
    assert_int_equal(PROBE_SENT(&probe, NOBODY, deadline, 1)->kind, deadline_kind_pay_by);
    assert_int_equal(PROBE_SENT(&probe, NOBODY, deadline, 2)->kind, deadline_kind_sale_close);
    assert_int_equal(probe_count(&probe, ACTOR_order, MSG_deadline), 1);
    assert_int_equal(probe_count(&probe, ACTOR_catalogue, MSG_deadline), 2);
}

static void set_again_replaces_and_zero_forgets(void **state) {
    (void)state;
    set(deadline_kind_pay_by, 1, probe.now + 100 * MS);
    set(deadline_kind_pay_by, 1, probe.now + 400 * MS);
    set(deadline_kind_pay_by, 2, probe.now + 100 * MS);
    set(deadline_kind_pay_by, 2, 0);
    set(deadline_kind_pay_by, 3, 0); /* Never known. */
    probe_pass(&probe, 300 * MS);
    assert_int_equal(fired(), 0);
    probe_pass(&probe, 150 * MS);
    assert_int_equal(fired(), 1);
}

static void many_at_once_go_on_at_the_next_call(void **state) {
    (void)state;
    enum { MANY = 1300 };
    for (int64_t id = 1; id <= MANY; id++)
        set(deadline_kind_pay_by, id, probe.now + 10 * MS);
    probe_pass(&probe, 50 * MS);
    uint32_t first = fired();
    assert_true(first > 0 && first < MANY); /* One tick takes what its outbox takes. */
    probe_pass(&probe, 200 * MS);
    assert_int_equal(fired(), MANY);
}

static void answer_page(int64_t first_id, uint32_t rows, int64_t at, int64_t step) {
    const struct message ask = *probe_message(&probe, PORT_pg_shard, MSG_deadlines_load, -1);
    for (uint32_t i = 0; i < rows; i++) {
        struct deadline_row row = { .id = first_id + i, .at = at + i * step };
        probe_answer(&probe, &ask, &row, MSG_deadline_row);
    }
    struct rows_end end = { .what = MSG_deadlines_load, .count = rows };
    probe_answer(&probe, &ask, &end, MSG_rows_end);
}

static void loads_what_is_due_in_pages(void **state) {
    (void)state;
    probe_restart(&probe);
    const struct deadlines_load *ask = PROBE_SENT(&probe, PORT_pg_shard, deadlines_load, 0);
    assert_true(ask->until > probe.now);
    int64_t at = probe.now + 1000 * MS;
    answer_page(1, ask->limit, at, 1000);
    /* A full page: there may be more behind its last row. */
    assert_int_equal(probe_count(&probe, PORT_pg_shard, MSG_deadlines_load), 2);
    ask = PROBE_SENT(&probe, PORT_pg_shard, deadlines_load, 1);
    assert_int_equal(ask->after, at + 999 * 1000);
    answer_page(1000, 3, ask->after, 1000); /* The last row comes again. */
    assert_int_equal(probe_count(&probe, PORT_pg_shard, MSG_deadlines_load), 2);
    probe_pass(&probe, 2000 * MS);
    assert_int_equal(fired(), 1002);
}

static void a_page_of_one_instant_is_not_read_for_ever(void **state) {
    (void)state;
    probe_restart(&probe);
    int64_t at = probe.now + 1000 * MS;
    answer_page(1, TIMER_PAGE, at, 0);
    answer_page(1, TIMER_PAGE, at, 0);
    assert_true(PROBE_SENT(&probe, PORT_pg_shard, deadlines_load, -1)->after > at);
}

static void a_lost_deadline_set_is_found_within_10_s(void **state) {
    (void)state;
    probe_restart(&probe);
    answer_page(1, 0, 0, 0);
    probe_clear(&probe);
    probe_pass(&probe, 10500 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shard, MSG_deadlines_load), 1);
    answer_page(77, 1, probe.now - 100 * MS, 0);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_order, deadline, 0)->id, 77);
}

static void a_known_deadline_is_not_pulled_back(void **state) {
    (void)state;
    probe_restart(&probe);
    set(deadline_kind_pay_by, 9, probe.now + 5000 * MS); /* Put off by the order actor. */
    answer_page(9, 1, probe.now - 1, 0);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(fired(), 0);
}

static void a_failed_load_is_tried_again(void **state) {
    (void)state;
    probe_restart(&probe);
    const struct message ask = *probe_message(&probe, PORT_pg_shard, MSG_deadlines_load, 0);
    probe_refuse(&probe, &ask, PROBLEM_unavailable);
    probe_pass(&probe, 500 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shard, MSG_deadlines_load), 1);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shard, MSG_deadlines_load), 2);
    probe_pass(&probe, 6000 * MS); /* No answer at all. */
    probe_pass(&probe, 6000 * MS);
    assert_true(probe_count(&probe, PORT_pg_shard, MSG_deadlines_load) >= 3);
}

static void full_leaves_orders_to_the_load(void **state) {
    (void)state;
    struct timer *timer = probe.state;
    uint32_t added = 0;
    while (timer_set(timer, deadline_kind_pay_by, added + 1, probe.now + 60000 * MS))
        added++;
    assert_true(added > 200000);
    assert_int_equal(timer->left_out, 1);
    assert_true(timer_set(timer, deadline_kind_sale_open, 1, probe.now + 10 * MS)); /* Own room. */
    assert_true(timer_set(timer, deadline_kind_pay_by, 1, 0));
    assert_true(timer_set(timer, deadline_kind_pay_by, added + 5, probe.now + 10 * MS));
    probe_pass(&probe, 50 * MS);
    assert_int_equal(fired(), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(fires_in_time_and_once),
        TEST(in_order_and_to_the_owner),
        TEST(set_again_replaces_and_zero_forgets),
        TEST(many_at_once_go_on_at_the_next_call),
        TEST(loads_what_is_due_in_pages),
        TEST(a_page_of_one_instant_is_not_read_for_ever),
        TEST(a_lost_deadline_set_is_found_within_10_s),
        TEST(a_known_deadline_is_not_pulled_back),
        TEST(a_failed_load_is_tried_again),
        TEST(full_leaves_orders_to_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
