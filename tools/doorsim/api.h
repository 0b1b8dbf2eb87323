/* The shop's HTTP interface as its clients know it: what a request looks like, what an answer says.
 * Written from the published paths and shapes, independent of the server's own tables. */
#ifndef DOORSIM_API_H
#define DOORSIM_API_H

#include "tools/doorsim/history.h"
#include "tools/doorsim/http_client.h"

#include <stdint.h>

enum { API_TICKET_MAX = 500, API_URL_MAX = 512 };

/* `authority` is the Host; `token` and `etag` (for If-None-Match) may be NULL. */
void api_get(struct textbuf *request, const char *authority, const char *token, const char *path,
             const char *etag);
void api_post(struct textbuf *request, const char *authority, const char *token, const char *path,
              const char *body, size_t body_length);

/* POST /v1/orders with a made-up address that depends on the user only, so that a repeat is equal.
 */
void api_buy(struct textbuf *request, const char *authority, const char *token, const char *ticket,
             uint32_t quantity, int64_t user);

/* POST /v1/sessions of a shopper that seed made. */
void api_login(struct textbuf *request, const char *authority, int64_t user, const char *password);

struct answer {
    enum history_phase phase;
    int status; /* 0: no answer. */
    int retry_after_s;
    bool replayed;
    int64_t order;
    char code[HISTORY_CODE_MAX + 1];
    char state[HISTORY_STATE_MAX + 1];
};

/* What the outcome of a call amounts to.  Anything that promises nothing is `unknown`. */
void api_read(struct answer *answer, enum http_outcome outcome,
              const struct http_response *response);

/* Writes histories; `to` may be NULL, then nothing is written. */
struct recorder {
    FILE *to;
    uint64_t calls;
};

/* Notes the question; the event is kept by the caller until the answer. */
void recorder_ask(struct recorder *self, struct history_event *event);
void recorder_answer(struct recorder *self, struct history_event *event,
                     const struct answer *answer);

#endif
