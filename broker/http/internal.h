/* What the files of the HTTP port share.  port.c: life of the port; connection.c: bytes in and out;
 * request.c: request to message; answer.c: message to reply; reply.c: reply to bytes; plain.c: what
 * the port answers itself; figures.c: what it counts; peers.c: how often one address may ask. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "broker/http/http.h"
#include "broker/http/parse.h"
#include "broker/metrics.h"
#include "config/config.h"
#include "schema/json.h"

/* Where a connection is.  Each phase lasts the same time for all, so that a list in the order of
 * arrival is also the order of expiry. */
enum phase {
    PHASE_idle,      /* No byte of a request yet. */
    PHASE_receiving, /* The first byte is there, the last is not. */
    PHASE_waiting,   /* A message is under way. */
    PHASE_writing,   /* The client has not taken all of the response. */
    PHASE_lingering, /* Everything is said; waiting for the client to close. */
    PHASE_COUNT
};

struct connection {
    struct port *port;
    int fd; /* -1: not in use. */
    uint32_t index;
    uint32_t generation; /* Raised when a request begins and when it ends. */
    enum phase phase;
    int64_t since;                      /* Monotonic time at which the phase began. */
    struct connection *before, *behind; /* In the phase's list. */
    struct connection *next_work;
    struct event readable, writable;
    bool queued, can_read, can_write;
    bool paused; /* Not reading: the buffer is full. */
    bool admin;  /* Came in by admin.listen. */

    char *in; /* Bytes received and not yet used. */
    size_t in_used, in_size, scanned;
    size_t head_size; /* 0: the head is not complete yet. */
    size_t body_size; /* By Content-Length. */
    bool chunked, told_continue;
    struct http_chunks chunks;

    const struct route *route; /* Of the request under way. */
    uint32_t shown;            /* Its place in the metrics; 0: no route was found. */
    uint64_t trace;
    int64_t started;
    bool head_only, keep_alive, old;
    char *rows; /* Of a list being collected. */
    size_t rows_used, rows_size;
    uint32_t row_count;

    char *out; /* What the socket did not take. */
    size_t out_used, out_sent;
    char peer[64];
    uint64_t peer_key; /* The address, of IPv6 the network. */
};

struct listening {
    int fd; /* -1: closed. */
    uint16_t tcp_port;
    struct event event;
    bool pending;
};

struct phase_list {
    struct connection *first, *last;
};

enum { HTTP_OTHERS_MAX = 512, HTTP_SCRATCH = 64 * 1024, HTTP_REPLY_HEAD_MAX = 4096 };

/* By problem, found by its number. */
enum { HTTP_PROBLEMS_MAX = 128 };

struct http_metrics {
    struct {
        enum problem problem;
        struct metric_counter *counter;
    } problems[HTTP_PROBLEMS_MAX];
    struct metric_counter *status[6]; /* By hundreds. */
    struct metric_counter *refused, *stale, *cut_off, *odd, *unanswered;
    struct metric_gauge *connections, *inflight;
    /* [0]: what never became a message; [1 + i]: the request of route i. */
    struct metric_histogram *seconds[1 + ROUTES_MAX];
};

struct port {
    const struct seal_keys *keys;
    struct event_base *base;
    struct listening shop, admin;
    struct peer_bucket *peers; /* PEERS_MAX, or NULL when there was no limit yet. */
    int64_t peer_cost,
        peer_most; /* Of one request (0 = no limit), of a full bucket: ns of refill. */
    int spare_fd;  /* Given up for a moment when the process has no descriptor left. */
    int64_t deadline, answer_max;
    size_t head_max, body_max, in_max;
    uint32_t connections_max, inflight_max;

    struct connection *connections; /* connections_max of them. */
    uint32_t *unused, unused_count;
    struct phase_list phases[PHASE_COUNT];
    struct connection *work_first, *work_last;
    uint32_t work_count;
    uint32_t inflight;
    bool shoppers; /* http.listen is served, not only admin.listen. */
    bool waited, stopping, stop_told;
    struct message stop; /* Whom to tell `stopped`. */

    int64_t wall, mono; /* Of this call. */
    uint64_t random;
    int64_t date_second;
    char date[32];
    char *scratch; /* HTTP_SCRATCH bytes for one body of JSON. */
    char *texts;   /* in_max bytes for the texts of one request. */
    struct http_head head;
    struct http_metrics metrics;
};

/* ---- figures.c ---- */
void http_metrics_open(struct http_metrics *it);
void http_metrics_problem(const struct http_metrics *it, enum problem problem);

/* ---- connection.c ---- */
void http_accept(struct port *self, struct listening *from);
void http_queue(struct connection *it);
/* Does what can be done for the connection now; false when `out` is full before it could. */
bool http_serve(struct connection *it, struct outbox *out);
void http_close(struct connection *it);
void http_enter(struct connection *it, enum phase phase);
/* Sends the bytes (head, then body), keeps what the socket does not take, and moves on. */
void http_send(struct connection *it, struct text head, struct text body);

/* ---- request.c ---- */
/* A complete request: self->head and its body.  Replies at once or sends one message. */
void http_request(struct connection *it, struct text body, struct outbox *out);
/* The trace id of a request: from traceparent if there is one, or a new one. */
uint64_t http_trace(struct port *self, const struct http_head *head);

/* ---- peers.c ---- */
enum { PEERS_MAX = 16384 }; /* Addresses that share a bucket replace each other. */
/* At the start, and when the limit changes.  False: out of memory, then there is no limit. */
bool http_peers_set(struct port *self, const struct config *config);
/* Counts a request; false when its client address sends too many. */
bool http_peer_admit(struct connection *it);

/* ---- reply.c ---- */
struct reply {
    int status;
    const char *media; /* NULL: no Content-Type. */
    struct text body;
    struct text etag;
    const char *location;
    uint32_t retry_after;
    uint32_t allowed; /* Bits of methods for Allow. */
    bool replayed;
    bool cacheable; /* Cache-Control: public, max-age instead of no-store. */
    uint32_t max_age;
    bool challenge; /* WWW-Authenticate. */
};

/* Ends the request under way, if there is one, and sends the reply. */
void http_reply(struct connection *it, const struct reply *reply);
struct problem_reply {
    enum problem problem;
    struct text field, detail;
    uint32_t retry_after, allowed;
};
void http_problem(struct connection *it, const struct problem_reply *what);
void http_problem_plain(struct connection *it, enum problem problem, const char *detail);

/* ---- answer.c ---- */
void http_answer(struct port *self, const struct message *in);

/* ---- plain.c ---- */
void http_plain(struct connection *it, enum plain which);

#endif
