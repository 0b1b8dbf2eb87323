#include "tools/doorsim/seed_tables.h"

#include "broker/clock.h"
#include "schema/schema.h"
#include "schema/timefmt.h"
#include "tools/doorsim/options.h"
#include "tools/doorsim/pg_copy.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MANY = 20000,    /* From here on indexes are made anew. */
    ORDER_STEP = 64, /* Ids of past orders: all of shard 0, whose last six bits are 0. */
    REMAKE_MAX = 64,
    PAST_DAYS = 300,
};

static bool complain(PGconn *connection) {
    fprintf(stderr, "doorsim seed: %s", PQerrorMessage(connection));
    return false;
}

bool seed_run(PGconn *connection, const char *sql) {
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || complain(connection);
}

bool seed_number(PGconn *connection, const char *sql, int64_t *number) {
    PGresult *result = PQexec(connection, sql);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (!good) (void)complain(connection);
    good = good && options_number(PQgetvalue(result, 0, 0), INT64_MIN, INT64_MAX, number);
    PQclear(result);
    return good;
}

/* Takes constraints (but primary keys) and indexes off some tables, and keeps the statements that
 * bring them back, in an order in which they can be run. */
struct remake {
    size_t count;
    char *sql[REMAKE_MAX];
};

static bool take_off(PGconn *connection, struct remake *self, const char *tables) {
    char sql[1600];
    (void)snprintf(
        sql, sizeof sql,
        "SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),"
        " format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname,"
        " pg_get_constraintdef(oid)), 1 + (contype = 'f')::int AS rank FROM pg_constraint"
        " WHERE conrelid = ANY ('{%s}'::regclass[]) AND contype IN ('u', 'f')"
        " UNION ALL SELECT format('DROP INDEX %%s', indexrelid::regclass),"
        " pg_get_indexdef(indexrelid), 0 FROM pg_index WHERE indrelid = ANY ('{%s}'::regclass[])"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
        " ORDER BY rank",
        tables, tables);
    PGresult *result = PQexec(connection, sql);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) <= REMAKE_MAX;
    if (!good) (void)complain(connection);
    for (int i = 0; good && i < PQntuples(result); i++) {
        good = (self->sql[self->count] = strdup(PQgetvalue(result, i, 1))) != NULL;
        self->count += good;
    }
    /* The last to come back go first. */
    for (int i = good ? PQntuples(result) : 0; good && i > 0; i--) {
        good = seed_run(connection, PQgetvalue(result, i - 1, 0));
    }
    PQclear(result);
    return good;
}

static bool bring_back(PGconn *connection, struct remake *self, bool good) {
    for (size_t i = 0; i < self->count; i++) {
        good = good && seed_run(connection, self->sql[i]);
        free(self->sql[i]);
    }
    return good;
}

static bool copy_accounts(PGconn *connection, struct pg_copy *copy, int64_t first, int64_t count,
                          const char *phc) {
    int64_t now = clock_now();
    copy_begin(copy, connection, "account (user_id, login, password, created_at)");
    for (int64_t user = first; user < first + count; user++) {
        char login[64];
        (void)snprintf(login, sizeof login, "shopper%" PRId64 "@seed.example", user);
        copy_row(copy, 4);
        copy_int8(copy, user);
        copy_text(copy, login);
        copy_text(copy, phc);
        copy_time(copy, now);
    }
    return copy_end(copy, "doorsim seed");
}

static bool copy_sessions(PGconn *connection, struct pg_copy *copy, int64_t first, int64_t count) {
    int64_t now = clock_now();
    copy_begin(copy, connection,
               "session (session_id, user_id, refresh_hash, rotated_at, created_at, expires_at)");
    for (int64_t user = first; user < first + count; user++) {
        unsigned char hash[32]; /* Of a refresh token that nobody knows. */
        randombytes_buf(hash, sizeof hash);
        copy_row(copy, 6);
        copy_int8(copy, user);
        copy_int8(copy, user);
        copy_bytes(copy, hash, sizeof hash);
        copy_time(copy, now);
        copy_time(copy, now);
        copy_time(copy, now + 86400 * TIMEFMT_NS_PER_S);
    }
    return copy_end(copy, "doorsim seed");
}

