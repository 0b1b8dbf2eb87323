/* The pretend payment provider: what its files share.  One thread, one libevent loop. */
#ifndef PAYSIM_H
#define PAYSIM_H

#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/pay/signature.h"
#include "tools/paysim/books.h"
#include "tools/paysim/knobs.h"

enum { MERCHANT_SIZE = 65, SECRET_MAX = 512 };

#define AMOUNT_MAX INT64_C(1000000000000000)
#define EXPIRY_MAX INT64_C(253402300799) /* Year 9999. */

struct callbacks;
struct answers;

struct paysim {
    struct event_base *base;
    struct evhttp *http;
    struct books *books;
    struct callbacks *callbacks;
    struct answers *answers;
    struct knobs knobs;
    uint64_t random;
    char merchant[MERCHANT_SIZE];
    uint8_t secret[SECRET_MAX + 2]; /* With a line end in the file. */
    size_t secret_size;
    char address[64]; /* "127.0.0.1:8090", as listened on. */
};

/* 0 <= number < 1, from the seed. */
double paysim_random(struct paysim *self);
/* Unix seconds. */
int64_t paysim_seconds(void);

/* ---- answer.c: answers, at once or later ------------------------------------------------------
 */

struct answers *answers_open(struct paysim *sim);
/* Before evhttp_free. */
void answers_close(struct answers **self);

/* Sends `body` (taken over) as JSON at once. */
void answer(struct evhttp_request *request, int status, json_t *body);
/* {"code": …, "detail": …}, where code is one word of ours. */
json_t *problem(const char *code, const char *detail);
/* Sends `body` (taken over) after `ms`.  With too many waiting already, at once. */
void answer_later(struct answers *self, struct evhttp_request *request, int status, json_t *body,
                  int64_t ms);
/* Never answers; the connection is closed after a minute. */
void answer_never(struct answers *self, struct evhttp_request *request);

/* ---- callbacks.c: telling the merchant ---------------------------------------------------------
 */

/* Copies of one event that may wait to be sent; more are dropped and counted in the ledger. */
enum { DELIVERIES_MAX = 400000 };

struct callbacks *callbacks_open(struct paysim *sim);
void callbacks_close(struct callbacks **self);
/* Only plain HTTP to this machine, so that nothing here can bother anybody else. */
bool callbacks_url_good(const char *url);
/* Sends the payment's event as the knobs say. */
void callbacks_tell(struct callbacks *self, struct payment *payment);
uint32_t callbacks_waiting(const struct callbacks *self);
uint64_t callbacks_dropped(const struct callbacks *self);
uint64_t callbacks_given_up(const struct callbacks *self);

/* ---- merchant.c, shopper.c: who asks for what ---------------------------------------------------
 */

/* A request's path after its prefix; NULL: it has another one. */
const char *path_after(const char *path, const char *prefix);
/* The body as an object, which is the caller's; otherwise answers 400 and returns NULL. */
json_t *body_object(struct evhttp_request *request);
/* A name of 1 to NAME_SIZE - 1 letters, digits, '_', '-' and '.'. */
bool name_member(const json_t *object, const char *member, char out[NAME_SIZE]);

/* /v1/…: signed by the merchant where it changes something. */
void merchant_request(struct paysim *self, struct evhttp_request *request, const char *path);
/* GET and POST /pay/<provider_txn> */
void shopper_request(struct paysim *self, struct evhttp_request *request, const char *txn);
/* GET /ledger */
void ledger_request(struct paysim *self, struct evhttp_request *request);

#endif
