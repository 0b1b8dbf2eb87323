/* A bridge among others: what it missed it hears again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/bridge/bridge.h"
#include "tests/lib/actor_probe.h"

#define MS INT64_C(1000000)
enum { SALE = 11, USER = 7, SESSION = 8 };
static struct probe probe;
static const struct seal_keys keys = { .count = 1 };

static struct bridge *self(void) {
    return probe.state;
}

static int setup(void **state) {
    (void)state;
    struct actor_setup setup = probe_setup();
    setup.keys = &keys;
    setup.node = 6;
    setup.seed[8] = 1;
    probe_open(&probe, &bridge_type, &setup);
    probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

static uint32_t count(enum address to, enum message_id id) {
    return probe_count(&probe, to, id);
}
static struct message last(enum address to, enum message_id id) {
    return *probe_message(&probe, to, id, -1);
}
static void end(const struct message *to, uint32_t rows, int64_t next) {
    struct rows_end body = { .what = to->head.type, .count = rows, .next = next };
    probe_answer(&probe, to, &body, MSG_rows_end);
}
static struct sale_view sale(int64_t id, enum sale_state state, int64_t version) {
    return (struct sale_view){
        .sale_id = id, .title = text_of("S"), .state = state, .version = version
    };
}
/* The catalogue answers with these sales and no lots. */
static void snapshot(const struct sale_view *rows, uint32_t sent, uint32_t told, int64_t version) {
    struct message sales = last(ACTOR_catalogue, MSG_sale_rows_get);
    struct message lots = last(ACTOR_catalogue, MSG_lot_rows_get);
    for (uint32_t i = 0; i < sent; i++)
        probe_answer(&probe, &sales, &rows[i], MSG_sale_view);
    end(&sales, told, version);
    end(&lots, 0, version);
}
static void revoked_answer(uint32_t rows, uint32_t told, int64_t next) {
    struct message ask = last(ACTOR_session, MSG_revoked_load);
    struct session_revoked row = { .session_id = SESSION, .until = probe.now + 60000 * MS };
    for (uint32_t i = 0; i < rows; i++)
        probe_answer(&probe, &ask, &row, MSG_session_revoked);
    end(&ask, told, next);
}
static bool admits(int64_t session_id) {
    struct order_list list = { .user_id = USER, .session_id = session_id };
    uint32_t before = count(ACTOR_order, MSG_order_list);
    probe.head = (struct head){ .origin = PORT_http, .request = 1 };
    probe_give(&probe, PORT_http, &list, MSG_order_list);
    probe.head = (struct head){ 0 };
    return count(ACTOR_order, MSG_order_list) > before;
}
static enum sale_state shown(int64_t id) {
    const struct bridge_sale *known = bridge_sale(self(), id);
    return known != NULL ? known->state : sale_state_none;
}
static uint32_t ready_messages(void) {
    return count(NOBODY, MSG_ready);
}

/* ---- Ended sessions ---- */

static void they_are_asked_for_more_than_once_a_second(void **state) {
    (void)state;
    revoked_answer(0, 0, 5000);
    for (uint32_t second = 1; second <= 3; second++) {
        probe_pass(&probe, 1000 * MS);
        assert_true(count(ACTOR_session, MSG_revoked_load) > 2 * second);
        struct message ask = last(ACTOR_session, MSG_revoked_load);
        assert_int_equal(BODY(&ask, revoked_load)->since, 5000); /* Only what is new. */
        assert_int_equal(ask.head.node, 6);
    }
}

static void a_lost_kick_is_heard_of_within_a_second(void **state) {
    (void)state;
    revoked_answer(0, 0, 5000);
    assert_true(admits(SESSION));
    /* The push is lost.  Time passes until the next question; it is answered at once. */
    uint32_t asked = count(ACTOR_session, MSG_revoked_load);
    int64_t began = probe.now;
    while (count(ACTOR_session, MSG_revoked_load) == asked)
        probe_pass(&probe, 10 * MS);
    assert_true(probe.now - began < 500 * MS);
    revoked_answer(1, 1, 6000);
    assert_false(admits(SESSION));
    assert_true(admits(SESSION + 1));
}

