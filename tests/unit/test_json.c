/* JSON by the tables: shapes, what must be refused and with which words, and every message there
 * and back. */
#include "schema/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/id.h"
#include "tests/lib/json_twins.h"

static char texts[4096], written[8192];

static const char *write_body(enum message_id id, const void *body) {
    struct json_out out = { .at = written, .capacity = sizeof written - 1 };
    json_write(&out, message_type(id), body);
    assert_false(out.full);
    written[out.size] = 0;
    return written;
}

static bool read_body(enum message_id id, const char *json, void *body, struct json_fail *fail) {
    size_t size = strlen(json);
    char *copy = malloc(size + 1); /* Exactly as long: reading behind it is seen. */
    assert_non_null(copy);
    memcpy(copy, json, size);
    bool good = json_read(message_type(id), copy, size, body, texts, size + 1, fail);
    free(copy);
    return good;
}

static void shapes(void **state) {
    (void)state;
    struct order_view view = { .order_id = INT64_MAX,
                               .state = order_state_awaiting_payment,
                               .quantity = 2,
                               .price = { 1999, "CNY" },
                               .pay_by = INT64_C(1795182900123456789),
                               .address = text_of("{\"name\":\"A\"}"),
                               .code = PROBLEM_sold_out,
                               .user_id = 7,
                               .rid = rid_make(0, 3, 9),
                               .replayed = 1 };
    assert_string_equal(write_body(MSG_order_view, &view),
                        "{\"order_id\":\"9223372036854775807\",\"state\":\"awaiting_payment\","
                        "\"quantity\":2,\"price\":{\"amount\":1999,\"currency\":\"CNY\"},"
                        "\"address\":{\"name\":\"A\"},\"pay_by\":\"2026-11-20T13:55:00.123Z\","
                        "\"code\":\"sold_out\"}");
    struct session_view session = { .access_token = text_of("a\"\\\n\x7f"),
                                    .refresh_token = text_of("é"),
                                    .expires_in = INT64_C(900000000000),
                                    .user_id = 0 };
    assert_string_equal(write_body(MSG_session_view, &session),
                        "{\"access_token\":\"a\\\"\\\\\\u000a\\u007f\",\"refresh_token\":\"é\","
                        "\"expires_in\":900,\"user_id\":\"0\"}");
    struct held held = { .order_id = 1, .rid = rid_make(5, 3, 9) };
    assert_string_equal(write_body(MSG_held, &held), "{\"order_id\":\"1\",\"rid\":\"3-9\"}");
    struct lot_view lot = { .lot_id = 1, .sku_id = 2, .title = text_of("t") };
    assert_string_equal(
        write_body(MSG_lot_view, &lot),
        "{\"lot_id\":\"1\",\"sku_id\":\"2\",\"title\":\"t\",\"price\":{\"amount\":0,"
        "\"currency\":\"\"},\"allocated\":0,\"available\":0,\"per_buyer_limit\":0}");
    struct sale_view sale = { .sale_id = 1, .title = text_of("t"), .state = sale_state_open };
    assert_non_null(strstr(write_body(MSG_sale_view, &sale), "\"lots\":[]"));
    struct status_row row = { .name = text_of("n"), .value = INT64_MIN };
    assert_string_equal(write_body(MSG_status_row, &row),
                        "{\"name\":\"n\",\"value\":-9223372036854775808}");
}

/* In a buffer of any smaller size the writer stops, says so, and stays within it. */
static void full_latches(void **state) {
    (void)state;
    struct order_view view = { .order_id = 42, .state = order_state_paid, .price = { 1, "CNY" } };
    size_t size = strlen(write_body(MSG_order_view, &view));
    for (size_t capacity = 0; capacity <= size; capacity++) {
        char *buffer = malloc(capacity + 1);
        assert_non_null(buffer);
        buffer[capacity] = '#';
        struct json_out out = { .at = buffer, .capacity = capacity };
        json_write(&out, message_type(MSG_order_view), &view);
        assert_int_equal(out.full, capacity < size);
        assert_int_equal(buffer[capacity], '#');
        free(buffer);
    }
}

#define ADDRESS                                                                                    \
    "{\"name\":\"A\",\"phone\":\"123\",\"line\":\"x\",\"city\":\"y\",\"country\":\"CN\"}"
#define ORDER(quantity, address)                                                                   \
    "{\"ticket\":\"t\",\"quantity\":" quantity ",\"address\":" address "}"

