/* schema/sql/0002_purchase.sql and 0003_orders.sql in C, row by row in rid order. */
#include "tests/sim/model_pg.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/batch.h"
#include "schema/id.h"

/* holds_units() */
bool model_pg_holds(enum order_state state) {
    return state == order_state_awaiting_payment || state == order_state_paying ||
           state == order_state_paid || state == order_state_shipped ||
           state == order_state_completed || state == order_state_refund_pending;
}

static bool unpaid(enum order_state state) {
    return state == order_state_awaiting_payment || state == order_state_paying;
}

struct failed *model_pg_failed(const struct message *in, enum problem problem, struct outbox *out) {
    struct failed *failed = REPLY(out, in, failed);
    const struct message_type *type = message_type((enum message_id)in->head.type);
    failed->problem = problem;
    failed->what = in->head.type;
    if (problem_retry(problem) != RETRY_NEVER) failed->retry_after = 1;
    if (type->fields[0].kind == KIND_id || type->fields[0].kind == KIND_rid) {
        failed->id = field_number(&type->fields[0], in->body);
    }
    return failed;
}

void model_pg_refuse(const struct message *in, uint32_t count, struct outbox *out) {
    for (uint32_t i = 0; i < count; i++)
        model_pg_failed(&in[i], PROBLEM_unavailable, out);
}

uint32_t model_pg_range(const struct message *in, uint32_t count) {
    uint32_t range = 1;
    if (in->head.type != MSG_purchase && in->head.type != MSG_order_return) return 1;
    while (range < count && range < PG_BATCH_MAX && in[range].head.type == in->head.type)
        range++;
    return range;
}

/* ---- purchase_batch ---- */

/* Of another epoch than its shard's, or of a shard that has no row. */
static bool is_old(const struct model_pg *self, int64_t rid) {
    uint32_t epoch = model_pg_epoch(self, rid);
    return epoch == 0 || rid_epoch(rid) != epoch;
}

void model_pg_sell(struct pg_lot *lot, int64_t units) {
    lot->sold += units;
    /* CHECK (0 <= sold AND sold <= allocated): what comes here has been looked at. */
    assert(lot->sold >= 0 && lot->sold <= lot->allocated);
}

static void insert(struct model_pg *self, const struct purchase *row, struct pg_lot *lot) {
    struct pg_order order = { .order_id = row->order_id,
                              .rid = row->rid,
                              .user_id = row->user_id,
                              .lot_id = row->lot_id,
                              .price = lot->price,
                              .created_at = model_pg_time(row->now),
                              .pay_by = model_pg_time(row->now) + lot->pay_window,
                              .state = order_state_awaiting_payment,
                              .quantity = row->quantity };
    assert(row->address.size < sizeof order.address);
    if (row->address.size > 0) memcpy(order.address, row->address.at, row->address.size);
    model_pg_add_order(self, &order);
    model_pg_sell(lot, row->quantity);
    lot->touched = true;
}

static void keep_refusal(struct model_pg *self, const struct purchase *row, enum problem reason) {
    struct pg_refusal refusal = { row->rid,    row->order_id, row->user_id,
                                  row->lot_id, row->quantity, reason };
    model_pg_add_refusal(self, &refusal);
}

/* purchase_late: expired -> paid under the new rid. */
static enum problem take_late(struct model_pg *self, const struct purchase *row,
                              struct pg_order *order, struct pg_lot *lot) {
    if (order == NULL) return PROBLEM_not_found;
    struct pg_payment *money = model_pg_late_money(self, order->order_id);
    if (lot->state == lot_state_settled) return PROBLEM_sale_closed;
    if (order->quantity > lot->allocated - lot->sold) return PROBLEM_sold_out;
    if (order->state != order_state_expired || money == NULL) return PROBLEM_illegal_state;
    order->state = order_state_paid;
    model_pg_set_rid(self, order, row->rid);
    money->todo = todo_none;
    money->touched_at = model_pg_time(row->now);
    model_pg_sell(lot, order->quantity);
    lot->version++;
    model_pg_notice(self, notice_order_paid, order->user_id, order->order_id, row->now, 0);
    return PROBLEM_none;
}

