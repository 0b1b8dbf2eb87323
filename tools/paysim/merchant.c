/* The merchant's side of the API: prepay, query, close, refund. */
#include <event2/buffer.h>
#include <string.h>

#include "broker/pay/fields.h"
#include "tools/paysim/paysim.h"

enum { TOLERANCE_S = 300 };

const char *path_after(const char *path, const char *prefix) {
    size_t size = strlen(prefix);
    return strncmp(path, prefix, size) == 0 ? path + size : NULL;
}

json_t *body_object(struct evhttp_request *request) {
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t size = evbuffer_get_length(input);
    const unsigned char *bytes = evbuffer_pullup(input, -1);
    json_t *object = bytes == NULL ? NULL : fields_parse((const char *)bytes, size);

    if (object == NULL) answer(request, 400, problem("bad_request", "the body is no JSON object"));
    return object;
}

bool name_member(const json_t *object, const char *member, char out[NAME_SIZE]) {
    if (!fields_text(object, member, out, NAME_SIZE)) return false;
    for (const char *at = out; *at != '\0'; at++) {
        bool good = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                    (*at >= '0' && *at <= '9') || *at == '_' || *at == '-' || *at == '.';
        if (!good) return false;
    }
    return true;
}

/* ---- Misbehaviour ------------------------------------------------------------------------------
 */

enum mischief { MISCHIEF_none, MISCHIEF_before, MISCHIEF_after };

static enum mischief draw(struct paysim *self) {
    if (self->knobs.fail_rate <= 0 || paysim_random(self) >= self->knobs.fail_rate) {
        return MISCHIEF_none;
    }
    return paysim_random(self) < 0.5 ? MISCHIEF_before : MISCHIEF_after;
}

/* The answer of a request that has had its effect. */
static void conclude(struct paysim *self, struct evhttp_request *request, enum mischief mischief,
                     int status, json_t *body) {
    if (mischief == MISCHIEF_after) {
        json_decref(body);
        status = 500;
        body = problem("internal", "something broke here");
    }
    answer_later(self->answers, request, status, body, self->knobs.slow_ms);
}

/* ---- Who speaks ---------------------------------------------------------------------------------
 */

/* False: it has been answered 401. */
static bool signed_by_merchant(struct paysim *self, struct evhttp_request *request) {
    const struct secret secret = { self->secret, self->secret_size };
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t size = evbuffer_get_length(input);
    const char *header =
        evhttp_find_header(evhttp_request_get_input_headers(request), SIGNATURE_HEADER);
    const char *why = "";

    /* A query changes nothing and may come unsigned; a signature that is there must be right. */
    if (header == NULL && evhttp_request_get_command(request) == EVHTTP_REQ_GET) return true;
    switch (signature_check(&secret, 1, evbuffer_pullup(input, -1), size, header, paysim_seconds(),
                            TOLERANCE_S)) {
    case SIGNATURE_good: return true;
    case SIGNATURE_malformed: why = "no readable " SIGNATURE_HEADER; break;
    case SIGNATURE_wrong: why = "the signature is not of this body by the merchant's secret"; break;
    case SIGNATURE_stale: why = "the signature is too old"; break;
    case SIGNATURE_future: why = "the signature is from the future"; break;
    }
    answer(request, 401, problem("bad_signature", why));
    return false;
}

/* The signed body, of this merchant; NULL: it has been answered. */
static json_t *merchant_body(struct paysim *self, struct evhttp_request *request) {
    char merchant[MERCHANT_SIZE];
    json_t *object = body_object(request);

    if (object == NULL) return NULL;
    if (fields_text(object, "merchant", merchant, sizeof merchant)
            ? strcmp(merchant, self->merchant) == 0
            : json_object_get(object, "merchant") == NULL) {
        return object;
    }
    json_decref(object);
    answer(request, 403, problem("wrong_merchant", "not the merchant this provider knows"));
    return NULL;
}

/* ---- What is asked ------------------------------------------------------------------------------
 */

static const char *read_prepay(const json_t *object, struct prepay *out) {
    if (json_object_get(object, "merchant") == NULL) return "merchant is missing";
    if (!name_member(object, "payment_id", out->payment_id)) return "payment_id is no name";
    if (!name_member(object, "order_id", out->order_id)) return "order_id is no name";
    if (!fields_integer(object, "amount", 1, AMOUNT_MAX, &out->amount)) return "amount is no price";
    if (!fields_currency(object, "currency", out->currency))
        return "currency is not three capitals";
    if (!fields_text(object, "notify_url", out->notify_url, sizeof out->notify_url) ||
        !callbacks_url_good(out->notify_url)) {
        return "notify_url is no http address of this machine";
    }
    if (json_object_get(object, "expires_at") != NULL &&
        !fields_integer(object, "expires_at", 1, EXPIRY_MAX, &out->expires_at)) {
        return "expires_at is no time in unix seconds";
    }
    return NULL;
}

static void on_prepay(struct paysim *self, struct evhttp_request *request, json_t *object,
                      enum mischief mischief) {
    struct prepay prepay = { .amount = 0 };
    struct payment *payment = NULL;
    const char *wrong = read_prepay(object, &prepay);

    if (wrong != NULL) {
        answer(request, 400, problem("bad_request", wrong));
        return;
    }
    enum entry entry = books_prepay(self->books, &prepay, paysim_seconds(), &payment);
    if (self->knobs.silent) {
        answer_never(self->answers, request);
    } else if (entry == ENTRY_full) {
        conclude(self, request, mischief, 503, problem("full", "no room for another payment"));
    } else if (entry == ENTRY_conflict) {
        conclude(self, request, mischief, 409,
                 problem("conflict", "this payment_id is of another payment"));
    } else {
        conclude(self, request, mischief, entry == ENTRY_new ? 201 : 200,
                 json_pack("{ss ss so ss}", "payment_id", payment->payment_id, "provider_txn",
                           payment->provider_txn, "pay_url",
                           json_sprintf("http://%s/pay/%s", self->address, payment->provider_txn),
                           "status", pay_status_name(payment_status(payment, paysim_seconds()))));
    }
}

