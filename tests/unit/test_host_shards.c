/* The host with several shards and several nodes: a message reaches the instance it is about, here
 * or elsewhere, news reach everybody, and a shard that is not ours is asleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/ready.h"
#include "tests/lib/host_stage.h"

enum { SHARDS = 4, OTHER = 9, STRANGER = 99 };

static struct stage stage;

static void ask_every_shard(struct outbox *out) {
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        outbox_about(out, shard);
        ASK(out, ACTOR_order, order_get, ACTOR_bridge, 100 + shard, 0)->order_id = shard;
    }
}

static void ask_shard_2(struct outbox *out) {
    outbox_about(out, 2);
    ASK(out, ACTOR_order, order_get, ACTOR_bridge, 1, 0)->order_id = 2;
}

static void tell_shard_2(struct outbox *out) {
    outbox_about(out, 2);
    SEND(out, ACTOR_order, order_get, NULL)->order_id = 2;
}

static void tell_every_bridge(struct outbox *out) {
    EVERY(out, ACTOR_bridge, done);
}

static void expect_each_its_own(uint32_t threads) {
    stage_open(&stage, SHARDS, threads, STAGE_only);
    stage_do(ask_every_shard);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, SHARDS), SHARDS);
    for (int shard = 0; shard < SHARDS; shard++) {
        assert_int_equal(stage_wait(ACTOR_order, shard, MSG_order_get, 1), 1);
        struct stage_seen seen = stage_get(ACTOR_order, shard, MSG_order_get, 0);
        assert_int_equal(seen.value, shard);
        assert_int_equal(seen.head.shard, shard);
        assert_int_equal(seen.head.node, STAGE_NODE); /* Stamped by the host. */
        assert_int_equal(seen.head.request, 100 + shard);
    }
    assert_true(host_drain(stage.host, INT64_C(5000000000)));
    assert_int_equal(stage_metric("stray_messages_total"), 0);
    assert_int_equal(stage_metric("messages_handled_total{address=\"order\",shard=\"3\"}") > 0,
                     true);
    stage_close(&stage);
}

static void test_each_shard_gets_its_own(void **state) {
    (void)state;
    expect_each_its_own(1);
    expect_each_its_own(3);
}

static void test_news_in_one_process(void **state) {
    (void)state;
    stage_open(&stage, 1, 1, STAGE_only);
    stage_do(tell_every_bridge);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, 1), 1);
    assert_int_equal(stage_get(ACTOR_bridge, -1, MSG_done, 0).head.node, NODE_EVERY);
    stage_close(&stage);
}

/* ---- Several nodes ---- */

static struct placement_map map_of(uint64_t number, uint16_t owner_of_2) {
    struct placement_map map = { .number = number, .self = STAGE_NODE };
    placement_map_node(&map, OTHER)->thread[ACTOR_bridge] = 3;
    placement_map_node(&map, STAGE_NODE)->thread[ACTOR_bridge] = 0;
    placement_map_node(&map, 8); /* Has no bridge. */
    for (uint32_t shard = 0; shard < SHARDS; shard++)
        placement_map_put(&map, ACTOR_order, shard, STAGE_NODE, 0);
    placement_map_put(&map, ACTOR_order, 2, owner_of_2, 1);
    return map;
}

static void publish(uint64_t number, uint16_t owner_of_2) {
    struct placement_map map = map_of(number, owner_of_2);
    placement_publish(&stage.placement, &map);
    for (int shard = 0; shard < SHARDS; shard++) {
        if (shard != 2 || owner_of_2 == STAGE_NODE) stage_wait(ACTOR_order, shard, MSG_started, 1);
    }
    nanosleep(&(struct timespec){ 0, 150000000 }, NULL); /* Every thread has had a turn. */
}

static void arrive_order_get(uint16_t node, enum address from) {
    struct order_get body = { .order_id = 2 };
    struct head head = { .type = MSG_order_get,
                         .from = (uint8_t)from,
                         .to = ACTOR_order,
                         .origin = (uint8_t)from,
                         .shard = 2,
                         .node = node,
                         .request = 5 };
    stage_arrive(0, &head, &body);
}

static void test_without_a_map_nobody_is_there(void **state) {
    (void)state;
    stage_open(&stage, SHARDS, 2, STAGE_nodes);
    stage_do(ask_shard_2);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_failed, 1), 1);
    assert_int_equal(stage_get(ACTOR_bridge, -1, MSG_failed, 0).value, PROBLEM_unavailable);
    assert_int_equal(stage_wait(ACTOR_order, -1, MSG_started, 0), 0);
    stage_do(tell_shard_2); /* Nobody waits: counted. */
    assert_int_equal(stage_wait(ACTOR_order, -1, MSG_order_get, 0), 0);
    assert_int_equal(stage_metric("link_lost_total"), 1);
    stage_close(&stage);
}

