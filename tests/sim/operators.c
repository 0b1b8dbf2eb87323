/* Operators: what they want of the sales, asked for at the door until it is so. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/check.h"
#include "tests/sim/real.h"
#include "tests/sim/world.h"

#define TURN_EVERY (500 * SIM_MS)
#define ASK_AGAIN  (3 * SIM_SECOND)

/* Units arrive, are put into a second sale, and that is announced. */
enum restock { RESTOCK_none, RESTOCK_arrives, RESTOCK_sale, RESTOCK_lot, RESTOCK_done };
enum ending { ENDING_no, ENDING_reconcile, ENDING_settle };

struct operators {
    enum sale_state wanted; /* Of the main sale. */
    int64_t paused_until;
    int64_t asked_at[PG_SALES_MAX];
    enum restock restock;
    int64_t restock_at, second_sale, second_lot;
    uint32_t units;
    enum ending ending;
    int64_t reconcile_at;
    uint64_t reconcile, number;
};

void operators_open(struct world *self) {
    self->operators = calloc(1, sizeof *self->operators);
    if (self->operators == NULL) abort();
    self->operators->wanted = sale_state_open;
    flights_plan(&self->flights, EVENT_door, 0, 0, self->now + TURN_EVERY);
}

void operators_close(struct world *self) {
    free(self->operators);
}

static uint64_t send_about(struct world *self, uint32_t shard, enum address to,
                           enum message_id type, const void *body) {
    uint64_t number = ++self->operators->number;
    struct message message = { { .type = (uint16_t)type,
                                 .from = PORT_door,
                                 .to = (uint8_t)to,
                                 .origin = PORT_door,
                                 .shard = (uint8_t)shard,
                                 .node = PROCESS_shop + 1,
                                 .request = number,
                                 .trace = number },
                               body };
    world_send(self, self->seat_at[PROCESS_shop][PORT_door], &message);
    return number;
}

static uint64_t send(struct world *self, enum address to, enum message_id type, const void *body) {
    return send_about(self, 0, to, type, body);
}

/* ---- States of sales ---- */

static void want(struct world *self, const struct pg_sale *sale, enum sale_state to) {
    int64_t *asked_at = &self->operators->asked_at[sale - self->pg->sales];
    if (sale->state == to || (*asked_at != 0 && self->now - *asked_at < ASK_AGAIN)) return;
    bool past = sale->state >= sale_state_closed && to <= sale_state_closed;
    if (past) return;
    *asked_at = self->now;
    struct sale_move move = { .sale_id = sale->sale_id, .to = to };
    struct sale_resume resume = { .sale_id = sale->sale_id };
    if (sale->state == sale_state_paused && to == sale_state_open)
        send(self, ACTOR_catalogue, MSG_sale_resume, &resume);
    else
        send(self, ACTOR_catalogue, MSG_sale_move, &move);
}

static void look_at(struct world *self, const struct pg_sale *sale) {
    const struct operators *operators = self->operators;
    bool ending = operators->ending == ENDING_settle;
    bool running = sale->state == sale_state_open || sale->state == sale_state_paused;
    if (sale->sale_id != SALE_MAIN) {
        bool draft = sale->state == sale_state_draft && operators->restock == RESTOCK_done;
        if (draft) want(self, sale, sale_state_scheduled);
        if (running && ending) want(self, sale, sale_state_closed);
    } else if (running) {
        want(self, sale, ending ? sale_state_closed : operators->wanted);
    }
}

/* ---- Restock ---- */

