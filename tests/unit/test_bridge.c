/* The bridge: tickets, hints, the waiting room, pages, who may act. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "actors/bridge/bridge.h"
#include "actors/lib/bloom.h"
#include "broker/batch.h"

enum { USER = 7, SESSION = 8, LOT = 9, ORDER = 10, SALE = 11 };
static const int64_t ms = 1000000, start = INT64_C(1790000000000000000);

static struct seal_keys keys = { .count = 1, .key = { { 1, { 1, 2, 3 } } } };
static struct bridge *bridge;
static struct batch sent;
static int64_t now;
static char ticket_text[SEAL_TEXT_MAX + 1];

/* The host gives every start another seed. */
static void start_bridge(uint8_t seed) {
    struct actor_setup setup = { .keys = &keys,
                                 .hold = 300 * ms,
                                 .inflight_max = 100,
                                 .rate_user = 1000,
                                 .rate_user_burst = 1000,
                                 .seed = { seed, 1, 2, 3 } };
    free(bridge);
    bridge = calloc(1, sizeof *bridge);
    bridge_type.init(bridge, &setup);
    bridge->told_ready = 1; /* Not ready is no news. */
}

static int set_up(void **state) {
    (void)state;
    bridge = NULL;
    start_bridge(1);
    batch_init(&sent);
    now = start;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(bridge);
    batch_fini(&sent);
    return 0;
}

static void give(enum message_id id, const void *body, enum address from, enum address origin,
                 uint64_t request) {
    struct message in = { { .type = (uint16_t)id,
                            .from = (uint8_t)from,
                            .to = ACTOR_bridge,
                            .origin = (uint8_t)origin,
                            .request = request },
                          body };
    struct outbox out = batch_outbox(&sent, ACTOR_bridge, 0, bridge_type.sends_max);
    batch_reset(&sent);
    bridge_type.handle(bridge, &in, 1, now, &out);
    bridge_type.check(bridge);
}

/* The only message sent, which must be of this type and go there. */
static const void *only(enum address to, enum message_id id) {
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.items[0].head.to, to);
    assert_int_equal(sent.items[0].head.type, id);
    return sent.items[0].body;
}

static void assert_refused(enum problem problem) {
    const struct failed *failed = only(PORT_http, MSG_failed);
    assert_string_equal(problem_name(failed->problem), problem_name(problem));
}

static struct ticket_claims claims(void) {
    return (struct ticket_claims){ .order_id = ORDER,
                                   .user_id = USER,
                                   .session_id = SESSION,
                                   .lot_id = LOT,
                                   .quantity_max = 2,
                                   .price_version = 1,
                                   .not_before = start,
                                   .expires_at = start + 60000 * ms };
}

static void buy_with(const struct ticket_claims *ticket, uint32_t quantity, uint64_t request) {
    uint32_t size = seal_write(&keys, MSG_ticket_claims, ticket, ticket_text);
    struct order_create want = { .ticket = { ticket_text, size },
                                 .quantity = quantity,
                                 .address = text_of("{}"),
                                 .user_id = USER,
                                 .session_id = SESSION };
    give(MSG_order_create, &want, PORT_http, PORT_http, request);
}

static void buy(uint64_t request) {
    struct ticket_claims ticket = claims();
    buy_with(&ticket, 1, request);
}

static void tick(void) {
    struct tick body = { 0 };
    bridge->catalogue.asked_at = bridge->news.asked_at = now; /* News are another test's. */
    give(MSG_tick, &body, NOBODY, NOBODY, 0);
}

