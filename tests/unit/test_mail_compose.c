/* What a mail looks like on the wire, and what can never become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/mail/compose.h"

#define NOW (INT64_C(1790000000) * INT64_C(1000000000))

static struct smtp_mail mail_of(const char *to, const char *subject, const char *body) {
    return (struct smtp_mail){ .outbox_id = 42,
                               .to = to,
                               .to_size = strlen(to),
                               .subject = subject,
                               .subject_size = strlen(subject),
                               .body = body,
                               .body_size = strlen(body) };
}

static const char *write_mail(const char *subject, const char *body) {
    static char out[COMPOSE_MAX + 1];
    const struct smtp_mail mail = mail_of("a@example.org", subject, body);

    assert_true(compose_mail_good(&mail));
    out[compose_mail(&mail, "shop@example.com", NOW, out)] = '\0';
    return out;
}

#define HEAD(subject, coding)                                                                      \
    "From: <shop@example.com>\r\nTo: <a@example.org>\r\nSubject: " subject "\r\n"                  \
    "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\nMessage-ID: <outbox-42@example.com>\r\n"             \
    "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"                                      \
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " coding "\r\n\r\n"

static void test_plain(void **state) {
    (void)state;
    assert_string_equal(write_mail("Hello", "One\nTwo\r\nThree\rFour\n\n.\n"),
                        HEAD("Hello", "7bit") "One\r\nTwo\r\nThree\r\nFour\r\n\r\n.\r\n");
    assert_string_equal(write_mail("Hello", "x"), HEAD("Hello", "7bit") "x\r\n");
}

static void test_not_ascii(void **state) {
    char body[2000];

    (void)state;
    assert_string_equal(write_mail("Gr\xc3\xbc\xc3\x9f"
                                   "e",
                                   "\xe4\xbd\xa0\xe5\xa5\xbd"),
                        HEAD("=?UTF-8?B?R3LDvMOfZQ==?=", "base64") "5L2g5aW9\r\n");
    /* What looks encoded already is encoded, so that it arrives as it was. */
    assert_string_equal(write_mail("=?UTF-8?B?eA==?=", "x"),
                        HEAD("=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=", "7bit") "x\r\n");
    /* A line longer than SMTP carries. */
    memset(body, 'a', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    assert_non_null(strstr(write_mail("Hello", body), "base64\r\n\r\nYWFhYWFh"));
}

/* No line is longer than 76 bytes, and no character is cut in two. */
static void test_long_subject(void **state) {
    char subject[SMTP_SUBJECT_MAX + 1] = "";
    size_t words = 0;

    (void)state;
    for (size_t i = 0; i + 3 <= SMTP_SUBJECT_MAX; i += 3)
        memcpy(subject + i, "\xe4\xbd\xa0", 4);
    const char *at = strstr(write_mail(subject, "x"), "Subject: ");
    assert_non_null(at);
    for (;;) {
        size_t size = strcspn(at, "\r");
        assert_true(size <= 76);
        assert_memory_equal(at + size - 2, "?=", 2);
        /* 39 bytes are 52 characters: each word ends on a whole group of three, so without '='. */
        assert_true(at[size - 3] != '=');
        words++;
        if (at[size + 2] != ' ') break;
        at += size + 2;
    }
    assert_int_equal(words, 6);
}

