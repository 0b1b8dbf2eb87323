/* Who may connect to our CURVE sockets: the ZAP handler (RFC 27) of one ZeroMQ context.
 *
 * A thread of its own answers the context's handshakes from the allow-list of the socket's domain
 * (ZMQ_ZAP_DOMAIN, see curve_serve); the list is kept (allow_find), so that a key that was added
 * may connect at once, and one taken away not after ZAP_FRESH_MS, without a restart.  (One that is
 * connected already stays: whoever serves it looks its name up again when that matters.)
 * A message from an allowed connection tells who sent it: zmq_msg_gets(msg, "User-Id") is the key's
 * name, zmq_msg_gets(msg, "Role") its role ("" when it has none), zmq_msg_gets(msg, "Key") the
 * public key.  Whoever is refused is counted in curve_refused_total{domain} and logged with the
 * reason. */
#ifndef ZAP_H
#define ZAP_H

#include <stdint.h>

enum { ZAP_DOMAINS_MAX = 4, ZAP_FRESH_MS = 200 };

struct zap_domain {
    const char *name;    /* A literal: it is kept.  "nodes", "door". */
    const char *allowed; /* Folder or file, see broker/allow.h; must outlive the handler. */
};

struct zap;

/* Starts the handler: before the first bind of a CURVE socket, and before metrics_seal().  NULL
 * when the context has one already, or an allow-list has a published test key or cannot be read;
 * the reason has been logged. */
struct zap *zap_open(void *context, const struct zap_domain *domains, uint32_t count);

/* Before zmq_ctx_term().  NULL is harmless. */
void zap_close(struct zap *self);

#endif
