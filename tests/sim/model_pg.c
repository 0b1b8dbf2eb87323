/* schema/sql/0002_purchase.sql and 0003_orders.sql in C, row by row in rid order. */
#include "tests/sim/model_pg.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/id.h"

enum { BATCH_MAX = 256, HOLDERS_CHUNK = 45000, ENDED_MAX = 100, MICROSECOND = 1000 };

/* Times are kept in microseconds there. */
static int64_t kept_time(int64_t now) {
    return now / MICROSECOND * MICROSECOND;
}

void *model_pg_grow(void *rows, uint32_t count, uint32_t *room, size_t size) {
    if (count < *room) return rows;
    *room = *room * 2 + 64;
    void *grown = realloc(rows, *room * size);
    if (grown == NULL) abort();
    return grown;
}

void model_pg_init(struct model_pg *self) {
    memset(self, 0, sizeof *self);
    idmap_init(&self->order_map, self->order_cells, PG_CELLS);
    idmap_init(&self->rid_map, self->rid_cells, PG_CELLS);
    idmap_init(&self->refusal_map, self->refusal_cells, PG_CELLS);
}

void model_pg_fini(struct model_pg *self) {
    free(self->orders);
    free(self->refusals);
    free(self->payments);
    free(self->refunds);
    memset(self, 0, sizeof *self);
}

struct pg_lot *model_pg_lot(struct model_pg *self, int64_t lot_id) {
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].lot_id == lot_id) return &self->lots[i];
    }
    return NULL;
}

struct pg_order *model_pg_order(struct model_pg *self, int64_t order_id) {
    uint32_t at;
    return idmap_get(&self->order_map, order_id, &at) ? &self->orders[at] : NULL;
}

struct pg_order *model_pg_order_of(struct model_pg *self, int64_t rid) {
    uint32_t at;
    return idmap_get(&self->rid_map, rid, &at) ? &self->orders[at] : NULL;
}

struct pg_refusal *model_pg_refusal(struct model_pg *self, int64_t rid) {
    uint32_t at;
    return idmap_get(&self->refusal_map, rid, &at) ? &self->refusals[at] : NULL;
}

/* holds_units() */
bool model_pg_holds(enum order_state state) {
    return state == order_state_awaiting_payment || state == order_state_paying ||
           state == order_state_paid || state == order_state_shipped ||
           state == order_state_completed || state == order_state_refund_pending;
}

static bool unpaid(enum order_state state) {
    return state == order_state_awaiting_payment || state == order_state_paying;
}

void model_pg_failed(const struct message *in, enum problem problem, struct outbox *out) {
    struct failed *failed = REPLY(out, in, failed);
    const struct message_type *type = message_type((enum message_id)in->head.type);
    failed->problem = problem;
    failed->what = in->head.type;
    if (type->fields[0].kind == KIND_id || type->fields[0].kind == KIND_rid) {
        failed->id = field_number(&type->fields[0], in->body);
    }
}

void model_pg_refuse(const struct message *in, uint32_t count, struct outbox *out) {
    for (uint32_t i = 0; i < count; i++)
        model_pg_failed(&in[i], PROBLEM_unavailable, out);
}

uint32_t model_pg_range(const struct message *in, uint32_t count) {
    uint32_t range = 1;
    if (in->head.type != MSG_purchase && in->head.type != MSG_order_return) return 1;
    while (range < count && range < BATCH_MAX && in[range].head.type == in->head.type)
        range++;
    return range;
}

/* ---- purchase_batch ---- */

static void set_rid(struct model_pg *self, struct pg_order *order, int64_t rid) {
    if (order->rid != 0) idmap_remove(&self->rid_map, order->rid);
    order->rid = rid;
    order->epoch = self->epoch;
    bool kept = idmap_put(&self->rid_map, rid, (uint32_t)(order - self->orders));
    assert(kept);
    (void)kept;
}

static void sell(struct model_pg *self, struct pg_lot *lot, int64_t units) {
    lot->sold += units;
    /* CHECK (0 <= sold AND sold <= allocated): what comes here has been looked at. */
    assert(lot->sold >= 0 && lot->sold <= lot->allocated);
    (void)self;
}

static struct pg_order *insert(struct model_pg *self, const struct purchase *row,
                               struct pg_lot *lot) {
    self->orders =
        model_pg_grow(self->orders, self->order_count, &self->order_room, sizeof *self->orders);
    struct pg_order *order = &self->orders[self->order_count];
    *order = (struct pg_order){ .order_id = row->order_id,
                                .user_id = row->user_id,
                                .lot_id = row->lot_id,
                                .price = lot->price,
                                .created_at = kept_time(row->now),
                                .pay_by = kept_time(row->now) + lot->pay_window,
                                .state = order_state_awaiting_payment,
                                .quantity = row->quantity };
    assert(row->address.size < sizeof order->address);
    if (row->address.size > 0) memcpy(order->address, row->address.at, row->address.size);
    bool kept = idmap_put(&self->order_map, row->order_id, self->order_count);
    assert(kept);
    (void)kept;
    self->order_count++;
    set_rid(self, order, row->rid);
    sell(self, lot, row->quantity);
    return order;
}

