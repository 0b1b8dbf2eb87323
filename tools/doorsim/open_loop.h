/* An open loop over real HTTP: people arrive when the plan says so, whatever is answered.
 *
 * Latency is counted from the moment the request was meant to start, so a server that stands still
 * for a second is charged with all who would have come in that second (no coordinated omission).
 * A repeat (a second try, a look at a place in line) is meant to start when its person decides so.
 *
 * The generator distrusts itself: it measures how late it sent and its own processor time, and a
 * run in which it could not keep its plan is not called good (open_result.faults). */
#ifndef DOORSIM_OPEN_LOOP_H
#define DOORSIM_OPEN_LOOP_H

#include "tools/doorsim/arrivals.h"
#include "tools/doorsim/load.h"
#include "tools/doorsim/series.h"

enum people {
    PEOPLE_honest,   /* Asks once; waits in line if told so. */
    PEOPLE_clicking, /* Clicks twice: the same ticket at the same moment. */
    PEOPLE_retrying, /* Has little patience, then asks again with the same ticket, several times. */
    PEOPLE_leaving,  /* Closes the page before the answer is there, and never asks again. */
    PEOPLE_bot,      /* From few addresses, few accounts, many requests in a row. */
    PEOPLES,
};

const char *people_name(enum people people);

struct open_plan {
    enum load_kind kind; /* buy, ticket or get; populations are for buy. */
    const char *base, *path, *token, *etag;
    const char *metrics;     /* Address of /metrics; NULL: queues are not watched. */
    struct tickets *tickets; /* One for each arrival in turn; the last `bot_tickets` are bots'. */
    size_t bot_tickets;
    uint32_t quantity;
    struct arrivals *arrivals;
    unsigned percent[PEOPLES]; /* Sum 100. */
    unsigned connections;
    unsigned bot_connections, bot_addresses; /* From 127.0.0.2 on, when the server is local. */
    unsigned bot_requests;                   /* In a row, by each arrival. */
    unsigned tries_max;                      /* Retrying: purchases at most. */
    int64_t patience_ns;                     /* Retrying and leaving: this long at most. */
    int64_t timeout_ns;
    int64_t warmup_ns;   /* Who arrives before has no place in the latencies; 0: all have. */
    int64_t late_max_ns; /* A run whose p99 of lateness is above is not good. */
    uint64_t seed;
    FILE *history;  /* NULL: none. */
    FILE *progress; /* NULL: silent. */
};

enum { OPEN_FAULTS_MAX = 6, OPEN_FAULT_MAX = 200 };

struct open_result {
    uint64_t arrivals, requests, polls;
    uint64_t count[PEOPLES][TALLIES];
    uint64_t told_yes, may_be; /* Purchases told 201 the first time; perhaps made besides. */
    uint64_t unsettled;        /* Arrivals still without their last answer at the end. */
    struct histogram latency;  /* Meant to start to answered: requests, not looks at the line. */
    struct histogram yes;      /* Of these, told 201 or 200. */
    struct histogram in_line;  /* Of these, told a place in line. */
    struct histogram refusal;  /* Of these, all others that were answered. */
    struct histogram served;   /* Sent to answered. */
    struct histogram whole;    /* Arrived to the last answer. */
    struct histogram late;     /* Meant to start to sent. */
    struct histogram picked;   /* The part of it that the generator alone is to blame for. */
    int64_t began_at;          /* Steady clock. */
    int64_t planned_ns;        /* The plan's length. */
    double seconds;            /* From the first arrival to the last answer. */
    double cores,
        cores_peak; /* The generator's processor time by time passed; its busiest slice. */
    struct series series;
    unsigned fault_count;
    char faults[OPEN_FAULTS_MAX][OPEN_FAULT_MAX]; /* Why this run says little. */
};

/* `result` is large: not for the stack.  False, with a sentence on stderr, when nothing can be run.
 */
bool open_run(const struct open_plan *plan, struct open_result *result);
void open_result_fini(struct open_result *result);

/* Sums over all people. */
uint64_t open_count(const struct open_result *result, enum tally tally);

void open_print(FILE *to, const struct open_result *result);

/* Processor time of this process so far, in seconds. */
double cpu_seconds(void);

#endif
