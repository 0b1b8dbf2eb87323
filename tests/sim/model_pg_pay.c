/* schema/sql/0005_payment.sql in C. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/model_pg.h"

static struct pg_payment *find(struct model_pg *self, int64_t payment_id) {
    for (uint32_t i = 0; i < self->payment_count; i++) {
        if (self->payments[i].payment_id == payment_id) return &self->payments[i];
    }
    return NULL;
}

static struct pg_refund *refund_of(struct model_pg *self, int64_t payment_id) {
    for (uint32_t i = 0; i < self->refund_count; i++) {
        if (self->refunds[i].payment_id == payment_id) return &self->refunds[i];
    }
    return NULL;
}

struct pg_payment *model_pg_late_money(struct model_pg *self, int64_t order_id) {
    struct pg_payment *least = NULL;
    for (uint32_t i = 0; i < self->payment_count; i++) {
        struct pg_payment *row = &self->payments[i];
        if (row->order_id != order_id || row->state != payment_state_succeeded) continue;
        if (refund_of(self, row->payment_id) != NULL) continue;
        if (least == NULL || row->payment_id < least->payment_id) least = row;
    }
    return least;
}

static void copy(char *to, size_t room, struct text text) {
    snprintf(to, room, "%.*s", (int)text.size, text.size > 0 ? text.at : "");
}

/* The view payment_rows. */
static void answer_row(struct model_pg *self, const struct message *in,
                       const struct pg_payment *payment, struct outbox *out) {
    const struct pg_order *order = model_pg_order(self, payment->order_id);
    const struct pg_refund *refund = refund_of(self, payment->payment_id);
    bool open = refund != NULL && refund->state == refund_state_pending;
    struct payment_row *row = REPLY(out, in, payment_row);
    row->payment_id = payment->payment_id;
    row->order_id = payment->order_id;
    row->user_id = payment->user_id;
    row->lot_id = order->lot_id;
    row->quantity = order->quantity;
    row->provider = text_of(payment->provider);
    row->state = payment->state;
    row->order_state = order->state;
    row->amount = (struct money){ payment->amount, "CNY" };
    row->pay_url = text_of(payment->url);
    row->provider_txn = text_of(payment->txn);
    row->pay_by = order->pay_by;
    row->refund_id = open ? refund->refund_id : 0;
    row->todo = open ? todo_refund : payment->todo;
}

static bool is_open(const struct pg_payment *payment) {
    return payment->state == payment_state_created || payment->state == payment_state_pending ||
           payment->state == payment_state_unknown;
}

static void payment_insert(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct payment_insert *want = BODY(in, payment_insert);
    struct pg_order *order = model_pg_order(self, want->order_id);
    struct pg_payment *open = NULL;
    if (order == NULL || order->user_id != want->user_id) {
        model_pg_failed(in, PROBLEM_not_found, out);
        return;
    }
    for (uint32_t i = 0; i < self->payment_count; i++) {
        struct pg_payment *row = &self->payments[i];
        if (row->order_id != want->order_id) continue;
        if (row->payment_id == want->payment_id)
            open = row;
        else if (is_open(row) && open == NULL)
            open = row;
    }
    bool waits = order->state == order_state_awaiting_payment || order->state == order_state_paying;
    if (!waits || order->pay_by <= model_pg_time(want->now)) {
        model_pg_failed(in, PROBLEM_illegal_state, out);
        return;
    }
    if (open == NULL && find(self, want->payment_id) != NULL) {
        model_pg_failed(in, PROBLEM_internal, out); /* Another order's. */
        return;
    }
    if (open == NULL) {
        self->payments = model_pg_grow(self->payments, self->payment_count, &self->payment_room,
                                       sizeof *self->payments);
        open = &self->payments[self->payment_count++];
        *open = (struct pg_payment){ .payment_id = want->payment_id,
                                     .order_id = want->order_id,
                                     .user_id = want->user_id,
                                     .amount = order->price * order->quantity,
                                     .touched_at = model_pg_time(want->now),
                                     .state = payment_state_created,
                                     .todo = todo_prepay };
        copy(open->provider, sizeof open->provider, want->provider);
        order->state = order_state_paying;
    }
    answer_row(self, in, open, out);
}

/* UNIQUE (provider, provider_txn) */
static bool txn_taken(const struct model_pg *self, int64_t payment_id, struct text provider,
                      struct text txn) {
    for (uint32_t i = 0; i < self->payment_count; i++) {
        const struct pg_payment *row = &self->payments[i];
        if (row->payment_id != payment_id && txn.size > 0 && text_is(txn, row->txn) &&
            text_is(provider, row->provider)) {
            return true;
        }
    }
    return false;
}

