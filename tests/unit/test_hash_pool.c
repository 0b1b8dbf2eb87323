/* The pool of password hashes: right answers, bounds, and threads of low priority. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <sys/resource.h>

#include "broker/hash/pool.h"

enum { WAIT_MS = 20000, SMALL = 65536 };

static const struct hash_pool_config small = {
    .threads = 2, .queue_max = 4, .memory = SMALL, .passes = 1, .nice = 5
};

static struct hash_pool *open_pool(const struct hash_pool_config *config) {
    struct hash_pool *pool = hash_pool_open(config);
    assert_non_null(pool);
    return pool;
}

static struct hash_result await(struct hash_pool *pool) {
    struct hash_result result;
    struct pollfd fd = { .fd = hash_pool_fd(pool), .events = POLLIN };

    while (!hash_pool_next(pool, &result))
        assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    return result;
}

static struct hash_result make(struct hash_pool *pool, const char *password) {
    assert_int_equal(hash_pool_make(pool, 7, password, strlen(password)), HASH_started);
    struct hash_result result = await(pool);
    assert_int_equal(result.tag, 7);
    return result;
}

static enum hash_outcome verify(struct hash_pool *pool, const char *password, const char *phc) {
    assert_int_equal(hash_pool_verify(pool, 8, password, strlen(password), phc, strlen(phc)),
                     HASH_started);
    struct hash_result result = await(pool);
    assert_int_equal(result.tag, 8);
    assert_string_equal(result.phc, "");
    return result.outcome;
}

static void test_make_and_verify(void **state) {
    struct hash_pool *pool = open_pool(&small);
    struct hash_result one = make(pool, "pass phrase");
    struct hash_result two = make(pool, "pass phrase");

    (void)state;
    assert_int_equal(one.outcome, HASH_made);
    assert_int_equal(strncmp(one.phc, "$argon2id$v=19$m=64,t=1,p=1$", 28), 0);
    assert_string_not_equal(one.phc, two.phc); /* A salt each. */
    assert_int_equal(verify(pool, "pass phrase", one.phc), HASH_ok);
    assert_int_equal(verify(pool, "pass phrase", two.phc), HASH_ok);
    assert_int_equal(verify(pool, "pass phrasf", one.phc), HASH_wrong);
    assert_int_equal(verify(pool, "pass phrase ", one.phc), HASH_wrong);
    assert_int_equal(verify(pool, "", one.phc), HASH_wrong);
    /* All bytes count, also behind a 0. */
    assert_int_equal(hash_pool_verify(pool, 1, "pass phrase\0x", 13, one.phc, strlen(one.phc)),
                     HASH_started);
    assert_int_equal(await(pool).outcome, HASH_wrong);
    assert_int_equal(hash_pool_busy(pool), 0);
    hash_pool_close(&pool);
    assert_null(pool);
    hash_pool_close(&pool);
}

/* What cannot be read, or asks for more memory than we would ever use, says nothing. */
static void test_other_strings(void **state) {
    static const char *const unreadable[] = {
        "",
        "x",
        "$argon2id$",
        "$argon2id$v=19$m=64,t=1,p=1$",
        "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA",
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA",
        "$argon2id$v=19$m=99999999999999999999,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHQ",
        "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    };
    struct hash_pool *pool = open_pool(&small);
    char long_one[300];

    (void)state;
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
        enum hash_outcome outcome = verify(pool, "password", unreadable[i]);
        if (outcome != HASH_failed) print_error("%s: %d\n", unreadable[i], (int)outcome);
        assert_int_equal(outcome, HASH_failed);
    }
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    assert_int_equal(verify(pool, "password", long_one), HASH_failed);
    hash_pool_close(&pool);
}

static void test_needs_rehash(void **state) {
    struct hash_pool_config config = small;
    struct hash_pool *before = open_pool(&config);
    struct hash_result old = make(before, "pass phrase");

    (void)state;
    config.passes = 2;
    struct hash_pool *after = open_pool(&config);
    assert_int_equal(verify(after, "pass phrase", old.phc), HASH_needs_rehash);
    assert_int_equal(verify(after, "wrong", old.phc), HASH_wrong);
    struct hash_result new = make(after, "pass phrase");
    assert_int_equal(verify(after, "pass phrase", new.phc), HASH_ok);
    assert_int_equal(verify(before, "pass phrase", new.phc), HASH_needs_rehash);
    hash_pool_close(&before);
    hash_pool_close(&after);
}

