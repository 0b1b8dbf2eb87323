/* The signature header of the sandbox provider: `t=<unix seconds>,v1=<hex>` where v1 is
 * HMAC-SHA256(secret, t "." body) over the body's raw bytes.  Several v1 may stand in one header,
 * and several secrets may be good, so that a secret can be changed without a gap.
 * Nothing here allocates, blocks or reads a clock. */
#ifndef BROKER_PAY_SIGNATURE_H
#define BROKER_PAY_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_HEADER "X-Paysim-Signature"

enum {
    SIGNATURE_SIZE = 96,         /* Room for one signature as text, with its 0. */
    SIGNATURE_HEADER_MAX = 1024, /* Bytes of a header that is read at all. */
    SIGNATURE_V1_MAX = 8,        /* Most v1 in one header. */
};

/* Bytes that somebody else owns. */
struct secret {
    const uint8_t *at;
    size_t size;
};

enum signature_verdict {
    SIGNATURE_good,
    SIGNATURE_malformed, /* No header, or none that we can read. */
    SIGNATURE_wrong,     /* Not by one of the secrets, or of another body. */
    SIGNATURE_stale,     /* Right, but older than the tolerance. */
    SIGNATURE_future,    /* Right, but from further ahead than the tolerance. */
};

/* Signs `size` bytes at `body` (NULL when 0) as of `seconds`. */
void signature_make(struct secret secret, const void *body, size_t size, int64_t seconds,
                    char out[SIGNATURE_SIZE]);

/* Compares in constant time: how long it takes tells nothing about how much of a MAC is right.
 * Age is judged last, so that only who knows a secret learns anything about our clock.
 * `header` is terminated, or NULL if there was none. */
enum signature_verdict signature_check(const struct secret *secrets, size_t secret_count,
                                       const void *body, size_t size, const char *header,
                                       int64_t seconds, int64_t tolerance);

#endif
