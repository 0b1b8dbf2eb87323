/* What is going to happen: messages under way (copies with their texts), and events of the
 * simulator's own, in the order of their times.  Two at one instant keep the order in which they
 * were planned. */
#ifndef TESTS_SIM_FLIGHTS_H
#define TESTS_SIM_FLIGHTS_H

#include "broker/batch.h"

enum event {
    EVENT_message, /* Arrives at its receiver. */
    EVENT_frame,   /* Several do, together. */
    EVENT_tick,    /* Of an actor; number: its incarnation. */
    EVENT_wake,    /* A seat has mail. */
    EVENT_shopper, /* number: which, and at which turn of his. */
    EVENT_call,    /* A provider's callback; number: which deal. */
    EVENT_fault,   /* number: which kind. */
    EVENT_again,   /* Something that a fault took away comes back; number: what. */
    EVENT_restart, /* An actor is there again. */
    EVENT_commit,  /* A transaction whose client has given up; number: which. */
    EVENT_session, /* A session of the real PostgreSQL goes on; number: see real_pg.c. */
    EVENT_door,    /* Operators look at what is still to be done. */
};

enum { PARCEL_CLASSES = 12, PARCEL_STEP = 64, FLIGHT_DAYS = 1 << 14, DAY_BITS = 18 };

/* A message under way; its body and texts follow in the same memory. */
struct parcel {
    uint8_t class; /* Of its memory; PARCEL_CLASSES = malloc's. */
    struct message message;
    struct parcel *next; /* While it is free. */
};

/* Messages under way together. */
struct frame {
    struct batch messages;
    struct frame *next; /* While it is free. */
};

struct flight {
    int64_t at;
    uint64_t sequence;
    union {
        uint64_t number;
        struct parcel *parcel; /* EVENT_message only. */
        struct frame *frame;   /* EVENT_frame only. */
    };
    uint8_t event; /* enum event */
    uint8_t seat;  /* Where it happens. */
};

/* Ordered by time: the least of all is first. */
struct flight_heap {
    struct flight *items;
    uint32_t count, capacity;
};

/* A day is a quarter of a millisecond.  Today's flights are ordered; those of the next days lie as
 * they came, until it is their day; those behind them wait in order for a day to become free.  With
 * millions of flights one heap of all would be one miss of the cache after the other.
 * Invariant: whatever is in `days` or `later` is of a day behind `today`. */
struct flights {
    uint32_t count;
    uint64_t sequence;
    int64_t today;
    struct flight_heap now, later;
    struct flight_heap *days; /* FLIGHT_DAYS; that of a day is at its remainder. */
    uint32_t days_count;      /* Flights in all of them. */
    uint64_t busy[FLIGHT_DAYS / 64];
    struct parcel *spare[PARCEL_CLASSES];
    struct frame *spare_frame;
};

/* Copies the message in. */
void flights_add(struct flights *self, const struct message *message, uint8_t seat, int64_t at);
/* An empty frame, on its way already: what is appended before it is taken arrives with it. */
struct frame *flights_frame(struct flights *self, uint8_t seat, int64_t at);
void flights_plan(struct flights *self, enum event event, uint8_t seat, uint64_t number,
                  int64_t at);
/* When the next happens; there is one. */
int64_t flights_next(struct flights *self);
/* The next; given back with flights_give. */
struct flight flights_take(struct flights *self);
void flights_give(struct flights *self, const struct flight *flight);
void flights_fini(struct flights *self);

#endif
