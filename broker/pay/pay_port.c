/* prepay -> prepaid | failed;  provider_query, callback_check -> provider_result | failed;
 * provider_refund -> done | failed.  failed is provider_refused (definite), provider_unknown
 * (may have happened) or callback_invalid. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/heads.h"
#include "broker/log.h"
#include "broker/pay/sandbox.h"
#include "broker/port.h"
#include "config/config.h"

struct port {
    struct sandbox *sandbox; /* NULL: no secret is configured, so there is no provider. */
    char secret[CONFIG_SECRET_SIZE];
    char merchant[SANDBOX_MERCHANT_SIZE];
    int64_t tolerance;
    struct heads heads;
};

static struct secret our_secret(const struct port *self) {
    return (struct secret){ (const uint8_t *)self->secret, strlen(self->secret) };
}

static void reload(struct port *self, const struct config *config) {
    self->tolerance = config->payment_callback_tolerance;
}

static struct port *open_port(const struct port_setup *setup) {
    const struct config *config = setup->config;
    struct config_error error;
    char notify[CONFIG_TEXT_SIZE + 64];
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    if (config->payment_sandbox_secret_file[0] == 0) {
        log_warn("pay", "no payment.sandbox_secret_file: nobody can pay", LOG_END);
        return self;
    }
    if (!config_secret(config->payment_sandbox_secret_file, self->secret, &error)) {
        log_error("pay", "payment.sandbox_secret_file cannot be used", LOG_TEXT("why", error.text),
                  LOG_END);
        free(self);
        return NULL;
    }
    memcpy(self->merchant, config->payment_sandbox_merchant, /* Bounded by config.def. */
           strnlen(config->payment_sandbox_merchant, sizeof self->merchant - 1));
    snprintf(notify, sizeof notify, "%s/v1/payments/callbacks/sandbox", config->payment_public_url);
    reload(self, config);
    struct sandbox_config sandbox = { .url = config->payment_sandbox_url,
                                      .merchant = self->merchant,
                                      .secret = our_secret(self),
                                      .notify_url = notify,
                                      .timeout_ns = config->payment_timeout,
                                      .in_flight_max = SANDBOX_IN_FLIGHT_MAX };
    self->sandbox = sandbox_open(&sandbox);
    if (self->sandbox == NULL) {
        log_error("pay", "payment.sandbox_url or its merchant cannot be used", LOG_END);
        free(self);
        return NULL;
    }
    return self;
}

static void close_port(struct port *self) {
    if (self == NULL) return;
    sandbox_close(&self->sandbox);
    sodium_memzero(self->secret, sizeof self->secret);
    free(self);
}

static bool ready(const struct port *self) {
    (void)self;
    return true;
}

static struct text keep(struct outbox *out, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = outbox_text(out, size);
    memcpy(copy, text, size);
    return text_of(copy);
}

static void check_callback(struct port *self, const struct message *in, int64_t now,
                           struct outbox *out) {
    const struct callback_check *check = BODY(in, callback_check);
    struct secret secret = our_secret(self);
    struct sandbox_trust trust = { &secret, 1, self->merchant, self->tolerance };
    struct sandbox_callback callback;
    char header[1025] = "";
    if (check->signature.size < sizeof header) {
        memcpy(header, check->signature.at, check->signature.size);
    }
    enum sandbox_verdict verdict =
        sandbox_callback_parse(&trust, check->body.at, check->body.size, header, now, &callback);
    CRASH_POINT(pay_checked);
    if (verdict == CALLBACK_ignored) { /* Not for us to act on, and not to be told again. */
        REPLY(out, in, done)->what = in->head.type;
        return;
    }
    if (verdict != CALLBACK_good) {
        log_warn("pay", "callback refused", LOG_TEXT("why", sandbox_verdict_name(verdict)),
                 LOG_HEX("trace", in->head.trace), LOG_END);
        struct failed *failed = REPLY(out, in, failed);
        failed->problem = PROBLEM_callback_invalid;
        failed->what = in->head.type;
        failed->detail = text_of(sandbox_verdict_name(verdict));
        return;
    }
    struct text txn = keep(out, callback.provider_txn), event = keep(out, callback.event_id);
    struct provider_result *result = REPLY(out, in, provider_result);
    result->payment_id = callback.payment_id;
    result->order_id = callback.order_id;
    result->provider = check->provider;
    result->provider_txn = txn;
    result->event_id = event;
    result->amount.amount = callback.amount;
    memcpy(result->amount.currency, callback.currency, 4);
    result->state =
        callback.status == SANDBOX_succeeded ? payment_state_succeeded : payment_state_failed;
}

static enum sandbox_start start(struct port *self, const struct message *in, uint64_t tag,
                                int64_t now) {
    if (in->head.type == MSG_prepay) {
        const struct prepay *prepay = BODY(in, prepay);
        struct sandbox_charge charge = { .payment_id = prepay->payment_id,
                                         .order_id = prepay->order_id,
                                         .amount = prepay->amount.amount };
        memcpy(charge.currency, prepay->amount.currency, 4);
        return sandbox_prepay(self->sandbox, tag, &charge, now);
    }
    if (in->head.type == MSG_provider_query) {
        return sandbox_query(self->sandbox, tag, BODY(in, provider_query)->payment_id, now);
    }
    const struct provider_refund *refund = BODY(in, provider_refund);
    struct sandbox_repayment repayment = { .refund_id = refund->refund_id,
                                           .payment_id = refund->payment_id,
                                           .amount = refund->amount.amount };
    memcpy(repayment.currency, refund->amount.currency, 4);
    return sandbox_refund(self->sandbox, tag, &repayment, now);
}

