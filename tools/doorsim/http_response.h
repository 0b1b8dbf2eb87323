/* One HTTP/1.1 answer, read piece by piece as the bytes arrive, in any cut.
 *
 * Bodies by Content-Length, chunked, or up to the end of the connection; 1xx answers are skipped;
 * 204 and 304 have no body.  Everything is bounded: a line, the number of header lines, the body.
 * An answer that could be read in two ways (length and chunked together, two lengths) is bad. */
#ifndef DOORSIM_HTTP_RESPONSE_H
#define DOORSIM_HTTP_RESPONSE_H

#include "tools/doorsim/textbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_LINE_MAX = 2048,
    HTTP_HEADERS_MAX = 100,
    HTTP_BODY_MAX = 4 << 20,
    HTTP_ETAG_MAX = 80,
};

enum http_parse {
    HTTP_PARSE_more, /* All bytes were used, the answer is not complete. */
    HTTP_PARSE_done, /* Complete; the bytes not used belong to the next answer. */
    HTTP_PARSE_bad,  /* Not HTTP, or beyond a bound.  The connection is of no further use. */
};

struct http_response {
    int status;
    int retry_after_s; /* -1: none given, or not in whole seconds. */
    bool replayed;     /* Idempotent-Replayed: true */
    bool close;        /* The connection may not be used again. */
    char location[HTTP_LINE_MAX];
    char etag[HTTP_ETAG_MAX]; /* With its quotes; empty: none, or too long. */
    struct textbuf body;
};

struct http_parser {
    struct http_response response;
    int phase;
    uint64_t left; /* Bytes of the body or chunk still to come. */
    bool has_length;
    bool chunked;
    unsigned headers;
    size_t line_length;
    char line[HTTP_LINE_MAX];
};

void http_parser_init(struct http_parser *self);
void http_parser_fini(struct http_parser *self);

/* Ready for the next answer on the same connection; the body's memory is kept. */
void http_parser_reset(struct http_parser *self);

/* True when no byte of an answer has been seen since the last reset. */
bool http_parser_untouched(const struct http_parser *self);

/* Feeds bytes; `*used` says how many were taken.  After `done` or `bad`, reset before feeding. */
enum http_parse http_parser_feed(struct http_parser *self, const char *bytes, size_t length,
                                 size_t *used);

/* The peer closed.  `done` if the answer ends there, else `bad`. */
enum http_parse http_parser_end(struct http_parser *self);

#endif