static void test_purchase_is_asked_and_answered(void **state) {
    (void)state;
    buy(77);
    const struct reserve *reserve = only(ACTOR_inventory, MSG_reserve);
    assert_int_equal(reserve->order_id, ORDER);
    assert_int_equal(reserve->kind, reserve_kind_ordinary);
    assert_int_equal(sent.items[0].head.origin, ACTOR_bridge);
    assert_true(sent.items[0].head.deadline == now + 300 * ms);
    uint64_t number = sent.items[0].head.request;
    struct order_view view = { .order_id = ORDER, .state = order_state_awaiting_payment };
    give(MSG_order_view, &view, ACTOR_order, ACTOR_bridge, number);
    assert_int_equal(((const struct order_view *)only(PORT_http, MSG_order_view))->order_id, ORDER);
    assert_int_equal(sent.items[0].head.request, 77);
    assert_int_equal(bridge->in_flight, 0);
    give(MSG_order_view, &view, ACTOR_order, ACTOR_bridge, number); /* Twice: nobody waits. */
    assert_int_equal(sent.count, 0);
}

/* Its successor has given the same place to somebody else. */
static void test_an_answer_to_a_bridge_that_has_crashed_is_nobodys(void **state) {
    (void)state;
    buy(77);
    uint64_t number = sent.items[0].head.request;
    start_bridge(2);
    struct ticket_claims other = claims();
    other.order_id = ORDER + 1;
    buy_with(&other, 1, 78);
    assert_int_equal(sent.count, 1);
    struct order_view view = { .order_id = ORDER, .state = order_state_awaiting_payment };
    give(MSG_order_view, &view, ACTOR_order, ACTOR_bridge, number);
    assert_int_equal(sent.count, 0);
    assert_int_equal(bridge->in_flight, 1);
}

static void test_hold_ends_with_receipt_only_when_journalled(void **state) {
    (void)state;
    buy(1);
    uint64_t first = sent.items[0].head.request;
    buy(2);
    struct held held = { .order_id = ORDER, .rid = 5 };
    give(MSG_held, &held, ACTOR_inventory, ACTOR_bridge, first);
    now += 299 * ms;
    tick();
    assert_int_equal(sent.count, 0);
    now += 2 * ms;
    tick();
    assert_int_equal(sent.count, 2);
    assert_int_equal(sent.items[0].head.type, MSG_order_receipt);
    assert_int_equal(sent.items[0].head.request, 1);
    const struct order_receipt *receipt = sent.items[0].body;
    struct receipt_claims read;
    assert_true(seal_read(&keys, MSG_receipt_claims, receipt->receipt, &read));
    assert_int_equal(read.rid, 5);
    assert_int_equal(sent.items[1].head.type, MSG_failed); /* No rid: no receipt. */
    assert_int_equal(((const struct failed *)sent.items[1].body)->problem, PROBLEM_overloaded);
    struct order_view view = { .order_id = ORDER, .state = order_state_awaiting_payment };
    give(MSG_order_view, &view, ACTOR_order, ACTOR_bridge, first); /* Too late to be heard. */
    assert_int_equal(sent.count, 0);
}

static void test_tickets(void **state) {
    (void)state;
    struct ticket_claims ticket = claims();
    ticket.user_id = USER + 1;
    buy_with(&ticket, 1, 1);
    assert_refused(PROBLEM_ticket_foreign);
    ticket = claims(), ticket.session_id = SESSION + 1;
    buy_with(&ticket, 1, 1);
    assert_refused(PROBLEM_ticket_foreign);
    ticket = claims(), ticket.not_before = now + 1;
    buy_with(&ticket, 1, 1);
    assert_refused(PROBLEM_sale_not_open);
    ticket = claims();
    buy_with(&ticket, 3, 1);
    assert_refused(PROBLEM_limit_reached);
    ticket = claims();
    uint32_t size = seal_write(&keys, MSG_ticket_claims, &ticket, ticket_text);
    ticket_text[size / 2] ^= 1;
    struct order_create want = {
        .ticket = { ticket_text, size }, .quantity = 1, .user_id = USER, .session_id = SESSION
    };
    give(MSG_order_create, &want, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_ticket_invalid);
    assert_int_equal(bridge->in_flight, 0);
}

static void test_expired_ticket_still_finds_its_order(void **state) {
    (void)state;
    now += 61000 * ms;
    buy(1);
    assert_int_equal(((const struct reserve *)only(ACTOR_inventory, MSG_reserve))->kind,
                     reserve_kind_probe);
}

