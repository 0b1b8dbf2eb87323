/* One run of the simulator: everything there is, and the one loop that moves it.
 *
 * A step takes the earliest event: a message arrives, a seat handles its mail, a clock ticks, a
 * shopper acts, a fault strikes.  After each step the checkers look at all stores at once, which
 * nobody inside can.  The first thing that is wrong ends the run.
 *
 * Who is there: a process with the shop's actors and one bridge, perhaps a process with another
 * bridge, and for each shard a process with its inventory, order and timer; a second one for the
 * same shard comes with the faults `writer` and `move`.  Ports belong to processes, too.  Half of
 * the seeds have one shard, the others two to four, which share PostgreSQL and perhaps, under keys
 * of their own, a Redis: shard k lives in instance k modulo their number, as in redis.address.
 *
 * Deterministic: no addresses, no clock, no iteration over anything unordered; ties are broken by
 * the number of the event. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdio.h>

#include "broker/batch.h"
#include "tests/sim/draw.h"
#include "tests/sim/flights.h"
#include "tests/sim/lua_store.h"
#include "tests/sim/model_pg.h"
#include "tests/sim/model_redis.h"
#include "tests/sim/swarm.h"

#define SIM_MS     INT64_C(1000000)
#define SIM_SECOND INT64_C(1000000000)
#define SIM_START  (INT64_C(1800000000) * SIM_SECOND) /* Virtual time at the start. */

enum {
    TICKET_TEXT_MAX = 400,
    TOLD_MAX = 16,
    SHARDS_MOST = 4,
    PROCESS_shop = 0,
    PROCESS_edge = 1, /* A second bridge. */
    PROCESS_pairs = 2,
    PROCESSES = PROCESS_pairs + 2 * SHARDS_MOST,
    SEATS_MAX = 64,
    SKU_MAIN = 3,
    SKU_SECOND = 4,
    SALE_MAIN = 10,
};

/* What dies of a fault of its machine together. */
struct process {
    bool there;
    uint8_t shard;        /* Of a pair. */
    int64_t clock;        /* Its wall clock is ahead by so much. */
    int64_t told;         /* What its actors were told last, */
    int64_t told_at;      /* and when. */
    int64_t paused_until; /* Stands still. */
    int64_t pg_away_until;
};

/* Somebody at an address. */
struct seat {
    const struct actor_type *type; /* NULL: a port, or what the simulator plays. */
    void *state;
    enum address address;
    uint8_t process, shard;
    struct batch mail, work;
    bool there, up, waking;
    uint32_t incarnation;
    uint32_t limit; /* Of the mailbox; 0 = none. */
};

struct link {
    int64_t last;       /* Arrival of the last message, for their order. */
    int64_t clogged_to; /* Nothing arrives before this. */
    int64_t cut_to;     /* What is sent before this is lost. */
    bool faulty;
    struct frame *frame; /* On its way since frame_at; while that is now, more gets in. */
    int64_t frame_at;
};

/* The port of a pair to Redis. */
struct pair {
    struct model_redis redis;
    uint8_t server;     /* Which it is connected to. */
    int64_t slow_until; /* Its answers take their time. */
};

/* The servers of an instance of Redis: the master, and the one that was it before. */
struct servers {
    struct lua_store *store[2];
    uint8_t master;
};

/* What may be believed of a shard's keys in Redis. */
struct trust {
    uint32_t tainted;      /* Up to this epoch something may have been lost, */
    uint32_t begun, clean; /* but not what was installed wholly after the loss. */
    uint32_t losses;       /* So far. */
};

enum wish { WISH_abandon, WISH_pay, WISH_pay_late, WISH_cancel, WISH_vanish, WISH_COUNT };

enum cheat {
    CHEAT_none,
    CHEAT_foreign,  /* Somebody else's ticket. */
    CHEAT_forged,   /* An altered ticket. */
    CHEAT_address,  /* The same ticket for another address. */
    CHEAT_quantity, /* The same ticket for another quantity. */
    CHEAT_peek,     /* Reads and cancels somebody else's order. */
    CHEAT_receipt,  /* Shows an altered receipt. */
    CHEAT_COUNT
};

