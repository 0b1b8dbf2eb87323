/* Messages under way: copies with their texts, in the order of arrival.  Two that arrive at one
 * instant keep the order in which they were sent. */
#ifndef TESTS_SIM_FLIGHTS_H
#define TESTS_SIM_FLIGHTS_H

#include "actors/actor.h"

enum event {
    EVENT_message, /* Arrives at its receiver. */
    EVENT_tick,    /* Of an actor; number: its incarnation. */
    EVENT_wake,    /* A seat has mail. */
    EVENT_shopper, /* number: which, and at which turn of his. */
    EVENT_fault,   /* number: which kind. */
    EVENT_restart, /* An actor is there again. */
    EVENT_commit,  /* A transaction whose client has given up. */
};

struct parcel {
    int64_t at;
    uint64_t sequence;
    enum event event;
    uint64_t number;
    struct message message; /* Its body and texts follow in the same memory. */
};

struct flights {
    struct parcel **heap;
    uint32_t count, capacity;
    uint64_t sequence;
};

/* Copies the message in. */
void flights_add(struct flights *self, const struct message *message, int64_t at);
/* Something of the simulator itself. */
void flights_plan(struct flights *self, enum event event, enum address to, uint64_t number,
                  int64_t at);
/* NULL: none.  The next is at the heap's top. */
const struct parcel *flights_first(const struct flights *self);
/* The caller frees it. */
struct parcel *flights_take(struct flights *self);
void flights_fini(struct flights *self);

#endif
