/* Answers to requests, at once, later, or never. */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "tools/paysim/paysim.h"

enum { WAITING_MAX = 20000, NEVER_MS = 60000, SECOND_MS = 1000, MS_US = 1000 };

/* An answer that waits.  While it does, libevent keeps the request alive for us, also when the
 * other side has gone: then the request has no connection any more. */
struct later {
    struct answers *owner;
    struct later *next;
    struct later **at; /* What points to us. */
    struct event *timer;
    struct evhttp_request *request;
    int status; /* 0: never answer. */
    json_t *body;
};

struct answers {
    struct paysim *sim;
    struct later *first;
    uint32_t count;
};

struct answers *answers_open(struct paysim *sim) {
    struct answers *self = calloc(1, sizeof *self);

    if (self != NULL) self->sim = sim;
    return self;
}

static void forget(struct later *later) {
    *later->at = later->next;
    if (later->next != NULL) later->next->at = later->at;
    later->owner->count--;
    if (later->timer != NULL) event_free(later->timer);
    json_decref(later->body);
    free(later);
}

void answers_close(struct answers **self) {
    struct answers *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    while (gone->first != NULL) {
        /* A request with a connection goes with that. */
        if (evhttp_request_get_connection(gone->first->request) == NULL) {
            evhttp_request_free(gone->first->request);
        }
        forget(gone->first);
    }
    free(gone);
}

json_t *problem(const char *code, const char *detail) {
    return json_pack("{ss ss}", "code", code, "detail", detail);
}

void answer(struct evhttp_request *request, int status, json_t *body) {
    struct evbuffer *buffer = evbuffer_new();
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);

    json_decref(body);
    if (text == NULL) status = 500;
    if (text != NULL && buffer != NULL) {
        (void)evbuffer_add(buffer, text, strlen(text));
        (void)evbuffer_add(buffer, "\n", 1);
    }
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                            "application/json");
    evhttp_send_reply(request, status, NULL, buffer);
    if (buffer != NULL) evbuffer_free(buffer);
    free(text);
}

static void due(evutil_socket_t fd, short what, void *context) {
    struct later *later = context;
    struct evhttp_connection *connection = evhttp_request_get_connection(later->request);

    (void)fd;
    (void)what;
    if (later->status == 0 && connection != NULL) {
        evhttp_connection_free(connection); /* With its request. */
    } else {
        /* Without a connection this only frees the request. */
        answer(later->request, later->status == 0 ? 503 : later->status, json_incref(later->body));
    }
    forget(later);
}

static bool wait(struct answers *self, struct evhttp_request *request, int status, json_t *body,
                 int64_t ms) {
    const struct timeval delay = { .tv_sec = ms / SECOND_MS, .tv_usec = ms % SECOND_MS * MS_US };

    if (self->count == WAITING_MAX) return false;
    struct later *later = calloc(1, sizeof *later);
    if (later == NULL) return false;
    *later = (struct later){ .owner = self, .request = request, .status = status, .body = body };
    later->timer = evtimer_new(self->sim->base, due, later);
    if (later->timer == NULL || event_add(later->timer, &delay) != 0) {
        if (later->timer != NULL) event_free(later->timer);
        free(later);
        return false;
    }
    later->next = self->first;
    later->at = &self->first;
    if (self->first != NULL) self->first->at = &later->next;
    self->first = later;
    self->count++;
    return true;
}

void answer_later(struct answers *self, struct evhttp_request *request, int status, json_t *body,
                  int64_t ms) {
    if (ms <= 0 || !wait(self, request, status, body, ms)) answer(request, status, body);
}

void answer_never(struct answers *self, struct evhttp_request *request) {
    json_t *body = problem("busy", "too many are waiting");

    if (!wait(self, request, 0, body, NEVER_MS)) answer(request, 503, body);
}
