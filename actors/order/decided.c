/* decided -> order_view | failed to whoever waits;  undo of what was refused;  deadline_set; settle
 *
 *   accepted, same        the order is the answer; its unpaid time runs
 *   refused               undo, and the reason; the ticket may try again
 *   dup                   undo of the new reservation, and the first order is the answer
 *   fenced                nothing was written: forget it, recovery is under way or is asked for */
#include "actors/order/order.h"
#include "actors/order/states.h"
#include "schema/id.h"

static const int64_t fence_every = INT64_C(1000000000);

void order_set_deadline(struct outbox *out, int64_t order_id, int64_t at) {
    struct deadline_set *set = SEND(out, ACTOR_timer, deadline_set, NULL);
    set->kind = deadline_kind_pay_by;
    set->id = order_id;
    set->at = at;
}

void order_on_fence(struct order *self, int64_t now, struct outbox *out) {
    if (self->epoch == 0 || now < self->fence_at + fence_every) return;
    self->fence_at = now;
    struct recover *recover = SEND(out, ACTOR_inventory, recover, NULL);
    recover->reason = text_of("a statement or script was fenced");
    recover->epoch = self->epoch; /* Not needed when it is about to move on by itself. */
}

static void answer_view(struct order *self, const struct order_row *row, const struct decided *got,
                        bool replayed, struct outbox *out) {
    struct message cause = { .head = row->head };
    if (row->head.origin == NOBODY) return;
    struct text address = { NULL, row->address_size };
    if (address.size > 0) {
        char *copy = outbox_text(out, address.size);
        chunks_get(&self->chunks, row->address, address.size, copy);
        address.at = copy;
    }
    struct order_view *view = ANSWER(out, &cause, order_view);
    view->order_id = got->order_id;
    view->state = got->state;
    view->lot_id = got->lot_id != 0 ? got->lot_id : row->lot_id;
    view->quantity = got->quantity != 0 ? got->quantity : row->quantity;
    view->price = view->total = got->price;
    view->total.amount = got->price.amount * (int64_t)view->quantity;
    view->address = address; /* As asked now is as kept, or it had been refused. */
    view->pay_by = got->pay_by;
    view->created_at = got->created_at;
    view->user_id = got->user_id != 0 ? got->user_id : row->user_id;
    view->rid = got->order_rid != 0 ? got->order_rid : row->rid;
    view->replayed = replayed;
}

static void answer_refusal(const struct order_row *row, enum problem reason, struct outbox *out) {
    struct message cause = { .head = row->head };
    if (row->head.origin == NOBODY) return;
    struct failed *failed = ANSWER(out, &cause, failed);
    failed->problem = reason;
    failed->what = MSG_reserve;
    failed->id = row->order_id;
}

/* The new reservation goes.  Where the order exists but has given its units back, the buyer's entry
 * stays, with no units, so that the same ticket finds the order the next time as well.  Late money
 * is always for such an order. */
static bool undo_row(struct order *self, const struct order_row *row, bool keep, int64_t now,
                     struct outbox *out) {
    struct undo undo = { .rid = row->rid,
                         .order_id = row->order_id,
                         .user_id = row->user_id,
                         .lot_id = row->lot_id,
                         .quantity = row->quantity,
                         .keep = keep };
    return order_undo(self, &undo, now, out);
}

static bool exists_without_units(const struct decided *got) {
    return got->state != order_state_none && !order_holds_units(got->state);
}

/* False: not taken in; it will be asked again. */
static bool take_in(struct order *self, struct order_row *row, const struct decided *got,
                    int64_t now, struct outbox *out) {
    enum outcome outcome = got->outcome;
    if (outcome == outcome_same && got->reason != PROBLEM_none) outcome = outcome_refused;
    switch (outcome) {
    case outcome_accepted:
    case outcome_same:
        answer_view(self, row, got, outcome == outcome_same, out);
        if (order_is_unpaid(got->state)) order_set_deadline(out, got->order_id, got->pay_by);
        return true;
    case outcome_dup:
        if (!undo_row(self, row, exists_without_units(got), now, out)) return false;
        answer_view(self, row, got, true, out);
        return true;
    case outcome_refused: {
        if (!undo_row(self, row, row->kind == reserve_kind_late, now, out)) return false;
        answer_refusal(row, got->reason != PROBLEM_none ? got->reason : PROBLEM_internal, out);
        return true;
    }
    case outcome_fenced:
    case outcome_none: break;
    }
    return false;
}

void order_on_decided(struct order *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    const struct decided *got = BODY(in, decided);
    struct order_row *row = order_row(self, got->rid);
    bool order = got->outcome == outcome_accepted ||
                 (got->outcome == outcome_same && got->reason == PROBLEM_none);
    if (row == NULL || row->state == ROW_decided) {
        /* Given up meanwhile, or told twice. */
        if (row == NULL && order && order_is_unpaid(got->state)) {
            order_set_deadline(out, got->order_id, got->pay_by);
        }
        return;
    }
    self->journal.busy_at = now;
    self->answer_wait = 0; /* PostgreSQL speaks. */
    if (got->outcome == outcome_fenced) {
        order_tell_recovering(out, &row->head, row->order_id);
        bool current = rid_epoch(row->rid) >= self->epoch;
        order_row_drop(self, row);
        if (current) order_on_fence(self, now, out);
        order_back_off(self, now);
        return;
    }
    if (!take_in(self, row, got, now, out)) {
        if (row->state == ROW_asked) order_row_again(self, row);
        return;
    }
    self->backoff = self->retry_at = 0;
    int64_t entry = row->entry;
    order_row_decided(self, row);
    order_entry_decided(self, entry, now, out);
}
