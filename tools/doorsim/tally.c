#include "tools/doorsim/tally.h"

#include <string.h>

const char *tally_name(enum tally tally) {
    static const char *const names[TALLIES] = { "created", "replayed", "queued", "sold_out",
                                                "refused", "busy",     "failed", "lost",
                                                "left",    "ok" };
    return names[tally];
}

enum tally tally_of(bool buys, const struct answer *answer) {
    int status = answer->status;
    if (status == 0) return TALLY_lost;
    if (status == 202) return TALLY_queued;
    if (buys && (status == 200 || (status == 201 && answer->replayed))) return TALLY_replayed;
    if (buys && status == 201) return TALLY_created;
    if (status >= 200 && status < 400) return TALLY_ok;
    if (status == 409 && strcmp(answer->code, "sold_out") == 0) return TALLY_sold_out;
    if (status == 429 || status == 503) return TALLY_busy;
    return status >= 400 && status < 500 ? TALLY_refused : TALLY_failed;
}

bool tally_is_open(enum tally tally) {
    return tally == TALLY_queued || tally == TALLY_busy || tally == TALLY_failed ||
           tally == TALLY_lost || tally == TALLY_left;
}

void answer_glance(struct answer *answer, enum http_outcome outcome,
                   const struct http_response *response) {
    if (response != NULL && response->status >= 400) {
        api_read(answer, outcome, response);
        return;
    }
    *answer = (struct answer){ .phase = HISTORY_unknown, .retry_after_s = -1 };
    if (response == NULL) return;
    answer->phase = HISTORY_ok;
    answer->status = response->status;
    answer->retry_after_s = response->retry_after_s;
    answer->replayed = response->replayed;
}
