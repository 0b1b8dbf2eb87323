/* Requests to the sandbox provider, and what their answers mean. */
#include "broker/pay/sandbox.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/net/transfers.h"
#include "broker/pay/fields.h"

#define SECOND_NS  INT64_C(1000000000)
#define AMOUNT_MAX INT64_C(1000000000000000)

enum { URL_MAX = 255, SECRET_MAX = 512, REQUEST_MAX = 2048 };

/* What was asked, to be compared with what is answered. */
struct asked {
    int64_t payment_id;
    int64_t refund_id;
    int64_t amount;
};

struct sandbox {
    struct transfers *transfers;
    int64_t timeout_ns;
    char url[URL_MAX + 1];
    char notify_url[URL_MAX + 1];
    char merchant[SANDBOX_MERCHANT_SIZE];
    uint8_t secret[SECRET_MAX];
    size_t secret_size;
};

/* Names and addresses are visible ASCII, so that they fit headers and JSON as they are. */
static bool copy_text(char *to, size_t to_size, const char *from) {
    size_t size = strlen(from);

    if (size == 0 || size >= to_size) return false;
    for (size_t i = 0; i < size; i++) {
        if (from[i] <= ' ' || from[i] > '~') return false;
    }
    memcpy(to, from, size + 1);
    return true;
}

struct sandbox *sandbox_open(const struct sandbox_config *config) {
    if (config->in_flight_max == 0 || config->in_flight_max > SANDBOX_IN_FLIGHT_MAX) return NULL;
    if (config->secret.size == 0 || config->secret.size > SECRET_MAX) return NULL;

    struct sandbox *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->timeout_ns = config->timeout_ns;
    self->secret_size = config->secret.size;
    memcpy(self->secret, config->secret.at, config->secret.size);
    if (!copy_text(self->url, sizeof self->url, config->url) ||
        !copy_text(self->notify_url, sizeof self->notify_url, config->notify_url) ||
        !copy_text(self->merchant, sizeof self->merchant, config->merchant)) {
        sandbox_close(&self);
        return NULL;
    }
    /* The body and, behind its end, what was asked. */
    self->transfers = transfers_open(config->in_flight_max, REQUEST_MAX + sizeof(struct asked),
                                     SANDBOX_REPLY_MAX);
    if (self->transfers == NULL) sandbox_close(&self);
    return self;
}

void sandbox_close(struct sandbox **self) {
    struct sandbox *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    transfers_close(&gone->transfers);
    sodium_memzero(gone->secret, sizeof gone->secret);
    free(gone);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static void remember(struct transfer *transfer, const struct asked *asked) {
    memcpy(transfer->sent + REQUEST_MAX, asked, sizeof *asked);
}

static struct asked asked_of(const struct transfer *transfer) {
    struct asked asked;

    memcpy(&asked, transfer->sent + REQUEST_MAX, sizeof asked);
    return asked;
}

/* Texts of ours go into JSON through jansson, never by printing them between quotes. */
static bool write_body(struct transfer *transfer, json_t **body) {
    size_t size = *body == NULL ? 0 : json_dumpb(*body, transfer->sent, REQUEST_MAX, JSON_COMPACT);

    json_decref(*body);
    *body = NULL;
    if (size == 0 || size > REQUEST_MAX) return false;
    transfer->sent_size = size;
    return true;
}

static bool set_http(const struct sandbox *self, struct transfer *transfer, const char *path,
                     int64_t now) {
    char url[URL_MAX + 128];
    char signature[SIGNATURE_SIZE];
    char line[SIGNATURE_SIZE + sizeof SIGNATURE_HEADER + 2];
    const struct secret secret = { self->secret, self->secret_size };
    bool post = transfer->kind != SANDBOX_query;

    (void)snprintf(url, sizeof url, "%s%s", self->url, path);
    signature_make(secret, transfer->sent, transfer->sent_size, now / SECOND_NS, signature);
    (void)snprintf(line, sizeof line, SIGNATURE_HEADER ": %s", signature);
    if (!transfer_line(transfer, line)) return false;
    if (post && (!transfer_line(transfer, "Content-Type: application/json") ||
                 !transfer_line(transfer, "Expect:"))) {
        return false;
    }
    curl_easy_setopt(transfer->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
    if (post) {
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)transfer->sent_size);
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->sent); /* Not copied. */
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_URL, url) == CURLE_OK;
}

