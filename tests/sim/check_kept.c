/* G3: no accepted order is lost.  Whatever a buyer was told of is in PostgreSQL, then and at the
 * end. */
#include <inttypes.h>

#include "tests/sim/check.h"

static bool is_answer(enum order_state state) {
    return state == order_state_pending || state == order_state_refused ||
           state == order_state_void;
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    if (in->head.type != MSG_order_view || request->type == MSG_order_list) return;
    const struct order_view *view = BODY(in, order_view);
    if (is_answer(view->state) || request->cheat == CHEAT_peek) return;
    if (model_pg_order(self->pg, view->order_id) == NULL && !ticket->excused) {
        world_fail(self, "G3", view->order_id,
                   "a buyer was told of order %" PRId64 " (%s), which postgresql does not have",
                   view->order_id, state_name(KIND_order_state, view->state));
    }
    if (ticket->yes_at == 0 && view->order_id == ticket->order_id) ticket->yes_at = self->now;
}

static void at_quiet(struct world *self) {
    for (uint32_t i = 0; i < self->ticket_count; i++) {
        const struct ticket *ticket = &self->tickets[i];
        if (ticket->yes_at == 0 || ticket->excused) continue;
        if (model_pg_order(self->pg, ticket->order_id) != NULL) continue;
        world_fail(self, "G3", ticket->order_id, "order %" PRId64 " was told of and is gone",
                   ticket->order_id);
    }
}

const struct checker check_kept = { .rule = "G3",
                                    .promise = "no accepted order is lost",
                                    .on_answer = on_answer,
                                    .at_quiet = at_quiet };
