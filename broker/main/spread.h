/* Which actors and shards a process serves, and in which threads: what host_open() wants to know,
 * from the words of --actors and --shards.
 *
 * The spread: a thread for the edge, `shard_threads` for the shards in turn (0: that of the edge),
 * one for the shop; a hop between threads costs a wake-up, and a purchase makes two of them or
 * none.  Ports are opened where their actors are, and no others; without shoppers PORT_http serves
 * admin.listen alone. PORT_pg_shop is there once in every process, for reads and for the lease of
 * the worker id. */
#ifndef SPREAD_H
#define SPREAD_H

#include "broker/host.h"

enum { SPREAD_PLACES_MAX = 20 + 5 * SHARDS_MAX };

struct spread {
    uint32_t actors; /* A bit for each enum address. */
    uint64_t shards; /* A bit for each shard; matters where there are sharded actors. */
    bool door;       /* The operators' door and the broker are here. */
    bool directory;  /* Other nodes come to that broker. */
};

/* Everything. */
struct spread spread_all(uint32_t shard_count);

/* The broker's own process: nothing else is here. */
struct spread spread_broker(void);

/* "edge", "shard", "shop", "all", or names of actors, separated by commas, into self->actors and
 * self->door.  False: the word at *wrong is not one of them. */
bool spread_read_actors(struct spread *self, const char *words, struct text *wrong);
/* "0-3,5" into self->shards; false: not such a list, or not below `shard_count`. */
bool spread_read_shards(struct spread *self, const char *words, uint32_t shard_count);

/* Fills `places`, returns how many. */
uint32_t spread_places(const struct spread *self, uint32_t shard_threads,
                       struct host_place places[SPREAD_PLACES_MAX]);

#endif
