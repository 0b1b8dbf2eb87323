/* Operators' commands -> the same to PostgreSQL, whose answer goes back as it is
 * sale_move -> sale_view when the lots have followed | failed */
#include <inttypes.h>

#include "actors/catalogue/catalogue.h"
#include "actors/lib/moves.h"

enum { WAIT = 2, SHOW_WAIT = 10 }; /* Seconds. */

static void show(struct catalogue *self, const struct message *in, int64_t now,
                 struct outbox *out) {
    for (uint32_t i = 0; i < CATALOGUE_SHOWS_MAX; i++) {
        struct show *show = &self->shows[i];
        if (show->until > now) continue;
        *show = (struct show){ .until = now + SHOW_WAIT * CATALOGUE_SECOND,
                               .head = in->head,
                               .sale_id = BODY(in, sale_show)->sale_id };
        SEND(out, PORT_pg_shop, sale_rows_get, in)->sale_id = show->sale_id;
        return;
    }
    outbox_refuse(out, in, PROBLEM_overloaded);
}

/* False: there is no such shard. */
static bool read_shard(const struct catalogue *self, struct text word, uint32_t *shard) {
    *shard = 0;
    for (uint32_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9') return false;
        *shard = *shard * 10 + (uint32_t)(word.at[i] - '0');
    }
    return word.size > 0 && *shard < self->shards;
}

/* The one with the fewest lots that still sell; among equals they take turns, because of several
 * lot_add under way none is counted yet. */
static uint32_t emptiest_shard(struct catalogue *self) {
    uint32_t lots[SHARDS_MAX] = { 0 };
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct catalogue_lot *lot = &self->lots[i];
        if (lot->shard < SHARDS_MAX && lot->state != lot_state_settled) lots[lot->shard]++;
    }
    uint32_t first = self->next_shard % self->shards, best = first;
    for (uint32_t i = 1; i < self->shards; i++) {
        uint32_t shard = (first + i) % self->shards;
        if (lots[shard] < lots[best]) best = shard;
    }
    self->next_shard = best + 1;
    return best;
}

static void lot_add(struct catalogue *self, const struct message *in, int64_t now,
                    struct outbox *out) {
    struct text wanted = BODY(in, lot_add)->shard;
    uint32_t home = 0;
    if (self->lot_count == CATALOGUE_LOTS_MAX) {
        outbox_refuse(out, in, PROBLEM_overloaded);
        return;
    }
    if (wanted.size > 0 && !read_shard(self, wanted, &home)) {
        struct failed *failed = outbox_refuse_with(out, in, PROBLEM_out_of_range);
        failed->field = text_of("shard");
        failed->detail =
            outbox_printf(out, "shard must be a number from 0 to %u", self->shards - 1);
        return;
    }
    if (wanted.size == 0) home = emptiest_shard(self);
    struct lot_add *add = SEND(out, PORT_pg_shop, lot_add, in);
    *add = *BODY(in, lot_add);
    add->lot_id = id_next(&self->ids, now);
    add->movement_id = id_next(&self->ids, now);
    add->home = home;
    add->now = now;
}

static void sale_create(struct catalogue *self, const struct message *in, int64_t now,
                        struct outbox *out) {
    if (self->sale_count == CATALOGUE_SALES_MAX) {
        outbox_refuse(out, in, PROBLEM_overloaded);
        return;
    }
    struct sale_create *create = SEND(out, PORT_pg_shop, sale_create, in);
    *create = *BODY(in, sale_create);
    create->sale_id = id_next(&self->ids, now);
}

void catalogue_on_command(struct catalogue *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    switch ((enum message_id)in->head.type) {
    case MSG_product_add: {
        struct product_add *add = SEND(out, PORT_pg_shop, product_add, in);
        *add = *BODY(in, product_add);
        add->product_id = id_next(&self->ids, now);
        return;
    }
    case MSG_sku_add: {
        struct sku_add *add = SEND(out, PORT_pg_shop, sku_add, in);
        *add = *BODY(in, sku_add);
        add->sku_id = id_next(&self->ids, now);
        return;
    }
    case MSG_stock_receive: {
        struct stock_receive *receive = SEND(out, PORT_pg_shop, stock_receive, in);
        *receive = *BODY(in, stock_receive);
        receive->movement_id = id_next(&self->ids, now);
        receive->now = now;
        return;
    }
    case MSG_product_list:
        *SEND(out, PORT_pg_shop, product_list, in) = *BODY(in, product_list);
        return;
    case MSG_sku_list: *SEND(out, PORT_pg_shop, sku_list, in) = *BODY(in, sku_list); return;
    case MSG_stock_show: *SEND(out, PORT_pg_shop, stock_show, in) = *BODY(in, stock_show); return;
    case MSG_sale_create: sale_create(self, in, now, out); return;
    case MSG_lot_add: lot_add(self, in, now, out); return;
    case MSG_sale_rows: SEND(out, PORT_pg_shop, sale_rows_get, in); return;
    default: show(self, in, now, out); return; /* sale_show */
    }
}

