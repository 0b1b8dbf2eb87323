/* Shoppers: small machines that ask the door and live with what it says. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

static const uint64_t callback_bit = UINT64_C(1) << 62;
enum { TURN_BITS = 32 };

/* ---- Asking ---- */

static void wake(struct world *self, struct shopper *shopper, int64_t after) {
    shopper->turn++;
    flights_plan(&self->flights, EVENT_shopper, PORT_http,
                 (uint64_t)shopper->turn << TURN_BITS >> 1 | (uint64_t)(shopper - self->shoppers),
                 self->now + after);
}

static uint64_t note_request(struct world *self, const struct shopper *shopper,
                             enum message_id type) {
    self->requests = world_grow(self->requests, self->request_count, &self->request_room,
                                sizeof *self->requests);
    self->requests[self->request_count++] =
        (struct request){ .type = type,
                          .shopper = (uint32_t)(shopper - self->shoppers),
                          .ticket = shopper->ticket,
                          .sent_at = self->now };
    return self->request_count;
}

static void ask(struct world *self, struct shopper *shopper, enum message_id type,
                const void *body) {
    uint64_t number = note_request(self, shopper, type);
    struct message message = { { .type = (uint16_t)type,
                                 .from = PORT_http,
                                 .to = ACTOR_bridge,
                                 .origin = PORT_http,
                                 .request = number,
                                 .trace = number },
                               body };
    world_send(self, &message);
}

static void send_ticket(struct world *self, struct shopper *shopper) {
    struct order_create want = { .ticket = text_of(shopper->sealed),
                                 .quantity = shopper->quantity,
                                 .address = text_of("{\"city\":\"Here\"}"),
                                 .user_id = shopper->user_id,
                                 .session_id = shopper->session_id };
    ask(self, shopper, MSG_order_create, &want);
}

static void send_get(struct world *self, struct shopper *shopper) {
    struct order_get want = { .order_id = self->tickets[shopper->ticket].order_id,
                              .user_id = shopper->user_id };
    if (shopper->state == SHOPPER_asks) want.receipt = text_of(shopper->receipt);
    ask(self, shopper, MSG_order_get, &want);
}

static void send_cancel(struct world *self, struct shopper *shopper) {
    struct order_cancel want = { .order_id = self->tickets[shopper->ticket].order_id,
                                 .user_id = shopper->user_id };
    ask(self, shopper, MSG_order_cancel, &want);
}

static void send_open(struct world *self, struct shopper *shopper) {
    struct payment_create want = { .order_id = self->tickets[shopper->ticket].order_id,
                                   .provider = text_of("sandbox"),
                                   .user_id = shopper->user_id };
    ask(self, shopper, MSG_payment_create, &want);
}

/* The session actor's part: a ticket, as if it had been issued before the rush. */
static void new_ticket(struct world *self, struct shopper *shopper) {
    self->tickets =
        world_grow(self->tickets, self->ticket_count, &self->ticket_room, sizeof *self->tickets);
    shopper->ticket = self->ticket_count++;
    shopper->payment_id = 0;
    struct ticket *ticket = &self->tickets[shopper->ticket];
    *ticket = (struct ticket){ .order_id = 100001 + shopper->ticket,
                               .user_id = shopper->user_id,
                               .lot_id = shopper->lot_id,
                               .shopper = (uint32_t)(shopper - self->shoppers) };
    int64_t life =
        self->story || shopper->late_comer || draw_chance(&self->crowd_draw, 900) ? 3600 : 4;
    struct ticket_claims claims = { .order_id = ticket->order_id,
                                    .user_id = shopper->user_id,
                                    .session_id = shopper->session_id,
                                    .lot_id = shopper->lot_id,
                                    .quantity_max = QUANTITY_MAX,
                                    .price_version =
                                        model_pg_lot(self->pg, shopper->lot_id)->price_version,
                                    .not_before = SIM_START,
                                    .expires_at = self->now + life * SIM_SECOND };
    seal_write(&self->keys, MSG_ticket_claims, &claims, shopper->sealed);
}

