/* Events sent to the merchant's address until it answers 2xx, with growing pauses. */
#include <assert.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/paysim/paysim.h"

enum {
    LANES = 16, /* Callbacks on their way at once. */
    ATTEMPTS_MAX = 12,
    FIRST_PAUSE_MS = 200,
    PAUSE_MAX_MS = 10000,
    REORDER_MS = 300,
    TIMEOUT_S = 5,
    ANSWER_MAX = 65536,
    HOST_SIZE = 64,
    SECOND_MS = 1000,
    MS_US = 1000,
};

/* One copy of one event. */
struct delivery {
    struct callbacks *owner;
    struct delivery *next; /* In the list of all, or of those that are due. */
    struct delivery *previous;
    struct delivery *next_due;
    struct event *timer;
    struct payment *payment;
    uint32_t attempts;
};

struct target {
    char host[HOST_SIZE];
    uint16_t port;
    char path[NOTIFY_SIZE];
};

struct lane {
    struct callbacks *owner;
    struct evhttp_connection *connection;
    struct target target;
    struct delivery *delivery; /* On its way; NULL: the lane is free. */
};

struct callbacks {
    struct paysim *sim;
    struct event *pump;
    struct delivery *all;
    struct delivery *due;
    struct delivery **due_tail;
    uint32_t count;
    uint64_t dropped;
    uint64_t given_up;
    struct lane lanes[LANES];
};

static void pump(evutil_socket_t fd, short what, void *context);

struct callbacks *callbacks_open(struct paysim *sim) {
    struct callbacks *self = calloc(1, sizeof *self);

    if (self == NULL) return NULL;
    self->sim = sim;
    self->due_tail = &self->due;
    for (uint32_t i = 0; i < LANES; i++)
        self->lanes[i].owner = self;
    self->pump = event_new(sim->base, -1, 0, pump, self);
    if (self->pump == NULL) callbacks_close(&self);
    return self;
}

static void forget(struct delivery *delivery) {
    struct callbacks *self = delivery->owner;

    if (delivery->previous != NULL) {
        delivery->previous->next = delivery->next;
    } else {
        self->all = delivery->next;
    }
    if (delivery->next != NULL) delivery->next->previous = delivery->previous;
    self->count--;
    if (delivery->timer != NULL) event_free(delivery->timer);
    free(delivery);
}

void callbacks_close(struct callbacks **self) {
    struct callbacks *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    for (uint32_t i = 0; i < LANES; i++) {
        /* Ends its request, which comes back to finished(): it must find the lane free. */
        gone->lanes[i].delivery = NULL;
        if (gone->lanes[i].connection != NULL) evhttp_connection_free(gone->lanes[i].connection);
    }
    while (gone->all != NULL)
        forget(gone->all);
    if (gone->pump != NULL) event_free(gone->pump);
    free(gone);
}

/* ---- Where to ----------------------------------------------------------------------------------
 */

static bool read_url(const char *url, struct target *out) {
    struct evhttp_uri *uri = evhttp_uri_parse(url);
    bool good = false;

    if (uri == NULL) return false;
    const char *scheme = evhttp_uri_get_scheme(uri);
    const char *host = evhttp_uri_get_host(uri);
    const char *path = evhttp_uri_get_path(uri);
    const char *query = evhttp_uri_get_query(uri);
    int port = evhttp_uri_get_port(uri);
    if (scheme != NULL && strcmp(scheme, "http") == 0 && host != NULL) {
        if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
        good = strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host) &&
               strlen(host) < HOST_SIZE && port <= UINT16_MAX;
    }
    if (good) {
        out->port = port < 0 ? 80 : (uint16_t)port;
        (void)snprintf(out->host, sizeof out->host, "%s", host);
        int size = snprintf(out->path, sizeof out->path, "%s%s%s",
                            path == NULL || *path == '\0' ? "/" : path, query == NULL ? "" : "?",
                            query == NULL ? "" : query);
        good = size > 0 && size < NOTIFY_SIZE;
    }
    evhttp_uri_free(uri);
    return good;
}

bool callbacks_url_good(const char *url) {
    struct target target;
    return read_url(url, &target);
}

/* ---- When --------------------------------------------------------------------------------------
 */

static void due(evutil_socket_t fd, short what, void *context) {
    struct delivery *delivery = context;
    struct callbacks *self = delivery->owner;

    (void)fd;
    (void)what;
    delivery->next_due = NULL;
    *self->due_tail = delivery;
    self->due_tail = &delivery->next_due;
    event_active(self->pump, EV_TIMEOUT, 0);
}

static void wait(struct delivery *delivery, int64_t ms) {
    const struct timeval delay = { .tv_sec = ms / SECOND_MS, .tv_usec = ms % SECOND_MS * MS_US };

    if (event_add(delivery->timer, &delay) != 0) forget(delivery);
}

static void send_copy(struct callbacks *self, struct payment *payment) {
    struct paysim *sim = self->sim;
    int64_t ms = sim->knobs.callback_delay_ms;

    if (sim->knobs.callback_reorder) ms += (int64_t)(paysim_random(sim) * REORDER_MS);
    struct delivery *delivery = self->count < DELIVERIES_MAX ? calloc(1, sizeof *delivery) : NULL;
    if (delivery != NULL) delivery->timer = evtimer_new(sim->base, due, delivery);
    if (delivery == NULL || delivery->timer == NULL) {
        free(delivery);
        self->dropped++;
        return;
    }
    delivery->owner = self;
    delivery->payment = payment;
    delivery->next = self->all;
    if (self->all != NULL) self->all->previous = delivery;
    self->all = delivery;
    self->count++;
    wait(delivery, ms);
}

