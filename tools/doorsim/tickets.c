#include "tools/doorsim/tickets.h"

#include "broker/clock.h"
#include "schema/id.h"
#include "schema/timefmt.h"

#include <sodium.h>
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

enum { ID_DAYS = 30 };

/* An id for a lot on this shard.  The last worker number is leased to nobody: ids from here meet
 * none of the server's.  A shard has 64 of them in a millisecond, far fewer than are signed in one,
 * so that ids run ahead of the clock; each process therefore begins somewhere in the last weeks, or
 * the next one would give the same out again. */
static int64_t next_id(uint32_t shard) {
    static struct id_source sources[SHARDS_MAX];
    static int64_t begin;
    if (begin == 0) {
        begin = clock_now() - (int64_t)randombytes_uniform(ID_DAYS * 86400) * TIMEFMT_NS_PER_S -
                (int64_t)randombytes_uniform(1000) * TIMEFMT_NS_PER_MS;
    }
    sources[shard].worker = ID_WORKER_MAX;
    return id_next_in_shard(&sources[shard], begin, shard);
}

static bool sign(struct ticket *ticket, const struct seal_keys *keys, uint32_t quantity_max,
                 int64_t now) {
    char text[SEAL_TEXT_MAX + 1];
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
    return ticket->text != NULL;
}

bool tickets_sign(struct tickets *self, const struct seal_keys *keys, uint32_t quantity_max,
                  uint32_t shard) {
    int64_t now = clock_now();
    for (size_t i = 0; i < self->count; i++) {
        self->list[i].order = next_id(shard);
        if (!sign(&self->list[i], keys, quantity_max, now)) return false;
    }
    return true;
}

bool tickets_sign_in(struct tickets *self, const struct seal_keys *keys, uint32_t quantity_max,
                     const int64_t *lots, const uint32_t *shards, size_t lot_count) {
    int64_t now = clock_now();
    for (size_t i = 0; i < self->count; i++) {
        size_t lot = 0;
        while (lot < lot_count && lots[lot] != self->list[i].lot) {
            lot++;
        }
        if (lot == lot_count || shards[lot] >= SHARDS_MAX) return false;
        self->list[i].order = next_id(shards[lot]);
        if (!sign(&self->list[i], keys, quantity_max, now)) return false;
    }
    return true;
}
