/* The mail engine with TLS and a login, against a real mail server that demands both.  What is in
 * the way (a wrong password, a certificate nobody vouches for, a server that has no STARTTLS) keeps
 * the mail: it is tried again.  And neither the password nor the mail is said to whom it is not
 * meant for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/mail/smtp.h"
#include "broker/port.h"
#include "config/config.h"
#include "tests/lib/mail_receiver.h"

#define MS_NS INT64_C(1000000)
#define NOW   (INT64_C(1790000000) * INT64_C(1000000000))
#define WORD  "correct horse \"battery\""

enum { PATIENCE_MS = 8000 };

static struct mail_receiver receiver;
static char ca[128];

static void receive_by(const char *const *options) {
    assert_true(mail_receiver_open(&receiver, options));
    (void)snprintf(ca, sizeof ca, "%s/cert.pem", receiver.folder);
}

static int tear_down(void **state) {
    (void)state;
    mail_receiver_close(&receiver);
    return 0;
}

/* One mail by a connection of its own. */
static struct smtp_result send_by(const struct smtp_config *wanted) {
    struct smtp_config config = *wanted;
    struct smtp_result result = { .outcome = SMTP_rejected };
    config.url = receiver.url;
    config.from = "shop@example.com";
    config.timeout_ns = 5000 * MS_NS;
    config.in_flight_max = 1;
    struct smtp *smtp = smtp_open(&config);
    assert_non_null(smtp);
    const struct smtp_mail mail = { .outbox_id = 7,
                                    .to = "buyer@example.org",
                                    .to_size = strlen("buyer@example.org"),
                                    .subject = "Hello",
                                    .subject_size = 5,
                                    .body = "Text",
                                    .body_size = 4 };
    assert_int_equal(smtp_send(smtp, 1, &mail, NOW), SMTP_started);
    int64_t began = clock_mono();
    while (!smtp_next(smtp, &result)) {
        struct pollfd fd;
        assert_true(clock_mono() - began < PATIENCE_MS * MS_NS);
        assert_int_equal(smtp_poll_fds(smtp, &fd, 1), 1);
        (void)poll(&fd, 1, PATIENCE_MS);
    }
    smtp_close(&smtp);
    assert_null(strstr(result.error, WORD));
    return result;
}

static void sent(const struct smtp_config *config) {
    struct smtp_result result = send_by(config);
    if (result.outcome != SMTP_sent) fail_msg("%d %s", result.code, result.error);
    const char *mail = mail_arrived(&receiver);
    assert_non_null(mail);
    assert_non_null(strstr(mail, "Message-ID: <outbox-7@example.com>"));
}

/* It is tried again, and nobody has got it meanwhile. */
static struct smtp_result kept(const struct smtp_config *config) {
    struct smtp_result result = send_by(config);
    if (result.outcome != SMTP_retry) fail_msg("%d %s", result.code, result.error);
    assert_string_not_equal(result.error, "");
    assert_null(mail_arrived(&receiver));
    return result;
}

/* What the server was told by way of logins. */
static const char *logins(void) {
    static char text[400];
    char path[128];
    (void)snprintf(path, sizeof path, "%s/logins", receiver.folder);
    text[0] = '\0';
    FILE *in = fopen(path, "re");
    if (in == NULL) return text;
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    (void)fclose(in);
    return text;
}

static void behind(enum smtp_tls tls, const char *word) {
    receive_by((const char *const[]){ "--tls", word, "--user", "shop", "--password", WORD, NULL });
    const struct smtp_config right = {
        .tls = tls, .ca_file = ca, .user = "shop", .password = WORD
    };
    sent(&right);
    assert_non_null(strstr(logins(), "good"));

    struct smtp_config wrong = right;
    wrong.password = "incorrect horse";
    assert_int_equal(kept(&wrong).code, 535);
    assert_non_null(strstr(logins(), "wrong"));
    wrong.user = NULL; /* Nobody at all: 530 to the mail. */
    (void)kept(&wrong);

    /* Nobody vouches for it: it hears neither the password nor the mail. */
    size_t heard = strlen(logins());
    wrong = right;
    wrong.ca_file = NULL;
    (void)kept(&wrong);
    assert_int_equal(strlen(logins()), heard);
    wrong.unverified = true;
    sent(&wrong);
    sent(&right); /* And it all leaves nothing behind. */
}

static void starttls(void **state) {
    (void)state;
    behind(SMTP_TLS_starttls, "starttls");
}

static void tls_at_once(void **state) {
    (void)state;
    behind(SMTP_TLS_tls, "tls");
}

/* Somebody between us has taken STARTTLS out of the greeting, or the server has none. */
static void no_starttls_to_be_had(void **state) {
    (void)state;
    receive_by(NULL);
    const struct smtp_config config = {
        .tls = SMTP_TLS_starttls, .ca_file = ca, .user = "shop", .password = WORD
    };
    (void)kept(&config);
    (void)kept(&(struct smtp_config){ .tls = SMTP_TLS_starttls, .unverified = true });
    sent(&(struct smtp_config){ .tls = SMTP_TLS_none });
}

