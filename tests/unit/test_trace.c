/* The trace ring: what was put is found in order of time, what was overwritten is not, and a reader
 * beside the writer never sees half an entry. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/clock.h"
#include "broker/trace.h"

enum { FOUND_MAX = 100000 };

static struct trace_entry found[FOUND_MAX];
static uint32_t count;

static void keep(void *context, const struct trace_entry *entry) {
    (void)context;
    if (count < FOUND_MAX) found[count++] = *entry;
}

static uint32_t find(uint64_t trace) {
    count = 0;
    uint32_t said = trace_find(trace, keep, NULL);
    assert_int_equal(said, count);
    return count;
}

static void put(struct trace_ring *ring, int64_t at, uint64_t trace, uint16_t type) {
    struct head head = { .type = type,
                         .from = ACTOR_bridge,
                         .to = ACTOR_order,
                         .shard = 63,
                         .node = 1024,
                         .trace = trace };
    trace_put(ring, at, &head);
}

static void test_two_rings_in_order(void **state) {
    (void)state;
    struct trace_ring *one = trace_ring_open(100), *two = trace_ring_open(1);
    put(one, 10, 7, 1);
    put(one, 30, 7, 3);
    put(one, 30, 7, 4); /* The same turn: in the order they came. */
    put(one, 30, 8, 9);
    put(two, 20, 7, 2);
    assert_int_equal(find(7), 4);
    for (uint16_t i = 0; i < 4; i++)
        assert_int_equal(found[i].type, i + 1);
    assert_int_equal(found[0].at, 10);
    assert_int_equal(found[0].from, ACTOR_bridge);
    assert_int_equal(found[0].to, ACTOR_order);
    assert_int_equal(found[0].shard, 63);
    assert_int_equal(found[0].node, 1024);
    assert_int_equal(find(UINT64_MAX), 0);
    assert_int_equal(find(0), 0); /* No trace is no name. */
    trace_ring_close(two);
    assert_int_equal(find(7), 3);
    trace_ring_close(one);
    trace_ring_close(NULL);
    assert_int_equal(find(7), 0);
}

static void test_the_last_ones_stay(void **state) {
    (void)state;
    struct trace_ring *ring = trace_ring_open(5); /* Becomes 8. */
    for (uint16_t i = 1; i <= 21; i++)
        put(ring, i, 5, i);
    assert_int_equal(find(5), 8);
    for (uint16_t i = 0; i < 8; i++)
        assert_int_equal(found[i].type, 14 + i);
    trace_ring_close(ring);
    ring = trace_ring_open(4 * TRACE_FOUND_MAX);
    for (uint32_t i = 0; i < 2 * TRACE_FOUND_MAX; i++)
        put(ring, i, 5, 1);
    assert_int_equal(find(5), TRACE_FOUND_MAX); /* The latest. */
    assert_int_equal(found[count - 1].at, 2 * TRACE_FOUND_MAX - 1);
    trace_ring_close(ring);
}

static atomic_bool ending;

static void *write_on(void *context) {
    struct trace_ring *ring = context;
    for (int64_t i = 1; !atomic_load_explicit(&ending, memory_order_relaxed); i++)
        put(ring, i, (uint64_t)(i & 1) + 1, (uint16_t)i);
    return NULL;
}

static void test_reading_beside_the_writer(void **state) {
    (void)state;
    struct trace_ring *ring = trace_ring_open(4);
    pthread_t thread;
    uint32_t seen = 0;
    atomic_store(&ending, false);
    assert_int_equal(pthread_create(&thread, NULL, write_on, ring), 0);
    for (int64_t end = clock_mono() + 300000000; clock_mono() < end;) {
        for (uint64_t trace = 1; trace <= 2; trace++) {
            find(trace);
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(found[i].type, (uint16_t)found[i].at);
                assert_int_equal(found[i].at & 1, trace - 1);
                seen++;
            }
        }
    }
    atomic_store(&ending, true);
    pthread_join(thread, NULL);
    assert_true(find(1) + seen > 0);
    trace_ring_close(ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_rings_in_order),
        cmocka_unit_test(test_the_last_ones_stay),
        cmocka_unit_test(test_reading_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
