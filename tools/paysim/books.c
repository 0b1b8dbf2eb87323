/* Payments and refunds by number. */
#include "tools/paysim/books.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1 << 18 };

struct books {
    uint64_t seed;
    uint64_t numbers; /* Given out so far. */
    uint32_t payment_count;
    uint32_t refund_count;
    struct payment *payments[BOOKS_MAX];
    struct refund *refunds[BOOKS_MAX];
    struct payment *by_id[BUCKETS];
    struct payment *by_txn[BUCKETS];
    struct refund *refunds_by_id[BUCKETS];
};

/* FNV-1a. */
static uint32_t bucket(const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return (uint32_t)(hash >> 32) % BUCKETS;
}

/* A new number that looks like none before: a bijective mix of a counter. */
static void number(struct books *self, const char *prefix, char out[TXN_SIZE]) {
    uint64_t mixed = self->seed + ++self->numbers * UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    (void)snprintf(out, TXN_SIZE, "%s_%016" PRIx64, prefix, mixed ^ (mixed >> 31));
}

struct books *books_open(uint64_t seed) {
    struct books *self = calloc(1, sizeof *self);

    if (self != NULL) self->seed = seed;
    return self;
}

void books_close(struct books **self) {
    struct books *gone = *self;

    if (gone == NULL) return;
    *self = NULL;
    for (uint32_t i = 0; i < gone->payment_count; i++) {
        free(gone->payments[i]->notify_url);
        free(gone->payments[i]);
    }
    for (uint32_t i = 0; i < gone->refund_count; i++)
        free(gone->refunds[i]);
    free(gone);
}

struct payment *books_by_id(const struct books *self, const char *payment_id) {
    struct payment *at = self->by_id[bucket(payment_id)];

    while (at != NULL && strcmp(at->payment_id, payment_id) != 0)
        at = at->next_by_id_;
    return at;
}

struct payment *books_by_txn(const struct books *self, const char *provider_txn) {
    struct payment *at = self->by_txn[bucket(provider_txn)];

    while (at != NULL && strcmp(at->provider_txn, provider_txn) != 0)
        at = at->next_by_txn_;
    return at;
}

static bool same(const struct payment *payment, const struct prepay *prepay) {
    return strcmp(payment->order_id, prepay->order_id) == 0 && payment->amount == prepay->amount &&
           strcmp(payment->currency, prepay->currency) == 0 &&
           payment->expires_at == prepay->expires_at &&
           strcmp(payment->notify_url, prepay->notify_url) == 0;
}

enum entry books_prepay(struct books *self, const struct prepay *prepay, int64_t seconds,
                        struct payment **out) {
    struct payment *payment = books_by_id(self, prepay->payment_id);

    *out = payment;
    if (payment != NULL) return same(payment, prepay) ? ENTRY_same : ENTRY_conflict;
    if (self->payment_count == BOOKS_MAX) return ENTRY_full;
    payment = calloc(1, sizeof *payment);
    if (payment == NULL) return ENTRY_full;
    payment->notify_url = strdup(prepay->notify_url);
    if (payment->notify_url == NULL) {
        free(payment);
        return ENTRY_full;
    }
    memcpy(payment->payment_id, prepay->payment_id, sizeof payment->payment_id);
    memcpy(payment->order_id, prepay->order_id, sizeof payment->order_id);
    memcpy(payment->currency, prepay->currency, sizeof payment->currency);
    payment->amount = prepay->amount;
    payment->expires_at = prepay->expires_at;
    payment->created_at = seconds;
    number(self, "ps", payment->provider_txn);
    number(self, "ev", payment->event_id);
    self->payments[self->payment_count++] = payment;
    payment->next_by_id_ = self->by_id[bucket(payment->payment_id)];
    self->by_id[bucket(payment->payment_id)] = payment;
    payment->next_by_txn_ = self->by_txn[bucket(payment->provider_txn)];
    self->by_txn[bucket(payment->provider_txn)] = payment;
    *out = payment;
    return ENTRY_new;
}

enum pay_status payment_status(struct payment *payment, int64_t seconds) {
    if (payment->status == PAY_pending && payment->expires_at > 0 &&
        seconds >= payment->expires_at) {
        payment->status = PAY_closed;
        payment->decided_at = payment->expires_at;
    }
    return payment->status;
}

const char *pay_status_name(enum pay_status status) {
    switch (status) {
    case PAY_pending: return "pending";
    case PAY_succeeded: return "succeeded";
    case PAY_failed: return "failed";
    case PAY_closed: return "closed";
    }
    return "";
}

bool payment_decide(struct payment *payment, enum pay_status status, int64_t seconds) {
    if (payment_status(payment, seconds) != PAY_pending) return false;
    payment->status = status;
    payment->decided_at = seconds;
    return true;
}

enum refund_entry books_refund(struct books *self, struct payment *payment,
                               const struct refund_order *order, struct refund **out) {
    struct refund *refund = self->refunds_by_id[bucket(order->refund_id)];

    while (refund != NULL && strcmp(refund->refund_id, order->refund_id) != 0) {
        refund = refund->next_by_id_;
    }
    *out = refund;
    if (refund != NULL) {
        bool equal = refund->payment == payment && refund->amount == order->amount &&
                     strcmp(payment->currency, order->currency) == 0;
        return equal ? REFUND_same : REFUND_conflict;
    }
    if (payment->status != PAY_succeeded) return REFUND_not_captured;
    if (strcmp(payment->currency, order->currency) != 0) return REFUND_currency;
    if (order->amount > payment->amount - payment->refunded) return REFUND_exceeds;
    if (self->refund_count == BOOKS_MAX) return REFUND_full;
    refund = calloc(1, sizeof *refund);
    if (refund == NULL) return REFUND_full;
    memcpy(refund->refund_id, order->refund_id, sizeof refund->refund_id);
    refund->payment = payment;
    refund->amount = order->amount;
    refund->failed = order->fails;
    if (!refund->failed) payment->refunded += order->amount;
    self->refunds[self->refund_count++] = refund;
    refund->next_by_id_ = self->refunds_by_id[bucket(refund->refund_id)];
    self->refunds_by_id[bucket(refund->refund_id)] = refund;
    *out = refund;
    return REFUND_new;
}

uint32_t books_payment_count(const struct books *self) {
    return self->payment_count;
}
struct payment *books_payment(const struct books *self, uint32_t at) {
    return self->payments[at];
}
uint32_t books_refund_count(const struct books *self) {
    return self->refund_count;
}
const struct refund *books_refund_at(const struct books *self, uint32_t at) {
    return self->refunds[at];
}
