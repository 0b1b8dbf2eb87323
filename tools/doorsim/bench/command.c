/* doorsim bench: what the shop does in a second, beside what the machine can do at most. */
#include "broker/clock.h"
#include "broker/keys.h"
#include "schema/timefmt.h"
#include "tools/doorsim/bench/bench.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/fetch.h"
#include "tools/doorsim/judge_sql.h"
#include "tools/doorsim/machine.h"
#include "tools/doorsim/open_json.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

bool bench_wants(const struct bench *self, const char *group) {
    size_t length = strlen(group);
    const char *at = self->words->only;
    if (at == NULL) return true;
    while (*at != '\0') {
        size_t word = strcspn(at, ",");
        if (word == length && strncmp(at, group, length) == 0) return true;
        at += word + (at[word] == ',');
    }
    return false;
}

bool bench_tickets(struct bench *self, struct tickets *tickets, unsigned lot_count, size_t count) {
    if (!tickets_plan(tickets, &self->shoppers, self->lots, lot_count, count)) return false;
    for (size_t i = 0; i < count; i++) {
        tickets->list[i].shopper = &self->shoppers.list[self->next_shopper];
        self->next_shopper = (self->next_shopper + 1) % self->shoppers.count;
    }
    return tickets_sign_in(tickets, &self->keys, 1, self->lots, self->shards, self->lot_count);
}

/* ---- Before ---- */

static bool read_users(struct bench *self, const char *text) {
    char *end;
    errno = 0;
    int64_t first = strtoll(text, &end, 10), count;
    if (errno != 0 || *end != ':' || first < 1 || !options_number(end + 1, 1, 1000000000, &count)) {
        fprintf(stderr, "doorsim bench: --users is FIRST:COUNT\n");
        return false;
    }
    return shoppers_make(&self->shoppers, &self->keys, first, (size_t)count);
}

static bool read_lots(struct bench *self) {
    const struct option_list *list = &self->words->lots;
    for (; self->lot_count < list->count; self->lot_count++) {
        if (!options_number(list->items[self->lot_count], 1, INT64_MAX,
                            &self->lots[self->lot_count])) {
            fprintf(stderr, "doorsim bench: %s is not a lot\n", list->items[self->lot_count]);
            return false;
        }
    }
    return true;
}

static bool read_shard(PGconn *connection, int64_t lot, uint32_t *shard) {
    char text[24];
    const char *const values[] = { text };
    (void)snprintf(text, sizeof text, "%" PRId64, lot);
    PGresult *result = PQexecParams(connection, "SELECT shard FROM lot WHERE lot_id = $1::bigint",
                                    1, NULL, values, NULL, NULL, 0);
    bool good = PQntuples(result) == 1;
    if (good) *shard = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return good;
}

/* Where each lot lives: a ticket's id says it. */
static bool read_shards(struct bench *self) {
    if (self->words->dsn == NULL) return true;
    PGconn *connection = PQconnectdb(self->words->dsn);
    bool good = PQstatus(connection) == CONNECTION_OK;
    for (unsigned i = 0; good && i < self->lot_count; i++) {
        good = read_shard(connection, self->lots[i], &self->shards[i]);
    }
    if (good && self->words->empty_lot > 0)
        good = read_shard(connection, self->words->empty_lot, &self->empty_shard);
    if (!good) fprintf(stderr, "doorsim bench: lots: %s\n", PQerrorMessage(connection));
    PQfinish(connection);
    return good;
}

static bool read_page(struct bench *self) {
    if (self->words->page == NULL || !bench_wants(self, "page")) return true;
    struct textbuf body;
    textbuf_init(&body, HTTP_BODY_MAX);
    int status =
        fetch_tagged(self->words->base, self->words->page, 5 * TIMEFMT_NS_PER_S, &body, self->etag);
    textbuf_fini(&body);
    if (status == 200 && self->etag[0] != '\0') return true;
    fprintf(stderr, "doorsim bench: %s: status %d, etag \"%s\"\n", self->words->page, status,
            self->etag);
    return false;
}