static enum problem take_new(struct model_pg *self, const struct purchase *row,
                             struct pg_lot *lot) {
    int64_t held = 0;
    for (uint32_t i = 0; i < self->order_count; i++) {
        const struct pg_order *other = &self->orders[i];
        bool his = other->user_id == row->user_id && other->lot_id == row->lot_id;
        if (his && model_pg_holds(other->state)) held += other->quantity;
    }
    if (lot == NULL || lot->shard != rid_shard(row->rid)) return PROBLEM_not_on_sale;
    if (row->price_version != 0 && row->price_version != lot->price_version) {
        return PROBLEM_price_changed;
    }
    if (lot->state == lot_state_settled) return PROBLEM_sale_closed;
    if (row->kind == reserve_kind_ordinary && held + row->quantity > lot->limit) {
        return PROBLEM_limit_reached;
    }
    if (lot->sold + row->quantity > lot->allocated) return PROBLEM_sold_out;
    insert(self, row, lot);
    return PROBLEM_none;
}

/* purchase_known: what is known of it; none = it is new. */
static enum outcome known(struct model_pg *self, const struct purchase *row,
                          const struct pg_order *order, enum problem *reason) {
    const struct pg_refusal *refusal = model_pg_refusal(self, row->rid);
    bool late = row->kind == reserve_kind_late;
    *reason = PROBLEM_none;
    if (refusal != NULL) {
        *reason = refusal->reason;
        return outcome_same;
    }
    if (order == NULL) return outcome_none;
    struct text address = text_of(order->address);
    if (order->user_id != row->user_id || order->lot_id != row->lot_id ||
        order->quantity != row->quantity || (!late && !text_equal(address, row->address))) {
        *reason = PROBLEM_duplicate;
        return outcome_refused;
    }
    if (order->rid == row->rid) return outcome_same;
    if (late && order->state == order_state_expired) return outcome_none;
    if (late && (order->state == order_state_cancelled || order->state == order_state_refunded)) {
        *reason = PROBLEM_illegal_state; /* The money goes back, not the order. */
        return outcome_refused;
    }
    return outcome_dup;
}

static void purchase(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct purchase *row = BODY(in, purchase);
    struct pg_order *order = model_pg_order(self, row->order_id);
    struct pg_lot *lot = model_pg_lot(self, row->lot_id);
    int64_t rid_before = order != NULL ? order->rid : 0;
    enum problem reason = PROBLEM_none;
    enum outcome outcome = outcome_none;
    bool alarm = false;
    if (is_old(self, row->rid)) outcome = outcome_fenced; /* guard: epoch */
    if (outcome == outcome_none) outcome = known(self, row, order, &reason);
    if (outcome == outcome_none) {
        bool late = row->kind == reserve_kind_late;
        reason = late ? take_late(self, row, order, lot) : take_new(self, row, lot);
        outcome = reason == PROBLEM_none ? outcome_accepted : outcome_refused;
        order = model_pg_order(self, row->order_id);
        alarm = reason == PROBLEM_sold_out && row->kind == reserve_kind_ordinary;
        if (alarm) self->alarms++;
    }
    if (outcome == outcome_refused && rid_before != row->rid) keep_refusal(self, row, reason);
    struct decided *decided = REPLY(out, in, decided);
    decided->rid = row->rid;
    decided->outcome = outcome;
    decided->reason = reason;
    decided->order_id = row->order_id;
    decided->user_id = row->user_id;
    decided->lot_id = row->lot_id;
    decided->quantity = row->quantity;
    decided->alarm = alarm;
    if (outcome == outcome_fenced || reason != PROBLEM_none) return;
    decided->state = order->state;
    decided->price = (struct money){ order->price, "CNY" };
    decided->pay_by = order->pay_by;
    decided->created_at = order->created_at;
    decided->order_rid = order->rid;
}

