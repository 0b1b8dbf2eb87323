/* The mail engine against a real mail server (aiosmtpd in smtp_receiver.py): what arrives is what
 * was sent, and each way of not arriving is told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/mail/smtp.h"
#include "tests/lib/mail_receiver.h"

#define MS_NS INT64_C(1000000)
#define NOW   (INT64_C(1790000000) * INT64_C(1000000000))

enum { PATIENCE_MS = 8000 };

static struct mail_receiver world;

static int set_up(void **state) {
    (void)state;
    return mail_receiver_open(&world, NULL) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    mail_receiver_close(&world);
    return 0;
}

static struct smtp *open_smtp(const char *url, int64_t timeout_ms, uint32_t in_flight_max) {
    const struct smtp_config config = { .url = url,
                                        .from = "shop@example.com",
                                        .timeout_ns = timeout_ms * MS_NS,
                                        .in_flight_max = in_flight_max };
    struct smtp *smtp = smtp_open(&config);

    assert_non_null(smtp);
    return smtp;
}

static struct smtp_result await(struct smtp *smtp) {
    struct smtp_result result;
    struct pollfd fds[2];
    int64_t began = clock_mono();

    while (!smtp_next(smtp, &result)) {
        assert_true(clock_mono() - began < PATIENCE_MS * MS_NS);
        int count = smtp_poll_fds(smtp, fds, 2);
        assert_int_equal(count, 1);
        (void)poll(fds, (nfds_t)count, PATIENCE_MS);
    }
    return result;
}

static enum smtp_start post(struct smtp *smtp, int64_t id, const char *to, const char *subject,
                            const char *body) {
    const struct smtp_mail mail = { .outbox_id = id,
                                    .to = to,
                                    .to_size = strlen(to),
                                    .subject = subject,
                                    .subject_size = strlen(subject),
                                    .body = body,
                                    .body_size = strlen(body) };
    return smtp_send(smtp, (uint64_t)id + 100, &mail, NOW);
}

static struct smtp_result send_to(struct smtp *smtp, int64_t id, const char *to) {
    assert_int_equal(post(smtp, id, to, "Hello", "Text"), SMTP_started);
    struct smtp_result result = await(smtp);
    assert_int_equal(result.outbox_id, id);
    assert_int_equal(result.tag, (uint64_t)id + 100);
    return result;
}

static const char *arrived(void) {
    const char *text = mail_arrived(&world);
    assert_non_null(text);
    return text;
}

static void test_content(void **state) {
    struct smtp *smtp = open_smtp(world.url, 5000, 4);

    (void)state;
    assert_int_equal(post(smtp, 42, "buyer@example.org", "Your order 7",
                          "Paid.\n.\n..two dots\n.one dot\nRCPT TO:<x@y>\nend"),
                     SMTP_started);
    struct smtp_result result = await(smtp);
    assert_int_equal(result.outcome, SMTP_sent);
    assert_string_equal(result.error, "");
    assert_string_equal(arrived(),
                        "shop@example.com\nbuyer@example.org\n"
                        "From: <shop@example.com>\r\nTo: <buyer@example.org>\r\n"
                        "Subject: Your order 7\r\n"
                        "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n"
                        "Message-ID: <outbox-42@example.com>\r\n"
                        "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: 7bit\r\n\r\n"
                        "Paid.\r\n.\r\n..two dots\r\n.one dot\r\nRCPT TO:<x@y>\r\nend\r\n");
    /* The same outbox row again: the same Message-ID. */
    assert_int_equal(send_to(smtp, 42, "buyer@example.org").outcome, SMTP_sent);
    assert_non_null(strstr(arrived(), "Message-ID: <outbox-42@example.com>\r\n"));
    assert_int_equal(post(smtp, 43, "a@b",
                          "Gr\xc3\xbc\xc3\x9f"
                          "e",
                          "\xe4\xbd\xa0\xe5\xa5\xbd"),
                     SMTP_started);
    assert_int_equal(await(smtp).outcome, SMTP_sent);
    const char *mail = arrived();
    assert_non_null(strstr(mail, "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"));
    assert_non_null(strstr(mail, "\r\n\r\n5L2g5aW9\r\n"));
    smtp_close(&smtp);
    assert_null(smtp);
    smtp_close(&smtp);
}

static void test_refusals(void **state) {
    static const struct {
        const char *to;
        enum smtp_outcome outcome;
        int code;
    } rows[] = {
        { "rcpt550@b", SMTP_rejected, 550 }, { "rcpt450@b", SMTP_retry, 450 },
        { "rcpt553@b", SMTP_rejected, 553 }, { "rcpt530@b", SMTP_retry, 530 },
        { "rcpt501@b", SMTP_retry, 501 },    { "data554@b", SMTP_rejected, 554 },
        { "data552@b", SMTP_rejected, 552 }, { "data451@b", SMTP_retry, 451 },
    };
    struct smtp *smtp = open_smtp(world.url, 5000, 1);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct smtp_result result = send_to(smtp, 50 + (int64_t)i, rows[i].to);
        if (result.outcome != rows[i].outcome) print_error("%s: %s\n", rows[i].to, result.error);
        assert_int_equal(result.outcome, rows[i].outcome);
        assert_int_equal(result.code, rows[i].code);
        assert_string_not_equal(result.error, "");
    }
    assert_int_equal(send_to(smtp, 60, "ok@b").outcome, SMTP_sent);
    (void)arrived();
    smtp_close(&smtp);
}

