/* Where each message goes when there are several shards and several nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "actors/session/session.h"
#include "schema/id.h"
#include "schema/seal.h"
#include "tests/lib/actor_probe.h"

#define MS INT64_C(1000000)
enum { SHARDS = 4, HERE = 6, THERE = 9, USER = 7, SESSION = 8, LOT = 100 };
static struct probe probe;
static struct seal_keys keys;

#define GIVE(from, name, ...) probe_give(&probe, (from), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define HEAD(to, name)        (&probe_message(&probe, (to), MSG_##name, -1)->head)

static void open_with(const struct actor_type *type, uint8_t shard) {
    struct actor_setup setup = probe_setup();
    keys = (struct seal_keys){ .count = 1 };
    keys.key[0].id = 1;
    setup.keys = &keys;
    setup.shard = shard;
    setup.shards = SHARDS;
    setup.node = HERE;
    probe_open(&probe, type, &setup);
}

/* An order whose lot lives in this shard. */
static int64_t order_in(uint32_t shard) {
    static struct id_source ids;
    return id_next_in_shard(&ids, probe.now, shard);
}

/* ---- Bridge ---- */

static void from_http(const void *body, enum message_id id) {
    probe.head = (struct head){ .origin = PORT_http, .request = 3, .node = HERE };
    probe_give(&probe, PORT_http, body, id);
    probe.head = (struct head){ 0 };
}

static void a_purchase_goes_to_the_shard_in_its_order_id(void **state) {
    (void)state;
    open_with(&bridge_type, 0);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        char text[SEAL_TEXT_MAX + 1];
        struct ticket_claims claims = { .order_id = order_in(shard),
                                        .user_id = USER,
                                        .session_id = SESSION,
                                        .lot_id = LOT,
                                        .quantity_max = 1,
                                        .not_before = probe.now,
                                        .expires_at = probe.now + 1000 * MS };
        uint32_t size = seal_write(&keys, MSG_ticket_claims, &claims, text);
        struct order_create buy = { .ticket = { text, size },
                                    .quantity = 1,
                                    .address = text_of("{}"),
                                    .user_id = USER,
                                    .session_id = SESSION };
        from_http(&buy, MSG_order_create);
        assert_int_equal(HEAD(ACTOR_inventory, reserve)->shard, shard);
        assert_int_equal(HEAD(ACTOR_inventory, reserve)->node, HERE); /* The answer comes here. */
    }
    probe_close(&probe);
}

static void what_is_asked_of_an_order_goes_to_its_writer(void **state) {
    (void)state;
    open_with(&bridge_type, 0);
    char text[SEAL_TEXT_MAX + 1];
    struct order_get get = { .order_id = order_in(3), .user_id = USER };
    from_http(&get, MSG_order_get);
    assert_int_equal(HEAD(ACTOR_order, order_get)->shard, 3);
    struct receipt_claims receipt = { .order_id = get.order_id,
                                      .rid = rid_make(2, 5, 9),
                                      .user_id = USER };
    get.receipt = (struct text){ text, seal_write(&keys, MSG_receipt_claims, &receipt, text) };
    probe_clear(&probe);
    from_http(&get, MSG_order_get); /* A receipt names the shard of its reservation. */
    assert_int_equal(HEAD(ACTOR_order, order_get)->shard, 2);
    struct order_cancel cancel = { .order_id = order_in(1), .user_id = USER };
    from_http(&cancel, MSG_order_cancel);
    assert_int_equal(HEAD(ACTOR_order, order_cancel)->shard, 1);
    struct order_list list = { .user_id = 42 };
    from_http(&list, MSG_order_list);
    assert_int_equal(HEAD(ACTOR_order, order_list)->shard, 42 % SHARDS);
    probe_close(&probe);
}

/* ---- Payment, timer, order ---- */