static struct lot_hint hint_of(enum lot_state lot_state, int64_t available, const uint8_t *bloom,
                               uint32_t size) {
    return (struct lot_hint){ .lot_id = LOT,
                              .epoch = 1,
                              .version = 5,
                              .state = lot_state,
                              .available = available,
                              .life = 500 * ms,
                              .holders = { (const char *)bloom, size } };
}

static void test_hint_refuses_only_strangers(void **state) {
    (void)state;
    uint8_t bloom[1024] = { 0 };
    struct lot_hint hint = hint_of(lot_state_open, 0, NULL, 0);
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(1); /* Holders unknown: inventory is asked. */
    only(ACTOR_inventory, MSG_reserve);
    bloom_add(bloom, sizeof bloom, 12345);
    hint = hint_of(lot_state_open, 0, bloom, sizeof bloom);
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(2);
    assert_refused(PROBLEM_sold_out);
    hint.state = lot_state_paused, hint.version = 6;
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(3);
    assert_refused(PROBLEM_sale_paused);
    hint.state = lot_state_open, hint.version = 4; /* Older: does not replace it. */
    hint.available = 9;
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(4);
    assert_refused(PROBLEM_sale_paused);
    bloom_add(bloom, sizeof bloom, ORDER);
    hint = hint_of(lot_state_open, 0, bloom, sizeof bloom), hint.version = 7;
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(5); /* A holder is never told sold out. */
    only(ACTOR_inventory, MSG_reserve);
}

static void test_hint_dies(void **state) {
    (void)state;
    uint8_t bloom[64] = { 0 };
    struct lot_hint hint = hint_of(lot_state_open, 0, bloom, sizeof bloom);
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(1);
    assert_refused(PROBLEM_sold_out);
    now += 501 * ms;
    buy(2);
    only(ACTOR_inventory, MSG_reserve);
    hint.epoch = 2, hint.version = 1,
    hint.holders.size = 0; /* A new epoch: its holders are unknown. */
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    buy(3);
    only(ACTOR_inventory, MSG_reserve);
}

static void test_full_and_stopping(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        buy(i);
        only(ACTOR_inventory, MSG_reserve);
    }
    buy(100);
    assert_refused(PROBLEM_overloaded);
    struct stop stop = { 0 };
    give(MSG_stop, &stop, NOBODY, NOBODY, 0);
    buy(101);
    assert_refused(PROBLEM_stopping);
}

static uint64_t numbers[4096]; /* Of reservations asked for and not decided. */
static uint32_t asked, decided;

/* False: refused at once. */
static bool buy_one(void) {
    buy(asked);
    if (sent.count == 1 && sent.items[0].head.type == MSG_reserve) {
        numbers[asked++] = sent.items[0].head.request;
        return true;
    }
    assert_refused(PROBLEM_overloaded);
    return false;
}

static void decide(int n) {
    struct failed body = { .problem = PROBLEM_sold_out, .what = MSG_reserve };
    for (; n > 0; n--) {
        give(MSG_failed, &body, ACTOR_order, ACTOR_bridge, numbers[decided++]);
        assert_refused(PROBLEM_sold_out);
    }
}

/* 500 a second, and a hold of a second: whoever would be behind 500 others is refused at once, but
 * only while it is known that the shard does no more. */
static void test_no_place_for_a_wait_too_long(void **state) {
    (void)state;
    asked = decided = 0;
    bridge->inflight_max = 4096;
    bridge->hold = 1000 * ms;
    bridge->rate_user = 0;
    tick();
    for (int i = 0; i < 400; i++)
        assert_true(buy_one()); /* Nothing is known yet. */
    now += 200 * ms;
    tick();
    decide(100);
    now += 200 * ms;
    tick();
    while (buy_one())
        assert_true(asked < 4000);
    assert_int_equal(bridge->in_flight, 501);
    now += 200 * ms;
    tick(); /* Nothing was decided: a store is away, and then it is as fast as before. */
    assert_false(buy_one());
    decide(250);
    now += 200 * ms;
    tick(); /* At the end there was too little to do. */
    for (int i = 0; i < 600; i++)
        assert_true(buy_one());
}

