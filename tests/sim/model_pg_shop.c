/* The catalogue's statements: schema/sql/0004_shop.sql in C. */
#include <string.h>

#include "tests/sim/model_pg.h"

static struct pg_stock *stock(struct model_pg *self, int64_t sku_id) {
    for (uint32_t i = 0; i < self->stock_count; i++) {
        if (self->stocks[i].sku_id == sku_id) return &self->stocks[i];
    }
    return NULL;
}

struct pg_sale *model_pg_sale(struct model_pg *self, int64_t sale_id) {
    for (uint32_t i = 0; i < self->sale_count; i++) {
        if (self->sales[i].sale_id == sale_id) return &self->sales[i];
    }
    return NULL;
}

static void refuse(const struct message *in, enum problem problem, const char *field,
                   const char *sentence, struct outbox *out) {
    struct failed *failed = model_pg_failed(in, problem, out);
    if (field[0] != 0) failed->field = text_of(field);
    if (sentence[0] != 0) failed->detail = text_of(sentence);
}

static void answer_sale(const struct message *in, const struct pg_sale *sale, struct outbox *out) {
    struct sale_view *view = REPLY(out, in, sale_view);
    view->sale_id = sale->sale_id;
    view->title = text_of("Night");
    view->state = sale->state;
    view->opens_at = sale->opens_at;
    view->closes_at = sale->closes_at;
    view->pay_window = sale->pay_window;
    view->version = sale->version;
}

static void answer_lot(const struct message *in, const struct pg_lot *lot, struct outbox *out) {
    struct lot_view *view = REPLY(out, in, lot_view);
    view->lot_id = lot->lot_id;
    view->sku_id = lot->sku_id;
    view->title = text_of("Lamp red");
    view->price = (struct money){ lot->price, "CNY" };
    view->allocated = lot->allocated;
    view->available = lot->allocated - lot->sold;
    view->per_buyer_limit = lot->limit;
    view->sale_id = lot->sale_id;
    view->shard = lot->shard;
    view->state = lot->state;
    view->sold = lot->sold;
    view->price_version = lot->price_version;
    view->version = lot->version;
}

static void answer_stock(struct model_pg *self, const struct message *in,
                         const struct pg_stock *stock, struct outbox *out) {
    struct stock_view *view = REPLY(out, in, stock_view);
    view->sku_id = stock->sku_id;
    view->on_hand = stock->on_hand;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct pg_lot *lot = &self->lots[i];
        bool in_sale = lot->sku_id == stock->sku_id && lot->state != lot_state_settled;
        if (in_sale) view->in_sales += lot->allocated;
    }
}

/* Each command has a number of its own, so the check of the reference finds nothing here. */
static void stock_receive(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct stock_receive *want = BODY(in, stock_receive);
    struct pg_stock *row = stock(self, want->sku_id);
    if (row == NULL) {
        refuse(in, PROBLEM_not_found, "sku_id", "There is no such SKU.", out);
        return;
    }
    row->on_hand += want->quantity;
    row->received += want->quantity;
    answer_stock(self, in, row, out);
}

static void sale_create(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct sale_create *want = BODY(in, sale_create);
    struct pg_sale *sale = model_pg_sale(self, want->sale_id);
    if (want->closes_at <= want->opens_at) {
        refuse(in, PROBLEM_out_of_range, "closes_at", "A sale closes after it has opened.", out);
        return;
    }
    if (sale == NULL && self->sale_count == PG_SALES_MAX) {
        model_pg_failed(in, PROBLEM_overloaded, out); /* Of the model, not of PostgreSQL. */
        return;
    }
    if (sale == NULL) {
        sale = &self->sales[self->sale_count++];
        *sale = (struct pg_sale){ .sale_id = want->sale_id,
                                  .opens_at = model_pg_time(want->opens_at),
                                  .closes_at = model_pg_time(want->closes_at),
                                  .pay_window = want->pay_window != 0 ? want->pay_window
                                                                      : INT64_C(900000000000),
                                  .version = 1,
                                  .state = sale_state_draft };
    }
    answer_sale(in, sale, out);
}

static bool sku_is_taken(struct model_pg *self, const struct pg_sale *sale, int64_t sku_id) {
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].sku_id != sku_id || self->lots[i].sale_id == sale->sale_id) continue;
        const struct pg_sale *other = model_pg_sale(self, self->lots[i].sale_id);
        if (other != NULL && other->state <= sale_state_paused &&
            other->opens_at < sale->closes_at && sale->opens_at < other->closes_at) {
            return true;
        }
    }
    return false;
}

static int64_t last_rid(const struct model_pg *self, uint32_t shard) {
    int64_t last = (int64_t)shard << 56;
    for (uint32_t i = 0; i < self->order_count; i++) {
        int64_t rid = self->orders[i].rid;
        if (rid >> 56 == (int64_t)shard && rid > last) last = rid;
    }
    return last;
}

