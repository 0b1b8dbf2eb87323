/* G4: at most one order for a ticket, at most one outcome for a reservation. */
#include <inttypes.h>

#include "tests/sim/check.h"

static void on_commit(struct world *self) {
    struct model_pg *pg = self->pg;
    for (uint32_t k = 0; k < pg->order_count; k++) {
        const struct pg_order *order = &pg->orders[k];
        if (model_pg_refusal(pg, order->rid) != NULL) {
            world_fail(self, "G4", order->order_id, "rid %" PRId64 " is accepted and refused",
                       order->rid);
        }
        if (model_pg_order(pg, order->order_id) != order ||
            model_pg_order_of(pg, order->rid) != order) {
            world_fail(self, "G4", order->order_id,
                       "order %" PRId64 " or its rid %" PRId64 " is there twice", order->order_id,
                       order->rid);
        }
    }
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    if (in->head.type != MSG_order_view || request->type == MSG_order_list) return;
    const struct order_view *view = BODY(in, order_view);
    if (view->order_id == ticket->order_id || request->cheat == CHEAT_peek) return;
    world_fail(self, "G4", ticket->order_id, "ticket %" PRId64 " was answered with order %" PRId64,
               ticket->order_id, view->order_id);
}

const struct checker check_once = { .rule = "G4",
                                    .promise = "one order for a ticket, one outcome for a rid",
                                    .on_commit = on_commit,
                                    .on_answer = on_answer };
