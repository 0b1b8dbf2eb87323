/* What shoppers send, honest and other. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

enum { FIRST_ORDER = 100001, SHARD_BITS = 64, TURN_BITS = 32 };
#define HOME  "{\"city\":\"Here\"}"
#define OTHER "{\"city\":\"There\"}"

/* ---- Tickets: the session actor's part ---- */

/* The shard of a lot is part of its order ids. */
static int64_t order_id_of(const struct world *self, uint32_t ticket, int64_t lot_id) {
    int64_t number = FIRST_ORDER + (int64_t)ticket;
    if (self->shards <= 1) return number;
    return number * SHARD_BITS + model_pg_lot(self->pg, lot_id)->shard;
}

struct ticket *world_ticket(struct world *self, int64_t order_id) {
    int64_t at = (self->shards <= 1 ? order_id : order_id / SHARD_BITS) - FIRST_ORDER;
    return at >= 0 && at < (int64_t)self->ticket_count ? &self->tickets[at] : NULL;
}

/* As if it had been issued before the rush. */
void shopper_new_ticket(struct world *self, struct shopper *shopper) {
    self->tickets =
        world_grow(self->tickets, self->ticket_count, &self->ticket_room, sizeof *self->tickets);
    uint32_t index = (uint32_t)(shopper - self->shoppers);
    shopper->ticket = self->ticket_count++;
    shopper->payment_id = 0;
    bool lasting = self->story || shopper->late_comer || draw_chance(&self->crowd_draw, 900);
    int64_t life = (lasting ? 3600 : 4) * SIM_SECOND;
    self->tickets[shopper->ticket] = (struct ticket){
        .order_id = order_id_of(self, shopper->ticket, shopper->lot_id),
        .user_id = shopper_user(index),
        .lot_id = shopper->lot_id,
        .expires_at = world_clock(self, PROCESS_shop) + life,
        .shopper = index,
        .price_version = model_pg_lot(self->pg, shopper->lot_id)->price_version,
    };
}

static void seal(const struct world *self, uint32_t ticket, char text[SEAL_TEXT_MAX + 1]) {
    const struct ticket *from = &self->tickets[ticket];
    struct ticket_claims claims = { .order_id = from->order_id,
                                    .user_id = from->user_id,
                                    .session_id = shopper_session(from->shopper),
                                    .lot_id = from->lot_id,
                                    .quantity_max = QUANTITY_MAX,
                                    .price_version = from->price_version,
                                    .not_before = SIM_START - 7200 * SIM_SECOND,
                                    .expires_at = from->expires_at };
    seal_write(&self->keys, MSG_ticket_claims, &claims, text);
}

/* A ticket is sealed once, as it is issued once. */
static void show(struct world *self, uint32_t number, char text[SEAL_TEXT_MAX + 1]) {
    struct ticket *ticket = &self->tickets[number];
    if (ticket->sealed == NULL) {
        seal(self, number, text);
        ticket->sealed = strdup(text);
        if (ticket->sealed == NULL) abort();
    } else {
        memcpy(text, ticket->sealed, strlen(ticket->sealed) + 1);
    }
}

/* ---- Asking ---- */

void shopper_wake(struct world *self, struct shopper *shopper, int64_t after) {
    shopper->turn++;
    flights_plan(&self->flights, EVENT_shopper, 0,
                 (uint64_t)shopper->turn << TURN_BITS | (uint64_t)(shopper - self->shoppers),
                 self->now + after);
}

static void ask(struct world *self, const struct shopper *shopper, enum message_id type,
                const void *body, enum cheat cheat, uint32_t quantity) {
    self->requests = world_grow(self->requests, self->request_count, &self->request_room,
                                sizeof *self->requests);
    uint64_t number = self->request_count + 1U;
    self->requests[self->request_count++] =
        (struct request){ .sent_at = self->now,
                          .shopper = (uint32_t)(shopper - self->shoppers),
                          .ticket = shopper->ticket,
                          .type = (uint16_t)type,
                          .cheat = (uint8_t)cheat,
                          .quantity = (uint8_t)quantity };
    /* Any bridge will do; the balancer in front does not ask which. */
    bool edge =
        self->seat_at[PROCESS_edge][ACTOR_bridge] != 0 && draw_chance(&self->links_draw, 500);
    struct message message = { { .type = (uint16_t)type,
                                 .from = PORT_http,
                                 .to = ACTOR_bridge,
                                 .origin = PORT_http,
                                 .node = edge ? PROCESS_edge + 1 : PROCESS_shop + 1,
                                 .request = number,
                                 .trace = number },
                               body };
    world_send(self, self->seat_at[PROCESS_shop][PORT_http], &message);
}

