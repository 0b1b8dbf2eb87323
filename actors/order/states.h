/* The life of an order (drawn in actors/lib/moves.h), and what its states mean for its units.
 *
 *                     .--------> cancelled
 *                     |  .-----> expired --------.
 *                     |  |                       | late money, new units
 *   awaiting_payment -+--+-> paying ---> paid <--'  ---> shipped ---> completed
 *                     '-- cancelled | expired  '---> refund_pending ---> refunded
 *
 * pending, refused and void are answers about an attempt and never kept. */
#ifndef ORDER_STATES_H
#define ORDER_STATES_H

#include "schema/schema.h"

bool order_may_move(enum order_state from, enum order_state to);
/* Its units are its own: not back in the lot. */
bool order_holds_units(enum order_state state);
/* It expires unless it is paid. */
bool order_is_unpaid(enum order_state state);

#endif