static void lot_add(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct lot_add *want = BODY(in, lot_add);
    struct pg_sale *sale = model_pg_sale(self, want->sale_id);
    struct pg_stock *from = stock(self, want->sku_id);
    if (sale == NULL) {
        refuse(in, PROBLEM_not_found, "sale_id", "There is no such sale.", out);
    } else if (model_pg_lot(self, want->lot_id) != NULL) {
        answer_lot(in, model_pg_lot(self, want->lot_id), out);
    } else if (from == NULL) {
        refuse(in, PROBLEM_not_found, "sku_id", "There is no such SKU.", out);
    } else if (sale->state != sale_state_draft) {
        refuse(in, PROBLEM_illegal_state, "", "Lots are added to a draft.", out);
    } else if (from->on_hand < want->quantity) {
        struct failed *failed = model_pg_failed(in, PROBLEM_stock_short, out);
        failed->field = text_of("quantity");
        failed->detail =
            outbox_printf(out, "General stock has %lld units.", (long long)from->on_hand);
    } else if (sku_is_taken(self, sale, want->sku_id)) {
        refuse(in, PROBLEM_sku_on_sale, "sku_id", "Another sale has this SKU at that time.", out);
    } else if (self->lot_count == PG_LOTS_MAX) {
        model_pg_failed(in, PROBLEM_overloaded, out);
    } else {
        struct pg_lot *lot = &self->lots[self->lot_count++];
        *lot = (struct pg_lot){ .lot_id = want->lot_id,
                                .sale_id = want->sale_id,
                                .sku_id = want->sku_id,
                                .allocated = want->quantity,
                                .price = want->price.amount,
                                .pay_window = sale->pay_window,
                                .version = 1,
                                .rid_after = last_rid(self, want->home),
                                .state = lot_state_waiting,
                                .limit = want->per_buyer_limit != 0 ? want->per_buyer_limit : 1,
                                .price_version = 1,
                                .shard = want->home };
        from->on_hand -= want->quantity;
        sale->version++;
        answer_lot(in, lot, out);
    }
}

/* The table sale_step. */
static enum lot_state step_of(enum sale_state from, enum sale_state to) {
    static const struct {
        enum sale_state from, to;
        enum lot_state lots;
    } steps[] = {
        { sale_state_draft, sale_state_scheduled, lot_state_waiting },
        { sale_state_scheduled, sale_state_warming, lot_state_waiting },
        { sale_state_warming, sale_state_ready, lot_state_waiting },
        { sale_state_ready, sale_state_open, lot_state_open },
        { sale_state_open, sale_state_paused, lot_state_paused },
        { sale_state_paused, sale_state_open, lot_state_open },
        { sale_state_open, sale_state_closed, lot_state_closed },
        { sale_state_paused, sale_state_closed, lot_state_closed },
        { sale_state_closed, sale_state_draining, lot_state_closed },
        { sale_state_settled, sale_state_archived, lot_state_settled },
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].from == from && steps[i].to == to) return steps[i].lots;
    }
    return lot_state_none;
}

static bool has_lots(const struct model_pg *self, int64_t sale_id) {
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].sale_id == sale_id) return true;
    }
    return false;
}

static void sale_move(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct sale_move *want = BODY(in, sale_move);
    struct pg_sale *sale = model_pg_sale(self, want->sale_id);
    if (sale == NULL) {
        refuse(in, PROBLEM_not_found, "sale_id", "There is no such sale.", out);
        return;
    }
    if (sale->state != want->to) {
        enum lot_state lots = step_of(sale->state, want->to);
        if (lots == lot_state_none) {
            refuse(in, PROBLEM_illegal_state, "to", "A sale in this state does not go there.", out);
            return;
        }
        if (want->to == sale_state_scheduled && !has_lots(self, sale->sale_id)) {
            refuse(in, PROBLEM_illegal_state, "", "The sale has no lots.", out);
            return;
        }
        sale->state = want->to;
        sale->version++;
        for (uint32_t i = 0; i < self->lot_count; i++) {
            struct pg_lot *lot = &self->lots[i];
            if (lot->sale_id != sale->sale_id || lot->state == lots) continue;
            lot->state = lots;
            lot->version++;
        }
    }
    answer_sale(in, sale, out);
}

static bool unpaid_left(const struct model_pg *self, const struct pg_sale *sale) {
    for (uint32_t i = 0; i < self->order_count; i++) {
        const struct pg_order *order = &self->orders[i];
        if (order->state != order_state_awaiting_payment && order->state != order_state_paying) {
            continue;
        }
        for (uint32_t k = 0; k < self->lot_count; k++) {
            const struct pg_lot *lot = &self->lots[k];
            if (lot->lot_id == order->lot_id && lot->sale_id == sale->sale_id) return true;
        }
    }
    return false;
}