static void a_lost_row_is_asked_for_again(void **state) {
    (void)state;
    revoked_answer(0, 0, 5000);
    probe_pass(&probe, 500 * MS);
    revoked_answer(1, 2, 6000); /* One of two has come. */
    assert_int_equal(self()->news.since, 5000);
    probe_pass(&probe, 500 * MS);
    struct message ask = last(ACTOR_session, MSG_revoked_load);
    assert_int_equal(BODY(&ask, revoked_load)->since, 5000);
    revoked_answer(2, 2, 6000);
    assert_int_equal(self()->news.since, 6000);
}

/* ---- The catalogue ---- */

static void a_late_bridge_serves_when_it_has_everything(void **state) {
    (void)state;
    struct sale_view rows[2] = { sale(SALE, sale_state_open, 3),
                                 sale(SALE + 1, sale_state_scheduled, 1) };
    assert_false(PROBE_SENT(&probe, NOBODY, ready, 0)->yes);
    revoked_answer(0, 0, 5000);
    snapshot(rows, 1, 2, 70); /* A row is lost on the way. */
    assert_false(self()->catalogue.known);
    assert_int_equal(ready_messages(), 1);
    probe_pass(&probe, 2100 * MS);
    snapshot(rows, 2, 2, 70);
    assert_true(self()->catalogue.known);
    assert_true(PROBE_SENT(&probe, NOBODY, ready, -1)->yes);
    assert_int_equal(ready_messages(), 2); /* Only when it changes. */
    probe_pass(&probe, 500 * MS);
    assert_int_equal(ready_messages(), 2);
    probe_give(&probe, NOBODY, &(struct stop){ 0 }, MSG_stop);
    assert_false(PROBE_SENT(&probe, NOBODY, ready, -1)->yes);
}

static void missed_changes_are_noticed_by_their_number(void **state) {
    (void)state;
    struct sale_view rows[2] = { sale(SALE, sale_state_open, 3),
                                 sale(SALE + 1, sale_state_settled, 9) };
    snapshot(rows, 2, 2, 70);
    probe_clear(&probe);
    probe_pass(&probe, 2500 * MS);
    assert_int_equal(count(ACTOR_catalogue, MSG_sale_rows_get), 0); /* Only the number. */
    struct message check = last(ACTOR_catalogue, MSG_catalogue_check);
    end(&check, 0, 70);
    probe_pass(&probe, 2500 * MS);
    assert_int_equal(count(ACTOR_catalogue, MSG_sale_rows_get), 0);
    check = last(ACTOR_catalogue, MSG_catalogue_check);
    end(&check, 0, 72); /* Two pieces of news were lost: a close, and one put away. */
    probe_pass(&probe, 100 * MS);
    assert_int_equal(count(ACTOR_catalogue, MSG_sale_rows_get), 1);
    rows[0] = sale(SALE, sale_state_closed, 4);
    /* One that is made meanwhile comes as news, and is not in the snapshot. */
    struct sale_view fresh = sale(SALE + 2, sale_state_scheduled, 1);
    probe_give(&probe, ACTOR_catalogue, &fresh, MSG_sale_view);
    snapshot(rows, 1, 1, 72);
    assert_int_equal(shown(SALE), sale_state_closed);
    assert_int_equal(shown(SALE + 1), sale_state_archived);
    assert_int_equal(shown(SALE + 2), sale_state_scheduled);
    probe_clear(&probe);
    probe_pass(&probe, 2500 * MS);
    check = last(ACTOR_catalogue, MSG_catalogue_check);
    end(&check, 0, 72);
    probe_pass(&probe, 1000 * MS);
    assert_int_equal(count(ACTOR_catalogue, MSG_sale_rows_get), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(they_are_asked_for_more_than_once_a_second),
        TEST(a_lost_kick_is_heard_of_within_a_second),
        TEST(a_lost_row_is_asked_for_again),
        TEST(a_late_bridge_serves_when_it_has_everything),
        TEST(missed_changes_are_noticed_by_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
