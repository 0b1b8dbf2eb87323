/* An actor that crashes: what it could not bear becomes a dead letter, everything beside it is
 * handled, and everybody else goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/clock.h"
#include "broker/control.h"
#include "broker/frame.h"
#include "broker/ready.h"
#include "tests/lib/host_stage.h"

enum { BEFORE = 5, AFTER = 7, POISONED = 1000 };

static const char crashes[] = "actor_crashes_total{address=\"order\"}";
static struct stage stage;

static void ask(struct outbox *out, uint32_t shard, uint64_t request, int64_t order_id) {
    outbox_about(out, shard);
    ASK(out, ACTOR_order, order_get, ACTOR_bridge, request, 77)->order_id = order_id;
}

static void ask_with_poison(struct outbox *out) {
    for (uint64_t i = 0; i < BEFORE; i++)
        ask(out, 0, i, 1 + (int64_t)i);
    ask(out, 0, POISONED, STAGE_POISON);
    for (uint64_t i = BEFORE; i < BEFORE + AFTER; i++)
        ask(out, 0, i, 1 + (int64_t)i);
    for (uint64_t i = 0; i < 50; i++)
        ask(out, 1, 100 + i, 1);
}

static void ask_and_tell(struct outbox *out) {
    ask(out, 0, 1, 1);
    outbox_about(out, 0);
    SEND(out, ACTOR_order, order_get, NULL)->order_id = 2; /* Nobody hears of a refusal. */
}

static void tell_5000(struct outbox *out) {
    for (int i = 0; i < 5000; i++)
        SEND(out, ACTOR_order, order_get, NULL)->order_id = 1;
}

static void ask_poison(struct outbox *out) {
    ask(out, 0, POISONED, STAGE_POISON);
}

static void expect_poison_in(struct text letter) {
    struct batch batch;
    batch_init(&batch);
    assert_true(frame_read((const uint8_t *)letter.at, letter.size, &batch));
    assert_int_equal(batch.count, 1);
    const struct head *head = &batch.items[0].head;
    assert_int_equal(head->type, MSG_order_get);
    assert_int_equal(head->request, POISONED);
    assert_int_equal(head->origin, ACTOR_bridge);
    assert_int_equal(head->node, STAGE_NODE);
    assert_int_equal(head->trace, 77);
    assert_int_equal(BODY(&batch.items[0], order_get)->order_id, STAGE_POISON);
    batch_fini(&batch);
}

static void test_poison_ends_in_dead_letters(void **state) {
    (void)state;
    stage_open(&stage, 2, 1, STAGE_broker);
    stage_do(ask_with_poison);
    assert_int_equal(stage_wait(ACTOR_broker, -1, MSG_dead_letter_add, 1), 1);
    /* All of the others are answered, each once: before and behind it, and in the other shard. */
    uint32_t others = BEFORE + AFTER + 50;
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, others), others);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_failed, 1), 1);
    struct stage_seen failed = stage_get(ACTOR_bridge, -1, MSG_failed, 0);
    assert_int_equal(failed.value, PROBLEM_internal);
    assert_int_equal(failed.head.request, POISONED);
    assert_int_equal(stage_metric(crashes), 2); /* In the batch, and alone. */
    assert_int_equal(stage_metric("dead_letters_total"), 1);
    assert_int_equal(stage_wait(ACTOR_order, 0, MSG_started, 3), 3);
    assert_int_equal(stage_get(ACTOR_order, 0, MSG_started, 2).nth, 1); /* Before all else. */
    assert_int_equal(stage_wait(ACTOR_order, 1, MSG_started, 1), 1);    /* Never knew. */
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_started, 1), 1);
    expect_poison_in(stage_letter());
    stage_close(&stage);
}

static void test_letters_wait_for_a_broker(void **state) {
    (void)state;
    struct placement_map map = { .number = 1, .self = STAGE_NODE };
    placement_map_put(&map, ACTOR_order, 0, STAGE_NODE, 0);
    stage_open(&stage, 1, 1, STAGE_nodes);
    placement_publish(&stage.placement, &map);
    stage_wait(ACTOR_order, 0, MSG_started, 1);
    stage_do(ask_poison);
    assert_int_equal(stage_wait_metric("dead_letters_total", 1), 1);
    assert_int_equal(stage_wait_sent(3, MSG_dead_letter_add, 0), 0);
    placement_map_put(&map, ACTOR_broker, 0, 3, 0);
    placement_publish(&stage.placement, &map);
    assert_int_equal(stage_wait_sent(3, MSG_dead_letter_add, 1), 1);
    stage_close(&stage);
}

