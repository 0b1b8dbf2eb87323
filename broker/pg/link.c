/* A connection of libpq, driven without blocking. */
#include "broker/pg/link.h"

#include <assert.h>
#include <libpq-fe.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/log.h"

#define MS INT64_C(1000000)

enum { OPTIONS_MAX = 1024 };
enum phase { AWAY, CONNECTING, IDLE, PREPARING, RUNNING };

struct pg_link {
    PGconn *connection; /* NULL when away. */
    PGresult *result;   /* Of the last statement. */
    struct pg_error error;
    enum phase phase;
    PostgresPollingStatusType wants; /* While connecting. */
    int64_t try_at;                  /* When away: connect then. */
    int64_t give_up_at;              /* While connecting; 0 = not yet set. */
    int64_t pause;
    int64_t connect_timeout;
    bool failed;   /* `error` is set. */
    bool doubtful; /* The commit did not wait for its standby. */
    bool unsent;   /* libpq has bytes that the socket did not take. */
    bool prepared[LINK_STATEMENTS_MAX];
    uint32_t number, count;
    char *values; /* One after the other, each terminated. */
    size_t values_size;
    const char *value_at[LINK_PARAMETERS_MAX];
    char who[32];
    char dsn[];
};

static void *must(void *memory) {
    if (memory == NULL) abort();
    return memory;
}

struct pg_link *link_open(const char *dsn, const char *who, int64_t connect_timeout) {
    size_t size = strlen(dsn) + 1;
    struct pg_link *self = must(calloc(1, sizeof *self + size));
    memcpy(self->dsn, dsn, size);
    snprintf(self->who, sizeof self->who, "%s", who);
    self->connect_timeout = connect_timeout;
    return self;
}

static void forget_result(struct pg_link *self) {
    PQclear(self->result);
    self->result = NULL;
    self->failed = false;
    self->error = (struct pg_error){ "", "", "", "", "" };
}

void link_close(struct pg_link *self) {
    if (self == NULL) return;
    forget_result(self);
    PQfinish(self->connection);
    free(self->values);
    free(self);
}

bool link_idle(const struct pg_link *self) {
    return self->phase == IDLE;
}
bool link_connected(const struct pg_link *self) {
    return self->phase >= IDLE;
}

/* Success with a WARNING is how a cancelled wait for a standby looks (H12). */
static void on_notice(void *arg, const PGresult *result) {
    struct pg_link *self = arg;
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    if (function != NULL && strcmp(function, "SyncRepWaitForLSN") == 0) {
        self->doubtful = true;
        log_error(self->who, "commit did not wait for its standby", LOG_END);
    }
}

static void set_away(struct pg_link *self, int64_t now) {
    PQfinish(self->connection);
    self->connection = NULL;
    self->phase = AWAY;
    self->give_up_at = 0;
    memset(self->prepared, 0, sizeof self->prepared);
    self->pause = self->pause == 0 ? 20 * MS : self->pause * 2;
    if (self->pause > 1000 * MS) self->pause = 1000 * MS;
    self->try_at = now + self->pause / 2 + (int64_t)randombytes_uniform((uint32_t)self->pause / 2);
}

void link_drop(struct pg_link *self, int64_t now) {
    forget_result(self);
    set_away(self, now);
}

static const char *last_words(const struct pg_link *self) {
    return self->connection == NULL ? "no memory" : PQerrorMessage(self->connection);
}

/* The options that the connection would have had, and behind them ours: the last one counts, before
 * what the role and the database are set to.  Without warnings a cancelled wait for a standby would
 * look like success (H12), and a commit that does not wait for the disk is none.  Of a service file
 * no options are read. */
static void server_options(const struct pg_link *self, char *to, size_t size) {
    PQconninfoOption *parts = PQconninfoParse(self->dsn, NULL);
    const char *own = getenv("PGOPTIONS");
    for (const PQconninfoOption *part = parts; part != NULL && part->keyword != NULL; part++)
        if (strcmp(part->keyword, "options") == 0 && part->val != NULL) own = part->val;
    int length = snprintf(to, size, "%s -c client_min_messages=warning -c synchronous_commit=on",
                          own != NULL ? own : "");
    /* Cut off it would say something else; then the server shall refuse it. */
    if (length < 0 || (size_t)length >= size) snprintf(to, size, "-c options=too_long");
    PQconninfoFree(parts);
}

