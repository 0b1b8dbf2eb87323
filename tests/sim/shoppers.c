/* Shoppers: small machines that ask the door and live with what it says. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/world.h"

static const uint64_t callback_bit = UINT64_C(1) << 62;
enum { TURN_BITS = 32 };

/* ---- Acting ---- */

static void done(struct world *self, struct shopper *shopper) {
    if (shopper->state == SHOPPER_done) return;
    free(self->tickets[shopper->ticket].sealed);
    self->tickets[shopper->ticket].sealed = NULL;
    shopper->state = SHOPPER_done;
    shopper->turn++;
    self->shoppers_done++;
}

static void begin(struct world *self, struct shopper *shopper) {
    shopper->state = SHOPPER_buys;
    shopper->got = false;
    shopper_send(self, shopper, MSG_order_create);
    if (shopper->double_click) shopper_send(self, shopper, MSG_order_create);
    shopper_cheats(self, shopper);
    if (shopper->wish == WISH_vanish)
        done(self, shopper);
    else if (!world_is_calm(self))
        shopper_wake(self, shopper, shopper->patience);
}

static void owns(struct world *self, struct shopper *shopper) {
    shopper->state = shopper->wish == WISH_cancel    ? SHOPPER_cancels
                     : shopper->wish == WISH_abandon ? SHOPPER_watches
                                                     : SHOPPER_opens;
    shopper_turn(self, (uint64_t)shopper->turn << TURN_BITS | (uint64_t)(shopper - self->shoppers));
}

void shopper_turn(struct world *self, uint64_t number) {
    struct shopper *shopper = &self->shoppers[number & UINT32_MAX];
    if (shopper->turn != (uint32_t)(number >> TURN_BITS)) return;
    bool buys = shopper->state == SHOPPER_waits || shopper->state == SHOPPER_buys;
    if (!buys || !world_is_calm(self)) shopper_wake(self, shopper, shopper->patience);
    switch ((enum shopper_state)shopper->state) {
    case SHOPPER_waits: begin(self, shopper); return;
    case SHOPPER_buys: shopper_send(self, shopper, MSG_order_create); return;
    case SHOPPER_asks:
    case SHOPPER_watches: shopper_send(self, shopper, MSG_order_get); return;
    case SHOPPER_owns: owns(self, shopper); return;
    case SHOPPER_cancels: shopper_send(self, shopper, MSG_order_cancel); return;
    case SHOPPER_opens: shopper_send(self, shopper, MSG_payment_create); return;
    case SHOPPER_pays:
        provider_pay(self, shopper->payment_id);
        shopper->state = SHOPPER_watches;
        return;
    case SHOPPER_done: return;
    }
}

/* ---- Hearing ---- */

static int64_t pause(struct world *self) {
    return draw_span(&self->crowd_draw, 200, 1500) * SIM_MS;
}

static void said_no(struct world *self, struct shopper *shopper) {
    shopper->told_no = true;
    if (shopper->stubborn == 0) {
        done(self, shopper);
        return;
    }
    shopper->stubborn--;
    shopper->state = SHOPPER_buys;
    shopper_wake(self, shopper, pause(self));
}

/* Where there are several shards he may go on at another one. */
static void another_lot(struct world *self, struct shopper *shopper) {
    if (self->shards == 1) return;
    const struct pg_lot *lot = &self->pg->lots[draw_below(&self->shards_draw, self->pg->lot_count)];
    shopper->lot_id = lot->lot_id;
    shopper->quantity = 1 + draw_below(&self->shards_draw, lot->limit);
}

/* The order has its last state. */
static void ended(struct world *self, struct shopper *shopper) {
    if (shopper->again) { /* The same ticket once more: it finds its order. */
        shopper->again = false;
        shopper->state = SHOPPER_buys;
        shopper_wake(self, shopper, pause(self));
    } else if (shopper->second > 0) {
        shopper->second--;
        another_lot(self, shopper);
        shopper_new_ticket(self, shopper);
        shopper->state = SHOPPER_waits;
        shopper_wake(self, shopper, pause(self));
    } else {
        done(self, shopper);
    }
}

static bool is_last(struct world *self, const struct shopper *shopper, enum order_state state) {
    bool money = shopper->payment_id != 0 && shopper->wish == WISH_pay_late;
    if (state == order_state_awaiting_payment || state == order_state_paying) return false;
    if (self->tickets[shopper->ticket].excused) return true; /* His payment may be gone, too. */
    if (state == order_state_expired && money) {
        return provider_refunded(self, shopper->payment_id);
    }
    return true;
}

/* What is paid cannot be cancelled any more; he may ask. */
static void regret(struct world *self, struct shopper *shopper, enum order_state state) {
    if (state != order_state_paid || self->swarm.regrets == 0 || self->healed) return;
    if (!draw_chance(&self->later_draw, self->swarm.regrets)) return;
    shopper_send(self, shopper, MSG_order_cancel);
}

