/* A closed loop at full speed: every connection sends its next request when the last is answered.
 * Throughput is what it measures; latencies are those under full load, and of those who were let
 * in: while the shop is slow, nobody new comes.  The open loop beside it (open_loop.h) is the one
 * to ask for latencies. */
#ifndef DOORSIM_LOAD_H
#define DOORSIM_LOAD_H

#include "broker/histogram.h"
#include "tools/doorsim/tally.h"
#include "tools/doorsim/tickets.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum load_kind {
    LOAD_buy,    /* POST /v1/orders, each ticket once. */
    LOAD_refuse, /* The same, tickets over and over: for lots that are sold out. */
    LOAD_ticket, /* POST /v1/lots/{lot}/tickets; the texts are kept. */
    LOAD_get,    /* GET of one path. */
    LOAD_login,  /* POST /v1/sessions, as the tickets' shoppers, over and over. */
};

struct load_plan {
    enum load_kind kind;
    const char *base;        /* http://host:port */
    const char *path;        /* LOAD_get. */
    const char *token;       /* LOAD_get; NULL: none. */
    const char *password;    /* LOAD_login. */
    const char *etag;        /* LOAD_get: sent as If-None-Match; NULL: none. */
    struct tickets *tickets; /* The others. */
    size_t first_ticket;     /* LOAD_buy and LOAD_ticket begin here, … */
    size_t last_ticket;      /* … and end before here. */
    uint32_t quantity;
    unsigned connections;
    int64_t duration_ns; /* 0: until the tickets or the requests are used up. */
    int64_t warmup_ns;   /* Not counted. */
    uint64_t requests;   /* 0: no bound. */
    int64_t timeout_ns;
    FILE *history; /* NULL: none. */
};

struct load_result {
    uint64_t requests; /* Answered or given up within the counted time. */
    uint64_t count[TALLIES];
    uint64_t yes_all;   /* Purchases told 201 for the first time, warm-up and end included. */
    uint64_t open_all;  /* Purchases that may have been made although no 201 told so. */
    size_t next_ticket; /* The first one that was not used. */
    double seconds;
    double cores; /* Processor time of this process by time passed, over the whole run. */
    struct histogram latency;
};

/* False, with a sentence on stderr, when nothing can be run. */
bool load_run(const struct load_plan *plan, struct load_result *result);

/* Requests per second. */
double load_rate(const struct load_result *result);

void load_print(FILE *to, const struct load_result *result);

#endif
