/* Requests out of bytes, strictly: whatever two readers could understand differently is refused.
 *
 * Refused are: line ends other than CRLF, CR or NUL anywhere else, folded lines, a blank before the
 * colon, two lengths, a length beside Transfer-Encoding, an encoding other than `chunked`, chunk
 * extensions and trailers, a missing or second Host, a target that is not a path.
 * Pure: nothing is allocated, all texts are slices of the bytes given. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include "schema/routes.h"

enum { HTTP_HEADERS_MAX = 64 };

enum http_progress { HTTP_MORE, HTTP_DONE, HTTP_BAD };

struct http_head {
    enum method method; /* METHOD_none: one we have no use for. */
    bool head_only;     /* HEAD: method is GET, and the answer goes without its body. */
    struct text path, query;
    bool keep_alive;
    bool chunked;
    bool has_length;
    uint64_t length;
    bool wants_continue;
    bool old;         /* HTTP/1.0 */
    const char *flaw; /* HTTP_BAD: a sentence. */
    bool too_many;    /* HTTP_BAD: because of the number of header lines. */
    uint32_t count;
    struct {
        struct text name, value;
    } header[HTTP_HEADERS_MAX];
};

/* Looks for the end of the head, going on at *scanned.  DONE: *size is the head's size, with its
 * empty line.  BAD: no more bytes can make it good. */
enum http_progress http_find_head(const char *at, size_t have, size_t *scanned, size_t *size);

/* Reads a complete head: DONE or BAD. */
enum http_progress http_parse_head(const char *at, size_t size, struct http_head *head);

/* The value of the first header of that name (any case), or an empty text. */
struct text http_header(const struct http_head *head, const char *name);

/* A chunked body being decoded in place: the bytes at [0, out) are the body so far. */
struct http_chunks {
    size_t out;
    uint64_t left; /* Of the present chunk. */
    uint8_t state;
};

/* Decodes what stands behind `out`; *have shrinks by what the framing took.  DONE: the body is
 * complete, what follows `out` belongs to the next request.  BAD: broken, or more than `most`
 * bytes (then *large). */
enum http_progress http_read_chunks(struct http_chunks *self, char *at, size_t *have, size_t most,
                                    bool *large);

/* Decodes %xx, and '+' as a blank when `form`, to `to` (room for value.size).  False: broken, or a
 * zero byte.  *size is what was written. */
bool http_decode(struct text value, bool form, char *to, uint32_t *size);

#endif
