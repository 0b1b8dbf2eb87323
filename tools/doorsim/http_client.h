/* Thousands of HTTP/1.1 keep-alive connections in one thread, over epoll.
 *
 * A loop turns; clients hang on a loop; a client speaks to one address over at most `connections`
 * connections, one request at a time on each.  A request is an http_call that the caller owns and
 * usually keeps inside something of its own: sending allocates nothing, waiting calls are a list.
 * So the number of waiting calls is bounded by the number of calls the caller has.
 *
 * Invariants: a call handed to http_client_send() is answered by exactly one call of `done`, within
 * the client's timeout of the moment it got a connection.  `done` is only called from
 * http_loop_turn() and http_client_close().  Not thread safe.
 *
 * An open-loop generator sets `wanted_at` to the planned start before sending; otherwise it is set
 * to the time of http_client_send().  Latencies are measured from there. */
#ifndef DOORSIM_HTTP_CLIENT_H
#define DOORSIM_HTTP_CLIENT_H

#include "tools/doorsim/http_response.h"
#include "tools/doorsim/textbuf.h"

#include <stdint.h>

enum http_outcome {
    HTTP_answered,
    HTTP_unsent, /* No connection could be made: the server has not seen the request. */
    HTTP_lost, /* The connection broke or spoke nonsense: whether it was carried out is unknown. */
    HTTP_timeout, /* The same, by patience. */
};

struct http_call {
    /* Appends the whole request, head and body.  Called when a connection is free. */
    void (*write)(struct http_call *self, struct textbuf *request);
    /* `response` is NULL unless answered, and is borrowed.  The call may be sent again from here.
     */
    void (*done)(struct http_call *self, enum http_outcome outcome,
                 const struct http_response *response);
    int64_t wanted_at; /* 0: filled in by http_client_send(). */
    int64_t sent_at;   /* When its first byte was given to the system; 0: never. */
    int64_t done_at;
    int64_t timeout_ns; /* 0: the client's. */
    struct http_call *next;
};

struct http_client_options {
    const char *host; /* A numeric address or "localhost". */
    uint16_t port;
    unsigned connections;
    int64_t timeout_ns;
    int64_t retry_connect_ns; /* A connection that could not be made rests this long. */
    /* IPv4 only: connection i comes from the address `source_first` (in host byte order) + i modulo
     * `source_count`.  0: the system's choice. */
    uint32_t source_first;
    unsigned source_count;
    /* The connection that has been idle longest is next, as if each belonged to somebody else; else
     * the one used last, as a pool would. */
    bool in_turns;
};

struct http_loop;
struct http_client;

/* NULL when the system refuses. */
struct http_loop *http_loop_open(void);
void http_loop_close(struct http_loop **self);

/* One turn: starts waiting calls, waits for the network at most until `until_ns` (steady clock),
 * calls `done` for what is finished. */
void http_loop_turn(struct http_loop *self, int64_t until_ns);

/* NULL when the address cannot be read or memory is out.  Connects when there is something to send.
 */
struct http_client *http_client_open(struct http_loop *loop,
                                     const struct http_client_options *options);

/* Connects at most `most` of the connections that are closed, without a call.  Returns how many are
 * not open yet: turn the loop and call again, until it is 0 or patience ends. */
unsigned http_client_warm(struct http_client *self, unsigned most);

/* Calls under way or waiting are answered `lost` or `unsent`. */
void http_client_close(struct http_client **self);

/* Queues the call.  Never calls back at once. */
void http_client_send(struct http_client *self, struct http_call *call);

/* Calls sent and not yet answered. */
unsigned http_client_pending(const struct http_client *self);

/* "host:port", for the Host header; lives as long as the client. */
const char *http_client_authority(const struct http_client *self);

struct http_url {
    char host[256];
    uint16_t port;
    char path[1024]; /* With the query; "/" when there is none. */
};

/* Reads http://host[:port][/path].  False when it is something else or too long. */
bool http_url_read(const char *text, struct http_url *url);

#endif