static void payment_pending(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct payment_pending *want = BODY(in, payment_pending);
    struct pg_payment *payment = find(self, want->payment_id);
    if (payment == NULL) {
        model_pg_failed(in, PROBLEM_not_found, out);
        return;
    }
    if (payment->txn[0] == 0 &&
        txn_taken(self, want->payment_id, text_of(payment->provider), want->provider_txn)) {
        model_pg_failed(in, PROBLEM_internal, out);
        return;
    }
    if (payment->txn[0] == 0) copy(payment->txn, sizeof payment->txn, want->provider_txn);
    copy(payment->url, sizeof payment->url, want->pay_url);
    payment->touched_at = model_pg_time(want->now);
    if (payment->state == payment_state_created || payment->state == payment_state_unknown) {
        payment->state = payment_state_pending;
        payment->todo = todo_query;
    }
    answer_row(self, in, payment, out);
}

static void payment_unknown(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct payment_unknown *want = BODY(in, payment_unknown);
    struct pg_payment *payment = find(self, want->payment_id);
    if (payment == NULL) {
        model_pg_failed(in, PROBLEM_not_found, out);
        return;
    }
    if (is_open(payment)) {
        payment->state = payment_state_unknown;
        payment->todo = todo_query;
        payment->touched_at = model_pg_time(want->now);
    }
    answer_row(self, in, payment, out);
}

static void refund_open(struct model_pg *self, struct pg_payment *payment, int64_t refund_id,
                        int64_t now) {
    payment->todo = todo_none;
    if (refund_of(self, payment->payment_id) != NULL) return;
    self->refunds =
        model_pg_grow(self->refunds, self->refund_count, &self->refund_room, sizeof *self->refunds);
    self->refunds[self->refund_count++] = (struct pg_refund){ .refund_id = refund_id,
                                                              .payment_id = payment->payment_id,
                                                              .order_id = payment->order_id,
                                                              .amount = payment->amount,
                                                              .touched_at = now,
                                                              .state = refund_state_pending };
}

static enum pay_outcome capture(struct model_pg *self, struct pg_payment *payment,
                                const struct payment_result *want) {
    struct pg_order *order = model_pg_order(self, payment->order_id);
    bool other = false;
    for (uint32_t i = 0; i < self->payment_count; i++) {
        const struct pg_payment *row = &self->payments[i];
        if (row != payment && row->order_id == payment->order_id &&
            row->state == payment_state_succeeded && refund_of(self, row->payment_id) == NULL) {
            other = true;
        }
    }
    bool late = order->state == order_state_expired && !other;
    payment->state = payment_state_succeeded;
    payment->todo = late ? todo_late : todo_none;
    if (want->provider_txn.size > 0) copy(payment->txn, sizeof payment->txn, want->provider_txn);
    payment->touched_at = model_pg_time(want->now);
    payment->captured += payment->amount;
    if (order->state == order_state_awaiting_payment || order->state == order_state_paying) {
        order->state = order_state_paid;
        model_pg_notice(self, notice_order_paid, order->user_id, order->order_id, want->now, 0);
        return pay_outcome_paid;
    }
    if (late) return pay_outcome_late;
    refund_open(self, payment, want->refund_id, model_pg_time(want->now));
    return pay_outcome_second;
}

static void payment_result(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct payment_result *want = BODY(in, payment_result);
    struct pg_payment *payment = find(self, want->payment_id);
    enum pay_outcome outcome = pay_outcome_already;
    bool says_amount = want->state == payment_state_succeeded || want->amount.amount != 0;
    if (payment == NULL) {
        outcome = pay_outcome_unmatched;
    } else if ((want->order_id != 0 && want->order_id != payment->order_id) ||
               !text_is(want->provider, payment->provider) ||
               (says_amount && (want->amount.amount != payment->amount ||
                                strcmp(want->amount.currency, "CNY") != 0)) ||
               txn_taken(self, want->payment_id, want->provider, want->provider_txn)) {
        outcome = pay_outcome_mismatch;
    } else if (want->state == payment_state_succeeded && payment->state != want->state) {
        outcome = capture(self, payment, want);
    } else if (want->state == payment_state_failed && is_open(payment)) {
        payment->state = payment_state_failed;
        payment->todo = todo_none;
        payment->touched_at = model_pg_time(want->now);
        if (want->provider_txn.size > 0)
            copy(payment->txn, sizeof payment->txn, want->provider_txn);
        outcome = pay_outcome_failed;
    }
    struct payment_settled *settled = REPLY(out, in, payment_settled);
    settled->payment_id = want->payment_id;
    settled->outcome = outcome;
    if (payment == NULL) return;
    const struct pg_order *order = model_pg_order(self, payment->order_id);
    const struct pg_refund *refund = refund_of(self, payment->payment_id);
    settled->order_id = order->order_id;
    settled->user_id = order->user_id;
    settled->lot_id = order->lot_id;
    settled->quantity = order->quantity;
    if (refund != NULL && outcome == pay_outcome_second) settled->refund_id = refund->refund_id;
}

