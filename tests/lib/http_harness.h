/* The HTTP port alone, in a thread of its own, with a function in place of everything behind it. */
#ifndef TESTS_HTTP_HARNESS_H
#define TESTS_HTTP_HARNESS_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/batch.h"
#include "broker/http/http.h"
#include "config/config.h"

struct http_harness {
    struct config config;
    struct seal_keys keys;
    /* Answers a request, or does not; runs in the harness's thread. */
    void (*serve)(void *context, const struct message *in, struct outbox *out);
    void *context;

    const struct port_type *type;          /* http_port, unless changed before the start. */
    _Atomic(const struct config *) reload; /* Taken by the thread, which then sets it to NULL. */

    struct port *port;
    uint16_t tcp_port;
    atomic_bool ending, stop; /* stop: send MSG_stop once. */
    atomic_uint stopped;      /* `stopped` answers seen. */
    atomic_uint requests;
    int64_t wall_shift; /* Added to the clock. */
    pthread_t thread;
};

/* Defaults for a test: port 0, one key. */
void http_harness_init(struct http_harness *self);
void http_harness_start(struct http_harness *self);
void http_harness_end(struct http_harness *self);

/* A connection of a client that waits 4 s at most for each piece of an answer; the caller closes
 * it. Aborts when there is none to be had. */
int http_harness_dial(const struct http_harness *self);

/* An access token for user 7, session 8, good for `seconds`. */
void http_harness_token(const struct http_harness *self, int seconds, char to[SEAL_TEXT_MAX + 1]);

#endif
