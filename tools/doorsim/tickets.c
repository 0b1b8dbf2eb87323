#include "tools/doorsim/tickets.h"

#include "broker/clock.h"
#include "schema/id.h"
#include "schema/timefmt.h"

#include <stdlib.h>
#include <string.h>

bool tickets_plan(struct tickets *self, const struct shoppers *shoppers, const int64_t *lots,
                  size_t lot_count, size_t count) {
    *self = (struct tickets){ 0 };
    if (shoppers->count == 0 || lot_count == 0) return false;
    self->list = calloc(count + 1, sizeof *self->list);
    if (self->list == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        /* Each round through the shoppers moves on by one lot, so that nobody meets his own. */
        size_t round = i / shoppers->count;
        self->list[i].shopper = &shoppers->list[i % shoppers->count];
        self->list[i].lot = lots[(i + round) % lot_count];
    }
    self->count = count;
    return true;
}

void tickets_fini(struct tickets *self) {
    for (size_t i = 0; i < self->count; i++) {
        free(self->list[i].text);
    }
    free(self->list);
    *self = (struct tickets){ 0 };
}

bool tickets_sign(struct tickets *self, const struct seal_keys *keys, uint32_t quantity_max,
                  uint32_t shard) {
    int64_t now = clock_now();
    /* The last worker number is leased to nobody: ids from here meet none of the server's. */
    struct id_source ids = { .worker = ID_WORKER_MAX };
    for (size_t i = 0; i < self->count; i++) {
        struct ticket *ticket = &self->list[i];
        char text[SEAL_TEXT_MAX + 1];
        ticket->order = id_next_in_shard(&ids, now, shard);
        make_ticket(keys,
                    &(struct ticket_wish){
                        .order = ticket->order,
                        .user = ticket->shopper->user,
                        .session = ticket->shopper->session,
                        .lot = ticket->lot,
                        .quantity_max = quantity_max,
                        .not_before = now - TIMEFMT_NS_PER_S,
                        .expires_at = now + 3600 * TIMEFMT_NS_PER_S,
                    },
                    text);
        ticket->text = strdup(text);
        if (ticket->text == NULL) return false;
    }
    return true;
}
