/* doorsim seed: accounts, sessions and access tokens in bulk.
 *
 * One real argon2id hash, made by the server's own pool with its parameters, is shared by all of
 * them: they have one password.  Nobody knows a refresh token that fits the sessions' hashes. */
#include "broker/clock.h"
#include "broker/hash/pool.h"
#include "broker/keys.h"
#include "config/config.h"
#include "schema/timefmt.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/options.h"
#include "tools/doorsim/seed_tables.h"
#include "tools/doorsim/shoppers.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LOCK_TRIES = 10 };

struct seed_words {
    const char *dsn, *keys, *out, *password;
    int64_t count, token_s, orders;
};

/* Seeded ids are small numbers; those that the server makes begin far above (schema/id.h). */
static const char first_sql[] =
    "SELECT coalesce(max(user_id), 0) + 1 FROM account WHERE user_id < 1::bigint << 40";

/* A PHC string with the parameters of the configuration's defaults. */
static bool make_hash(const char *password, char phc[HASH_PHC_SIZE]) {
    struct config *config = malloc(sizeof *config);
    if (config == NULL) return false;
    config_defaults(config);
    struct hash_pool *pool = hash_pool_open(&(struct hash_pool_config){
        .threads = 1,
        .queue_max = 1,
        .memory = (uint64_t)config->session_hash_memory,
        .passes = (uint32_t)config->session_hash_passes,
    });
    free(config);
    if (pool == NULL) return false;
    struct hash_result result = { .outcome = HASH_failed };
    if (hash_pool_make(pool, 1, password, strlen(password)) == HASH_started) {
        struct pollfd ready = { .fd = hash_pool_fd(pool), .events = POLLIN };
        while (!hash_pool_next(pool, &result)) {
            (void)poll(&ready, 1, 1000);
        }
    }
    hash_pool_close(&pool);
    memcpy(phc, result.phc, HASH_PHC_SIZE);
    return result.outcome == HASH_made;
}

/* The tables for ourselves, indexes and all.  A server at work takes them in another order, so that
 * one of us may have to let go. */
static bool lock_tables(PGconn *connection) {
    static const char sql[] = "LOCK TABLE account, session, orders IN ACCESS EXCLUSIVE MODE";
    bool good = seed_run(connection, "SAVEPOINT unlocked");
    for (int tries = 1; good; tries++) {
        PGresult *result = PQexec(connection, sql);
        bool locked = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (locked) break;
        good = tries < LOCK_TRIES && seed_run(connection, "ROLLBACK TO SAVEPOINT unlocked");
    }
    if (!good) fprintf(stderr, "doorsim seed: %s", PQerrorMessage(connection));
    return good;
}

/* All rows in one transaction; the first user's id in `first`. */
static bool insert(const struct seed_words *words, const char *phc, int64_t *first) {
    PGconn *connection = PQconnectdb(words->dsn);
    bool good = PQstatus(connection) == CONNECTION_OK;
    if (!good) fprintf(stderr, "doorsim seed: %s", PQerrorMessage(connection));
    good = good && seed_run(connection, "BEGIN") &&
           seed_run(connection, "SET LOCAL maintenance_work_mem = '256MB'") &&
           lock_tables(connection) && seed_number(connection, first_sql, first) &&
           seed_accounts(connection, *first, words->count, phc) &&
           (words->orders == 0 || seed_orders(connection, *first, words->count, words->orders)) &&
           seed_run(connection, "COMMIT") &&
           /* As a shop's tables are that have long been there; autovacuum would do it, later. */
           seed_run(connection, "VACUUM (ANALYZE) account, session, orders");
    PQfinish(connection);
    return good;
}

static bool write_shoppers(const struct seed_words *words, const struct seal_keys *keys,
                           int64_t first) {
    if (words->out == NULL) return true;
    FILE *out = fopen(words->out, "we");
    if (out == NULL) {
        perror(words->out);
        return false;
    }
    int64_t expires_at = clock_now() + words->token_s * TIMEFMT_NS_PER_S;
    for (int64_t user = first; user < first + words->count; user++) {
        char token[SEAL_TEXT_MAX + 1];
        make_access_token(keys, user, user, expires_at, token);
        fprintf(out, "%" PRId64 " %" PRId64 " %s\n", user, user, token);
    }
    bool good = ferror(out) == 0;
    if (fclose(out) != 0 || !good) {
        perror(words->out);
        return false;
    }
    return true;
}

int seed_command(int argc, char **argv) {
    struct seed_words words = { .count = 20000, .token_s = 900, .password = "open at eight" };
    const struct option options[] = {
        { "dsn", OPTION_text, true, &words.dsn, 0, 0, "PostgreSQL, after `doorbuster migrate`." },
        { "keys", OPTION_text, true, &words.keys, 0, 0, "The server's file of token keys." },
        { "count", OPTION_number, false, &words.count, 1, 100000000, "Shoppers (20000)." },
        { "out", OPTION_text, false, &words.out, 0, 0,
          "One line each: user, session, access token.  Without it others make the tokens"
          " themselves (doorsim load --users FIRST:COUNT)." },
        { "orders", OPTION_number, false, &words.orders, 0, 1000000000,
          "Completed orders of a past sale, spread over these shoppers (0)." },
        { "token-s", OPTION_number, false, &words.token_s, 1, 86400,
          "Life of the access tokens in seconds (900)." },
        { "password", OPTION_text, false, &words.password, 0, 0, "Of all of them." },
        { 0 },
    };
    switch (options_read(argc, argv, options, "makes shoppers in bulk")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    struct seal_keys keys;
    char error[200], phc[HASH_PHC_SIZE];
    int64_t first;
    if (!keys_load(words.keys, &keys, error, sizeof error)) {
        fprintf(stderr, "doorsim seed: %s\n", error);
        return 2;
    }
    if (!make_hash(words.password, phc)) {
        fprintf(stderr, "doorsim seed: could not hash the password\n");
        return 2;
    }
    if (!insert(&words, phc, &first) || !write_shoppers(&words, &keys, first)) return 2;
    printf("seeded %" PRId64 " shoppers from user %" PRId64 "\n", words.count, first);
    if (words.orders > 0) printf("and %" PRId64 " past orders of theirs\n", words.orders);
    return 0;
}
