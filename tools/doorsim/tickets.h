/* Tickets in bulk, one per purchase: signed here with the server's keys, or asked for over HTTP. */
#ifndef DOORSIM_TICKETS_H
#define DOORSIM_TICKETS_H

#include "tools/doorsim/shoppers.h"

struct ticket {
    const struct shopper *shopper;
    int64_t order;
    int64_t lot;
    char *text; /* Owned; NULL when it was refused. */
};

struct tickets {
    size_t count;
    struct ticket *list;
};

/* One ticket per shopper and lot in turn: shopper 0 lot 0, shopper 1 lot 1, …; `count` of them,
 * going through the shoppers again when there are fewer.  Texts are not there yet. */
bool tickets_plan(struct tickets *self, const struct shoppers *shoppers, const int64_t *lots,
                  size_t lot_count, size_t count);
void tickets_fini(struct tickets *self);

/* Signs all of them, for lots that live on this shard, good from now for an hour.  False when
 * memory is out.  Their ids meet no others: neither the server's, nor those of this process, nor
 * (but by an accident in a million) those of another one. */
bool tickets_sign(struct tickets *self, const struct seal_keys *keys, uint32_t quantity_max,
                  uint32_t shard);

/* The same for lots on several shards: lots[i] lives on shards[i]. */
bool tickets_sign_in(struct tickets *self, const struct seal_keys *keys, uint32_t quantity_max,
                     const int64_t *lots, const uint32_t *shards, size_t lot_count);

#endif
