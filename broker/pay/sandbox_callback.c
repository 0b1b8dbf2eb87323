/* Callbacks of the sandbox provider: first who speaks, then what is said. */
#include <string.h>

#include "broker/pay/fields.h"
#include "broker/pay/sandbox.h"

#define SECOND_NS   INT64_C(1000000000)
#define AMOUNT_MAX  INT64_C(1000000000000000)
#define SECONDS_MAX (INT64_MAX / SECOND_NS)

static enum sandbox_verdict verdict_of(enum signature_verdict signature) {
    switch (signature) {
    case SIGNATURE_good: return CALLBACK_good;
    case SIGNATURE_malformed: return CALLBACK_bad_header;
    case SIGNATURE_wrong: return CALLBACK_bad_signature;
    case SIGNATURE_stale: return CALLBACK_stale;
    case SIGNATURE_future: return CALLBACK_future;
    }
    return CALLBACK_bad_header;
}

static enum sandbox_verdict read_body(const json_t *root, const char *merchant,
                                      struct sandbox_callback *out) {
    char type[65];
    char whose[SANDBOX_MERCHANT_SIZE];
    int64_t seconds = 0;

    if (!fields_text(root, "merchant", whose, sizeof whose)) return CALLBACK_bad_body;
    if (strcmp(whose, merchant) != 0) return CALLBACK_wrong_merchant;
    if (!fields_text(root, "type", type, sizeof type)) return CALLBACK_bad_body;
    if (strcmp(type, "payment.succeeded") == 0) {
        out->status = SANDBOX_succeeded;
    } else if (strcmp(type, "payment.failed") == 0) {
        out->status = SANDBOX_failed;
    } else {
        return CALLBACK_ignored;
    }
    if (!fields_text(root, "event_id", out->event_id, sizeof out->event_id) ||
        !fields_id(root, "payment_id", &out->payment_id) ||
        !fields_id(root, "order_id", &out->order_id) ||
        !fields_text(root, "provider_txn", out->provider_txn, sizeof out->provider_txn) ||
        !fields_integer(root, "amount", 0, AMOUNT_MAX, &out->amount) ||
        !fields_currency(root, "currency", out->currency) ||
        !fields_integer(root, "created_at", 0, SECONDS_MAX, &seconds)) {
        return CALLBACK_bad_body;
    }
    out->created_at = seconds * SECOND_NS;
    return CALLBACK_good;
}

enum sandbox_verdict sandbox_callback_parse(const struct sandbox_trust *trust, const void *body,
                                            size_t size, const char *header, int64_t now,
                                            struct sandbox_callback *out) {
    struct sandbox_callback told = { .status = SANDBOX_status_none };

    if (size > SANDBOX_CALLBACK_MAX) return CALLBACK_too_large;
    enum sandbox_verdict verdict =
        verdict_of(signature_check(trust->secrets, trust->secret_count, body, size, header,
                                   now / SECOND_NS, trust->tolerance_ns / SECOND_NS));
    if (verdict != CALLBACK_good) return verdict;

    json_t *root = fields_parse(body, size);
    if (root == NULL) return CALLBACK_bad_body;
    verdict = read_body(root, trust->merchant, &told);
    json_decref(root);
    if (verdict == CALLBACK_good) *out = told;
    return verdict;
}

const char *sandbox_verdict_name(enum sandbox_verdict verdict) {
    switch (verdict) {
    case CALLBACK_good: return "good";
    case CALLBACK_too_large: return "too large";
    case CALLBACK_bad_header: return "bad header";
    case CALLBACK_bad_signature: return "bad signature";
    case CALLBACK_stale: return "stale";
    case CALLBACK_future: return "from the future";
    case CALLBACK_bad_body: return "bad body";
    case CALLBACK_wrong_merchant: return "wrong merchant";
    case CALLBACK_ignored: return "ignored";
    }
    return "";
}