static void restock(struct world *self) {
    struct operators *operators = self->operators;
    if (operators->restock == RESTOCK_none || operators->restock == RESTOCK_done) return;
    if (operators->restock_at != 0 && self->now - operators->restock_at < ASK_AGAIN) return;
    if (operators->ending != ENDING_no && operators->restock != RESTOCK_lot) return;
    operators->restock_at = self->now;
    struct stock_receive receive = { .sku_id = SKU_SECOND, .quantity = operators->units };
    int64_t opens = world_clock(self, PROCESS_shop) + 2 * SIM_SECOND;
    struct sale_create create = { .title = text_of("Second"),
                                  .opens_at = opens,
                                  .closes_at = opens + 3600 * SIM_SECOND,
                                  .pay_window = 4 * SIM_SECOND };
    struct lot_add add = { .sale_id = operators->second_sale,
                           .sku_id = SKU_SECOND,
                           .quantity = operators->units,
                           .price = { 2999, "CNY" },
                           .per_buyer_limit = 2 };
    switch (operators->restock) {
    case RESTOCK_arrives: send(self, ACTOR_catalogue, MSG_stock_receive, &receive); return;
    case RESTOCK_sale: send(self, ACTOR_catalogue, MSG_sale_create, &create); return;
    case RESTOCK_lot: send(self, ACTOR_catalogue, MSG_lot_add, &add); return;
    case RESTOCK_none:
    case RESTOCK_done: return;
    }
}

static void go_on(struct world *self, enum restock next) {
    self->operators->restock = next;
    self->operators->restock_at = 0;
    restock(self);
}

static void on_restock_answer(struct world *self, const struct message *in) {
    struct operators *operators = self->operators;
    if (in->head.type == MSG_stock_view && operators->restock == RESTOCK_arrives) {
        go_on(self, RESTOCK_sale);
    } else if (in->head.type == MSG_sale_view && operators->restock == RESTOCK_sale &&
               BODY(in, sale_view)->sale_id != SALE_MAIN) {
        operators->second_sale = BODY(in, sale_view)->sale_id;
        go_on(self, RESTOCK_lot);
    } else if (in->head.type == MSG_lot_view && operators->restock == RESTOCK_lot) {
        operators->second_lot = BODY(in, lot_view)->lot_id;
        go_on(self, RESTOCK_done);
        if (model_pg_lot(self->pg, operators->second_lot) == NULL) return; /* Failed over. */
        shoppers_restock(self, operators->second_lot, 3 + draw_below(&self->crowd_draw, 5));
    }
}

/* A lot_add that was repeated because its answer was lost finds no units: it had been done.  Nor is
 * there room for ever more sales: one that was made, and whose answer was lost, is taken. */
static void on_restock_failed(struct world *self, const struct failed *failed) {
    struct operators *operators = self->operators;
    if (operators->restock == RESTOCK_sale && failed->what == MSG_sale_create &&
        self->pg->sale_count == PG_SALES_MAX) {
        operators->second_sale = self->pg->sales[PG_SALES_MAX - 1].sale_id;
        go_on(self, RESTOCK_lot);
        return;
    }
    if (operators->restock != RESTOCK_lot || failed->what != MSG_lot_add) return;
    if (failed->problem == PROBLEM_stock_short || failed->problem == PROBLEM_illegal_state ||
        failed->problem == PROBLEM_not_found) {
        operators->restock = RESTOCK_done;
    }
}

/* ---- Reconciling ---- */

static void reconcile(struct world *self) {
    struct operators *operators = self->operators;
    if (operators->ending != ENDING_reconcile) return;
    if (operators->reconcile_at != 0 && self->now - operators->reconcile_at < ASK_AGAIN) return;
    struct reconcile ask = { .sale_id = 0 };
    operators->reconcile_at = self->now;
    operators->reconcile = send(self, ACTOR_catalogue, MSG_reconcile, &ask);
}

static void on_reconciled(struct world *self, const struct message *in) {
    struct operators *operators = self->operators;
    if (operators->ending != ENDING_reconcile || in->head.request != operators->reconcile) return;
    if (in->head.type == MSG_reconcile_view) {
        const struct reconcile_view *view = BODY(in, reconcile_view);
        if (view->off.size == 0) return;
        world_fail(self, "G2", 0,
                   "an operator is told that lot %" PRId64 " is off (%.*s) although all is quiet",
                   view->lot_id, (int)view->off.size, view->off.at);
    } else if (in->head.type == MSG_rows_end) {
        operators->ending = ENDING_settle;
    }
}

/* ---- Turns ---- */

