/* Reads the judge's facts from PostgreSQL, all in one snapshot. */
#ifndef DOORSIM_JUDGE_SQL_H
#define DOORSIM_JUDGE_SQL_H

#include "tools/doorsim/judge.h"

/* `lots`: only these and their orders; count 0 means all.  The ledger is always read whole.
 * False, with a sentence on stderr, when PostgreSQL could not be asked. */
bool facts_load(struct facts *self, const char *dsn, const int64_t *lots, unsigned lot_count);

struct judge_words {
    const char *dsn;
    const int64_t *lots;
    unsigned lot_count;
    int64_t settle_ns; /* How long money may still be on its way (see judge_now). */
    struct judge_options options;
};

/* Loads the facts and judges.  Money may be on its way (the rule `charge` holds when it is quiet):
 * while only that is broken it looks again until `settle_ns` has passed.  Every other rule must
 * hold in every snapshot, so the first that shows one broken is the verdict.  `facts` is zeroed
 * memory at first and holds the last facts afterwards, for the caller to finish.  False when
 * PostgreSQL could not be asked. */
bool judge_now(const struct history *history, const struct judge_words *words, struct facts *facts,
               struct verdict *verdict);

/* Leaves only events of these lots; count 0 leaves all. */
void history_keep_lots(struct history *history, const int64_t *lots, unsigned lot_count);

/* Orders that PostgreSQL has for a lot, in whatever state. */
bool facts_count_orders(const char *dsn, int64_t lot, int64_t *count);

#endif