/* The certificate is good, and of another name. */
static void another_name(void **state) {
    (void)state;
    receive_by((const char *const[]){ "--tls", "tls", NULL });
    char port[16];
    (void)snprintf(port, sizeof port, "%s", strrchr(receiver.url, ':') + 1);
    (void)snprintf(receiver.url, sizeof receiver.url, "smtp://localhost:%s", port);
    (void)kept(&(struct smtp_config){ .tls = SMTP_TLS_tls, .ca_file = ca });
    (void)snprintf(receiver.url, sizeof receiver.url, "smtps://127.0.0.1:%s", port);
    sent(&(struct smtp_config){ .ca_file = ca }); /* The old way to say it. */
}

/* No file of certificates: nothing is trusted, and nothing is sent in the open instead. */
static void certificates_missing(void **state) {
    (void)state;
    receive_by((const char *const[]){ "--tls", "starttls", NULL });
    (void)kept(&(struct smtp_config){ .tls = SMTP_TLS_starttls, .ca_file = "/nowhere/ca.pem" });
    sent(&(struct smtp_config){ .tls = SMTP_TLS_starttls, .ca_file = ca });
}

/* ---- The port, by its settings ---- */

static void write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(file);
}

/* What becomes of a mail by these settings. */
static enum mail_outcome by_port(const struct config *config) {
    const struct mail mail = { .outbox_id = 7,
                               .to = text_of("buyer@example.org"),
                               .subject = text_of("Hello"),
                               .body = text_of("Text") };
    const struct message in = { { .type = MSG_mail, .from = ACTOR_notifier, .to = PORT_mail },
                                &mail };
    struct batch sent;
    int64_t began = clock_mono();
    const struct port_setup setup = { .config = config, .self = PORT_mail };
    struct port *port = mail_port.open(&setup);
    assert_non_null(port);
    batch_init(&sent);
    struct outbox out = batch_outbox(&sent, PORT_mail, 0, 8);
    mail_port.handle(port, &in, 1, NOW, &out);
    while (sent.count == 0) {
        struct pollfd fd;
        assert_true(clock_mono() - began < PATIENCE_MS * MS_NS);
        assert_int_equal(mail_port.poll(port, &fd, 1), 1);
        (void)poll(&fd, 1, PATIENCE_MS);
        mail_port.step(port, NOW, &out);
    }
    enum mail_outcome outcome = BODY(&sent.items[0], mailed)->outcome;
    print_message("%s\n", BODY(&sent.items[0], mailed)->error.at);
    assert_null(strstr(BODY(&sent.items[0], mailed)->error.at, "horse"));
    mail_port.close(port);
    batch_fini(&sent);
    return outcome;
}

static void the_port_takes_its_settings(void **state) {
    (void)state;
    static struct config config;
    char file[128], log[128], said[4000];
    receive_by(
        (const char *const[]){ "--tls", "starttls", "--user", "shop", "--password", WORD, NULL });
    (void)snprintf(file, sizeof file, "%s/password", receiver.folder);
    (void)snprintf(log, sizeof log, "%s/log", receiver.folder);
    write_file(file, WORD "\n");
    config_defaults(&config);
    (void)snprintf(config.mail_smtp_url, sizeof config.mail_smtp_url, "%s", receiver.url);
    (void)snprintf(config.mail_tls, sizeof config.mail_tls, "starttls");
    (void)snprintf(config.mail_ca_file, sizeof config.mail_ca_file, "%s", ca);
    (void)snprintf(config.mail_user, sizeof config.mail_user, "shop");
    (void)snprintf(config.mail_password_file, sizeof config.mail_password_file, "%s", file);

    /* All that is logged from here on. */
    int own = dup(STDERR_FILENO), to = open(log, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(own >= 0 && dup2(to, STDERR_FILENO) >= 0);
    assert_int_equal(by_port(&config), mail_outcome_sent);
    write_file(file, "wrong horse");
    assert_int_equal(by_port(&config), mail_outcome_retry);
    const struct port_setup setup = { .config = &config, .self = PORT_mail };
    (void)unlink(file);
    assert_null(mail_port.open(&setup)); /* No password, no mail: said at the start. */
    write_file(file, WORD);
    (void)snprintf(config.mail_tls, sizeof config.mail_tls, "none");
    assert_null(mail_port.open(&setup));
    config.mail_verify = false;
    (void)snprintf(config.mail_tls, sizeof config.mail_tls, "starttls");
    assert_int_equal(by_port(&config), mail_outcome_sent);
    (void)dup2(own, STDERR_FILENO);
    (void)close(own);

    ssize_t size = pread(to, said, sizeof said - 1, 0);
    (void)close(to);
    assert_true(size > 0);
    said[size] = '\0';
    assert_null(strstr(said, "horse"));
    assert_non_null(strstr(said, "mail.password_file cannot be used"));
    assert_non_null(strstr(said, "mail.user without mail.tls"));
    assert_non_null(strstr(said, "mail.verify is off"));
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(starttls),     TEST(tls_at_once),          TEST(no_starttls_to_be_had),
        TEST(another_name), TEST(certificates_missing), TEST(the_port_takes_its_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
