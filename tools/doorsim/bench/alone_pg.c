/* purchase_batch, COPY and the usual way, without anything around them. */
#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/pg/statements.h"
#include "schema/id.h"
#include "schema/timefmt.h"
#include "tools/doorsim/bench/alone.h"
#include "tools/doorsim/options.h"
#include "tools/doorsim/pg_copy.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_LOT = 900, EPOCH = 7, USUAL_MAX = 64, COPY_SHARD = 2 };

struct alone_pg {
    const char *dsn;
    PGconn *connection;
    const struct statement *purchase;
    struct batch messages;
    struct values values;
    int64_t next;     /* The next order, buyer and rid. */
    int64_t next_lot; /* For the pipeline. */
};

static bool complain(PGconn *connection, const char *what) {
    fprintf(stderr, "doorsim bench: PostgreSQL: %s: %s", what, PQerrorMessage(connection));
    return false;
}

static bool execute(PGconn *connection, const char *sql) {
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || complain(connection, sql);
}

static int64_t number(PGconn *connection, const char *sql) {
    int64_t value = -1;
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
        !options_number(PQgetvalue(result, 0, 0), INT64_MIN, INT64_MAX, &value)) {
        (void)complain(connection, sql);
    }
    PQclear(result);
    return value;
}

/* A SKU in an open sale, the lot of our shard, and a table like orders for the usual way. */
static const char setup_sql[] =
    "SET client_min_messages = warning;"
    "INSERT INTO product VALUES (900, 'Anvil') ON CONFLICT DO NOTHING;"
    "INSERT INTO sku VALUES (900, 900, 'one') ON CONFLICT DO NOTHING;"
    "INSERT INTO general_stock VALUES (900, 0) ON CONFLICT DO NOTHING;"
    "INSERT INTO sale (sale_id, title, state, opens_at, closes_at, pay_window_us) VALUES"
    " (900, 'Alone', 5, now() - interval '1 hour', now() + interval '1 day', 21600000000)"
    " ON CONFLICT DO NOTHING;"
    "INSERT INTO stock_shard (shard, epoch) VALUES (1, 7) ON CONFLICT DO NOTHING;"
    "INSERT INTO lot (lot_id, sale_id, sku_id, shard, state, allocated, price, currency,"
    " per_buyer_limit, pay_window_us, rid_after) VALUES (900, 900, 900, 1, 2, 1000000000, 1999,"
    " 'CNY', 1, 21600000000, 0) ON CONFLICT DO NOTHING;"
    "DROP TABLE IF EXISTS usual_orders, usual_stock;"
    "CREATE TABLE usual_orders (LIKE orders INCLUDING ALL);"
    "CREATE TABLE usual_stock (lot_id bigint PRIMARY KEY, available bigint NOT NULL"
    " CHECK (available >= 0));"
    "INSERT INTO usual_stock VALUES (900, 1000000000)";

