/* G6: nobody sees two different final states of one attempt. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/check.h"

static bool is_definite_no(const struct request *request, const struct message *in) {
    if (in->head.type == MSG_order_view) {
        enum order_state state = BODY(in, order_view)->state;
        return state == order_state_refused || state == order_state_void;
    }
    if (in->head.type != MSG_failed || request->type != MSG_order_create) return false;
    enum problem problem = BODY(in, failed)->problem;
    if (problem == PROBLEM_duplicate) return false; /* About another use of the ticket. */
    int status = problem_http(problem);
    return status != 503 && status != 429;
}

static bool is_yes(const struct message *in) {
    if (in->head.type != MSG_order_view) return false;
    enum order_state state = BODY(in, order_view)->state;
    return state != order_state_pending && state != order_state_refused &&
           state != order_state_void;
}

/* Negative: told refused; else told void. */
static void note_rid(struct ticket *ticket, int64_t rid) {
    for (uint32_t i = 0; i < ticket->told_count; i++)
        if (ticket->told[i] == rid) return;
    if (rid == 0 || ticket->told_count == TOLD_MAX) return;
    if (ticket->told == NULL) ticket->told = calloc(TOLD_MAX, sizeof *ticket->told);
    if (ticket->told == NULL) abort();
    ticket->told[ticket->told_count++] = rid;
}

static void on_answer(struct world *self, struct request *request, struct ticket *ticket,
                      const struct message *in) {
    if (request->cheat != CHEAT_none || request->type == MSG_order_list || ticket->excused) return;
    request->yes = request->yes || is_yes(in);
    if (in->head.type == MSG_failed && (BODY(in, failed)->problem == PROBLEM_internal ||
                                        BODY(in, failed)->problem == PROBLEM_malformed)) {
        world_fail(self, "G5", ticket->order_id, "told %s",
                   problem_name(BODY(in, failed)->problem));
    }
    if (!is_definite_no(request, in)) return;
    request->no = true;
    if (in->head.type == MSG_order_view) {
        const struct order_view *view = BODY(in, order_view);
        note_rid(ticket, view->state == order_state_void ? view->rid : -view->rid);
    }
    if (ticket->yes_at != 0 && request->sent_at >= ticket->yes_at) {
        world_fail(self, "G6", ticket->order_id,
                   "ticket %" PRId64 " had its order, and was then told no", ticket->order_id);
    }
    if (request->yes) {
        world_fail(self, "G6", ticket->order_id,
                   "one request heard both yes and no (order %" PRId64 ")", ticket->order_id);
    }
}

static void check_ticket(struct world *self, const struct ticket *ticket) {
    for (uint32_t i = 0; i < ticket->told_count; i++) {
        int64_t rid = ticket->told[i];
        bool refused = rid < 0;
        if (refused) rid = -rid;
        bool accepted = model_pg_order_of(self->pg, rid) != NULL;
        bool kept = model_pg_refusal(self->pg, rid) != NULL;
        if (refused && !kept) {
            world_fail(self, "G6", ticket->order_id, "rid %" PRId64 " was told refused, and is not",
                       rid);
        } else if (!refused && (accepted || kept)) {
            world_fail(self, "G6", ticket->order_id,
                       "rid %" PRId64 " was told void, and was decided", rid);
        }
    }
}

static void at_quiet(struct world *self) {
    for (uint32_t i = 0; i < self->ticket_count; i++)
        if (!self->tickets[i].excused) check_ticket(self, &self->tickets[i]);
}

const struct checker check_contradiction = { .rule = "G6",
                                             .promise = "nobody hears two final answers",
                                             .on_answer = on_answer,
                                             .at_quiet = at_quiet };