enum shopper_state {
    SHOPPER_waits, /* To begin. */
    SHOPPER_buys,  /* Sent the ticket. */
    SHOPPER_asks,  /* Has a receipt. */
    SHOPPER_owns,  /* Has an unpaid order; acts next. */
    SHOPPER_cancels,
    SHOPPER_opens,   /* Asked for a payment. */
    SHOPPER_pays,    /* Goes to the provider next. */
    SHOPPER_watches, /* Until the order has its last state. */
    SHOPPER_done,
};

/* What one buyer was told about one ticket. */
struct ticket {
    int64_t order_id, user_id, lot_id;
    int64_t expires_at;
    uint32_t shopper, price_version;
    int64_t yes_at; /* First told of the order; 0 = never. */
    int64_t *told;  /* rids told void or (negative) refused, or NULL. */
    uint8_t told_count;
    char *sealed; /* Its text, or NULL: sealed when it is first sent, kept until he is done. */
    bool altered; /* Was also used for something else. */
    bool excused; /* What he was told is gone with a server of PostgreSQL. */
};

struct shopper {
    int64_t lot_id, payment_id, pay_by;
    int64_t begins, patience;
    int64_t touched_at;        /* Units of his were last taken or given back. */
    char *receipt;             /* Or NULL. */
    uint32_t quantity, ticket; /* Index of the one in use. */
    uint32_t turn;
    uint8_t wish, state, cheat; /* enums of these names */
    uint8_t stubborn, second;   /* Tries left after a no; tickets left. */
    bool double_click, again, late_comer, got, told_no, lists;
};

/* A request to the door. */
struct request {
    int64_t sent_at;
    uint32_t shopper, ticket;
    uint16_t type; /* enum message_id */
    uint8_t cheat, quantity;
    uint8_t rows; /* Of a list, so far. */
    bool answered, yes, no;
};

/* What the provider knows of a payment. */
struct deal {
    int64_t payment_id, order_id, amount;
    bool paid, refunded, heard; /* heard: the callback was answered */
    uint32_t refunds, calls;
};

/* A reservation that Redis handed out. */
struct handed {
    int64_t rid, order_id;
    uint32_t made;          /* Losses of its shard before it. */
    uint32_t losses, epoch; /* Of its shard, when its units came back. */
    bool undone;
};

/* What is wrong. */
struct failure {
    bool is;
    const char *rule;
    char text[400];
    int64_t order_id;
    uint64_t step;
};

struct operators;
struct checks;

struct world {
    uint64_t seed, step;
    int64_t now;
    int64_t wall; /* What clocks are ahead of it, all of them. */
    struct draw links_draw, faults_draw, crowd_draw, later_draw;
    struct draw shards_draw; /* For what only runs with several shards draw. */
    struct swarm swarm;
    bool healed;
    struct flights flights;
    struct process processes[PROCESSES];
    struct seat seats[SEATS_MAX];
    uint8_t seat_at[PROCESSES][ADDRESS_COUNT]; /* 0 = not there */
    uint8_t seat_count, shards, instances;     /* Of Redis. */
    uint8_t process_count;                     /* Those that there can be in this run. */
    uint8_t home[SHARDS_MOST]; /* The process that serves the shard, as the map says. */
    struct link links[SEATS_MAX][SEATS_MAX];
    struct pair pairs[PROCESSES];
    struct servers servers[SHARDS_MOST]; /* By instance. */
    struct trust trusted[SHARDS_MOST];
    struct batch out;
    struct seal_keys keys;
    struct actor_setup setup;

    struct model_pg *pg;      /* With --store=real: what is committed. */
    struct real *real;        /* tests/sim/real.h; NULL: PostgreSQL is the model. */
    struct model_pg *standby; /* What it knew when it last heard; NULL without failovers. */
    struct late *late;        /* Transactions to be committed after their client has given up. */
    uint32_t late_count, pg_failovers;
    uint32_t forgotten_from[SHARDS_MOST], forgotten_to[SHARDS_MOST]; /* Epochs, by a failover. */