static void good_bodies(void **state) {
    (void)state;
    struct json_fail fail;
    struct order_create order = { 0 };
    assert_true(read_body(MSG_order_create,
                          "{ \"address\" : {\"country\":\"CN\", \"city\":\"\\u4e0a\", \"line\": "
                          "\"1 \\\"Door\\\"\",\"phone\":\"123\",\"name\":\"A\\/B\"},"
                          "\"quantity\":100,\"ticket\":\"t\"}",
                          &order, &fail));
    assert_int_equal(order.quantity, 100);
    assert_true(text_is(order.ticket, "t"));
    assert_true(text_is(order.address, "{\"name\":\"A/B\",\"phone\":\"123\",\"line\":\"1 "
                                       "\\\"Door\\\"\",\"city\":\"上\",\"country\":\"CN\"}"));
    struct ticket_create ticket = { .lot_id = 5 };
    assert_true(read_body(MSG_ticket_create, "{\"price\":{\"amount\":0,\"currency\":\"CNY\"}}",
                          &ticket, &fail));
    assert_int_equal(ticket.lot_id, 5); /* What was filled before stays. */
    assert_string_equal(ticket.price.currency, "CNY");
    struct sale_create sale = { 0 };
    assert_true(read_body(MSG_sale_create,
                          "{\"title\":\"s\",\"opens_at\":\"2026-11-20T14:35:00+08:00\","
                          "\"closes_at\":\"2026-11-20T14:35:00.5Z\",\"pay_window\":900}",
                          &sale, &fail));
    assert_int_equal(sale.opens_at, INT64_C(1795156500000000000));
    assert_int_equal(sale.pay_window, INT64_C(900000000000));
}

