/* Replies as bytes: status line, headers, problem documents. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/http/internal.h"

static const struct {
    int status;
    const char *line;
} lines[] = {
    { 200, "200 OK" },
    { 201, "201 Created" },
    { 202, "202 Accepted" },
    { 204, "204 No Content" },
    { 304, "304 Not Modified" },
    { 400, "400 Bad Request" },
    { 401, "401 Unauthorized" },
    { 403, "403 Forbidden" },
    { 404, "404 Not Found" },
    { 405, "405 Method Not Allowed" },
    { 408, "408 Request Timeout" },
    { 409, "409 Conflict" },
    { 413, "413 Content Too Large" },
    { 415, "415 Unsupported Media Type" },
    { 422, "422 Unprocessable Content" },
    { 429, "429 Too Many Requests" },
    { 431, "431 Request Header Fields Too Large" },
    { 500, "500 Internal Server Error" },
    { 502, "502 Bad Gateway" },
    { 503, "503 Service Unavailable" },
};

static void put(struct json_out *out, const char *text) {
    json_raw(out, text, strlen(text));
}

static void put_status(struct json_out *out, int status) {
    put(out, "HTTP/1.1 ");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (lines[i].status == status) {
            put(out, lines[i].line);
            return;
        }
    }
    json_int(out, status);
    put(out, " ");
}

/* IMF-fixdate, made once a second. */
static void put_date(struct port *self, struct json_out *out) {
    int64_t second = self->wall / 1000000000;
    if (second != self->date_second) {
        struct tm parts;
        time_t when = (time_t)second;
        self->date_second = second;
        if (gmtime_r(&when, &parts) == NULL) return;
        strftime(self->date, sizeof self->date, "%a, %d %b %Y %H:%M:%S", &parts);
    }
    put(out, "\r\nDate: ");
    put(out, self->date);
    put(out, " GMT");
}

static void put_cache(struct json_out *out, const struct reply *reply) {
    if (!reply->cacheable) {
        put(out, "\r\nCache-Control: no-store");
        return;
    }
    put(out, "\r\nCache-Control: public, max-age=");
    json_int(out, reply->max_age);
    if (reply->etag.size == 0) return;
    put(out, "\r\nETag: \"");
    json_raw(out, reply->etag.at, reply->etag.size);
    put(out, "\"");
}

static void put_allow(struct json_out *out, uint32_t allowed) {
    const char *separator = "\r\nAllow: ";
    for (unsigned method = METHOD_GET; method <= METHOD_DELETE; method++) {
        if ((allowed & 1U << method) == 0) continue;
        put(out, separator);
        put(out, method_name((enum method)method));
        if (method == METHOD_GET) put(out, ", HEAD");
        separator = ", ";
    }
}

static void put_headers(struct connection *it, const struct reply *reply, struct json_out *out) {
    put_date(it->port, out);
    if (reply->media != NULL) {
        put(out, "\r\nContent-Type: ");
        put(out, reply->media);
    }
    if (reply->status != 204 && reply->status != 304) {
        put(out, "\r\nContent-Length: ");
        json_int(out, reply->body.size);
    }
    put_cache(out, reply);
    put_allow(out, reply->allowed);
    if (reply->location != NULL) {
        put(out, "\r\nLocation: ");
        put(out, reply->location);
    }
    if (reply->retry_after > 0) {
        put(out, "\r\nRetry-After: ");
        json_int(out, reply->retry_after);
    }
    if (reply->replayed) put(out, "\r\nIdempotent-Replayed: true");
    if (reply->challenge) put(out, "\r\nWWW-Authenticate: Bearer");
    if (!it->keep_alive)
        put(out, "\r\nConnection: close");
    else if (it->old)
        put(out, "\r\nConnection: keep-alive");
    put(out, "\r\n\r\n");
}

static void count(struct connection *it, int status) {
    struct http_metrics *metrics = &it->port->metrics;
    int hundreds = status / 100;
    if (hundreds >= 2 && hundreds <= 5) metric_add(metrics->status[hundreds], 1);
    metric_observe(metrics->seconds[it->shown], it->port->mono - it->started);
}

void http_reply(struct connection *it, const struct reply *reply) {
    struct port *self = it->port;
    char head[HTTP_REPLY_HEAD_MAX];
    struct json_out out = { .at = head, .capacity = sizeof head };
    if (it->phase == PHASE_waiting) {
        self->inflight--;
        metric_set(self->metrics.inflight, self->inflight);
        http_enter(it, PHASE_receiving); /* For a moment: http_send moves on. */
    }
    it->generation++; /* A second answer to the same request finds nobody. */
    it->route = NULL;
    free(it->rows);
    it->rows = NULL;
    it->rows_used = it->rows_size = 0;
    it->row_count = 0;
    if (self->stopping) it->keep_alive = false;
    put_status(&out, reply->status);
    put_headers(it, reply, &out);
    assert(!out.full && "all header values are bounded");
    count(it, reply->status);
    struct text body = it->head_only ? (struct text){ NULL, 0 } : reply->body;
    http_send(it, (struct text){ head, (uint32_t)out.size }, body);
}

static void put_hex(struct json_out *out, uint64_t value) {
    static const char digits[] = "0123456789abcdef";
    char text[16];
    for (int i = 0; i < 16; i++)
        text[i] = digits[value >> (60 - 4 * i) & 15];
    json_quote(out, (struct text){ text, sizeof text });
}

static uint32_t retry_after(const struct problem_reply *what) {
    int status = problem_http(what->problem);
    if (what->retry_after > 0) return what->retry_after;
    if (problem_retry(what->problem) == RETRY_NEVER) return 0;
    return status == 429 || status == 503 ? 1 : 0;
}

void http_problem(struct connection *it, const struct problem_reply *what) {
    enum problem problem = what->problem;
    const char *name = problem_name(problem), *title = problem_title(problem);
    http_metrics_problem(&it->port->metrics, problem);
    char body[2048]; /* A field of 64 and a detail of 300 bytes, six times as long when escaped. */
    struct json_out out = { .at = body, .capacity = sizeof body };
    if (name == NULL) name = "internal";
    struct text detail = what->detail.size > 0 ? what->detail : text_of(title);
    put(&out, "{\"type\":\"urn:doorbuster:problem:");
    put(&out, name);
    put(&out, "\",\"title\":");
    json_quote(&out, text_of(title));
    put(&out, ",\"status\":");
    json_int(&out, problem_http(problem));
    put(&out, ",\"code\":");
    json_quote(&out, text_of(name));
    size_t before = out.size;
    put(&out, ",\"detail\":");
    json_quote(&out, detail);
    if (what->field.size > 0) {
        put(&out, ",\"field\":");
        json_quote(&out, what->field);
    }
    if (out.full) { /* Can only be what the client made up itself: leave it out. */
        out.full = false;
        out.size = before;
    }
    put(&out, problem_retry(problem) == RETRY_NEVER ? ",\"retryable\":false,\"trace_id\":"
                                                    : ",\"retryable\":true,\"trace_id\":");
    put_hex(&out, it->trace);
    put(&out, "}");
    struct reply reply = { .status = problem_http(problem),
                           .media = "application/problem+json",
                           .body = { body, (uint32_t)out.size },
                           .retry_after = retry_after(what),
                           .allowed = what->allowed,
                           .challenge = problem_http(problem) == 401 };
    http_reply(it, &reply);
}

void http_problem_plain(struct connection *it, enum problem problem, const char *detail) {
    struct problem_reply what = { .problem = problem, .detail = text_of(detail) };
    http_problem(it, &what);
}
