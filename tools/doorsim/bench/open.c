/* Figures of the open loop: latency at a share of the best rate, overload, and the calm after it.
 */
#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/bench/apart.h"
#include "tools/doorsim/bench/bench.h"
#include "tools/doorsim/open_loop.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LATE_MAX_MS = 10, CONNECTIONS_UNDER_LOAD = 8, SETTLE_S = 2 };

/* Like the closed loops a round does not count its first moments, a crowd does. */
static bool run(struct bench *self, const char *what, double rate, unsigned connections,
                bool warm_up, struct open_result *result) {
    const struct bench_words *words = self->words;
    struct arrivals arrivals = { 0 };
    struct tickets tickets = { 0 };
    int64_t warmup_ns = warm_up ? words->warmup_ms * TIMEFMT_NS_PER_MS : 0;
    const struct arrivals_wish wish = { .curve = CURVE_poisson,
                                        .rate = rate,
                                        .duration_ns =
                                            words->round_ms * TIMEFMT_NS_PER_MS + warmup_ns,
                                        .seed = self->next_shopper };
    bool good = arrivals_init(&arrivals, &wish) &&
                bench_tickets(self, &tickets, 1, (size_t)arrivals_most(&arrivals));
    const struct open_plan plan = {
        .kind = LOAD_buy,
        .base = words->base,
        .tickets = &tickets,
        .quantity = 1,
        .arrivals = &arrivals,
        .percent = { 100 },
        .connections = connections,
        .timeout_ns = words->timeout_ms * TIMEFMT_NS_PER_MS,
        .late_max_ns = LATE_MAX_MS * TIMEFMT_NS_PER_MS,
        .warmup_ns = warmup_ns,
    };
    good = good && open_run(&plan, result);
    if (good) {
        self->told_yes += result->told_yes;
        self->may_be += result->may_be;
        for (unsigned i = 0; i < result->fault_count; i++) {
            book_note(&self->book, "%s: %s", what, result->faults[i]);
        }
    }
    arrivals_fini(&arrivals);
    tickets_fini(&tickets);
    return good;
}

static double ms(const struct histogram *histogram, double percent) {
    return (double)histogram_percentile(histogram, percent) / 1e6;
}

/* Of all who asked, told yes or not: whoever was sent away quickly does not make it fast. */
static bool at_share(struct bench *self, const char *what, double share, enum figure p50,
                     struct open_result *result) {
    bool good =
        run(self, what, share * self->best, (unsigned)self->words->connections, true, result);
    if (!good) return false;
    uint64_t yes = open_count(result, TALLY_created);
    if (yes < result->requests) {
        book_note(&self->book, "%s: some were not told yes at once", what);
    }
    if (p50 == FIGURE_after_p99) {
        book_add(&self->book, p50, ms(&result->latency, 99));
    } else {
        book_add(&self->book, p50, ms(&result->latency, 50));
        book_add(&self->book, (enum figure)(p50 + 1), ms(&result->latency, 99));
        book_add(&self->book, (enum figure)(p50 + 2), ms(&result->latency, 99.9));
    }
    open_result_fini(result);
    return true;
}

/* Within the plan's time only: what is decided afterwards is no rate under load. */
static double sent_per_s(const struct open_result *result) {
    const struct series *series = &result->series;
    uint64_t sent = 0;
    for (size_t i = 0; i < series->count && (int64_t)i * series->slice_ns < result->planned_ns;
         i++) {
        sent += series->slices[i].sent;
    }
    return (double)sent / ((double)result->planned_ns / 1e9);
}

/* Purchases that PostgreSQL accepted in a time of the wall clock, whatever was answered: 202s too.
 */
static double committed_per_s(const struct bench *self, int64_t from, int64_t until) {
    char lot[24], low[24], high[24];
    const char *const values[] = { lot, low, high };
    (void)snprintf(lot, sizeof lot, "%" PRId64, self->lots[0]);
    (void)snprintf(low, sizeof low, "%.6f", (double)from / 1e9);
    (void)snprintf(high, sizeof high, "%.6f", (double)until / 1e9);
    PGconn *connection = PQconnectdb(self->words->dsn);
    PGresult *result =
        PQexecParams(connection,
                     "SELECT count(*) FROM orders WHERE lot_id = $1::bigint AND created_at >="
                     " to_timestamp($2::float8) AND created_at < to_timestamp($3::float8)",
                     3, NULL, values, NULL, NULL, 0);
    double count = PQntuples(result) == 1 ? strtod(PQgetvalue(result, 0, 0), NULL) : (double)NAN;
    PQclear(result);
    PQfinish(connection);
    return count / ((double)(until - from) / 1e9);
}

static bool crowd(struct bench *self, struct open_result *result) {
    unsigned connections = CONNECTIONS_UNDER_LOAD * (unsigned)self->words->connections;
    if (!bench_buy(self, FIGURE_apart, 1)) return false;
    double best = book_median(&self->book, FIGURE_apart);
    if (!run(self, "three times the load", 3 * best, connections, false, result)) return false;
    book_add(&self->book, FIGURE_overload_sent, sent_per_s(result));
    if (self->words->dsn != NULL) {
        int64_t began = clock_now() - (clock_mono() - result->began_at);
        book_add(&self->book, FIGURE_overload_purchases,
                 committed_per_s(self, began, began + result->planned_ns));
    }
    if (result->refusal.count > 0) {
        book_add(&self->book, FIGURE_overload_refusal_p99, ms(&result->refusal, 99));
        book_add(&self->book, FIGURE_overload_refusal_max,
                 (double)histogram_max(&result->refusal) / 1e6);
    }
    open_result_fini(result);
    return true;
}

static bool overload(struct bench *self, struct open_result *result) {
    const struct bench_words *words = self->words;
    struct apart apart;
    if (!apart_begin(&apart, words->server_pid, words->redis_pid, words->pg_pid)) {
        book_note(&self->book, "three times the load: not measured without two processors and the"
                               " processes of server and stores");
        return true;
    }
    bool good = crowd(self, result);
    apart_end(&apart);
    return good;
}

bool bench_open(struct bench *self) {
    if (self->best <= 0 || !bench_wants(self, "open")) return true;
    /* Latency is that of a sale, not of clearing up after one at full speed. */
    nanosleep(&(struct timespec){ .tv_sec = SETTLE_S }, NULL);
    struct open_result *result = malloc(sizeof *result);
    bool good = result != NULL && at_share(self, "half load", 0.5, FIGURE_half_p50, result) &&
                at_share(self, "full load", 1.0, FIGURE_full_p50, result) &&
                overload(self, result) &&
                at_share(self, "half load after it", 0.5, FIGURE_after_p99, result);
    free(result);
    return good;
}
