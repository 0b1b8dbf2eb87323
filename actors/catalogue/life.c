/* The life of a sale: one step at a time to PostgreSQL, then the lots in the hot counter.
 * (goal) -> sale_move to PostgreSQL;  lot_level -> lot_warm, lot_set while it is not the wanted one
 */
#include "actors/catalogue/catalogue.h"
#include "actors/lib/moves.h"

/* An answer that has not come by then is lost; every question here may be asked again. */
#define ANSWER_LOST (5 * CATALOGUE_SECOND)
#define WARM_AHEAD  (30 * CATALOGUE_SECOND)
/* An install may bring an older state of a lot back without telling us. */
#define SET_AGAIN (5 * CATALOGUE_SECOND)

enum lot_state catalogue_wanted(const struct catalogue_sale *sale) {
    switch (sale->state) {
    case sale_state_warming:
    case sale_state_ready: return lot_state_waiting;
    case sale_state_open: return sale->missed ? lot_state_waiting : lot_state_open;
    case sale_state_paused: return lot_state_paused;
    case sale_state_closed:
    case sale_state_draining: return lot_state_closed;
    case sale_state_none:
    case sale_state_draft:
    case sale_state_scheduled:
    case sale_state_settled:
    case sale_state_archived: return lot_state_none;
    }
    return lot_state_none;
}

bool catalogue_follows(const struct catalogue *self, const struct catalogue_sale *sale) {
    enum lot_state wanted = catalogue_wanted(sale);
    if (wanted == lot_state_none) return true;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct catalogue_lot *lot = &self->lots[i];
        if (lot->sale_id == sale->sale_id && lot->hot != wanted) return false;
    }
    return true;
}

/* Deadlines only say when to look: a repeated, a late and a lost one do no harm. */
void catalogue_look_at_clock(struct catalogue_sale *sale, int64_t now) {
    if (sale->goal != sale_state_none && sale->goal != sale_state_ready) return;
    bool before = sale->state >= sale_state_scheduled && sale->state <= sale_state_ready;
    bool during = sale->state == sale_state_open || sale->state == sale_state_paused;
    if (before && sale->closes_at <= now) {
        /* There is no other way to get its units back than through all states. */
        sale->missed = true;
        sale->goal = sale_state_closed;
    } else if (before && sale->opens_at <= now) {
        sale->goal = sale_state_open;
    } else if (sale->state == sale_state_scheduled && sale->opens_at - WARM_AHEAD <= now) {
        sale->goal = sale_state_ready;
    } else if (during && sale->closes_at <= now) {
        sale->goal = sale_state_closed;
    }
}

/* The next state on the way to the goal, or none. */
static enum sale_state hop(const struct catalogue_sale *sale) {
    enum sale_state goal = sale->goal;
    if (sale->state == sale_state_closed) return sale_state_draining;
    if (goal == sale_state_none || goal == sale->state) return sale_state_none;
    switch (sale->state) {
    case sale_state_draft: return sale_state_scheduled;
    case sale_state_scheduled: return sale_state_warming;
    case sale_state_warming: return sale_state_ready;
    case sale_state_ready: return sale_state_open;
    case sale_state_none:
    case sale_state_open:
    case sale_state_paused:
    case sale_state_closed:
    case sale_state_draining:
    case sale_state_settled:
    case sale_state_archived: break;
    }
    bool may = machine_may_move(KIND_sale_state, sale->state, goal);
    return may ? goal : sale_state_none;
}

static void refresh_lots(struct catalogue_sale *sale, int64_t now, struct outbox *out) {
    if (!sale->lots_stale || now - sale->stale_at < CATALOGUE_SECOND) return;
    sale->stale_at = now;
    ASK(out, PORT_pg_shop, lot_rows_get, ACTOR_catalogue, (uint64_t)sale->sale_id, 0)->sale_id =
        sale->sale_id;
}

void catalogue_advance(struct catalogue *self, struct catalogue_sale *sale, int64_t now,
                       struct outbox *out) {
    if (outbox_room(out) < 4) return; /* The next tick comes soon. */
    refresh_lots(sale, now, out);
    if (sale->asking != 0 && sale->asking_until > now) return;
    sale->asking = 0;
    if (sale->retry_at > now) return;
    enum sale_state next = hop(sale);
    if (next == sale_state_none) {
        sale->goal = sale_state_none;
        catalogue_settle(self, sale, now, out);
        return;
    }
    /* Ready means that every lot is in the hot counter. */
    if (sale->state == sale_state_warming && !catalogue_follows(self, sale)) return;
    struct sale_move *move =
        ASK(out, PORT_pg_shop, sale_move, ACTOR_catalogue, (uint64_t)sale->sale_id, 0);
    move->sale_id = sale->sale_id;
    move->to = next;
    move->now = now;
    sale->asking = MSG_sale_move;
    sale->asking_until = now + ANSWER_LOST;
}