/* purchase_account: one change of each lot, and one row of the outbox, for a batch. */
static void account(struct model_pg *self, uint32_t first, int64_t at) {
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].touched) self->lots[i].version++;
        self->lots[i].touched = false;
    }
    if (first == self->order_count) return;
    uint32_t batch = ++self->batch_last;
    for (uint32_t k = first; k < self->order_count; k++) {
        const struct pg_order *order = &self->orders[k];
        model_pg_notice(self, notice_order_placed, order->user_id, order->order_id, at, batch);
    }
}

/* In rid order.  Insertion, because qsort leaves the order of equal rids open. */
static void sort(struct message *rows, const struct message *in, uint32_t count) {
    memcpy(rows, in, count * sizeof *rows);
    for (uint32_t i = 1; i < count; i++) {
        struct message row = rows[i];
        int64_t rid = BODY(&row, purchase)->rid;
        uint32_t k = i;
        for (; k > 0 && rid < BODY(&rows[k - 1], purchase)->rid; k--)
            rows[k] = rows[k - 1];
        rows[k] = row;
    }
}

static void purchase_rows(struct model_pg *self, const struct message *in, uint32_t count,
                          struct outbox *out) {
    struct message rows[PG_BATCH_MAX];
    uint32_t first = self->order_count;
    sort(rows, in, count);
    for (uint32_t i = 0; i < count; i++)
        purchase(self, &rows[i], out);
    account(self, first, BODY(&in[0], purchase)->now);
}

/* May UNIQUE (rid) be violated: has one of these rids another order, there or in the batch (H23)?
 */
static bool suspicious(struct model_pg *self, const struct message *in, uint32_t count) {
    struct message rows[PG_BATCH_MAX];
    sort(rows, in, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct purchase *row = BODY(&rows[i], purchase);
        const struct pg_order *other = model_pg_order_of(self, row->rid);
        if (other != NULL && other->order_id != row->order_id) return true;
        if (i > 0 && BODY(&rows[i - 1], purchase)->rid == row->rid) return true;
    }
    return false;
}

/* Carries it out on a copy. */
static bool violates(struct model_pg *self, const struct message *in, uint32_t count) {
    struct model_pg copy;
    struct batch answers;
    if (!suspicious(self, in, count)) return false;
    model_pg_init(&copy);
    model_pg_copy(&copy, self);
    copy.violated = false;
    batch_init(&answers);
    struct outbox out = batch_outbox(&answers, PORT_pg_shard, 0, PG_BATCH_MAX);
    purchase_rows(&copy, in, count, &out);
    bool violated = copy.violated;
    batch_fini(&answers);
    model_pg_fini(&copy);
    return violated;
}

static void purchase_batch(struct model_pg *self, const struct message *in, uint32_t count,
                           struct outbox *out) {
    if (!violates(self, in, count)) {
        purchase_rows(self, in, count, out);
    } else if (count == 1) {
        model_pg_failed(in, PROBLEM_internal, out); /* Its writer has it refused on record. */
    } else {                                        /* As the port does: each half by itself. */
        purchase_batch(self, in, count / 2, out);
        purchase_batch(self, in + count / 2, count - count / 2, out);
    }
}

