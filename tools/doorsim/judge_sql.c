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

/* Each gives how many rows break a rule and what the first of them is; $1 as above. */
static const struct {
    enum rule rule;
    const char *sql;
} checks[] = {
    { RULE_two_outcomes, "SELECT count(*), 'rid ' || min(o.rid) FROM orders o JOIN refusal USING"
                         " (rid) WHERE $1::bigint[] IS NULL OR o.lot_id = ANY ($1)" },
    { RULE_effects,
      "SELECT count(*), 'payment ' || min(payment_id) FROM (SELECT p.payment_id FROM payment p"
      " JOIN orders o USING (order_id)"
      " LEFT JOIN ledger l ON l.payment_id = p.payment_id AND l.refund_id IS NULL"
      " WHERE $1::bigint[] IS NULL OR o.lot_id = ANY ($1) GROUP BY p.payment_id"
      " HAVING count(l.entry_id) <> CASE WHEN p.state = 3 AND p.amount > 0 THEN 2 ELSE 0 END) x" },
    /* Every notice of a change has its event, or its order when it is about that. */
    { RULE_phantom,
      "SELECT count(*), 'notice ' || min(x.outbox_id) FROM outbox x"
      " LEFT JOIN (VALUES (3, 4), (4, 7), (5, 8)) AS n (notice, state) ON n.notice = x.notice"
      " WHERE x.order_id IS NOT NULL AND ($1::bigint[] IS NULL OR TRUE) AND ("
      "  NOT EXISTS (SELECT FROM orders o WHERE o.order_id = x.order_id) OR n.state IS NOT NULL AND"
      "  NOT EXISTS (SELECT FROM order_event e WHERE e.order_id = x.order_id"
      "   AND e.to_state = n.state) OR x.notice = 6 AND NOT EXISTS"
      "   (SELECT FROM refund r WHERE r.order_id = x.order_id AND r.state = 2))" },
    /* Where mail is off, batches are put aside without the names of their orders. */
    { RULE_unnoticed,
      "WITH told AS (SELECT notice, order_id FROM outbox WHERE order_id IS NOT NULL UNION"
      "  SELECT notice, unnest(orders) FROM outbox WHERE orders IS NOT NULL),"
      " due AS (SELECT order_id, 2 AS notice FROM orders"
      "  WHERE $1::bigint[] IS NULL OR lot_id = ANY ($1)"
      "  UNION SELECT e.order_id, n.notice FROM order_event e JOIN orders o USING (order_id)"
      "  JOIN (VALUES (3, 4), (4, 7), (5, 8), (6, 10)) AS n (notice, state) ON n.state = e.to_state"
      "  WHERE $1::bigint[] IS NULL OR o.lot_id = ANY ($1))"
      " SELECT count(*), 'order ' || min(order_id) FROM due d"
      " WHERE NOT EXISTS (SELECT FROM told t WHERE t.notice = d.notice AND t.order_id = d.order_id)"
      " AND NOT EXISTS (SELECT FROM outbox WHERE error = 'mail is off')" },
    { RULE_new_epoch,
      "SELECT count(*), 'rid ' || min(x.rid) FROM (SELECT rid, lot_id FROM orders UNION ALL"
      " SELECT rid, lot_id FROM refusal) x LEFT JOIN stock_shard s ON s.shard = x.rid >> 56"
      " WHERE ((x.rid >> 36) & 1048575) > coalesce(s.epoch, 0)"
      " AND ($1::bigint[] IS NULL OR x.lot_id = ANY ($1))" },
    { RULE_events,
      "SELECT count(DISTINCT order_id), 'order ' || min(order_id) FROM ("
      " SELECT o.order_id, o.state, e.from_state, e.to_state,"
      "  coalesce(lag(e.to_state) OVER w, 2) AS before, lead(e.to_state) OVER w IS NULL AS last"
      "  FROM orders o LEFT JOIN order_event e USING (order_id)"
      "  WHERE $1::bigint[] IS NULL OR o.lot_id = ANY ($1)"
      "  WINDOW w AS (PARTITION BY o.order_id ORDER BY e.event_id)) x"
      " WHERE from_state <> before OR last AND state <> coalesce(to_state, 2)" },
};

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

static bool run_checks(struct facts *self, PGconn *connection, const char *lots) {
    enum { COUNT = sizeof checks / sizeof checks[0] };
    self->checks = calloc(COUNT, sizeof *self->checks);
    if (self->checks == NULL) return false;
    for (size_t i = 0; i < COUNT; i++) {
        struct fact_check *check = &self->checks[self->check_count++];
        check->rule = checks[i].rule;
        PGresult *result = ask(connection, checks[i].sql, lots);
        bool good = result != NULL && number(result, 0, 0, &check->count);
        if (good) (void)snprintf(check->first, sizeof check->first, "%s", PQgetvalue(result, 0, 1));
        PQclear(result);
        if (!good) return false;
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
    return run_checks(self, connection, lots);
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
        /* One snapshot for all of them. */
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
