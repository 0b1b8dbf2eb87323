/* The way from one seat to another, and what goes wrong on it. */
#include "tests/sim/check.h"
#include "tests/sim/world.h"

static uint8_t shop_seat(const struct world *self, enum address to) {
    uint8_t seat = self->seat_at[PROCESS_shop][to];
    return seat != 0 ? seat : self->seat_at[PROCESS_edge][to];
}

/* The process that serves the shard, or now and then one that does not any more, or not yet: the
 * map of whoever sends may be old. */
static uint8_t shard_seat(struct world *self, const struct head *head) {
    uint8_t shard = head->shard < self->shards ? head->shard : 0;
    uint8_t home = self->home[shard], other = (uint8_t)(home ^ 1);
    bool shopper = head->from == ACTOR_bridge || head->from == ACTOR_payment;
    if (!self->healed && shopper && self->processes[other].there &&
        draw_chance(&self->links_draw, self->swarm.misrouted)) {
        return self->seat_at[other][head->to];
    }
    return self->seat_at[home][head->to];
}

/* 0: nowhere. */
static uint8_t route(struct world *self, uint8_t from, const struct head *head) {
    enum address to = (enum address)head->to;
    uint8_t process = self->seats[from].process;
    uint8_t here = self->seat_at[process][to];
    if (to == ACTOR_bridge) {
        uint8_t edge = self->seat_at[PROCESS_edge][to];
        return edge != 0 && head->node == PROCESS_edge + 1 ? edge : shop_seat(self, to);
    }
    bool mine = here != 0 && (!address_is_sharded(to) || self->seats[here].shard == head->shard ||
                              self->shards == 1);
    if (mine) return here;
    return address_is_sharded(to) ? shard_seat(self, head) : shop_seat(self, to);
}

bool links_connected(const struct world *self, uint8_t from, uint8_t to) {
    return self->links[from][to].cut_to <= self->now;
}

static int64_t delay(struct world *self) {
    if (self->story) return self->fixed_delay;
    return draw_span(&self->links_draw, self->swarm.delay_least, self->swarm.delay_most);
}

/* The same order in as out, unless the message is held up. */
static void fly(struct world *self, uint8_t from, uint8_t to, const struct message *message,
                bool late) {
    struct link *link = &self->links[from][to];
    int64_t at = self->now + delay(self);
    if (at < link->clogged_to) at = link->clogged_to;
    if (late) {
        at += draw_span(&self->links_draw, 0, self->swarm.reorder_most);
    } else {
        if (at < link->last) at = link->last;
        link->last = at;
    }
    flights_add(&self->flights, message, to, at);
}

/* Frames are opened at their first message and closed by the clock. */
static void ride(struct world *self, uint8_t from, uint8_t to, const struct message *message) {
    struct link *link = &self->links[from][to];
    if (link->frame == NULL || link->frame_at != self->now) {
        int64_t at = self->now + delay(self);
        if (at < link->last) at = link->last;
        link->last = at;
        link->frame = flights_frame(&self->flights, to, at);
        link->frame_at = self->now;
    }
    batch_append(&link->frame->messages, message);
}

static void post(struct world *self, uint8_t from, uint8_t to, const struct message *message) {
    const struct head *head = &message->head;
    const struct swarm *swarm = &self->swarm;
    struct draw *draw = &self->links_draw;
    if (world_is_calm(self)) {
        tell_message(self, message, "");
        ride(self, from, to, message);
        return;
    }
    bool faulty = !self->healed && self->links[from][to].faulty;
    bool victim = !self->healed && head->type == swarm->victim && head->from != PORT_http;
    uint32_t loss = victim ? swarm->victim_loss : faulty ? swarm->loss : 0;
    if (!links_connected(self, from, to)) {
        tell_message(self, message, "   (cut off)");
        return;
    }
    if (loss > 0 && draw_chance(draw, loss)) {
        tell_message(self, message, "   (lost)");
        return;
    }
    /* Inventory and its Redis port share a thread for good: the port stamps scripts with the epoch
     * in force, so a reserve must never fall behind the epoch_use of a later connection (H23). */
    bool ordered = head->to == PORT_redis && head->type == MSG_reserve;
    bool late = faulty && swarm->reorder > 0 && draw_chance(draw, swarm->reorder) && !ordered;
    /* Nothing comes twice over TCP; people who ask again do that. */
    bool tcp = head->from == PORT_http || head->to == PORT_http || head->from == PORT_door ||
               head->to == PORT_door;
    bool twice = faulty && swarm->twice > 0 && draw_chance(draw, swarm->twice) && !tcp;
    if (self->trace != NULL) {
        tell_message(self, message, twice ? "   (twice)" : late ? "   (held up)" : "");
    }
    fly(self, from, to, message, late);
    if (twice) fly(self, from, to, message, !ordered && draw_chance(draw, 500));
}

void world_send(struct world *self, uint8_t from, const struct message *message) {
    const struct head *head = &message->head;
    if (head->type == MSG_account_figures) check_figures(self, BODY(message, account_figures));
    if (head->to == NOBODY || head->to >= ADDRESS_COUNT) return;
    if (head->to == ACTOR_bridge && (head->node == NODE_EVERY || head->origin == NOBODY)) {
        for (uint8_t p = PROCESS_shop; p <= PROCESS_edge; p++) { /* News for every bridge. */
            uint8_t bridge = self->seat_at[p][ACTOR_bridge];
            if (bridge != 0) post(self, from, bridge, message);
        }
        return;
    }
    uint8_t to = route(self, from, head);
    if (to != 0) post(self, from, to, message);
}
