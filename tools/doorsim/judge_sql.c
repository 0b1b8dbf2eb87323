#include "tools/doorsim/judge_sql.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOTS_TEXT_MAX = 32 << 10 };

/* Columns in the order the readers below take them; $1 is the list of lots, or NULL for all. */
static const char lots_sql[] = "SELECT l.lot_id, l.allocated, l.sold, l.per_buyer_limit,"
                               " coalesce(sum(m.change) FILTER (WHERE m.counter = 'sold'), 0),"
                               " coalesce(sum(m.change) FILTER (WHERE m.counter = 'allocated'), 0)"
                               " FROM lot l LEFT JOIN stock_movement m ON m.lot_id = l.lot_id"
                               " WHERE $1::bigint[] IS NULL OR l.lot_id = ANY ($1)"
                               " GROUP BY l.lot_id";
/* A unit came back with the last move from a state that holds it to cancelled, expired, refunded.
 */
static const char orders_sql[] =
    "SELECT o.order_id, o.rid, o.lot_id, o.user_id, o.quantity, o.state,"
    " (extract(epoch FROM o.created_at) * 1000000)::bigint * 1000, coalesce(e.at_us, 0) * 1000,"
    " o.price * o.quantity, coalesce(p.captured, 0), coalesce(r.refunded, 0), coalesce(r.due, 0)"
    " FROM orders o"
    " LEFT JOIN (SELECT order_id, (extract(epoch FROM max(at)) * 1000000)::bigint AS at_us"
    "  FROM order_event WHERE to_state IN (7, 8, 10) AND from_state NOT IN (7, 8, 10)"
    "  GROUP BY order_id) e ON e.order_id = o.order_id"
    " LEFT JOIN (SELECT order_id, sum(amount) AS captured FROM payment WHERE state = 3"
    "  GROUP BY order_id) p ON p.order_id = o.order_id"
    " LEFT JOIN (SELECT order_id, sum(amount) FILTER (WHERE state = 2) AS refunded,"
    "  sum(amount) FILTER (WHERE state = 1) AS due FROM refund GROUP BY order_id) r"
    "  ON r.order_id = o.order_id"
    " WHERE $1::bigint[] IS NULL OR o.lot_id = ANY ($1)";
static const char ledger_sql[] =
    "SELECT currency, sum(amount), $1::bigint[] IS NULL FROM ledger GROUP BY currency";

/* A whole number; NULL is 0.  False when it is none. */
static bool number(const PGresult *result, int row, int column, int64_t *to) {
    *to = 0;
    if (PQgetisnull(result, row, column)) return true;
    const char *text = PQgetvalue(result, row, column);
    char *end;
    errno = 0;
    *to = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

/* Columns first, first + 1, … into the numbers given. */
static bool numbers(const PGresult *result, int row, int first, int64_t *const *to, int count) {
    for (int i = 0; i < count; i++) {
        if (!number(result, row, first + i, to[i])) return false;
    }
    return true;
}

static PGresult *ask(PGconn *connection, const char *sql, const char *lots) {
    PGresult *result = PQexecParams(connection, sql, 1, NULL, &lots, NULL, NULL, 0);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) return result;
    fprintf(stderr, "judge: %s", PQerrorMessage(connection));
    PQclear(result);
    return NULL;
}

/* Memory for all rows of a result; one more, so that none is no special case. */
static void *rows(const PGresult *result, size_t size) {
    return calloc((size_t)PQntuples(result) + 1, size);
}

static bool read_lots(struct facts *self, const PGresult *result) {
    self->lots = rows(result, sizeof *self->lots);
    if (self->lots == NULL) return false;
    for (int i = 0; i < PQntuples(result); i++) {
        struct fact_lot *lot = &self->lots[self->lot_count++];
        lot->has_movements = true;
        if (!numbers(result, i, 0,
                     (int64_t *const[]){ &lot->lot, &lot->allocated, &lot->sold,
                                         &lot->per_buyer_limit, &lot->moved_sold,
                                         &lot->moved_allocated },
                     6)) {
            return false;
        }
    }
    return true;
}

