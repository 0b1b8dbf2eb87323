/* The host: runs actors and ports in threads and moves messages between them.
 *
 * Within a thread a message is a copy in memory.  Between threads it is msgpack over a ZeroMQ
 * inproc PUSH/PULL pipeline, all messages of one loop turn in one frame.  Every mailbox is bounded:
 * a request from the edge (bridge, HTTP, door) that finds it full is answered `overloaded`; answers
 * and consequences always get in, their number is bounded by the requests admitted. */
#ifndef HOST_H
#define HOST_H

#include "broker/port.h"

enum { HOST_THREADS_MAX = 8 };

/* One address and the thread that serves it; exactly one of actor and port is set. */
struct host_place {
    enum address address;
    uint32_t thread;
    const struct actor_type *actor;
    const struct port_type *port;
};

struct host_setup {
    const struct config *config;
    const struct seal_keys *keys;
    struct actor_setup actor; /* Copied for each actor, with a seed of its own. */
    const struct host_place *places;
    uint32_t place_count;
    struct worker_lease lease; /* Renewed every `renew_every` ns while PORT_pg_shop is here; its */
    int64_t lease_life;        /* text must outlive the host.  0 = no lease. */
    int64_t renew_every;
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