static void test_decoy(void **state) {
    struct hash_pool *pool = open_pool(&small);
    struct hash_pool *other = open_pool(&small);

    (void)state;
    assert_int_equal(verify(pool, "password", hash_pool_decoy(pool)), HASH_wrong);
    assert_string_not_equal(hash_pool_decoy(pool), hash_pool_decoy(other));
    hash_pool_close(&other);
    hash_pool_close(&pool);
}

static void test_full(void **state) {
    /* Slow enough that none ends while we fill: 64 MiB a hash. */
    const struct hash_pool_config slow = {
        .threads = 1, .queue_max = 3, .memory = 64U << 20, .passes = 3, .nice = 0
    };
    struct hash_pool *pool = open_pool(&slow);
    char long_one[HASH_PASSWORD_MAX + 1] = "";
    uint64_t seen = 0;

    (void)state;
    assert_int_equal(hash_pool_make(pool, 9, long_one, sizeof long_one), HASH_full);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(hash_pool_make(pool, i, "password", 8), HASH_started);
    }
    assert_int_equal(hash_pool_make(pool, 4, "password", 8), HASH_full);
    assert_int_equal(hash_pool_verify(pool, 4, "password", 8, "x", 1), HASH_full);
    assert_int_equal(hash_pool_busy(pool), 4);
    for (int i = 0; i < 4; i++) {
        struct hash_result result = await(pool);
        assert_int_equal(result.outcome, HASH_made);
        assert_int_equal(result.tag, (uint64_t)i); /* One thread: in order. */
        seen |= UINT64_C(1) << result.tag;
        if (i == 0) assert_int_equal(hash_pool_verify(pool, 5, "x", 1, "x", 1), HASH_started);
    }
    assert_int_equal(seen, 15);
    assert_int_equal(await(pool).outcome, HASH_failed);
    hash_pool_close(&pool);
}

static void test_quiet_descriptor(void **state) {
    struct hash_pool *pool = open_pool(&small);
    struct pollfd fd = { .fd = hash_pool_fd(pool), .events = POLLIN };
    struct hash_result result;

    (void)state;
    assert_int_equal(poll(&fd, 1, 0), 0);
    assert_false(hash_pool_next(pool, &result));
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(hash_pool_make(pool, i, "password", 8), HASH_started);
    }
    for (int i = 0; i < 3; i++)
        (void)await(pool);
    assert_false(hash_pool_next(pool, &result));
    assert_int_equal(poll(&fd, 1, 0), 0);
    hash_pool_close(&pool);
}

/* The pool's threads are nicer than this one by as much as asked. */
static void test_priority(void **state) {
    struct hash_pool *pool = open_pool(&small);
    DIR *tasks = opendir("/proc/self/task");
    int own = getpriority(PRIO_PROCESS, 0);
    int nicer = 0;

    (void)state;
    assert_non_null(tasks);
    (void)make(pool, "password"); /* By then at least one thread has run. */
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        if (task->d_name[0] == '.') continue;
        int nice = getpriority(PRIO_PROCESS, (id_t)strtoul(task->d_name, NULL, 10));
        if (nice == (own + 5 > 19 ? 19 : own + 5)) nicer++;
    }
    (void)closedir(tasks);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
    assert_true(nicer >= 1);
    hash_pool_close(&pool);
}

static void test_close_with_work(void **state) {
    struct hash_pool *pool = open_pool(&small);

    (void)state;
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(hash_pool_make(pool, i, "password", 8), HASH_started);
    }
    hash_pool_close(&pool);
    assert_null(pool);
}

static void test_open_bounds(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct hash_pool_config bad = small;
        if (i == 0) bad.threads = 0;
        if (i == 1) bad.threads = 65;
        if (i == 2) bad.queue_max = 0;
        if (i == 3) bad.queue_max = 4097;
        if (i == 4) bad.memory = 4096;
        if (i == 5) bad.memory = UINT64_C(2) << 30;
        if (i == 6) bad.passes = 0;
        if (i == 7) bad.nice = 20;
        assert_null(hash_pool_open(&bad));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make_and_verify),
        cmocka_unit_test(test_other_strings),
        cmocka_unit_test(test_needs_rehash),
        cmocka_unit_test(test_decoy),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_quiet_descriptor),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_close_with_work),
        cmocka_unit_test(test_open_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
