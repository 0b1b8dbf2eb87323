/* Stories: a stage of a few lines, and what everybody says to everybody, as a text to be read.
 *
 * Each text stands beside this file.  UPDATE_STORIES=1 writes them anew; then read them, and keep
 * them only if they are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/lib/story.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

enum { LOT = 11 };

/* ---- The stage ---- */

static char *text;
static size_t text_size;

/* A shop with one lot, open and quiet; what follows is told. */
static struct world *stage(int64_t units, int64_t window_s, const char *title) {
    struct world *world = world_open(&(struct world_options){ .seed = 1 });
    world_lot(world, LOT, units, 1, window_s * SIM_SECOND);
    world_pass(world, 2000 * SIM_MS);
    world->trace = open_memstream(&text, &text_size);
    assert_non_null(world->trace);
    world->story_began = world->now;
    fprintf(world->trace, "%s\n\n", title);
    return world;
}

static void buyer(struct world *world, enum wish wish, int64_t after_ms, bool double_click) {
    shopper_add(world, &(struct shopper){ .lot_id = LOT,
                                          .quantity = 1,
                                          .wish = (uint8_t)wish,
                                          .double_click = double_click,
                                          .begins = after_ms * SIM_MS,
                                          .patience = 3 * SIM_SECOND });
}

/* Lets it go on, compares what was told, and looks whether all is well. */
static void end(struct world *world, int64_t span_ms, const char *path) {
    world_pass(world, span_ms * SIM_MS);
    fclose(world->trace);
    world->trace = NULL;
    assert_false(world->failure.is);
    assert_int_equal(world->shoppers_done, world->shopper_count);
    check_end(world);
    assert_false(world->failure.is);
    assert_null(check_quiet(world));
    story_compare(path, text);
    free(text);
    world_close(world);
}

/* Until Redis has taken units for the nth time. */
static void until_reserved(struct world *world, uint32_t nth) {
    while (world->rid_count < nth)
        assert_true(world_step(world));
}

/* ---- The stories ---- */

static void buy(void **state) {
    (void)state;
    struct world *world = stage(5, 30, "Somebody buys one of five units and pays.");
    buyer(world, WISH_pay, 0, false);
    end(world, 8000, "tests/trace/buy.txt");
}

static void last_unit(void **state) {
    (void)state;
    struct world *world = stage(1, 30, "Two want the last unit: one gets it, the other is told.");
    buyer(world, WISH_pay, 0, false);
    buyer(world, WISH_pay, 0, false);
    end(world, 8000, "tests/trace/last_unit.txt");
}

static void double_click(void **state) {
    (void)state;
    struct world *world = stage(5, 30, "The button is clicked twice: one order, told twice.");
    buyer(world, WISH_cancel, 0, true);
    end(world, 8000, "tests/trace/double_click.txt");
}

static void expiry(void **state) {
    (void)state;
    struct world *world = stage(1, 2, "The last unit is not paid, comes back, and is sold again.");
    buyer(world, WISH_abandon, 0, false);
    buyer(world, WISH_pay, 2500, false);
    end(world, 9000, "tests/trace/expiry.txt");
}

static void late_payment(void **state) {
    (void)state;
    struct world *world = stage(
        1, 2, "The money comes after the order has expired; a unit is free and is taken again.");
    buyer(world, WISH_pay_late, 0, false);
    end(world, 9000, "tests/trace/late_payment.txt");
}

static void late_payment_without_unit(void **state) {
    (void)state;
    struct world *world =
        stage(1, 2, "The money comes too late, somebody else has the unit: it goes back.");
    buyer(world, WISH_pay_late, 0, false);
    buyer(world, WISH_pay, 2150, false);
    end(world, 12000, "tests/trace/late_payment_without_unit.txt");
}

static void crash_after_reserve(void **state) {
    (void)state;
    struct world *world =
        stage(5, 30, "The order actor crashes when the unit is taken and journalled.");
    buyer(world, WISH_cancel, 0, false);
    until_reserved(world, 1);
    seat_crash(world, seat_find(world, ACTOR_order));
    world_pass(world, 400 * SIM_MS);
    seat_restart(world, seat_find(world, ACTOR_order));
    end(world, 12000, "tests/trace/crash_after_reserve.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buy),
        cmocka_unit_test(last_unit),
        cmocka_unit_test(double_click),
        cmocka_unit_test(expiry),
        cmocka_unit_test(late_payment),
        cmocka_unit_test(late_payment_without_unit),
        cmocka_unit_test(crash_after_reserve),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
