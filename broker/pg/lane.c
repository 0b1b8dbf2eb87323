/* Messages in, one statement at a time, answers out after the commit. */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/pg/lane.h"
#include "broker/pg/statements.h"
#include "config/config.h"

#define MS INT64_C(1000000)
enum { TRIES_MAX = 5, RANGES_MAX = 16 };

/* Messages [first, first + count) of the queue that make one statement. */
struct range {
    uint32_t first, count;
};

/* Invariants: `ranges` is a stack of what is taken from the queue and not answered; its top is
 * under way.  Below the top stand the second halves of batches that were cut.  Messages behind
 * `taken` are still to come. */
struct lane {
    struct pg_link *link;
    const char *name;
    struct batch waiting; /* Came while the queue was under way. */
    struct batch queue;
    struct values values;
    struct range ranges[RANGES_MAX];
    uint32_t depth;
    uint32_t taken;
    enum { IDLE, WAITING, RUNNING, ANSWERING, REFUSING } phase; /* Of the top range. */
    uint32_t tries;
    uint32_t purchases_max; /* In a statement. */
    int64_t running_since, silence_max;
    int64_t started; /* Monotonic: the statement under way. */
    struct metric_histogram *seconds[LINK_STATEMENTS_MAX];
    struct metric_histogram *rows;
    int64_t retry_at;
    uint32_t row;                       /* ANSWERING: the next; REFUSING: the next message. */
    bool answered[STATEMENT_BATCH_MAX]; /* ANSWERING a batch. */
    enum problem problem;               /* REFUSING */
};

static void open_metrics(struct lane *self, enum address address) {
    for (uint32_t i = 0; statements()[i].sql != NULL; i++)
        self->seconds[i] = metrics_histogram(
            "pg_statement_seconds", "From sending a statement to its result, with the commit.",
            METRIC_seconds, METRIC_LABELS("message", message_type(statements()[i].request)->name));
    self->rows = metrics_histogram("pg_statement_rows", "Messages in a statement.", METRIC_count,
                                   METRIC_LABELS("address", address_name(address)));
}

struct lane *lane_open(const struct config *config, const char *name, enum address address) {
    struct lane *self = calloc(1, sizeof *self);
    if (self == NULL) abort();
    self->name = name;
    self->link = link_open(config->pg_dsn, self->name, config->pg_connect_timeout);
    self->silence_max = config->pg_answer_timeout;
    self->purchases_max = (uint32_t)config->order_batch_max;
    assert(self->purchases_max <= STATEMENT_BATCH_MAX);
    batch_init(&self->waiting);
    batch_init(&self->queue);
    open_metrics(self, address);
    return self;
}

void lane_close(struct lane *self) {
    if (self == NULL) return;
    link_close(self->link);
    batch_fini(&self->waiting);
    batch_fini(&self->queue);
    values_fini(&self->values);
    free(self);
}

void lane_reload(struct lane *self, const struct config *config) {
    self->silence_max = config->pg_answer_timeout;
}

bool lane_idle(const struct lane *self) {
    return self->depth == 0 && self->waiting.count == 0;
}

bool lane_connected(const struct lane *self) {
    return link_connected(self->link);
}

static const struct message *top(const struct lane *self) {
    return &self->queue.items[self->ranges[self->depth - 1].first];
}

static void refuse(struct lane *self, enum problem problem) {
    self->phase = REFUSING;
    self->problem = problem;
    self->row = 0;
}

/* The problem an error says by itself, or PROBLEM_none. */
static enum problem named_problem(const struct pg_error *error) {
    const char *name = strcmp(error->state, "DB001") == 0   ? error->message
                       : strcmp(error->state, "23505") == 0 ? error->constraint
                                                            : "";
    int64_t code = state_value(KIND_problem, text_of(name));
    return code <= 0 ? PROBLEM_none : (enum problem)code;
}

