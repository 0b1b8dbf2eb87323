/* Session: registration, log-in, refresh, log-out, the eligibility chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "actors/session/session.h"
#include "broker/batch.h"

enum { USER = 7, SESSION = 8, LOT = 9, SALE = 11, HTTP_REQUEST = 77 };
static const int64_t second = 1000000000, start = INT64_C(1790000000000000000);

static struct seal_keys keys = { .count = 1, .key = { { 1, { 1, 2, 3 } } } };
static struct session *session;
static struct batch sent;
static int64_t now;

static int set_up_with(void **state, uint8_t seed) {
    (void)state;
    struct actor_setup setup = { .keys = &keys,
                                 .access_life = 900 * second,
                                 .refresh_life = 90000 * second,
                                 .session_idle = 1800 * second,
                                 .login_failures_max = 10,
                                 .ticket_life = 1800 * second,
                                 .ticket_lead = 3600 * second,
                                 .cancels_max = 3 };
    memset(setup.seed, seed, sizeof setup.seed);
    session = calloc(1, sizeof *session);
    session_type.init(session, &setup);
    batch_init(&sent);
    now = start;
    return 0;
}

static int set_up(void **state) {
    return set_up_with(state, 5);
}

static int tear_down(void **state) {
    (void)state;
    free(session);
    batch_fini(&sent);
    return 0;
}

/* What the actor sent stays in `sent`; its texts point there too. */
static void give_to(uint64_t request, enum address origin, enum message_id id, const void *body) {
    struct message in = { { .type = (uint16_t)id,
                            .from = PORT_pg_shop,
                            .to = ACTOR_session,
                            .origin = (uint8_t)origin,
                            .request = request },
                          body };
    struct outbox out = batch_outbox(&sent, ACTOR_session, 0, session_type.sends_max);
    batch_reset(&sent);
    session_type.handle(session, &in, 1, now, &out);
    session_type.check(session);
}

static void from_http(enum message_id id, const void *body) {
    give_to(HTTP_REQUEST, PORT_http, id, body);
}

static const void *only(enum address to, enum message_id id) {
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.items[0].head.to, to);
    assert_int_equal(sent.items[0].head.type, id);
    if (to == PORT_http) assert_int_equal(sent.items[0].head.request, HTTP_REQUEST);
    return sent.items[0].body;
}

static void answer(enum message_id id, const void *body) {
    give_to(sent.items[0].head.request, (enum address)sent.items[0].head.origin, id, body);
}

static void assert_refused(enum problem problem) {
    const struct failed *failed = only(PORT_http, MSG_failed);
    assert_string_equal(problem_name(failed->problem), problem_name(problem));
}

static void assert_nothing_under_way(void) {
    for (uint32_t i = 0; i < LOGINS_MAX; i++) {
        assert_false(session->logins[i].used);
        for (uint32_t k = 0; k < sizeof session->logins[i].secret; k++) {
            assert_int_equal(session->logins[i].secret[k], 0); /* Wiped. */
        }
    }
}

