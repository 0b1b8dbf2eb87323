/* A history as attempts: each question with its answer and what that answer claims. */
#ifndef DOORSIM_JUDGE_ATTEMPTS_H
#define DOORSIM_JUDGE_ATTEMPTS_H

#include "schema/schema.h"
#include "tools/doorsim/history.h"

enum claim {
    CLAIM_nothing,
    CLAIM_pending, /* 202: a place in line. */
    CLAIM_yes,
    CLAIM_no,
    CLAIM_absent, /* 404: wrong only after a yes. */
};

struct attempt {
    enum history_kind kind;
    int64_t user, lot, order; /* As asked. */
    int64_t answered_order;   /* As answered; 0 when the answer names none. */
    uint32_t quantity;
    int64_t asked_at;
    int64_t answered_at; /* INT64_MAX when there was no answer or one that promises nothing. */
    enum claim claim;
    enum order_state state; /* none when the answer told none. */
    const char *code;       /* Points into the history. */
};

struct attempts {
    size_t count;
    struct attempt *list; /* By order, then time asked.  Ticket requests are left out. */
};

/* False when memory is out.  The history is borrowed for as long as the attempts. */
bool attempts_read(struct attempts *self, const struct history *history);
void attempts_fini(struct attempts *self);

/* A purchase: the first or a repeated use of a ticket. */
static inline bool attempt_buys(const struct attempt *self) {
    return self->kind == HISTORY_buy || self->kind == HISTORY_again;
}

#endif
