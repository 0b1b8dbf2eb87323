/* A lot to buy from, requests to buy and give back, and what must hold afterwards.  For the tests
 * of the purchase path on a real PostgreSQL; failing checks end the cmocka test. */
#ifndef PG_LOT_H
#define PG_LOT_H

#include "tests/lib/pg_harness.h"

#define S    INT64_C(1000000000)
#define NOW  (INT64_C(1800000000) * S)
#define HOME "{\"name\":\"A \\\"Q\\\" Person\",\"city\":\"Köln\\\\\"}"
enum { LOT = 100, SALE = 10, SKU = 3, EPOCH = 5 };

extern struct pg_harness pg;

/* Rids of shard 0 and EPOCH, rising from 1 since fresh_lot. */
int64_t next_rid(void);
/* A lot of so many units, in an open sale with a pay window of 60 s, and no orders. */
void fresh_lot(int64_t units, int limit);
struct purchase *put_purchase(int64_t rid, int64_t order_id, int64_t user_id, uint32_t quantity);
struct order_return *put_return(int64_t order_id, enum order_state to, int64_t now);
const struct decided *decided(uint32_t n);
const struct returned *returned(uint32_t n);
void assert_refused(uint32_t n, enum problem reason);
/* Guarantees that hold after everything: sold is what orders hold, and the fold of movements. */
void assert_account(void);

#endif
