/* Every pair of states of every machine: allowed exactly where the pictures say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/lib/moves.h"
#include "actors/order/states.h"

/* Written down a second time, from the pictures, as "from>to from>to …". */
static const struct {
    enum kind machine;
    uint32_t states;
    const char *legal;
} machines[] = {
    { KIND_sale_state, 10,
      " draft>scheduled scheduled>warming warming>ready ready>open open>paused paused>open"
      " open>closed paused>closed closed>draining draining>settled settled>archived " },
    { KIND_lot_state, 5,
      " waiting>open waiting>closed open>paused open>closed paused>open paused>closed"
      " closed>settled " },
    { KIND_order_state, 12,
      " awaiting_payment>paying awaiting_payment>cancelled awaiting_payment>expired paying>paid"
      " paying>cancelled paying>expired paid>shipped paid>refund_pending refund_pending>refunded"
      " shipped>completed expired>paid " },
    { KIND_payment_state, 5,
      " created>pending created>succeeded created>failed created>unknown pending>succeeded"
      " pending>failed pending>unknown unknown>pending unknown>succeeded unknown>failed " },
    { KIND_refund_state, 3, " pending>succeeded pending>failed failed>pending " },
};

static void every_pair(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        enum kind machine = machines[i].machine;
        uint32_t pairs = 0, moves = 0;
        assert_null(state_name(machine, machines[i].states + 1)); /* All are tried. */
        for (uint32_t from = 0; from <= machines[i].states; from++) {
            for (uint32_t to = 0; to <= machines[i].states; to++) {
                char pair[80];
                snprintf(pair, sizeof pair, " %s>%s ", state_name(machine, from),
                         state_name(machine, to));
                bool legal = strstr(machines[i].legal, pair) != NULL;
                if (machine_may_move(machine, from, to) != legal) {
                    fail_msg("%s:%s", kind_name(machine), pair);
                }
                pairs++;
                moves += legal;
            }
        }
        assert_true(moves > 0 && moves < pairs);
    }
}

static void paid_is_never_cancelled(void **state) {
    (void)state;
    assert_false(order_may_move(order_state_paid, order_state_cancelled));
    assert_false(order_may_move(order_state_cancelled, order_state_paid));
    assert_true(order_may_move(order_state_expired, order_state_paid));
}

static void units_follow_the_state(void **state) {
    (void)state;
    assert_true(order_holds_units(order_state_paying));
    assert_true(order_holds_units(order_state_refund_pending));
    assert_false(order_holds_units(order_state_expired));
    assert_false(order_holds_units(order_state_cancelled));
    assert_false(order_holds_units(order_state_pending));
    assert_true(order_is_unpaid(order_state_paying));
    assert_false(order_is_unpaid(order_state_paid));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(paid_is_never_cancelled),
        cmocka_unit_test(units_follow_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
