/* What the operators' door keeps and reads, on a real PostgreSQL: the record, accounts, dead
 * letters, the way of an order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/pg_harness.h"

#define S   INT64_C(1000000000)
#define NOW (INT64_C(1800000000) * S)

static struct pg_harness pg;

#define PUT(name, ...) (*(struct name *)pg_put(&pg, MSG_##name) = (struct name){ __VA_ARGS__ })
#define GOT(n, name)   PG_ANSWER(&pg, n, name)

static void assert_failed(uint32_t n, enum problem problem) {
    assert_int_equal(GOT(n, failed)->problem, problem);
}

static void assert_has(struct text text, const char *part) {
    char copy[4096];
    snprintf(copy, sizeof copy, "%.*s", (int)text.size, text.at);
    if (strstr(copy, part) == NULL) fail_msg("\"%s\" is not in \"%s\"", part, copy);
}

static int64_t begin(const char *command, const char *fields, const char *about, int64_t id) {
    PUT(audit_begin, .now = NOW, .who = text_of("otto"), .role = role_operator,
        .command = text_of(command), .fields = text_of(fields), .trace = text_of("00ff"),
        .about = text_of(about), .id = id);
    pg_ask(&pg);
    return GOT(0, done)->id;
}

static void end(int64_t audit_id, const char *outcome, int64_t id) {
    PUT(audit_end, .audit_id = audit_id, .now = NOW + S, .outcome = text_of(outcome), .id = id);
    pg_ask(&pg);
    assert_int_equal(GOT(0, done)->what, MSG_audit_end);
}

static void account(int64_t id, const char *login) {
    PUT(account_insert, .user_id = id, .login = text_of(login), .password = text_of("$secret$"),
        .now = NOW);
    pg_ask(&pg);
}

static void open_session(int64_t id, int64_t user) {
    static char hash[32];
    hash[0] = (char)id;
    PUT(session_insert, .session_id = id, .user_id = user, .refresh_hash = { hash, 32 }, .now = NOW,
        .expires_at = NOW + 86400 * S);
    pg_ask(&pg);
}

/* Every kind of thing, before and after, without what nobody should read. */
static void the_record(void **state) {
    (void)state;
    int64_t id = begin("product add", "{\"title\": \"Phone\"}", "product_id", 0);
    PUT(product_add, .title = text_of("Phone"), .product_id = 5);
    pg_ask(&pg);
    end(id, "done", 5);
    end(id, "internal", 5); /* Once said, it stays. */
    account(7, "ann@example.org");
    id = begin("user ban", "{\"user\": \"ann@example.org\"}", "user", 0);
    begin("user show", "{\"user\": \"nobody\"}", "user", 0); /* Never answered. */
    PUT(user_end, .user = text_of("ann@example.org"), .state = account_state_banned, .now = NOW);
    pg_ask(&pg);
    end(id, "done", 0);
    PUT(audit_list, .since = NOW - S);
    PUT(audit_list, .since = NOW);
    PUT(audit_list, .limit = 1);
    pg_ask(&pg);
    const struct audit_row *row = GOT(0, audit_row);
    assert_true(text_is(row->command, "product add") && text_is(row->who, "otto"));
    assert_int_equal(row->role, role_operator);
    assert_int_equal(row->at, NOW);
    assert_int_equal(row->ended_at, NOW + S);
    assert_true(text_is(row->outcome, "done"));
    assert_int_equal(row->before.size, 0);
    assert_has(row->after, "\"product_id\": \"5\""); /* A text: JavaScript reads it whole. */
    row = GOT(1, audit_row);
    assert_has(row->before, "\"state\": 1");
    assert_has(row->after, "\"state\": 2");
    assert_has(row->after, "a***@example.org");
    assert_int_equal(
        pg_number(pg.sql, "SELECT count(*) FROM audit_end WHERE after::text ~ 'secret'"), 0);
    assert_int_equal(GOT(2, audit_row)->outcome.size, 0);
    assert_int_equal(GOT(3, rows_end)->count, 3);
    assert_int_equal(GOT(4, rows_end)->count, 0); /* Only later ones. */
    assert_true(text_is(GOT(5, audit_row)->command, "user show"));
    for (int i = 0; i < 4; i++) {
        static const char *const attempts[] = { "UPDATE audit SET who = 'x'", "DELETE FROM audit",
                                                "UPDATE audit_end SET outcome = 'x'",
                                                "TRUNCATE audit_end" };
        PGresult *result = PQexec(pg.sql, attempts[i]);
        if (PQresultStatus(result) != PGRES_FATAL_ERROR) fail_msg("%s", attempts[i]);
        PQclear(result);
    }
}