static void settle_lot(struct model_pg *self, struct pg_lot *lot) {
    int64_t left_over = lot->allocated - lot->sold;
    lot->state = lot_state_settled;
    lot->allocated = lot->sold;
    lot->version++;
    if (left_over != 0) stock(self, lot->sku_id)->on_hand += left_over;
}

static void sale_settle(struct model_pg *self, const struct message *in, struct outbox *out) {
    struct pg_sale *sale = model_pg_sale(self, BODY(in, sale_settle)->sale_id);
    if (sale == NULL) {
        refuse(in, PROBLEM_not_found, "sale_id", "There is no such sale.", out);
        return;
    }
    if (sale->state == sale_state_draining) {
        if (unpaid_left(self, sale)) { /* guard: settle_unpaid */
            refuse(in, PROBLEM_illegal_state, "", "Unpaid orders are left.", out);
            return;
        }
        for (uint32_t i = 0; i < self->lot_count; i++) {
            if (self->lots[i].sale_id == sale->sale_id) settle_lot(self, &self->lots[i]);
        }
        sale->state = sale_state_settled;
        sale->version++;
    } else if (sale->state != sale_state_settled && sale->state != sale_state_archived) {
        refuse(in, PROBLEM_illegal_state, "", "Only a sale that is draining is settled.", out);
        return;
    }
    answer_sale(in, sale, out);
}

/* ---- Rows ---- */

static bool wanted(struct model_pg *self, int64_t sale_id, int64_t asked) {
    const struct pg_sale *sale = model_pg_sale(self, sale_id);
    if (asked != 0) return sale_id == asked;
    return sale != NULL && sale->state != sale_state_archived;
}

static void end_rows(const struct message *in, uint32_t rows, struct outbox *out) {
    struct rows_end *end = REPLY(out, in, rows_end);
    end->what = in->head.type;
    end->count = rows;
}

static void sale_rows(struct model_pg *self, const struct message *in, struct outbox *out) {
    uint32_t rows = 0;
    for (uint32_t i = 0; i < self->sale_count; i++) {
        const struct pg_sale *sale = &self->sales[i];
        if (!wanted(self, sale->sale_id, BODY(in, sale_rows_get)->sale_id)) continue;
        answer_sale(in, sale, out);
        rows++;
    }
    end_rows(in, rows, out);
}

static void lot_rows(struct model_pg *self, const struct message *in, struct outbox *out) {
    uint32_t rows = 0;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct pg_lot *lot = &self->lots[i];
        if (!wanted(self, lot->sale_id, BODY(in, lot_rows_get)->sale_id)) continue;
        answer_lot(in, lot, out);
        rows++;
    }
    end_rows(in, rows, out);
}

static void lot_accounts(struct model_pg *self, const struct message *in, struct outbox *out) {
    uint32_t rows = 0;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct pg_lot *lot = &self->lots[i];
        if (!wanted(self, lot->sale_id, BODY(in, lot_account_get)->sale_id)) continue;
        struct lot_account *account = REPLY(out, in, lot_account);
        account->lot_id = lot->lot_id;
        account->shard = lot->shard;
        account->state = lot->state;
        account->allocated = lot->allocated;
        account->sold = lot->sold;
        for (uint32_t k = 0; k < self->order_count; k++) {
            const struct pg_order *order = &self->orders[k];
            bool counts = order->lot_id == lot->lot_id && order->rid > lot->rid_after;
            if (counts && model_pg_holds(order->state)) account->orders += order->quantity;
        }
        rows++;
    }
    end_rows(in, rows, out);
}

static void stock_show(struct model_pg *self, const struct message *in, struct outbox *out) {
    const struct pg_stock *row = stock(self, BODY(in, stock_show)->sku_id);
    if (row == NULL)
        model_pg_failed(in, PROBLEM_not_found, out);
    else
        answer_stock(self, in, row, out);
}

bool model_pg_shop(struct model_pg *self, const struct message *in, struct outbox *out) {
    switch (in->head.type) {
    case MSG_stock_receive: stock_receive(self, in, out); return true;
    case MSG_stock_show: stock_show(self, in, out); return true;
    case MSG_sale_create: sale_create(self, in, out); return true;
    case MSG_lot_add: lot_add(self, in, out); return true;
    case MSG_sale_move: sale_move(self, in, out); return true;
    case MSG_sale_settle: sale_settle(self, in, out); return true;
    case MSG_sale_rows_get: sale_rows(self, in, out); return true;
    case MSG_lot_rows_get: lot_rows(self, in, out); return true;
    case MSG_lot_account_get: lot_accounts(self, in, out); return true;
    default: return false;
    }
}
