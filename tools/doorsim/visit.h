/* One arrival of the open loop, from its first request to its last answer: a small state machine in
 * one of a bounded number of places.  Inside of the open loop only. */
#ifndef DOORSIM_VISIT_H
#define DOORSIM_VISIT_H

#include "tools/doorsim/open_loop.h"

struct visit;

/* A request of a visit.  The http_call comes first. */
struct click {
    struct http_call call;
    struct visit *visit;
    struct history_event event;
    int64_t picked_at; /* When it was handed to the client. */
    bool busy;
};

struct visit {
    struct visit *next; /* Free, or in the same slot of the timers. */
    struct open_loop *loop;
    enum people people;
    struct ticket *ticket; /* NULL for pages. */
    struct click clicks[2];
    int64_t arrived_at;
    int64_t due; /* While it waits. */
    unsigned tries, looks;
    bool in_line, settled;
    int retry_after_s;
    char *receipt; /* Owned. */
};

enum { TIMER_SLOTS = 65536 }; /* Of a millisecond: nobody waits longer than a minute. */

struct open_loop {
    const struct open_plan *plan;
    struct open_result *result;
    struct http_loop *http;
    struct http_client *client, *bots, *watcher;
    struct recorder recorder;
    struct visit *visits, *free;
    size_t busy; /* Visits under way. */
    size_t next_ticket, next_bot;
    struct visit *timers[TIMER_SLOTS];
    int64_t timers_at_ms; /* Slots before this one are empty. */
    size_t waiting;       /* Visits in the timers. */
    uint64_t random;
    int64_t start; /* Steady clock. */
    bool ending;   /* Nobody begins anything new. */
};

/* Somebody arrives, meant to at `wanted_at`; `now` is a little later.  False: no place is free, or
 * no ticket is left. */
bool visit_begin(struct open_loop *loop, int64_t wanted_at, int64_t now);

/* Goes on with those whose time has come; the time of the next, or INT64_MAX. */
int64_t visits_wake(struct open_loop *loop, int64_t now);

#endif
