/* The command line of `doorsim load`, and what both of its loops make of it. */
#ifndef DOORSIM_LOAD_WORDS_H
#define DOORSIM_LOAD_WORDS_H

#include "tools/doorsim/load.h"
#include "tools/doorsim/options.h"

struct load_words {
    /* Both loops. */
    const char *base, *shoppers, *users, *keys, *history, *path, *etag, *dsn, *json;
    struct option_list lots;
    int64_t connections, seconds, quantity, timeout_ms, tickets, shard;
    bool ask_tickets;
    /* Closed. */
    int64_t requests, expect_units;
    bool refuse;
    /* Open. */
    const char *curve, *arrivals, *report, *metrics;
    int64_t rate, from_rate, at_once, clicking, retrying, leaving, bots, bot_addresses,
        bot_requests, bot_tickets, patience_ms, tries, late_max_ms, seed;
    bool quiet;
    char command[1000]; /* As it was given. */
};

/* Whether arrivals have a plan of their own. */
bool load_is_open(const struct load_words *words);

/* What both need: lots, shoppers, `count` tickets (0: as the words say), signed or, without keys,
 * asked for over HTTP.  Zero it; fini takes everything. */
struct load_stage {
    int64_t lots[OPTION_LIST_MAX];
    struct shoppers shoppers;
    struct tickets tickets;
    FILE *history;
};
bool load_stage_set(struct load_stage *self, const struct load_words *words, size_t count);
/* False when the history could not be written to its end. */
bool load_stage_close_history(struct load_stage *self);
void load_stage_fini(struct load_stage *self);

/* Exit statuses. */
int load_open(const struct load_words *words);

#endif