/* purchase_refuse: a row that cannot be carried out even alone. */
static void purchase_refuse(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct purchase_refuse *want = BODY(in, purchase_refuse);
    const struct pg_order *order = model_pg_order_of(self, want->rid);
    struct decided *decided = REPLY(out, in, decided);
    decided->rid = want->rid;
    decided->order_id = want->order_id;
    if (is_old(self, want->rid)) {
        decided->outcome = outcome_fenced;
        decided->user_id = want->user_id;
        decided->lot_id = want->lot_id;
        decided->quantity = want->quantity;
        return;
    }
    bool kept = order != NULL && order->order_id == want->order_id;
    if (!kept && model_pg_refusal(self, want->rid) == NULL) {
        struct pg_refusal refusal = { want->rid,    want->order_id, want->user_id,
                                      want->lot_id, want->quantity, PROBLEM_internal };
        model_pg_add_refusal(self, &refusal);
    }
    const struct pg_refusal *refusal = model_pg_refusal(self, want->rid);
    decided->outcome = refusal == NULL ? outcome_same : outcome_refused;
    decided->reason = refusal == NULL ? PROBLEM_none : refusal->reason;
    if (refusal != NULL || !kept) return;
    decided->user_id = order->user_id;
    decided->lot_id = order->lot_id;
    decided->quantity = order->quantity;
    decided->state = order->state;
    decided->price = (struct money){ order->price, "CNY" };
    decided->pay_by = order->pay_by;
    decided->created_at = order->created_at;
    decided->order_rid = order->rid;
}

/* ---- return_batch ---- */

/* An order of another shard than the writer's has no epoch that it could name. */
static bool is_fenced(const struct model_pg *self, const struct pg_order *order,
                      const struct order_return *row) {
    bool elsewhere = rid_shard(order->rid) != row->shard;
    return row->epoch != 0 && (elsewhere || row->epoch != model_pg_epoch(self, order->rid));
}

static bool may_return(const struct model_pg *self, const struct pg_order *order,
                       const struct order_return *row) {
    if (row->user_id != 0 && row->user_id != order->user_id) return false;
    if (is_fenced(self, order, row)) return false;
    if (row->to == order_state_cancelled) return unpaid(order->state);
    if (row->to == order_state_expired) {
        return unpaid(order->state) && order->pay_by <= model_pg_time(row->now);
    }
    return row->to == order_state_refunded && order->state == order_state_refund_pending;
}

static void answer_return(struct model_pg *self, const struct message *in, bool moved,
                          struct outbox *out) {
    const struct order_return *row = BODY(in, order_return);
    const struct pg_order *order = model_pg_order(self, row->order_id);
    struct returned *got = REPLY(out, in, returned);
    got->order_id = row->order_id;
    if (order == NULL || (row->user_id != 0 && row->user_id != order->user_id)) {
        got->outcome = outcome_refused;
        got->reason = PROBLEM_not_found;
        return;
    }
    uint32_t epoch = model_pg_epoch(self, order->rid);
    bool other = order->state != row->to;
    bool fenced = other && is_fenced(self, order, row);
    got->outcome = fenced  ? outcome_fenced
                   : other ? outcome_refused
                   : moved ? outcome_accepted
                           : outcome_same;
    got->reason = other && !fenced ? PROBLEM_illegal_state : PROBLEM_none;
    got->state = order->state;
    got->rid = order->rid;
    got->user_id = order->user_id;
    got->lot_id = order->lot_id;
    got->quantity = order->quantity;
    got->epoch = epoch;
    got->to_general = model_pg_lot(self, order->lot_id)->state == lot_state_settled;
    got->pay_by = order->pay_by;
}

/* return_account: the units leave the lot, to general stock when it is settled. */
static void give_back(struct model_pg *self, const struct pg_order *order) {
    struct pg_lot *lot = model_pg_lot(self, order->lot_id);
    model_pg_sell(lot, -(int64_t)order->quantity);
    if (lot->state != lot_state_settled) return;
    lot->allocated -= order->quantity;
    for (uint32_t i = 0; i < self->stock_count; i++) {
        if (self->stocks[i].sku_id == lot->sku_id) self->stocks[i].on_hand += order->quantity;
    }
}

static enum notice notice_of(enum order_state to) {
    return to == order_state_cancelled ? notice_order_cancelled
           : to == order_state_expired ? notice_order_expired
                                       : notice_order_refunded;
}

