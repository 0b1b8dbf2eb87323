/* The bounded containers of actors/lib against plain models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/lib/bloom.h"
#include "actors/lib/chunks.h"
#include "actors/lib/heap.h"
#include "actors/lib/idmap.h"
#include "actors/lib/ring.h"
#include "actors/lib/slots.h"

static uint64_t random_state = 42;
static uint32_t draw(uint32_t below) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void idmap_like_an_array(void **state) {
    (void)state;
    enum { IDS = 40, CELLS = 64, ROUNDS = 200000 };
    static struct idmap_cell cells[CELLS];
    uint32_t model[IDS] = { 0 }, count = 0, value;
    struct idmap map;
    idmap_init(&map, cells, CELLS);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t at = draw(IDS);
        int64_t id = (int64_t)at * 1000003 + 1;
        if (draw(2) == 0) {
            assert_true(idmap_put(&map, id, (uint32_t)i + 1));
            if (model[at] == 0) count++;
            model[at] = (uint32_t)i + 1;
        } else {
            assert_int_equal(idmap_remove(&map, id), model[at] != 0);
            if (model[at] != 0) count--;
            model[at] = 0;
        }
        assert_int_equal(map.count, count);
        uint32_t other = draw(IDS);
        bool found = idmap_get(&map, (int64_t)other * 1000003 + 1, &value);
        assert_int_equal(found, model[other] != 0);
        if (found) assert_int_equal(value, model[other]);
    }
}

/* Ids in sequence, scattered, and in a few clusters: all are found at every size it grows through,
 * and after half of them have gone again. */
static void idmap_grows(void **state) {
    (void)state;
    enum { GROWN = 65536 };
    static struct idmap_cell cells[GROWN];
    static const int64_t factors[] = { 1, 8, 64, INT64_C(0x5851f42d4c957f2d) >> 17 };
    for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++) {
        struct idmap map;
        uint32_t value;
        idmap_init(&map, cells, GROWN);
        uint32_t capacity = idmap_capacity(&map);
        for (uint32_t i = 1; i <= capacity; i++) {
            assert_true(idmap_put(&map, (int64_t)i * factors[f], i));
            if ((i & (i - 1)) != 0 && (i & 1023) != 0) continue;
            for (uint32_t k = 1; k <= i; k++)
                assert_true(idmap_get(&map, (int64_t)k * factors[f], &value) && value == k);
        }
        for (uint32_t i = 2; i <= capacity; i += 2)
            assert_true(idmap_remove(&map, (int64_t)i * factors[f]));
        for (uint32_t i = 1; i <= capacity; i++) {
            assert_int_equal(idmap_get(&map, (int64_t)i * factors[f], &value), i & 1);
        }
        idmap_clear(&map);
        for (uint32_t i = 0; i < GROWN; i++)
            assert_true(cells[i].id == 0);
    }
}

static void idmap_full_says_so(void **state) {
    (void)state;
    static struct idmap_cell cells[16];
    struct idmap map;
    uint32_t value;
    idmap_init(&map, cells, 16);
    uint32_t capacity = idmap_capacity(&map);
    for (uint32_t i = 1; i <= capacity; i++)
        assert_true(idmap_put(&map, i, i));
    assert_false(idmap_put(&map, 1000, 1));
    assert_int_equal(map.count, capacity);
    assert_true(idmap_put(&map, 3, 33)); /* Replacing still works. */
    assert_true(idmap_get(&map, 3, &value));
    assert_int_equal(value, 33);
    assert_false(idmap_get(&map, 1000, &value));
    idmap_clear(&map);
    assert_false(idmap_get(&map, 3, &value));
    assert_false(idmap_get(&map, 0, &value));
}

static void heap_comes_in_order(void **state) {
    (void)state;
    enum { SLOTS = 200 };
    static struct heap_item items[SLOTS];
    static uint32_t places[SLOTS];
    int64_t keys[SLOTS] = { 0 };
    struct heap heap;
    heap_init(&heap, items, places, SLOTS);
    for (int i = 0; i < 20000; i++) {
        uint32_t slot = draw(SLOTS);
        if (draw(3) == 0) {
            assert_int_equal(heap_remove(&heap, slot), keys[slot] != 0);
            keys[slot] = 0;
        } else {
            keys[slot] = 1 + draw(50);
            heap_set(&heap, slot, keys[slot]);
        }
        heap_check(&heap);
        uint32_t best = SLOTS;
        for (uint32_t s = 0; s < SLOTS; s++) {
            if (keys[s] != 0 && (best == SLOTS || keys[s] < keys[best])) best = s;
        }
        const struct heap_item *first = heap_first(&heap);
        if (best == SLOTS)
            assert_null(first);
        else
            assert_int_equal(first->slot, best); /* Equal keys: the smaller slot. */
    }
}

static void ring_keeps_order_and_bound(void **state) {
    (void)state;
    int64_t memory[5], value;
    struct ring ring;
    int64_t in = 0, out = 0;
    ring_init(&ring, memory, sizeof memory[0], 5);
    for (int i = 0; i < 10000; i++) {
        if (draw(2) == 0) {
            bool fits = in - out < 5;
            assert_int_equal(ring_push(&ring, &in), fits);
            if (fits) in++;
        } else if (in == out) {
            assert_null(ring_first(&ring));
            assert_false(ring_pop(&ring, &value));
        } else {
            memcpy(&value, ring_first(&ring), sizeof value);
            assert_int_equal(value, out);
            assert_true(ring_pop(&ring, &value));
            assert_int_equal(value, out);
            out++;
        }
    }
}