static void test_settings_that_change(void **state) {
    (void)state;
    struct order_list list = { .user_id = USER };
    struct settings settings = { .hold = 50 * ms, .inflight_max = 1, .rate_user = 1 };
    buy(1); /* Under the old ones, and it keeps its end. */
    for (int i = 0; i < 5; i++)
        give(MSG_order_list, &list, PORT_http, PORT_http, 1);
    only(ACTOR_order, MSG_order_list);
    give(MSG_settings, &settings, NOBODY, NOBODY, 0);
    assert_int_equal(sent.count, 0);
    assert_int_equal(bridge->rate_user_burst, 1); /* At least a second's. */
    assert_true(bridge->hold == 50 * ms);
    now += 100 * ms;
    give(MSG_order_list, &list, PORT_http, PORT_http, 1);
    only(ACTOR_order, MSG_order_list);
    give(MSG_order_list, &list, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_rate_limited);
    now += 1000 * ms;
    tick();
    assert_int_equal(bridge->in_flight, 0); /* The purchase's hold is over. */
    settings.rate_user = 0;
    give(MSG_settings, &settings, NOBODY, NOBODY, 0);
    buy(2);
    assert_true(((const struct reserve *)only(ACTOR_inventory, MSG_reserve))->order_id == ORDER);
    assert_true(sent.items[0].head.deadline == now + 50 * ms);
    buy(3);
    assert_refused(PROBLEM_overloaded);
}

static void test_rate_and_revocation(void **state) {
    (void)state;
    bridge->rate_user = 10;
    bridge->rate_user_burst = 2;
    struct order_list list = { .user_id = USER };
    for (int i = 0; i < 2; i++) {
        give(MSG_order_list, &list, PORT_http, PORT_http, 1);
        only(ACTOR_order, MSG_order_list);
    }
    give(MSG_order_list, &list, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_rate_limited);
    now += 100 * ms;
    give(MSG_order_list, &list, PORT_http, PORT_http, 1);
    only(ACTOR_order, MSG_order_list);
    struct session_revoked revoked = { .session_id = SESSION, .until = now + 1000 * ms };
    give(MSG_session_revoked, &revoked, ACTOR_session, NOBODY, 0);
    now += 200 * ms;
    buy(1);
    assert_refused(PROBLEM_login_again);
    list.session_id = SESSION;
    give(MSG_order_list, &list, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_login_again);
    struct order_get get = { .order_id = ORDER, .user_id = USER, .session_id = SESSION };
    give(MSG_order_get, &get, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_login_again);
    struct order_cancel cancel = { .order_id = ORDER, .user_id = USER, .session_id = SESSION };
    give(MSG_order_cancel, &cancel, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_login_again);
    struct payment_create pay = { .order_id = ORDER, .user_id = USER, .session_id = SESSION };
    give(MSG_payment_create, &pay, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_login_again);
    now += 1000 * ms; /* The token has expired by itself now. */
    buy(1);
    only(ACTOR_inventory, MSG_reserve);
}

static void snapshot(void) {
    struct sale_view sale = { .sale_id = SALE,
                              .title = text_of("Friday"),
                              .state = sale_state_open,
                              .opens_at = start,
                              .closes_at = start + 1,
                              .version = 1 };
    struct lot_view lot = { .lot_id = LOT,
                            .sale_id = SALE,
                            .sku_id = 3,
                            .title = text_of("Phone"),
                            .price = { 1999, "CNY" },
                            .allocated = 10,
                            .sold = 1,
                            .per_buyer_limit = 1,
                            .version = 1 };
    give(MSG_sale_view, &sale, ACTOR_catalogue, NOBODY, 0);
    give(MSG_lot_view, &lot, ACTOR_catalogue, NOBODY, 0);
}