static const struct bad {
    enum message_id id;
    const char *json;
    enum problem problem;
    const char *field, *detail; /* detail: a part of it */
} bads[] = {
    { MSG_order_create, ORDER("0", ADDRESS), PROBLEM_out_of_range, "quantity",
      "quantity must be between 1 and 100" },
    { MSG_order_create, ORDER("101", ADDRESS), PROBLEM_out_of_range, "quantity", "100" },
    { MSG_order_create, ORDER("1.0", ADDRESS), PROBLEM_wrong_type, "quantity", "whole number" },
    { MSG_order_create, ORDER("\"1\"", ADDRESS), PROBLEM_wrong_type, "quantity", "whole number" },
    { MSG_order_create, ORDER("null", ADDRESS), PROBLEM_wrong_type, "quantity", "whole number" },
    { MSG_order_create, ORDER("4294967297", ADDRESS), PROBLEM_out_of_range, "quantity", "100" },
    { MSG_order_create, ORDER("99999999999999999999", ADDRESS), PROBLEM_malformed, "", "JSON" },
    { MSG_order_create, ORDER("1", "\"x\""), PROBLEM_wrong_type, "address", "object of name" },
    { MSG_order_create, ORDER("1", "{}"), PROBLEM_missing_field, "address.name", "is required" },
    { MSG_order_create, ORDER("1", "{\"xyz\":1}"), PROBLEM_unknown_field, "address.xyz", "known" },
    { MSG_order_create,
      ORDER("1", "{\"name\":\"A\",\"phone\":\"12\",\"line\":\"x\",\"city\":\"y\","
                 "\"country\":\"CN\"}"),
      PROBLEM_out_of_range, "address.phone", "3 to 32 bytes" },
    { MSG_order_create,
      ORDER("1", "{\"name\":\"A\",\"phone\":\"123\",\"line\":\"x\",\"city\":\"y\","
                 "\"country\":\"cn\"}"),
      PROBLEM_out_of_range, "address.country", "two capital letters" },
    { MSG_order_create,
      ORDER("1", "{\"name\":1,\"phone\":\"123\",\"line\":\"x\",\"city\":\"y\","
                 "\"country\":\"CN\"}"),
      PROBLEM_wrong_type, "address.name", "text" },
    { MSG_order_create,
      ORDER("1", "{\"name\":\"\\u0007\",\"phone\":\"123\",\"line\":\"x\",\"city\":\"y\","
                 "\"country\":\"CN\"}"),
      PROBLEM_malformed, "address.name", "control" },
    { MSG_order_create, "{\"quantit\":1}", PROBLEM_unknown_field, "quantit", "is not known" },
    { MSG_order_create, "{\"user_id\":\"1\"}", PROBLEM_unknown_field, "user_id", "is not known" },
    { MSG_order_create, "{\"a\\u0001b\":1}", PROBLEM_unknown_field, "a?b", "is not known" },
    { MSG_order_get, "{\"order_id\":1}", PROBLEM_wrong_type, "order_id", "decimal string" },
    { MSG_order_get, "{\"order_id\":\"0\"}", PROBLEM_out_of_range, "order_id", "1 or more" },
    { MSG_order_get, "{\"order_id\":\"01\"}", PROBLEM_wrong_type, "order_id", "decimal" },
    { MSG_order_get, "{\"order_id\":\"+1\"}", PROBLEM_wrong_type, "order_id", "decimal" },
    { MSG_order_get, "{\"order_id\":\"-1\"}", PROBLEM_wrong_type, "order_id", "decimal" },
    { MSG_order_get, "{\"order_id\":\"\"}", PROBLEM_wrong_type, "order_id", "decimal" },
    { MSG_order_get, "{\"order_id\":\"9223372036854775808\"}", PROBLEM_wrong_type, "order_id",
      "decimal" },
    { MSG_ticket_create, "{\"price\":1999}", PROBLEM_wrong_type, "price", "amount" },
    { MSG_ticket_create, "{\"price\":{\"amount\":1}}", PROBLEM_wrong_type, "price", "currency" },
    { MSG_ticket_create, "{\"price\":{\"amount\":-1,\"currency\":\"CNY\"}}", PROBLEM_out_of_range,
      "price.amount", "between 0 and" },
    { MSG_ticket_create, "{\"price\":{\"amount\":1,\"currency\":\"cny\"}}", PROBLEM_out_of_range,
      "price.currency", "capital" },
    { MSG_ticket_create, "{\"price\":{\"amount\":1,\"currency\":\"CNY\",\"x\":1}}",
      PROBLEM_wrong_type, "price", "amount" },
    { MSG_account_create, "{\"login\":\"ab\"}", PROBLEM_out_of_range, "login", "3 to 120 bytes" },
    { MSG_account_create, "{\"login\":\"a\\u0000c\"}", PROBLEM_malformed, "", "JSON" },
    { MSG_account_create, "{\"login\":\"a\\u001fc\"}", PROBLEM_malformed, "login", "control" },
    { MSG_account_create, "{\"login\":\"a\xff\"}", PROBLEM_malformed, "", "JSON" },
    { MSG_account_create, "{\"login\":\"abc\",\"login\":\"abc\"}", PROBLEM_malformed, "", "twice" },
    { MSG_account_create, "{} x", PROBLEM_malformed, "", "JSON" },
    { MSG_account_create, "[]", PROBLEM_malformed, "", "object" },
    { MSG_account_create, "\"x\"", PROBLEM_malformed, "", "JSON" },
    { MSG_account_create, "", PROBLEM_malformed, "", "JSON" },
    { MSG_account_create, "{\"a\":[[[[[[[[[1]]]]]]]]]}", PROBLEM_malformed, "", "deep" },
    { MSG_sale_move, "{\"to\":\"opened\"}", PROBLEM_out_of_range, "to", "draft, scheduled" },
    { MSG_sale_move, "{\"to\":\"none\"}", PROBLEM_out_of_range, "to", "draft" },
    { MSG_sale_move, "{\"to\":5}", PROBLEM_wrong_type, "to", "name" },
    { MSG_sale_create, "{\"opens_at\":\"soon\"}", PROBLEM_wrong_type, "opens_at", "a time such" },
    { MSG_sale_create, "{\"pay_window\":0}", PROBLEM_out_of_range, "pay_window", "seconds" },
    { MSG_sale_create, "{\"pay_window\":9223372036854775807}", PROBLEM_out_of_range, "pay_window",
      "seconds" },
    { MSG_payment_callback, "{\"body\":\"x\"}", PROBLEM_unknown_field, "body", "known" },
};

static void bad_bodies(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        _Alignas(16) char body[1024] = { 0 };
        struct json_fail fail = { 0 };
        if (read_body(bads[i].id, bads[i].json, body, &fail)) fail_msg("taken: %s", bads[i].json);
        if (fail.problem != bads[i].problem || strcmp(fail.field, bads[i].field) != 0 ||
            strstr(fail.detail, bads[i].detail) == NULL) {
            fail_msg("%s: %s, field %s, %s", bads[i].json, problem_name(fail.problem), fail.field,
                     fail.detail);
        }
    }
}