static void late_money_reserves_where_the_lot_is(void **state) {
    (void)state;
    open_with(&payment_type, 0);
    probe_give(&probe, NOBODY, &(struct tick){ 0 }, MSG_tick);
    struct message due = *probe_message(&probe, PORT_pg_shop, MSG_payments_due, 0);
    struct payment_row row = { .payment_id = 5,
                               .order_id = order_in(2),
                               .user_id = USER,
                               .lot_id = LOT,
                               .quantity = 1,
                               .provider = text_of("sandbox"),
                               .state = payment_state_succeeded,
                               .amount = { 1, "CNY" },
                               .todo = todo_late };
    probe_answer(&probe, &due, &row, MSG_payment_row);
    assert_int_equal(HEAD(ACTOR_inventory, reserve)->shard, 2);
    probe_close(&probe);
}

static void a_timer_keeps_the_deadlines_of_its_shard(void **state) {
    (void)state;
    open_with(&timer_type, 3);
    GIVE(ACTOR_order, deadline_set, .kind = deadline_kind_pay_by, .id = 5, .at = probe.now + MS);
    probe_pass(&probe, 100 * MS);
    assert_int_equal(HEAD(ACTOR_order, deadline)->shard, 3);
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shard, deadlines_load, 0)->shard, 3);
    assert_int_equal(HEAD(PORT_pg_shard, deadlines_load)->shard, 3);
    probe_close(&probe);
}

static void returned(int64_t order_id, uint32_t shard, enum outcome outcome) {
    struct message ask = *probe_message(&probe, PORT_pg_shard, MSG_order_return, -1);
    struct returned got = { .order_id = order_id,
                            .outcome = outcome,
                            .state = order_state_awaiting_payment,
                            .rid = rid_make(shard, 5, 1),
                            .user_id = USER,
                            .lot_id = LOT,
                            .quantity = 1,
                            .epoch = 5 };
    probe_answer(&probe, &ask, &got, MSG_returned);
}

/* It would be fenced for ever, and make its shard recover each time. */
static void a_return_that_went_astray_is_passed_on(void **state) {
    (void)state;
    open_with(&order_type, 1);
    GIVE(ACTOR_inventory, installed, .epoch = 5);
    probe.head = (struct head){ .origin = PORT_http, .request = 77, .node = THERE };
    GIVE(ACTOR_bridge, order_cancel, .order_id = 500, .user_id = USER);
    probe.head = (struct head){ 0 };
    assert_int_equal(PROBE_SENT(&probe, PORT_pg_shard, order_return, -1)->shard, 1);
    probe.now += 2000 * MS; /* No fence was told of shortly. */
    returned(500, 2, outcome_fenced);
    const struct head *cancel = HEAD(ACTOR_order, order_cancel);
    assert_int_equal(cancel->shard, 2);
    assert_int_equal(cancel->request, 77);
    assert_int_equal(cancel->node, THERE);
    assert_int_equal(PROBE_SENT(&probe, ACTOR_order, order_cancel, 0)->user_id, USER);
    GIVE(ACTOR_timer, deadline, .kind = deadline_kind_pay_by, .id = 501);
    returned(501, 3, outcome_same); /* Even when it has been returned: the undo is another's. */
    assert_int_equal(HEAD(ACTOR_order, deadline)->shard, 3);
    assert_int_equal(probe_count(&probe, ACTOR_inventory, MSG_undo), 0);
    assert_int_equal(probe_count(&probe, ACTOR_inventory, MSG_recover), 0);
    probe_pass(&probe, 5000 * MS);
    assert_int_equal(probe_count(&probe, PORT_pg_shard, MSG_order_return), 2);
    probe_close(&probe);
}

/* ---- Session ---- */