static void test_pages(void **state) {
    (void)state;
    struct sale_get get = { .sale_id = SALE };
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_unavailable); /* Not: there is no such sale. */
    snapshot();
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    const struct page *page = only(PORT_http, MSG_page);
    const char *shown = "{\"sale_id\":\"11\",\"title\":\"Friday\",\"state\":\"open\"";
    assert_memory_equal(page->body.at, shown, strlen(shown));
    assert_non_null(memmem(page->body.at, page->body.size, "\"available\":9", 13));
    char etag[64];
    memcpy(etag, page->etag.at, page->etag.size);
    get.if_none_match = (struct text){ etag, page->etag.size };
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    assert_int_equal(((const struct page *)only(PORT_http, MSG_page))->body.size, 0);
    struct lot_hint hint = hint_of(lot_state_open, 4, NULL, 0);
    give(MSG_lot_hint, &hint, ACTOR_inventory, NOBODY, 0);
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    page = only(PORT_http, MSG_page);
    assert_non_null(memmem(page->body.at, page->body.size, "\"available\":4", 13));
    struct lot_view settled = { .lot_id = LOT,
                                .sale_id = SALE,
                                .title = text_of("Phone"),
                                .price = { 1999, "CNY" },
                                .allocated = 6,
                                .sold = 6,
                                .per_buyer_limit = 1,
                                .state = lot_state_settled,
                                .version = 2 };
    give(MSG_lot_view, &settled, ACTOR_catalogue, NOBODY, 0);
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    page = only(PORT_http, MSG_page);
    assert_non_null(memmem(page->body.at, page->body.size, "\"available\":0", 13));
}

static void lots_to(int64_t from, int64_t until) {
    char title[201];
    memset(title, 't', 200);
    title[200] = 0;
    for (int64_t id = from; id < until; id++) {
        struct lot_view lot = { .lot_id = id,
                                .sale_id = SALE,
                                .sku_id = 3,
                                .title = text_of(title),
                                .price = { 1999, "CNY" },
                                .allocated = 10,
                                .per_buyer_limit = 1,
                                .version = 1 };
        give(MSG_lot_view, &lot, ACTOR_catalogue, NOBODY, 0);
    }
}

static void test_page_that_does_not_fit(void **state) {
    (void)state;
    static char last[PAGE_MAX];
    struct sale_get get = { .sale_id = SALE };
    snapshot();
    lots_to(100, 140);
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    const struct page *page = only(PORT_http, MSG_page);
    uint32_t size = page->body.size;
    assert_in_range(size, 40 * 200, PAGE_MAX);
    memcpy(last, page->body.at, size);
    struct sale_view sale = { .sale_id = SALE, /* So that what comes first differs. */
                              .title = text_of("Saturday"),
                              .state = sale_state_paused,
                              .closes_at = 1,
                              .version = 2 };
    give(MSG_sale_view, &sale, ACTOR_catalogue, NOBODY, 0);
    lots_to(140, 500);
    give(MSG_sale_get, &get, PORT_http, PORT_http, 1);
    page = only(PORT_http, MSG_page);
    assert_int_equal(page->body.size, size);
    assert_memory_equal(page->body.at, last, size);
}

static void test_list_pages_through(void **state) {
    (void)state;
    for (int64_t id = 1; id <= 5; id++) {
        struct sale_view sale = { .sale_id = id,
                                  .title = text_of("S"),
                                  .version = 1,
                                  .state = id == 3 ? sale_state_draft : sale_state_scheduled };
        give(MSG_sale_view, &sale, ACTOR_catalogue, NOBODY, 0);
    }
    struct sale_list list = { .limit = 3 };
    give(MSG_sale_list, &list, PORT_http, PORT_http, 1);
    const struct page *page = only(PORT_http, MSG_page);
    assert_non_null(memmem(page->body.at, page->body.size, "\"sale_id\":\"5\"", 13));
    assert_null(memmem(page->body.at, page->body.size, "\"sale_id\":\"3\"", 13)); /* A draft. */
    assert_non_null(memmem(page->body.at, page->body.size, "\"next\":\"2\"", 10));
    list.cursor = text_of("2");
    give(MSG_sale_list, &list, PORT_http, PORT_http, 1);
    page = only(PORT_http, MSG_page);
    assert_non_null(memmem(page->body.at, page->body.size, "\"sale_id\":\"1\"", 13));
    assert_null(memmem(page->body.at, page->body.size, "next", 4));
    list.cursor = text_of("x");
    give(MSG_sale_list, &list, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_malformed);
}