/* Takes `body` over.  What cannot be started for want of memory counts as busy. */
static enum sandbox_start ask(struct sandbox *self, uint64_t tag, enum sandbox_request request,
                              const struct asked *asked, json_t **body, int64_t now) {
    char path[64] = "/v1/prepay";
    struct transfer *transfer = transfers_take(self->transfers, self->timeout_ns);

    if (transfer == NULL) {
        json_decref(*body);
        return SANDBOX_busy;
    }
    transfer->tag = tag;
    transfer->kind = (int)request;
    remember(transfer, asked);
    if (request == SANDBOX_refund) {
        (void)snprintf(path, sizeof path, "/v1/refunds");
    } else if (request != SANDBOX_prepay) {
        (void)snprintf(path, sizeof path, "/v1/payments/%" PRId64 "%s", asked->payment_id,
                       request == SANDBOX_cancel ? "/close" : "");
    }
    if ((request != SANDBOX_query && !write_body(transfer, body)) ||
        !set_http(self, transfer, path, now)) {
        transfers_release(self->transfers, transfer);
        return SANDBOX_busy;
    }
    return transfers_start(self->transfers, transfer) ? SANDBOX_started : SANDBOX_busy;
}

static json_t *id_text(int64_t id) {
    return json_sprintf("%" PRId64, id);
}

enum sandbox_start sandbox_prepay(struct sandbox *self, uint64_t tag,
                                  const struct sandbox_charge *charge, int64_t now) {
    const struct asked asked = { .payment_id = charge->payment_id, .amount = charge->amount };
    json_t *body = json_pack("{so so ss sI ss ss}", "payment_id", id_text(charge->payment_id),
                             "order_id", id_text(charge->order_id), "merchant", self->merchant,
                             "amount", (json_int_t)charge->amount, "currency", charge->currency,
                             "notify_url", self->notify_url);

    assert(charge->payment_id > 0 && charge->order_id > 0 && charge->amount > 0);
    if (charge->expires_at > 0) {
        json_object_set_new(body, "expires_at", json_integer(charge->expires_at / SECOND_NS));
    }
    return ask(self, tag, SANDBOX_prepay, &asked, &body, now);
}

enum sandbox_start sandbox_query(struct sandbox *self, uint64_t tag, int64_t payment_id,
                                 int64_t now) {
    const struct asked asked = { .payment_id = payment_id };
    json_t *body = NULL;

    assert(payment_id > 0);
    return ask(self, tag, SANDBOX_query, &asked, &body, now);
}

enum sandbox_start sandbox_cancel(struct sandbox *self, uint64_t tag, int64_t payment_id,
                                  int64_t now) {
    const struct asked asked = { .payment_id = payment_id };
    json_t *body =
        json_pack("{so ss}", "payment_id", id_text(payment_id), "merchant", self->merchant);

    assert(payment_id > 0);
    return ask(self, tag, SANDBOX_cancel, &asked, &body, now);
}

enum sandbox_start sandbox_refund(struct sandbox *self, uint64_t tag,
                                  const struct sandbox_repayment *repayment, int64_t now) {
    const struct asked asked = { .payment_id = repayment->payment_id,
                                 .refund_id = repayment->refund_id,
                                 .amount = repayment->amount };
    json_t *body =
        json_pack("{so so ss sI ss}", "refund_id", id_text(repayment->refund_id), "payment_id",
                  id_text(repayment->payment_id), "merchant", self->merchant, "amount",
                  (json_int_t)repayment->amount, "currency", repayment->currency);

    assert(repayment->refund_id > 0 && repayment->payment_id > 0 && repayment->amount > 0);
    return ask(self, tag, SANDBOX_refund, &asked, &body, now);
}

/* ---- The host's loop ------------------------------------------------------------------------- */

int sandbox_poll_fds(const struct sandbox *self, struct pollfd *fds, int max) {
    if (max < 1) return 0;
    fds[0] = (struct pollfd){ .fd = transfers_fd(self->transfers), .events = POLLIN };
    return 1;
}