/* One change of the lot and one row of the outbox, for those that left it this way. */
static void account_way(struct model_pg *self, const struct message *in, uint32_t count,
                        const bool *moved, struct pg_lot *lot, enum order_state way, int64_t at) {
    uint32_t batch = ++self->batch_last;
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct order_return *row = BODY(&in[i], order_return);
        const struct pg_order *order = model_pg_order(self, row->order_id);
        if (!moved[i] || row->to != way || order->lot_id != lot->lot_id) continue;
        if (!any) lot->version++;
        any = true;
        model_pg_notice(self, notice_of(way), order->user_id, order->order_id, at, batch);
    }
}

static void account_returns(struct model_pg *self, const struct message *in, uint32_t count,
                            const bool *moved) {
    static const enum order_state ways[] = { order_state_cancelled, order_state_expired,
                                             order_state_refunded };
    for (uint32_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        int64_t at = INT64_MAX; /* The earliest of them all. */
        for (uint32_t i = 0; i < count; i++) {
            const struct order_return *row = BODY(&in[i], order_return);
            if (moved[i] && row->to == ways[way] && row->now < at) at = row->now;
        }
        for (uint32_t l = 0; l < self->lot_count; l++)
            account_way(self, in, count, moved, &self->lots[l], ways[way], at);
    }
}

static void return_batch(struct model_pg *self, const struct message *in, uint32_t count,
                         struct outbox *out) {
    bool moved[PG_BATCH_MAX] = { false };
    for (uint32_t i = 0; i < count; i++) {
        const struct order_return *row = BODY(&in[i], order_return);
        struct pg_order *order = model_pg_order(self, row->order_id);
        if (order == NULL || !may_return(self, order, row)) continue;
        order->state = row->to;
        give_back(self, order);
        moved[i] = true;
    }
    account_returns(self, in, count, moved);
    for (uint32_t i = 0; i < count; i++)
        answer_return(self, &in[i], moved[i], out);
}

/* ---- reads ---- */

static void shard_get(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct pg_shard *shard = &self->shards[BODY(in, shard_get)->shard];
    struct shard_row *row = REPLY(out, in, shard_row);
    row->shard = BODY(in, shard_get)->shard;
    row->epoch = shard->epoch;
    row->boot = shard->boot;
    row->run_id = outbox_printf(out, "%s", shard->run_id);
    row->timeline = self->timeline;
}

static void view(const struct pg_order *order, struct order_view *to) {
    to->order_id = order->order_id;
    to->state = order->state;
    to->lot_id = order->lot_id;
    to->quantity = order->quantity;
    to->price = to->total = (struct money){ order->price, "CNY" };
    to->total.amount = order->price * order->quantity;
    to->address = text_of(order->address); /* Copied when it is delivered. */
    to->pay_by = order->pay_by;
    to->created_at = order->created_at;
    to->user_id = order->user_id;
    to->rid = order->rid;
}

static const struct pg_refusal *last_refusal(struct model_pg *self, const struct order_find *want) {
    const struct pg_refusal *last = NULL;
    for (uint32_t i = 0; i < self->refusal_count; i++) {
        const struct pg_refusal *row = &self->refusals[i];
        if (row->order_id != want->order_id || (want->rid != 0 && row->rid != want->rid)) continue;
        if (want->user_id != 0 && want->user_id != row->user_id) continue;
        if (last == NULL || row->rid > last->rid) last = row;
    }
    return last;
}