    struct shopper *shoppers;
    uint32_t shopper_count, shopper_room, shoppers_done, late_comers;
    struct ticket *tickets;
    uint32_t ticket_count, ticket_room;
    struct request *requests;
    uint32_t request_count, request_room;
    struct deal *deals;
    uint32_t deal_count, deal_room;
    struct operators *operators;
    struct checks *checks;
    struct handed *rids; /* Handed out by Redis. */
    uint32_t rid_count, rid_room;
    int64_t quiet_at, healed_at;

    struct failure failure;
    FILE *trace;         /* NULL: none. */
    int64_t trace_order; /* Only lines about this order; 0 = all. */
    bool story;          /* One delay for all, times in ms since story_began, no housekeeping. */
    int64_t fixed_delay, story_began;
};

struct world_options {
    uint64_t seed;
    uint32_t shoppers; /* 0: drawn */
    uint32_t shards;   /* 0: drawn */
    int64_t units;     /* Of each lot; 0: drawn */
    int64_t ends;      /* The faults stop then (ns after the start); 0: drawn */
    uint64_t allowed;  /* Faults there may be: bits by number. */
    bool real;         /* PostgreSQL is a real one. */
    bool crowd;        /* false: no shoppers of its own, for stories */
    FILE *trace;
    int64_t trace_order;
};

/* world.c */
struct world *world_open(const struct world_options *options);
void world_close(struct world *self);
/* False: nothing is left to happen (never, because of the ticks), or something is wrong. */
bool world_step(struct world *self);
/* Nothing goes wrong in this run: then what is sent from one seat to another at one instant travels
 * together, as it does between nodes, and nobody asks again before he has an answer. */
bool world_is_calm(const struct world *self);
/* The whole run: faults, then healing, then late comers who buy the rest, then the sale is closed
 * and settled.  True when all is well. */
bool world_run(struct world *self);
void world_pass(struct world *self, int64_t span);
void world_lot(struct world *self, int64_t lot_id, int64_t units, uint32_t limit, int64_t window);
/* What the actors of a process are told now. */
int64_t world_clock(struct world *self, uint8_t process);
void *world_grow(void *rows, uint32_t count, uint32_t *room, size_t size);

/* tell.c */
__attribute__((format(printf, 4, 5))) void world_fail(struct world *self, const char *rule,
                                                      int64_t order_id, const char *format, ...);
