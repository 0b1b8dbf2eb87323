/* Batches of messages handed from one thread of a process to another by their address: what stands
 * in a parcel belongs to whoever has it, so nothing is encoded and nothing is shared.
 *
 * Each thread has a stock of empty parcels.  It takes one, fills it, and gives it away; the
 * receiver reads it and puts it back into the stock it came from, whose memory is used again.  Only
 * parcel_back() may be called by other threads than the owner of the stock.  No locks, no waiting.
 */
#ifndef PARCEL_H
#define PARCEL_H

#include <stdatomic.h>

#include "broker/batch.h"

struct parcel {
    struct batch batch;
    struct parcel_stock *home;
    struct parcel *next; /* In the stock; or as whoever has it likes. */
};

/* Zero it to start. */
struct parcel_stock {
    struct parcel *kept;               /* The owner's. */
    _Atomic(struct parcel *) returned; /* Everybody's: pushed one by one, taken all at once. */
};

/* Frees what is in the stock.  All its parcels must have come back, or be freed with
 * parcel_free(). */
void parcel_stock_fini(struct parcel_stock *self);

/* An empty one; aborts when the system has no memory. */
struct parcel *parcel_take(struct parcel_stock *self);

/* Empties it and sends it home. */
void parcel_back(struct parcel *self);

/* Instead of sending it home.  NULL is harmless. */
void parcel_free(struct parcel *self);

#endif