static void a_long_name_is_cut_between_characters(void **state) {
    (void)state;
    char json[400] = "{\"";
    struct account_create body = { 0 };
    struct json_fail fail = { 0 };
    for (int i = 0; i < 60; i++)
        strncat(json, "上", 4);
    strncat(json, "\":1}", 5);
    assert_false(read_body(MSG_account_create, json, &body, &fail));
    assert_int_equal(strlen(fail.field), 63);
    assert_true(utf8_valid(fail.field, strlen(fail.field), false));
}

static bool set(enum message_id id, const char *name, const char *value, void *body,
                struct json_fail *fail) {
    return json_set(field_named(message_type(id), text_of(name)), body, text_of(value), fail);
}

static void single_values(void **state) {
    (void)state;
    struct json_fail fail = { 0 };
    struct order_list list = { 0 };
    struct lot_add lot = { 0 };
    assert_true(set(MSG_order_list, "limit", "100", &list, &fail));
    assert_int_equal(list.limit, 100);
    assert_false(set(MSG_order_list, "limit", "0", &list, &fail));
    assert_string_equal(fail.detail, "limit must be between 1 and 100");
    assert_false(set(MSG_order_list, "limit", "1x", &list, &fail));
    assert_int_equal(fail.problem, PROBLEM_wrong_type);
    assert_false(set(MSG_order_list, "user_id", "1", &list, &fail));
    assert_int_equal(fail.problem, PROBLEM_unknown_field);
    assert_int_equal(list.user_id, 0);
    /* Also where absent is allowed: "0" is no id. */
    assert_false(set(MSG_order_list, "cursor", "0", &list, &fail));
    assert_string_equal(fail.detail, "cursor must be 1 or more");
    assert_true(set(MSG_lot_add, "price", "1999CNY", &lot, &fail));
    assert_int_equal(lot.price.amount, 1999);
    assert_false(set(MSG_lot_add, "price", "1999", &lot, &fail));
    assert_false(set(MSG_lot_add, "price", "-1CNY", &lot, &fail));
}

static void checks_speak(void **state) {
    (void)state;
    struct json_fail fail = { 0 };
    struct account_create account = { .login = text_of("abc") };
    assert_false(json_check(message_type(MSG_account_create), &account, &fail));
    assert_int_equal(fail.problem, PROBLEM_missing_field);
    assert_string_equal(fail.field, "password");
    assert_string_equal(fail.detail, "password is required");
    account.password = text_of("12345678");
    assert_true(json_check(message_type(MSG_account_create), &account, &fail));
}

/* A body with every field a client may give, at its bounds. */
static void fill(const struct message_type *type, char *body, bool high) {
    static char long_text[1048577];
    memset(long_text, 'x', sizeof long_text - 1);
    for (const struct field *field = type->fields; field->name; field++) {
        int64_t value = high ? field->hi : field->lo;
        struct money money = { value, "CNY" };
        struct text text = { long_text, (uint32_t)value };
        if (field->need == CONTEXT || field->kind == KIND_bytes) continue;
        switch (kind_stored(field->kind)) {
        case STORED_money: memcpy(body + field->offset, &money, sizeof money); continue;
        case STORED_text:
            if (field->kind == KIND_address) text = text_of(ADDRESS);
            if (field->kind != KIND_lots && field->kind != KIND_sales && field->kind != KIND_json &&
                value < 3000)
                memcpy(body + field->offset, &text, sizeof text);
            continue;
        case STORED_enum: value = field->kind == KIND_problem ? PROBLEM_sold_out : 1; break;
        case STORED_int64:
        case STORED_uint32: break;
        }
        if (field->kind == KIND_rid) value = high ? rid_make(0, 7, 9) : rid_make(0, 1, 0);
        if (field->kind == KIND_span) value -= value % 1000000000;
        if (field->kind == KIND_time) value = INT64_C(1795182900123000000);
        field_set_number(field, body, value);
    }
}