static bool prepare(struct bench *self) {
    const struct bench_words *words = self->words;
    char error[200];
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    self->result = calloc(1, sizeof *self->result);
    if (self->result == NULL) return false;
    if (words->lots.count > 0 && (words->users == NULL || words->keys == NULL)) {
        fprintf(stderr, "doorsim bench: --lot needs --users and --keys\n");
        return false;
    }
    if (words->keys != NULL && !keys_load(words->keys, &self->keys, error, sizeof error)) {
        fprintf(stderr, "doorsim bench: %s\n", error);
        return false;
    }
    if (!read_lots(self) || !read_shards(self) || !read_page(self)) return false;
    if (words->users != NULL && !read_users(self, words->users)) return false;
    if (words->alone_redis != NULL &&
        (self->alone_redis = alone_redis_open(words->alone_redis)) == NULL) {
        return false;
    }
    return words->alone_dsn == NULL || (self->alone_pg = alone_pg_open(words->alone_dsn)) != NULL;
}

/* ---- After ---- */

/* Every 201 is an order in PostgreSQL, and there are no others than those that may be. */
static bool committed(const struct bench *self) {
    uint64_t orders = 0;
    if (self->words->dsn == NULL || self->lot_count == 0) return true;
    for (unsigned i = 0; i < self->lot_count; i++) {
        int64_t count;
        if (!facts_count_orders(self->words->dsn, self->lots[i], &count)) return false;
        orders += (uint64_t)count;
    }
    bool good = orders >= self->told_yes && orders <= self->told_yes + self->may_be;
    printf("%s: %" PRIu64 " purchases told 201, %" PRIu64 " orders in PostgreSQL",
           good ? "ok" : "FAIL", self->told_yes, orders);
    if (self->may_be > 0) printf(" (%" PRIu64 " purchases without an answer)", self->may_be);
    printf("\n");
    return good;
}

static void read_boots(struct bench *self) {
    for (unsigned i = 0; i < self->words->boots.count; i++) {
        int64_t ms;
        if (options_number(self->words->boots.items[i], 1, 3600000, &ms))
            book_add(&self->book, FIGURE_boot, (double)ms / 1000);
    }
}

static bool write_json(const struct bench *self, json_t *machine, bool exact) {
    const struct bench_words *words = self->words;
    json_t *json = book_json(&self->book);
    json_object_set_new(json, "kind", json_string("bench"));
    json_object_set_new(json, "label", json_string(words->label != NULL ? words->label : ""));
    json_object_set(json, "machine", machine);
    json_object_set_new(json, "account_exact", json_boolean(exact));
    json_object_set_new(
        json, "asked",
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "connections", (json_int_t)words->connections,
                  "rounds", (json_int_t)words->rounds, "round_ms", (json_int_t)words->round_ms,
                  "shoppers", (json_int_t)self->shoppers.count, "lots",
                  (json_int_t)self->lot_count));
    bool good = words->json == NULL || json_save(json, words->json);
    json_decref(json);
    return good;
}

static void print_progress(const struct bench *self, int64_t round, int64_t started) {
    printf("round %" PRId64 " of %" PRId64 " done after %.0f s: %.0f purchases/s\n", round + 1,
           self->words->rounds, (double)(clock_mono() - started) / 1e9, self->best);
    fflush(stdout);
}

static int run(struct bench *self) {
    json_t *machine = machine_describe();
    int64_t started = clock_mono();
    bool good = prepare(self) && bench_idle(self); /* First: nothing has been given back yet. */
    for (int64_t round = 0; good && round < self->words->rounds; round++) {
        good = bench_http(self) && bench_open(self) && bench_alone(self);
        if (good) print_progress(self, round, started);
    }
    if (good) {
        read_boots(self);
        book_print(stdout, &self->book);
        unsigned missed = book_print_targets(stdout, &self->book);
        printf("%u targets missed; %" PRId64 " rounds of %" PRId64 " ms, %" PRId64
               " connections, %zu shoppers, %.0f s in all\n",
               missed, self->words->rounds, self->words->round_ms, self->words->connections,
               self->shoppers.count, (double)(clock_mono() - started) / 1e9);
    }
    bool exact = good && committed(self);
    good = good && write_json(self, machine, exact);
    json_decref(machine);
    if (!good) return 2;
    return exact && !self->wrong ? 0 : 1;
}