static struct failed *send_failed(struct lane *self, struct outbox *out,
                                  const struct message *cause, enum problem problem) {
    struct failed *body = REPLY(out, cause, failed);
    const struct pg_error *error = link_error(self->link);
    const struct message_type *type = message_type((enum message_id)cause->head.type);
    body->problem = problem;
    body->what = cause->head.type;
    if (problem_retry(problem) != RETRY_NEVER) body->retry_after = 1;
    enum kind first = type->fields[0].kind;
    if (first == KIND_id || first == KIND_rid)
        body->id = field_number(&type->fields[0], cause->body);
    /* An older statement's error says nothing about a refusal of our own. */
    if (error != NULL && named_problem(error) == problem) {
        if (error->column[0] != '\0') body->field = outbox_printf(out, "%s", error->column);
        if (strcmp(error->state, "DB001") == 0 && error->detail[0] != '\0')
            body->detail = outbox_printf(out, "%s", error->detail);
    }
    return body;
}

/* ---- Starting ---- */

/* The next statement's messages: as many of one type as follow each other, where that is allowed.
 */
static void take_range(struct lane *self) {
    const struct message *first = &self->queue.items[self->taken];
    uint32_t number, count = 1;
    const struct statement *statement = statement_for(first->head.type, &number);
    if (statement != NULL && statement->mode == STATEMENT_BATCH) {
        uint32_t most =
            statement->request == MSG_purchase ? self->purchases_max : STATEMENT_BATCH_MAX;
        while (count < most && self->taken + count < self->queue.count &&
               first[count].head.type == first->head.type)
            count++;
    }
    self->ranges[self->depth++] = (struct range){ self->taken, count };
    self->taken += count;
    self->tries = 0;
    self->phase = IDLE;
}

static void start(struct lane *self) {
    uint32_t number;
    const struct statement *statement = statement_for(top(self)->head.type, &number);
    if (statement == NULL) {
        refuse(self, PROBLEM_internal);
        return;
    }
    if (!link_idle(self->link)) {
        refuse(self, PROBLEM_unavailable);
        return;
    }
    values_make(&self->values, top(self), self->ranges[self->depth - 1].count,
                statement->mode == STATEMENT_BATCH);
    self->running_since = 0;
    self->started = clock_mono();
    metric_observe(self->rows, self->ranges[self->depth - 1].count);
    link_start(self->link, number, statement->sql, self->values.count, self->values.value);
    self->phase = RUNNING;
}

/* ---- Errors ---- */

static bool starts(const char *state, const char *class) {
    return strncmp(state, class, strlen(class)) == 0;
}

static bool is_collision(const char *state) {
    return starts(state, "40001") || starts(state, "40P01") || starts(state, "55P03");
}

/* The store's trouble, not the message's: the same request may work later. */
static bool is_outage(const char *state) {
    static const char *const classes[] = { "08", "25006", "53", "57", "58" };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (starts(state, classes[i])) return true;
    return false;
}

/* A prepared statement that the server does not know, or planned before a migration. */
static bool is_stale(const char *state) {
    return starts(state, "26000") || starts(state, "0A000");
}

static void on_error(struct lane *self, const struct pg_error *error, int64_t now) {
    struct range *range = &self->ranges[self->depth - 1];
    enum problem problem = named_problem(error);
    if (is_collision(error->state) && self->tries < TRIES_MAX) {
        self->tries++;
        self->phase = WAITING;
        self->retry_at = now + MS + (int64_t)randombytes_uniform((uint32_t)MS << self->tries);
        return;
    }
    if (problem == PROBLEM_none)
        log_error(self->name, "statement failed",
                  LOG_TEXT("what", message_type((enum message_id)top(self)->head.type)->name),
                  LOG_HEX("trace", top(self)->head.trace), LOG_I64("rows", range->count),
                  LOG_TEXT("sqlstate", error->state), LOG_TEXT("why", error->message),
                  LOG_TEXT("constraint", error->constraint), LOG_END);
    if (is_stale(error->state)) link_drop(self->link, now);
    if (is_stale(error->state) || is_collision(error->state) || is_outage(error->state)) {
        refuse(self, PROBLEM_unavailable);
    } else if (range->count > 1) {
        /* One row spoils it for all: each half by itself. */
        uint32_t half = range->count / 2;
        struct range front = { range->first, half };
        *range = (struct range){ range->first + half, range->count - half };
        assert(self->depth < RANGES_MAX);
        self->ranges[self->depth++] = front;
        self->tries = 0;
        self->phase = IDLE;
    } else {
        refuse(self, problem == PROBLEM_none ? PROBLEM_internal : problem);
    }
}

