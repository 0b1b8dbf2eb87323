/* The sandbox payment provider (tools/paysim) as seen from here: requests over HTTP that never
 * block, and callbacks that are believed only after their signature.
 *
 * A request carries the caller's tag; its result comes out of sandbox_next() exactly once, in time
 * `timeout_ns` at the latest.  The ids are the caller's, and the provider gives the same answer to
 * the same id: every request may be repeated after `unknown`.
 * Invariants: a result that is not known is never called a failure; at most `in_flight_max`
 * requests are open.  Not thread safe; no actor, no clock of its own (`now` is nanoseconds since
 * 1970 UTC). */
#ifndef BROKER_PAY_SANDBOX_H
#define BROKER_PAY_SANDBOX_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/pay/signature.h"

enum {
    SANDBOX_TXN_SIZE = 65,
    SANDBOX_EVENT_SIZE = 81,
    SANDBOX_URL_SIZE = 301,
    SANDBOX_REASON_SIZE = 128,
    SANDBOX_MERCHANT_SIZE = 65,
    SANDBOX_REPLY_MAX = 8192,     /* A longer answer is no answer. */
    SANDBOX_CALLBACK_MAX = 16384, /* A longer callback is refused unread. */
    SANDBOX_IN_FLIGHT_MAX = 1024,
};

struct sandbox;

/* Texts and secret are copied. */
struct sandbox_config {
    const char *url;        /* "http://host:port", nothing behind it. */
    const char *merchant;   /* Our name there, 1 to 64 bytes. */
    struct secret secret;   /* Signs what we ask; 1 to 512 bytes. */
    const char *notify_url; /* Where callbacks shall go. */
    int64_t timeout_ns;     /* For each whole request. */
    uint32_t in_flight_max; /* 1 .. SANDBOX_IN_FLIGHT_MAX. */
};

/* NULL: out of memory or descriptors, or a member out of bounds.  Does not connect. */
struct sandbox *sandbox_open(const struct sandbox_config *config);
/* Breaks off open requests without results.  Sets *self to NULL; harmless on NULL. */
void sandbox_close(struct sandbox **self);

/* ---- Requests -------------------------------------------------------------------------------- */

enum sandbox_start {
    SANDBOX_started, /* A result will come. */
    SANDBOX_busy,    /* in_flight_max are open: none was sent and no result will come. */
};

struct sandbox_charge {
    int64_t payment_id; /* Our number there; positive. */
    int64_t order_id;
    int64_t amount; /* Minor units, positive. */
    char currency[4];
    int64_t expires_at; /* Nanoseconds since 1970; nobody can pay afterwards.  0: no limit. */
};

struct sandbox_repayment {
    int64_t refund_id;
    int64_t payment_id;
    int64_t amount;
    char currency[4];
};

/* Opens a payment.  The same payment_id again gives the same provider_txn and pay_url. */
enum sandbox_start sandbox_prepay(struct sandbox *self, uint64_t tag,
                                  const struct sandbox_charge *charge, int64_t now)
    __attribute__((warn_unused_result));
/* Asks what became of a payment. */
enum sandbox_start sandbox_query(struct sandbox *self, uint64_t tag, int64_t payment_id,
                                 int64_t now) __attribute__((warn_unused_result));
/* Nobody shall be able to pay it any more.  Refused if it has been paid or has failed. */
enum sandbox_start sandbox_cancel(struct sandbox *self, uint64_t tag, int64_t payment_id,
                                  int64_t now) __attribute__((warn_unused_result));
/* Sends money back. */
enum sandbox_start sandbox_refund(struct sandbox *self, uint64_t tag,
                                  const struct sandbox_repayment *repayment, int64_t now)
    __attribute__((warn_unused_result));

/* ---- The host's loop ------------------------------------------------------------------------- */