static void keep_refusal(struct model_pg *self, const struct purchase *row, enum problem reason) {
    self->refusals = model_pg_grow(self->refusals, self->refusal_count, &self->refusal_room,
                                   sizeof *self->refusals);
    self->refusals[self->refusal_count] =
        (struct pg_refusal){ row->rid,    row->order_id, row->user_id,
                             row->lot_id, row->quantity, reason };
    bool kept = idmap_put(&self->refusal_map, row->rid, self->refusal_count);
    assert(kept);
    (void)kept;
    self->refusal_count++;
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
    set_rid(self, order, row->rid);
    money->todo = todo_none;
    money->touched_at = kept_time(row->now);
    sell(self, lot, order->quantity);
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
    if (lot == NULL) return PROBLEM_not_on_sale;
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
    if (rid_epoch(row->rid) != self->epoch) outcome = outcome_fenced; /* guard: epoch */
    if (outcome == outcome_none) {
        outcome = known(self, row, order, &reason);
        const struct pg_order *other = model_pg_order_of(self, row->rid);
        if (outcome == outcome_none && other != NULL && other->order_id != row->order_id) {
            outcome = outcome_refused; /* UNIQUE (rid), alone in its batch: purchase_refuse. */
            reason = PROBLEM_internal;
        }
    }
    if (outcome == outcome_none) {
        bool late = row->kind == reserve_kind_late;
        reason = late ? take_late(self, row, order, lot) : take_new(self, row, lot);
        outcome = reason == PROBLEM_none ? outcome_accepted : outcome_refused;
        order = model_pg_order(self, row->order_id);
        if (reason == PROBLEM_sold_out && !late) self->alarms++;
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
    if (outcome == outcome_fenced || reason != PROBLEM_none) return;
    decided->state = order->state;
    decided->price = (struct money){ order->price, "CNY" };
    decided->pay_by = order->pay_by;
    decided->created_at = order->created_at;
    decided->order_rid = order->rid;
}

static void purchase_batch(struct model_pg *self, const struct message *in, uint32_t count,
                           struct outbox *out) {
    struct message rows[BATCH_MAX];
    memcpy(rows, in, count * sizeof *rows);
    /* Insertion, because qsort leaves the order of equal rids open. */
    for (uint32_t i = 1; i < count; i++) {
        struct message row = rows[i];
        int64_t rid = BODY(&row, purchase)->rid;
        uint32_t k = i;
        for (; k > 0 && rid < BODY(&rows[k - 1], purchase)->rid; k--)
            rows[k] = rows[k - 1];
        rows[k] = row;
    }
    for (uint32_t i = 0; i < count; i++)
        purchase(self, &rows[i], out);
}

/* ---- return_batch ---- */

static bool may_return(const struct pg_order *order, const struct order_return *row,
                       uint32_t epoch) {
    if (row->user_id != 0 && row->user_id != order->user_id) return false;
    if (row->epoch != 0 && row->epoch != epoch) return false;
    if (row->to == order_state_cancelled) return unpaid(order->state);
    if (row->to == order_state_expired) {
        return unpaid(order->state) && order->pay_by <= kept_time(row->now);
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
    bool other = order->state != row->to;
    bool fenced = other && row->epoch != 0 && row->epoch != self->epoch;
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
    got->epoch = self->epoch;
    got->to_general = model_pg_lot(self, order->lot_id)->state == lot_state_settled;
    got->pay_by = order->pay_by;
}

static void return_batch(struct model_pg *self, const struct message *in, uint32_t count,
                         struct outbox *out) {
    bool moved[BATCH_MAX] = { false };
    for (uint32_t i = 0; i < count; i++) {
        const struct order_return *row = BODY(&in[i], order_return);
        struct pg_order *order = model_pg_order(self, row->order_id);
        if (order == NULL || !may_return(order, row, self->epoch)) continue;
        struct pg_lot *lot = model_pg_lot(self, order->lot_id);
        order->state = row->to;
        sell(self, lot, -(int64_t)order->quantity);
        if (lot->state == lot_state_settled) lot->allocated -= order->quantity;
        moved[i] = true;
    }
    for (uint32_t i = 0; i < count; i++)
        answer_return(self, &in[i], moved[i], out);
}

/* ---- shard_recover ---- */

static int later_first(const void *a, const void *b) {
    const struct pg_order *const *left = a, *const *right = b;
    bool holds = model_pg_holds((*left)->state), other = model_pg_holds((*right)->state);
    if ((*left)->user_id != (*right)->user_id) {
        return (*left)->user_id < (*right)->user_id ? -1 : 1;
    }
    if (holds != other) return holds ? -1 : 1;
    return (*left)->order_id > (*right)->order_id ? -1 : 1;
}

struct recovery {
    const struct message *in;
    struct outbox *out;
    uint32_t epoch, rows;
};

static struct recovered *add_row(struct recovery *to) {
    struct recovered *row = REPLY(to->out, to->in, recovered);
    row->epoch = to->epoch;
    row->row = ++to->rows;
    return row;
}

/* The last of a buyer's orders come first in the sort; of those that hold nothing a hundred. */
static void add_holders(struct model_pg *self, struct recovery *to, int64_t lot_id) {
    const struct pg_order **found = malloc((self->order_count + 1) * sizeof *found);
    char *text = outbox_text(to->out, (size_t)self->order_count * 84 + 1);
    uint32_t count = 0, nth = 0;
    size_t size = 0, from = 0;
    if (found == NULL) abort();
    for (uint32_t i = 0; i < self->order_count; i++) {
        if (self->orders[i].lot_id == lot_id) found[count++] = &self->orders[i];
    }
    qsort(found, count, sizeof *found, later_first);
    for (uint32_t i = 0; i < count; i++) {
        bool same_user = i > 0 && found[i]->user_id == found[i - 1]->user_id;
        nth = same_user ? nth + 1 : 1;
        if (!same_user && size - from >= HOLDERS_CHUNK) {
            add_row(to)->lot_id = lot_id;
            from = size;
        }
        if (nth > ENDED_MAX) continue;
        uint32_t units = model_pg_holds(found[i]->state) ? found[i]->quantity : 0;
        size += (size_t)snprintf(text + size, 84, "%" PRId64 ":%" PRId64 ":%" PRId64 ":%u;",
                                 found[i]->user_id, found[i]->order_id, found[i]->rid, units);
    }
    if (size > from) {
        struct recovered *row = add_row(to);
        row->lot_id = lot_id;
        row->holders = (struct text){ text + from, (uint32_t)(size - from) };
    }
    free(found);
}

static void shard_recover(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct shard_recover *want = BODY(in, shard_recover);
    uint32_t higher = want->redis_epoch > self->epoch ? want->redis_epoch : self->epoch;
    self->epoch = higher + 1;
    self->boot = want->boot;
    uint32_t size = want->run_id.size < 64 ? want->run_id.size : 64;
    if (size > 0) memcpy(self->run_id, want->run_id.at, size);
    self->run_id[size] = 0;
    struct recovery to = { in, out, self->epoch, 0 };
    add_row(&to);
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct pg_lot *lot = &self->lots[i];
        if (lot->state == lot_state_settled) continue;
        struct recovered *row = add_row(&to);
        row->lot_id = lot->lot_id;
        row->state = lot->state;
        row->available = lot->allocated - lot->sold;
        row->per_buyer_limit = lot->limit;
        row->allocated = lot->allocated;
    }
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].state != lot_state_settled) add_holders(self, &to, self->lots[i].lot_id);
    }
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = MSG_shard_recover;
    end->count = to.rows;
}