/* ---- Answering ---- */

static void finish_range(struct lane *self) {
    self->depth--;
    self->tries = 0;
    self->phase = IDLE;
}

static void refuse_on(struct lane *self, struct outbox *out) {
    const struct range *range = &self->ranges[self->depth - 1];
    while (self->row < range->count) {
        if (outbox_room(out) == 0) return;
        send_failed(self, out, &top(self)[self->row++], self->problem);
    }
    finish_range(self);
}

/* Columns behind the answer's own that have a meaning of their own. */
static enum problem row_problem(const struct lane *self, uint32_t row) {
    int32_t column = link_column(self->link, "problem");
    uint32_t size;
    const char *name = column < 0 ? NULL : link_value(self->link, row, (uint32_t)column, &size);
    if (name == NULL) return PROBLEM_none;
    int64_t code = state_value(KIND_problem, text_of(name));
    return code <= 0 ? PROBLEM_internal : (enum problem)code;
}

static void answer_row(struct lane *self, const struct statement *statement, struct outbox *out,
                       const struct message *cause, uint32_t row, uint32_t first) {
    enum problem problem = row_problem(self, row);
    if (problem != PROBLEM_none) {
        struct failed *failed = send_failed(self, out, cause, problem);
        if (failed->id == 0) failed->id = row_number(self->link, row, first);
        return;
    }
    void *body = outbox_reply(out, cause, statement->answer);
    row_read(self->link, row, first, message_type(statement->answer), body, out);
}

static void answer_one(struct lane *self, const struct statement *statement, struct outbox *out) {
    if (statement->mode == STATEMENT_DONE) {
        struct done *body = REPLY(out, top(self), done);
        body->what = top(self)->head.type;
        if (link_rows(self->link) == 0) return;
        body->id = row_number(self->link, 0, 0);
        if (link_columns(self->link) > 1) body->count = (uint32_t)row_number(self->link, 0, 1);
    } else if (link_rows(self->link) == 0) {
        send_failed(self, out, top(self), PROBLEM_not_found);
    } else {
        answer_row(self, statement, out, top(self), 0, 0);
    }
}

/* False when there is no room for more. */
static bool answer_many(struct lane *self, const struct statement *statement, struct outbox *out) {
    const struct message *cause = top(self);
    uint32_t rows = link_rows(self->link);
    int32_t next = link_column(self->link, "next");
    for (; self->row < rows; self->row++) {
        if (outbox_room(out) == 0) return false;
        answer_row(self, statement, out, cause, self->row, 0);
    }
    if (outbox_room(out) == 0) return false;
    struct rows_end *end = REPLY(out, cause, rows_end);
    end->what = cause->head.type;
    end->count = rows;
    if (rows > 0 && next >= 0) end->next = row_number(self->link, rows - 1, (uint32_t)next);
    return true;
}

/* One row of the result is for all purchases of its lot.  False: no room for the rest. */
static bool answer_accepted(struct lane *self, struct outbox *out) {
    const struct range *range = &self->ranges[self->depth - 1];
    struct decided all = { 0 };
    row_read(self->link, self->row, 1, message_type(MSG_decided), &all, out);
    for (uint32_t i = 0; i < range->count; i++) {
        const struct message *cause = &top(self)[i];
        const struct purchase *want = BODY(cause, purchase);
        if (self->answered[i] || !accepted_is_for(&all, want)) continue;
        if (outbox_room(out) == 0) return false;
        accepted_fill(REPLY(out, cause, decided), &all, want);
        self->answered[i] = true;
    }
    return true;
}

static bool answer_batch(struct lane *self, const struct statement *statement, struct outbox *out) {
    const struct range *range = &self->ranges[self->depth - 1];
    uint32_t rows = link_rows(self->link);
    for (; self->row < rows; self->row++) {
        int64_t number = row_number(self->link, self->row, 0);
        if (number == 0 && statement->request == MSG_purchase) {
            if (!answer_accepted(self, out)) return false;
            continue;
        }
        if (number < 1 || number > range->count || self->answered[number - 1]) {
            log_error(self->name, "a row answers no request", LOG_I64("what", statement->request),
                      LOG_END);
            continue;
        }
        if (outbox_room(out) == 0) return false;
        answer_row(self, statement, out, &top(self)[number - 1], self->row, 1);
        self->answered[number - 1] = true;
    }
    for (uint32_t i = 0; i < range->count; i++) {
        if (self->answered[i]) continue;
        if (outbox_room(out) == 0) return false;
        log_error(self->name, "a request got no row", LOG_I64("what", statement->request), LOG_END);
        send_failed(self, out, &top(self)[i], PROBLEM_internal);
        self->answered[i] = true;
    }
    return true;
}

