/* What is going to happen: messages under way (copies with their texts), and events of the
 * simulator's own, in the order of their times.  Two at one instant keep the order in which they
 * were planned. */
#ifndef TESTS_SIM_FLIGHTS_H
#define TESTS_SIM_FLIGHTS_H

#include "actors/actor.h"

enum event {
    EVENT_message, /* Arrives at its receiver. */
    EVENT_tick,    /* Of an actor; number: its incarnation. */
    EVENT_wake,    /* A seat has mail. */
    EVENT_shopper, /* number: which, and at which turn of his. */
    EVENT_call,    /* A provider's callback; number: which deal. */
    EVENT_fault,   /* number: which kind. */
    EVENT_again,   /* Something that a fault took away comes back; number: what. */
    EVENT_restart, /* An actor is there again. */
    EVENT_commit,  /* A transaction whose client has given up; number: which. */
    EVENT_door,    /* Operators look at what is still to be done. */
};

enum { PARCEL_CLASSES = 12, PARCEL_STEP = 64 };

struct parcel {
    enum event event;
    uint8_t seat;  /* Where it happens. */
    uint8_t class; /* Of its memory; PARCEL_CLASSES = malloc's. */
    uint64_t number;
    struct message message; /* EVENT_message only; body and texts follow in the same memory. */
    struct parcel *next;    /* While it is free. */
};

struct flight {
    int64_t at;
    uint64_t sequence;
    struct parcel *parcel;
};

struct flights {
    struct flight *heap;
    uint32_t count, capacity;
    uint64_t sequence;
    struct parcel *spare[PARCEL_CLASSES];
};

/* Copies the message in. */
void flights_add(struct flights *self, const struct message *message, uint8_t seat, int64_t at);
void flights_plan(struct flights *self, enum event event, uint8_t seat, uint64_t number,
                  int64_t at);
/* When the next happens; there is one. */
int64_t flights_next(const struct flights *self);
/* The next; given back with flights_give. */
struct parcel *flights_take(struct flights *self);
void flights_give(struct flights *self, struct parcel *parcel);
void flights_fini(struct flights *self);

#endif
