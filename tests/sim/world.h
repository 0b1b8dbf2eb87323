/* One run of the simulator: everything there is, and the one loop that moves it.
 *
 * A step takes the earliest event: a message arrives, a seat handles its mail, a clock ticks, a
 * shopper acts, a fault strikes.  After each step the checkers look at all stores at once, which
 * nobody inside can.  The first thing that is wrong ends the run.
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

#define SIM_MS     INT64_C(1000000)
#define SIM_SECOND INT64_C(1000000000)
#define SIM_START  (INT64_C(1800000000) * SIM_SECOND) /* Virtual time at the start. */

enum { TICKET_TEXT_MAX = 400, VOIDS_MAX = 8, HELD_MAX = 4096 };

/* Which faults there are in this run, and how often; drawn from the seed, all 0 without faults. */
struct swarm {
    uint32_t loss, twice, reorder; /* Of 1000 messages on a faulty link. */
    uint32_t links;                /* Faulty ones, of 1000. */
    uint32_t victim, victim_loss;  /* One type of message is lost so often. */
    int64_t delay_least, delay_most;
    int64_t reorder_most; /* How much later. */
    int64_t crash_every;  /* Actors; 0 = never.  Mean times. */
    uint32_t crash_set;   /* Bits by address. */
    int64_t redis_every, blip_every, pg_every;
    uint32_t redis_cut_most, redis_wipe; /* Records lost; of 1000 crashes all is lost. */
    int64_t pg_away_most;
    uint32_t pg_refused, pg_unknown, pg_late; /* Of 1000 transactions. */
    uint32_t silent_provider;                 /* Of 1000 callbacks never sent. */
    int64_t ends;                             /* Then the faults stop. */
};

struct seat {
    const struct actor_type *type; /* NULL: the simulator plays it. */
    void *state;
    struct batch mail, work;
    bool up, waking;
    uint32_t incarnation;
};

enum wish { WISH_abandon, WISH_pay, WISH_pay_late, WISH_cancel, WISH_vanish, WISH_COUNT };

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
    uint32_t shopper;
    int64_t yes_at;                          /* First told of the order; 0 = never. */
    int64_t voids[VOIDS_MAX], no[VOIDS_MAX]; /* rids told void, told refused */
    uint32_t void_count, no_count;
};

struct shopper {
    int64_t user_id, session_id, lot_id, payment_id, pay_by;
    uint32_t quantity, ticket; /* Index of the one in use. */
    enum wish wish;
    enum shopper_state state;
    bool double_click, again, late_comer, got, told_no;
    uint32_t stubborn, second; /* Tries left after a no; tickets left. */
    int64_t begins, patience;
    uint32_t turn;
    char sealed[TICKET_TEXT_MAX + 1], receipt[TICKET_TEXT_MAX + 1];
};

/* A request to the door. */
struct request {
    enum message_id type;
    uint32_t shopper, ticket, turn;
    int64_t sent_at;
    bool answered, yes, no;
};

/* What the provider knows of a payment. */
struct deal {
    int64_t payment_id, order_id, amount;
    bool paid, refunded, heard; /* heard: the callback was answered */
    uint32_t refunds, calls;
};

/* What is wrong. */
struct failure {
    bool is;
    const char *rule;
    char text[400];
    int64_t order_id;
    uint64_t step;
};

struct world {
    uint64_t seed, step;
    int64_t now;
    struct draw links_draw, faults_draw, crowd_draw;
    struct swarm swarm;
    bool healed;
    struct flights flights;
    int64_t link_at[ADDRESS_COUNT][ADDRESS_COUNT]; /* Last arrival, for order. */
    bool link_faulty[ADDRESS_COUNT][ADDRESS_COUNT];
    struct seat seats[ADDRESS_COUNT];
    struct batch out;
    struct seal_keys keys;
    struct actor_setup setup;

    struct lua_store *store;
    struct model_redis redis;
    uint32_t tainted;      /* Up to this epoch Redis may have lost something, */
    uint32_t begun, clean; /* but not what was installed wholly after the loss. */
    uint64_t redis_losses;
    struct model_pg *pg;
    int64_t pg_away_until;
    struct batch *late; /* Transactions to be committed after their client has given up. */
    uint32_t late_count;
    uint32_t orders_checked;

