#include "tools/doorsim/http_response.h"

#include <string.h>
#include <strings.h>

enum phase {
    PHASE_status,
    PHASE_headers,
    PHASE_length,  /* A body of a known length. */
    PHASE_to_end,  /* A body that ends with the connection. */
    PHASE_chunk,   /* The line with a chunk's size. */
    PHASE_data,    /* A chunk's bytes. */
    PHASE_after,   /* The empty line after a chunk's bytes. */
    PHASE_trailer, /* Header lines after the last chunk. */
};

void http_parser_init(struct http_parser *self) {
    memset(self, 0, sizeof *self);
    textbuf_init(&self->response.body, HTTP_BODY_MAX);
    http_parser_reset(self);
}

void http_parser_fini(struct http_parser *self) {
    textbuf_fini(&self->response.body);
}

void http_parser_reset(struct http_parser *self) {
    self->phase = PHASE_status;
    self->left = 0;
    self->has_length = false;
    self->chunked = false;
    self->headers = 0;
    self->line_length = 0;
    self->response.status = 0;
    self->response.retry_after_s = -1;
    self->response.replayed = false;
    self->response.close = false;
    self->response.location[0] = '\0';
    self->response.etag[0] = '\0';
    textbuf_clear(&self->response.body);
}

bool http_parser_untouched(const struct http_parser *self) {
    return self->phase == PHASE_status && self->line_length == 0;
}

/* Digits only; false if there are none, something else, or too many. */
static bool read_number(const char *text, size_t length, unsigned base, uint64_t *number) {
    uint64_t value = 0;
    if (length == 0 || length > 15) return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        if (digit >= base) return false;
        value = value * base + digit;
    }
    *number = value;
    return true;
}

static bool on_status(struct http_parser *self, const char *line, size_t length) {
    uint64_t status;
    if (length < 12 || memcmp(line, "HTTP/1.", 7) != 0) return false;
    if ((line[7] != '0' && line[7] != '1') || line[8] != ' ') return false;
    if (length > 12 && line[12] != ' ') return false;
    if (!read_number(line + 9, 3, 10, &status) || status < 100) return false;
    self->response.status = (int)status;
    if (line[7] == '0') self->response.close = true;
    self->phase = PHASE_headers;
    return true;
}

static bool header_is(const char *line, size_t name_length, const char *name) {
    return strlen(name) == name_length && strncasecmp(line, name, name_length) == 0;
}

static bool value_is(const char *value, size_t length, const char *expected) {
    return strlen(expected) == length && strncasecmp(value, expected, length) == 0;
}

static bool on_length(struct http_parser *self, const char *value, size_t length) {
    uint64_t left;
    if (self->has_length || !read_number(value, length, 10, &left)) return false;
    self->has_length = true;
    self->left = left;
    return left <= HTTP_BODY_MAX;
}

/* The headers that matter here.  False when the value makes the answer unreadable. */
static bool take_header(struct http_parser *self, const char *line, size_t name, const char *value,
                        size_t size) {
    struct http_response *response = &self->response;
    uint64_t number;
    switch (name) { /* Most lines are told apart by the length of their name alone. */
    case 4:
        if (!header_is(line, name, "ETag") || size >= HTTP_ETAG_MAX) break;
        memcpy(response->etag, value, size);
        response->etag[size] = '\0';
        break;
    case 8:
        if (!header_is(line, name, "Location")) break;
        memcpy(response->location, value, size);
        response->location[size] = '\0';
        break;
    case 10:
        if (!header_is(line, name, "Connection")) break;
        if (value_is(value, size, "close")) response->close = true;
        if (value_is(value, size, "keep-alive")) response->close = false;
        break;
    case 11:
        if (!header_is(line, name, "Retry-After") || !read_number(value, size, 10, &number)) break;
        response->retry_after_s = number > 86400 ? 86400 : (int)number;
        break;
    case 14:
        if (header_is(line, name, "Content-Length")) return on_length(self, value, size);
        break;
    case 17:
        if (!header_is(line, name, "Transfer-Encoding")) break;
        self->chunked = true;
        return value_is(value, size, "chunked");
    case 19:
        if (!header_is(line, name, "Idempotent-Replayed")) break;
        response->replayed = value_is(value, size, "true");
        break;
    default: break;
    }
    return true;
}

static bool on_header(struct http_parser *self, const char *line, size_t length) {
    const char *colon = memchr(line, ':', length);
    if (colon == NULL || colon == line || ++self->headers > HTTP_HEADERS_MAX) return false;
    if (line[0] == ' ' || line[0] == '\t') return false; /* A folded line. */
    const char *value = colon + 1;
    const char *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return take_header(self, line, (size_t)(colon - line), value, (size_t)(end - value));
}

