/* A request becomes a message to the bridge, or is refused here. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "broker/http/internal.h"

enum { BODY_SIZE_MAX = 1024 };

/* splitmix64: trace ids need to differ, not to be secret. */
static uint64_t next_random(struct port *self) {
    uint64_t x = self->random += 0x9e3779b97f4a7c15U;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    x ^= x >> 31;
    return x != 0 ? x : 1;
}

static bool hex_number(struct text text, uint64_t *value) {
    *value = 0;
    for (uint32_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        uint64_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint64_t)(c - 'a' + 10);
        else
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* 00-<32 hex digits>-<16 hex digits>-<2 hex digits>; the envelope holds the lower half of the
 * trace id. */
uint64_t http_trace(struct port *self, const struct http_head *head) {
    struct text value = { NULL, 0 };
    uint64_t upper, lower, rest;
    if (head != NULL) value = http_header(head, "traceparent");
    if (value.size == 55 && memcmp(value.at, "00-", 3) == 0 && value.at[35] == '-' &&
        value.at[52] == '-' && hex_number((struct text){ value.at + 3, 16 }, &upper) &&
        hex_number((struct text){ value.at + 19, 16 }, &lower) && lower != 0 &&
        hex_number((struct text){ value.at + 36, 16 }, &rest) && rest != 0 &&
        hex_number((struct text){ value.at + 53, 2 }, &rest)) {
        return lower;
    }
    return next_random(self);
}

/* A request being put together. */
struct draft {
    struct connection *it;
    const struct message_type *type;
    void *body;
    char *texts; /* Memory for decoded texts. */
    size_t used, capacity;
    struct access_claims claims;
};

static bool refuse(struct draft *draft, enum problem problem, const char *detail) {
    http_problem_plain(draft->it, problem, detail);
    return false;
}

static bool refuse_fail(struct draft *draft, const struct json_fail *fail) {
    struct problem_reply what = { .problem = fail->problem,
                                  .field = text_of(fail->field),
                                  .detail = text_of(fail->detail) };
    http_problem(draft->it, &what);
    return false;
}

static char *take(struct draft *draft, size_t size) {
    assert(size <= draft->capacity - draft->used && "in_max bounds all texts of a request");
    char *at = draft->texts + draft->used;
    draft->used += size;
    return at;
}

static void set_text(struct draft *draft, const char *name, struct text value) {
    const struct field *field = field_named(draft->type, text_of(name));
    if (field == NULL || kind_stored(field->kind) != STORED_text) return;
    memcpy((char *)draft->body + field->offset, &value, sizeof value);
}

static void set_id(struct draft *draft, const char *name, int64_t value) {
    const struct field *field = field_named(draft->type, text_of(name));
    if (field != NULL && field->need == CONTEXT) field_set_number(field, draft->body, value);
}

/* The body as it came, for requests that are verified over it. */
static const struct field *raw_field(const struct message_type *type) {
    const struct field *field = field_named(type, text_of("body"));
    return field != NULL && field->kind == KIND_bytes ? field : NULL;
}

static bool check_bearer(struct draft *draft) {
    struct port *self = draft->it->port;
    struct text value = http_header(&self->head, "authorization");
    static const char scheme[] = "Bearer ";
    enum { SCHEME = sizeof scheme - 1 };
    if (value.size <= SCHEME || strncasecmp(value.at, scheme, SCHEME) != 0) {
        return refuse(draft, PROBLEM_unauthenticated, NULL);
    }
    struct text token = { value.at + SCHEME, value.size - SCHEME };
    if (!seal_read(self->keys, MSG_access_claims, token, &draft->claims)) {
        return refuse(draft, PROBLEM_unauthenticated, NULL);
    }
    if (draft->claims.expires_at <= self->wall) return refuse(draft, PROBLEM_token_expired, NULL);
    return true;
}

/* application/json, with or without parameters. */
static bool is_json(struct text value) {
    static const char media[] = "application/json";
    enum { SIZE = sizeof media - 1 };
    if (value.size < SIZE || strncasecmp(value.at, media, SIZE) != 0) return false;
    return value.size == SIZE || value.at[SIZE] == ';' || value.at[SIZE] == ' ';
}

static bool read_body(struct draft *draft, struct text body) {
    struct port *self = draft->it->port;
    struct json_fail fail = { 0 };
    if (raw_field(draft->type) != NULL) {
        if (body.size > 0) set_text(draft, "body", body);
        return true;
    }
    if (body.size == 0) return true;
    if (self->head.method == METHOD_GET || self->head.method == METHOD_DELETE) {
        return refuse(draft, PROBLEM_malformed, "this request has no body");
    }
    if (!is_json(http_header(&self->head, "content-type"))) {
        return refuse(draft, PROBLEM_unsupported_media, NULL);
    }
    char *texts = take(draft, (size_t)body.size + 1);
    if (json_read(draft->type, body.at, body.size, draft->body, texts, (size_t)body.size + 1,
                  &fail)) {
        return true;
    }
    return refuse_fail(draft, &fail);
}

/* Members of the path: one that cannot be is a thing that does not exist. */
static bool read_path(struct draft *draft, const struct route_match *match) {
    for (uint32_t i = 0; i < match->members; i++) {
        struct json_fail fail = { 0 };
        struct text name = { match->member[i].name, match->member[i].name_size };
        struct text coded = match->member[i].value;
        const struct field *field = field_named(draft->type, name);
        assert(field != NULL && "tests/unit/test_routes.c looks at every route");
        /* What the path says cannot be said again, differently, by the body. */
        if (field_present(field, draft->body)) {
            fail.problem = PROBLEM_unknown_field;
            snprintf(fail.field, sizeof fail.field, "%s", field->name);
            snprintf(fail.detail, sizeof fail.detail, "%s stands in the path", field->name);
            return refuse_fail(draft, &fail);
        }
        struct text value = { take(draft, coded.size), 0 };
        if (!http_decode(coded, false, (char *)(uintptr_t)value.at, &value.size) ||
            !json_set(field, draft->body, value, &fail)) {
            return refuse(draft, PROBLEM_not_found, fail.detail);
        }
    }
    return true;
}

static bool read_query_member(struct draft *draft, struct text name, struct text coded) {
    struct json_fail fail = { 0 };
    const struct field *field = field_named(draft->type, name);
    struct text value = { take(draft, coded.size), 0 };
    if (!http_decode(coded, true, (char *)(uintptr_t)value.at, &value.size)) {
        return refuse(draft, PROBLEM_malformed, "the query is broken");
    }
    /* Only reading is asked for in a query: what is said once must not be said twice, and no
     * password belongs into an address. */
    if (field == NULL || draft->it->port->head.method != METHOD_GET ||
        field_present(field, draft->body)) {
        fail.problem = PROBLEM_unknown_field;
        uint32_t size = name.size < 60 ? name.size : 60;
        for (uint32_t i = 0; i < size; i++)
            fail.field[i] = name.at[i];
        snprintf(fail.detail, sizeof fail.detail, "%s is not known here, or given twice",
                 fail.field);
        return refuse_fail(draft, &fail);
    }
    if (json_set(field, draft->body, value, &fail)) return true;
    return refuse_fail(draft, &fail);
}

static bool read_query(struct draft *draft) {
    struct text query = draft->it->port->head.query;
    if (raw_field(draft->type) != NULL) return true; /* Providers add what they like. */
    while (query.size > 0) {
        const char *end = memchr(query.at, '&', query.size);
        uint32_t size = end ? (uint32_t)(end - query.at) : query.size;
        const char *equal = memchr(query.at, '=', size);
        struct text name = { query.at, equal ? (uint32_t)(equal - query.at) : size };
        struct text value = { query.at + name.size + (equal != NULL),
                              size - name.size - (equal != NULL) };
        if (size > 0 && !read_query_member(draft, name, value)) return false;
        query.at += size + (end != NULL);
        query.size -= size + (end != NULL);
    }
    return true;
}

/* An entity tag as the actors know it: without W/ and quotes; a list counts by its first. */
static struct text bare_tag(struct text value) {
    if (value.size > 2 && memcmp(value.at, "W/", 2) == 0) value.at += 2, value.size -= 2;
    if (value.size < 2 || value.at[0] != '"') return (struct text){ NULL, 0 };
    const char *end = memchr(value.at + 1, '"', value.size - 1);
    if (end == NULL) return (struct text){ NULL, 0 };
    return (struct text){ value.at + 1, (uint32_t)(end - value.at - 1) };
}

static void read_headers(struct draft *draft, const struct route *route) {
    const struct route_row *row = route->rows;
    for (; (row = route_row_next(row, ROW_header)) != NULL; row++) {
        const struct field *field = field_named(draft->type, text_of(row->field));
        struct text value = http_header(&draft->it->port->head, row->text);
        if (strcasecmp(row->text, "If-None-Match") == 0) value = bare_tag(value);
        if (field_present(field, draft->body)) continue;
        /* Too long or not a text: as good as not there. */
        if (value.size == 0 || value.size > field->hi) continue;
        if (!utf8_valid(value.at, value.size, false)) continue;
        set_text(draft, row->field, value);
    }
}

static bool fill(struct draft *draft, const struct route_match *match, struct text body) {
    struct connection *it = draft->it;
    struct json_fail fail = { 0 };
    if (match->route->auth == AUTH_bearer && !check_bearer(draft)) return false;
    if (!read_body(draft, body) || !read_path(draft, match) || !read_query(draft)) return false;
    read_headers(draft, match->route);
    if (match->route->auth == AUTH_bearer) {
        set_id(draft, "user_id", draft->claims.user_id);
        set_id(draft, "session_id", draft->claims.session_id);
    }
    set_text(draft, "peer", text_of(it->peer));
    if (!json_check(draft->type, draft->body, &fail)) return refuse_fail(draft, &fail);
    return true;
}

/* Sends the draft; its texts are copied to memory of the batch. */
static void send_draft(struct draft *draft, struct outbox *out) {
    struct connection *it = draft->it;
    uint64_t request = (uint64_t)it->generation << 32 | it->index;
    char *body = outbox_ask(out, ACTOR_bridge, draft->type->id, PORT_http, request, it->trace);
    memcpy(body, draft->body, draft->type->size);
    for (const struct field *field = draft->type->fields; field->name; field++) {
        struct text text = field_text(field, draft->body);
        if (text.size == 0) continue;
        char *copy = outbox_text(out, text.size);
        memcpy(copy, text.at, text.size);
        text.at = copy;
        memcpy(body + field->offset, &text, sizeof text);
    }
}

static void not_there(struct connection *it, uint32_t allowed) {
    struct problem_reply what = { .problem = PROBLEM_not_found, .allowed = allowed };
    if (allowed != 0) what.problem = PROBLEM_method_not_allowed;
    http_problem(it, &what);
}

/* What the port answers itself stands on admin.listen when there is one, and only it. */
static bool stands_here(const struct connection *it, const struct route_match *match) {
    const struct port *self = it->port;
    bool figures = match->plain == PLAIN_healthz || match->plain == PLAIN_readyz ||
                   match->plain == PLAIN_metrics;
    if (it->admin) return figures;
    return !figures || self->admin.fd < 0;
}

void http_request(struct connection *it, struct text body, struct outbox *out) {
    struct port *self = it->port;
    struct route_match match;
    _Alignas(16) char memory[BODY_SIZE_MAX];
    if (!route_find(self->head.method, self->head.path, &match)) {
        not_there(it, match.allowed);
        return;
    }
    if (!stands_here(it, &match)) {
        not_there(it, 0);
        return;
    }
    if (match.plain >= 0) {
        http_plain(it, (enum plain)match.plain);
        return;
    }
    it->shown = 1 + (uint32_t)(match.route - route_list());
    if (!http_peer_admit(it)) {
        http_problem(it,
                     &(struct problem_reply){ .problem = PROBLEM_rate_limited, .retry_after = 1 });
        return;
    }
    if (self->stopping || self->inflight >= self->inflight_max) {
        http_problem_plain(it, self->stopping ? PROBLEM_stopping : PROBLEM_overloaded, NULL);
        return;
    }
    struct draft draft = { .it = it,
                           .type = message_type(match.route->request),
                           .body = memory,
                           .texts = self->texts,
                           .capacity = self->in_max };
    assert(draft.type->size <= sizeof memory);
    memset(memory, 0, draft.type->size);
    if (!fill(&draft, &match, body)) return;
    it->route = match.route;
    self->inflight++;
    metric_set(self->metrics.inflight, self->inflight);
    http_enter(it, PHASE_waiting);
    send_draft(&draft, out);
}