static void test_addresses(void **state) {
    static const char *const good[] = { "a@b", "a.b+c@example.org", "a_b=c!d@x-y.example" };
    static const char *const bad[] = {
        "",
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b c",
        "a@b\r\nRCPT TO:<x@y>",
        "a@b\nBcc: x@y",
        "a@b\r",
        "a@b>",
        "<a@b",
        "a@b,c@d",
        "a;b@c",
        "\"a\"@b",
        "a@[1.2.3.4]",
        "-a@b",
        "a\t@b",
        "\xc3\xa4@b",
        "a@\xc3\xa4",
        "a\x7f@b",
    };
    char longest[SMTP_ADDRESS_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(compose_address_good(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (compose_address_good(bad[i], strlen(bad[i]))) print_error("taken: %s\n", bad[i]);
        assert_false(compose_address_good(bad[i], strlen(bad[i])));
    }
    assert_false(compose_address_good("a@b\0c", 5));
    memset(longest, 'a', sizeof longest);
    longest[1] = '@';
    assert_true(compose_address_good(longest, SMTP_ADDRESS_MAX));
    assert_false(compose_address_good(longest, SMTP_ADDRESS_MAX + 1));
}

static void test_texts(void **state) {
    static const char *const bad[] = { "",
                                       "a\r\nBcc: x@y",
                                       "a\nb",
                                       "a\rb",
                                       "a\tb",
                                       "a\x7f",
                                       "\xff",
                                       "\xc3",
                                       "\xc0\x80",
                                       "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80",
                                       ("a\xc2\x85"
                                        "b"),
                                       "\xe0\x80\x8a" };
    static const char *const bad_body[] = { "", "a\x01", "\xff", "a\x1b[31m", "\xc0\x8a" };
    char longest[SMTP_BODY_MAX + 2];
    struct smtp_mail mail = mail_of("a@b", "ok", "ok");

    (void)state;
    assert_true(compose_mail_good(&mail));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mail = mail_of("a@b", bad[i], "ok");
        if (compose_mail_good(&mail)) print_error("subject %zu taken\n", i);
        assert_false(compose_mail_good(&mail));
    }
    for (size_t i = 0; i < sizeof bad_body / sizeof *bad_body; i++) {
        mail = mail_of("a@b", "ok", bad_body[i]);
        assert_false(compose_mail_good(&mail));
    }
    mail = mail_of("a@b", "ok", "ok");
    mail.subject = "a\0b";
    mail.subject_size = 3;
    assert_false(compose_mail_good(&mail));
    mail = mail_of("a@b", "ok", "ok");
    mail.outbox_id = 0;
    assert_false(compose_mail_good(&mail));
    memset(longest, '\n', sizeof longest);
    mail = mail_of("a@b", "ok", "ok");
    mail.body = longest;
    mail.body_size = SMTP_BODY_MAX + 1;
    assert_false(compose_mail_good(&mail));
    mail.body_size = SMTP_BODY_MAX;
    assert_true(compose_mail_good(&mail));
    mail.subject = longest;
    mail.subject_size = SMTP_SUBJECT_MAX + 1;
    memset(longest, 'a', sizeof longest);
    assert_false(compose_mail_good(&mail));
}

/* The largest mails fit the buffer they are written into (asserted where they are written). */
static void test_largest(void **state) {
    char body[SMTP_BODY_MAX];
    char subject[SMTP_SUBJECT_MAX];
    char to[SMTP_ADDRESS_MAX];
    char from[SMTP_ADDRESS_MAX + 1];
    static char out[COMPOSE_MAX];
    static const char fills[] = { '\n', 'a' };

    (void)state;
    memset(to, 'a', sizeof to);
    to[1] = '@';
    memcpy(from, to, sizeof to);
    from[SMTP_ADDRESS_MAX] = '\0';
    for (size_t i = 0; i < 2; i++) {
        memset(body, fills[i], sizeof body);
        for (size_t k = 0; k < sizeof subject; k += 2)
            memcpy(subject + k, "\xc3\xa4", 2);
        const struct smtp_mail mail = { .outbox_id = INT64_MAX,
                                        .to = to,
                                        .to_size = sizeof to,
                                        .subject = subject,
                                        .subject_size = sizeof subject,
                                        .body = body,
                                        .body_size = sizeof body };
        assert_true(compose_mail_good(&mail));
        assert_true(compose_mail(&mail, from, NOW, out) < COMPOSE_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),        cmocka_unit_test(test_not_ascii),
        cmocka_unit_test(test_long_subject), cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_texts),        cmocka_unit_test(test_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
