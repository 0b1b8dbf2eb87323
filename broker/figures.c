#include "broker/figures.h"

#include <stdio.h>

#include "broker/log.h"
#include "broker/metrics.h"

enum { WRITERS_MAX = 128 };

static struct { struct metric_gauge *undecided, *lag, *journal_rows; } writers[WRITERS_MAX];
static struct {
    struct metric_gauge *lots, *lots_off, *difference, *at;
    struct metric_counter *recoveries;
} account;

static void open_writer(uint32_t shard) {
    char number[12];
    snprintf(number, sizeof number, "%u", shard);
    writers[shard].undecided =
        metrics_gauge("purchases_undecided", "Purchases waiting for PostgreSQL's decision.",
                      METRIC_LABELS("shard", number));
    writers[shard].lag = metrics_gauge(
        "commit_lag_seconds", "Age of the oldest undecided purchase, since its writer heard of it.",
        METRIC_LABELS("shard", number));
    writers[shard].journal_rows = metrics_gauge(
        "journal_rows", "Reservations in the journal when the writer last read it to its end.",
        METRIC_LABELS("shard", number));
}

static void open_account(void) {
    account.lots =
        metrics_gauge("identity_lots", "Lots whose account was compared.", METRIC_NO_LABELS);
    account.lots_off = metrics_gauge(
        "identity_lots_off", "Lots of which a term of the account is off.", METRIC_NO_LABELS);
    account.difference =
        metrics_gauge("identity_difference_units",
                      "Units missing or too many, over all lots; 0 when exact.", METRIC_NO_LABELS);
    account.at =
        metrics_gauge("identity_checked_timestamp_seconds",
                      "When the account was last compared; 0 = not yet.", METRIC_NO_LABELS);
    account.recoveries =
        metrics_counter("identity_recoveries_total",
                        "Recoveries of a shard asked for because units there were held for nobody.",
                        METRIC_NO_LABELS);
}

void figures_open(enum address address, uint32_t shard) {
    if (address == ACTOR_order && shard < WRITERS_MAX) open_writer(shard);
    if (address == ACTOR_catalogue) open_account();
}

static void take_writer(const struct writer_figures *it, uint32_t shard) {
    if (shard >= WRITERS_MAX || writers[shard].lag == NULL) return;
    metric_set(writers[shard].undecided, it->undecided);
    metric_set(writers[shard].lag, it->lag);
    metric_set(writers[shard].journal_rows, it->journal_rows);
}

static void take_account(const struct account_figures *it) {
    if (account.lots == NULL) return;
    metric_set(account.lots, it->lots);
    metric_set(account.lots_off, it->lots_off);
    metric_set(account.difference, it->difference);
    metric_set(account.at, it->at);
    metric_add(account.recoveries, it->recoveries);
    if (it->recoveries > 0)
        log_warn("catalogue", "units were held for nobody, twice in a row: recovery asked for",
                 LOG_U64("shards", it->recoveries));
}

bool figures_take(const struct message *message) {
    switch ((enum message_id)message->head.type) {
    case MSG_writer_figures:
        take_writer(BODY(message, writer_figures), message->head.shard);
        return true;
    case MSG_account_figures: take_account(BODY(message, account_figures)); return true;
    default: return false;
    }
}

void figures_forget(uint32_t shard) {
    take_writer(&(struct writer_figures){ 0 }, shard);
}
