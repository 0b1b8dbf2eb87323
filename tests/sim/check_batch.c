/* Of one batch that Redis has done.
 *
 * H3: one who wants too much spoils nothing for those behind him.  Whoever Redis tells "sold out"
 * finds too few units left when his batch is over: within it they only get fewer.  Seen in what
 * Redis says, because a moment later the others' units may be sold as well. */
#include <inttypes.h>

#include "tests/sim/check.h"

/* Answers mostly come in the order of the questions: *from is where to look first. */
static const struct reserve *asked_by(const struct message *failed, const struct message *in,
                                      uint32_t count, uint32_t *from) {
    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = (*from + n) % count;
        bool his = in[i].head.type == MSG_reserve && in[i].head.request == failed->head.request &&
                   BODY(&in[i], reserve)->order_id == BODY(failed, failed)->id;
        if (!his) continue;
        *from = i + 1;
        return BODY(&in[i], reserve);
    }
    return NULL;
}

/* What the lot has behind his batch: the first level told after his answer. */
static const struct lot_level *level_after(const struct batch *said, uint32_t at, int64_t lot_id) {
    for (uint32_t i = at; i < said->count; i++) {
        const struct message *message = &said->items[i];
        if (message->head.type != MSG_lot_level) continue;
        if (BODY(message, lot_level)->lot_id == lot_id) return BODY(message, lot_level);
    }
    return NULL;
}

/* Only a lot that is open sells; its state does not change within a batch. */
static void check_sold(struct world *self, const struct reserved *got,
                       const struct lot_level *level) {
    bool free = got->seen || got->kind != reserve_kind_ordinary;
    if (free || level == NULL || level->state == lot_state_open) return;
    world_fail(self, "3.2", got->order_id, "redis sold units of a lot that is %s",
               state_name(KIND_lot_state, level->state));
}

void check_batch(struct world *self, const struct message *in, uint32_t count,
                 const struct batch *said) {
    uint32_t from = 0;
    for (uint32_t i = 0; i < said->count; i++) {
        const struct message *message = &said->items[i];
        if (message->head.type == MSG_reserved) {
            const struct reserved *got = BODY(message, reserved);
            check_sold(self, got, level_after(said, i, got->lot_id));
        }
        if (message->head.type != MSG_failed) continue;
        if (BODY(message, failed)->problem != PROBLEM_sold_out) continue;
        const struct reserve *asked = asked_by(message, in, count, &from);
        if (asked == NULL) continue;
        const struct lot_level *level = level_after(said, i, asked->lot_id);
        if (level == NULL || level->available < (int64_t)asked->quantity) continue;
        world_fail(self, "H3", asked->order_id,
                   "redis said sold out to one who wants %u, and has %" PRId64 " when it is done",
                   asked->quantity, level->available);
    }
}
