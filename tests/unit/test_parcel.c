#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "broker/parcel.h"

static void put(struct parcel *parcel, int64_t id) {
    struct done body = { .id = id };
    batch_append(&parcel->batch, &(struct message){ { .type = MSG_done }, &body });
}

static void a_parcel_comes_home_empty(void **state) {
    (void)state;
    struct parcel_stock stock = { 0 };
    struct parcel *first = parcel_take(&stock), *second = parcel_take(&stock);
    assert_ptr_not_equal(first, second);
    put(first, 7);
    parcel_back(first);
    struct parcel *again = parcel_take(&stock);
    assert_ptr_equal(again, first);
    assert_int_equal(again->batch.count, 0);
    parcel_back(again);
    parcel_back(second);
    parcel_stock_fini(&stock);
}

enum { ROUNDS = 5000, READERS = 3 };

/* What a reader got, one place for each; the owner fills it when it is empty. */
struct desk {
    _Atomic(struct parcel *) place;
    int64_t next;
    uint64_t wrong;
};

static void *read_all(void *argument) {
    struct desk *desk = argument;
    while (desk->next < ROUNDS) {
        struct parcel *parcel = atomic_exchange(&desk->place, NULL);
        if (parcel == NULL) continue;
        if (parcel->batch.count != 1 || BODY(&parcel->batch.items[0], done)->id != desk->next)
            desk->wrong++;
        desk->next++;
        parcel_back(parcel);
    }
    return NULL;
}

/* Several threads give back at once: none is lost, none is given out while somebody has it. */
static void readers_give_back_at_once(void **state) {
    (void)state;
    struct parcel_stock stock = { 0 };
    static struct desk desks[READERS];
    pthread_t readers[READERS];
    int64_t given[READERS] = { 0 };
    for (int i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, read_all, &desks[i]);
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < READERS; i++) {
            if (given[i] == ROUNDS) continue;
            more = true;
            if (atomic_load(&desks[i].place) != NULL) continue;
            struct parcel *parcel = parcel_take(&stock);
            put(parcel, given[i]++);
            atomic_store(&desks[i].place, parcel);
        }
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
        assert_int_equal(desks[i].wrong, 0);
    }
    parcel_stock_fini(&stock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parcel_comes_home_empty),
        cmocka_unit_test(readers_give_back_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
