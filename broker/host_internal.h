/* What the files of the host share and nobody else includes.
 *
 *   host.c         life: seats are made, threads start, everything ends
 *   host_thread.c  the loop of a thread: receive, one turn over its seats, send, wait
 *   host_seat.c    one seat: its mailbox and its turn; asleep and awake
 *   host_supervise.c  an actor that crashed, its dead letters
 *   host_control.c    what operators see and do
 *   host_route.c   where a message goes: a mailbox, another thread, another node, back as refusal
 */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/batch.h"
#include "broker/guard.h"
#include "broker/host.h"
#include "broker/metrics.h"
#include "broker/news.h"
#include "broker/parcel.h"
#include "broker/trace.h"

enum { HOST_MS = 1000000, SEAT_NAME_SIZE = 24 };

enum seat_phase {
    SEAT_up,
    SEAT_asleep, /* The actor of a shard that another node has, or nobody. */
    SEAT_down    /* It crashed; restart_at says when it starts anew. */
};

/* An address served by a thread, of a sharded one the part of one shard. */
struct seat {
    enum address address;
    uint8_t shard;
    uint32_t thread;
    char name[SEAT_NAME_SIZE]; /* "order", or "order-3" where there are several shards. */
    const struct actor_type *actor;
    void *state;
    struct actor_setup setup; /* Of the actor; with a new seed at each start. */
    const struct port_type *type;
    struct port *port;
    struct batch waiting; /* What arrived; becomes `working` when that is done. */
    struct batch working;
    uint32_t cursor; /* Next message of working. */
    int64_t next_tick;
    uint32_t suspects; /* The next messages of working are handled alone: with them it crashed. */
    int64_t restart_at, up_since, backoff; /* Monotonic. */
    atomic_uint restarts;
    atomic_bool restart_wanted;     /* By an operator. */
    _Atomic(enum seat_phase) phase; /* Changed by its thread, read by all. */
    atomic_bool stopped;            /* Was told to stop and has nothing left. */
    int64_t waiting_since;          /* Monotonic: the first of `waiting` came; 0 = empty. */
    struct metric_counter *handled, *crashes;
    struct metric_counter *expired; /* Where messages with a deadline end; or NULL. */
    struct metric_gauge *depth;
    struct metric_histogram *wait;
};

struct thread {
    struct host *host;
    uint32_t index;
    pthread_t id;
    bool started, told_stop;
    struct seat **seats; /* Served here, in the order of addresses. */
    uint32_t seat_count;
    struct seat *waiter; /* The port that waits for all, or NULL. */
    struct seat *lessee; /* PORT_pg_shop, when it is here. */
    void *pull;
    void *push[HOST_THREADS_MAX];
    struct parcel *outgoing[HOST_THREADS_MAX]; /* NULL = nothing in this turn. */
    struct parcel_stock parcels;
    struct links *links;
    struct trace_ring *ring;  /* NULL = off. */
    struct placement_map map; /* As of map_version. */
    uint64_t map_version;
    struct batch out;     /* What the handler of this moment sends. */
    struct batch inbox;   /* What other nodes sent. */
    struct batch letters; /* dead_letter_add that the broker has not been sent. */
    int64_t letters_at;
    int64_t now, next_renewal;
    int64_t mono;          /* When `now` was read. */
    struct seal_keys keys; /* Of its actors and ports: changed only between their calls. */
    uint64_t news_seen;
};

struct host {
    const struct config *config;
    void *zmq;
    uint16_t node;
    struct thread threads[HOST_THREADS_MAX];
    uint32_t thread_count;
    struct seat *seats;
    uint32_t seat_count;
    struct seat *at[ADDRESS_COUNT][SHARDS_MAX]; /* Not sharded: shard 0.  NULL = not here. */
    struct placement *placement;
    const struct links_type *links;
    uint32_t mailbox_max, batch_max;
    struct worker_lease lease;
    int64_t lease_life, renew_every;
    atomic_bool stopping, ending;
    struct metric_counter *refused, *stray, *sleeping_refused, *sleeping_dropped;
    struct metric_counter *link_refused, *link_lost;
    struct metric_counter *down_refused, *down_dropped, *letters, *letters_dropped;
};

/* ---- host_seat.c ---- */

static inline uint32_t seat_backlog(const struct seat *self) {
    return self->waiting.count + self->working.count - self->cursor;
}
static inline enum seat_phase seat_phase(const struct seat *self) {
    return atomic_load_explicit(&self->phase, memory_order_relaxed);
}

/* Seats that the map may place on another node, and that are asleep then: the actors of shards, and
 * those that exist once in the system. */
bool seat_may_sleep(const struct seat *self);
/* Reports by itself whether it can serve; until then /readyz says no. */
bool seat_reports_ready(const struct seat *self);
/* An empty state; the caller sees to `started`. */
void seat_start(struct seat *self);
/* Handles `started` at once, before what waits in the mailbox. */
void seat_handle_started(struct thread *thread, struct seat *self);
/* State and mailbox are dropped. */
void seat_sleep(struct thread *thread, struct seat *self);
/* `stop` into the mailbox. */
void seat_tell_stop(struct thread *thread, struct seat *self);
/* Settings and keys that changed: a port takes them now, an actor as its next message. */
void seat_take_news(struct thread *thread, struct seat *self, const struct news *news);
/* Handles what waits, at most a batch; true when there is more to do at once. */
bool seat_turn(struct thread *thread, struct seat *self);

/* ---- host_supervise.c ---- */

/* An assertion failed while it handled the items; whether they are the last of its mailbox. */
void seat_crashed(struct thread *thread, struct seat *self, const struct message *items,
                  uint32_t count, bool from_mailbox, const struct guard_failure *failure);
/* Restarts what is due or wanted; whether it is up and may handle something. */
bool seat_tend(struct thread *thread, struct seat *self);
/* Sends dead letters that wait, once the broker is known. */
void letters_send(struct thread *thread);

/* ---- host_control.c ---- */

void control_attach(struct host *host);
void control_detach(const struct host *host);

/* ---- host_thread.c ---- */

/* For pthread_create; takes a struct thread. */
void *thread_main(void *argument);

/* ---- host_route.c ---- */

/* From a seat of this thread to wherever it goes. */
void route(struct thread *thread, const struct message *message);
/* Came from another thread or node: to a seat of this process, never out again. */
void route_arrived(struct thread *thread, const struct message *message);
/* There is somebody at this address, here or elsewhere. */
bool route_knows(const struct thread *thread, enum address address);
/* What is answered when a message cannot be delivered; false when nobody waits for an answer that
 * says so, then it was not sent. */
bool route_refuse(struct thread *thread, const struct head *head, enum problem problem);

#endif