static PGconn *begin(const struct pg_link *self,
                     PGconn *(*start)(const char *const *, const char *const *, int)) {
    char options[OPTIONS_MAX];
    const char *const names[] = { "dbname",          "fallback_application_name",
                                  "client_encoding", "tcp_user_timeout",
                                  "options",         NULL };
    const char *const values[] = { self->dsn, self->who, "UTF8", "10000", options, NULL };
    server_options(self, options, sizeof options);
    return start(names, values, 1);
}

static void start_connecting(struct pg_link *self, int64_t now) {
    self->connection = begin(self, PQconnectStartParams);
    if (self->connection == NULL || PQstatus(self->connection) == CONNECTION_BAD) {
        log_warn(self->who, "could not connect", LOG_TEXT("why", last_words(self)), LOG_END);
        set_away(self, now);
        return;
    }
    self->phase = CONNECTING;
    self->wants = PGRES_POLLING_WRITING;
    self->give_up_at = now + self->connect_timeout;
}

static void on_connected(struct pg_link *self) {
    PQsetnonblocking(self->connection, 1);
    PQsetNoticeReceiver(self->connection, on_notice, self);
    self->phase = IDLE;
    self->pause = 0;
    self->doubtful = false;
}

static bool socket_ready(const struct pg_link *self, short events) {
    struct pollfd fd = { .fd = PQsocket(self->connection), .events = events };
    return poll(&fd, 1, 0) > 0;
}

static void go_on_connecting(struct pg_link *self, int64_t now) {
    /* PQconnectPoll may only be called when the socket is as it asked. */
    short events = self->wants == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (socket_ready(self, events)) self->wants = PQconnectPoll(self->connection);
    if (self->wants == PGRES_POLLING_OK) {
        on_connected(self);
        log_info(self->who, "connected", LOG_END);
    } else if (self->wants == PGRES_POLLING_FAILED || now >= self->give_up_at) {
        log_warn(self->who, "could not connect", LOG_TEXT("why", last_words(self)), LOG_END);
        set_away(self, now);
    }
}

static void copy_error(struct pg_link *self) {
    static const int codes[] = { PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL,
                                 PG_DIAG_COLUMN_NAME, PG_DIAG_CONSTRAINT_NAME };
    const char **texts[] = { &self->error.message, &self->error.detail, &self->error.column,
                             &self->error.constraint };
    const char *state = PQresultErrorField(self->result, PG_DIAG_SQLSTATE);
    /* Errors of libpq itself have no code: the connection is gone or about to be. */
    snprintf(self->error.state, sizeof self->error.state, "%s", state == NULL ? "08000" : state);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        const char *text = PQresultErrorField(self->result, codes[i]);
        *texts[i] = text == NULL ? "" : text;
    }
    self->failed = true;
}

/* Keeps a result; an error replaces what came before it (rows, then a commit that failed). */
static void keep(struct pg_link *self, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (self->failed) {
        PQclear(result);
        return;
    }
    PQclear(self->result);
    self->result = result;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) copy_error(self);
}

/* What cannot be sent because the connection is bad is found by link_step. */
static void flush(struct pg_link *self) {
    CRASH_POINT(pg_flushing);
    self->unsent = PQflush(self->connection) > 0;
    CRASH_POINT(pg_flushed);
}

static void send_now(struct pg_link *self) {
    char name[16];
    snprintf(name, sizeof name, "s%u", self->number);
    self->phase = RUNNING;
    CRASH_POINT(pg_sending);
    PQsendQueryPrepared(self->connection, name, (int)self->count, self->value_at, NULL, NULL, 0);
    CRASH_POINT(pg_sent);
    flush(self);
}

void link_start(struct pg_link *self, uint32_t number, const char *sql, uint32_t count,
                const char *const *values) {
    assert(self->phase == IDLE && number < LINK_STATEMENTS_MAX && count <= LINK_PARAMETERS_MAX);
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += strlen(values[i]) + 1;
    if (size > self->values_size) {
        self->values = must(realloc(self->values, size));
        self->values_size = size;
    }
    char *at = self->values;
    for (uint32_t i = 0; i < count; i++) {
        size_t length = strlen(values[i]) + 1;
        memcpy(at, values[i], length);
        self->value_at[i] = at;
        at += length;
    }
    forget_result(self);
    self->doubtful = false;
    self->number = number;
    self->count = count;
    if (self->prepared[number]) {
        send_now(self);
        return;
    }
    char name[16];
    snprintf(name, sizeof name, "s%u", number);
    self->phase = PREPARING;
    CRASH_POINT(pg_preparing);
    PQsendPrepare(self->connection, name, sql, 0, NULL);
    CRASH_POINT(pg_prepared);
    flush(self);
}