void callbacks_tell(struct callbacks *self, struct payment *payment) {
    const struct knobs *knobs = &self->sim->knobs;

    if (knobs->drop_callbacks) {
        self->dropped++;
        return;
    }
    for (int64_t i = 0; i < knobs->callback_copies; i++)
        send_copy(self, payment);
}

static void finish(struct lane *lane, bool acknowledged) {
    struct delivery *delivery = lane->delivery;
    struct callbacks *self = lane->owner;

    lane->delivery = NULL;
    event_active(self->pump, EV_TIMEOUT, 0);
    if (acknowledged) {
        delivery->payment->callbacks_acknowledged++;
        forget(delivery);
    } else if (++delivery->attempts == ATTEMPTS_MAX) {
        self->given_up++;
        forget(delivery);
    } else {
        int64_t ms = FIRST_PAUSE_MS;
        for (uint32_t i = 1; i < delivery->attempts && ms < PAUSE_MAX_MS; i++)
            ms *= 2;
        if (ms > PAUSE_MAX_MS) ms = PAUSE_MAX_MS;
        wait(delivery, ms + (int64_t)(paysim_random(self->sim) * (double)ms / 4));
    }
}

/* ---- What --------------------------------------------------------------------------------------
 */

static char *event_body(const struct paysim *sim, const struct payment *payment) {
    const struct knobs *knobs = &sim->knobs;
    json_t *object = json_pack(
        "{ss ss ss ss ss ss sI ss sI}", "event_id", payment->event_id, "type",
        payment->status == PAY_succeeded ? "payment.succeeded" : "payment.failed", "merchant",
        knobs->wrong_merchant ? "somebody-else" : sim->merchant, "payment_id", payment->payment_id,
        "order_id", payment->order_id, "provider_txn", payment->provider_txn, "amount",
        (json_int_t)(payment->amount + (knobs->wrong_amount ? 1 : 0)), "currency",
        knobs->wrong_currency ? "XTS" : payment->currency, "created_at",
        (json_int_t)payment->decided_at);
    char *body = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);

    json_decref(object);
    return body;
}

static void finished(struct evhttp_request *request, void *context) {
    struct lane *lane = context;
    int status = request == NULL ? 0 : evhttp_request_get_response_code(request);

    if (lane->delivery != NULL) finish(lane, status >= 200 && status < 300);
}

static bool connect_lane(struct lane *lane, const struct target *target) {
    if (lane->connection != NULL && lane->target.port == target->port &&
        strcmp(lane->target.host, target->host) == 0) {
        lane->target = *target;
        return true;
    }
    if (lane->connection != NULL) evhttp_connection_free(lane->connection);
    lane->target = *target;
    lane->connection = evhttp_connection_base_bufferevent_new(lane->owner->sim->base, NULL, NULL,
                                                              target->host, target->port);
    if (lane->connection == NULL) return false;
    evhttp_connection_set_timeout(lane->connection, TIMEOUT_S);
    evhttp_connection_set_max_body_size(lane->connection, ANSWER_MAX);
    evhttp_connection_set_max_headers_size(lane->connection, ANSWER_MAX);
    return true;
}

static bool send_now(struct lane *lane) {
    const struct paysim *sim = lane->owner->sim;
    struct payment *payment = lane->delivery->payment;
    char signature[SIGNATURE_SIZE];
    char host[HOST_SIZE + 8];
    struct target target;
    const uint8_t other[] = "a secret that is not the merchant's";
    struct secret secret = { sim->secret, sim->secret_size };

    if (sim->knobs.bad_signature) secret = (struct secret){ other, sizeof other };
    if (!read_url(payment->notify_url, &target) || !connect_lane(lane, &target)) return false;
    char *body = event_body(sim, payment);
    struct evhttp_request *request = body == NULL ? NULL : evhttp_request_new(finished, lane);
    if (request == NULL) {
        free(body);
        return false;
    }
    signature_make(secret, body, strlen(body), paysim_seconds() - sim->knobs.stale_seconds,
                   signature);
    (void)snprintf(host, sizeof host, "%s:%u", target.host, target.port);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Host", host);
    (void)evhttp_add_header(headers, "Content-Type", "application/json");
    (void)evhttp_add_header(headers, SIGNATURE_HEADER, signature);
    (void)evbuffer_add(evhttp_request_get_output_buffer(request), body, strlen(body));
    free(body);
    payment->callbacks_sent++;
    return evhttp_make_request(lane->connection, request, EVHTTP_REQ_POST, target.path) == 0;
}

static void pump(evutil_socket_t fd, short what, void *context) {
    struct callbacks *self = context;

    (void)fd;
    (void)what;
    for (uint32_t i = 0; i < LANES && self->due != NULL; i++) {
        struct lane *lane = &self->lanes[i];
        if (lane->delivery != NULL) continue;
        lane->delivery = self->due;
        self->due = lane->delivery->next_due;
        if (self->due == NULL) self->due_tail = &self->due;
        /* A request that fails at once may or may not have come back to finished(). */
        if (!send_now(lane) && lane->delivery != NULL) finish(lane, false);
    }
}

uint32_t callbacks_waiting(const struct callbacks *self) {
    return self->count;
}
uint64_t callbacks_dropped(const struct callbacks *self) {
    return self->dropped;
}
uint64_t callbacks_given_up(const struct callbacks *self) {
    return self->given_up;
}
