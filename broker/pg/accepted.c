/* purchase_short's short answer: a row with n = 0 accepts every purchase of its lot as it was asked
 * (schema/sql/0013_purchase_short.sql); its pay_by is how long that may stay unpaid. */
#include "broker/pg/statements.h"

#define US INT64_C(1000)

bool accepted_is_for(const struct decided *all, const struct purchase *want) {
    return want->lot_id == all->lot_id;
}

void accepted_fill(struct decided *body, const struct decided *all, const struct purchase *want) {
    int64_t now = want->now / US * US; /* PostgreSQL keeps microseconds. */
    *body = *all;
    body->rid = body->order_rid = want->rid;
    body->order_id = want->order_id;
    body->user_id = want->user_id;
    body->quantity = want->quantity;
    body->created_at = now;
    body->pay_by = all->pay_by > INT64_MAX - now ? INT64_MAX : now + all->pay_by;
}
