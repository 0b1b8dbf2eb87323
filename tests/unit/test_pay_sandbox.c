/* Signatures and callbacks of the sandbox provider: what is believed and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/pay/sandbox.h"

#define SECOND_NS INT64_C(1000000000)
#define NOW_S     INT64_C(1790000000)

static const struct secret ours = { (const uint8_t *)"our secret", 10 };
static const struct secret older = { (const uint8_t *)"our older secret", 16 };
static const struct secret others = { (const uint8_t *)"their secret", 12 };

static const char good_body[] =
    "{\"event_id\":\"ev_1\",\"type\":\"payment.succeeded\",\"merchant\":\"doorbuster\","
    "\"payment_id\":\"71\",\"order_id\":\"17\",\"provider_txn\":\"ps_1\",\"amount\":1999,"
    "\"currency\":\"CNY\",\"created_at\":1789999990}";

static enum sandbox_verdict parse(const char *body, size_t size, const char *header,
                                  struct sandbox_callback *out) {
    const struct secret secrets[] = { ours, older };
    const struct sandbox_trust trust = { .secrets = secrets,
                                         .secret_count = 2,
                                         .merchant = "doorbuster",
                                         .tolerance_ns = 300 * SECOND_NS };
    /* Exactly as many bytes as there are, so that reading one more is seen. */
    char *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, body, size);
    enum sandbox_verdict verdict =
        sandbox_callback_parse(&trust, copy, size, header, NOW_S * SECOND_NS, out);
    free(copy);
    return verdict;
}

static enum sandbox_verdict parse_signed(const char *body, struct secret secret, int64_t seconds) {
    char header[SIGNATURE_SIZE];
    struct sandbox_callback told;

    signature_make(secret, body, strlen(body), seconds, header);
    return parse(body, strlen(body), header, &told);
}

/* Made with: printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac 'our secret' */
static void test_known_signature(void **state) {
    char header[SIGNATURE_SIZE];

    (void)state;
    signature_make(ours, "{\"a\":1}", 7, NOW_S, header);
    assert_string_equal(header, "t=1790000000,v1="
                                "f22af1c90ee055b13edaf8c7b6b27e6b8b2b948a75580ac422b2ffcd71b20d14");
}

static void test_good(void **state) {
    char header[SIGNATURE_SIZE];
    struct sandbox_callback told;

    (void)state;
    signature_make(ours, good_body, strlen(good_body), NOW_S, header);
    assert_int_equal(parse(good_body, strlen(good_body), header, &told), CALLBACK_good);
    assert_string_equal(told.event_id, "ev_1");
    assert_int_equal(told.status, SANDBOX_succeeded);
    assert_int_equal(told.payment_id, 71);
    assert_int_equal(told.order_id, 17);
    assert_string_equal(told.provider_txn, "ps_1");
    assert_int_equal(told.amount, 1999);
    assert_string_equal(told.currency, "CNY");
    assert_int_equal(told.created_at, INT64_C(1789999990) * SECOND_NS);
}

static void test_who_and_when(void **state) {
    static const struct {
        const struct secret *secret;
        int64_t seconds;
        enum sandbox_verdict verdict;
    } rows[] = {
        { &ours, NOW_S, CALLBACK_good },
        { &older, NOW_S, CALLBACK_good },
        { &others, NOW_S, CALLBACK_bad_signature },
        { &ours, NOW_S - 300, CALLBACK_good },
        { &ours, NOW_S - 301, CALLBACK_stale },
        { &ours, NOW_S + 300, CALLBACK_good },
        { &ours, NOW_S + 301, CALLBACK_future },
        { &ours, 0, CALLBACK_stale },
        { &ours, INT64_C(999999999999), CALLBACK_future },
        { &ours, INT64_C(1000000000000), CALLBACK_bad_header },
        { &ours, -1, CALLBACK_bad_header },
        /* Only who knows a secret is told about the clock. */
        { &others, 0, CALLBACK_bad_signature },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum sandbox_verdict verdict = parse_signed(good_body, *rows[i].secret, rows[i].seconds);
        if (verdict != rows[i].verdict)
            print_error("row %zu: %s\n", i, sandbox_verdict_name(verdict));
        assert_int_equal(verdict, rows[i].verdict);
    }
}

static void test_every_changed_byte(void **state) {
    char header[SIGNATURE_SIZE];
    char body[sizeof good_body];
    struct sandbox_callback told;
    size_t size = strlen(good_body);

    (void)state;
    signature_make(ours, good_body, size, NOW_S, header);
    memcpy(body, good_body, sizeof body);
    for (size_t i = 0; i < size; i++) {
        body[i] ^= 1;
        assert_int_equal(parse(body, size, header, &told), CALLBACK_bad_signature);
        body[i] ^= 1;
        assert_int_equal(parse(body, i, header, &told), CALLBACK_bad_signature);
    }
    for (size_t i = 0; header[i] != '\0'; i++) {
        header[i] ^= 1;
        enum sandbox_verdict verdict = parse(body, size, header, &told);
        assert_true(verdict == CALLBACK_bad_signature || verdict == CALLBACK_bad_header);
        header[i] ^= 1;
    }
    assert_int_equal(parse(body, size, header, &told), CALLBACK_good);
}