void world_note(struct world *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, but only when the whole is told, not one order. */
#define world_remark(self, ...)                                                                    \
    do {                                                                                           \
        if ((self)->trace != NULL && (self)->trace_order == 0) world_note((self), __VA_ARGS__);    \
    } while (0)
void tell_message(const struct world *self, const struct message *message, const char *fate);

/* links.c */
/* On its way, past the faults of the link. */
void world_send(struct world *self, uint8_t from, const struct message *message);
bool links_connected(const struct world *self, uint8_t from, uint8_t to);

/* seats.c */
void seats_open(struct world *self);
void seats_close(struct world *self);
uint8_t seat_find(struct world *self, enum address address); /* One that serves now. */
void seats_open_pair(struct world *self, uint8_t process);
void seats_close_pair(struct world *self, uint8_t process);
void seat_arrive(struct world *self, uint8_t seat, const struct message *message);
void seat_take_frame(struct world *self, uint8_t seat, struct batch *messages);
void seat_wake(struct world *self, uint8_t seat);
void seat_tick(struct world *self, uint8_t seat, uint64_t incarnation);
void seat_crash(struct world *self, uint8_t seat);
void seat_restart(struct world *self, uint8_t seat);
void world_deliver_out(struct world *self, uint8_t from);

/* stores.c */
void stores_open_redis(struct world *self, uint8_t process);
void stores_close_redis(struct world *self, uint8_t process);
void stores_close_port(struct world *self, uint8_t seat);
void stores_redis(struct world *self, uint8_t seat, const struct message *in, uint32_t count);
void stores_transact(struct world *self, uint8_t seat, const struct message *in, uint32_t count);
void stores_commit_late(struct world *self, uint64_t number);
void stores_committed(struct world *self);
struct servers *stores_servers(struct world *self, uint32_t shard);
struct lua_store *stores_master(struct world *self, uint32_t shard);

/* faults.c */
void faults_begin(struct world *self);
void faults_strike(struct world *self, uint64_t kind);
void faults_again(struct world *self, uint64_t number);
void faults_heal(struct world *self);
/* faults_redis.c */
void faults_redis_crash(struct world *self, uint32_t instance, uint32_t lost, bool wipe,
                        int64_t away);
void faults_redis_worst(struct world *self, uint32_t shard);
void faults_redis_strike(struct world *self, enum fault fault);
void faults_redis_again(struct world *self, uint64_t number);
void faults_redis_heal(struct world *self);
void faults_redis_doubt(struct world *self, uint32_t shard);
void faults_redis_lose(struct world *self, uint8_t process);
void faults_redis_connect(struct world *self, uint8_t process);
/* faults_pg.c */
enum fate { FATE_good, FATE_refused, FATE_unknown, FATE_late, FATE_lost };
enum fate faults_pg_fate(struct world *self, uint8_t process);
/* Of a commit of the real one; FATE_lost: its connection is, before it. */
enum fate faults_pg_commit(struct world *self, uint8_t process);
bool faults_pg_away(const struct world *self, uint8_t process);
void faults_pg_strike(struct world *self, enum fault fault);
void faults_pg_standby(struct world *self); /* After a commit. */

/* operators.c */
void operators_open(struct world *self);
void operators_close(struct world *self);
void operators_strike(struct world *self, enum fault fault);
void operators_turn(struct world *self);
void operators_answer(struct world *self, const struct message *in);
void operators_heal(struct world *self);
bool operators_content(const struct world *self); /* All that shall be open is. */
/* The stores are reconciled, then everything is closed and settled; done when operators_settled().
 */
void operators_end(struct world *self);
bool operators_settled(const struct world *self);

/* shoppers.c */
void shoppers_open(struct world *self, uint32_t count);
void shoppers_close(struct world *self);
uint32_t shopper_add(struct world *self, const struct shopper *plan);
void shopper_turn(struct world *self, uint64_t number);
void shoppers_answer(struct world *self, const struct message *in);
/* A crowd is larger than the processor's cache: what the next turns and answers need is fetched
 * while this one is handled.  Changes nothing. */
void shoppers_fetch_turn(const struct world *self, uint32_t index, bool soon);
void shoppers_fetch_answer(const struct world *self, const struct batch *answers, uint32_t at);
void shoppers_late_comers(struct world *self);
void shoppers_restock(struct world *self, int64_t lot_id, uint32_t count);
/* shoppers_ask.c: what they send. */
void shopper_send(struct world *self, struct shopper *shopper, enum message_id type);
void shopper_cheats(struct world *self, struct shopper *shopper);
struct ticket *world_ticket(struct world *self, int64_t order_id); /* NULL: none */
void shopper_new_ticket(struct world *self, struct shopper *shopper);
void shopper_wake(struct world *self, struct shopper *shopper, int64_t after);
static inline int64_t shopper_user(uint32_t index) {
    return 1001 + (int64_t)index;
}
static inline int64_t shopper_session(uint32_t index) {
    return INT64_C(5001) + (int64_t)index;
}

/* provider.c */
void provider_handle(struct world *self, const struct message *in, struct outbox *out);
void provider_mail(struct world *self, const struct message *in, struct outbox *out);
void provider_pay(struct world *self, int64_t payment_id);
void provider_answer(struct world *self, const struct message *in);
void provider_call(struct world *self, uint64_t deal);
bool provider_refunded(struct world *self, int64_t payment_id);

#endif
