/* The host: runs actors and ports in threads and moves messages between them.
 *
 * Within a thread a message is a copy in memory.  Between threads the messages of one loop turn
 * change hands as one parcel (broker/parcel.h), whose address goes through a ZeroMQ inproc
 * pipeline.  Whatever has no seat here goes where the placement map says (broker/placement.h), by a
 * link.  Every mailbox is bounded: a request from the edge (bridge, HTTP, door) that finds it full
 * is answered `overloaded`; answers and consequences always get in, their number is bounded by the
 * requests admitted.
 *
 * A seat of a shard that the map places on another node is asleep: its state is empty, a request
 * that arrives there is answered `recovering`, anything else is dropped and counted.  When the map
 * places the shard here the actor starts anew: init, then `started`. */
#ifndef HOST_H
#define HOST_H

#include "broker/links.h"
#include "broker/placement.h"
#include "broker/port.h"

/* Edge, shop, and the threads that the shards are dealt to. */
enum { HOST_SHARD_THREADS_MAX = 16, HOST_THREADS_MAX = HOST_SHARD_THREADS_MAX + 2 };

/* A seat: one address, for a sharded address in one shard, and the thread that serves it; exactly
 * one of actor and port is set. */
struct host_place {
    enum address address;
    uint8_t shard; /* 0 for an address that is not sharded. */
    uint32_t thread;
    const struct actor_type *actor;
    const struct port_type *port;
};

struct host_setup {
    const struct config *config;
    const struct seal_keys *keys;
    struct actor_setup actor; /* Copied for each actor, with its shard and a seed of its own. */
    const struct host_place *places;
    uint32_t place_count;
    struct worker_lease lease; /* Renewed every `renew_every` ns while PORT_pg_shop is here; its */
    int64_t lease_life;        /* text must outlive the host.  0 = no lease. */
    int64_t renew_every;

    /* Several nodes.  NULL: everything is in this process, and every shard here is awake. */
    struct placement *placement; /* Borrowed; outlives the host. */
    const struct links_type *links;
    void *links_context;
};

struct host;

/* Starts the threads; every actor gets `started`.  NULL when a port could not be opened. */
struct host *host_open(const struct host_setup *setup);

/* Sends `stop` to everybody and waits until order and HTTP have nothing left, or `limit` (ns) has
 * passed.  Returns whether nothing was left. */
bool host_drain(struct host *self, int64_t limit);

/* Ends the threads and frees everything.  NULL is harmless. */
void host_close(struct host *self);

/* Opens one port, asks it one thing and waits for the answer: for start-up, before there is a host.
 * `body` and `answer` are the structs of the request and of the answer (which has no texts).
 * False when there was another answer (*problem) or none within `limit` ns. */
bool host_call(const struct port_type *type, const struct port_setup *setup,
               enum message_id request, const void *body, enum message_id expected, void *answer,
               int64_t limit, enum problem *problem);

#endif