/* Builds headers from the good time T, the good MAC G, another one's W. */
static void build_header(const char *form, char *out, size_t out_size) {
    char good[SIGNATURE_SIZE];
    char wrong[SIGNATURE_SIZE];
    size_t at = 0;

    signature_make(ours, good_body, strlen(good_body), NOW_S, good);
    signature_make(others, good_body, strlen(good_body), NOW_S, wrong);
    for (; *form != '\0'; form++) {
        const char one[2] = { *form, '\0' };
        const char *piece = one;
        if (*form == 'T') piece = "1790000000";
        if (*form == 'G') piece = strstr(good, "v1=") + 3;
        if (*form == 'W') piece = strstr(wrong, "v1=") + 3;
        assert_true(at + strlen(piece) < out_size);
        memcpy(out + at, piece, strlen(piece) + 1);
        at += strlen(piece);
    }
}

static void test_headers(void **state) {
    static const struct {
        const char *form;
        enum sandbox_verdict verdict;
    } rows[] = {
        { "t=T,v1=G", CALLBACK_good },
        { "v1=G,t=T", CALLBACK_good },
        { "t=T,v1=W,v1=G", CALLBACK_good },
        { "t=T,v1=G,v1=W", CALLBACK_good },
        { "t=T,v0=G,v1=G", CALLBACK_good },
        { "t=T,v1=W,v1=W", CALLBACK_bad_signature },
        { "t=T,v1=W,v1=W,v1=W,v1=W,v1=W,v1=W,v1=W,v1=G", CALLBACK_good },
        { "t=T,v1=W,v1=W,v1=W,v1=W,v1=W,v1=W,v1=W,v1=W,v1=G", CALLBACK_bad_header },
        { "t=T,v0=G", CALLBACK_bad_header },
        { "t=T", CALLBACK_bad_header },
        { "v1=G", CALLBACK_bad_header },
        { "t=T,t=T,v1=G", CALLBACK_bad_header },
        { "t=,v1=G", CALLBACK_bad_header },
        { "t=1x,v1=G", CALLBACK_bad_header },
        { "t= T,v1=G", CALLBACK_bad_header },
        { "t=0T,v1=G", CALLBACK_bad_signature },
        { "t=T,v1=", CALLBACK_bad_header },
        { "t=T,v1=G0", CALLBACK_bad_header },
        { "t=T,v1=zz", CALLBACK_bad_header },
        { "t=T,v1", CALLBACK_bad_header },
        { "t=T,,v1=G", CALLBACK_bad_header },
        { "t=T,v1=G,", CALLBACK_bad_header },
        { ",", CALLBACK_bad_header },
        { "", CALLBACK_bad_header },
    };
    struct sandbox_callback told;
    char header[1200];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        header[0] = '\0';
        build_header(rows[i].form, header, sizeof header);
        enum sandbox_verdict verdict = parse(good_body, strlen(good_body), header, &told);
        if (verdict != rows[i].verdict) print_error("%s\n", rows[i].form);
        assert_int_equal(verdict, rows[i].verdict);
    }
    assert_int_equal(parse(good_body, strlen(good_body), NULL, &told), CALLBACK_bad_header);
    memset(header, 'a', sizeof header - 1);
    header[sizeof header - 1] = '\0';
    assert_int_equal(parse(good_body, strlen(good_body), header, &told), CALLBACK_bad_header);
}

/* The good body with one piece replaced. */
static void edit(const char *from, const char *to, char *out, size_t out_size) {
    const char *at = strstr(good_body, from);

    assert_non_null(at);
    int size = snprintf(out, out_size, "%.*s%s%s", (int)(at - good_body), good_body, to,
                        at + strlen(from));
    assert_true(size > 0 && (size_t)size < out_size);
}

