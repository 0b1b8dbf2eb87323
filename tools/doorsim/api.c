#include "tools/doorsim/api.h"

#include "broker/clock.h"
#include "tools/doorsim/json_peek.h"

#include <inttypes.h>
#include <string.h>

static void add_text(struct textbuf *to, const char *text) {
    textbuf_add(to, text, strlen(text));
}

/* Everything up to the empty line. */
static void add_head(struct textbuf *request, const char *authority, const char *token) {
    add_text(request, " HTTP/1.1\r\nHost: ");
    add_text(request, authority);
    if (token != NULL) {
        add_text(request, "\r\nAuthorization: Bearer ");
        add_text(request, token);
    }
}

void api_get(struct textbuf *request, const char *authority, const char *token, const char *path,
             const char *etag) {
    add_text(request, "GET ");
    add_text(request, path);
    add_head(request, authority, token);
    if (etag != NULL) {
        add_text(request, "\r\nIf-None-Match: ");
        add_text(request, etag);
    }
    add_text(request, "\r\n\r\n");
}

void api_post(struct textbuf *request, const char *authority, const char *token, const char *path,
              const char *body, size_t body_length) {
    add_text(request, "POST ");
    add_text(request, path);
    add_head(request, authority, token);
    textbuf_format(request, "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   body_length);
    textbuf_add(request, body, body_length);
}

void api_buy(struct textbuf *request, const char *authority, const char *token, const char *ticket,
             uint32_t quantity, int64_t user) {
    char body[API_TICKET_MAX + 256];
    int size = snprintf(body, sizeof body,
                        "{\"ticket\":\"%s\",\"quantity\":%" PRIu32 ",\"address\":{\"name\":"
                        "\"Shopper %" PRId64 "\",\"phone\":\"+8613800000000\",\"line\":\"1 Door "
                        "Street\",\"city\":\"Shanghai\",\"country\":\"CN\"}}",
                        ticket, quantity, user);
    if (size < 0 || (size_t)size >= sizeof body) size = 0;
    api_post(request, authority, token, "/v1/orders", body, (size_t)size);
}

void api_login(struct textbuf *request, const char *authority, int64_t user, const char *password) {
    char body[256];
    int size = snprintf(body, sizeof body,
                        "{\"login\":\"shopper%" PRId64 "@seed.example\",\"password\":\"%s\"}", user,
                        password);
    if (size < 0 || (size_t)size >= sizeof body) size = 0;
    api_post(request, authority, NULL, "/v1/sessions", body, (size_t)size);
}

/* 408, 429 and 5xx promise nothing; other 4xx are refusals for good. */
static enum history_phase phase_of(int status) {
    if (status >= 200 && status < 400) return HISTORY_ok;
    if (status == 408 || status == 429 || status >= 500 || status < 200) return HISTORY_unknown;
    return HISTORY_fail;
}

void api_read(struct answer *answer, enum http_outcome outcome,
              const struct http_response *response) {
    *answer = (struct answer){ .phase = HISTORY_unknown, .retry_after_s = -1 };
    if (outcome != HTTP_answered) return;
    answer->status = response->status;
    answer->phase = phase_of(response->status);
    answer->retry_after_s = response->retry_after_s;
    answer->replayed = response->replayed;
    const char *body = response->body.bytes;
    size_t length = response->body.length;
    if (length == 0) return;
    if (!json_peek_id(body, length, "order_id", &answer->order)) answer->order = 0;
    if (!json_peek_text(body, length, "code", answer->code, sizeof answer->code)) {
        answer->code[0] = '\0';
    }
    if (!json_peek_text(body, length, "state", answer->state, sizeof answer->state)) {
        answer->state[0] = '\0';
    }
}

void recorder_ask(struct recorder *self, struct history_event *event) {
    if (self->to == NULL) return;
    event->at_ns = clock_now();
    event->call = ++self->calls;
    event->phase = HISTORY_invoke;
    event->status = 0;
    event->code[0] = '\0';
    event->state[0] = '\0';
    history_write(self->to, event);
}

void recorder_answer(struct recorder *self, struct history_event *event,
                     const struct answer *answer) {
    if (self->to == NULL) return;
    struct history_event told = *event;
    told.at_ns = clock_now();
    told.phase = answer->phase;
    told.status = answer->status;
    if (answer->order != 0) told.order = answer->order;
    memcpy(told.code, answer->code, sizeof told.code);
    /* The state of a payment is not one of an order. */
    if (event->kind != HISTORY_pay) memcpy(told.state, answer->state, sizeof told.state);
    history_write(self->to, &told);
}