static void tickets_carry_the_shard_of_their_lot(void **state) {
    (void)state;
    open_with(&session_type, 0);
    struct sale_view sale = { .sale_id = 1, .state = sale_state_open, .version = 1 };
    struct lot_view lot = { .sale_id = 1, .per_buyer_limit = 1, .version = 1 };
    probe_give(&probe, ACTOR_catalogue, &sale, MSG_sale_view);
    for (uint32_t shard = 0; shard <= SHARDS; shard++) {
        lot.lot_id = LOT + (int64_t)shard;
        lot.shard = shard;
        probe_give(&probe, ACTOR_catalogue, &lot, MSG_lot_view);
        probe.head = (struct head){ .origin = PORT_http, .request = 3, .node = THERE };
        GIVE(PORT_pg_shop, ticket_facts, .user_id = USER, .session_id = SESSION,
             .lot_id = LOT + (int64_t)shard, .state = account_state_normal);
        probe.head = (struct head){ 0 };
        if (shard == SHARDS) break;
        const struct ticket_view *view = PROBE_SENT(&probe, PORT_http, ticket_view, -1);
        assert_int_equal(id_shard(view->order_id, SHARDS), shard);
        assert_int_equal(HEAD(PORT_http, ticket_view)->node, THERE);
    }
    /* A shard that nobody serves any more sells nothing. */
    assert_int_equal(PROBE_SENT(&probe, PORT_http, failed, 0)->problem, PROBLEM_not_on_sale);
    probe_close(&probe);
}

/* The store is at this node, the bridge at another one. */
static void ended_sessions_reach_the_bridge_that_asked(void **state) {
    (void)state;
    open_with(&session_type, 0);
    probe.head = (struct head){ .request = 12, .node = THERE };
    GIVE(ACTOR_bridge, revoked_load, .since = 0);
    probe.head = (struct head){ 0 };
    struct message ask = *probe_message(&probe, PORT_pg_shop, MSG_revoked_load, 0);
    assert_true(BODY(&ask, revoked_load)->since == probe.now - probe.setup.access_life);
    int64_t asked_at = probe.now;
    probe.now += 3000 * MS; /* The answer takes long. */
    struct session_revoked row = { .session_id = SESSION, .until = asked_at };
    probe_answer(&probe, &ask, &row, MSG_session_revoked);
    probe_answer(&probe, &ask, &(struct rows_end){ .what = MSG_revoked_load, .count = 1 },
                 MSG_rows_end);
    assert_int_equal(HEAD(ACTOR_bridge, session_revoked)->node, THERE);
    assert_int_equal(HEAD(ACTOR_bridge, rows_end)->node, THERE);
    assert_int_equal(HEAD(ACTOR_bridge, rows_end)->request, 12);
    const struct rows_end *end = PROBE_SENT(&probe, ACTOR_bridge, rows_end, 0);
    assert_int_equal(end->count, 1);
    /* What was committed while it took long is still to come. */
    assert_true(end->next > asked_at - 10000 * MS && end->next < asked_at);
    probe.head = (struct head){ .request = 13, .node = THERE };
    GIVE(ACTOR_bridge, revoked_load, .since = end->next);
    assert_true(PROBE_SENT(&probe, PORT_pg_shop, revoked_load, -1)->since == end->next);
    probe_close(&probe);
}

static void news_go_to_every_bridge(void **state) {
    (void)state;
    open_with(&session_type, 0);
    probe.head = (struct head){ .origin = PORT_http, .request = 3, .node = THERE };
    GIVE(ACTOR_bridge, session_delete, .user_id = USER, .session_id = SESSION);
    probe.head = (struct head){ 0 };
    struct message end = *probe_message(&probe, PORT_pg_shop, MSG_session_end, 0);
    assert_int_equal(end.head.node, HERE); /* Asked by ourselves. */
    probe_answer(&probe, &end, &(struct done){ .what = MSG_session_end }, MSG_done);
    assert_int_equal(HEAD(ACTOR_bridge, session_revoked)->node, NODE_EVERY);
    assert_int_equal(HEAD(PORT_http, done)->node, THERE);
    probe_close(&probe);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purchase_goes_to_the_shard_in_its_order_id),
        cmocka_unit_test(what_is_asked_of_an_order_goes_to_its_writer),
        cmocka_unit_test(late_money_reserves_where_the_lot_is),
        cmocka_unit_test(a_timer_keeps_the_deadlines_of_its_shard),
        cmocka_unit_test(a_return_that_went_astray_is_passed_on),
        cmocka_unit_test(tickets_carry_the_shard_of_their_lot),
        cmocka_unit_test(ended_sessions_reach_the_bridge_that_asked),
        cmocka_unit_test(news_go_to_every_bridge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
