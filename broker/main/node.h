/* This process as a node, before and around its host: its number, its links, its part in the
 * directory. */
#ifndef NODE_H
#define NODE_H

#include <signal.h>

#include "broker/directory/directory.h"

enum node_kind {
    NODE_alone,  /* Everything is in this process; no sockets between nodes. */
    NODE_broker, /* The directory: leases its own number. */
    NODE_member  /* Has its number from the broker. */
};

struct node {
    enum node_kind kind;
    struct link_mesh *mesh; /* NULL when alone. */
    struct placement placement;
    struct member_self self;
    struct worker_lease lease; /* Of those that lease their own. */
};

/* Gets the number and opens what links need; blocks until the broker or PostgreSQL has answered, or
 * one of `stop` comes.  False: logged.  `self` and `places` must outlive the host. */
bool node_open(struct node *self, enum node_kind kind, const struct config *config,
               const struct seal_keys *keys, const struct host_place *places, uint32_t place_count,
               const sigset_t *stop);

/* Adds to the setup of the host what this node knows: lease, links, placement. */
void node_setup(struct node *self, struct host_setup *setup);

/* After host_close.  Harmless after a node_open that failed. */
void node_close(struct node *self);

#endif