static struct show *show_of(struct catalogue *self, const struct message *in) {
    for (uint32_t i = 0; i < CATALOGUE_SHOWS_MAX; i++) {
        struct show *show = &self->shows[i];
        if (show->until != 0 && show->head.origin == in->head.origin &&
            show->head.request == in->head.request && show->head.node == in->head.node) {
            return show;
        }
    }
    return NULL;
}

void catalogue_pass_on(struct catalogue *self, const struct message *in, struct outbox *out) {
    struct show *show = show_of(self, in);
    if (show == NULL) {
        outbox_forward(out, (enum address)in->head.origin, in);
    } else if (in->head.type == MSG_rows_end) {
        const struct rows_end *end = BODY(in, rows_end);
        if (end->what == MSG_sale_rows_get && end->count > 0) {
            SEND(out, PORT_pg_shop, lot_rows_get, in)->sale_id = show->sale_id;
            return;
        }
        show->until = 0;
        if (end->what == MSG_sale_rows_get)
            outbox_refuse(out, in, PROBLEM_not_found);
        else
            outbox_forward(out, (enum address)in->head.origin, in);
    } else {
        if (in->head.type == MSG_failed) show->until = 0;
        outbox_forward(out, (enum address)in->head.origin, in);
    }
}

/* ---- Moves ---- */

static bool arrived(enum sale_state state, enum sale_state to) {
    if (state == to) return true;
    if (to == sale_state_closed) return state >= sale_state_draining;
    if (to == sale_state_scheduled) {
        return state == sale_state_warming || state == sale_state_ready;
    }
    return false;
}

/* What an operator may ask for: the table, and two short cuts over states a sale passes by itself.
 */
static bool may_ask(enum sale_state from, enum sale_state to) {
    switch (to) {
    case sale_state_scheduled:
    case sale_state_paused:
    case sale_state_closed:
    case sale_state_archived: return machine_may_move(KIND_sale_state, from, to);
    case sale_state_open:
        return from < sale_state_open || machine_may_move(KIND_sale_state, from, to);
    case sale_state_settled: return from == sale_state_closed || from == sale_state_draining;
    case sale_state_none:
    case sale_state_draft:
    case sale_state_warming:
    case sale_state_ready:
    case sale_state_draining: return false;
    }
    return false;
}

static void refuse_move(const struct message *in, enum problem problem, struct text detail,
                        struct outbox *out) {
    struct failed *failed = outbox_refuse_with(out, in, problem);
    failed->detail = detail;
    failed->id = BODY(in, sale_move)->sale_id;
}

static bool wait_for(struct catalogue *self, const struct message *in, int64_t now) {
    for (uint32_t i = 0; i < CATALOGUE_WAITERS_MAX; i++) {
        struct waiter *waiter = &self->waiters[i];
        if (waiter->used) continue;
        *waiter = (struct waiter){ .used = true,
                                   .head = in->head,
                                   .sale_id = BODY(in, sale_move)->sale_id,
                                   .to = BODY(in, sale_move)->to,
                                   .until = now + WAIT * CATALOGUE_SECOND };
        return true;
    }
    return false;
}

/* It may have been made by a commit whose answer was lost: then it is known at the next try. */
static void look_for(int64_t sale_id, struct outbox *out) {
    ASK(out, PORT_pg_shop, sale_rows_get, ACTOR_catalogue, (uint64_t)sale_id, 0)->sale_id = sale_id;
    ASK(out, PORT_pg_shop, lot_rows_get, ACTOR_catalogue, (uint64_t)sale_id, 0)->sale_id = sale_id;
}

