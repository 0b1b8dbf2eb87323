/* A fault proxy: stands before a server's socket and mistreats the bytes, in a thread of its own.
 * TCP or unix sockets on either side, no privileges.
 *
 * Each direction of every connection has the same faults: delay, a rate, or a block: then bytes are
 * taken and kept, as by a network that has gone away; after the block they arrive, unless the
 * connection was cut meanwhile: then the peer never sees them (a commit without its answer).
 * `cut_after` counts bytes and cuts in the middle of whatever they belong to. */
#ifndef DOORSIM_PROXY_H
#define DOORSIM_PROXY_H

#include <stdbool.h>
#include <stdint.h>

enum proxy_way { TO_SERVER, TO_CLIENT, PROXY_WAYS };

struct proxy_faults {
    int64_t delay_ns[PROXY_WAYS];
    int64_t jitter_ns[PROXY_WAYS]; /* On top of the delay, at random; the order stays. */
    int64_t rate[PROXY_WAYS];      /* Bytes a second; 0: any. */
    int64_t cut_after[PROXY_WAYS]; /* All connections, once, after so many bytes; 0: not. */
    bool block[PROXY_WAYS];
    bool refuse; /* New connections are closed at once. */
    bool hang;   /* New connections are accepted, and then nothing. */
};

struct proxy;

/* An address is the path of a unix socket or ADDRESS:PORT.  NULL, with a sentence on stderr, when
 * it cannot listen.  The target is connected to for each connection. */
struct proxy *proxy_open(const char *listen, const char *target);
void proxy_close(struct proxy **self);

/* From now on; of connections that are open, too. */
void proxy_set(struct proxy *self, const struct proxy_faults *faults);
/* Drops every connection and what is on its way in it; `reset` as a crashed host does it. */
void proxy_cut(struct proxy *self, bool reset);
/* New connections go there. */
void proxy_target(struct proxy *self, const char *target);

/* Since it was opened. */
struct proxy_count {
    uint64_t connections, cuts, bytes[PROXY_WAYS];
};
struct proxy_count proxy_count(struct proxy *self);

#endif
