#include "actors/lib/moves.h"

struct move {
    enum kind machine;
    uint32_t from;
    uint32_t to;
};

#define MOVE(machine, from, to)                                                                    \
    { KIND_##machine, machine##_##from, machine##_##to }

static const struct move moves[] = {
    MOVE(sale_state, draft, scheduled),
    MOVE(sale_state, scheduled, warming),
    MOVE(sale_state, warming, ready),
    MOVE(sale_state, ready, open),
    MOVE(sale_state, open, paused),
    MOVE(sale_state, paused, open),
    MOVE(sale_state, open, closed),
    MOVE(sale_state, paused, closed),
    MOVE(sale_state, closed, draining),
    MOVE(sale_state, draining, settled),
    MOVE(sale_state, settled, archived),

    MOVE(lot_state, waiting, open),
    MOVE(lot_state, waiting, closed),
    MOVE(lot_state, open, paused),
    MOVE(lot_state, open, closed),
    MOVE(lot_state, paused, open),
    MOVE(lot_state, paused, closed),
    MOVE(lot_state, closed, settled),

    MOVE(order_state, awaiting_payment, paying),
    MOVE(order_state, awaiting_payment, cancelled),
    MOVE(order_state, awaiting_payment, expired),
    MOVE(order_state, paying, paid),
    MOVE(order_state, paying, cancelled),
    MOVE(order_state, paying, expired),
    MOVE(order_state, paid, shipped),
    MOVE(order_state, paid, refund_pending),
    MOVE(order_state, refund_pending, refunded),
    MOVE(order_state, shipped, completed),
    MOVE(order_state, expired, paid),

    MOVE(payment_state, created, pending),
    MOVE(payment_state, created, succeeded),
    MOVE(payment_state, created, failed),
    MOVE(payment_state, created, unknown),
    MOVE(payment_state, pending, succeeded),
    MOVE(payment_state, pending, failed),
    MOVE(payment_state, pending, unknown),
    MOVE(payment_state, unknown, pending),
    MOVE(payment_state, unknown, succeeded),
    MOVE(payment_state, unknown, failed),

    MOVE(refund_state, pending, succeeded),
    MOVE(refund_state, pending, failed),
    MOVE(refund_state, failed, pending),
};

bool machine_may_move(enum kind machine, uint32_t from, uint32_t to) {
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (moves[i].machine == machine && moves[i].from == from && moves[i].to == to) return true;
    }
    return false;
}
