/* mail -> mailed */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/heads.h"
#include "broker/log.h"
#include "broker/mail/smtp.h"
#include "broker/port.h"
#include "config/config.h"

struct port {
    struct smtp *smtp; /* NULL: mail is off. */
    struct heads heads;
};

static enum smtp_tls tls_of(const char *word) {
    if (strcmp(word, "tls") == 0) return SMTP_TLS_tls;
    return strcmp(word, "starttls") == 0 ? SMTP_TLS_starttls : SMTP_TLS_none;
}

static struct smtp *open_smtp(const struct config *config, const char *password) {
    const struct smtp_config smtp = { .url = config->mail_smtp_url,
                                      .tls = tls_of(config->mail_tls),
                                      .ca_file = config->mail_ca_file,
                                      .unverified = !config->mail_verify,
                                      .user = config->mail_user,
                                      .password = password,
                                      .from = config->mail_from,
                                      .timeout_ns = config->mail_timeout,
                                      .in_flight_max = 16 };
    if (smtp.tls != SMTP_TLS_none && smtp.unverified)
        log_warn("mail", "mail.verify is off: anybody may pretend to be the mail server", LOG_END);
    struct smtp *self = smtp_open(&smtp);
    if (self == NULL)
        log_error("mail",
                  "mail.smtp_url or mail.from cannot be used, or mail.user without mail.tls",
                  LOG_END);
    return self;
}

static struct port *open_port(const struct port_setup *setup) {
    const struct config *config = setup->config;
    struct config_error error;
    char password[CONFIG_SECRET_SIZE] = "";
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL || config->mail_smtp_url[0] == 0) return self;
    bool good =
        config->mail_user[0] == 0 || config_secret(config->mail_password_file, password, &error);
    if (!good)
        log_error("mail", "mail.password_file cannot be used", LOG_TEXT("why", error.text),
                  LOG_END);
    if (good) self->smtp = open_smtp(config, password);
    sodium_memzero(password, sizeof password);
    if (self->smtp != NULL) return self;
    free(self);
    return NULL;
}

static void close_port(struct port *self) {
    if (self == NULL) return;
    smtp_close(&self->smtp);
    free(self);
}

static bool ready(const struct port *self) {
    return self->smtp == NULL || smtp_in_flight(self->smtp) < 16;
}

static void say(struct outbox *out, const struct message *cause, int64_t outbox_id,
                enum mail_outcome outcome, const char *error) {
    size_t size = strlen(error) + 1;
    char *copy = outbox_text(out, size);
    memcpy(copy, error, size);
    struct mailed *mailed = REPLY(out, cause, mailed);
    mailed->outbox_id = outbox_id;
    mailed->outcome = outcome;
    mailed->error = text_of(copy);
}

static void send_one(struct port *self, const struct message *in, int64_t now, struct outbox *out) {
    const struct mail *mail = BODY(in, mail);
    uint64_t tag;
    if (self->smtp == NULL) {
        say(out, in, mail->outbox_id, mail_outcome_rejected, "mail is off");
        return;
    }
    if (!heads_put(&self->heads, &in->head, &tag)) {
        say(out, in, mail->outbox_id, mail_outcome_retry, "too many mails at once");
        return;
    }
    struct smtp_mail letter = { .outbox_id = mail->outbox_id,
                                .to = mail->to.at,
                                .to_size = mail->to.size,
                                .subject = mail->subject.at,
                                .subject_size = mail->subject.size,
                                .body = mail->body.at,
                                .body_size = mail->body.size };
    enum smtp_start start = smtp_send(self->smtp, tag, &letter, now);
    CRASH_POINT(mail_taken);
    if (start == SMTP_started) return;
    heads_take(&self->heads, tag);
    bool busy = start == SMTP_busy;
    say(out, in, mail->outbox_id, busy ? mail_outcome_retry : mail_outcome_rejected,
        busy ? "too many mails at once" : "address, subject or text cannot be sent");
}

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].head.type == MSG_mail) send_one(self, &in[i], now, out);
    }
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    struct smtp_result result;
    if (self->smtp == NULL) return;
    smtp_step(self->smtp, now);
    while (outbox_room(out) > 0 && smtp_next(self->smtp, &result)) {
        struct message cause = heads_take(&self->heads, result.tag);
        CRASH_POINT(mail_told);
        enum mail_outcome outcome = result.outcome == SMTP_sent    ? mail_outcome_sent
                                    : result.outcome == SMTP_retry ? mail_outcome_retry
                                                                   : mail_outcome_rejected;
        say(out, &cause, result.outbox_id, outcome, result.error);
    }
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    return self->smtp ? (uint32_t)smtp_poll_fds(self->smtp, fds, (int)max) : 0;
}

static int64_t timeout(struct port *self, int64_t now) {
    (void)now;
    return self->smtp ? smtp_timeout(self->smtp) : -1;
}

const struct port_type mail_port = {
    .name = "mail",
    .batch_max = 16,
    .open = open_port,
    .close = close_port,
    .ready = ready,
    .handle = handle,
    .poll = poll_fds,
    .timeout = timeout,
    .step = step,
};