void operators_turn(struct world *self) {
    struct operators *operators = self->operators;
    if (operators->wanted == sale_state_paused && self->now >= operators->paused_until) {
        operators->wanted = sale_state_open;
    }
    for (uint32_t i = 0; i < self->pg->sale_count; i++)
        look_at(self, &self->pg->sales[i]);
    restock(self);
    reconcile(self);
    flights_plan(&self->flights, EVENT_door, 0, 0, self->now + TURN_EVERY);
}

void operators_answer(struct world *self, const struct message *in) {
    if (self->operators == NULL) return;
    on_reconciled(self, in);
    on_restock_answer(self, in);
    if (in->head.type == MSG_failed) on_restock_failed(self, BODY(in, failed));
}

/* Not a command, but the way to refusals by PostgreSQL: tickets of the old price get none. */
static void change_price(struct world *self) {
    struct pg_lot *lot = &self->pg->lots[draw_below(&self->faults_draw, self->pg->lot_count)];
    struct pg_lot dearer = *lot;
    dearer.price_version++;
    dearer.price += 100;
    dearer.version++;
    if (self->real != NULL && !real_price(&dearer)) return;
    *lot = dearer;
    world_note(self, "the price of lot %" PRId64 " changes", lot->lot_id);
    if (self->standby != NULL) model_pg_copy(self->standby, self->pg);
}

static void ask_recovery(struct world *self) {
    struct recover recover = { .reason = text_of("an operator asks") };
    uint32_t shard = self->shards > 1 ? draw_below(&self->shards_draw, self->shards) : 0;
    send_about(self, shard, ACTOR_inventory, MSG_recover, &recover);
}

void operators_strike(struct world *self, enum fault fault) {
    struct operators *operators = self->operators;
    struct draw *draw = &self->faults_draw;
    switch (fault) {
    case FAULT_price: change_price(self); return;
    case FAULT_recover: ask_recovery(self); return;
    case FAULT_closed: operators->wanted = sale_state_closed; return;
    case FAULT_paused:
        if (operators->wanted != sale_state_open) return;
        operators->wanted = sale_state_paused;
        operators->paused_until = self->now + draw_span(draw, SIM_MS, self->swarm.last[fault]);
        return;
    case FAULT_restock:
        if (operators->restock != RESTOCK_none) return;
        operators->units = 1 + draw_below(draw, 6);
        operators->restock = RESTOCK_arrives;
        restock(self);
        return;
    default: return;
    }
}

void operators_heal(struct world *self) {
    if (self->operators != NULL) self->operators->paused_until = self->now;
}

static bool has_lots(const struct world *self, const struct pg_sale *sale) {
    for (uint32_t k = 0; k < self->pg->lot_count; k++)
        if (self->pg->lots[k].sale_id == sale->sale_id) return true;
    return false;
}

/* One that opens by itself is waited for: nobody can have asked for all of it before. */
static bool on_its_way(const struct world *self, const struct pg_sale *sale) {
    bool before = sale->state == sale_state_draft || sale->state == sale_state_scheduled ||
                  sale->state == sale_state_warming || sale->state == sale_state_ready;
    return before && has_lots(self, sale);
}

bool operators_content(const struct world *self) {
    enum restock restock = self->operators != NULL ? self->operators->restock : RESTOCK_none;
    if (restock != RESTOCK_none && restock != RESTOCK_done) return false;
    for (uint32_t i = 0; i < self->pg->sale_count; i++) {
        const struct pg_sale *sale = &self->pg->sales[i];
        if (sale->state == sale_state_paused || on_its_way(self, sale)) return false;
    }
    return true;
}

void operators_end(struct world *self) {
    self->operators->ending = ENDING_reconcile;
}

bool operators_settled(const struct world *self) {
    if (self->operators->ending != ENDING_settle) return false;
    for (uint32_t i = 0; i < self->pg->sale_count; i++) {
        const struct pg_sale *sale = &self->pg->sales[i];
        if (has_lots(self, sale) && sale->state < sale_state_settled) return false;
    }
    return check_outbox_empty(self);
}