static void send_create(struct world *self, const struct shopper *shopper, enum cheat cheat) {
    char text[SEAL_TEXT_MAX + 1];
    uint32_t index = (uint32_t)(shopper - self->shoppers), ticket = shopper->ticket;
    if (cheat == CHEAT_foreign) ticket = (ticket + 1) % self->ticket_count;
    show(self, ticket, text);
    if (cheat == CHEAT_forged) text[strlen(text) / 2] ^= 1;
    uint32_t quantity = shopper->quantity + (cheat == CHEAT_quantity);
    struct order_create want = { .ticket = text_of(text),
                                 .quantity = quantity,
                                 .address = text_of(cheat == CHEAT_address ? OTHER : HOME),
                                 .user_id = shopper_user(index),
                                 .session_id = shopper_session(index) };
    if (cheat == CHEAT_foreign && self->tickets[ticket].shopper == index) return;
    if (cheat == CHEAT_address || cheat == CHEAT_quantity) self->tickets[ticket].altered = true;
    ask(self, shopper, MSG_order_create, &want, cheat, quantity);
}

static void send_get(struct world *self, const struct shopper *shopper, int64_t order_id,
                     enum cheat cheat) {
    char altered[SEAL_TEXT_MAX + 1];
    uint32_t index = (uint32_t)(shopper - self->shoppers);
    struct order_get want = { .order_id = order_id, .user_id = shopper_user(index) };
    bool shows = shopper->state == SHOPPER_asks || cheat == CHEAT_receipt;
    if (shows && shopper->receipt != NULL) want.receipt = text_of(shopper->receipt);
    if (cheat == CHEAT_receipt) {
        if (shopper->receipt == NULL) return;
        snprintf(altered, sizeof altered, "%s", shopper->receipt);
        altered[strlen(altered) / 2] ^= 1;
        want.receipt = text_of(altered);
    }
    ask(self, shopper, MSG_order_get, &want, cheat, 0);
}

void shopper_send(struct world *self, struct shopper *shopper, enum message_id type) {
    int64_t user_id = shopper_user((uint32_t)(shopper - self->shoppers));
    int64_t order_id = self->tickets[shopper->ticket].order_id;
    struct order_cancel cancel = { .order_id = order_id, .user_id = user_id };
    struct order_list list = { .user_id = user_id };
    struct payment_create open = { .order_id = order_id,
                                   .provider = text_of("sandbox"),
                                   .user_id = user_id };
    switch (type) {
    case MSG_order_create: send_create(self, shopper, CHEAT_none); return;
    case MSG_order_get: send_get(self, shopper, order_id, CHEAT_none); return;
    case MSG_order_cancel: ask(self, shopper, type, &cancel, CHEAT_none, 0); return;
    case MSG_order_list: ask(self, shopper, type, &list, CHEAT_none, 0); return;
    case MSG_payment_create: ask(self, shopper, type, &open, CHEAT_none, 0); return;
    default: return;
    }
}

/* Somebody else's, whatever it is. */
static void peek(struct world *self, const struct shopper *shopper) {
    const struct ticket *other = &self->tickets[(shopper->ticket + 1) % self->ticket_count];
    uint32_t index = (uint32_t)(shopper - self->shoppers);
    if (other->shopper == index) return;
    struct order_cancel cancel = { .order_id = other->order_id, .user_id = shopper_user(index) };
    send_get(self, shopper, other->order_id, CHEAT_peek);
    ask(self, shopper, MSG_order_cancel, &cancel, CHEAT_peek, 0);
}

void shopper_cheats(struct world *self, struct shopper *shopper) {
    enum cheat cheat = (enum cheat)shopper->cheat;
    switch (cheat) {
    case CHEAT_none:
    case CHEAT_COUNT: return;
    case CHEAT_foreign:
    case CHEAT_forged:
    case CHEAT_address:
    case CHEAT_quantity: send_create(self, shopper, cheat); return;
    case CHEAT_receipt:
        send_get(self, shopper, self->tickets[shopper->ticket].order_id, cheat);
        return;
    case CHEAT_peek: peek(self, shopper); return;
    }
}