/* Fills at most `max` descriptors to poll; returns how many, which is 1 (or 0 if max is 0). */
int sandbox_poll_fds(const struct sandbox *self, struct pollfd *fds, int max);
/* Nanoseconds until sandbox_step() wants to be called without an event; -1: not at all. */
int64_t sandbox_timeout(const struct sandbox *self);
/* Goes on with all open requests.  Never blocks; cheap when there is nothing to do. */
void sandbox_step(struct sandbox *self, int64_t now);
/* Open requests, and results not taken yet. */
uint32_t sandbox_in_flight(const struct sandbox *self);

/* ---- Results --------------------------------------------------------------------------------- */

enum sandbox_request { SANDBOX_prepay = 1, SANDBOX_query, SANDBOX_cancel, SANDBOX_refund };

enum sandbox_outcome {
    SANDBOX_done,    /* Carried out; the other members are filled. */
    SANDBOX_refused, /* The provider said no (4xx) and did nothing; asking again is of no use. */
    SANDBOX_unknown, /* Timeout, 5xx, 408, 429, no sense, no peer: it may or may not have happened.
                      */
};

enum sandbox_status {
    SANDBOX_status_none,
    SANDBOX_pending,
    SANDBOX_succeeded,
    SANDBOX_failed,
    SANDBOX_closed,
    SANDBOX_absent, /* Query: the provider has no such payment.  Final only if no prepay is open. */
};

struct sandbox_result {
    uint64_t tag;
    enum sandbox_request request;
    enum sandbox_outcome outcome;
    bool sent; /* False: the request never left, so nothing can have happened there. */
    int http;  /* Its HTTP status; 0: there was no answer. */
    char reason[SANDBOX_REASON_SIZE]; /* When not done: a word of the provider's or of libcurl's. */

    /* When done, as the provider tells it and equal to what was asked; else 0 and "". */
    int64_t payment_id;
    int64_t refund_id;          /* refund */
    enum sandbox_status status; /* prepay, query, cancel, refund: pending, succeeded or failed. */
    int64_t amount;             /* query */
    char currency[4];           /* query */
    char provider_txn[SANDBOX_TXN_SIZE]; /* prepay, query */
    char pay_url[SANDBOX_URL_SIZE];      /* prepay */
};

/* Takes the next result; false: there is none now. */
bool sandbox_next(struct sandbox *self, struct sandbox_result *out);

/* ---- Callbacks ------------------------------------------------------------------------------- */

enum sandbox_verdict {
    CALLBACK_good,
    CALLBACK_too_large,      /* Not looked at. */
    CALLBACK_bad_header,     /* No signature header that can be read. */
    CALLBACK_bad_signature,  /* Not signed by one of the secrets, or altered. */
    CALLBACK_stale,          /* Signed longer ago than the tolerance. */
    CALLBACK_future,         /* Signed for later than the tolerance. */
    CALLBACK_bad_body,       /* Signed, but not what a callback is. */
    CALLBACK_wrong_merchant, /* Signed, but meant for somebody else. */
    CALLBACK_ignored, /* Good, of a type that is not ours to act on: answer it as received. */
};

/* How to judge a callback.  The members are borrowed for the call. */
struct sandbox_trust {
    const struct secret *secrets; /* Each of them is good: the old and the new one of a change. */
    size_t secret_count;
    const char *merchant;
    int64_t tolerance_ns;
};

struct sandbox_callback {
    char event_id[SANDBOX_EVENT_SIZE];
    enum sandbox_status status; /* succeeded or failed */
    int64_t payment_id;
    int64_t order_id;
    char provider_txn[SANDBOX_TXN_SIZE];
    int64_t amount;
    char currency[4];
    int64_t created_at; /* Nanoseconds since 1970; when it happened, not when it was sent. */
};

/* Verifies the signature over the raw body, before anything in it is parsed, then reads it.
 * `header` is terminated, or NULL.  `out` is filled only when the answer is CALLBACK_good.
 * Does not know payments: order, amount and currency are to be compared by whoever does. */
enum sandbox_verdict sandbox_callback_parse(const struct sandbox_trust *trust, const void *body,
                                            size_t size, const char *header, int64_t now,
                                            struct sandbox_callback *out);
/* "bad signature" and so on; static. */
const char *sandbox_verdict_name(enum sandbox_verdict verdict);

#endif
