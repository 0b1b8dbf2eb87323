/* recovered rows -> install_begin, install_lot, install_holders;  their done -> install_end;
 * its done -> the shard is open
 *
 * Rows are passed on as they come: a shard may have more holders than fit in memory here.  Each
 * message to Redis has a number in its request, so that the answers can be told apart; a row lost,
 * or answered twice, or applied out of order is noticed (Redis refuses rows unless install_begin of
 * the same epoch has come before), and then the whole recovery is done again. */
#include <assert.h>
#include <string.h>

#include "actors/inventory/inventory.h"

enum { END_NUMBER = 0xffffff };

static bool bit_set(uint64_t *bits, uint32_t number) {
    uint64_t mask = UINT64_C(1) << (number & 63);
    bool before = (bits[number / 64] & mask) != 0;
    bits[number / 64] |= mask;
    return !before;
}

void inventory_install_reset(struct inventory *self) {
    memset(&self->install, 0, sizeof self->install);
    inventory_lots_reset(self);
}

#define INSTALL(self, out, name)                                                                   \
    ASK((out), PORT_redis, name, ACTOR_inventory,                                                  \
        inventory_request((self), (self)->install.sent++), 0)

/* "user:order:rid:quantity;…": the orders go into the filter. */
static void filter_holders(struct inventory *self, int64_t lot_id, struct text holders) {
    int64_t number = 0;
    uint32_t part = 0;
    for (uint32_t i = 0; i < holders.size; i++) {
        char at = holders.at[i];
        if (at >= '0' && at <= '9') {
            if (number > (INT64_MAX - 9) / 10) number = 0; /* Not an id. */
            number = number * 10 + (at - '0');
            continue;
        }
        if (at == ':' && part == 1) inventory_lot_holder(self, lot_id, number);
        part = at == ':' ? part + 1 : 0;
        number = 0;
    }
}

static void install_lot(struct inventory *self, const struct recovered *row, struct outbox *out) {
    uint64_t ids = row->allocated > 0 ? (uint64_t)row->allocated
                                      : (uint64_t)row->available + INVENTORY_UNKNOWN_IDS;
    struct inventory_lot *lot = inventory_lot(self, row->lot_id, ids);
    if (lot != NULL) {
        lot->state = row->state;
        lot->available = row->available;
        lot->per_buyer_limit = row->per_buyer_limit;
    }
    struct install_lot *install = INSTALL(self, out, install_lot);
    install->epoch = row->epoch;
    install->lot_id = row->lot_id;
    install->state = row->state;
    install->available = row->available;
    install->per_buyer_limit = row->per_buyer_limit;
}

static void install_holders(struct inventory *self, const struct recovered *row,
                            struct outbox *out) {
    filter_holders(self, row->lot_id, row->holders);
    struct install_holders *install = INSTALL(self, out, install_holders);
    install->epoch = row->epoch;
    install->lot_id = row->lot_id;
    install->holders = row->holders;
}

/* All rows have come, and all of them are in Redis. */
static void finish(struct inventory *self, int64_t now, struct outbox *out) {
    const struct inventory_install *install = &self->install;
    if (self->phase != PHASE_raise || !install->ended || install->epoch == 0) return;
    if (install->received != install->expected || install->acked != install->sent) return;
    struct install_end *end =
        ASK(out, PORT_redis, install_end, ACTOR_inventory, inventory_request(self, END_NUMBER), 0);
    end->epoch = install->epoch;
    end->boot = self->boot;
    self->phase = PHASE_end;
    inventory_progress(self, now);
}

void inventory_on_recovered(struct inventory *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    const struct recovered *row = BODY(in, recovered);
    struct inventory_install *install = &self->install;
    if (self->phase != PHASE_raise || !inventory_is_ours(self, in)) return;
    if (install->epoch != 0 && row->epoch != install->epoch) return;
    if (install->sent + 2 >= INVENTORY_INSTALL_ROWS || row->row >= INVENTORY_INSTALL_ROWS) {
        inventory_recovery_failed(self, now,
                                  out); /* Cannot be: 65,536 rows hold millions of orders. */
        return;
    }
    if (row->row != 0 && !bit_set(install->row_seen, row->row)) return; /* Came twice. */
    install->received++;
    inventory_progress(self, now);
    if (install->epoch == 0) {
        install->epoch = row->epoch;
        self->timeline = row->timeline;
        INSTALL(self, out, install_begin)->epoch = row->epoch;
    }
    if (row->lot_id != 0 && row->holders.size == 0) install_lot(self, row, out);
    if (row->lot_id != 0 && row->holders.size > 0) install_holders(self, row, out);
    finish(self, now, out);
}

void inventory_on_rows_end(struct inventory *self, const struct message *in, int64_t now,
                           struct outbox *out) {
    const struct rows_end *end = BODY(in, rows_end);
    if (self->phase != PHASE_raise || !inventory_is_ours(self, in)) return;
    self->install.ended = true;
    self->install.expected = end->count;
    inventory_progress(self, now);
    finish(self, now, out);
}

void inventory_on_installed_row(struct inventory *self, const struct message *in, int64_t now,
                                struct outbox *out) {
    if (!inventory_is_ours(self, in)) return;
    uint32_t number = (uint32_t)in->head.request;
    if (self->phase == PHASE_end && number == END_NUMBER) {
        inventory_open(self, now, out);
    } else if (self->phase == PHASE_raise && number < self->install.sent) {
        if (bit_set(self->install.row_acked, number)) self->install.acked++;
        assert(self->install.acked <= self->install.sent);
        inventory_progress(self, now);
        finish(self, now, out);
    }
}