static void test_lost_and_slow(void **state) {
    struct smtp *smtp = open_smtp(world.url, 700, 1);

    (void)state;
    assert_int_equal(send_to(smtp, 61, "drop@b").outcome, SMTP_retry);
    assert_non_null(
        strstr(arrived(), "outbox-61@")); /* It had been taken: a repeat will be seen. */
    int64_t began = clock_mono();
    assert_int_equal(send_to(smtp, 62, "slow@b").outcome, SMTP_retry);
    int64_t took_ms = (clock_mono() - began) / MS_NS;
    assert_true(took_ms >= 690 && took_ms < 2500);
    /* The slow one's reply, which comes some time, must not be taken for this one's. */
    assert_int_equal(send_to(smtp, 63, "rcpt550@b").outcome, SMTP_rejected);
    assert_int_equal(send_to(smtp, 64, "ok@b").outcome, SMTP_sent);
    (void)arrived();
    smtp_close(&smtp);
}

/* What cannot be a mail is told at once, and nothing of it is sent. */
static void test_injection(void **state) {
    struct smtp *smtp = open_smtp(world.url, 5000, 1);

    (void)state;
    assert_int_equal(post(smtp, 1, "a@b\r\nRCPT TO:<x@y>", "s", "b"), SMTP_invalid);
    assert_int_equal(post(smtp, 1, "a@b>\r\nDATA", "s", "b"), SMTP_invalid);
    assert_int_equal(post(smtp, 1, "a@b", "s\r\nBcc: x@y", "b"), SMTP_invalid);
    assert_int_equal(post(smtp, 1, "a@b", "s\nBcc: x@y", "b"), SMTP_invalid);
    assert_int_equal(post(smtp, 1, "a@b", "s\rBcc: x@y", "b"), SMTP_invalid);
    assert_int_equal(post(smtp, 0, "a@b", "s", "b"), SMTP_invalid);
    assert_int_equal(smtp_in_flight(smtp), 0);
    smtp_close(&smtp);
}

static void test_bounds(void **state) {
    struct smtp *smtp = open_smtp(world.url, 5000, 2);

    (void)state;
    assert_int_equal(post(smtp, 70, "ok@b", "s", "b"), SMTP_started);
    assert_int_equal(post(smtp, 71, "ok@b", "s", "b"), SMTP_started);
    assert_int_equal(post(smtp, 72, "ok@b", "s", "b"), SMTP_busy);
    assert_int_equal(smtp_in_flight(smtp), 2);
    assert_int_equal(await(smtp).outcome, SMTP_sent);
    assert_int_equal(post(smtp, 72, "ok@b", "s", "b"), SMTP_started);
    assert_int_equal(await(smtp).outcome, SMTP_sent);
    assert_int_equal(await(smtp).outcome, SMTP_sent);
    for (int i = 0; i < 3; i++)
        (void)arrived();
    assert_int_equal(post(smtp, 73, "slow@b", "s", "b"), SMTP_started);
    smtp_close(&smtp); /* With an open mail. */
}

static void test_nobody_there(void **state) {
    struct sockaddr_in name = { .sin_family = AF_INET };
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char url[64];

    (void)state;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    (void)snprintf(url, sizeof url, "smtp://127.0.0.1:%u", ntohs(name.sin_port));
    struct smtp *smtp = open_smtp(url, 2000, 1);
    struct smtp_result result = send_to(smtp, 80, "ok@b");
    assert_int_equal(result.outcome, SMTP_retry);
    assert_int_equal(result.code, 0);
    smtp_close(&smtp);
    (void)close(fd);
}

/* A server that does not want us at all (554 in its greeting) has said nothing about the mail. */
static void test_hostile_greeting(void **state) {
    struct sockaddr_in name = { .sin_family = AF_INET };
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char url[64];

    (void)state;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    (void)snprintf(url, sizeof url, "smtp://127.0.0.1:%u", ntohs(name.sin_port));
    struct smtp *smtp = open_smtp(url, 3000, 1);
    assert_int_equal(post(smtp, 81, "ok@b", "s", "b"), SMTP_started);
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(send(peer, "554 go away\r\n", 13, MSG_NOSIGNAL), 13);
    assert_int_equal(await(smtp).outcome, SMTP_retry);
    smtp_close(&smtp);
    (void)close(peer);
    (void)close(fd);
}

static void test_open_bounds(void **state) {
    const struct smtp_config good = {
        .url = "smtp://127.0.0.1:25", .from = "a@b", .timeout_ns = MS_NS, .in_flight_max = 1
    };

    (void)state;
    for (int i = 0; i < 9; i++) {
        struct smtp_config bad = good;
        if (i == 0) bad.url = "http://127.0.0.1";
        if (i == 1) bad.url = "smtp://127.0.0.1\r\nX";
        if (i == 2) bad.from = "nobody";
        if (i == 3) bad.from = "a@b\r\nX: y";
        if (i == 4) bad.in_flight_max = 0;
        if (i == 5) bad.in_flight_max = SMTP_IN_FLIGHT_MAX + 1;
        if (i == 6) bad.url = "smtp://me:secret@127.0.0.1:25";
        if (i == 7) bad.user = "me", bad.password = "secret"; /* For everybody to hear. */
        if (i == 8) bad.url = "smtps://127.0.0.1:25", bad.tls = SMTP_TLS_starttls;
        assert_null(smtp_open(&bad));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_lost_and_slow),    cmocka_unit_test(test_injection),
        cmocka_unit_test(test_bounds),           cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_hostile_greeting), cmocka_unit_test(test_open_bounds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
