/* What a purchase costs: processor time by part, bytes in the stores, lag of the commit. */
#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/bench/bench.h"
#include "tools/doorsim/open_loop.h"

#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_MS = 2 };

/* Looks at the number of undecided purchases, in a thread. */
struct watcher {
    pthread_t thread;
    const char *address;
    unsigned shards;
    atomic_bool stop;
    double sum, most;
    uint64_t looks;
};

static int64_t integer(redisReply *reply) {
    int64_t value = 0;
    if (reply != NULL && reply->type == REDIS_REPLY_STRING) value = strtoll(reply->str, NULL, 10);
    if (reply != NULL) freeReplyObject(reply);
    return value;
}

static void *watch(void *argument) {
    struct watcher *self = argument;
    redisContext *context = redisConnectUnix(self->address);
    while (context != NULL && context->err == 0 && !self->stop) {
        int64_t rows = 0;
        for (unsigned shard = 0; shard < self->shards; shard++) {
            rows += integer(redisCommand(context, "HGET {s%u}:meta rows", shard));
        }
        self->sum += (double)rows;
        if ((double)rows > self->most) self->most = (double)rows;
        self->looks++;
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * TIMEFMT_NS_PER_MS }, NULL);
    }
    if (context != NULL) redisFree(context);
    return NULL;
}

/* A number in the text of INFO. */
static int64_t info_number(redisContext *context, const char *section, const char *name) {
    int64_t value = 0;
    redisReply *reply = redisCommand(context, "INFO %s", section);
    if (reply != NULL && reply->str != NULL) {
        const char *at = strstr(reply->str, name);
        if (at != NULL) value = strtoll(at + strlen(name), NULL, 10);
    }
    if (reply != NULL) freeReplyObject(reply);
    return value;
}

static void read_stores(const struct bench *self, struct expense *expense) {
    if (self->words->redis != NULL) {
        redisContext *context = redisConnectUnix(self->words->redis);
        if (context != NULL && context->err == 0) {
            expense->aof = info_number(context, "persistence", "aof_current_size:");
            expense->memory = info_number(context, "memory", "used_memory:");
        }
        if (context != NULL) redisFree(context);
    }
    if (self->words->dsn != NULL) {
        PGconn *connection = PQconnectdb(self->words->dsn);
        PGresult *result = PQexec(connection, "SELECT (pg_current_wal_lsn() - '0/0')::bigint");
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            expense->wal = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
        PQfinish(connection);
    }
}

static void read_parts(const struct bench *self, struct parts *parts) {
    memset(parts, 0, sizeof *parts);
    const struct bench_words *words = self->words;
    if (words->server_pid > 0) parts_threads(parts, (long)words->server_pid, "server: ");
    if (words->redis_pid > 0) parts_family(parts, (long)words->redis_pid, "Redis");
    if (words->pg_pid > 0) parts_family(parts, (long)words->pg_pid, "PostgreSQL");
}

void expense_begin(struct bench *self, struct expense *expense) {
    memset(expense, 0, sizeof *expense);
    read_stores(self, expense);
    if (self->words->redis != NULL && (expense->watcher = calloc(1, sizeof *expense->watcher))) {
        unsigned shards = 1;
        for (unsigned i = 0; i < self->lot_count; i++) {
            if (self->shards[i] >= shards) shards = self->shards[i] + 1;
        }
        expense->watcher->address = self->words->redis;
        expense->watcher->shards = shards;
        if (pthread_create(&expense->watcher->thread, NULL, watch, expense->watcher) != 0) {
            free(expense->watcher);
            expense->watcher = NULL;
        }
    }
    expense->generator = cpu_seconds();
    read_parts(self, &expense->parts);
}

static void end_watch(struct bench *self, struct watcher *watcher, double rate) {
    if (watcher == NULL) return;
    watcher->stop = true;
    pthread_join(watcher->thread, NULL);
    if (watcher->looks > 0 && rate > 0) {
        /* Little's law: how long one stays is how many there are by how many come a second. */
        double mean = watcher->sum / (double)watcher->looks;
        book_add(&self->book, FIGURE_commit_lag, mean / rate * 1000);
        book_add(&self->book, FIGURE_undecided_most, watcher->most);
    }
    free(watcher);
}

void expense_end(struct bench *self, struct expense *expense, uint64_t purchases, double seconds) {
    struct parts parts;
    read_parts(self, &parts);
    double generator = cpu_seconds() - expense->generator;
    end_watch(self, expense->watcher, seconds > 0 ? (double)purchases / seconds : 0);
    if (purchases == 0) return;
    double each = 1e6 / (double)purchases;
    for (unsigned i = 0; i < parts.count; i++) {
        double used = parts_used(&expense->parts, &parts, parts.list[i].name) * each;
        if (used >= 0.02) book_add_part(&self->book, parts.list[i].name, used);
    }
    book_add_part(&self->book, "generator", generator * each);
    struct expense after = { 0 };
    read_stores(self, &after);
    if (self->words->dsn != NULL) {
        book_add(&self->book, FIGURE_wal_per_order,
                 (double)(after.wal - expense->wal) / (double)purchases);
    }
    if (self->words->redis == NULL) return;
    if (after.aof > expense->aof) { /* Else it was rewritten meanwhile. */
        book_add(&self->book, FIGURE_aof_per_order,
                 (double)(after.aof - expense->aof) / (double)purchases);
    }
    book_add(&self->book, FIGURE_redis_memory_per_order,
             (double)(after.memory - expense->memory) / (double)purchases);
}
