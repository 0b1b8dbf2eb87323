/* Many HTTP transfers of libcurl at once without blocking.  (Not for SMTP: see mail/smtp.c.)
 * The host polls one descriptor, and calls step() when it is readable or the timeout has passed.
 *
 * A transfer is a slot with its own buffers: take one, fill it, start it; when it has ended, next()
 * hands it out, and release() gives the slot back.
 * Invariants: at most `max` slots are taken; a slot is free, being filled, running, or ended; an
 * answer longer than its buffer ends the transfer.  Not thread safe. */
#ifndef BROKER_NET_TRANSFERS_H
#define BROKER_NET_TRANSFERS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transfers;

struct transfer {
    CURL *easy; /* For the caller's options; those the host's loop needs are set already. */
    uint64_t tag;
    int kind;                 /* The caller's, as `tag`. */
    struct curl_slist *lines; /* Header lines; released with the slot. */

    char *sent; /* What goes out: a body of at most sent_max bytes. */
    size_t sent_max;
    size_t sent_size;
    size_t sent_at; /* Read by libcurl so far. */

    char *got; /* What came back: at most got_max bytes, and a 0 behind them. */
    size_t got_max;
    size_t got_size;

    CURLcode code; /* How it ended. */
    long status;   /* The peer's last answer code, 0 if it gave none. */
    bool reached;  /* Bytes of the request have left: the peer may have acted. */
    char error[CURL_ERROR_SIZE];

    struct transfer *next_; /* In the list of free or ended slots. */
};

/* Room for `max` transfers.  NULL: out of memory or descriptors. */
struct transfers *transfers_open(uint32_t max, size_t sent_max, size_t got_max);
/* Breaks off what is running.  Sets *self to NULL; harmless on NULL. */
void transfers_close(struct transfers **self);

/* A slot with no body, no lines and this time for everything.  NULL: all are taken. */
struct transfer *transfers_take(struct transfers *self, int64_t timeout_ns);
/* Adds a line; false: out of memory. */
bool transfer_line(struct transfer *transfer, const char *line);
/* Begins; false: libcurl would not, and the slot has been released. */
bool transfers_start(struct transfers *self, struct transfer *transfer);

/* The one descriptor to poll for reading. */
int transfers_fd(const struct transfers *self);
/* Nanoseconds until step() wants to be called without an event; -1: not at all. */
int64_t transfers_timeout(const struct transfers *self);
/* Goes on with everything that can go on.  Never blocks; cheap when nothing is running. */
void transfers_step(struct transfers *self);

/* An ended transfer, in the order of their ends, to be released by the caller; NULL: none. */
struct transfer *transfers_next(struct transfers *self);
void transfers_release(struct transfers *self, struct transfer *transfer);

/* Slots that are not free. */
uint32_t transfers_busy(const struct transfers *self);

#endif