static void on_query(struct paysim *self, struct evhttp_request *request, const char *payment_id,
                     enum mischief mischief) {
    struct payment *payment = books_by_id(self->books, payment_id);

    if (payment == NULL) {
        conclude(self, request, mischief, 404,
                 problem("no_such_payment", "there is no payment of this number"));
        return;
    }
    conclude(self, request, mischief, 200,
             json_pack("{ss ss ss sI ss ss sI}", "payment_id", payment->payment_id, "provider_txn",
                       payment->provider_txn, "status",
                       pay_status_name(payment_status(payment, paysim_seconds())), "amount",
                       (json_int_t)payment->amount, "currency", payment->currency, "order_id",
                       payment->order_id, "refunded", (json_int_t)payment->refunded));
}

static void on_close(struct paysim *self, struct evhttp_request *request, struct payment *payment,
                     enum mischief mischief) {
    int64_t seconds = paysim_seconds();

    (void)payment_decide(payment, PAY_closed, seconds);
    if (payment_status(payment, seconds) == PAY_closed) {
        conclude(self, request, mischief, 200,
                 json_pack("{ss ss}", "payment_id", payment->payment_id, "status", "closed"));
    } else {
        conclude(self, request, mischief, 409,
                 problem(payment->status == PAY_succeeded ? "already_succeeded" : "already_failed",
                         "the payment has been decided"));
    }
}

static void on_refund(struct paysim *self, struct evhttp_request *request, const json_t *object,
                      enum mischief mischief) {
    char payment_id[NAME_SIZE];
    struct refund_order order = { .fails = self->knobs.fail_refunds };
    struct refund *refund = NULL;

    if (!name_member(object, "payment_id", payment_id) ||
        !name_member(object, "refund_id", order.refund_id) ||
        !fields_integer(object, "amount", 1, AMOUNT_MAX, &order.amount) ||
        !fields_currency(object, "currency", order.currency)) {
        answer(request, 400, problem("bad_request", "refund_id, payment_id, amount, currency"));
        return;
    }
    struct payment *payment = books_by_id(self->books, payment_id);
    if (payment == NULL) {
        conclude(self, request, mischief, 404,
                 problem("no_such_payment", "there is no payment of this number"));
        return;
    }
    static const struct {
        int status;
        const char *code;
    } answers[] = {
        [REFUND_new] = { 201, NULL },
        [REFUND_same] = { 200, NULL },
        [REFUND_conflict] = { 409, "conflict" },
        [REFUND_not_captured] = { 409, "not_captured" },
        [REFUND_exceeds] = { 409, "exceeds_captured" },
        [REFUND_currency] = { 409, "wrong_currency" },
        [REFUND_full] = { 503, "full" },
    };
    enum refund_entry entry = books_refund(self->books, payment, &order, &refund);
    json_t *body =
        answers[entry].code != NULL
            ? problem(answers[entry].code, "this refund cannot be made")
            : json_pack("{ss ss ss sI ss}", "refund_id", refund->refund_id, "payment_id",
                        payment->payment_id, "status", refund->failed ? "failed" : "succeeded",
                        "amount", (json_int_t)refund->amount, "currency", payment->currency);
    conclude(self, request, mischief, answers[entry].status, body);
}

/* POST /v1/payments/<payment_id>/close: the signed body names the payment, so that the signature of
 * one cannot close another. */
static void find_and_close(struct paysim *self, struct evhttp_request *request, const char *path,
                           const json_t *object, enum mischief mischief) {
    const char *rest = path_after(path, "payments/");
    char payment_id[NAME_SIZE];

    if (!name_member(object, "payment_id", payment_id) ||
        strncmp(rest, payment_id, strlen(payment_id)) != 0 ||
        strcmp(rest + strlen(payment_id), "/close") != 0) {
        answer(request, 400, problem("bad_request", "payment_id is not the one in the path"));
        return;
    }
    struct payment *payment = books_by_id(self->books, payment_id);
    if (payment == NULL) {
        conclude(self, request, mischief, 404,
                 problem("no_such_payment", "there is no payment of this number"));
        return;
    }
    on_close(self, request, payment, mischief);
}

void merchant_request(struct paysim *self, struct evhttp_request *request, const char *path) {
    const char *payment = path_after(path, "payments/");
    bool get = evhttp_request_get_command(request) == EVHTTP_REQ_GET;
    bool close = payment != NULL && strlen(payment) > 6 &&
                 strcmp(payment + strlen(payment) - 6, "/close") == 0;
    bool known = payment != NULL
                     ? close != get
                     : !get && (strcmp(path, "prepay") == 0 || strcmp(path, "refunds") == 0);

    if (!known) {
        answer(request, 404, problem("no_such_path", "see paysim --help"));
        return;
    }
    if (!signed_by_merchant(self, request)) return;
    json_t *object = get ? NULL : merchant_body(self, request);
    if (!get && object == NULL) return;
    enum mischief mischief = draw(self);
    if (mischief == MISCHIEF_before) {
        conclude(self, request, MISCHIEF_after, 500, NULL);
    } else if (get) {
        on_query(self, request, payment, mischief);
    } else if (close) {
        find_and_close(self, request, path, object, mischief);
    } else if (strcmp(path, "prepay") == 0) {
        on_prepay(self, request, object, mischief);
    } else {
        on_refund(self, request, object, mischief);
    }
    json_decref(object);
}