static bool read_orders(struct facts *self, const PGresult *result) {
    self->orders = rows(result, sizeof *self->orders);
    if (self->orders == NULL) return false;
    for (int i = 0; i < PQntuples(result); i++) {
        struct fact_order *order = &self->orders[self->order_count++];
        int64_t state;
        if (!numbers(result, i, 0,
                     (int64_t *const[]){ &order->order, &order->rid, &order->lot, &order->user,
                                         &order->quantity, &state, &order->created_at,
                                         &order->returned_at, &order->amount, &order->captured,
                                         &order->refunded, &order->refund_due },
                     12)) {
            return false;
        }
        order->state = (enum order_state)state;
    }
    return true;
}

static bool read_ledger(struct facts *self, const PGresult *result) {
    self->sums = rows(result, sizeof *self->sums);
    if (self->sums == NULL) return false;
    for (int i = 0; i < PQntuples(result); i++) {
        struct fact_sum *sum = &self->sums[self->sum_count++];
        (void)snprintf(sum->name, sizeof sum->name, "%s", PQgetvalue(result, i, 0));
        if (!number(result, i, 1, &sum->sum)) return false;
    }
    return true;
}

static bool load(struct facts *self, PGconn *connection, const char *lots) {
    static const struct {
        const char *sql;
        bool (*read)(struct facts *self, const PGresult *result);
    } parts[] = { { lots_sql, read_lots },
                  { orders_sql, read_orders },
                  { ledger_sql, read_ledger } };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        PGresult *result = ask(connection, parts[i].sql, lots);
        bool good = result != NULL && parts[i].read(self, result);
        if (result != NULL && !good) fprintf(stderr, "judge: cannot read a row\n");
        PQclear(result);
        if (!good) return false;
    }
    return true;
}

bool facts_load(struct facts *self, const char *dsn, const int64_t *lots, unsigned lot_count) {
    char text[LOTS_TEXT_MAX] = "{";
    size_t size = 1;
    *self = (struct facts){ 0 };
    for (unsigned i = 0; i < lot_count; i++) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%" PRId64, i > 0 ? "," : "",
                                 lots[i]);
        if (size + 2 > sizeof text) {
            fprintf(stderr, "judge: too many lots\n");
            return false;
        }
    }
    (void)snprintf(text + size, sizeof text - size, "}");
    PGconn *connection = PQconnectdb(dsn);
    bool good = PQstatus(connection) == CONNECTION_OK;
    if (!good) fprintf(stderr, "judge: %s", PQerrorMessage(connection));
    if (good) {
        /* One snapshot for all three. */
        PQclear(PQexec(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
        good = load(self, connection, lot_count == 0 ? NULL : text);
    }
    PQfinish(connection);
    return good;
}

bool facts_count_orders(const char *dsn, int64_t lot, int64_t *count) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, lot);
    PGconn *connection = PQconnectdb(dsn);
    PGresult *result =
        ask(connection, "SELECT count(*) FROM orders WHERE lot_id = $1::bigint", text);
    bool good = result != NULL && number(result, 0, 0, count);
    PQclear(result);
    PQfinish(connection);
    return good;
}

static bool only_in_flight(const struct verdict *verdict) {
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        if (i != RULE_charge && verdict->findings[i].count > 0) return false;
    }
    return verdict->findings[RULE_charge].count > 0;
}

bool judge_now(const struct history *history, const struct judge_words *words, struct facts *facts,
               struct verdict *verdict) {
    int64_t until = clock_mono() + words->settle_ns;
    for (;;) {
        facts_fini(facts);
        if (!facts_load(facts, words->dsn, words->lots, words->lot_count)) return false;
        if (!judge(history, facts, &words->options, verdict)) return false;
        if (!only_in_flight(verdict) || clock_mono() >= until) return true;
        nanosleep(&(struct timespec){ .tv_nsec = 200 * TIMEFMT_NS_PER_MS }, NULL);
    }
}

void history_keep_lots(struct history *history, const int64_t *lots, unsigned lot_count) {
    size_t kept = 0;
    if (lot_count == 0) return;
    for (size_t i = 0; i < history->count; i++) {
        for (unsigned j = 0; j < lot_count; j++) {
            if (history->events[i].lot != lots[j]) continue;
            history->events[kept++] = history->events[i];
            break;
        }
    }
    history->count = kept;
}
