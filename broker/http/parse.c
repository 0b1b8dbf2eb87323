#include "broker/http/parse.h"

#include <string.h>
#include <strings.h>

enum http_progress http_find_head(const char *at, size_t have, size_t *scanned, size_t *size) {
    /* Nothing that begins otherwise is a request: do not wait for the rest of it. */
    if (have > 0 && (at[0] < 'A' || at[0] > 'Z')) return HTTP_BAD;
    while (*scanned < have) {
        const char *lf = memchr(at + *scanned, '\n', have - *scanned);
        if (lf == NULL) break;
        size_t i = (size_t)(lf - at);
        if (i == 0 || at[i - 1] != '\r') return HTTP_BAD;
        *scanned = i + 1;
        if (i >= 3 && at[i - 2] == '\n') {
            *size = i + 1;
            return HTTP_DONE;
        }
    }
    return HTTP_MORE;
}

static enum http_progress bad(struct http_head *head, const char *flaw) {
    head->flaw = flaw;
    return HTTP_BAD;
}

/* Letters of a method or header name, RFC 9110 5.6.2. */
static bool is_token(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_name(struct text text, const char *name) {
    return text.size == strlen(name) && strncasecmp(text.at, name, text.size) == 0;
}

static enum http_progress parse_target(struct text target, struct http_head *head) {
    if (target.size == 0 || target.at[0] != '/') return bad(head, "the target must be a path");
    for (uint32_t i = 0; i < target.size; i++) {
        unsigned char byte = (unsigned char)target.at[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == '#' || byte == '\\') {
            return bad(head, "the target holds a character that must be encoded");
        }
    }
    const char *mark = memchr(target.at, '?', target.size);
    head->path = target;
    head->query = (struct text){ NULL, 0 };
    if (mark != NULL) {
        head->path.size = (uint32_t)(mark - target.at);
        head->query = (struct text){ mark + 1, target.size - head->path.size - 1 };
    }
    return HTTP_DONE;
}

/* METHOD SP target SP HTTP/1.x, without its line end. */
static enum http_progress parse_request_line(struct text line, struct http_head *head) {
    const char *end = line.at + line.size;
    const char *first = memchr(line.at, ' ', line.size);
    if (first == NULL) return bad(head, "the request line is broken");
    const char *second = memchr(first + 1, ' ', (size_t)(end - first - 1));
    if (second == NULL) return bad(head, "the request line is broken");
    struct text method = { line.at, (uint32_t)(first - line.at) };
    for (uint32_t i = 0; i < method.size; i++) {
        if (!is_token(method.at[i])) return bad(head, "the method is broken");
    }
    head->head_only = text_is(method, "HEAD");
    head->method = head->head_only ? METHOD_GET : method_named(method);
    struct text version = { second + 1, (uint32_t)(end - second - 1) };
    head->old = text_is(version, "HTTP/1.0");
    if (!head->old && !text_is(version, "HTTP/1.1")) {
        return bad(head, "the version must be HTTP/1.1");
    }
    return parse_target((struct text){ first + 1, (uint32_t)(second - first - 1) }, head);
}

static enum http_progress parse_header(struct text line, struct http_head *head) {
    const char *colon = memchr(line.at, ':', line.size);
    if (line.at[0] == ' ' || line.at[0] == '\t') return bad(head, "a header line is folded");
    if (colon == NULL || colon == line.at) return bad(head, "a header line is broken");
    struct text name = { line.at, (uint32_t)(colon - line.at) };
    struct text value = { colon + 1, line.size - name.size - 1 };
    for (uint32_t i = 0; i < name.size; i++) {
        if (!is_token(name.at[i])) return bad(head, "a header name is broken");
    }
    while (value.size > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
        value.at++, value.size--;
    while (value.size > 0 &&
           (value.at[value.size - 1] == ' ' || value.at[value.size - 1] == '\t')) {
        value.size--;
    }
    for (uint32_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.at[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return bad(head, "a header holds a control character");
        }
    }
    if (head->count == HTTP_HEADERS_MAX) {
        head->too_many = true;
        return bad(head, "there are too many header lines");
    }
    head->header[head->count].name = name;
    head->header[head->count++].value = value;
    return HTTP_DONE;
}

static bool parse_length(struct text value, uint64_t *length) {
    *length = 0;
    if (value.size == 0 || value.size > 15) return false;
    for (uint32_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return false;
        *length = *length * 10 + (uint64_t)(value.at[i] - '0');
    }
    return true;
}

/* Does the comma list hold the word? */
static bool lists(struct text value, const char *word) {
    while (value.size > 0) {
        const char *comma = memchr(value.at, ',', value.size);
        struct text item = { value.at, comma ? (uint32_t)(comma - value.at) : value.size };
        uint32_t step = comma ? item.size + 1 : item.size;
        value.at += step;
        value.size -= step;
        while (item.size > 0 && (item.at[0] == ' ' || item.at[0] == '\t'))
            item.at++, item.size--;
        while (item.size > 0 && item.at[item.size - 1] == ' ')
            item.size--;
        if (is_name(item, word)) return true;
    }
    return false;
}

/* What the headers say about the framing. */
static enum http_progress read_framing(struct http_head *head) {
    uint32_t hosts = 0;
    head->keep_alive = !head->old;
    for (uint32_t i = 0; i < head->count; i++) {
        struct text name = head->header[i].name, value = head->header[i].value;
        if (is_name(name, "content-length")) {
            if (head->has_length) return bad(head, "there are two lengths");
            if (!parse_length(value, &head->length)) return bad(head, "the length is broken");
            head->has_length = true;
        } else if (is_name(name, "transfer-encoding")) {
            if (head->chunked || !is_name(value, "chunked") || head->old) {
                return bad(head, "the transfer encoding must be chunked, once");
            }
            head->chunked = true;
        } else if (is_name(name, "connection")) {
            if (lists(value, "close"))
                head->keep_alive = false;
            else if (head->old && lists(value, "keep-alive"))
                head->keep_alive = true;
        } else if (is_name(name, "host")) {
            hosts++;
        } else if (is_name(name, "expect")) {
            if (!is_name(value, "100-continue")) return bad(head, "the expectation is not known");
            head->wants_continue = !head->old;
        }
    }
    if (head->chunked && head->has_length) return bad(head, "a length beside chunks");
    if (hosts > 1 || (hosts == 0 && !head->old)) return bad(head, "there must be one Host");
    return HTTP_DONE;
}

enum http_progress http_parse_head(const char *at, size_t size, struct http_head *head) {
    const char *end = at + size - 2; /* The empty line. */
    *head = (struct http_head){ .method = METHOD_none };
    for (bool first = true; at < end; first = false) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL || lf == at || lf[-1] != '\r') return bad(head, "lines must end in CRLF");
        struct text line = { at, (uint32_t)(lf - at - 1) };
        if (memchr(line.at, '\r', line.size) != NULL || memchr(line.at, 0, line.size) != NULL) {
            return bad(head, "a line holds a bare CR or a zero byte");
        }
        enum http_progress progress =
            first ? parse_request_line(line, head) : parse_header(line, head);
        if (progress != HTTP_DONE) return progress;
        at = lf + 1;
    }
    return read_framing(head);
}