int64_t sandbox_timeout(const struct sandbox *self) {
    return transfers_timeout(self->transfers);
}

void sandbox_step(struct sandbox *self, int64_t now) {
    (void)now; /* libcurl measures its timeouts itself. */
    transfers_step(self->transfers);
}

uint32_t sandbox_in_flight(const struct sandbox *self) {
    return transfers_busy(self->transfers);
}

/* ---- Understanding --------------------------------------------------------------------------- */

static bool read_status(const json_t *root, struct sandbox_result *out) {
    static const struct {
        const char *name;
        enum sandbox_status status;
    } known[] = { { "pending", SANDBOX_pending },
                  { "succeeded", SANDBOX_succeeded },
                  { "failed", SANDBOX_failed },
                  { "closed", SANDBOX_closed } };
    char name[16];

    if (!fields_text(root, "status", name, sizeof name)) return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) out->status = known[i].status;
    }
    return out->status != SANDBOX_status_none;
}

/* Fills `out` from a 2xx answer; false if it is not an answer to what was asked. */
static bool read_answer(const json_t *root, const struct asked *asked, struct sandbox_result *out) {
    if (!fields_id(root, "payment_id", &out->payment_id)) return false;
    if (out->payment_id != asked->payment_id || !read_status(root, out)) return false;
    switch (out->request) {
    case SANDBOX_prepay:
        return fields_text(root, "provider_txn", out->provider_txn, sizeof out->provider_txn) &&
               fields_text(root, "pay_url", out->pay_url, sizeof out->pay_url);
    case SANDBOX_query:
        return fields_text(root, "provider_txn", out->provider_txn, sizeof out->provider_txn) &&
               fields_integer(root, "amount", 0, AMOUNT_MAX, &out->amount) &&
               fields_currency(root, "currency", out->currency);
    case SANDBOX_cancel: return out->status == SANDBOX_closed;
    case SANDBOX_refund:
        return fields_id(root, "refund_id", &out->refund_id) &&
               out->refund_id == asked->refund_id && out->status != SANDBOX_closed;
    }
    return false;
}

/* Only the provider's own word says that nothing happened; it says so with a 4xx that is neither
 * about time nor about how often we ask. */
static bool is_refusal(long status) {
    return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

static void understand(const struct transfer *transfer, struct sandbox_result *out) {
    const struct asked asked = asked_of(transfer);
    struct sandbox_result told = *out;

    if (transfer->code != CURLE_OK) {
        const char *why =
            transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(transfer->code);
        (void)snprintf(out->reason, sizeof out->reason, "%.*s", SANDBOX_REASON_SIZE - 1, why);
        return;
    }
    json_t *root = fields_parse(transfer->got, transfer->got_size);
    if (transfer->status >= 200 && transfer->status < 300) {
        if (root != NULL && read_answer(root, &asked, &told)) {
            *out = told;
            out->outcome = SANDBOX_done;
        } else {
            (void)snprintf(out->reason, sizeof out->reason, "answer makes no sense");
        }
    } else if (transfer->status == 404 && out->request == SANDBOX_query && root != NULL &&
               fields_text(root, "code", told.reason, sizeof told.reason) &&
               strcmp(told.reason, "no_such_payment") == 0) {
        /* Said by the provider itself, not by whatever else answers 404 at that address. */
        out->outcome = SANDBOX_done;
        out->payment_id = asked.payment_id;
        out->status = SANDBOX_absent;
    } else {
        if (is_refusal(transfer->status)) out->outcome = SANDBOX_refused;
        if (!fields_text(root, "code", out->reason, sizeof out->reason)) {
            (void)snprintf(out->reason, sizeof out->reason, "http %ld", transfer->status);
        }
    }
    json_decref(root);
}

bool sandbox_next(struct sandbox *self, struct sandbox_result *out) {
    struct transfer *transfer = transfers_next(self->transfers);

    if (transfer == NULL) return false;
    *out = (struct sandbox_result){ .tag = transfer->tag,
                                    .request = (enum sandbox_request)transfer->kind,
                                    .outcome = SANDBOX_unknown,
                                    .sent = transfer->reached,
                                    .http = (int)transfer->status };
    understand(transfer, out);
    transfers_release(self->transfers, transfer);
    return true;
}