static void shard_get(struct model_pg *self, const struct message *in, struct outbox *out) {
    struct shard_row *row = REPLY(out, in, shard_row);
    row->shard = BODY(in, shard_get)->shard;
    row->epoch = self->epoch;
    row->boot = self->boot;
    row->run_id = text_of(self->run_id);
}

/* ---- reads ---- */

static void view(const struct pg_order *order, struct order_view *to) {
    to->order_id = order->order_id;
    to->state = order->state;
    to->lot_id = order->lot_id;
    to->quantity = order->quantity;
    to->price = to->total = (struct money){ order->price, "CNY" };
    to->total.amount = order->price * order->quantity;
    to->address = text_of(order->address);
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
    answer->state = rid_epoch(want->rid) < self->epoch ? order_state_void : order_state_pending;
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
        if (!unpaid(order->state) || order->pay_by < kept_time(want->after)) continue;
        if (order->pay_by < kept_time(want->until)) due[count++] = order;
    }
    qsort(due, count, sizeof *due, by_pay_by);
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

void model_pg_run(struct model_pg *self, const struct message *in, uint32_t count,
                  struct outbox *out) {
    self->commits++;
    switch (in->head.type) {
    case MSG_purchase: purchase_batch(self, in, count, out); break;
    case MSG_order_return: return_batch(self, in, count, out); break;
    case MSG_shard_recover: shard_recover(self, in, out); break;
    case MSG_shard_get: shard_get(self, in, out); break;
    case MSG_order_find: order_find(self, in, out); break;
    case MSG_deadlines_load: deadlines_load(self, in, out); break;
    default:
        if (!model_pg_pay(self, in, out)) model_pg_failed(in, PROBLEM_internal, out);
        break;
    }
}
