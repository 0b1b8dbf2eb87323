/* An actor is a state machine: messages in, messages out, and nothing else.
 *
 * handle() may not block, allocate, read a clock, draw from a global random generator or touch a
 * socket; whatever it wants done it asks for by message.  The same object code therefore runs under
 * broker/ (threads, sockets) and under tests/sim/ (one thread, virtual time, faults from a seed).
 *
 * Answering.  `request` and `origin` travel unchanged through every consequence of a message:
 * outbox_reply() answers whoever sent the message (the store answers the actor that asked), and
 * outbox_answer() answers whoever asked first (the bridge or HTTP, with the request it chose).  So
 * most actors need no table of what is under way. */
#ifndef ACTOR_H
#define ACTOR_H

#include "schema/schema.h"
#include "schema/seal.h"

/* Addresses: actors, then the ports that serve the world outside. */
enum address {
    NOBODY = 0,
    ACTOR_bridge,
    ACTOR_session,
    ACTOR_catalogue,
    ACTOR_inventory,
    ACTOR_order,
    ACTOR_payment,
    ACTOR_timer,
    ACTOR_notifier,
    ACTOR_broker,   /* directory of nodes, placement of shards */
    PORT_http,      /* shoppers */
    PORT_door,      /* operators */
    PORT_redis,     /* the hot counter of the shard */
    PORT_pg_shard,  /* PostgreSQL for inventory, order and timer */
    PORT_pg_shop,   /* PostgreSQL for everybody else, and for reads */
    PORT_hash,      /* bounded pool for passwords */
    PORT_pay,       /* payment providers */
    PORT_mail,      /* SMTP */
    PORT_directory, /* nodes, seen from the broker */
    PORT_member,    /* the broker, seen from a node; and the node itself */
    ADDRESS_COUNT
};

/* Nodes are numbered from 1 by their lease; a number is one run of one process.  In `head.node`: */
enum {
    NODE_NONE = 0,      /* Not told apart: there is one node, or a test. */
    NODE_EVERY = 0xffff /* To every instance of the address, wherever it runs: news for bridges. */
};

/* Instances of these exist once per shard; head.shard chooses among them. */
static inline bool address_is_sharded(enum address address) {
    return address == ACTOR_inventory || address == ACTOR_order || address == ACTOR_timer ||
           address == PORT_redis || address == PORT_pg_shard;
}

/* "inventory", "pg_shop"; static. */
const char *address_name(enum address address);
bool address_is_port(enum address address);

/* What every message carries besides its body. */
struct head {
    uint16_t type; /* enum message_id */
    uint8_t from;  /* enum address; set by the runtime */
    uint8_t to;
    uint8_t origin;   /* Who asked first and waits for the answer; NOBODY = nobody waits. */
    uint8_t shard;    /* What this is about: chooses the instance of a sharded address. */
    uint16_t node;    /* Of the origin: where answers go when the address exists on every node. */
    uint64_t request; /* Chosen by the origin; copied to every consequence. */
    int64_t deadline; /* 0 = none.  Only reserve has one: nobody cares for it after this time. */
    uint64_t trace;   /* Chosen at the edge; copied to every consequence. */
};
_Static_assert(sizeof(struct head) <= 64, "the head stays small");

/* A message in a batch: the body and its texts lie in the batch's memory. */
struct message {
    struct head head;
    const void *body; /* The struct named by head.type. */
};

/* Typed access to a body: BODY(in, reserve) is a const struct reserve *; asserts the type. */
#define BODY(message, name) ((const struct name *)message_body((message), MSG_##name))
const void *message_body(const struct message *message, enum message_id id);

/* Messages sent by one call of handle(), in order.  Sending cannot fail: the runtime gives a sink
 * that takes batch_max * sends_max messages, and asserts that no more come. */
struct outbox {
    void *sink; /* The runtime's. */
    void *(*take)(void *sink, const struct head *head, const struct message_type *type);
    char *(*text)(void *sink, size_t size);
    enum address self;
    uint8_t shard;  /* Of the sender, and of what it sends without a cause. */
    uint16_t node;  /* Where the sender runs. */
    uint16_t about; /* See outbox_about(). */
    uint32_t count;
    uint32_t capacity;
    int64_t deadline; /* For the next outbox_ask(), which clears it; 0 = none. */
};

/* The next message sent, by whichever function, is about this shard, whatever its cause says. */
static inline void outbox_about(struct outbox *out, uint32_t shard) {
    out->about = (uint16_t)(shard + 1);
}

/* Messages that still fit. */
static inline uint32_t outbox_room(const struct outbox *out) {
    return out->capacity - out->count;
}

/* A zeroed body of the type to fill in place; valid until the next send.  Texts put into it must
 * stay valid until the handler returns (texts of `in` do), the runtime copies them then; for texts
 * made in the handler use outbox_text().  `cause` (may be NULL) gives request, origin, node,
 * deadline, trace and shard. */