static void test_asleep_and_awake(void **state) {
    (void)state;
    stage_open(&stage, SHARDS, 2, STAGE_nodes);
    publish(1, OTHER);
    assert_int_equal(stage_wait(ACTOR_order, 2, MSG_started, 0), 0);
    arrive_order_get(OTHER, ACTOR_bridge); /* Its map is older than ours. */
    assert_int_equal(stage_wait_sent(OTHER, MSG_failed, 1), 1);
    assert_int_equal(stage_get_sent(OTHER, MSG_failed, 0).value, PROBLEM_recovering);
    arrive_order_get(OTHER, NOBODY);
    for (int i = 0; i < 2000 && stage_metric("asleep_dropped_total") < 1; i++)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    assert_int_equal(stage_metric("asleep_dropped_total"), 1);
    assert_int_equal(stage_metric("asleep_refused_total"), 1);

    publish(2, STAGE_NODE);
    assert_int_equal(stage_wait(ACTOR_order, 2, MSG_started, 1), 1);
    arrive_order_get(OTHER, ACTOR_bridge);
    assert_int_equal(stage_wait_sent(OTHER, MSG_done, 1), 1);
    assert_int_equal(stage_get_sent(OTHER, MSG_done, 0).thread, 3);
    assert_true(stage_get_sent(OTHER, MSG_done, 0).must); /* An answer always goes. */
    assert_int_equal(stage_get(ACTOR_order, 2, MSG_started, 0).nth, 1);

    publish(3, OTHER);
    publish(4, STAGE_NODE);
    assert_int_equal(stage_wait(ACTOR_order, 2, MSG_started, 2), 2);
    assert_int_equal(stage_get(ACTOR_order, 2, MSG_started, 1).nth, 1); /* Its state was empty. */
    assert_int_equal(stage_wait(ACTOR_order, 1, MSG_started, 1), 1); /* The others never slept. */
    stage_close(&stage);
}

static void test_a_shard_elsewhere(void **state) {
    (void)state;
    stage_open(&stage, SHARDS, 2, STAGE_nodes);
    publish(1, OTHER);
    stage_do(ask_every_shard);
    assert_int_equal(stage_wait_sent(OTHER, MSG_order_get, 1), 1);
    struct stage_seen sent = stage_get_sent(OTHER, MSG_order_get, 0);
    assert_int_equal(sent.head.shard, 2);
    assert_int_equal(sent.head.node, STAGE_NODE);
    assert_int_equal(sent.thread, 1);
    assert_false(sent.must);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, SHARDS - 1), SHARDS - 1);
    assert_int_equal(stage_wait(ACTOR_order, 2, MSG_order_get, 0), 0);
    stage_close(&stage);
}

static void test_answers_go_to_their_node(void **state) {
    (void)state;
    stage_open(&stage, SHARDS, 2, STAGE_nodes);
    publish(1, STAGE_NODE);
    arrive_order_get(OTHER, ACTOR_bridge);
    arrive_order_get(STAGE_NODE, ACTOR_bridge);
    arrive_order_get(STRANGER, ACTOR_bridge); /* Has gone meanwhile. */
    assert_int_equal(stage_wait(ACTOR_order, 2, MSG_order_get, 3), 3);
    assert_int_equal(stage_wait_sent(OTHER, MSG_done, 1), 1);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, 1), 1);
    assert_int_equal(stage_wait_sent(STRANGER, MSG_done, 0), 0);
    assert_int_equal(stage_metric("link_lost_total"), 1);
    stage_close(&stage);
}

static void test_news_for_every_node(void **state) {
    (void)state;
    stage_open(&stage, SHARDS, 2, STAGE_nodes);
    publish(1, STAGE_NODE);
    stage_do(tell_every_bridge);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, 1), 1);
    assert_int_equal(stage_wait_sent(OTHER, MSG_done, 1), 1);
    assert_int_equal(stage_wait_sent(8, MSG_done, 0), 0);
    /* What comes from there is for us alone. */
    struct done body = { 0 };
    stage_arrive(1, &(struct head){ .type = MSG_done, .to = ACTOR_bridge, .node = NODE_EVERY },
                 &body);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_done, 2), 2);
    assert_int_equal(stage_wait_sent(OTHER, MSG_done, 1), 1);
    stage_close(&stage);
}

static void test_full_and_dead_links(void **state) {
    (void)state;
    stage_open(&stage, SHARDS, 2, STAGE_nodes);
    publish(1, OTHER);
    stage_links_say(LINKS_FULL);
    stage_do(ask_shard_2);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_failed, 1), 1);
    assert_int_equal(stage_get(ACTOR_bridge, -1, MSG_failed, 0).value, PROBLEM_overloaded);
    stage_do(tell_shard_2);
    assert_int_equal(stage_wait_sent(OTHER, MSG_order_get, 1), 1); /* It waits in the link. */
    stage_links_say(LINKS_GONE);
    stage_do(ask_shard_2);
    assert_int_equal(stage_wait(ACTOR_bridge, -1, MSG_failed, 2), 2);
    assert_int_equal(stage_get(ACTOR_bridge, -1, MSG_failed, 1).value, PROBLEM_unavailable);
    assert_int_equal(stage_metric("link_refused_total"), 2);
    assert_int_equal(stage_metric("link_lost_total"), 0);
    stage_do(tell_shard_2);
    assert_int_equal(stage_metric("link_lost_total"), 1);
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_shard_gets_its_own),
        cmocka_unit_test(test_news_in_one_process),
        cmocka_unit_test(test_without_a_map_nobody_is_there),
        cmocka_unit_test(test_asleep_and_awake),
        cmocka_unit_test(test_a_shard_elsewhere),
        cmocka_unit_test(test_answers_go_to_their_node),
        cmocka_unit_test(test_news_for_every_node),
        cmocka_unit_test(test_full_and_dead_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