/* What is written is read again to the same text, for every message. */
static void there_and_back(void **state) {
    (void)state;
    static char again[sizeof written];
    for (const struct message_type *type = message_types(); type->name; type++) {
        for (int high = 0; high <= 1; high++) {
            _Alignas(16) char body[1024] = { 0 }, copy[1024] = { 0 };
            static char memory[sizeof written];
            struct json_fail fail = { 0 };
            assert_true(type->size <= sizeof body);
            fill(type, body, high != 0);
            strncpy(again, write_body(type->id, body), sizeof again - 1);
            /* Lists are only ever written; absent ids and empty texts are not read. */
            if (strstr(again, ":[]") || strstr(again, ":\"0\"") || strstr(again, ":\"\"") ||
                strstr(again, ":null"))
                continue;
            if (!json_read(type, again, strlen(again), copy, memory, sizeof memory, &fail)) {
                fail_msg("%s: %s: %s", type->name, again, fail.detail);
            }
            assert_string_equal(write_body(type->id, copy), again);
        }
    }
}

/* The scanner takes what clients send, declines what it cannot judge, and what it takes jansson
 * reads alike: also with every byte of the text replaced, left out or doubled. */
static void the_usual_form(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool taken;
    } cases[] = {
        { "{\"ticket\":\"abc\",\"quantity\":1,\"address\":{\"name\":\"A\",\"city\":\"\xc3\xa9\"}}",
          true },
        { " { \"a\" : -12 , \"b\" : {} }\r\n", true },
        { "{}", true },
        { "{\"a\":999999999999999999}", true },
        { "{\"a\":1000000000000000000}", false },
        { "{\"a\":9223372036854775808}", false },
        { "{\"a\":01}", false },
        { "{\"a\":1.0}", false },
        { "{\"a\":1e2}", false },
        { "{\"a\":-}", false },
        { "{\"a\":\"\\u0041\"}", false },
        { "{\"a\":\"\xff\"}", false },
        { "{\"a\":\"\x7f\"}", false },
        { "{\"a\":null}", false },
        { "{\"a\":[]}", false },
        { "{\"a\":{\"b\":{}}}", false },
        { "{\"a\":1,\"a\":2}", false },
        { "{\"a\":1,}", false },
        { "{\"a\":1}x", false },
        { "{\"a\":1", false },
        { "[]", false },
        { "", false },
    };
    static const char bytes[] = "{}[]\":,-.0179eEu\\ \n\t\x01\x7f\xc3\xa9";
    bool taken;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].text;
        size_t size = strlen(text);
        assert_true(json_twins(text, size, &taken));
        if (taken != cases[i].taken) fail_msg("%s: taken %d", text, taken);
        for (size_t at = 0; at < size; at++) {
            char other[128];
            memcpy(other, text, at);
            memcpy(other + at, text + at + 1, size - at - 1);
            assert_true(json_twins(other, size - 1, &taken));
            memcpy(other + at + 1, text + at, size - at);
            for (size_t b = 0; b < sizeof bytes; b++) {
                other[at] = bytes[b]; /* One more; then in the place of another. */
                assert_true(json_twins(other, size + 1, &taken));
            }
            memcpy(other, text, size);
            for (size_t b = 0; b < sizeof bytes; b++) {
                other[at] = bytes[b];
                assert_true(json_twins(other, size, &taken));
            }
        }
    }
}

static void every_message_fits(void **state) {
    (void)state;
    enum { PARTS_OF_AN_OBJECT = 5 };
    for (const struct message_type *type = message_types(); type->name; type++) {
        int members = 0;
        for (const struct field *field = type->fields; field->name; field++)
            members +=
                1 + PARTS_OF_AN_OBJECT * (field->kind == KIND_address || field->kind == KIND_money);
        if (members > JSON_MEMBERS_MAX) fail_msg("%s has %d members", type->name, members);
    }
    char many[2048];
    int used = snprintf(many, sizeof many, "{\"a\":1");
    for (int i = 0; i < JSON_MEMBERS_MAX; i++)
        used += snprintf(many + used, sizeof many - (size_t)used, ",\"a%d\":1", i);
    snprintf(many + used, sizeof many - (size_t)used, "}");
    struct order_create create = { 0 };
    struct json_fail fail = { 0 };
    assert_false(read_body(MSG_order_create, many, &create, &fail));
    assert_int_equal(fail.problem, PROBLEM_malformed);
    assert_string_equal(fail.detail, "the body has too many members");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(full_latches),
        cmocka_unit_test(good_bodies),
        cmocka_unit_test(bad_bodies),
        cmocka_unit_test(a_long_name_is_cut_between_characters),
        cmocka_unit_test(single_values),
        cmocka_unit_test(checks_speak),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(the_usual_form),
        cmocka_unit_test(every_message_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
