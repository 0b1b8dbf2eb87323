/* Notifier: takes what is due from the outbox, writes a mail of it, and says what became of it.
 * PostgreSQL leases each row for a while; who forgets a row does no harm, the lease lapses and it
 * comes again, with the same Message-ID.
 *
 * Invariant: at most NOTIFIER_ROWS_MAX rows are under way, each once. */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#include "actors/actor.h"

enum { NOTIFIER_ROWS_MAX = 50, NOTIFIER_SUBJECT_MAX = 200, NOTIFIER_BODY_MAX = 4096 };

/* A row under way. */
struct notifier_row {
    int64_t outbox_id; /* 0 = free */
    int64_t until;     /* The lease: forgotten then. */
    uint32_t attempts;
};

struct notifier {
    bool mail_on;
    uint32_t attempts_max;
    uint64_t random;
    int64_t asked_at;
    bool asking; /* Rows are coming. */
    uint32_t used;
    struct notifier_row rows[NOTIFIER_ROWS_MAX];
};

/* ---- template.c ---- */
/* Subject and body of a message to a person, in the outbox's memory; false when the notice has no
 * template. */
bool notifier_write(const struct outbox_row *row, struct outbox *out, struct text *subject,
                    struct text *body);

/* How long to wait before the try after `attempts` failed ones, without the jitter. */
int64_t notifier_back_off(uint32_t attempts);

#endif
