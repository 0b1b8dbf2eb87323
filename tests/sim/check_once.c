/* G4: at most one order for a ticket, at most one outcome for a reservation. */
#include <inttypes.h>

#include "tests/sim/check.h"

static void accepted_and_refused(struct world *self, int64_t order_id, int64_t rid) {
    world_fail(self, "G4", order_id, "rid %" PRId64 " is accepted and refused", rid);
}

/* The maps have as many ids and rids as there are rows: no two have the same. */
static void on_commit(struct world *self) {
    struct checks *checks = self->checks;
    struct model_pg *pg = self->pg;
    for (uint32_t i = 0; i < checks->changed_count; i++) {
        const struct pg_order *order = &pg->orders[checks->changed[i]];
        bool found = model_pg_order(pg, order->order_id) == order &&
                     model_pg_order_of(pg, order->rid) == order;
        if (model_pg_refusal(pg, order->rid) != NULL)
            accepted_and_refused(self, order->order_id, order->rid);
        if (found && pg->order_map.map.count == pg->order_count &&
            pg->rid_map.map.count == pg->order_count) {
            continue;
        }
        world_fail(self, "G4", order->order_id,
                   "order %" PRId64 " or its rid %" PRId64 " is there twice", order->order_id,
                   order->rid);
    }
    for (; checks->refusals_once < pg->refusal_count; checks->refusals_once++) {
        const struct pg_refusal *row = &pg->refusals[checks->refusals_once];
        if (model_pg_order_of(pg, row->rid) == NULL) continue;
        accepted_and_refused(self, row->order_id, row->rid);
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
