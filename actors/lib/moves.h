/* Which state may follow which.  One table for every machine of states.def that has a life:
 *
 * sale      draft -> scheduled -> warming -> ready -> open <-> paused
 *                                                      open | paused -> closed -> draining
 *                                                      draining -> settled -> archived
 * lot       waiting -> open <-> paused;  waiting | open | paused -> closed -> settled
 * order     awaiting_payment -> paying -> paid -> shipped -> completed
 *           awaiting_payment | paying -> cancelled | expired
 *           paid -> refund_pending -> refunded
 *           expired -> paid      (late money that got a unit again, by a new reservation)
 *           paid -> cancelled is forbidden: money moves back by a refund, never by a cancel.
 * payment   created -> pending -> succeeded | failed | unknown;  unknown -> pending | succeeded |
 *           failed;  created -> succeeded | failed | unknown (the result overtook our own commit,
 *           or the provider never answered)
 * refund    pending -> succeeded | failed;  failed -> pending (sent again by the same id)
 *
 * A state never follows itself: who finds a thing where it should go has nothing to do. */
#ifndef MOVES_H
#define MOVES_H

#include "schema/schema.h"

/* KIND_sale_state, KIND_lot_state, KIND_order_state, KIND_payment_state or KIND_refund_state; other
 * kinds have no life and no moves. */
bool machine_may_move(enum kind machine, uint32_t from, uint32_t to);

#endif
