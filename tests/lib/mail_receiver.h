/* A real mail server (aiosmtpd, tests/contract/smtp_receiver.py) in a folder of its own, ended with
 * the test, also when that dies. */
#ifndef TESTS_MAIL_RECEIVER_H
#define TESTS_MAIL_RECEIVER_H

#include <stdbool.h>
#include <sys/types.h>

struct mail_receiver {
    pid_t pid;
    char folder[64];
    char url[64];
    int mails; /* Read by mail_arrived so far. */
};

/* `options` of smtp_receiver.py, up to NULL, or NULL for none.  False after a sentence. */
bool mail_receiver_open(struct mail_receiver *self, const char *const *options);
/* With its folder. */
void mail_receiver_close(struct mail_receiver *self);
/* The next mail it has taken, with its envelope; NULL when there is none.  Valid until the next. */
const char *mail_arrived(struct mail_receiver *self);

#endif
