/* Who runs where: the numbered map of all nodes that routing looks at when a message's seat is not
 * in this process.
 *
 * One thread publishes whole maps (the one that serves PORT_member); every thread of the host keeps
 * a copy of its own and renews it when the version has moved: one relaxed load per turn, a lock
 * only while copying.  A map is plain memory without pointers.
 *
 *   struct placement_map map = { .number = 7, .self = 3 };
 *   placement_map_node(&map, 4)->thread[ACTOR_bridge] = 0;     node 4 has a bridge in its thread 0
 *   placement_map_put(&map, ACTOR_order, 2, 3, 1);             shard 2's writer: here, in thread 1
 *   placement_publish(&placement, &map);
 *
 * Before the first map (number 0) nobody is known and no shard is owned. */
#ifndef PLACEMENT_H
#define PLACEMENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "actors/actor.h"
#include "schema/id.h"

enum { PLACEMENT_NODES_MAX = 128, PLACEMENT_NOWHERE = 0xff };

/* Bridges and ports that other nodes write to exist on many nodes: head.node chooses. */
static inline bool address_is_by_node(enum address address) {
    return address == ACTOR_bridge || address == PORT_http || address == PORT_door ||
           address == PORT_member || address == PORT_directory;
}

/* A node, and its threads that serve what exists on many nodes. */
struct placement_node {
    uint16_t node;
    uint8_t thread[ADDRESS_COUNT]; /* PLACEMENT_NOWHERE: the node has no such address. */
};

/* Of what exists once in the system, or once per shard. */
struct placement_seat {
    uint16_t node; /* NODE_NONE: nobody serves it now. */
    uint8_t thread;
};

struct placement_map {
    uint64_t number; /* Given by the broker; a later map has a larger one. */
    uint16_t self;   /* This node. */
    uint32_t node_count;
    struct placement_node nodes[PLACEMENT_NODES_MAX]; /* By number, ascending; this one, too. */
    struct placement_seat seats[ADDRESS_COUNT][SHARDS_MAX]; /* Not sharded: shard 0. */
};

/* ---- A map ---- */

/* The node's row, made with all threads nowhere if it is new; NULL when there is no more room. */
struct placement_node *placement_map_node(struct placement_map *self, uint16_t node);
void placement_map_put(struct placement_map *self, enum address address, uint32_t shard,
                       uint16_t node, uint8_t thread);
/* NULL: the node is not on the map. */
const struct placement_node *placement_map_find(const struct placement_map *self, uint16_t node);
/* Who serves it; node NODE_NONE when nobody does.  For what exists once (per shard). */
struct placement_seat placement_map_seat(const struct placement_map *self, enum address address,
                                         uint32_t shard);
/* The map places this shard's order actor here. */
bool placement_map_owns(const struct placement_map *self, uint32_t shard);

/* ---- The map of this process ---- */

struct placement {
    atomic_uint_fast64_t version; /* Grows with every publication, whatever the number says. */
    pthread_mutex_t lock;
    struct placement_map map;
};

void placement_init(struct placement *self);
void placement_fini(struct placement *self);

/* Any thread, copies the map in.  Takes effect at each thread's next turn, 100 ms at the latest. */
void placement_publish(struct placement *self, const struct placement_map *map);

/* Any thread: copies the newest map when it is not the one of `*version` (start with 0), and tells
 * whether it did. */
bool placement_read(struct placement *self, uint64_t *version, struct placement_map *map);

#endif
