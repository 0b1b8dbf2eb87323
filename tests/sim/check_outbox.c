/* G13: no phantom event, no lost event, and of one order they leave in order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"

static void grow(struct world *self) {
    struct checks *checks = self->checks;
    uint32_t old = checks->mailed_room;
    if (self->pg->notice_count <= old) return;
    checks->mailed_room = self->pg->notice_count * 2 + 64;
    checks->mailed = realloc(checks->mailed, checks->mailed_room);
    if (checks->mailed == NULL) abort();
    memset(checks->mailed + old, 0, checks->mailed_room - old);
}

void check_mail(struct world *self, int64_t outbox_id, bool taken) {
    const struct pg_notice *rows = self->pg->notices;
    uint32_t at = 0, count = self->pg->notice_count;
    grow(self);
    while (at < count && (rows[at].outbox_id != outbox_id || rows[at].batch != 0))
        at++;
    if (self->pg_failovers > 0) return; /* A row of before may be another one's now. */
    if (at == count) {
        world_fail(self, "G13", 0, "mail %" PRId64 " tells of something that is not committed",
                   outbox_id);
        return;
    }
    for (uint32_t i = 0; i < at; i++) {
        if (rows[i].order_id != rows[at].order_id || self->checks->mailed[i] > 0) continue;
        if (rows[i].dead || self->checks->mailed[at] > 0) continue;
        world_fail(self, "G13", rows[at].order_id, "%s was sent, and %s before it was not",
                   state_name(KIND_notice, rows[at].notice),
                   state_name(KIND_notice, rows[i].notice));
    }
    if (taken && self->checks->mailed[at] < 255) self->checks->mailed[at]++;
}

bool check_outbox_empty(const struct world *self) {
    for (uint32_t i = 0; i < self->pg->notice_count; i++) {
        const struct pg_notice *row = &self->pg->notices[i];
        if (!row->sent && !row->dead) return false;
    }
    return true;
}

static uint32_t count_of(const struct world *self, int64_t order_id, enum notice notice) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->pg->notice_count; i++) {
        const struct pg_notice *row = &self->pg->notices[i];
        if (row->order_id == order_id && row->notice == notice) count++;
    }
    return count;
}

/* Every change is told of once, in the commit that made it. */
static void at_quiet(struct world *self) {
    grow(self);
    for (uint32_t k = 0; k < self->pg->order_count; k++) {
        const struct pg_order *order = &self->pg->orders[k];
        bool paid = order->state == order_state_paid;
        bool cancelled = order->state == order_state_cancelled;
        bool expired = order->state == order_state_expired;
        if (count_of(self, order->order_id, notice_order_placed) == 1 &&
            count_of(self, order->order_id, notice_order_paid) == (paid ? 1 : 0) &&
            count_of(self, order->order_id, notice_order_cancelled) == (cancelled ? 1 : 0) &&
            count_of(self, order->order_id, notice_order_expired) >= (expired ? 1 : 0)) {
            continue;
        }
        world_fail(self, "G13", order->order_id, "order %" PRId64 " is %s, its events tell else",
                   order->order_id, state_name(KIND_order_state, order->state));
    }
    for (uint32_t i = 0; i < self->pg->notice_count && self->pg_failovers == 0; i++) {
        const struct pg_notice *row = &self->pg->notices[i];
        if (!row->sent || self->checks->mailed[i] > 0) continue;
        world_fail(self, "G13", row->order_id, "event %" PRId64 " counts as sent and was not",
                   row->outbox_id);
    }
}

const struct checker check_outbox = { .rule = "G13",
                                      .promise = "no event is lost or made up",
                                      .at_quiet = at_quiet };