static void order_find(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct order_find *want = BODY(in, order_find);
    const struct pg_order *order = model_pg_order(self, want->order_id);
    if (order != NULL && (want->user_id == 0 || want->user_id == order->user_id)) {
        view(order, REPLY(out, in, order_view));
        return;
    }
    const struct pg_refusal *refusal = order == NULL ? last_refusal(self, want) : NULL;
    if (order != NULL || (refusal == NULL && want->rid == 0)) {
        model_pg_failed(in, PROBLEM_not_found, out);
        return;
    }
    struct order_view *answer = REPLY(out, in, order_view);
    answer->order_id = want->order_id;
    if (refusal != NULL) {
        answer->state = order_state_refused;
        answer->lot_id = refusal->lot_id;
        answer->quantity = refusal->quantity;
        answer->code = refusal->reason;
        answer->user_id = refusal->user_id;
        answer->rid = refusal->rid;
        return;
    }
    answer->state = rid_epoch(want->rid) < model_pg_epoch(self, want->rid) ? order_state_void
                                                                           : order_state_pending;
    answer->user_id = want->user_id;
    answer->rid = want->rid;
}

static int by_pay_by(const void *a, const void *b) {
    const struct pg_order *const *left = a, *const *right = b;
    if ((*left)->pay_by != (*right)->pay_by) return (*left)->pay_by < (*right)->pay_by ? -1 : 1;
    return (*left)->order_id < (*right)->order_id ? -1 : 1;
}

static void deadlines_load(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct deadlines_load *want = BODY(in, deadlines_load);
    const struct pg_order **due = malloc((self->order_count + 1) * sizeof *due);
    uint32_t count = 0;
    if (due == NULL) abort();
    for (uint32_t i = 0; i < self->order_count; i++) {
        const struct pg_order *order = &self->orders[i];
        if (rid_shard(order->rid) != want->shard) continue;
        if (!unpaid(order->state) || order->pay_by < model_pg_time(want->after)) continue;
        if (order->pay_by < model_pg_time(want->until)) due[count++] = order;
    }
    if (count > 0) qsort(due, count, sizeof *due, by_pay_by);
    if (count > want->limit) count = want->limit;
    for (uint32_t i = 0; i < count; i++) {
        struct deadline_row *row = REPLY(out, in, deadline_row);
        row->id = due[i]->order_id;
        row->at = due[i]->pay_by;
    }
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = MSG_deadlines_load;
    end->count = count;
    free(due);
}

static int newest_first(const void *a, const void *b) {
    const struct pg_order *const *left = a, *const *right = b;
    return (*left)->order_id > (*right)->order_id ? -1 : 1;
}

static void order_rows(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct order_rows_get *want = BODY(in, order_rows_get);
    const struct pg_order **his = malloc((self->order_count + 1) * sizeof *his);
    uint32_t count = 0;
    if (his == NULL) abort();
    for (uint32_t i = 0; i < self->order_count; i++) {
        const struct pg_order *order = &self->orders[i];
        if (order->user_id == want->user_id && order->order_id < want->before) his[count++] = order;
    }
    if (count > 0) qsort(his, count, sizeof *his, newest_first);
    if (count > want->limit) count = want->limit;
    for (uint32_t i = 0; i < count; i++)
        view(his[i], REPLY(out, in, order_view));
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = MSG_order_rows_get;
    end->count = count;
    free(his);
}

void model_pg_run(struct model_pg *self, const struct message *in, uint32_t count,
                  struct outbox *out) {
    self->commits++;
    switch (in->head.type) {
    case MSG_purchase: purchase_batch(self, in, count, out); return;
    case MSG_purchase_refuse: purchase_refuse(self, in, out); return;
    case MSG_order_return: return_batch(self, in, count, out); return;
    case MSG_shard_recover: model_pg_recover(self, in, out); return;
    case MSG_shard_get: shard_get(self, in, out); return;
    case MSG_order_find: order_find(self, in, out); return;
    case MSG_order_rows_get: order_rows(self, in, out); return;
    case MSG_deadlines_load: deadlines_load(self, in, out); return;
    default: break;
    }
    if (model_pg_pay(self, in, out) || model_pg_shop(self, in, out)) return;
    if (!model_pg_outbox(self, in, out)) model_pg_failed(in, PROBLEM_internal, out);
}