static void set_lot(struct catalogue_lot *lot, enum lot_state wanted, int64_t now,
                    struct outbox *out) {
    lot->sent_at = now;
    outbox_about(out, lot->shard);
    if (wanted == lot_state_waiting) {
        struct lot_warm *warm =
            ASK(out, ACTOR_inventory, lot_warm, ACTOR_catalogue, (uint64_t)lot->lot_id, 0);
        warm->lot_id = lot->lot_id;
        warm->state = wanted;
        warm->available = lot->allocated - lot->sold;
        warm->per_buyer_limit = lot->per_buyer_limit;
        return;
    }
    struct lot_set *set =
        ASK(out, ACTOR_inventory, lot_set, ACTOR_catalogue, (uint64_t)lot->lot_id, 0);
    set->lot_id = lot->lot_id;
    set->state = wanted;
    set->per_buyer_limit = lot->per_buyer_limit;
}

void catalogue_set_lots(struct catalogue *self, int64_t now, struct outbox *out) {
    const struct catalogue_sale *sale = NULL;
    for (uint32_t i = 0; i < self->lot_count && outbox_room(out) > 0; i++) {
        struct catalogue_lot *lot = &self->lots[i];
        if (sale == NULL || sale->sale_id != lot->sale_id)
            sale = catalogue_sale(self, lot->sale_id);
        enum lot_state wanted = sale != NULL ? catalogue_wanted(sale) : lot_state_none;
        if (wanted == lot_state_none) continue;
        int64_t every = lot->hot == wanted ? SET_AGAIN : CATALOGUE_SECOND;
        if (lot->sent_at == 0 || now - lot->sent_at >= every) set_lot(lot, wanted, now, out);
    }
}

void catalogue_on_lot_level(struct catalogue *self, const struct message *in, int64_t now) {
    const struct lot_level *level = BODY(in, lot_level);
    struct catalogue_lot *lot = catalogue_lot(self, level->lot_id);
    if (lot == NULL) return;
    /* Levels come from the counter itself and, later, by way of inventory. */
    bool older = level->epoch < lot->hot_epoch ||
                 (level->epoch == lot->hot_epoch && level->version < lot->hot_version);
    if (level->epoch != 0 && older) return;
    bool recovered = lot->hot_epoch != 0 && level->epoch > lot->hot_epoch;
    if (recovered) self->again_at = now + CATALOGUE_SECOND;
    lot->hot_epoch = level->epoch;
    lot->hot_version = level->version;
    bool changed = lot->hot != level->state;
    lot->hot = level->state;
    lot->available = level->available;
    self->dirty = true;
    const struct catalogue_sale *sale = catalogue_sale(self, lot->sale_id);
    /* Not what we want: at once, but not in a circle when the counter insists. */
    if (sale != NULL && lot->hot != catalogue_wanted(sale) &&
        (changed || now - lot->sent_at >= 100 * CATALOGUE_MS)) {
        lot->sent_at = 0;
    }
}

/* Twice in a row PostgreSQL calls illegal what is legal by the row we have: a standby that lags has
 * taken over, perhaps, and its row is older than ours, which we would not believe.  A shard's
 * recovery tells that only where we have heard of the shard before. */
static void look_for_older_rows(struct catalogue *self, struct catalogue_sale *sale, int64_t now) {
    if (++sale->refused < 2) return;
    sale->refused = 0;
    if (self->again_at == 0) self->again_at = now;
}

/* Refused for good, or only not now? */
static bool is_definite(enum problem problem) {
    return problem == PROBLEM_illegal_state || problem == PROBLEM_not_found;
}

void catalogue_on_sale_failed(struct catalogue *self, const struct message *in, int64_t now,
                              struct outbox *out) {
    const struct failed *failed = BODY(in, failed);
    struct catalogue_sale *sale = catalogue_sale(self, (int64_t)in->head.request);
    if (sale == NULL) return; /* A lot: lot_set is sent again each second. */
    if (in->head.from != PORT_pg_shop) {
        if (sale->settling == SETTLING_counting) {
            catalogue_not_settled(
                self, sale, PROBLEM_unavailable,
                outbox_printf(out, "The hot counter of shard %u is away.", in->head.shard), now,
                out);
        }
        return;
    }
    if (failed->what == MSG_lot_rows_get || sale->asking == 0) return; /* Asked again by itself. */
    bool settle = sale->asking == MSG_sale_settle;
    sale->asking = 0;
    sale->retry_at = now + CATALOGUE_SECOND;
    if (settle) {
        catalogue_not_settled(self, sale, failed->problem, failed->detail, now, out);
    } else if (is_definite(failed->problem)) {
        sale->goal = sale_state_none;
        sale->missed = false;
        look_for_older_rows(self, sale, now);
        catalogue_fail_waiters(self, sale->sale_id, sale_state_none, failed->problem,
                               failed->detail, out);
        /* PostgreSQL sees the sale elsewhere than we do. */
        ASK(out, PORT_pg_shop, sale_rows_get, ACTOR_catalogue, (uint64_t)sale->sale_id, 0)
            ->sale_id = sale->sale_id;
    }
}