static void test_while_it_is_down(void **state) {
    (void)state;
    stage_open(&stage, 1, 1, STAGE_only);
    assert_int_equal(stage_wait(ACTOR_order, 0, MSG_started, 1), 1);
    stage_crash_at_start(true);
    assert_true(control_restart(ACTOR_order, 0));
    assert_true(stage_wait_metric(crashes, 1) >= 1);
    assert_string_equal(ready_missing(), "bridge");
    ready_set("bridge", true);
    assert_string_equal(ready_missing(), "order");
    stage_do(ask_and_tell);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_failed, 1), 1);
    assert_int_equal(stage_get(ACTOR_bridge, -1, MSG_failed, 0).value, PROBLEM_unavailable);
    assert_int_equal(stage_metric("crashed_refused_total"), 1);
    assert_int_equal(stage_wait(ACTOR_order, 0, MSG_order_get, 0), 0);
    stage_crash_at_start(false);
    assert_int_equal(stage_wait(ACTOR_order, 0, MSG_order_get, 1), 1); /* The one that waited. */
    assert_int_equal(stage_get(ACTOR_order, 0, MSG_order_get, 0).value, 2);
    assert_null(ready_missing());
    assert_int_equal(stage_metric("dead_letters_total"), 0); /* `started` is nobody's letter. */
    stage_close(&stage);
}

static void test_mailbox_stays_bounded(void **state) {
    (void)state;
    stage_open(&stage, 1, 1, STAGE_only);
    stage_wait(ACTOR_order, 0, MSG_started, 1);
    stage_crash_at_start(true);
    assert_true(control_restart(ACTOR_order, 0));
    assert_true(stage_wait_metric(crashes, 1) >= 1);
    uint32_t most = (uint32_t)stage.config.host_mailbox_max;
    for (uint32_t sent = 0; sent <= most; sent += 5000)
        stage_do(tell_5000);
    assert_true(stage_wait_metric("crashed_dropped_total", 1) >= 1);
    assert_true(stage_metric("mailbox_depth{address=\"order\",shard=\"0\"}") <= most);
    stage_close(&stage);
}

static void test_back_off_doubles(void **state) {
    (void)state;
    stage_open(&stage, 1, 1, STAGE_only);
    stage_wait(ACTOR_order, 0, MSG_started, 1);
    stage_crash_at_start(true);
    /* The host counts from the beginning of its turn, which was a little before. */
    int64_t begin = clock_mono() - INT64_C(20000000), allowed = 1, wait = INT64_C(100000000);
    assert_true(control_restart(ACTOR_order, 0));
    assert_true(stage_wait_metric(crashes, 4) >= 4); /* After 0, 100, 300 and 700 ms. */
    int64_t count = stage_metric(crashes), left = clock_mono() - begin;
    for (; left >= wait; left -= wait, wait *= 2)
        allowed++;
    assert_in_range(count, 4, allowed);
    stage_close(&stage);
}

static void test_draining_waits_for_it(void **state) {
    (void)state;
    stage_open(&stage, 1, 1, STAGE_only);
    stage_wait(ACTOR_order, 0, MSG_started, 1);
    stage_crash_at_start(true);
    assert_true(control_restart(ACTOR_order, 0));
    assert_true(stage_wait_metric(crashes, 1) >= 1);
    assert_false(host_drain(stage.host, INT64_C(50000000)));
    stage_crash_at_start(false);
    assert_true(host_drain(stage.host, INT64_C(5000000000)));
    stage_close(&stage);
}

static void test_control(void **state) {
    (void)state;
    struct control_actor rows[8];
    stage_open(&stage, 2, 2, STAGE_nodes);
    assert_int_equal(control_actors(rows, 8), 3);
    assert_int_equal(rows[0].address, ACTOR_bridge);
    assert_int_equal(rows[2].address, ACTOR_order);
    assert_int_equal(rows[2].shard, 1);
    assert_int_equal(rows[2].thread, 1);
    assert_int_equal(rows[2].state, CONTROL_asleep);
    assert_false(control_restart(ACTOR_order, 1));   /* Asleep. */
    assert_false(control_restart(ACTOR_order, 2));   /* Nowhere. */
    assert_false(control_restart(ACTOR_session, 0)); /* Nowhere. */
    assert_true(control_restart(ACTOR_bridge, 9));   /* Not sharded. */
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_started, 2), 2);
    assert_int_equal(stage_get(ACTOR_bridge, -1, MSG_started, 1).nth, 1); /* Empty again. */
    assert_int_equal(control_actors(rows, 1), 3);
    assert_int_equal(rows[0].restarts, 1);
    assert_int_equal(rows[0].state, CONTROL_up);
    assert_true(rows[0].handled > 2);
    stage_close(&stage);
    assert_int_equal(control_actors(rows, 8), 0);
    assert_false(control_restart(ACTOR_bridge, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poison_ends_in_dead_letters),
        cmocka_unit_test(test_letters_wait_for_a_broker),
        cmocka_unit_test(test_while_it_is_down),
        cmocka_unit_test(test_mailbox_stays_bounded),
        cmocka_unit_test(test_back_off_doubles),
        cmocka_unit_test(test_draining_waits_for_it),
        cmocka_unit_test(test_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