bool seed_accounts(PGconn *connection, int64_t first, int64_t count, const char *phc) {
    struct pg_copy *copy = malloc(sizeof *copy);
    struct remake remake = { 0 };
    bool good = copy != NULL && (count < MANY || take_off(connection, &remake, "account,session"));
    good = good && copy_accounts(connection, copy, first, count, phc) &&
           copy_sessions(connection, copy, first, count);
    good = bring_back(connection, &remake, good);
    free(copy);
    return good;
}

/* ------------------------------------------------------------------------------------- past orders
 */

static const char past_lot_sql[] =
    "WITH p AS (INSERT INTO product VALUES (%" PRId64 ", 'Something of the past')),"
    " k AS (INSERT INTO sku VALUES (%" PRId64 ", %" PRId64 ", 'one')),"
    " g AS (INSERT INTO general_stock VALUES (%" PRId64 ", 0)),"
    " s AS (INSERT INTO sale (sale_id, title, state, opens_at, closes_at, pay_window_us)"
    "  VALUES (%" PRId64 ", 'Past sales', %d, now() - interval '%d days', now() - interval '1 day',"
    "  900000000))"
    " INSERT INTO lot (lot_id, sale_id, sku_id, shard, state, allocated, sold, price, currency,"
    "  per_buyer_limit, pay_window_us, rid_after) VALUES (%" PRId64 ", %" PRId64 ", %" PRId64
    ", 0, %d, %" PRId64 ", %" PRId64 ", 1999, 'CNY', 10000, 900000000, 0)";

static bool add_past_lot(PGconn *connection, int64_t id, int64_t count) {
    char sql[1400];
    (void)snprintf(sql, sizeof sql, past_lot_sql, id, id, id, id, id, sale_state_archived,
                   PAST_DAYS, id, id, id, lot_state_settled, count, count);
    return seed_run(connection, sql);
}

static bool copy_orders(PGconn *connection, struct pg_copy *copy, const int64_t *at, int64_t first,
                        int64_t users, int64_t count) {
    int64_t begin = clock_now() - PAST_DAYS * 86400 * TIMEFMT_NS_PER_S;
    int64_t step = (PAST_DAYS - 1) * 86400 * TIMEFMT_NS_PER_S / count;
    copy_begin(copy, connection,
               "orders (order_id, rid, user_id, lot_id, price, created_at, pay_by, shard, state,"
               " quantity, currency, address)");
    for (int64_t i = 0; i < count; i++) {
        int64_t made = begin + i * step;
        copy_row(copy, 12);
        copy_int8(copy, (at[0] + i) * ORDER_STEP);
        copy_int8(copy, at[1] + i);
        /* Neighbours in time are not neighbours by name. */
        copy_int8(copy, first + (i * 7919) % users);
        copy_int8(copy, at[2]);
        copy_int8(copy, 1999);
        copy_time(copy, made);
        copy_time(copy, made + 900 * TIMEFMT_NS_PER_S);
        copy_int2(copy, 0);
        copy_int2(copy, order_state_completed);
        copy_int2(copy, 1);
        copy_text(copy, "CNY");
        copy_text(copy, "{\"name\":\"Shopper\",\"phone\":\"+8613800000000\",\"line\":\"1 Door "
                        "Street\",\"city\":\"Shanghai\",\"country\":\"CN\"}");
    }
    return copy_end(copy, "doorsim seed");
}

bool seed_orders(PGconn *connection, int64_t first, int64_t users, int64_t count) {
    struct pg_copy *copy = malloc(sizeof *copy);
    struct remake remake = { 0 };
    int64_t at[3]; /* The first order by number, the first rid, the lot. */
    /* Rids of epoch 0, which no recovery ever gives, and ids below those that servers make. */
    bool good =
        copy != NULL &&
        seed_number(connection,
                    "SELECT coalesce(max(order_id), 0) / 64 + 1 FROM orders"
                    " WHERE order_id < 1::bigint << 40",
                    &at[0]) &&
        seed_number(connection,
                    "SELECT coalesce(max(rid), 0) + 1 FROM orders WHERE rid < 1::bigint << 36",
                    &at[1]) &&
        seed_number(connection,
                    "SELECT coalesce(max(lot_id), 0) + 1 FROM lot"
                    " WHERE lot_id < 1::bigint << 40",
                    &at[2]) &&
        add_past_lot(connection, at[2], count) &&
        (count < MANY || take_off(connection, &remake, "orders"));
    good = good && copy_orders(connection, copy, at, first, users, count);
    good = bring_back(connection, &remake, good);
    free(copy);
    return good;
}
