/* G10: the payment provider's own ledger against our tables.  Whoever paid there has paid here,
 * what went back there is a refund here, and nothing is paid here that he has not got. */
#include "tools/doorsim/chaos.h"
#include "tools/doorsim/fetch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LEDGER_MAX = 1 << 20, SQL_MAX = 120000 }; /* One word of a command line has 128 k. */

/* (payment, amount, currency, refunded) of one that succeeded there.  False: what is that? */
static bool add_row(struct textbuf *sql, const json_t *payment, unsigned *count) {
    const char *status, *id, *currency;
    json_int_t amount, refunded;
    char *end;
    if (json_unpack((json_t *)(uintptr_t)payment, "{ss ss ss sI sI}", "status", &status,
                    "payment_id", &id, "currency", &currency, "amount", &amount, "refunded",
                    &refunded) != 0)
        return false;
    if (strcmp(status, "succeeded") != 0) return true;
    (*count)++;
    int64_t number = strtoll(id, &end, 10);
    return *end == '\0' && strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(currency) &&
           textbuf_format(sql, ",(%" PRId64 ",%lld,'%s',%lld)", number, (long long)amount, currency,
                          (long long)refunded);
}

static bool read_ledger(const struct chaos *self, struct textbuf *sql, unsigned *count) {
    struct textbuf body;
    textbuf_init(&body, LEDGER_MAX);
    bool good = fetch(self->stage.pay_url, "/ledger", 5 * CHAOS_S, &body) == 200;
    json_t *ledger = good ? json_loadb(body.bytes, body.length, 0, NULL) : NULL;
    const json_t *payments = json_object_get(ledger, "payments");
    good = json_is_array(payments);
    for (size_t i = 0; good && i < json_array_size(payments); i++)
        good = add_row(sql, json_array_get(payments, i), count);
    json_decref(ledger);
    textbuf_fini(&body);
    return good;
}

/* What differs, one word for each payment, or nothing.  A payment that ended here for good without
 * money, or an order that keeps money it should not, is the judge's affair (G8). */
static const char differences[] =
    " SELECT coalesce(string_agg(what, ' '), 'none') FROM ("
    "SELECT format('%s:paid-there-only(state=%s)', t.id, p.state) AS what FROM theirs t"
    " LEFT JOIN payment p ON p.payment_id = t.id WHERE p.state IS DISTINCT FROM 3"
    " UNION ALL SELECT format('%s:paid-here-only', p.payment_id) FROM payment p"
    " LEFT JOIN theirs t ON t.id = p.payment_id WHERE p.state = 3 AND p.amount > 0 AND t.id IS NULL"
    " UNION ALL SELECT format('%s:amount', t.id) FROM theirs t JOIN payment p ON p.payment_id = "
    "t.id"
    " WHERE (t.amount, t.currency) <> (p.amount, p.currency)"
    " UNION ALL SELECT format('%s:refund(%s there, %s here)', t.id, t.refunded, r.sum)"
    " FROM theirs t, LATERAL (SELECT coalesce(sum(amount), 0) AS sum FROM refund"
    "  WHERE payment_id = t.id AND state = 2) r WHERE t.refunded <> r.sum) x";

static bool compare(struct chaos *self, char *out, size_t size, unsigned *count) {
    struct textbuf sql;
    *count = 0;
    textbuf_init(&sql, SQL_MAX);
    /* The first row gives the columns their types also when nobody has paid. */
    bool good =
        textbuf_format(&sql, "WITH theirs (id, amount, currency, refunded) AS (SELECT * FROM"
                             " (VALUES (0::bigint, 0::bigint, '', 0::bigint)") &&
        read_ledger(self, &sql, count) &&
        textbuf_format(&sql, ") v WHERE column1 > 0)%s", differences) &&
        stage_sql(&self->stage, sql.bytes, out, size);
    textbuf_fini(&sql);
    return good;
}

bool chaos_money(struct chaos *self, int64_t limit_ns) {
    char out[1000] = "the ledger could not be read";
    unsigned count = 0;
    /* Refunds and questions to the provider are on their way for a moment. */
    for (int64_t left = limit_ns; left > 0 && !stage_stopped(); left -= 200 * CHAOS_MS) {
        if (compare(self, out, sizeof out, &count) && strcmp(out, "none") == 0) {
            chaos_say(self, "the provider and we agree about %u payments", count);
            return true;
        }
        stage_sleep(&self->stage, 200 * CHAOS_MS);
    }
    printf("FAIL G10 the provider's ledger and ours differ: %s\n", out);
    return false;
}