struct text http_header(const struct http_head *head, const char *name) {
    for (uint32_t i = 0; i < head->count; i++) {
        if (is_name(head->header[i].name, name)) return head->header[i].value;
    }
    return (struct text){ NULL, 0 };
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_LAST };

/* One size line at `at`: its length, 0 = not there yet, -1 = broken. */
static int chunk_size(const char *at, size_t have, uint64_t *left) {
    enum { DIGITS_MAX = 8 };
    *left = 0;
    for (size_t i = 0; i < have && i <= DIGITS_MAX; i++) {
        int digit = hex_digit(at[i]);
        if (digit >= 0 && i < DIGITS_MAX) {
            *left = *left << 4 | (uint64_t)digit;
            continue;
        }
        if (i == 0 || at[i] != '\r') return -1;
        if (i + 1 == have) return 0;
        return at[i + 1] == '\n' ? (int)i + 2 : -1;
    }
    return have > DIGITS_MAX ? -1 : 0;
}

/* A line end at `at`: 2, 0 = not there yet, -1 = something else. */
static int line_end(const char *at, size_t have) {
    if (have > 0 && at[0] != '\r') return -1;
    if (have > 1 && at[1] != '\n') return -1;
    return have > 1 ? 2 : 0;
}

/* Takes one piece of framing; its size, 0 = wait, -1 = broken. */
static int take_framing(struct http_chunks *self, const char *at, size_t have) {
    int taken;
    switch (self->state) {
    case CHUNK_SIZE:
        taken = chunk_size(at, have, &self->left);
        if (taken > 0) self->state = self->left > 0 ? CHUNK_DATA : CHUNK_LAST;
        return taken;
    case CHUNK_DATA_END:
        taken = line_end(at, have);
        if (taken > 0) self->state = CHUNK_SIZE;
        return taken;
    default: return line_end(at, have);
    }
}

enum http_progress http_read_chunks(struct http_chunks *self, char *at, size_t *have, size_t most,
                                    bool *large) {
    size_t in = self->out; /* Where the next undecoded byte stands. */
    enum http_progress progress = HTTP_MORE;
    *large = false;
    while (progress == HTTP_MORE) {
        if (self->state == CHUNK_DATA) {
            if (in == *have) break;
            size_t step = *have - in < self->left ? *have - in : (size_t)self->left;
            memmove(at + self->out, at + in, step);
            self->out += step;
            self->left -= step;
            in += step;
            if (self->left == 0) self->state = CHUNK_DATA_END;
            continue;
        }
        bool last = self->state == CHUNK_LAST;
        int taken = take_framing(self, at + in, *have - in);
        if (taken < 0) return HTTP_BAD;
        if (taken == 0) break;
        in += (size_t)taken;
        if (self->state == CHUNK_DATA && self->left > most - self->out) {
            *large = true;
            return HTTP_BAD;
        }
        if (last) progress = HTTP_DONE;
    }
    memmove(at + self->out, at + in, *have - in);
    *have -= in - self->out;
    return progress;
}

bool http_decode(struct text value, bool form, char *to, uint32_t *size) {
    *size = 0;
    for (uint32_t i = 0; i < value.size; i++) {
        char byte = value.at[i];
        if (byte == '+' && form) byte = ' ';
        if (byte == '%') {
            if (value.size - i < 3) return false;
            int high = hex_digit(value.at[i + 1]), low = hex_digit(value.at[i + 2]);
            if (high < 0 || low < 0) return false;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        if (byte == 0) return false;
        to[(*size)++] = byte;
    }
    return true;
}
