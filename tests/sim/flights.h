/* Messages under way: copies with their texts, in the order of arrival.  Two that arrive at one
 * instant keep the order in which they were sent. */
#ifndef TESTS_SIM_FLIGHTS_H
#define TESTS_SIM_FLIGHTS_H

#include "actors/actor.h"

struct parcel {
    int64_t at;
    uint64_t sequence;
    struct message message; /* Its body and texts follow in the same memory. */
};

struct flights {
    struct parcel **heap;
    uint32_t count, capacity;
    uint64_t sequence;
};

/* Copies the message in. */
void flights_add(struct flights *self, const struct message *message, int64_t at);
/* NULL: none.  The next is at the heap's top. */
const struct parcel *flights_first(const struct flights *self);
/* The caller frees it. */
struct parcel *flights_take(struct flights *self);
void flights_fini(struct flights *self);

#endif
