/* G1, G2, G4, G12, G14: both stores, looked at together. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/id.h"
#include "tests/sim/world.h"

struct entry {
    int64_t first;
    uint32_t rows;
};

/* What Redis holds of the shard. */
struct account {
    uint32_t epoch;
    int64_t boot;
    struct entry journal[HELD_MAX];
    uint32_t entries;
};

static int64_t number(struct text text) {
    int64_t value = 0;
    for (uint32_t i = 0; i < text.size && text.at[i] >= '0' && text.at[i] <= '9'; i++)
        value = value * 10 + (text.at[i] - '0');
    return value;
}

static int64_t redis_number(struct world *self, const char *command) {
    const struct reply *reply = lua_store_command(self->store, command);
    return reply->kind == REPLY_text ? number(reply->text) : 0;
}

static void read_journal(struct world *self, struct account *account) {
    const struct reply *reply = lua_store_command(self->store, "XRANGE {s0}:j - +");
    account->entries = 0;
    if (reply->kind != REPLY_array) return;
    for (uint32_t i = 0; i < reply->count && account->entries < HELD_MAX; i++) {
        const struct reply *item = &reply->items[i];
        struct text id = item->items[0].text;
        uint32_t dash = 0;
        while (dash < id.size && id.at[dash] != '-')
            dash++;
        struct text seq = { id.at + dash + 1, id.size - dash - 1 };
        account->journal[account->entries++] =
            (struct entry){ rid_make(0, (uint32_t)number(id), (uint64_t)number(seq)),
                            (uint32_t)number(item->items[1].items[1].text) };
    }
}

static bool in_journal(const struct account *account, int64_t rid) {
    for (uint32_t i = 0; i < account->entries; i++) {
        const struct entry *entry = &account->journal[i];
        if (rid >= entry->first && rid < entry->first + (int64_t)entry->rows) return true;
    }
    return false;
}

static bool intact(const struct world *self, const struct account *account) {
    return account->epoch != 0 && (account->epoch > self->tainted || account->epoch == self->clean);
}

static bool under_pg(struct world *self, struct account *account) {
    account->epoch = (uint32_t)redis_number(self, "HGET {s0}:meta epoch");
    account->boot = redis_number(self, "HGET {s0}:meta boot");
    uint32_t begun = (uint32_t)redis_number(self, "GET {s0}:installing");
    if (begun != 0 && begun != self->begun) self->clean = begun;
    if (begun != 0) self->begun = begun;
    return account->epoch == self->pg->epoch && account->boot == self->pg->boot &&
           intact(self, account);
}

/* ---- One lot ---- */

struct sums {
    int64_t available, held, sold, undecided, undos;
    uint32_t live; /* Orders found. */
};

/* "<order>:<epoch>:<seq>:<units>;" */
static void count_hold(struct world *self, const struct account *account, struct text hold,
                       struct sums *sums) {
    int64_t part[4] = { 0 };
    uint32_t n = 0;
    for (uint32_t i = 0; i < hold.size && n < 4; i++) {
        if (hold.at[i] == ':')
            n++;
        else
            part[n] = part[n] * 10 + (hold.at[i] - '0');
    }
    int64_t rid = rid_make(0, (uint32_t)part[1], (uint64_t)part[2]), units = part[3];
    if (units == 0) return;
    sums->held += units;
    const struct pg_order *of_rid = model_pg_order_of(self->pg, rid);
    bool decided = of_rid != NULL || model_pg_refusal(self->pg, rid) != NULL ||
                   model_pg_order(self->pg, part[0]) != NULL;
    if (of_rid != NULL && model_pg_holds(of_rid->state)) {
        sums->sold += units;
        sums->live++;
    } else if (decided) {
        sums->undos += units;
    } else if (in_journal(account, rid)) {
        sums->undecided += units;
    } else {
        world_fail(self, "G2", part[0],
                   "redis holds %" PRId64 " units for order %" PRId64 " by rid %" PRId64
                   ", which is neither journalled nor known to postgresql",
                   units, part[0], rid);
    }
}

static void count_field(struct world *self, const struct account *account, struct text field,
                        struct sums *sums) {
    uint32_t from = 0;
    for (uint32_t i = 0; i < field.size; i++) {
        if (field.at[i] != ';') continue;
        count_hold(self, account, (struct text){ field.at + from, i - from }, sums);
        from = i + 1;
    }
}

static void note_free(struct world *self, const struct pg_lot *lot, int64_t available) {
    int64_t *since = &self->free_since[lot - self->pg->lots];
    if (available == 0)
        *since = 0;
    else if (*since == 0)
        *since = self->now;
}

