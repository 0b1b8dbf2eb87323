#include "tests/lib/pg_harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/clock.h"
#include "broker/pg/migrate.h"

enum { ROOM = 4096 };
#define NS_PER_S INT64_C(1000000000)

static void must(bool good, const char *what, const char *why) {
    if (good) return;
    fprintf(stderr, "pg_harness: %s: %s\n", what, why);
    abort();
}

static PGresult *query(PGconn *sql, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static PGresult *query(PGconn *sql, const char *format, va_list args) {
    char *text;
    must(vasprintf(&text, format, args) >= 0, "query", "no memory");
    PGresult *result = PQexec(sql, text);
    ExecStatusType status = PQresultStatus(result);
    must(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, text, PQerrorMessage(sql));
    free(text);
    return result;
}

void pg_exec(PGconn *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    PQclear(query(sql, format, args));
    va_end(args);
}

int64_t pg_number(PGconn *sql, const char *format, ...) {
    va_list args;
    va_start(args, format);
    PGresult *result = query(sql, format, args);
    va_end(args);
    must(PQntuples(result) > 0, "pg_number", format);
    int64_t number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}

static PGconn *connect_to(const char *dsn) {
    PGconn *sql = PQconnectdb(dsn);
    must(PQstatus(sql) == CONNECTION_OK, "connect (run the test with tools/stack)",
         PQerrorMessage(sql));
    return sql;
}

void pg_schema(const char *schema, char *dsn, size_t size) {
    snprintf(dsn, size, "options='-c search_path=%s -c client_min_messages=warning'", schema);
    PGconn *sql = connect_to(dsn);
    pg_exec(sql, "DROP SCHEMA IF EXISTS %s CASCADE", schema);
    pg_exec(sql, "CREATE SCHEMA %s", schema);
    PQfinish(sql);
}

void pg_harness_anew(struct pg_harness *self) {
    struct port_setup setup = { .config = &self->config, .self = PORT_pg_shop };
    if (self->port != NULL) pg_port.close(self->port);
    self->port = pg_port.open(&setup);
    /* Until a harmless request is not answered `unavailable`. */
    for (int i = 0; i < 1000; i++) {
        struct sale_rows_get *get = pg_put(self, MSG_sale_rows_get);
        get->sale_id = 1;
        pg_ask(self);
        if (self->out.items[0].head.type == MSG_rows_end) return;
        pg_turn(self, 5);
    }
    must(false, "port", "does not connect");
}

static void open_port(struct pg_harness *self) {
    self->sql = connect_to(self->dsn);
    config_defaults(&self->config);
    self->config.pg_shop_connections = 1; /* So that answers come in the order of the requests. */
    snprintf(self->config.pg_dsn, sizeof self->config.pg_dsn, "%s", self->dsn);
    batch_init(&self->in);
    batch_init(&self->out);
    pg_harness_anew(self);
}

void pg_harness_open(struct pg_harness *self, const char *schema) {
    struct migration_report report;
    memset(self, 0, sizeof *self);
    snprintf(self->schema, sizeof self->schema, "%s", schema);
    pg_schema(schema, self->dsn, sizeof self->dsn);
    must(migrate_run(self->dsn, &report), "migrate", report.why);
    open_port(self);
}

void pg_harness_join(struct pg_harness *self, const struct pg_harness *other) {
    memset(self, 0, sizeof *self);
    memcpy(self->dsn, other->dsn, sizeof self->dsn);
    self->borrowed = true;
    open_port(self);
}

void pg_harness_close(struct pg_harness *self) {
    pg_port.close(self->port);
    if (!self->borrowed) pg_exec(self->sql, "DROP SCHEMA IF EXISTS %s CASCADE", self->schema);
    PQfinish(self->sql);
    batch_fini(&self->in);
    batch_fini(&self->out);
}

void *pg_put(struct pg_harness *self, enum message_id id) {
    struct head head = { .type = (uint16_t)id, .from = ACTOR_order, .to = PORT_pg_shop };
    const struct message_type *type = message_type(id);
    void *body = batch_take(&self->in, &head, type);
    memset(body, 0, type->size);
    return body;
}

void pg_turn(struct pg_harness *self, int ms) {
    struct pollfd fd[8];
    struct outbox out = batch_outbox(&self->out, PORT_pg_shop, 0, ROOM);
    uint32_t count = pg_port.poll(self->port, fd, 8);
    int64_t timeout = pg_port.timeout(self->port, clock_now()) / 1000000;
    /* A millisecond more than asked: poll() counts in whole ones. */
    poll(fd, count, timeout >= 0 && timeout < ms ? (int)timeout + 1 : ms);
    pg_port.step(self->port, clock_now(), &out);
}

void pg_send(struct pg_harness *self) {
    struct outbox out = batch_outbox(&self->out, PORT_pg_shop, 0, ROOM);
    pg_port.handle(self->port, self->in.items, self->in.count, clock_now(), &out);
    batch_reset(&self->in);
}

void pg_wait(struct pg_harness *self) {
    int64_t end = clock_mono() + 30 * NS_PER_S;
    while (!pg_port.ready(self->port)) {
        must(clock_mono() < end, "port", "does not answer");
        pg_turn(self, 100);
    }
}

void pg_ask(struct pg_harness *self) {
    batch_reset(&self->out);
    pg_send(self);
    pg_wait(self);
}

const void *pg_answer(const struct pg_harness *self, uint32_t n, enum message_id id) {
    must(n < self->out.count, "pg_answer", "there are fewer answers");
    const struct message *message = &self->out.items[n];
    if (message->head.type != id) {
        message_print(stderr, message_type((enum message_id)message->head.type), message->body);
        fputc('\n', stderr);
    }
    must(message->head.type == id, "pg_answer: another type than", message_type(id)->name);
    return message->body;
}