/* All results of the statement have come. */
static enum link_event finish(struct pg_link *self, int64_t now) {
    if (PQstatus(self->connection) == CONNECTION_BAD || self->result == NULL) {
        log_warn(self->who, "connection lost", LOG_TEXT("why", last_words(self)), LOG_END);
        link_drop(self, now);
        return LINK_unknown;
    }
    if (self->phase == PREPARING && !self->failed) {
        self->prepared[self->number] = true;
        forget_result(self);
        send_now(self);
        return LINK_nothing;
    }
    self->phase = IDLE;
    return self->doubtful ? LINK_unknown : LINK_answered;
}

enum link_event link_step(struct pg_link *self, int64_t now) {
    if (self->phase == AWAY && now >= self->try_at) start_connecting(self, now);
    if (self->phase == CONNECTING) go_on_connecting(self, now);
    if (self->phase < IDLE) return LINK_nothing;
    if (self->unsent) flush(self);
    bool alive = PQconsumeInput(self->connection) == 1;
    if (self->phase == IDLE) {
        if (!alive || PQstatus(self->connection) == CONNECTION_BAD) {
            log_warn(self->who, "connection lost", LOG_TEXT("why", last_words(self)), LOG_END);
            set_away(self, now);
        }
        return LINK_nothing;
    }
    /* A dead connection is never busy: PQgetResult then gives its error, and then NULL. */
    while (!PQisBusy(self->connection)) {
        PGresult *result = PQgetResult(self->connection);
        if (result == NULL) return finish(self, now);
        keep(self, result);
    }
    return LINK_nothing;
}

const struct pg_error *link_error(const struct pg_link *self) {
    return self->failed ? &self->error : NULL;
}

uint32_t link_rows(const struct pg_link *self) {
    return self->failed ? 0 : (uint32_t)PQntuples(self->result);
}

uint32_t link_columns(const struct pg_link *self) {
    return (uint32_t)PQnfields(self->result);
}

int32_t link_column(const struct pg_link *self, const char *name) {
    return PQfnumber(self->result, name);
}

const char *link_value(const struct pg_link *self, uint32_t row, uint32_t column, uint32_t *size) {
    if (PQgetisnull(self->result, (int)row, (int)column)) return NULL;
    *size = (uint32_t)PQgetlength(self->result, (int)row, (int)column);
    return PQgetvalue(self->result, (int)row, (int)column);
}

uint32_t link_poll(const struct pg_link *self, struct pollfd *fds, uint32_t max) {
    if (self->connection == NULL || max == 0 || PQsocket(self->connection) < 0) return 0;
    short events = POLLIN;
    if (self->phase == CONNECTING && self->wants != PGRES_POLLING_READING) events = POLLOUT;
    if (self->unsent) events |= POLLOUT;
    fds[0] = (struct pollfd){ .fd = PQsocket(self->connection), .events = events };
    return 1;
}

int64_t link_timeout(const struct pg_link *self, int64_t now) {
    if (self->phase >= IDLE) return -1;
    int64_t at = self->phase == AWAY ? self->try_at : self->give_up_at;
    return at > now ? at - now : 0;
}

bool link_connect(struct pg_link *self, char *why, size_t size) {
    self->connection = begin(self, PQconnectdbParams);
    if (self->connection != NULL && PQstatus(self->connection) == CONNECTION_OK) {
        on_connected(self);
        PQsetnonblocking(self->connection, 0);
        return true;
    }
    snprintf(why, size, "%s", last_words(self));
    size_t end = strlen(why);
    while (end > 0 && why[end - 1] == '\n')
        why[--end] = '\0';
    return false;
}

bool link_run(struct pg_link *self, const char *sql, uint32_t count, const char *const *values) {
    forget_result(self);
    CRASH_POINT(migrate_asking);
    keep(self, count == 0
                   ? PQexec(self->connection, sql)
                   : PQexecParams(self->connection, sql, (int)count, NULL, values, NULL, NULL, 0));
    CRASH_POINT(migrate_done);
    return !self->failed;
}