static void check_lot(struct world *self, const struct account *account, const struct pg_lot *lot) {
    struct sums sums = { 0 };
    char command[64];
    uint32_t live = 0;
    snprintf(command, sizeof command, "HGET {s0}:lot:%" PRId64 " available", lot->lot_id);
    sums.available = redis_number(self, command);
    note_free(self, lot, sums.available);
    snprintf(command, sizeof command, "HVALS {s0}:u:%" PRId64, lot->lot_id);
    const struct reply *fields = lua_store_command(self->store, command);
    for (uint32_t i = 0; fields->kind == REPLY_array && i < fields->count; i++)
        count_field(self, account, fields->items[i].text, &sums);
    for (uint32_t i = 0; i < self->pg->order_count; i++) {
        const struct pg_order *order = &self->pg->orders[i];
        if (order->lot_id == lot->lot_id && model_pg_holds(order->state)) live++;
    }
    int64_t all = sums.available + sums.undecided + sums.sold + sums.undos;
    if (all != lot->allocated || live != sums.live || sums.sold != lot->sold) {
        world_fail(self, "G2", 0,
                   "lot %" PRId64 ": allocated %" PRId64 " but available %" PRId64
                   " + undecided %" PRId64 " + sold %" PRId64 " + undos %" PRId64
                   "; postgresql has sold %" PRId64 " in %u orders, redis knows %u of them",
                   lot->lot_id, lot->allocated, sums.available, sums.undecided, sums.sold,
                   sums.undos, lot->sold, live, sums.live);
    }
}

void check_stock(struct world *self) {
    static struct account account;
    if (self->failure.is) return;
    if (!under_pg(self, &account)) {
        memset(self->free_since, 0, sizeof self->free_since);
        return;
    }
    read_journal(self, &account);
    for (uint32_t i = 0; i < self->pg->lot_count && !self->failure.is; i++)
        check_lot(self, &account, &self->pg->lots[i]);
}

/* ---- PostgreSQL alone ---- */

void check_orders(struct world *self) {
    struct model_pg *pg = self->pg;
    for (uint32_t i = 0; i < pg->lot_count; i++) {
        int64_t units = 0;
        for (uint32_t k = 0; k < pg->order_count; k++) {
            const struct pg_order *order = &pg->orders[k];
            if (order->lot_id == pg->lots[i].lot_id && model_pg_holds(order->state)) {
                units += order->quantity;
            }
        }
        if (units != pg->lots[i].sold || units > pg->lots[i].allocated) {
            world_fail(self, "G1", 0, "lot %" PRId64 ": orders hold %" PRId64 " of %" PRId64,
                       pg->lots[i].lot_id, units, pg->lots[i].allocated);
        }
    }
    for (; self->orders_checked < pg->order_count; self->orders_checked++) {
        const struct pg_order *order = &pg->orders[self->orders_checked];
        if (rid_epoch(order->rid) != order->epoch) {
            world_fail(self, "G14", order->order_id,
                       "order %" PRId64 " was written with a rid of epoch %u under epoch %u",
                       order->order_id, rid_epoch(order->rid), order->epoch);
        }
    }
    for (uint32_t k = 0; k < pg->order_count; k++) {
        if (model_pg_refusal(pg, pg->orders[k].rid) == NULL) continue;
        world_fail(self, "G4", pg->orders[k].order_id, "rid %" PRId64 " is accepted and refused",
                   pg->orders[k].rid);
    }
}

/* ---- What Redis says ---- */

/* A rid is handed out once (H23). */
void check_redis_said(struct world *self, const struct message *said) {
    if (said->head.type != MSG_reserved || BODY(said, reserved)->seen) return;
    const struct reserved *got = BODY(said, reserved);
    for (uint32_t i = 0; i < self->rid_count; i++) {
        if (self->rids[i].rid != got->rid) continue;
        world_fail(self, "H23", got->order_id,
                   "rid %" PRId64 " was given to order %" PRId64 " and to %" PRId64, got->rid,
                   self->rids[i].order_id, got->order_id);
    }
    self->rids = world_grow(self->rids, self->rid_count, &self->rid_room, sizeof *self->rids);
    self->rids[self->rid_count].rid = got->rid;
    self->rids[self->rid_count++].order_id = got->order_id;
}

/* ---- At the end ---- */

static bool idle_lot(struct world *self, const struct pg_lot *lot) {
    char command[64];
    snprintf(command, sizeof command, "HGET {s0}:lot:%" PRId64 " available", lot->lot_id);
    return redis_number(self, command) == lot->allocated - lot->sold;
}

static bool paid_unknown(const struct world *self, const struct pg_payment *payment) {
    for (uint32_t i = 0; i < self->deal_count; i++) {
        const struct deal *deal = &self->deals[i];
        if (deal->payment_id != payment->payment_id || !deal->paid) continue;
        return payment->state != payment_state_succeeded;
    }
    return false;
}

const char *check_quiet(struct world *self) {
    static struct account account;
    /* An epoch that was raised by a late commit and not installed is found by the next purchase. */
    if (!under_pg(self, &account) && !intact(self, &account)) return "redis has lost something";
    read_journal(self, &account);
    if (account.entries > 0) return "the journal has entries";
    for (uint32_t i = 0; i < self->pg->lot_count; i++) {
        if (!idle_lot(self, &self->pg->lots[i])) return "a lot's units are not all back";
    }
    for (uint32_t i = 0; i < self->pg->order_count; i++) {
        enum order_state state = self->pg->orders[i].state;
        if (state == order_state_awaiting_payment) return "an order is not paid and not expired";
        if (state == order_state_paying) return "an order is being paid";
    }
    for (uint32_t i = 0; i < self->pg->payment_count; i++) {
        const struct pg_payment *payment = &self->pg->payments[i];
        if (payment->todo == todo_late) return "late money waits";
        if (paid_unknown(self, payment)) return "a payment is not known";
    }
    for (uint32_t i = 0; i < self->pg->refund_count; i++) {
        if (self->pg->refunds[i].state == refund_state_pending) return "a refund is pending";
    }
    return NULL;
}