static void test_signed_bodies(void **state) {
    static const struct {
        const char *from;
        const char *to;
        enum sandbox_verdict verdict;
    } rows[] = {
        { "succeeded", "failed", CALLBACK_good },
        { "succeeded", "disputed", CALLBACK_ignored },
        { "\"doorbuster\"", "\"doorbusters\"", CALLBACK_wrong_merchant },
        { "\"doorbuster\"", "\"Doorbuster\"", CALLBACK_wrong_merchant },
        { "\"doorbuster\"", "null", CALLBACK_bad_body },
        { "\"merchant\":\"doorbuster\",", "", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":1999,\"amount\":1", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":1999,\"\\u0061mount\":1", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":1999.0", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":\"1999\"", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":-1", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":9223372036854775808", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":1000000000000001", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amounts\":1999", CALLBACK_bad_body },
        { "\"amount\":1999", "\"amount\":1999,\"more\":[1]", CALLBACK_good },
        { "\"71\"", "71", CALLBACK_bad_body },
        { "\"71\"", "\"\"", CALLBACK_bad_body },
        { "\"71\"", "\"0\"", CALLBACK_bad_body },
        { "\"71\"", "\"071\"", CALLBACK_bad_body },
        { "\"71\"", "\"-71\"", CALLBACK_bad_body },
        { "\"71\"", "\"71 \"", CALLBACK_bad_body },
        { "\"71\"", "\"9223372036854775807\"", CALLBACK_good },
        { "\"71\"", "\"9223372036854775808\"", CALLBACK_bad_body },
        { "\"71\"", "\"99999999999999999999\"", CALLBACK_bad_body },
        { "\"17\"", "\"x\"", CALLBACK_bad_body },
        { "CNY", "cny", CALLBACK_bad_body },
        { "CNY", "CNYX", CALLBACK_bad_body },
        { "CNY", "CN", CALLBACK_bad_body },
        { "ev_1", "", CALLBACK_bad_body },
        { "ev_1", "ev\\n1", CALLBACK_bad_body },
        { "ev_1", "ev\\u00001", CALLBACK_bad_body },
        { "ev_1", "\xff", CALLBACK_bad_body },
        { "ps_1", "12345678901234567890123456789012345678901234567890123456789012345",
          CALLBACK_bad_body },
        { "1789999990", "-1", CALLBACK_bad_body },
        { "1789999990", "9223372037", CALLBACK_bad_body },
        { "1789999990}", "1789999990", CALLBACK_bad_body },
        { "1789999990}", "1789999990}}", CALLBACK_bad_body },
        { "1789999990}", "1789999990} x", CALLBACK_bad_body },
    };
    char body[1024];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        edit(rows[i].from, rows[i].to, body, sizeof body);
        enum sandbox_verdict verdict = parse_signed(body, ours, NOW_S);
        if (verdict != rows[i].verdict) print_error("%s\n", body);
        assert_int_equal(verdict, rows[i].verdict);
    }
}

static void test_garbage(void **state) {
    static const char *const rows[] = { "", "{", "[]", "null", "\"x\"", "1", "{}", "\xff\xfe" };
    char header[SIGNATURE_SIZE];
    struct sandbox_callback told = { .amount = 42 };
    char *large = malloc(SANDBOX_CALLBACK_MAX + 1);

    (void)state;
    assert_non_null(large);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse_signed(rows[i], ours, NOW_S), CALLBACK_bad_body);
        assert_int_equal(parse(rows[i], strlen(rows[i]), NULL, &told), CALLBACK_bad_header);
    }
    /* As deep as fits: a parser that recurses without a limit would run out of stack. */
    memset(large, '[', SANDBOX_CALLBACK_MAX + 1);
    signature_make(ours, large, SANDBOX_CALLBACK_MAX, NOW_S, header);
    assert_int_equal(parse(large, SANDBOX_CALLBACK_MAX, header, &told), CALLBACK_bad_body);
    signature_make(ours, large, SANDBOX_CALLBACK_MAX + 1, NOW_S, header);
    assert_int_equal(parse(large, SANDBOX_CALLBACK_MAX + 1, header, &told), CALLBACK_too_large);
    assert_int_equal(told.amount, 42); /* Left alone. */
    free(large);
}

static void test_empty_secret_is_nobody(void **state) {
    const struct secret empty = { (const uint8_t *)"", 0 };
    char header[SIGNATURE_SIZE];

    (void)state;
    signature_make(empty, good_body, strlen(good_body), NOW_S, header);
    assert_int_equal(signature_check(&empty, 1, good_body, strlen(good_body), header, NOW_S, 300),
                     SIGNATURE_wrong);
}

static void test_open_bounds(void **state) {
    const struct sandbox_config good = { .url = "http://127.0.0.1:1",
                                         .merchant = "doorbuster",
                                         .secret = ours,
                                         .notify_url = "http://127.0.0.1:2/cb",
                                         .timeout_ns = SECOND_NS,
                                         .in_flight_max = 1 };
    struct sandbox *sandbox = sandbox_open(&good);

    (void)state;
    assert_non_null(sandbox);
    sandbox_close(&sandbox);
    assert_null(sandbox);
    sandbox_close(&sandbox);
    for (int i = 0; i < 6; i++) {
        struct sandbox_config bad = good;
        if (i == 0) bad.in_flight_max = 0;
        if (i == 1) bad.in_flight_max = SANDBOX_IN_FLIGHT_MAX + 1;
        if (i == 2) bad.secret.size = 0;
        if (i == 3) bad.merchant = "";
        if (i == 4) bad.url = "http://127.0.0.1:1\r\nX: y";
        if (i == 5) bad.notify_url = "";
        assert_null(sandbox_open(&bad));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_signature), cmocka_unit_test(test_good),
        cmocka_unit_test(test_who_and_when),    cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_headers),         cmocka_unit_test(test_signed_bodies),
        cmocka_unit_test(test_garbage),         cmocka_unit_test(test_empty_secret_is_nobody),
        cmocka_unit_test(test_open_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
