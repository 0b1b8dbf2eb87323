/* The placement map: rows are found whatever the order they came in, and readers see whole maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/placement.h"

static void test_nodes(void **state) {
    (void)state;
    static struct placement_map map;
    for (uint32_t i = 0; i < PLACEMENT_NODES_MAX; i++) {
        uint16_t node = (uint16_t)(1 + i * 37 % PLACEMENT_NODES_MAX);
        struct placement_node *row = placement_map_node(&map, node);
        assert_non_null(row);
        assert_int_equal(row->thread[ACTOR_bridge], PLACEMENT_NOWHERE);
        row->thread[ACTOR_bridge] = (uint8_t)(node % 3);
    }
    assert_int_equal(map.node_count, PLACEMENT_NODES_MAX);
    for (uint16_t node = 1; node <= PLACEMENT_NODES_MAX; node++) {
        assert_int_equal(placement_map_find(&map, node)->thread[ACTOR_bridge], node % 3);
        assert_ptr_equal(placement_map_node(&map, node), placement_map_find(&map, node));
    }
    assert_null(placement_map_find(&map, 0));
    assert_null(placement_map_find(&map, PLACEMENT_NODES_MAX + 1));
    assert_null(placement_map_node(&map, PLACEMENT_NODES_MAX + 1)); /* Full. */
}

static void test_seats(void **state) {
    (void)state;
    struct placement_map map = { .self = 3 };
    placement_map_put(&map, ACTOR_order, 63, 3, 2);
    placement_map_put(&map, ACTOR_session, 5, 4, 1); /* Not sharded: the shard does not matter. */
    assert_int_equal(placement_map_seat(&map, ACTOR_order, 63).thread, 2);
    assert_int_equal(placement_map_seat(&map, ACTOR_order, 62).node, NODE_NONE);
    assert_int_equal(placement_map_seat(&map, ACTOR_order, SHARDS_MAX).node, NODE_NONE);
    assert_int_equal(placement_map_seat(&map, ACTOR_session, 0).node, 4);
    assert_true(placement_map_owns(&map, 63));
    assert_false(placement_map_owns(&map, 62));
    map.self = NODE_NONE;
    assert_false(placement_map_owns(&map, 62)); /* Nobody is not we. */
}

static void test_versions(void **state) {
    (void)state;
    static struct placement placement;
    static struct placement_map map, copy;
    uint64_t version = 0;
    placement_init(&placement);
    assert_false(placement_read(&placement, &version, &copy));
    map.number = 5;
    placement_publish(&placement, &map);
    assert_true(placement_read(&placement, &version, &copy));
    assert_int_equal(copy.number, 5);
    assert_false(placement_read(&placement, &version, &copy));
    placement_publish(&placement, &map); /* The same number: read again all the same. */
    assert_true(placement_read(&placement, &version, &copy));
    placement_fini(&placement);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_seats),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
