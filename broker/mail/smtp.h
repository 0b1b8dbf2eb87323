/* Mail over SMTP by libcurl, in a few threads of its own, so that nothing here blocks the caller. A
 * mail carries the caller's tag; what became of it comes out of smtp_next() exactly once, in time
 * `timeout_ns` (from smtp_send on) at the latest.
 *
 * A mail may arrive twice (the connection is lost after the server has taken it); each attempt
 * carries the same Message-ID, made from the outbox id, by which receivers drop repeats.
 * Invariants: no text of a mail can become a header or an SMTP command; at most `in_flight_max`
 * mails are open.  One thread uses it (send, next); its own threads never call back. */
#ifndef BROKER_MAIL_SMTP_H
#define BROKER_MAIL_SMTP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SMTP_ADDRESS_MAX = 254,
    SMTP_SUBJECT_MAX = 200,
    SMTP_BODY_MAX = 16384,
    SMTP_ERROR_SIZE = 200,
    SMTP_IN_FLIGHT_MAX = 64,
};

struct smtp;

/* Encryption: STARTTLS is demanded, not only tried, so that nobody between can take it away. */
enum smtp_tls { SMTP_TLS_none, SMTP_TLS_starttls, SMTP_TLS_tls };

/* Texts are copied.  Members left at zero: no encryption, no login; `unverified` says that any
 * certificate will do. */
struct smtp_config {
    const char *url; /* "smtp://host:port" or, with TLS, "smtps://host:port"; no login in it. */
    enum smtp_tls tls;
    const char *ca_file; /* Whom to trust; NULL or "": the system's. */
    bool unverified;
    const char *user, *password; /* NULL or "": no login.  Only with encryption. */
    const char *from;            /* Sender; its domain ends the Message-IDs. */
    int64_t timeout_ns;          /* For handing over one mail. */
    uint32_t in_flight_max;      /* 1 .. SMTP_IN_FLIGHT_MAX. */
};

/* NULL: out of memory or descriptors, or a member that cannot be used.  Does not connect. */
struct smtp *smtp_open(const struct smtp_config *config);
/* Breaks off open mails without results, which may take a second.  Sets *self to NULL; harmless on
 * NULL. */
void smtp_close(struct smtp **self);

enum smtp_start {
    SMTP_started, /* A result will come. */
    SMTP_busy,    /* in_flight_max are open: not sent, no result will come. */
    SMTP_invalid, /* Can never be sent: see smtp_mail.  No result will come. */
};

/* Borrowed for the call. */
struct smtp_mail {
    int64_t outbox_id;   /* Positive. */
    const char *to;      /* One address: visible ASCII, one '@', none of <>()[],;:\" */
    size_t to_size;      /* 3 .. SMTP_ADDRESS_MAX */
    const char *subject; /* UTF-8 without control characters. */
    size_t subject_size; /* 1 .. SMTP_SUBJECT_MAX */
    const char *body;    /* Plain text, UTF-8; of control characters, only tab and line ends. */
    size_t body_size;    /* 1 .. SMTP_BODY_MAX */
};

/* Starts to hand a mail over.  `now` becomes its Date. */
enum smtp_start smtp_send(struct smtp *self, uint64_t tag, const struct smtp_mail *mail,
                          int64_t now) __attribute__((warn_unused_result));

/* Fills at most `max` descriptors to poll; returns how many, which is 1 (or 0 if max is 0).
 * Readable while there are results. */
int smtp_poll_fds(const struct smtp *self, struct pollfd *fds, int max);
/* The shape of every engine here; with threads of its own this one wants no call: -1, and nothing.
 */
int64_t smtp_timeout(const struct smtp *self);
void smtp_step(struct smtp *self, int64_t now);
/* Open mails, and results not taken yet. */
uint32_t smtp_in_flight(struct smtp *self);

enum smtp_outcome {
    SMTP_sent,     /* The server has taken it over. */
    SMTP_retry,    /* It has not, or we do not know: again later, with the same outbox id. */
    SMTP_rejected, /* The server will never take this mail. */
};

struct smtp_result {
    uint64_t tag;
    int64_t outbox_id;
    enum smtp_outcome outcome;
    int code;                    /* The server's last reply, 0: none. */
    char error[SMTP_ERROR_SIZE]; /* When not sent: why. */
};

/* Takes the next result; false: there is none now, and the descriptor is quiet again. */
bool smtp_next(struct smtp *self, struct smtp_result *out);

#endif
