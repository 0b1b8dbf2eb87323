/* The provider's own books: payments and refunds, in memory, for as long as it runs.
 *
 * A payment goes pending -> succeeded | failed | closed, once.
 * Invariants: refunded <= amount, and refunded > 0 only on a payment that succeeded; at most
 * BOOKS_MAX payments and BOOKS_MAX refunds.  Entries never move and never go away. */
#ifndef PAYSIM_BOOKS_H
#define PAYSIM_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

enum { BOOKS_MAX = 200000, NAME_SIZE = 65, TXN_SIZE = 24, NOTIFY_SIZE = 256 };

enum pay_status { PAY_pending, PAY_succeeded, PAY_failed, PAY_closed };

struct payment {
    char payment_id[NAME_SIZE]; /* The merchant's number. */
    char order_id[NAME_SIZE];
    char provider_txn[TXN_SIZE];
    char event_id[TXN_SIZE]; /* Of its one event. */
    char currency[4];
    enum pay_status status;
    int64_t amount;
    int64_t refunded;
    int64_t expires_at; /* Unix seconds; 0: never. */
    int64_t created_at; /* Unix seconds. */
    int64_t decided_at; /* Unix seconds; 0: not yet. */
    uint32_t callbacks_sent;
    uint32_t callbacks_acknowledged;
    char *notify_url;
    struct payment *next_by_id_;
    struct payment *next_by_txn_;
};

struct refund {
    char refund_id[NAME_SIZE];
    struct payment *payment;
    int64_t amount;
    bool failed;
    struct refund *next_by_id_;
};

struct books;

/* NULL: out of memory. */
struct books *books_open(uint64_t seed);
void books_close(struct books **self);

/* What a prepay asks for. */
struct prepay {
    char payment_id[NAME_SIZE];
    char order_id[NAME_SIZE];
    char currency[4];
    int64_t amount;
    int64_t expires_at;
    char notify_url[NOTIFY_SIZE];
};

enum entry { ENTRY_new, ENTRY_same, ENTRY_conflict, ENTRY_full };

/* Enters a payment, or finds the one with this id: same content or not. */
enum entry books_prepay(struct books *self, const struct prepay *prepay, int64_t seconds,
                        struct payment **out);
struct payment *books_by_id(const struct books *self, const char *payment_id);
struct payment *books_by_txn(const struct books *self, const char *provider_txn);

/* Closes what nobody has paid in time; then tells the status. */
enum pay_status payment_status(struct payment *payment, int64_t seconds);
const char *pay_status_name(enum pay_status status);
/* The only way out of pending; false, and nothing changed, if it has been left already. */
bool payment_decide(struct payment *payment, enum pay_status status, int64_t seconds);

enum refund_entry {
    REFUND_new,
    REFUND_same,
    REFUND_conflict,     /* The same refund_id for something else. */
    REFUND_not_captured, /* Not paid. */
    REFUND_exceeds,      /* More than is left of what was paid. */
    REFUND_currency,
    REFUND_full,
};

struct refund_order {
    char refund_id[NAME_SIZE];
    int64_t amount;
    char currency[4];
    bool fails; /* It is entered as failed and moves no money. */
};

enum refund_entry books_refund(struct books *self, struct payment *payment,
                               const struct refund_order *order, struct refund **out);

/* For the ledger, in the order of entry. */
uint32_t books_payment_count(const struct books *self);
struct payment *books_payment(const struct books *self, uint32_t at);
uint32_t books_refund_count(const struct books *self);
const struct refund *books_refund_at(const struct books *self, uint32_t at);

#endif
