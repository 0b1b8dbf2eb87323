/* A sale that is draining: lot_count for every lot -> lot_counted; when no reservation of it is
 * undecided: sale_settle to PostgreSQL -> sale_view | failed while unpaid orders are left. */
#include <inttypes.h>

#include "actors/catalogue/catalogue.h"

#define COUNTS_LOST (2 * CATALOGUE_SECOND)
#define ANSWER_LOST (5 * CATALOGUE_SECOND)

void catalogue_not_settled(struct catalogue *self, struct catalogue_sale *sale,
                           enum problem problem, struct text detail, int64_t now,
                           struct outbox *out) {
    sale->settling = SETTLING_no;
    sale->settle_at = now + CATALOGUE_SECOND;
    catalogue_fail_waiters(self, sale->sale_id, sale_state_settled, problem, detail, out);
}

static void ask_to_settle(struct catalogue_sale *sale, int64_t now, struct outbox *out) {
    struct sale_settle *settle =
        ASK(out, PORT_pg_shop, sale_settle, ACTOR_catalogue, (uint64_t)sale->sale_id, 0);
    settle->sale_id = sale->sale_id;
    settle->now = now;
    sale->settling = SETTLING_asked;
    sale->asking = MSG_sale_settle;
    sale->asking_until = now + ANSWER_LOST;
}

static uint32_t lots_of(const struct catalogue *self, int64_t sale_id) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].sale_id == sale_id) count++;
    }
    return count;
}

void catalogue_settle(struct catalogue *self, struct catalogue_sale *sale, int64_t now,
                      struct outbox *out) {
    if (sale->state != sale_state_draining || sale->settle_at > now) return;
    if (sale->settling == SETTLING_counting && sale->settle_until > now) return;
    if (!catalogue_follows(self, sale)) {
        catalogue_not_settled(self, sale, PROBLEM_illegal_state,
                              text_of("A lot is not closed in the hot counter yet."), now, out);
        return;
    }
    if (outbox_room(out) < lots_of(self, sale->sale_id) + 1) return;
    sale->settling = SETTLING_counting;
    sale->settle_until = now + COUNTS_LOST;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        struct catalogue_lot *lot = &self->lots[i];
        if (lot->sale_id != sale->sale_id) continue;
        lot->counted = false;
        outbox_about(out, lot->shard);
        ASK(out, ACTOR_inventory, lot_count, ACTOR_catalogue, (uint64_t)sale->sale_id, 0)->lot_id =
            lot->lot_id;
    }
}

void catalogue_on_counted(struct catalogue *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    const struct lot_counted *counted = BODY(in, lot_counted);
    struct catalogue_sale *sale = catalogue_sale(self, (int64_t)in->head.request);
    struct catalogue_lot *lot = catalogue_lot(self, counted->lot_id);
    if (sale == NULL || lot == NULL || sale->settling != SETTLING_counting) return;
    lot->counted = true;
    lot->undecided = counted->undecided;
    int64_t undecided = 0;
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].sale_id != sale->sale_id) continue;
        if (!self->lots[i].counted) return;
        undecided += self->lots[i].undecided;
    }
    if (undecided == 0) {
        ask_to_settle(sale, now, out);
        return;
    }
    catalogue_not_settled(
        self, sale, PROBLEM_illegal_state,
        outbox_printf(out, "%" PRId64 " units are reserved but not decided.", undecided), now, out);
}