static void has_order(struct world *self, struct shopper *shopper, const struct order_view *view) {
    bool first = !shopper->got;
    regret(self, shopper, view->state);
    shopper->got = true;
    shopper->pay_by = view->pay_by;
    if (first && shopper->lists) shopper_send(self, shopper, MSG_order_list);
    if (is_last(self, shopper, view->state)) {
        ended(self, shopper);
    } else if (first && shopper->state != SHOPPER_watches) {
        shopper->state = SHOPPER_owns;
        shopper_wake(self, shopper, shopper->late_comer ? SIM_MS : pause(self));
    } else {
        if (shopper->state == SHOPPER_buys || shopper->state == SHOPPER_asks) {
            shopper->state = SHOPPER_watches;
        }
        shopper_wake(self, shopper, pause(self));
    }
}

static void on_view(struct world *self, struct shopper *shopper, const struct order_view *view) {
    switch (view->state) {
    case order_state_pending: shopper_wake(self, shopper, pause(self)); return;
    case order_state_refused: said_no(self, shopper); return;
    case order_state_void:
        shopper->state = SHOPPER_buys;
        shopper_wake(self, shopper, pause(self));
        return;
    default: has_order(self, shopper, view); return;
    }
}

static void on_receipt(struct world *self, struct shopper *shopper, struct text receipt) {
    if (shopper->state != SHOPPER_buys || receipt.size > TICKET_TEXT_MAX) return;
    if (shopper->receipt == NULL) shopper->receipt = malloc(TICKET_TEXT_MAX + 1);
    if (shopper->receipt == NULL) abort();
    memcpy(shopper->receipt, receipt.at, receipt.size);
    shopper->receipt[receipt.size] = 0;
    shopper->state = SHOPPER_asks;
    if (shopper->cheat == CHEAT_receipt) shopper_cheats(self, shopper);
    shopper_wake(self, shopper, pause(self));
}

/* His order is gone with a server of PostgreSQL: he is told so, and begins anew. */
static bool is_lost(const struct world *self, const struct shopper *shopper,
                    const struct failed *failed) {
    return self->tickets[shopper->ticket].excused && failed->problem == PROBLEM_not_found;
}

static void on_failed(struct world *self, struct shopper *shopper, const struct failed *failed) {
    bool later =
        problem_retry(failed->problem) == RETRY_SAME || problem_http(failed->problem) == 503;
    if (!later && shopper->state == SHOPPER_buys) {
        said_no(self, shopper);
        return;
    }
    if (is_lost(self, shopper, failed)) {
        done(self, shopper);
        return;
    }
    if (!later && (shopper->state == SHOPPER_cancels || shopper->state == SHOPPER_opens)) {
        shopper->state = SHOPPER_watches; /* Paid or expired meanwhile. */
    }
    shopper_wake(self, shopper, pause(self));
}

static void on_payment(struct world *self, struct shopper *shopper,
                       const struct payment_view *view) {
    if (shopper->state != SHOPPER_opens || view->pay_url.size == 0) return;
    int64_t after = pause(self);
    int64_t left = shopper->pay_by - world_clock(self, PROCESS_shop);
    if (shopper->late_comer) after = SIM_MS;
    if (shopper->wish == WISH_pay_late && left > 0 && left < 60 * SIM_SECOND) after += left;
    shopper->payment_id = view->payment_id;
    shopper->state = SHOPPER_pays;
    shopper_wake(self, shopper, after);
}

static bool expected(const struct shopper *shopper, enum message_id type) {
    switch ((enum shopper_state)shopper->state) {
    case SHOPPER_buys: return type == MSG_order_create;
    case SHOPPER_asks:
    case SHOPPER_watches: return type == MSG_order_get;
    case SHOPPER_cancels: return type == MSG_order_cancel;
    case SHOPPER_opens: return type == MSG_payment_create;
    case SHOPPER_waits:
    case SHOPPER_owns:
    case SHOPPER_pays:
    case SHOPPER_done: return false;
    }
    return false;
}

void shoppers_answer(struct world *self, const struct message *in) {
    uint64_t number = in->head.request;
    if ((number & callback_bit) != 0) {
        provider_answer(self, in);
        return;
    }
    if (number == 0 || number > self->request_count) return;
    struct request *request = &self->requests[number - 1];
    struct shopper *shopper = &self->shoppers[request->shopper];
    /* One request has one answer, a list its rows; the port drops what follows. */
    if (request->answered) return;
    request->answered = request->type != MSG_order_list || in->head.type != MSG_order_view;
    check_answer(self, request, in);
    bool fresh = request->ticket == shopper->ticket && request->cheat == CHEAT_none;
    if (!fresh || !expected(shopper, (enum message_id)request->type) || self->failure.is) return;
    switch (in->head.type) {
    case MSG_order_view: on_view(self, shopper, BODY(in, order_view)); return;
    case MSG_order_receipt: on_receipt(self, shopper, BODY(in, order_receipt)->receipt); return;
    case MSG_payment_view: on_payment(self, shopper, BODY(in, payment_view)); return;
    case MSG_failed: on_failed(self, shopper, BODY(in, failed)); return;
    default: return;
    }
}