struct alone_pg *alone_pg_open(const char *dsn) {
    struct alone_pg *self = calloc(1, sizeof *self);
    uint32_t ignored;
    if (self == NULL) return NULL;
    self->dsn = dsn;
    self->purchase = statement_for(MSG_purchase, &ignored);
    self->next_lot = FIRST_LOT + 1;
    batch_init(&self->messages);
    self->connection = PQconnectdb(dsn);
    bool good = PQstatus(self->connection) == CONNECTION_OK || complain(self->connection, dsn);
    good = good && execute(self->connection, setup_sql);
    if (good) {
        PGresult *result = PQprepare(self->connection, "batch", self->purchase->sql, 0, NULL);
        good = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    /* Another run on the same stores goes on behind what this one left. */
    if (good) self->next = number(self->connection, "SELECT count(*) * 2 + 1 FROM orders");
    if (good && self->next > 0) return self;
    alone_pg_close(&self);
    return NULL;
}

/* ---- purchase_batch ---- */

static bool send_batch(struct alone_pg *self, uint32_t rows) {
    struct head head = { .type = MSG_purchase };
    int64_t now = clock_now();
    batch_reset(&self->messages);
    for (uint32_t i = 0; i < rows; i++, self->next++) {
        struct purchase *want = batch_take(&self->messages, &head, message_type(MSG_purchase));
        *want = (struct purchase){ .rid = rid_make(ALONE_SHARD, EPOCH, (uint64_t)self->next),
                                   .order_id = (INT64_C(1) << 50) + self->next,
                                   .user_id = self->next,
                                   .lot_id = FIRST_LOT,
                                   .quantity = 1,
                                   .kind = reserve_kind_ordinary,
                                   .address = text_of(ALONE_ADDRESS),
                                   .now = now };
    }
    values_make(&self->values, self->messages.items, rows, true);
    return (PQsendQueryPrepared(self->connection, "batch", (int)self->values.count,
                                self->values.value, NULL, NULL, 0) == 1 &&
            PQpipelineSync(self->connection) == 1 && PQflush(self->connection) >= 0) ||
           complain(self->connection, "purchase_batch");
}

/* All rows accepted, in short: a row with n = 0 is for all of the lot. */
static bool all_accepted(const PGresult *result) {
    char accepted[8];
    (void)snprintf(accepted, sizeof accepted, "%d", outcome_accepted);
    return PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
           strcmp(PQgetvalue(result, 0, 0), "0") == 0 &&
           strcmp(PQgetvalue(result, 0, 2), accepted) == 0;
}

/* The rows, the end of them, and the synchronisation, which comes after the commit. */
static bool read_batch(struct alone_pg *self) {
    PGresult *result = PQgetResult(self->connection);
    bool good = all_accepted(result);
    if (!good)
        fprintf(stderr, "doorsim bench: a batch was not accepted: %s\n",
                PQresultErrorMessage(result));
    PQclear(result);
    PQclear(PQgetResult(self->connection));
    result = PQgetResult(self->connection);
    good = good && PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    PQclear(result);
    return good;
}

double alone_pg_batches(struct alone_pg *self, uint32_t rows, unsigned flight, int64_t ns) {
    bool good = rows <= STATEMENT_BATCH_MAX || rows <= ALONE_BATCH_MAX;
    good = good && PQenterPipelineMode(self->connection) == 1;
    int64_t started = clock_mono(), ends = started + ns, now = started;
    uint64_t taken = 0;
    unsigned sent = 0;
    while (good && (now < ends || sent > 0)) {
        for (; good && sent < flight && now < ends; sent++) {
            good = send_batch(self, rows);
        }
        good = good && read_batch(self);
        sent--;
        taken += rows;
        now = clock_mono();
    }
    good = PQexitPipelineMode(self->connection) == 1 && good;
    return good ? (double)taken / ((double)(now - started) / 1e9) : -1;
}

/* ---- COPY ---- */

double alone_pg_copy(struct alone_pg *self, uint32_t rows, int64_t ns) {
    struct pg_copy *copy = malloc(sizeof *copy);
    int64_t started = clock_mono(), ends = started + ns, now = started;
    uint64_t taken = 0;
    bool good = copy != NULL;
    while (good && now < ends) {
        int64_t at = clock_now();
        copy_begin(copy, self->connection,
                   "orders (order_id, rid, user_id, lot_id, price, created_at, pay_by, shard,"
                   " state, quantity, currency, address)");
        for (uint32_t i = 0; i < rows; i++, self->next++) {
            copy_row(copy, 12);
            copy_int8(copy, (INT64_C(1) << 51) + self->next);
            copy_int8(copy, rid_make(COPY_SHARD, EPOCH, (uint64_t)self->next));
            copy_int8(copy, self->next);
            copy_int8(copy, FIRST_LOT + 1000000); /* No lot: only the rows are of interest. */
            copy_int8(copy, 1999);
            copy_time(copy, at);
            copy_time(copy, at + 21600 * TIMEFMT_NS_PER_S);
            copy_int2(copy, COPY_SHARD);
            copy_int2(copy, order_state_awaiting_payment);
            copy_int2(copy, 1);
            copy_text(copy, "CNY");
            copy_text(copy, ALONE_ADDRESS);
        }
        good = copy_end(copy, "doorsim bench");
        taken += rows;
        now = clock_mono();
    }
    free(copy);
    return good ? (double)taken / ((double)(now - started) / 1e9) : -1;
}

/* ---- The usual way ---- */

struct usual {
    pthread_t thread;
    PGconn *connection;
    atomic_llong *next;
    int64_t ends;
    uint64_t taken;
    bool good;
};

static bool step(struct usual *self, const char *name, int count, const char *const *values) {
    PGresult *result = PQexecPrepared(self->connection, name, count, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (good && count > 0) good = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    return good || complain(self->connection, name);
}

static bool prepare_usual(PGconn *connection) {
    static const char *const statements[][2] = {
        { "begin", "BEGIN" },
        { "take", "UPDATE usual_stock SET available = available - 1 WHERE lot_id = 900 AND"
                  " available >= 1 AND $1::bigint > 0" },
        { "order", "INSERT INTO usual_orders (order_id, rid, user_id, lot_id, price, created_at,"
                   " pay_by, shard, state, quantity, currency, address) VALUES ($1::bigint,"
                   " $1::bigint, $1::bigint, 900, 1999, now(), now() + interval '6 hours', 0, 2, 1,"
                   " 'CNY', $2)" },
        { "commit", "COMMIT" },
    };
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        PGresult *result = PQprepare(connection, statements[i][0], statements[i][1], 0, NULL);
        bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (!good) return complain(connection, statements[i][1]);
    }
    return true;
}

static void *buy_usually(void *argument) {
    struct usual *self = argument;
    while (self->good && clock_mono() < self->ends) {
        char order[24];
        (void)snprintf(order, sizeof order, "%lld", atomic_fetch_add(self->next, 1));
        const char *const values[] = { order, ALONE_ADDRESS };
        self->good = step(self, "begin", 0, NULL) && step(self, "take", 1, values) &&
                     step(self, "order", 2, values) && step(self, "commit", 0, NULL);
        self->taken += self->good;
    }
    return NULL;
}

double alone_pg_usual(struct alone_pg *self, unsigned connections, int64_t ns) {
    struct usual *all = calloc(USUAL_MAX, sizeof *all);
    atomic_llong next = self->next;
    bool good = all != NULL && connections <= USUAL_MAX;
    unsigned opened = 0;
    for (; good && opened < connections; opened++) {
        all[opened].connection = PQconnectdb(self->dsn);
        good = PQstatus(all[opened].connection) == CONNECTION_OK &&
               prepare_usual(all[opened].connection);
    }
    int64_t started = clock_mono();
    unsigned running = 0;
    for (; good && running < connections; running++) {
        all[running].next = &next;
        all[running].ends = started + ns;
        all[running].good = true;
        good = pthread_create(&all[running].thread, NULL, buy_usually, &all[running]) == 0;
    }
    uint64_t taken = 0;
    for (unsigned i = 0; i < running; i++) {
        pthread_join(all[i].thread, NULL);
        good = good && all[i].good;
        taken += all[i].taken;
    }
    double seconds = (double)(clock_mono() - started) / 1e9;
    for (unsigned i = 0; i < opened; i++) {
        PQfinish(all[i].connection);
    }
    self->next = next;
    free(all);
    return good ? (double)taken / seconds : -1;
}

/* ---- For the pipeline ---- */

int64_t alone_pg_pipeline_lot(struct alone_pg *self) {
    char sql[700];
    int64_t lot = self->next_lot++;
    (void)snprintf(sql, sizeof sql,
                   "UPDATE lot SET state = 5 WHERE shard = 0 AND state <> 5;"
                   "INSERT INTO lot (lot_id, sale_id, sku_id, shard, state, allocated, price,"
                   " currency, per_buyer_limit, pay_window_us, rid_after) SELECT %" PRId64
                   ", 900, 900, 0, 2, 1000000000, 1999, 'CNY', 1, 21600000000,"
                   " coalesce((SELECT max(rid) FROM orders WHERE rid < 1::bigint << 56), 0)",
                   lot);
    return execute(self->connection, sql) ? lot : 0;
}

int64_t alone_pg_orders(struct alone_pg *self, int64_t lot) {
    char sql[100];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM orders WHERE lot_id = %" PRId64, lot);
    return number(self->connection, sql);
}

void alone_pg_close(struct alone_pg **self_at) {
    struct alone_pg *self = *self_at;
    if (self == NULL) return;
    *self_at = NULL;
    PQfinish(self->connection);
    batch_fini(&self->messages);
    values_fini(&self->values);
    free(self);
}
