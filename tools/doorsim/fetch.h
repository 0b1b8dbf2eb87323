/* One GET, waited for. */
#ifndef DOORSIM_FETCH_H
#define DOORSIM_FETCH_H

#include "tools/doorsim/textbuf.h"

#include <stdint.h>

/* The status, with the body in `body` (initialised by the caller); 0 without an answer. */
int fetch(const char *base, const char *path, int64_t timeout_ns, struct textbuf *body);

/* The same; the answer's ETag in `etag`, of HTTP_ETAG_MAX bytes, empty when there is none. */
int fetch_tagged(const char *base, const char *path, int64_t timeout_ns, struct textbuf *body,
                 char *etag);

#endif