void shoppers_fetch_turn(const struct world *self, uint32_t index, bool soon) {
    const struct shopper *shopper = &self->shoppers[index];
    __builtin_prefetch(shopper);
    __builtin_prefetch((const char *)shopper + sizeof *shopper - 1);
    if (soon) __builtin_prefetch(&self->tickets[shopper->ticket]);
}

void shoppers_fetch_answer(const struct world *self, const struct batch *answers, uint32_t at) {
    enum { REQUEST_AHEAD = 12, SHOPPER_AHEAD = 6 };
    for (uint32_t ahead = SHOPPER_AHEAD; ahead <= REQUEST_AHEAD; ahead += SHOPPER_AHEAD) {
        if (at + ahead >= answers->count) return;
        uint64_t number = answers->items[at + ahead].head.request;
        if (number == 0 || number > self->request_count) continue;
        const struct request *request = &self->requests[number - 1];
        if (ahead == REQUEST_AHEAD) {
            __builtin_prefetch(request);
        } else {
            shoppers_fetch_turn(self, request->shopper, false);
            __builtin_prefetch(&self->tickets[request->ticket]);
        }
    }
}

/* ---- The crowd ---- */

uint32_t shopper_add(struct world *self, const struct shopper *plan) {
    self->shoppers = world_grow(self->shoppers, self->shopper_count, &self->shopper_room,
                                sizeof *self->shoppers);
    uint32_t index = self->shopper_count++;
    struct shopper *shopper = &self->shoppers[index];
    *shopper = *plan;
    shopper_new_ticket(self, shopper);
    shopper_wake(self, shopper, plan->begins);
    return index;
}

static struct shopper draw_shopper(struct world *self, const struct pg_lot *lot) {
    struct draw *draw = &self->crowd_draw;
    struct shopper plan = { .lot_id = lot->lot_id };
    plan.quantity = 1 + draw_below(draw, lot->limit);
    plan.wish = (uint8_t)draw_below(draw, WISH_COUNT);
    if (plan.wish == WISH_vanish && draw_chance(draw, 700)) plan.wish = WISH_pay;
    plan.double_click = draw_chance(draw, 250);
    plan.again = draw_chance(draw, 400);
    plan.lists = draw_chance(draw, 300);
    plan.stubborn = (uint8_t)draw_below(draw, 4);
    plan.second = (uint8_t)draw_below(draw, 3);
    plan.begins = draw_chance(draw, 600) ? draw_span(draw, 0, 50) * SIM_MS
                                         : draw_span(draw, 0, 10000) * SIM_MS;
    plan.patience = draw_span(draw, 500, 2500) * SIM_MS;
    uint32_t cheat = 1 + draw_below(draw, CHEAT_COUNT - 1);
    if (draw_chance(draw, self->swarm.cheats)) plan.cheat = (uint8_t)cheat;
    return plan;
}

void shoppers_open(struct world *self, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const struct pg_lot *lot =
            &self->pg->lots[draw_below(&self->crowd_draw, self->pg->lot_count)];
        struct shopper plan = draw_shopper(self, lot);
        shopper_add(self, &plan);
    }
}

void shoppers_close(struct world *self) {
    for (uint32_t i = 0; i < self->shopper_count; i++)
        free(self->shoppers[i].receipt);
    for (uint32_t i = 0; i < self->ticket_count; i++)
        free(self->tickets[i].told);
    for (uint32_t i = 0; i < self->ticket_count; i++)
        free(self->tickets[i].sealed);
    free(self->shoppers);
    free(self->tickets);
    free(self->requests);
}

/* A few come for a lot that has just been announced. */
void shoppers_restock(struct world *self, int64_t lot_id, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct shopper plan = draw_shopper(self, model_pg_lot(self->pg, lot_id));
        shopper_add(self, &plan);
    }
}

/* When all is quiet, people come who buy and pay what is left, and one more. */
void shoppers_late_comers(struct world *self) {
    for (uint32_t i = 0; i < self->pg->lot_count; i++) {
        const struct pg_lot *lot = &self->pg->lots[i];
        if (lot->state != lot_state_open) continue;
        for (int64_t n = lot->allocated - lot->sold; n >= 0; n--) {
            struct shopper plan = { .lot_id = lot->lot_id,
                                    .quantity = 1,
                                    .wish = WISH_pay,
                                    .late_comer = true,
                                    .patience = 2 * SIM_SECOND };
            shopper_add(self, &plan);
            self->late_comers++;
        }
    }
}