    struct shopper *shoppers;
    uint32_t shopper_count, shoppers_done, late_comers;
    struct ticket *tickets;
    uint32_t ticket_count, ticket_room;
    struct request *requests;
    uint32_t request_count, request_room;
    struct deal *deals;
    uint32_t deal_count, deal_room;
    struct {
        int64_t rid, order_id;
    } * rids; /* Handed out by Redis. */
    uint32_t rid_count, rid_room;
    int64_t quiet_at, healed_at;
    int64_t
        free_since[PG_LOTS_MAX]; /* Redis has had a unit to offer all the time; 0 = it has not. */

    struct failure failure;
    FILE *trace;         /* NULL: none. */
    int64_t trace_order; /* Only lines about this order; 0 = all. */
    bool story;          /* One delay for all, times in ms since story_began, no housekeeping. */
    int64_t fixed_delay, story_began;
};

struct world_options {
    uint64_t seed;
    uint32_t shoppers; /* 0: drawn */
    bool faults;
    bool crowd; /* false: no shoppers of its own, for stories */
    FILE *trace;
    int64_t trace_order;
};

/* world.c */
struct world *world_open(const struct world_options *options);
void world_close(struct world *self);
/* False: nothing is left to happen (never, because of the ticks), or something is wrong. */
bool world_step(struct world *self);
/* The whole run: faults, then healing, then late comers who buy the rest.  True when all is well.
 */
bool world_run(struct world *self);
void world_pass(struct world *self, int64_t span);
/* From a port of the simulator's own; passes the link with its faults. */
void world_send(struct world *self, const struct message *message);
void world_lot(struct world *self, int64_t lot_id, int64_t units, uint32_t limit, int64_t window);
__attribute__((format(printf, 4, 5))) void world_fail(struct world *self, const char *rule,
                                                      int64_t order_id, const char *format, ...);
void world_note(struct world *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *world_grow(void *rows, uint32_t count, uint32_t *room, size_t size);

/* seats.c */
void seats_open(struct world *self);
void seats_close(struct world *self);
void seat_arrive(struct world *self, const struct message *message);
void seat_wake(struct world *self, enum address address);
void seat_tick(struct world *self, enum address address, uint64_t incarnation);
void seat_crash(struct world *self, enum address address);
void seat_restart(struct world *self, enum address address);
void world_deliver_out(struct world *self);
void stores_commit_late(struct world *self, uint64_t number);

/* faults.c */
void faults_draw_swarm(struct world *self);
void faults_begin(struct world *self);
void faults_strike(struct world *self, uint64_t kind);
void faults_heal(struct world *self);
enum fate { FATE_good, FATE_refused, FATE_unknown, FATE_late };
enum fate faults_pg_fate(struct world *self);
void faults_commit_is_late(struct world *self);
void faults_redis_crash(struct world *self, uint32_t lost, bool wipe, int64_t away);

/* shoppers.c */
void shoppers_open(struct world *self, uint32_t count);
uint32_t shopper_add(struct world *self, const struct shopper *plan);
void shopper_turn(struct world *self, uint64_t number);
void shoppers_answer(struct world *self, const struct message *in);
void shoppers_late_comers(struct world *self);

/* provider.c */
void provider_handle(struct world *self, const struct message *in, struct outbox *out);
void provider_pay(struct world *self, int64_t payment_id);
void provider_answer(struct world *self, const struct message *in);
void provider_call(struct world *self, uint32_t deal);
bool provider_refunded(struct world *self, int64_t payment_id);

/* check_*.c */
void check_stock(struct world *self);
void check_orders(struct world *self);
void check_answer(struct world *self, struct request *request, const struct message *in);
void check_redis_said(struct world *self, const struct message *said);
void check_end(struct world *self);
/* NULL when nothing is under way any more, else what is. */
const char *check_quiet(struct world *self);

#endif