static void test_sales_put_away_make_room(void **state) {
    (void)state;
    for (int64_t id = 1; id <= SALES_MAX + 3; id++) {
        struct sale_view sale = { .sale_id = id,
                                  .title = text_of("S"),
                                  .version = 1,
                                  .state = id == 7 ? sale_state_open : sale_state_archived };
        give(MSG_sale_view, &sale, ACTOR_catalogue, NOBODY, 0);
        for (int64_t lot = 4 * id; lot < 4 * id + 4; lot++) {
            struct lot_view view = { .lot_id = lot,
                                     .sale_id = id,
                                     .title = text_of("L"),
                                     .price = { 1, "CNY" },
                                     .allocated = lot,
                                     .per_buyer_limit = 1,
                                     .version = 1 };
            give(MSG_lot_view, &view, ACTOR_catalogue, NOBODY, 0);
        }
    }
    struct sale_view last = {
        .sale_id = SALES_MAX + 3, .title = text_of("S"), .version = 2, .state = sale_state_open
    };
    give(MSG_sale_view, &last, ACTOR_catalogue, NOBODY, 0);
    struct sale_list list = { .limit = 100 };
    give(MSG_sale_list, &list, PORT_http, PORT_http, 1);
    const struct page *page = only(PORT_http, MSG_page);
    const char *second = memmem(page->body.at, page->body.size, "\"sale_id\":\"7\"", 13);
    assert_non_null(memmem(page->body.at, page->body.size, "{\"sales\":[{\"sale_id\":\"259\"", 26));
    assert_non_null(second);
    assert_non_null(memmem(page->body.at, page->body.size, "\"allocated\":1039", 16));
    assert_non_null(memmem(page->body.at, page->body.size, "\"allocated\":28,", 15));
    for (int64_t lot = 28; lot < 32; lot++)
        assert_int_equal(bridge_lot(bridge, lot)->sale_id, 7);
    assert_null(bridge_lot(bridge, 4));
}

static void test_receipts(void **state) {
    (void)state;
    struct receipt_claims receipt = { .order_id = ORDER, .rid = 6, .user_id = USER };
    uint32_t size = seal_write(&keys, MSG_receipt_claims, &receipt, ticket_text);
    struct order_get get = { .order_id = ORDER, .user_id = USER, .receipt = { ticket_text, size } };
    give(MSG_order_get, &get, PORT_http, PORT_http, 1);
    assert_int_equal(((const struct order_get *)only(ACTOR_order, MSG_order_get))->rid, 6);
    get.user_id = USER + 1; /* Somebody else's. */
    give(MSG_order_get, &get, PORT_http, PORT_http, 1);
    assert_refused(PROBLEM_malformed);
}

int main(void) {
    if (sodium_init() < 0) return 1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_purchase_is_asked_and_answered),
        TEST(test_an_answer_to_a_bridge_that_has_crashed_is_nobodys),
        TEST(test_hold_ends_with_receipt_only_when_journalled),
        TEST(test_tickets),
        TEST(test_expired_ticket_still_finds_its_order),
        TEST(test_hint_refuses_only_strangers),
        TEST(test_hint_dies),
        TEST(test_full_and_stopping),
        TEST(test_no_place_for_a_wait_too_long),
        TEST(test_settings_that_change),
        TEST(test_rate_and_revocation),
        TEST(test_pages),
        TEST(test_page_that_does_not_fit),
        TEST(test_list_pages_through),
        TEST(test_sales_put_away_make_room),
        TEST(test_receipts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