/* ---- Acting ---- */

static void done(struct world *self, struct shopper *shopper) {
    if (shopper->state == SHOPPER_done) return;
    shopper->state = SHOPPER_done;
    shopper->turn++;
    self->shoppers_done++;
}

static void begin(struct world *self, struct shopper *shopper) {
    shopper->state = SHOPPER_buys;
    shopper->got = false;
    send_ticket(self, shopper);
    if (shopper->double_click) send_ticket(self, shopper);
    if (shopper->wish == WISH_vanish)
        done(self, shopper);
    else
        wake(self, shopper, shopper->patience);
}

void shopper_turn(struct world *self, uint64_t number) {
    uint64_t index = number & ((UINT64_C(1) << (TURN_BITS - 1)) - 1);
    struct shopper *shopper = &self->shoppers[index];
    if (shopper->turn != (uint32_t)(number >> (TURN_BITS - 1))) return;
    wake(self, shopper, shopper->patience);
    switch (shopper->state) {
    case SHOPPER_waits: begin(self, shopper); return;
    case SHOPPER_buys: send_ticket(self, shopper); return;
    case SHOPPER_asks: send_get(self, shopper); return;
    case SHOPPER_watches: send_get(self, shopper); return;
    case SHOPPER_owns:
        shopper->state = shopper->wish == WISH_cancel    ? SHOPPER_cancels
                         : shopper->wish == WISH_abandon ? SHOPPER_watches
                                                         : SHOPPER_opens;
        shopper_turn(self, (uint64_t)shopper->turn << (TURN_BITS - 1) | index);
        return;
    case SHOPPER_cancels: send_cancel(self, shopper); return;
    case SHOPPER_opens: send_open(self, shopper); return;
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
    wake(self, shopper, pause(self));
}

/* The order has its last state. */
static void ended(struct world *self, struct shopper *shopper) {
    if (shopper->again) { /* The same ticket once more: it finds its order. */
        shopper->again = false;
        shopper->state = SHOPPER_buys;
        wake(self, shopper, pause(self));
    } else if (shopper->second > 0) {
        shopper->second--;
        new_ticket(self, shopper);
        shopper->state = SHOPPER_waits;
        wake(self, shopper, pause(self));
    } else {
        done(self, shopper);
    }
}

static bool is_last(struct world *self, const struct shopper *shopper, enum order_state state) {
    bool money = shopper->payment_id != 0 && shopper->wish == WISH_pay_late;
    if (state == order_state_awaiting_payment || state == order_state_paying) return false;
    if (state == order_state_expired && money) {
        return provider_refunded(self, shopper->payment_id);
    }
    return true;
}

static void has_order(struct world *self, struct shopper *shopper, const struct order_view *view) {
    bool first = !shopper->got;
    shopper->got = true;
    shopper->pay_by = view->pay_by;
    if (is_last(self, shopper, view->state)) {
        ended(self, shopper);
    } else if (first && shopper->state != SHOPPER_watches) {
        shopper->state = SHOPPER_owns;
        wake(self, shopper, shopper->late_comer ? SIM_MS : pause(self));
    } else {
        if (shopper->state == SHOPPER_buys || shopper->state == SHOPPER_asks) {
            shopper->state = SHOPPER_watches;
        }
        wake(self, shopper, pause(self));
    }
}

static void on_view(struct world *self, struct shopper *shopper, const struct order_view *view) {
    switch (view->state) {
    case order_state_pending: wake(self, shopper, pause(self)); return;
    case order_state_refused: said_no(self, shopper); return;
    case order_state_void:
        shopper->state = SHOPPER_buys;
        wake(self, shopper, pause(self));
        return;
    default: has_order(self, shopper, view); return;
    }
}

static void on_receipt(struct world *self, struct shopper *shopper, struct text receipt) {
    if (shopper->state != SHOPPER_buys || receipt.size > TICKET_TEXT_MAX) return;
    memcpy(shopper->receipt, receipt.at, receipt.size);
    shopper->receipt[receipt.size] = 0;
    shopper->state = SHOPPER_asks;
    wake(self, shopper, pause(self));
}

static void on_failed(struct world *self, struct shopper *shopper, const struct failed *failed) {
    bool later =
        problem_retry(failed->problem) == RETRY_SAME || problem_http(failed->problem) == 503;
    if (later) {
        wake(self, shopper, pause(self));
    } else if (shopper->state == SHOPPER_buys) {
        said_no(self, shopper);
    } else if (shopper->state == SHOPPER_cancels || shopper->state == SHOPPER_opens) {
        shopper->state = SHOPPER_watches; /* Paid or expired meanwhile. */
        wake(self, shopper, pause(self));
    } else {
        wake(self, shopper, pause(self));
    }
}

static void on_payment(struct world *self, struct shopper *shopper,
                       const struct payment_view *view) {
    if (shopper->state != SHOPPER_opens || view->pay_url.size == 0) return;
    int64_t after = pause(self);
    int64_t left = shopper->pay_by - self->now;
    if (shopper->late_comer) after = SIM_MS;
    if (shopper->wish == WISH_pay_late && left > 0) after += left;
    shopper->payment_id = view->payment_id;
    shopper->state = SHOPPER_pays;
    wake(self, shopper, after);
}

static bool expected(const struct shopper *shopper, enum message_id type) {
    switch (shopper->state) {
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
    if (request->answered) return; /* One request has one answer; the port drops what follows. */
    request->answered = true;
    check_answer(self, request, in);
    bool fresh = request->ticket == shopper->ticket;
    if (!fresh || !expected(shopper, request->type) || self->failure.is) return;
    switch (in->head.type) {
    case MSG_order_view: on_view(self, shopper, BODY(in, order_view)); return;
    case MSG_order_receipt: on_receipt(self, shopper, BODY(in, order_receipt)->receipt); return;
    case MSG_payment_view: on_payment(self, shopper, BODY(in, payment_view)); return;
    case MSG_failed: on_failed(self, shopper, BODY(in, failed)); return;
    default: return;
    }
}

/* ---- The crowd ---- */

uint32_t shopper_add(struct world *self, const struct shopper *plan) {
    uint32_t index = self->shopper_count++;
    self->shoppers = realloc(self->shoppers, self->shopper_count * sizeof *self->shoppers);
    if (self->shoppers == NULL) abort();
    struct shopper *shopper = &self->shoppers[index];
    *shopper = *plan;
    shopper->user_id = 1001 + index;
    shopper->session_id = 5001 + index;
    new_ticket(self, shopper);
    wake(self, shopper, plan->begins);
    return index;
}

void shoppers_open(struct world *self, uint32_t count) {
    struct draw *draw = &self->crowd_draw;
    for (uint32_t i = 0; i < count; i++) {
        const struct pg_lot *lot = &self->pg->lots[draw_below(draw, self->pg->lot_count)];
        struct shopper plan = { .lot_id = lot->lot_id };
        plan.quantity = 1 + draw_below(draw, lot->limit);
        plan.wish = (enum wish)draw_below(draw, WISH_COUNT);
        if (plan.wish == WISH_vanish && draw_chance(draw, 700)) plan.wish = WISH_pay;
        plan.double_click = draw_chance(draw, 250);
        plan.again = draw_chance(draw, 400);
        plan.stubborn = draw_below(draw, 4);
        plan.second = draw_below(draw, 3);
        plan.begins = draw_chance(draw, 600) ? draw_span(draw, 0, 50) * SIM_MS
                                             : draw_span(draw, 0, 10000) * SIM_MS;
        plan.patience = draw_span(draw, 500, 2500) * SIM_MS;
        shopper_add(self, &plan);
    }
}

/* When all is quiet, people come who buy and pay what is left, and one more. */
void shoppers_late_comers(struct world *self) {
    for (uint32_t i = 0; i < self->pg->lot_count; i++) {
        const struct pg_lot *lot = &self->pg->lots[i];
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