static struct bench_words words = { .connections = 1024,
                                    .rounds = 5,
                                    .round_ms = 1500,
                                    .warmup_ms = 200,
                                    .timeout_ms = 10000,
                                    .flight = 2048,
                                    .idle = 1000 };

static const struct option options[] = {
    { "base", OPTION_text, true, &words.base, 0, 0, "Address of the shop, http://host:port." },
    { "dsn", OPTION_text, false, &words.dsn, 0, 0, "Its PostgreSQL." },
    { "redis", OPTION_text, false, &words.redis, 0, 0, "The socket of its Redis." },
    { "users", OPTION_text, false, &words.users, 0, 0, "FIRST:COUNT of seeded users." },
    { "keys", OPTION_text, false, &words.keys, 0, 0, "The server's file of token keys." },
    { "lot", OPTION_list, false, &words.lots, 0, 0,
      "A lot with stock for all; the first is the one lot, all together the many." },
    { "empty-lot", OPTION_number, false, &words.empty_lot, 1, INT64_MAX, "One that is sold out." },
    { "page", OPTION_text, false, &words.page, 0, 0, "Path of the sale's page." },
    { "nothing", OPTION_text, false, &words.nothing, 0, 0,
      "Path of a handler of the shop that does nothing." },
    { "nginx", OPTION_text, false, &words.nginx, 0, 0,
      "Address of an nginx with a static 200 at /." },
    { "server-pid", OPTION_number, false, &words.server_pid, 1, INT32_MAX, "For its expenses." },
    { "redis-pid", OPTION_number, false, &words.redis_pid, 1, INT32_MAX, "The same." },
    { "pg-pid", OPTION_number, false, &words.pg_pid, 1, INT32_MAX, "The same, the postmaster's." },
    { "alone-dsn", OPTION_text, false, &words.alone_dsn, 0, 0,
      "A migrated PostgreSQL that no server uses, for ceilings." },
    { "alone-redis", OPTION_text, false, &words.alone_redis, 0, 0, "The same for Redis." },
    { "boot-ms", OPTION_list, false, &words.boots, 0, 0, "A time to the first order; repeated." },
    { "only", OPTION_text, false, &words.only, 0, 0,
      "Groups, with commas: nginx nothing purchases lots sold_out page tickets logins open script"
      " batch links usual pipeline idle." },
    { "connections", OPTION_number, false, &words.connections, 1, 60000, "Default 1024." },
    { "flight", OPTION_number, false, &words.flight, 1, 8000,
      "Purchases under way in the pipeline (2048)." },
    { "idle", OPTION_number, false, &words.idle, 0, 20000,
      "Idle connections more in each round (1000)." },
    { "rounds", OPTION_number, false, &words.rounds, 1, ROUNDS_MAX, "Default 5." },
    { "round-ms", OPTION_number, false, &words.round_ms, 50, 60000, "Counted part (1500)." },
    { "warmup-ms", OPTION_number, false, &words.warmup_ms, 0, 60000, "Before it (200)." },
    { "timeout-ms", OPTION_number, false, &words.timeout_ms, 10, 600000, "Patience (10000)." },
    { "label", OPTION_text, false, &words.label, 0, 0, "A word for the JSON." },
    { "json", OPTION_text, false, &words.json, 0, 0, "Write the figures here as well." },
    { 0 },
};

int bench_command(int argc, char **argv) {
    switch (options_read(argc, argv, options, "measures the shop beside its ceilings")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    struct bench *self = calloc(1, sizeof *self);
    if (self == NULL) return 2;
    self->words = &words;
    int exit_code = run(self);
    alone_redis_close(&self->alone_redis);
    alone_pg_close(&self->alone_pg);
    shoppers_fini(&self->shoppers);
    free(self->result);
    free(self);
    return exit_code;
}