static void refund_insert(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct refund_insert *want = BODY(in, refund_insert);
    struct pg_payment *payment = find(self, want->payment_id);
    if (payment == NULL) {
        model_pg_failed(in, PROBLEM_not_found, out);
        return;
    }
    if (refund_of(self, payment->payment_id) == NULL) {
        enum order_state state = model_pg_order(self, payment->order_id)->state;
        if (payment->state != payment_state_succeeded ||
            (state != order_state_cancelled && state != order_state_expired)) {
            model_pg_failed(in, PROBLEM_illegal_state, out);
            return;
        }
        refund_open(self, payment, want->refund_id, model_pg_time(want->now));
    }
    answer_row(self, in, payment, out);
}

static void refund_result(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct refund_result *want = BODY(in, refund_result);
    struct pg_refund *refund = NULL;
    for (uint32_t i = 0; i < self->refund_count; i++) {
        if (self->refunds[i].refund_id == want->refund_id) refund = &self->refunds[i];
    }
    if (refund == NULL) {
        model_pg_failed(in, PROBLEM_not_found, out);
        return;
    }
    struct done *done = REPLY(out, in, done);
    done->what = MSG_refund_result;
    done->id = want->refund_id;
    if (refund->state == refund_state_succeeded || refund->state == want->state) return;
    refund->state = want->state;
    refund->touched_at = model_pg_time(want->now);
    if (want->state == refund_state_succeeded) {
        struct pg_payment *payment = find(self, refund->payment_id);
        payment->captured -= refund->amount;
        model_pg_notice(self, notice_order_refunded, payment->user_id, payment->order_id, want->now,
                        0);
    }
    done->count = 1;
}

/* Whose order has its last state rests between two questions, longer and longer. */
static int64_t due_at(const struct pg_payment *payment) {
    bool rests = payment->todo == todo_query && payment->rests_until > payment->touched_at;
    return rests ? payment->rests_until : payment->touched_at;
}

static void touch(struct model_pg *self, struct pg_payment *payment, int64_t now, int64_t pause) {
    enum order_state state = model_pg_order(self, payment->order_id)->state;
    bool waits = state == order_state_awaiting_payment || state == order_state_paying;
    payment->touched_at = now;
    payment->rests_until = 0;
    if (payment->todo != todo_query || waits) {
        payment->asked = 0;
        return;
    }
    int64_t hour = INT64_C(3600000000000), rest = hour;
    if (payment->asked < 20 && pause << (payment->asked + 1) < hour)
        rest = pause << (payment->asked + 1);
    payment->rests_until = now - pause + rest;
    payment->asked = payment->asked < 30 ? payment->asked + 1 : 30;
}

static void payments_due(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct payments_due *want = BODY(in, payments_due);
    int64_t older = model_pg_time(want->older_than), now = model_pg_time(want->now);
    uint32_t rows = 0;
    for (uint32_t i = 0; i < self->payment_count && rows < want->limit; i++) {
        struct pg_payment *payment = &self->payments[i];
        struct pg_refund *refund = refund_of(self, payment->payment_id);
        bool due = payment->todo != todo_none && due_at(payment) <= older;
        bool open =
            refund != NULL && refund->state == refund_state_pending && refund->touched_at <= older;
        if (!due && !open) continue;
        if (due) touch(self, payment, now, now - older);
        if (open) refund->touched_at = now;
        answer_row(self, in, payment, out);
        rows++;
    }
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = MSG_payments_due;
    end->count = rows;
}

bool model_pg_pay(struct model_pg *self, const struct message *in, struct outbox *out) {
    switch (in->head.type) {
    case MSG_payment_insert: payment_insert(self, in, out); return true;
    case MSG_payment_pending: payment_pending(self, in, out); return true;
    case MSG_payment_unknown: payment_unknown(self, in, out); return true;
    case MSG_payment_result: payment_result(self, in, out); return true;
    case MSG_refund_insert: refund_insert(self, in, out); return true;
    case MSG_refund_result: refund_result(self, in, out); return true;
    case MSG_payments_due: payments_due(self, in, out); return true;
    default: return false;
    }
}