void catalogue_on_sale_move(struct catalogue *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    const struct sale_move *move = BODY(in, sale_move);
    struct catalogue_sale *sale = catalogue_sale(self, move->sale_id);
    if (sale == NULL) {
        bool known = self->sales_known && self->lots_known;
        refuse_move(in, known ? PROBLEM_not_found : PROBLEM_unavailable, (struct text){ 0 }, out);
        if (known && outbox_room(out) >= 2) look_for(move->sale_id, out);
        return;
    }
    bool there = arrived(sale->state, move->to);
    if (sale->goal != sale_state_none && sale->goal != sale_state_ready && sale->goal != move->to) {
        refuse_move(in, PROBLEM_illegal_state,
                    outbox_printf(out, "The sale is on its way to %s.",
                                  state_name(KIND_sale_state, sale->goal)),
                    out);
    } else if (!there && !may_ask(sale->state, move->to)) {
        refuse_move(in, PROBLEM_illegal_state,
                    outbox_printf(out, "A sale that is %s cannot become %s.",
                                  state_name(KIND_sale_state, sale->state),
                                  state_name(KIND_sale_state, move->to)),
                    out);
    } else if (!there && move->to == sale_state_open && sale->closes_at <= now) {
        refuse_move(in, PROBLEM_illegal_state, text_of("The sale's closing time has passed."), out);
    } else if (!wait_for(self, in, now)) {
        refuse_move(in, PROBLEM_overloaded, (struct text){ 0 }, out);
    } else if (!there) {
        if (move->to == sale_state_settled)
            sale->settle_at = 0;
        else
            sale->goal = move->to;
        sale->retry_at = 0;
    }
}

/* As sale_move to open, but only of a sale that is paused (or has been resumed already). */
void catalogue_on_sale_resume(struct catalogue *self, const struct message *in, int64_t now,
                              struct outbox *out) {
    struct sale_move move = { .sale_id = BODY(in, sale_resume)->sale_id, .to = sale_state_open };
    struct message as = { in->head, &move };
    as.head.type = MSG_sale_move;
    const struct catalogue_sale *sale = catalogue_sale(self, move.sale_id);
    if (sale != NULL && sale->state != sale_state_paused && sale->state != sale_state_open) {
        refuse_move(&as, PROBLEM_illegal_state,
                    outbox_printf(out,
                                  "A sale that is %s cannot be resumed; only a paused one can.",
                                  state_name(KIND_sale_state, sale->state)),
                    out);
        return;
    }
    catalogue_on_sale_move(self, &as, now, out);
}

static void tell_late(struct catalogue *self, const struct waiter *waiter,
                      const struct message *cause, struct outbox *out) {
    const struct catalogue_sale *sale = catalogue_sale(self, waiter->sale_id);
    struct failed *failed = outbox_refuse_with(out, cause, PROBLEM_unavailable);
    failed->id = waiter->sale_id;
    if (sale == NULL) return;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct catalogue_lot *lot = &self->lots[i];
        if (lot->sale_id != sale->sale_id || lot->hot == catalogue_wanted(sale)) continue;
        if (catalogue_wanted(sale) == lot_state_none) break;
        failed->detail =
            outbox_printf(out,
                          "The sale is %s; lot %" PRId64
                          " on shard %u has not followed yet.  It goes on by itself.",
                          state_name(KIND_sale_state, sale->state), lot->lot_id, lot->shard);
        return;
    }
    failed->detail = outbox_printf(out, "The sale is still %s.  It goes on by itself.",
                                   state_name(KIND_sale_state, sale->state));
}

void catalogue_answer_waiters(struct catalogue *self, int64_t now, struct outbox *out) {
    for (uint32_t i = 0; i < CATALOGUE_WAITERS_MAX && outbox_room(out) > 0; i++) {
        struct waiter *waiter = &self->waiters[i];
        if (!waiter->used) continue;
        const struct message cause = { .head = waiter->head };
        const struct catalogue_sale *sale = catalogue_sale(self, waiter->sale_id);
        if (sale != NULL && arrived(sale->state, waiter->to) && catalogue_follows(self, sale)) {
            catalogue_fill_sale(sale, ANSWER(out, &cause, sale_view), out);
        } else if (waiter->until <= now) {
            tell_late(self, waiter, &cause, out);
        } else {
            continue;
        }
        waiter->used = false;
    }
}

void catalogue_fail_waiters(struct catalogue *self, int64_t sale_id, enum sale_state to,
                            enum problem problem, struct text detail, struct outbox *out) {
    for (uint32_t i = 0; i < CATALOGUE_WAITERS_MAX && outbox_room(out) > 0; i++) {
        struct waiter *waiter = &self->waiters[i];
        if (!waiter->used || waiter->sale_id != sale_id) continue;
        if (to != sale_state_none && waiter->to != to) continue;
        const struct message cause = { .head = waiter->head };
        struct failed *failed = outbox_refuse_with(out, &cause, problem);
        failed->detail = detail;
        failed->id = sale_id;
        waiter->used = false;
    }
}
