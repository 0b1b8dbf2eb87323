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
#include "tools/doorsim/shoppers.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct seed_words {
    const char *dsn, *keys, *out, *password;
    int64_t count, token_s;
};

/* Seeded ids are small numbers; those that the server makes begin far above (schema/id.h). */
static const char first_sql[] =
    "SELECT coalesce(max(user_id), 0) + 1 FROM account WHERE user_id < 1::bigint << 40";
static const char accounts_sql[] =
    "INSERT INTO account (user_id, login, password, created_at)"
    " SELECT i, 'shopper' || i || '@seed.example', $3, now()"
    " FROM generate_series($1::bigint, $1::bigint + $2::bigint - 1) i";
static const char sessions_sql[] =
    "INSERT INTO session (session_id, user_id, refresh_hash, rotated_at, created_at, expires_at)"
    " SELECT i, i, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),"
    " now(), now(), now() + interval '1 day'"
    " FROM generate_series($1::bigint, $1::bigint + $2::bigint - 1) i";

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

static bool execute(PGconn *connection, const char *sql, int count, const char *const *values) {
    PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good) fprintf(stderr, "doorsim seed: %s", PQerrorMessage(connection));
    PQclear(result);
    return good;
}

static bool find_first(PGconn *connection, char *first, size_t size) {
    PGresult *result = PQexec(connection, first_sql);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (good)
        (void)snprintf(first, size, "%s", PQgetvalue(result, 0, 0));
    else
        fprintf(stderr, "doorsim seed: %s", PQerrorMessage(connection));
    PQclear(result);
    return good;
}

/* All rows in one transaction; the first user's id in `first`. */
static bool insert(const struct seed_words *words, const char *phc, int64_t *first) {
    char first_text[24], count_text[24];
    PGconn *connection = PQconnectdb(words->dsn);
    bool good = PQstatus(connection) == CONNECTION_OK;
    if (!good) fprintf(stderr, "doorsim seed: %s", PQerrorMessage(connection));
    (void)snprintf(count_text, sizeof count_text, "%" PRId64, words->count);
    good = good && execute(connection, "BEGIN", 0, NULL) &&
           execute(connection, "LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE", 0, NULL) &&
           find_first(connection, first_text, sizeof first_text) &&
           options_number(first_text, 1, INT64_MAX, first) &&
           execute(connection, accounts_sql, 3,
                   (const char *const[]){ first_text, count_text, phc }) &&
           execute(connection, sessions_sql, 2, (const char *const[]){ first_text, count_text }) &&
           execute(connection, "COMMIT", 0, NULL) &&
           execute(connection, "ANALYZE account, session", 0, NULL);
    PQfinish(connection);
    return good;
}

static bool write_shoppers(const struct seed_words *words, const struct seal_keys *keys,
                           int64_t first) {
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
        { "out", OPTION_text, true, &words.out, 0, 0,
          "One line each: user, session, access token." },
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
    return 0;
}
