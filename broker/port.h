/* A port serves an address as an actor does, but may do I/O: Redis, PostgreSQL, HTTP, providers,
 * mail, the door.  It never blocks: handle() starts work, the host polls its descriptors, step()
 * goes on with it and sends answers.
 *
 * Back-pressure: while ready() is false the host leaves messages in the port's mailbox, where the
 * next ones join them to become one batch.  A port answers every message exactly once (rows, then
 * rows_end, count as one answer), also when the world is away: failed unavailable, at once. */
#ifndef PORT_H
#define PORT_H

#include <poll.h>

#include "actors/actor.h"

struct config;
struct port;

struct port_setup {
    const struct config *config;
    const struct seal_keys *keys;
    enum address self; /* One type may serve two addresses (pg_shard, pg_shop). */
    uint8_t shard;
    uint16_t node;    /* This one. */
    const char *name; /* For logs and /readyz, tells shards apart; NULL = the address's. */
};

struct port_type {
    const char *name;
    uint32_t batch_max; /* Messages given to one handle(). */
    uint32_t step_max;  /* Messages that one step() sends; 0 = the host decides. */

    /* NULL: could not start; the reason has been logged.  A store that is away is no reason. */
    struct port *(*open)(const struct port_setup *setup);
    void (*close)(struct port *self);

    bool (*ready)(const struct port *self);
    /* `in` is borrowed for the call. */
    void (*handle)(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out);
    /* Fills at most `max` descriptors with the events waited for; returns how many. */
    uint32_t (*poll)(struct port *self, struct pollfd *fds, uint32_t max);
    /* Nanoseconds until step() wants to be called without an event; -1 = not at all. */
    int64_t (*timeout)(struct port *self, int64_t now);
    /* Called once per turn of the host's loop (cheap when there is nothing to do).  Sends at most
     * what `out` has room for (outbox_room) and goes on at the next call. */
    void (*step)(struct port *self, int64_t now, struct outbox *out);

    /* Optional: takes what may change while running (RELOADED in config.def).  `config` is borrowed
     * for the call. */
    void (*reload)(struct port *self, const struct config *config);

    /* Optional: the port waits for the whole thread instead of poll(2), for libraries with a loop
     * of their own.  Blocks until one of its own descriptors or one of `others` is ready, or the
     * time (ns, -1 = for ever) is over; sets revents of the others.  At most one such port per
     * thread. */
    void (*wait)(struct port *self, struct pollfd *others, uint32_t count, int64_t timeout);
};

/* http_admin_port is http_port without shoppers: only admin.listen is opened. */
extern const struct port_type http_port, http_admin_port, door_port, redis_port, pg_port, hash_port,
    pay_port, mail_port;

#endif
