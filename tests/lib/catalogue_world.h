/* What stands around the catalogue in its tests: a store and a hot counter that hold one sale with
 * two lots and answer at once, as far as they are there, and an operator at the door.
 * One world per program; setup and teardown are cmocka's. */
#ifndef CATALOGUE_WORLD_H
#define CATALOGUE_WORLD_H

#include "actors/catalogue/catalogue.h"
#include "tests/lib/actor_probe.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
enum { SALE = 40, LOT_A = 51, LOT_B = 52, LOTS = 2 };

extern struct probe probe;
extern struct world {
    bool pg, redis;
    enum sale_state state;
    int64_t version, opens_at, closes_at;
    enum lot_state hot[LOTS];
    enum lot_state lot_moved; /* What the account says the lots are in; none: as they are. */
    uint32_t epoch;           /* Of the hot counter. */
    int64_t undecided, held, available, sold, orders, unpaid;
    uint32_t shard[LOTS];
    uint32_t away;       /* Bit by shard. */
    int64_t buyers_lost; /* The lot whose key is gone; 0 = none. */
    uint32_t seen;       /* Messages sent that have been looked at. */
} world;

int setup(void **state);
int teardown(void **state);
/* The actor is started and has loaded the sale in this state. */
void start_in(enum sale_state state, enum lot_state hot);

/* Messages sent. */
uint32_t count(enum address to, enum message_id id);
/* As the store has them. */
struct sale_view sale_row(void);
struct lot_view lot_row(int n);
/* rows_end of this many rows. */
void end_rows(const struct message *to, uint32_t rows);

/* Store and counter answer what was sent. */
void turn(void);
/* The same, while time passes. */
void pass(int64_t span);
void forget(void);

/* An operator asks; his request number. */
uint64_t door(const void *body, enum message_id id);
void move(enum sale_state to);
/* What he was refused with last. */
enum problem refused(void);

#endif