static void accounts(void **state) {
    (void)state;
    account(11, "bob@example.org");
    account(12, "+8613800138000");
    open_session(21, 11);
    open_session(22, 11);
    static const char *const words[] = { "11", "Bob@Example.org", "12", "+86 138-0013 8000" };
    for (int i = 0; i < 4; i++)
        PUT(user_show, .user = text_of(words[i]));
    PUT(user_show, .user = text_of("99999999999999999999999"));
    PUT(user_show, .user = text_of(""));
    pg_ask(&pg);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(GOT(i, user_view)->user_id, i < 2 ? 11 : 12);
    assert_int_equal(GOT(0, user_view)->sessions, 2);
    assert_failed(4, PROBLEM_not_found);
    assert_failed(5, PROBLEM_not_found);
    PUT(user_end, .user = text_of("11"), .state = account_state_banned, .now = NOW + S);
    pg_ask(&pg);
    assert_int_equal(GOT(0, session_revoked)->session_id, 21);
    assert_int_equal(GOT(1, session_revoked)->session_id, 22);
    assert_int_equal(GOT(2, rows_end)->count, 2);
    PUT(user_end, .user = text_of("11"), .state = account_state_banned, .now = NOW + 2 * S);
    PUT(user_end, .user = text_of("nobody"), .now = NOW);
    PUT(account_find, .login = text_of("bob@example.org"));
    pg_ask(&pg);
    assert_int_equal(GOT(2, rows_end)->count, 2); /* Said again: the news may have been lost. */
    assert_failed(3, PROBLEM_not_found);
    assert_int_equal(GOT(4, account_row)->state, account_state_banned);
    PUT(user_end, .user = text_of("11"), .state = account_state_normal, .now = NOW + 3 * S);
    PUT(user_show, .user = text_of("11"));
    pg_ask(&pg);
    assert_int_equal(GOT(0, rows_end)->count, 0);
    assert_int_equal(GOT(1, user_view)->state, account_state_normal);
    assert_int_equal(GOT(1, user_view)->sessions, 0);
}

/* A log-in that was let through just before the ban: its session is inserted while the ban's
 * transaction is open, and does not outlive it. */
static void no_session_slips_past_a_ban(void **state) {
    (void)state;
    account(31, "cat@example.org");
    pg_exec(pg.sql, "BEGIN");
    pg_exec(pg.sql, "SELECT * FROM user_end('31', 2, 1800000000000000)");
    static char hash[32] = "slips";
    PUT(session_insert, .session_id = 41, .user_id = 31, .refresh_hash = { hash, 32 }, .now = NOW,
        .expires_at = NOW + 86400 * S);
    pg_send(&pg);
    for (int i = 0; i < 20; i++)
        pg_turn(&pg, 10);
    pg_exec(pg.sql, "COMMIT");
    pg_wait(&pg);
    /* Behind the answer of account(). */
    assert_int_equal(GOT(1, session_row)->state, account_state_banned);
    assert_int_equal(
        pg_number(pg.sql, "SELECT count(*) FROM session WHERE user_id = 31 AND ended_at IS NULL"),
        0);
}

static void dead_letters(void **state) {
    (void)state;
    account(51, "dan@example.org");
    pg_exec(pg.sql, "DELETE FROM dead_letter");
    int64_t mail = pg_number(pg.sql, "SELECT max(outbox_id) FROM outbox");
    PUT(outbox_done, .outbox_id = mail, .dead = 1, .now = NOW, .error = text_of("no such box"));
    PUT(dead_list, .all = 0);
    pg_ask(&pg);
    const struct dead_row *row = GOT(1, dead_row);
    int64_t letter = row->letter_id;
    assert_int_equal(row->reference, mail);
    assert_true(text_is(row->what, "outbox") && text_is(row->reason, "no such box"));
    PUT(dead_retry, .letter_id = letter, .who = text_of("otto"), .now = NOW + S);
    PUT(dead_retry, .letter_id = letter, .who = text_of("otto"), .now = NOW + S); /* Again. */
    PUT(dead_drop, .letter_id = letter, .who = text_of("otto"), .now = NOW + S);
    PUT(dead_show, .letter_id = letter);
    PUT(dead_show, .letter_id = 4711);
    pg_ask(&pg);
    assert_int_equal(GOT(0, dead_row)->state, letter_state_retried);
    assert_int_equal(GOT(1, dead_row)->state, letter_state_retried);
    assert_failed(2, PROBLEM_illegal_state);
    assert_true(text_is(GOT(3, dead_row)->ended_by, "otto"));
    assert_failed(4, PROBLEM_not_found);
    assert_int_equal(pg_number(pg.sql,
                               "SELECT count(*) FROM outbox WHERE outbox_id = %lld AND dead_at IS "
                               "NULL AND attempts = 0 AND next_at = time_of(1800000001000000)",
                               (long long)mail),
                     1);
    PUT(dead_letter_add, .node = 3, .to = ACTOR_order, .shard = 2, .type = MSG_place,
        .reason = text_of("crashed"), .content = { "\x00\xff\x10", 3 }, .trace = -5, .at = NOW);
    PUT(dead_list, .all = 0);
    pg_ask(&pg);
    int64_t message = GOT(1, dead_row)->letter_id;
    assert_int_equal(GOT(0, done)->id, message);
    assert_int_equal(GOT(1, dead_row)->trace, -5);
    assert_int_equal(GOT(1, dead_row)->frame.size, 0); /* Not in lists. */
    assert_int_equal(GOT(2, rows_end)->count, 1);
    PUT(dead_show, .letter_id = message);
    PUT(dead_drop, .letter_id = message, .who = text_of("otto"), .now = NOW);
    PUT(dead_retry, .letter_id = message, .who = text_of("otto"), .now = NOW);
    pg_ask(&pg);
    assert_int_equal(GOT(0, dead_row)->frame.size, 3);
    assert_memory_equal(GOT(0, dead_row)->frame.at, "\x00\xff\x10", 3);
    assert_int_equal(GOT(1, dead_row)->state, letter_state_dropped);
    assert_failed(2, PROBLEM_illegal_state);
}

static int set_up(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_door");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record),
        cmocka_unit_test(accounts),
        cmocka_unit_test(no_session_slips_past_a_ban),
        cmocka_unit_test(dead_letters),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
