#include "actors/order/states.h"

#include "actors/lib/moves.h"

bool order_may_move(enum order_state from, enum order_state to) {
    return machine_may_move(KIND_order_state, from, to);
}

bool order_is_unpaid(enum order_state state) {
    return state == order_state_awaiting_payment || state == order_state_paying;
}

bool order_holds_units(enum order_state state) {
    switch (state) {
    case order_state_awaiting_payment:
    case order_state_paying:
    case order_state_paid:
    case order_state_shipped:
    case order_state_completed:
    case order_state_refund_pending: return true;
    case order_state_cancelled:
    case order_state_expired:
    case order_state_refunded:
    case order_state_pending:
    case order_state_refused:
    case order_state_void:
    case order_state_none: return false;
    }
    return false;
}