static struct text provider_of(const struct message *in) {
    switch ((enum message_id)in->head.type) {
    case MSG_prepay: return BODY(in, prepay)->provider;
    case MSG_provider_query: return BODY(in, provider_query)->provider;
    case MSG_callback_check: return BODY(in, callback_check)->provider;
    case MSG_provider_refund: return BODY(in, provider_refund)->provider;
    default: return (struct text){ NULL, 0 };
    }
}

static void handle_one(struct port *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    uint64_t tag;
    if (in->head.type == MSG_stop) return;
    if (!text_is(provider_of(in), "sandbox") || self->sandbox == NULL) {
        struct failed *failed = REPLY(out, in, failed);
        failed->problem = PROBLEM_out_of_range;
        failed->what = in->head.type;
        failed->field = text_of("provider");
        failed->detail = text_of("provider must be one that is configured, such as sandbox");
    } else if (in->head.type == MSG_callback_check) {
        check_callback(self, in, now, out);
    } else if (in->head.type == MSG_prepay && BODY(in, prepay)->amount.amount == 0) {
        outbox_reply_failed(out, in, PROBLEM_provider_refused); /* Nothing is left to be paid. */
    } else if (!heads_put(&self->heads, &in->head, &tag)) {
        outbox_reply_failed(out, in, PROBLEM_provider_unknown);
    } else if (start(self, in, tag, now) != SANDBOX_started) {
        heads_take(&self->heads, tag);
        outbox_reply_failed(out, in, PROBLEM_provider_unknown);
    }
}

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    for (uint32_t i = 0; i < count; i++)
        handle_one(self, &in[i], now, out);
}

static enum payment_state state_of(enum sandbox_status status) {
    switch (status) {
    case SANDBOX_succeeded: return payment_state_succeeded;
    case SANDBOX_failed:
    case SANDBOX_closed: return payment_state_failed;
    case SANDBOX_status_none:
    case SANDBOX_pending:
    case SANDBOX_absent: break;
    }
    return payment_state_pending;
}

static void answer(const struct message *cause, const struct sandbox_result *from,
                   struct outbox *out) {
    if (from->outcome != SANDBOX_done) {
        bool refused = from->outcome == SANDBOX_refused;
        struct text why = keep(out, from->reason);
        struct failed *failed = REPLY(out, cause, failed);
        failed->problem = refused ? PROBLEM_provider_refused : PROBLEM_provider_unknown;
        failed->what = cause->head.type;
        failed->detail = why;
    } else if (from->request == SANDBOX_prepay) {
        struct text txn = keep(out, from->provider_txn), url = keep(out, from->pay_url);
        struct prepaid *prepaid = REPLY(out, cause, prepaid);
        prepaid->payment_id = from->payment_id;
        prepaid->provider_txn = txn;
        prepaid->pay_url = url;
    } else if (from->request == SANDBOX_query) {
        struct text txn = keep(out, from->provider_txn);
        struct provider_result *result = REPLY(out, cause, provider_result);
        result->payment_id = from->payment_id;
        result->provider = text_of("sandbox");
        result->provider_txn = txn;
        result->amount.amount = from->amount;
        memcpy(result->amount.currency, from->currency, 4);
        result->state = state_of(from->status);
    } else if (from->status == SANDBOX_succeeded) {
        struct done *done = REPLY(out, cause, done);
        done->what = cause->head.type;
        done->id = from->refund_id;
    } else if (from->status == SANDBOX_failed) { /* It stays so, however often it is asked. */
        outbox_reply_failed(out, cause, PROBLEM_provider_refused);
    } else { /* A refund that is on its way is asked about again. */
        outbox_reply_failed(out, cause, PROBLEM_provider_unknown);
    }
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    struct sandbox_result result;
    if (self->sandbox == NULL) return;
    sandbox_step(self->sandbox, now);
    while (outbox_room(out) > 0 && sandbox_next(self->sandbox, &result)) {
        struct message cause = heads_take(&self->heads, result.tag);
        CRASH_POINT(pay_known);
        answer(&cause, &result, out);
        CRASH_POINT(pay_told);
    }
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    return self->sandbox ? (uint32_t)sandbox_poll_fds(self->sandbox, fds, (int)max) : 0;
}

static int64_t timeout(struct port *self, int64_t now) {
    (void)now;
    return self->sandbox ? sandbox_timeout(self->sandbox) : -1;
}

const struct port_type pay_port = {
    .name = "pay",
    .batch_max = 64,
    .open = open_port,
    .close = close_port,
    .ready = ready,
    .handle = handle,
    .poll = poll_fds,
    .timeout = timeout,
    .step = step,
    .reload = reload,
};