static enum http_parse on_headers_end(struct http_parser *self) {
    int status = self->response.status;
    if (self->chunked && self->has_length) return HTTP_PARSE_bad;
    if (status >= 100 && status < 200) {
        if (status == 101) return HTTP_PARSE_bad;
        http_parser_reset(self);
        return HTTP_PARSE_more;
    }
    if (status == 204 || status == 304) return HTTP_PARSE_done;
    if (self->chunked) {
        self->phase = PHASE_chunk;
        return HTTP_PARSE_more;
    }
    if (self->has_length) {
        self->phase = PHASE_length;
        return self->left == 0 ? HTTP_PARSE_done : HTTP_PARSE_more;
    }
    self->response.close = true;
    self->phase = PHASE_to_end;
    return HTTP_PARSE_more;
}

static enum http_parse on_chunk_size(struct http_parser *self, const char *line, size_t length) {
    const char *semicolon = memchr(line, ';', length);
    size_t digits = semicolon == NULL ? length : (size_t)(semicolon - line);
    if (!read_number(line, digits, 16, &self->left) || self->left > HTTP_BODY_MAX) {
        return HTTP_PARSE_bad;
    }
    self->phase = self->left == 0 ? PHASE_trailer : PHASE_data;
    return HTTP_PARSE_more;
}

/* A whole line without its end. */
static enum http_parse on_line(struct http_parser *self, const char *line, size_t length) {
    switch ((enum phase)self->phase) {
    case PHASE_status: return on_status(self, line, length) ? HTTP_PARSE_more : HTTP_PARSE_bad;
    case PHASE_headers:
        if (length == 0) return on_headers_end(self);
        return on_header(self, line, length) ? HTTP_PARSE_more : HTTP_PARSE_bad;
    case PHASE_chunk: return on_chunk_size(self, line, length);
    case PHASE_after:
        self->phase = PHASE_chunk;
        return length == 0 ? HTTP_PARSE_more : HTTP_PARSE_bad;
    case PHASE_trailer:
        if (length == 0) return HTTP_PARSE_done;
        return ++self->headers > HTTP_HEADERS_MAX ? HTTP_PARSE_bad : HTTP_PARSE_more;
    case PHASE_length:
    case PHASE_to_end:
    case PHASE_data: break;
    }
    return HTTP_PARSE_bad;
}

/* Takes bytes up to and including a line's end. */
static enum http_parse feed_line(struct http_parser *self, const char *bytes, size_t length,
                                 size_t *used) {
    const char *newline = memchr(bytes, '\n', length);
    size_t take = newline == NULL ? length : (size_t)(newline - bytes);
    *used = newline == NULL ? length : take + 1;
    if (take >= sizeof self->line - self->line_length) return HTTP_PARSE_bad;
    const char *line = bytes;
    size_t size = take;
    if (newline == NULL || self->line_length > 0) {
        memcpy(self->line + self->line_length, bytes, take);
        self->line_length += take;
        if (newline == NULL) return HTTP_PARSE_more;
        line = self->line;
        size = self->line_length;
    }
    if (size > 0 && line[size - 1] == '\r') size--;
    self->line_length = 0;
    return on_line(self, line, size);
}

static enum http_parse feed_body(struct http_parser *self, const char *bytes, size_t length,
                                 size_t *used) {
    size_t take = length;
    if (self->phase != PHASE_to_end && take > self->left) take = (size_t)self->left;
    *used = take;
    if (!textbuf_add(&self->response.body, bytes, take)) return HTTP_PARSE_bad;
    if (self->phase == PHASE_to_end) return HTTP_PARSE_more;
    self->left -= take;
    if (self->left > 0) return HTTP_PARSE_more;
    if (self->phase == PHASE_length) return HTTP_PARSE_done;
    self->phase = PHASE_after;
    return HTTP_PARSE_more;
}

enum http_parse http_parser_feed(struct http_parser *self, const char *bytes, size_t length,
                                 size_t *used) {
    enum http_parse parse = HTTP_PARSE_more;
    size_t at = 0;
    while (at < length && parse == HTTP_PARSE_more) {
        size_t step = 0;
        bool in_body =
            self->phase == PHASE_length || self->phase == PHASE_to_end || self->phase == PHASE_data;
        parse = in_body ? feed_body(self, bytes + at, length - at, &step)
                        : feed_line(self, bytes + at, length - at, &step);
        at += step;
    }
    *used = at;
    return parse;
}

enum http_parse http_parser_end(struct http_parser *self) {
    return self->phase == PHASE_to_end ? HTTP_PARSE_done : HTTP_PARSE_bad;
}
