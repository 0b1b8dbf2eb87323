/* A crowd of shoppers at one sale: every one of them a small state machine over real HTTP.
 *
 * They get their tickets, wait for the doors, buy at t=0 (some click twice, some lose patience and
 * ask again), then pay, pay late, cancel, or walk away from the cart.  Who was told "sold out" may
 * keep asking.  A question without an answer is put again, with the same ticket, until it has one.
 *
 * Who does what is drawn from the seed; what is answered, and when, is the shop's business. */
#ifndef DOORSIM_CROWD_H
#define DOORSIM_CROWD_H

#include "broker/histogram.h"
#include "tools/doorsim/api.h"
#include "tools/doorsim/shoppers.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Percentages of all shoppers, and of those who get something. */
struct crowd_mix {
    unsigned twice;     /* Two purchases with one ticket at the same moment. */
    unsigned impatient; /* Gives the first purchase 150 ms, then asks again. */
    unsigned stubborn;  /* Asks again and again after "sold out". */
    unsigned abandon;   /* Has an order and never pays. */
    unsigned late;      /* Pays after the order has expired. */
    unsigned cancel;
    unsigned keep; /* Neither pays nor leaves: for tests without payments. */
};

struct crowd_options {
    const char *base;
    const struct shoppers *shoppers;
    const int64_t *lots;
    unsigned lot_count;
    unsigned connections;
    uint64_t seed;
    struct crowd_mix mix;
    uint32_t quantity;
    int64_t opens_at;      /* Wall clock; 0: at once. */
    int64_t rush_ns;       /* All arrive within this time, most of them at its beginning. */
    int64_t tame_after_ns; /* From then on whoever gets something pays for it. */
    int64_t end_after_ns;  /* Hard end, counted from the doors. */
    int64_t timeout_ns;
    FILE *history;
    FILE *progress; /* NULL: silent. */
};

struct crowd_count {
    uint64_t tickets, no_ticket, asked, repeated, yes, replayed, queued, sold_out, refused, busy,
        lost, paid, expired, cancelled, late_money, unsettled;
};

struct crowd_result {
    struct crowd_count count;
    struct histogram ticket; /* Asked to answered, as the shopper felt it. */
    struct histogram buy;
    struct histogram buy_server; /* Sent to answered. */
    struct histogram yes;        /* Purchases that were told yes, as the shopper felt it. */
    double seconds;              /* From the doors to the end. */
    bool finished;               /* False: the hard end came first. */
};

/* Runs until everybody is done or the hard end.  False, with a sentence on stderr, when it cannot
 * be run at all. */
bool crowd_run(const struct crowd_options *options, struct crowd_result *result);

/* ---- Inside: shared by crowd.c and buyer*.c. ---- */

enum buyer_stage {
    BUYER_ticket,   /* Wants a ticket. */
    BUYER_waiting,  /* Has one; will buy at wake_at. */
    BUYER_buying,   /* One or two purchases under way. */
    BUYER_in_line,  /* Has a receipt. */
    BUYER_holding,  /* Has an order and thinks. */
    BUYER_prepay,   /* Asks for the payment. */
    BUYER_provider, /* Pays at the provider. */
    BUYER_watching, /* Looks at the order until it says what he expects. */
    BUYER_cancel,
    BUYER_done,
    BUYER_STAGES,
};

enum buyer_plan { PLAN_pay, PLAN_abandon, PLAN_late, PLAN_cancel, PLAN_keep };

struct buyer;

/* One call of a buyer.  The http_call comes first. */
struct act {
    struct http_call call;
    struct buyer *buyer;
    struct history_event event;
    bool busy;
};

struct buyer {
    struct crowd *crowd;
    const struct shopper *shopper;
    struct act acts[2];
    enum buyer_stage stage;
    enum buyer_plan plan;
    bool twice, impatient, stubborn, replays;
    bool got_yes, got_line, got_unknown; /* In this round of purchases. */
    bool paid_late;
    unsigned tries, looks;
    uint64_t random;
    int64_t lot, order;
    int64_t pay_by;  /* Wall clock; 0: not told. */
    int64_t wake_at; /* Steady clock; 0: no timer. */
    size_t heap_at;  /* Place in the heap of timers, from 1; 0: not there. */
    int retry_after_s;
    char *ticket, *receipt, *pay_path;
};

struct crowd {
    const struct crowd_options *options;
    struct crowd_result *result;
    struct http_loop *loop;
    struct http_client *shop;
    struct http_client *provider; /* NULL until the first pay_url. */
    char provider_host[300];
    struct recorder recorder;
    struct buyer *buyers;
    size_t count;
    struct buyer **heap; /* heap[1..heap_count], earliest first. */
    size_t heap_count;
    unsigned stages[BUYER_STAGES];
    bool doors_open;
    int64_t doors_at;    /* Steady clock. */
    int64_t last_change; /* When a unit was last taken, paid or given back, as far as seen. */
    unsigned unpaid;     /* Buyers whose units may still come back. */
};

/* Pseudo-random, of this buyer alone: below `bound`, which is above 0. */
uint64_t buyer_draw(struct buyer *self, uint64_t bound);

void buyer_move(struct buyer *self, enum buyer_stage stage);

/* Sets the one timer of the buyer, `delay_ns` from now. */
void buyer_sleep(struct buyer *self, int64_t delay_ns);

/* The timer has come. */
void buyer_wake(struct buyer *self);

/* Puts a question; the request is written by the stage and kind when a connection is free. */
void buyer_ask(struct buyer *self, struct act *act, enum history_kind kind, int64_t timeout_ns);

/* The next thing to do with an order in hand; after an answer to a question about money. */
void buyer_has_order(struct buyer *self);
void buyer_after_prepay(struct buyer *self, const struct answer *answer,
                        const struct http_response *response);
void buyer_after_provider(struct buyer *self, const struct answer *answer);
void buyer_after_look(struct buyer *self, const struct answer *answer);
void buyer_after_cancel(struct buyer *self, const struct answer *answer);
void buyer_wake_with_order(struct buyer *self);

/* Waits before asking the same again: Retry-After, or longer with every try; with jitter. */
void buyer_back_off(struct buyer *self, int retry_after_s);

/* The client for this address of a provider; NULL when it cannot be reached or is a second one. */
struct http_client *crowd_provider(struct crowd *self, const struct http_url *url);

#endif
