/* A mail as it goes over the wire.  Allocates nothing, reads no clock. */
#ifndef BROKER_MAIL_COMPOSE_H
#define BROKER_MAIL_COMPOSE_H

#include "broker/mail/smtp.h"

/* Headers, a base64 body of the longest size, and some air. */
enum { COMPOSE_MAX = 4096 + 2 * SMTP_BODY_MAX };

/* One address in the plain form every server takes. */
bool compose_address_good(const char *at, size_t size);
/* Whether nothing in it can end a header or hide something. */
bool compose_mail_good(const struct smtp_mail *mail);

/* Writes the mail with CRLF line ends into `out` (COMPOSE_MAX bytes) and returns its size.  The
 * mail has been found good, `from` is a good address.  libcurl doubles leading dots. */
size_t compose_mail(const struct smtp_mail *mail, const char *from, int64_t now, char *out);

#endif
