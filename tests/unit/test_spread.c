/* From the words of --actors and --shards to seats and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/main/spread.h"

static struct host_place places[SPREAD_PLACES_MAX];
static uint32_t count;

static struct spread read_both(const char *actors, const char *shards, uint32_t shard_count) {
    struct spread spread = spread_all(shard_count);
    struct text wrong;
    if (actors != NULL) assert_true(spread_read_actors(&spread, actors, &wrong));
    if (shards != NULL) assert_true(spread_read_shards(&spread, shards, shard_count));
    return spread;
}

static void lay(const char *actors, const char *shards, uint32_t shard_count, uint32_t threads) {
    struct spread spread = read_both(actors, shards, shard_count);
    count = spread_places(&spread, threads, places);
}

/* The thread of a seat, -1 = there is none; asserts that it is there once. */
static int thread_of(enum address address, uint32_t shard) {
    int thread = -1;
    for (uint32_t i = 0; i < count; i++) {
        if (places[i].address != address || places[i].shard != shard) continue;
        assert_int_equal(thread, -1);
        assert_true((places[i].actor == NULL) != (places[i].port == NULL));
        thread = (int)places[i].thread;
    }
    return thread;
}

static void test_everything(void **state) {
    (void)state;
    lay(NULL, NULL, 1, 1);
    assert_int_equal(count, 18);
    for (uint32_t i = 0; i < count; i++) {
        enum address at = places[i].address;
        bool edge = at == ACTOR_bridge || at == PORT_http;
        assert_int_equal(places[i].thread, edge ? 0 : address_is_sharded(at) ? 1 : 2);
    }
    assert_int_equal(thread_of(PORT_door, 0), 2);
    lay("all", NULL, 1, 1);
    assert_int_equal(count, 18);
}

static void test_shards_are_dealt(void **state) {
    (void)state;
    lay("edge,shard", "0-3,5", 8, 2);
    assert_int_equal(count, 2 + 5 * 5 + 2);
    assert_int_equal(thread_of(ACTOR_order, 0), 1);
    assert_int_equal(thread_of(ACTOR_order, 1), 2);
    assert_int_equal(thread_of(ACTOR_order, 2), 1);
    assert_int_equal(thread_of(ACTOR_order, 4), -1);
    assert_int_equal(thread_of(ACTOR_order, 5), 1);
    assert_int_equal(thread_of(PORT_redis, 5), 1);
    assert_int_equal(thread_of(PORT_pg_shop, 0), 0);
    assert_int_equal(thread_of(PORT_door, 0), -1);
    lay(NULL, NULL, 64, 16);
    assert_int_equal(count, 13 + 64 * 5);
    assert_int_equal(thread_of(ACTOR_timer, 63), 16);
    assert_int_equal(thread_of(ACTOR_session, 0), 17);
    lay("shard,shop", "7", 8, 4); /* Threads without a shard are not opened. */
    assert_int_equal(thread_of(ACTOR_inventory, 7), 0);
    assert_int_equal(thread_of(PORT_pg_shop, 0), 1);
}

static void test_shards_with_the_edge(void **state) {
    (void)state;
    lay(NULL, NULL, 2, 0);
    assert_int_equal(thread_of(ACTOR_bridge, 0), 0);
    assert_int_equal(thread_of(ACTOR_order, 0), 0);
    assert_int_equal(thread_of(PORT_redis, 1), 0);
    assert_int_equal(thread_of(ACTOR_session, 0), 1);
    assert_int_equal(thread_of(PORT_member, 0), 1);
    lay("edge,shard", NULL, 2, 0);
    assert_int_equal(thread_of(PORT_pg_shard, 1), 0);
    assert_int_equal(thread_of(PORT_member, 0), 1); /* Beats must not be late. */
    lay("shard,shop", NULL, 2, 0);                  /* Without an edge a thread of their own. */
    assert_int_equal(thread_of(ACTOR_order, 1), 0);
    assert_int_equal(thread_of(ACTOR_session, 0), 1);
}

static void test_only_ports_that_are_needed(void **state) {
    (void)state;
    lay("edge", NULL, 4, 1);
    assert_int_equal(count, 3);
    assert_int_equal(thread_of(PORT_pg_shop, 0), -1); /* A bridge needs no PostgreSQL. */
    assert_int_equal(thread_of(PORT_member, 0), 0);
    assert_int_equal(thread_of(PORT_http, 0), 0);
    assert_ptr_equal(places[1].port, &http_port);
    lay("session,notifier", "1", 4, 1);
    assert_int_equal(count, 7);
    assert_int_equal(thread_of(PORT_http, 0), 0); /* For health and metrics alone. */
    for (uint32_t i = 0; i < count; i++)
        if (places[i].address == PORT_http) assert_ptr_equal(places[i].port, &http_admin_port);
    assert_int_equal(thread_of(PORT_hash, 0), 0);
    assert_int_equal(thread_of(PORT_pay, 0), -1);
    lay("order", "1", 4, 1);
    assert_int_equal(count, 5);
    assert_int_equal(thread_of(PORT_member, 0), 1);
    assert_int_equal(thread_of(PORT_http, 0), 1); /* It must not wait for the shard's stores. */
    assert_int_equal(thread_of(PORT_redis, 1), -1);
}

static void test_words(void **state) {
    (void)state;
    struct spread spread;
    struct text wrong;
    assert_false(spread_read_actors(&spread, "edge,brigde", &wrong));
    assert_true(text_is(wrong, "brigde"));
    assert_false(spread_read_actors(&spread, "", &wrong));
    assert_false(spread_read_actors(&spread, "edge,", &wrong));
    static const char *const bad[] = { "",  ",",   "1,", "a",   "-1", "3-1",
                                       "4", "0-4", "1 ", "0x1", "1-", "99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(spread_read_shards(&spread, bad[i], 4));
    assert_true(spread_read_shards(&spread, "0-3", 4));
    assert_int_equal(spread.shards, 15);
    assert_int_equal(spread_all(64).shards, UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_shards_are_dealt),
        cmocka_unit_test(test_shards_with_the_edge),
        cmocka_unit_test(test_only_ports_that_are_needed),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