static void slots_and_chain(void **state) {
    (void)state;
    enum { SLOTS = 8 };
    static struct link free_links[SLOTS], list_links[SLOTS];
    struct slots slots;
    struct chain chain;
    uint32_t slot;
    slots_init(&slots, free_links, SLOTS);
    chain_init(&chain, list_links);
    for (uint32_t i = 0; i < SLOTS; i++) {
        assert_true(slots_take(&slots, &slot));
        assert_int_equal(slot, i);
        chain_append(&chain, slot);
    }
    assert_false(slots_take(&slots, &slot));
    chain_remove(&chain, 0); /* first, middle, last */
    chain_remove(&chain, 4);
    chain_remove(&chain, 7);
    static const uint32_t left[] = { 1, 2, 3, 5, 6 };
    assert_true(chain_first(&chain, &slot));
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(slot, left[i]);
        assert_int_equal(chain_next(&chain, &slot), i < 4);
    }
    slots_give(&slots, 4);
    assert_true(slots_take(&slots, &slot));
    assert_int_equal(slot, 4);
    assert_int_equal(chain.count, 5);
}

static void chunks_keep_texts(void **state) {
    (void)state;
    enum { CHUNKS = 10 };
    static struct chunk items[CHUNKS];
    struct chunks chunks;
    char text[1024], copy[1024];
    uint32_t a, b, c;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    chunks_init(&chunks, items, CHUNKS);
    assert_true(chunks_put(&chunks, (struct text){ text, CHUNK_BYTES * 2 }, &a));
    assert_true(chunks_put(&chunks, (struct text){ text + 7, 1000 }, &b) == false);
    assert_int_equal(chunks.used, 2);
    assert_true(chunks_put(&chunks, (struct text){ text + 7, 900 }, &b));
    assert_int_equal(chunks.used, 10);
    assert_true(chunks_put(&chunks, (struct text){ NULL, 0 }, &c));
    assert_int_equal(c, 0);
    chunks_get(&chunks, b, 900, copy);
    assert_memory_equal(copy, text + 7, 900);
    chunks_drop(&chunks, a);
    chunks_drop(&chunks, c);
    assert_int_equal(chunks.used, 8);
    assert_true(chunks_put(&chunks, (struct text){ text + 50, 130 }, &a));
    chunks_get(&chunks, a, 130, copy);
    assert_memory_equal(copy, text + 50, 130);
    chunks_get(&chunks, b, 900, copy);
    assert_memory_equal(copy, text + 7, 900);
    chunks_drop(&chunks, a);
    chunks_drop(&chunks, b);
    assert_int_equal(chunks.used, 0);
}

static void bloom_never_forgets(void **state) {
    (void)state;
    static uint8_t filter[BLOOM_MAX];
    for (uint64_t ids = 1; ids <= 40000; ids = ids * 5 + 3) {
        uint32_t size = bloom_size(ids), wrong = 0;
        assert_true(size >= BLOOM_MIN && size <= BLOOM_MAX && (size & (size - 1)) == 0);
        memset(filter, 0, sizeof filter);
        for (uint64_t i = 0; i < ids; i++)
            bloom_add(filter, size, (int64_t)(i * 7919 + 1));
        for (uint64_t i = 0; i < ids; i++) {
            assert_true(bloom_may_have(filter, size, (int64_t)(i * 7919 + 1)));
        }
        for (int64_t i = 0; i < 10000; i++)
            wrong += bloom_may_have(filter, size, -i - 1);
        assert_true(wrong < 400); /* 4 in 100, where 8 bits remain for each id. */
    }
    assert_true(bloom_size(UINT64_MAX) == BLOOM_MAX);
}

static void bloom_widened_is_the_same(void **state) {
    (void)state;
    static uint8_t few[BLOOM_MIN], many[BLOOM_MAX];
    for (int64_t id = 1; id <= 12; id++)
        bloom_add(few, sizeof few, id * 7919);
    bloom_widen(many, sizeof many, few, sizeof few);
    for (int64_t id = 1; id <= 12; id++)
        assert_true(bloom_may_have(many, sizeof many, id * 7919));
    for (int64_t id = 1; id <= 1000; id++)
        assert_int_equal(bloom_may_have(many, sizeof many, -id),
                         bloom_may_have(few, sizeof few, -id));
}

static void bloom_knowing_nothing_says_perhaps(void **state) {
    (void)state;
    uint8_t filter[BLOOM_MIN] = { 0 };
    assert_true(bloom_may_have(filter, 0, 1));
    assert_true(bloom_may_have(filter, 48, 1)); /* No such size. */
    assert_false(bloom_may_have(filter, BLOOM_MIN, 1));
    assert_true(bloom_add(filter, BLOOM_MIN, 1));
    assert_false(bloom_add(filter, BLOOM_MIN, 1));
}

/* A bridge and an inventory of different versions must agree for ever. */
static void hash_is_fixed(void **state) {
    (void)state;
    assert_true(id_hash(1) == UINT64_C(0x2ebeabf833a53062));
    assert_true(id_hash(INT64_MAX) == UINT64_C(0xa042de73b15eb577));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idmap_like_an_array),
        cmocka_unit_test(idmap_full_says_so),
        cmocka_unit_test(idmap_grows),
        cmocka_unit_test(heap_comes_in_order),
        cmocka_unit_test(ring_keeps_order_and_bound),
        cmocka_unit_test(slots_and_chain),
        cmocka_unit_test(chunks_keep_texts),
        cmocka_unit_test(bloom_never_forgets),
        cmocka_unit_test(bloom_widened_is_the_same),
        cmocka_unit_test(bloom_knowing_nothing_says_perhaps),
        cmocka_unit_test(hash_is_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