void *outbox_send(struct outbox *out, enum address to, enum message_id id,
                  const struct message *cause);
/* To the sender of `cause`. */
void *outbox_reply(struct outbox *out, const struct message *cause, enum message_id id);
/* To the origin of `cause`.  When nobody waits the message is made and dropped by the runtime. */
void *outbox_answer(struct outbox *out, const struct message *cause, enum message_id id);
/* As outbox_send, but the receiver sees `origin` as who asked first, with this request number. */
void *outbox_ask(struct outbox *out, enum address to, enum message_id id, enum address origin,
                 uint64_t request, uint64_t trace);
/* News without a cause to every instance of an address (bridges), on all nodes. */
void *outbox_every(struct outbox *out, enum address to, enum message_id id);
/* Sends the message on unchanged; the receiver's replies go to the one who sent it to us. */
void outbox_forward(struct outbox *out, enum address to, const struct message *message);

/* Tells the host that this part (this shard's, where it is sharded) can or cannot serve shoppers,
 * if that is news: `*told` starts as 0 and is this function's.  To be called where it may have
 * changed, and at `started`. */
void outbox_ready(struct outbox *out, bool yes, uint8_t *told);

#define SEND(out, to, name, cause) ((struct name *)outbox_send((out), (to), MSG_##name, (cause)))
#define REPLY(out, cause, name)    ((struct name *)outbox_reply((out), (cause), MSG_##name))
#define ANSWER(out, cause, name)   ((struct name *)outbox_answer((out), (cause), MSG_##name))
#define ASK(out, to, name, origin, request, trace)                                                 \
    ((struct name *)outbox_ask((out), (to), MSG_##name, (origin), (request), (trace)))
#define EVERY(out, to, name) ((struct name *)outbox_every((out), (to), MSG_##name))

/* A refusal to the origin / to the sender. */
void outbox_refuse(struct outbox *out, const struct message *cause, enum problem problem);
struct failed *outbox_refuse_with(struct outbox *out, const struct message *cause,
                                  enum problem problem);
void outbox_reply_failed(struct outbox *out, const struct message *cause, enum problem problem);

/* Memory for a text made in the handler, valid until the messages are delivered. */
char *outbox_text(struct outbox *out, size_t size);
/* printf into such memory; truncated at 1000 bytes. */
struct text outbox_printf(struct outbox *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Plain values that actors need from the configuration; times in ns.  Filled by the host or the
 * simulator before init. */
struct actor_setup {
    uint8_t shard;
    uint8_t shards;  /* How many there are; 0 counts as 1. */
    uint32_t worker; /* For ids: one number per process; each kind of id has one actor. */
    uint16_t node;
    uint8_t seed[32]; /* The actor's only randomness. */
    const struct seal_keys *keys;
    int64_t hold;                        /* bridge: answer 202 after this */
    uint32_t inflight_max;               /* bridge: purchases under way */
    uint32_t rate_user, rate_user_burst; /* requests per second; 0 = off */
    int64_t access_life, refresh_life, session_idle;
    uint32_t login_failures_max;
    int64_t ticket_life, ticket_lead;
    int64_t pay_window; /* default of a sale */
    uint32_t cancels_max;
    uint32_t batch_max;      /* order: rows in a purchase batch */
    uint32_t journal_cap;    /* rows */
    int64_t journal_age_max; /* oldest undecided row; then the shard answers unavailable */
    int64_t idle_read;       /* order: read the journal after being idle for this */
    int64_t hint_every, hint_life;
    int64_t payment_query_every;
    uint32_t mail_attempts_max;
    bool mail_on;
    int64_t reconcile_every; /* catalogue: pause between reconciliations of its own; 0 = none */
};

/* The part of it that a `settings` message may change later.  An actor's init takes its values from
 * here by the same function that takes them from the message. */
struct settings actor_settings(const struct actor_setup *setup);

struct actor_type {
    const char *name;
    enum address address;
    size_t state_size;  /* The runtime allocates the state, once, zeroed, aligned to 64. */
    uint32_t batch_max; /* handle() is never given more messages than this. */
    uint32_t sends_max; /* Per message handled; sizes the outbox. */
    int64_t tick_every; /* A tick message so often (ns); 0 = never. */

    void (*init)(void *self, const struct actor_setup *setup);

    /* `in` is borrowed for the call; copy what outlives it.  `now` is wall time in ns, one instant
     * for the whole batch, and never goes back between calls. */
    void (*handle)(void *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out);

    /* Asserts the invariants of the state; called after every batch. */
    void (*check)(const void *self);
};

extern const struct actor_type bridge_type, session_type, catalogue_type, inventory_type,
    order_type, payment_type, timer_type, notifier_type, broker_type;

#endif
