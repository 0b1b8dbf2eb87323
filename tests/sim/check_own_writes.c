/* G16: whoever has been told of his order finds it, at every bridge, and in his list. */
#include <inttypes.h>

#include "tests/sim/check.h"

/* A list of which a row was lost on the way tells how many there were. */
static void on_list(struct world *self, struct request *request, const struct ticket *ticket,
                    const struct message *in) {
    if (in->head.type == MSG_order_view) {
        request->rows++;
        if (BODY(in, order_view)->order_id == ticket->order_id) request->yes = true;
    }
    if (in->head.type != MSG_rows_end || request->yes) return;
    if (request->rows != BODY(in, rows_end)->count) return;
    world_fail(self, "G16", ticket->order_id, "order %" PRId64 " is missing in its owner's list",
               ticket->order_id);
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    bool told_before = ticket->yes_at != 0 && ticket->yes_at <= request->sent_at;
    if (!told_before || ticket->excused || request->cheat != CHEAT_none) return;
    if (request->type == MSG_order_list) {
        on_list(self, request, ticket, in);
        return;
    }
    if (request->type != MSG_order_get && request->type != MSG_order_cancel) return;
    bool missing = in->head.type == MSG_failed && BODY(in, failed)->problem == PROBLEM_not_found;
    if (!missing) return;
    world_fail(self, "G16", ticket->order_id,
               "order %" PRId64 " was told of, and is not found by its owner", ticket->order_id);
}

const struct checker check_own_writes = { .rule = "G16",
                                          .promise = "whoever was told of an order finds it",
                                          .on_answer = on_answer };