static void test_login_names(void **state) {
    (void)state;
    static const struct {
        const char *given, *name;
    } rows[] = {
        { "Ann@Example.org", "ann@example.org" },
        { "+86 138-0013 8000", "+8613800138000" },
        { "13800138000", "+13800138000" },
        { "ann", NULL },
        { "@example.org", NULL },
        { "ann@", NULL },
        { "a@b@c", NULL },
        { "a b@c.d", NULL },
        { "1234", NULL },
        { "ann@example.", NULL },
        { "a,b@c.d", NULL },
        { "1234567890123456", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[LOGIN_MAX + 1];
        bool good = login_name(text_of(rows[i].given), name);
        if (good != (rows[i].name != NULL)) fail_msg("%s", rows[i].given);
        if (good) assert_string_equal(name, rows[i].name);
    }
}

static void test_registration(void **state) {
    (void)state;
    struct account_create create = { .login = text_of("Ann@Example.org"),
                                     .password = text_of("correct horse") };
    from_http(MSG_account_create, &create);
    only(PORT_hash, MSG_hash_make);
    struct hash_made made = { .password = text_of("$argon2id$x") };
    answer(MSG_hash_made, &made);
    const struct account_insert *insert = only(PORT_pg_shop, MSG_account_insert);
    assert_true(text_is(insert->login, "ann@example.org"));
    assert_true(text_is(insert->password, "$argon2id$x"));
    struct account_view kept = { .user_id = 1, .login = text_of("ann@example.org") };
    answer(MSG_account_view, &kept);
    const struct account_view *view = only(PORT_http, MSG_account_view);
    assert_true(view->user_id > 0);
    assert_true(text_is(view->login, "a***@example.org"));
    assert_nothing_under_way();
}

static void log_in(const char *password) {
    struct session_create create = { .login = text_of("ann@example.org"),
                                     .password = text_of(password) };
    from_http(MSG_session_create, &create);
    only(PORT_pg_shop, MSG_account_find);
}

static const struct account_row ann = { .user_id = USER,
                                        .state = account_state_normal,
                                        .password = { "$phc", 4 } };

static void test_log_in(void **state) {
    (void)state;
    log_in("secret-1");
    answer(MSG_account_row, &ann);
    const struct hash_check *check = only(PORT_hash, MSG_hash_check);
    assert_true(text_is(check->password, "secret-1"));
    struct hash_checked yes = { .match = 1 };
    answer(MSG_hash_checked, &yes);
    const struct session_insert *insert = only(PORT_pg_shop, MSG_session_insert);
    assert_int_equal(insert->refresh_hash.size, 32);
    uint8_t kept_hash[32];
    memcpy(kept_hash, insert->refresh_hash.at, 32);
    struct session_row row = { .session_id = SESSION,
                               .user_id = USER,
                               .expires_at = now + 90000 * second,
                               .state = account_state_normal };
    answer(MSG_session_row, &row);
    const struct session_view *view = only(PORT_http, MSG_session_view);
    struct access_claims claims;
    assert_true(seal_read(&keys, MSG_access_claims, view->access_token, &claims));
    assert_int_equal(claims.user_id, USER);
    assert_true(claims.expires_at == now + 900 * second);
    uint8_t token[32], hash[32];
    size_t size;
    assert_int_equal(sodium_base642bin(token, 32, view->refresh_token.at, view->refresh_token.size,
                                       NULL, &size, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                     0);
    crypto_generichash(hash, 32, token, 32, NULL, 0);
    assert_memory_equal(hash, kept_hash, 32); /* What is kept is the hash of what is given. */
    assert_nothing_under_way();
}

/* Both stand in the first place; "yes" about one password must not let in who gave another. */
static void test_an_answer_to_one_who_crashed_is_nobodys(void **state) {
    log_in("secret-1");
    answer(MSG_account_row, &ann);
    uint64_t number = sent.items[0].head.request;
    tear_down(state);
    set_up_with(state, 6);
    log_in("another-1");
    answer(MSG_account_row, &ann);
    only(PORT_hash, MSG_hash_check);
    struct hash_checked yes = { .match = 1 };
    give_to(number, ACTOR_session, MSG_hash_checked, &yes);
    assert_int_equal(sent.count, 0);
}

static void test_wrong_password_says_no_more_than_unknown_login(void **state) {
    (void)state;
    struct hash_checked no = { .match = 0 }, yes = { .match = 1 };
    log_in("wrong");
    answer(MSG_account_row, &ann);
    answer(MSG_hash_checked, &no);
    assert_int_equal(sent.count, 2); /* Counted, and refused. */
    assert_int_equal(sent.items[0].head.type, MSG_login_failed);
    assert_int_equal(((const struct failed *)sent.items[1].body)->problem, PROBLEM_wrong_password);
    log_in("whatever");
    struct failed absent = { .problem = PROBLEM_not_found, .what = MSG_account_find };
    answer(MSG_failed, &absent);
    const struct hash_check *check = only(PORT_hash, MSG_hash_check);
    assert_int_equal(check->hash.size, 0);
    answer(MSG_hash_checked, &yes); /* Even then. */
    assert_refused(PROBLEM_wrong_password);
    assert_nothing_under_way();
}

static void test_locked_banned_busy(void **state) {
    (void)state;
    struct account_row row = ann;
    row.locked_until = now + 5 * second;
    log_in("x");
    answer(MSG_account_row, &row);
    assert_refused(PROBLEM_account_locked);
    /* Without a comparison: the answer must not tell a guesser when he is right. */
    row = ann, row.state = account_state_banned;
    struct hash_checked no = { .match = 0 }, yes = { .match = 1 };
    log_in("x"); /* Somebody who does not know the password is not told of a ban. */
    answer(MSG_account_row, &row);
    answer(MSG_hash_checked, &no);
    assert_int_equal(sent.items[0].head.type, MSG_login_failed); /* It is counted. */
    assert_int_equal(((const struct failed *)sent.items[1].body)->problem, PROBLEM_wrong_password);
    log_in("x");
    answer(MSG_account_row, &row);
    answer(MSG_hash_checked, &yes);
    assert_refused(PROBLEM_account_banned); /* And there is no session. */
    log_in("x");
    answer(MSG_account_row, &ann);
    struct failed busy = { .problem = PROBLEM_hashing_busy, .retry_after = 2 };
    answer(MSG_failed, &busy);
    assert_refused(PROBLEM_hashing_busy);
    assert_nothing_under_way();
}

static void test_refresh_and_log_out(void **state) {
    (void)state;
    struct session_refresh bad = { .refresh_token = text_of("abc") };
    from_http(MSG_session_refresh, &bad);
    assert_refused(PROBLEM_login_again);
    struct session_refresh refresh = { .refresh_token =
                                           text_of("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") };
    from_http(MSG_session_refresh, &refresh);
    const struct session_rotate *rotate = only(PORT_pg_shop, MSG_session_rotate);
    assert_false(text_equal(rotate->old_hash, rotate->new_hash));
    struct session_row row = { .session_id = SESSION,
                               .user_id = USER,
                               .expires_at = now + second,
                               .state = account_state_normal };
    answer(MSG_session_row, &row);
    const struct session_view *view = only(PORT_http, MSG_session_view);
    assert_true(view->expires_in == second);  /* Not longer than the session. */
    from_http(MSG_session_refresh, &refresh); /* Somebody else has used it: the family is over. */
    struct failed spent = { .problem = PROBLEM_login_again, .id = SESSION };
    answer(MSG_failed, &spent);
    assert_int_equal(sent.count, 2);
    assert_int_equal(sent.items[0].head.type, MSG_failed);
    assert_int_equal(sent.items[1].head.to, ACTOR_bridge);
    assert_int_equal(((const struct session_revoked *)sent.items[1].body)->session_id, SESSION);
    struct session_delete end = { .user_id = USER, .session_id = SESSION };
    from_http(MSG_session_delete, &end);
    only(PORT_pg_shop, MSG_session_end);
    struct done done = { .what = MSG_session_end };
    answer(MSG_done, &done);
    assert_int_equal(sent.count, 2);
    assert_int_equal(sent.items[0].head.to, ACTOR_bridge);
    assert_int_equal(((const struct session_revoked *)sent.items[0].body)->session_id, SESSION);
    assert_int_equal(sent.items[1].head.type, MSG_done);
    assert_nothing_under_way();
}

static void snapshot(enum sale_state state) {
    struct sale_view sale = { .sale_id = SALE,
                              .state = state,
                              .opens_at = start + 600 * second,
                              .closes_at = start + 7200 * second,
                              .version = 1 };
    struct lot_view lot = { .lot_id = LOT,
                            .sale_id = SALE,
                            .price = { 1999, "CNY" },
                            .price_version = 3,
                            .per_buyer_limit = 2,
                            .version = 1 };
    session->sale_count = session->lot_count = 0;
    give_to(0, NOBODY, MSG_sale_view, &sale);
    give_to(0, NOBODY, MSG_lot_view, &lot);
}

static const struct ticket_create want = { .lot_id = LOT, .user_id = USER, .session_id = SESSION };
static const struct ticket_facts good = {
    .user_id = USER, .session_id = SESSION, .lot_id = LOT, .state = account_state_normal
};

static void test_ticket(void **state) {
    (void)state;
    snapshot(sale_state_scheduled);
    from_http(MSG_ticket_create, &want);
    only(PORT_pg_shop, MSG_ticket_facts_get);
    struct ticket_facts facts = good;
    facts.held = 1;
    from_http(MSG_ticket_facts, &facts);
    const struct ticket_view *view = only(PORT_http, MSG_ticket_view);
    struct ticket_claims claims;
    assert_true(seal_read(&keys, MSG_ticket_claims, view->ticket, &claims));
    assert_int_equal(claims.order_id, view->order_id);
    assert_int_equal(claims.quantity_max, 1);
    assert_int_equal(claims.price_version, 3);
    assert_true(claims.not_before == start + 600 * second);
    assert_true(claims.expires_at == claims.not_before + 1800 * second);
    int64_t first = view->order_id;
    snapshot(sale_state_paused); /* Opened by hand before its time. */
    from_http(MSG_ticket_facts, &facts);
    view = only(PORT_http, MSG_ticket_view);
    assert_true(view->not_before == now);
    snapshot(sale_state_scheduled);
    from_http(MSG_ticket_facts, &facts);
    assert_true(((const struct ticket_view *)only(PORT_http, MSG_ticket_view))->order_id != first);
}

static void test_chain(void **state) {
    (void)state;
    session->catalogue.known = true;
    from_http(MSG_ticket_create, &want);
    assert_refused(PROBLEM_not_found);
    snapshot(sale_state_closed);
    from_http(MSG_ticket_create, &want);
    assert_refused(PROBLEM_sale_closed);
    snapshot(sale_state_draft);
    from_http(MSG_ticket_create, &want);
    assert_refused(PROBLEM_not_found);
    snapshot(sale_state_scheduled);
    now = start - 3001 * second; /* Before the lead. */
    from_http(MSG_ticket_create, &want);
    assert_refused(PROBLEM_sale_not_open);
    now = start;
    struct ticket_create cheaper = want;
    cheaper.price = (struct money){ 1998, "CNY" };
    from_http(MSG_ticket_create, &cheaper);
    assert_refused(PROBLEM_price_changed);
    struct ticket_facts facts = good;
    facts.session_id = 0;
    from_http(MSG_ticket_facts, &facts);
    assert_refused(PROBLEM_login_again);
    facts = good, facts.state = account_state_banned;
    from_http(MSG_ticket_facts, &facts);
    assert_refused(PROBLEM_account_banned);
    facts = good, facts.held = 2;
    from_http(MSG_ticket_facts, &facts);
    assert_refused(PROBLEM_limit_reached);
    facts = good, facts.cancels = 3;
    from_http(MSG_ticket_facts, &facts);
    assert_refused(PROBLEM_too_many_cancels);
    facts.held = 2; /* Both: the first of the chain is the answer. */
    from_http(MSG_ticket_facts, &facts);
    assert_refused(PROBLEM_limit_reached);
}

static void test_late_answers_change_nothing(void **state) {
    (void)state;
    log_in("x");
    uint64_t number = sent.items[0].head.request;
    now += 31 * second;
    struct tick tick = { 0 };
    session->catalogue.known = true;
    give_to(0, NOBODY, MSG_tick, &tick);
    give_to(number, ACTOR_session, MSG_account_row, &ann);
    assert_int_equal(sent.count, 0);
    assert_nothing_under_way();
}

/* A ban: what PostgreSQL ended is news for every bridge at once, the account goes to the operator.
 */
static void test_ban(void **state) {
    (void)state;
    struct user_ban ban = { .user = text_of("ann@example.org") };
    give_to(5, PORT_door, MSG_user_ban, &ban);
    assert_int_equal(sent.count, 1); /* The account is looked at when that is done. */
    assert_int_equal(BODY(&sent.items[0], user_end)->state, account_state_banned);
    struct session_revoked ended = { .session_id = SESSION, .until = start };
    give_to(5, PORT_door, MSG_session_revoked, &ended);
    const struct session_revoked *news = only(ACTOR_bridge, MSG_session_revoked);
    assert_int_equal(sent.items[0].head.node, NODE_EVERY);
    assert_int_equal(news->session_id, SESSION);
    assert_true(news->until >= now + 900 * second);
    struct rows_end end = { .what = MSG_user_end, .count = 1 };
    give_to(6, PORT_door, MSG_rows_end, &end); /* Somebody else's. */
    assert_int_equal(sent.count, 0);
    give_to(5, PORT_door, MSG_rows_end, &end);
    assert_true(text_is(((const struct user_show *)only(PORT_pg_shop, MSG_user_show))->user,
                        "ann@example.org"));
    give_to(5, PORT_door, MSG_rows_end, &end);
    assert_int_equal(sent.count, 0);
    struct user_view view = { .user_id = USER };
    give_to(5, PORT_door, MSG_user_view, &view);
    assert_int_equal(((const struct user_view *)only(PORT_door, MSG_user_view))->user_id, USER);
}

/* The end of one command and the next one in a batch: each is about its own account. */
static void test_two_operators(void **state) {
    (void)state;
    struct user_ban ban = { .user = text_of("ann@example.org") };
    struct user_kick ben = { .user = text_of("ben@example.com") };
    struct rows_end end = { .what = MSG_user_end };
    give_to(5, PORT_door, MSG_user_ban, &ban);
    struct message both[] = {
        { { .type = MSG_rows_end, .from = PORT_pg_shop, .origin = PORT_door, .request = 5 }, &end },
        { { .type = MSG_user_kick, .from = PORT_door, .origin = PORT_door, .request = 6 }, &ben },
    };
    struct outbox out = batch_outbox(&sent, ACTOR_session, 0, session_type.sends_max);
    batch_reset(&sent);
    session_type.handle(session, both, 2, now, &out);
    assert_int_equal(sent.count, 2);
    assert_true(text_is(BODY(&sent.items[0], user_show)->user, "ann@example.org"));
    assert_true(text_is(BODY(&sent.items[1], user_end)->user, "ben@example.com"));
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_login_names),
        TEST(test_registration),
        TEST(test_log_in),
        TEST(test_an_answer_to_one_who_crashed_is_nobodys),
        TEST(test_wrong_password_says_no_more_than_unknown_login),
        TEST(test_locked_banned_busy),
        TEST(test_refresh_and_log_out),
        TEST(test_ticket),
        TEST(test_chain),
        TEST(test_late_answers_change_nothing),
        TEST(test_ban),
        TEST(test_two_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