static void answer_on(struct lane *self, struct outbox *out) {
    uint32_t number;
    const struct statement *statement = statement_for(top(self)->head.type, &number);
    bool complete = true;
    switch (statement->mode) {
    case STATEMENT_BATCH: complete = answer_batch(self, statement, out); break;
    case STATEMENT_MANY: complete = answer_many(self, statement, out); break;
    case STATEMENT_ONE:
    case STATEMENT_DONE:
        complete = outbox_room(out) > 0;
        if (complete) answer_one(self, statement, out);
        break;
    }
    if (!complete) return;
    CRASH_POINT(pg_answered);
    finish_range(self);
}

/* ---- The lane ---- */

static void observe(struct lane *self) {
    uint32_t number;
    if (statement_for(top(self)->head.type, &number) != NULL)
        metric_observe(self->seconds[number], clock_mono() - self->started);
}

static void on_event(struct lane *self, enum link_event event, int64_t now) {
    if (event == LINK_nothing) return;
    assert(self->phase == RUNNING);
    observe(self);
    if (event == LINK_unknown) {
        refuse(self, PROBLEM_unavailable);
    } else if (link_error(self->link) != NULL) {
        on_error(self, link_error(self->link), now);
    } else {
        CRASH_POINT(pg_committed);
        memset(self->answered, 0, sizeof self->answered);
        self->row = 0;
        self->phase = ANSWERING;
    }
}

/* What came meanwhile becomes the queue. */
static bool next_queue(struct lane *self) {
    batch_reset(&self->queue);
    self->taken = 0;
    struct batch swap = self->queue;
    self->queue = self->waiting;
    self->waiting = swap;
    return self->queue.count > 0;
}

void lane_pump(struct lane *self, int64_t now, struct outbox *out) {
    for (;;) {
        if (self->depth == 0) {
            if (self->taken == self->queue.count && !next_queue(self)) return;
            take_range(self);
        }
        uint32_t row = self->row, depth = self->depth;
        if (self->phase == WAITING && now >= self->retry_at) self->phase = IDLE;
        if (self->phase == IDLE) start(self);
        if (self->phase == RUNNING || self->phase == WAITING) return;
        if (self->phase == REFUSING)
            refuse_on(self, out);
        else
            answer_on(self, out);
        if (outbox_room(out) == 0 && self->row == row && self->depth == depth) return;
    }
}

void lane_put(struct lane *self, const struct message *message) {
    batch_append(&self->waiting, message);
}

uint32_t lane_poll(const struct lane *self, struct pollfd *fds, uint32_t max) {
    return link_poll(self->link, fds, max);
}

int64_t lane_timeout(const struct lane *self, int64_t now) {
    if (self->phase == WAITING && self->depth > 0)
        return self->retry_at > now ? self->retry_at - now : 0;
    if (self->depth > 0 && self->phase != RUNNING) return 0;
    return link_timeout(self->link, now);
}

void lane_drop(struct lane *self, int64_t now) {
    link_drop(self->link, now);
    if (self->phase == RUNNING && self->depth > 0) refuse(self, PROBLEM_unavailable);
}

/* A server that holds the connection open and says nothing: what was asked is unknown, and asked
 * again on a new connection. */
static void end_silence(struct lane *self, int64_t now) {
    if (self->phase != RUNNING || self->depth == 0) return;
    if (self->running_since == 0) {
        self->running_since = now; /* Started since the last step. */
    } else if (now - self->running_since > self->silence_max) {
        log_error(self->name, "no answer; the connection is dropped", LOG_END);
        lane_drop(self, now);
    }
}

void lane_step(struct lane *self, int64_t now, struct outbox *out) {
    on_event(self, link_step(self->link, now), now);
    end_silence(self, now);
    lane_pump(self, now, out);
}
