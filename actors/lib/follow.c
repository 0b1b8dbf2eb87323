#include "actors/lib/follow.h"

#include <assert.h>

#define MS INT64_C(1000000)
/* A snapshot without an end is lost, or its catalogue is not there yet. */
static const int64_t ask_again = 500 * MS, rows_coming = 2000 * MS, check_every = 2000 * MS;

static void ask(struct follow *self, int64_t now, struct outbox *out) {
    self->number++;
    if (self->number == 0) self->number = 1; /* News have the request 0. */
    self->open = true;
    self->asked_at = self->checked_at = now;
    self->sales = self->lots = 0;
    self->sales_whole = self->lots_whole = false;
    ASK(out, ACTOR_catalogue, sale_rows_get, NOBODY, self->number, 0);
    ASK(out, ACTOR_catalogue, lot_rows_get, NOBODY, self->number, 0);
}

void follow_tick(struct follow *self, int64_t now, struct outbox *out) {
    if (self->open || !self->known) {
        int64_t wait = self->sales + self->lots > 0 ? rows_coming : ask_again;
        if (now - self->asked_at >= wait) ask(self, now, out);
    } else if (now - self->checked_at >= check_every) {
        self->checked_at = now;
        SEND(out, ACTOR_catalogue, catalogue_check, NULL);
    }
}

void follow_row(struct follow *self, const struct message *in) {
    if (!self->open || in->head.request != self->number) return;
    if (in->head.type == MSG_sale_view) self->sales++;
    if (in->head.type == MSG_lot_view) self->lots++;
}

bool follow_end(struct follow *self, const struct message *in) {
    const struct rows_end *end = BODY(in, rows_end);
    if (end->what == MSG_catalogue_check) {
        if (self->known && end->next != self->version) self->open = true; /* At the next tick. */
        return false;
    }
    if (!self->open || in->head.request != self->number) return false;
    if (end->what == MSG_sale_rows_get) {
        self->sales_whole = end->count == self->sales;
        self->sales_version = end->next;
    } else if (end->what == MSG_lot_rows_get) {
        self->lots_whole = end->count == self->lots;
        self->lots_version = end->next;
    }
    if (!self->sales_whole || !self->lots_whole) return false;
    /* Of two different ones the older: what lies between them is looked at once more. */
    bool sales = self->sales_version < self->lots_version;
    self->version = sales ? self->sales_version : self->lots_version;
    self->known = true;
    self->open = false;
    return true;
}
