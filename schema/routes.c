#include "schema/routes.h"

#include <assert.h>
#include <string.h>

#define ROUTE(name, method, path, request, auth, doc)                                              \
    static const struct route_row name##_rows[] = {
#define GIVES(status, type, doc)        { ROW_answer, status, MSG_##type, 0, 0, NULL, NULL, doc },
#define LIST(status, type, member, doc) { ROW_list, status, MSG_##type, 0, 0, member, NULL, doc },
#define RAW(status, type, shape, doc)                                                              \
    { ROW_raw, status, MSG_##type, MSG_##shape, 0, NULL, NULL, doc },
#define EMPTY(status, doc)       { ROW_empty, status, MSG_done, 0, 0, NULL, NULL, doc },
#define HEADER(field, name, doc) { ROW_header, 0, 0, 0, 0, name, #field, doc },
#define LOCATION(path)           { ROW_location, 0, 0, 0, 0, path, NULL, NULL },
#define FAILS(problem)           { ROW_fails, 0, 0, 0, PROBLEM_##problem, NULL, NULL, NULL },
#define END()                                                                                      \
    { ROW_end, 0, 0, 0, 0, NULL, NULL, NULL }                                                      \
    }                                                                                              \
    ;
#include "schema/routes.def"

static const struct route routes[] = {
#define ROUTE(name, method, path, request, auth, doc)                                              \
    { #name, METHOD_##method, path, MSG_##request, AUTH_##auth, doc, name##_rows },
#include "schema/routes.def"
    { NULL, METHOD_none, NULL, 0, AUTH_none, NULL, NULL },
};
_Static_assert(sizeof routes / sizeof routes[0] <= ROUTES_MAX, "the table has a bound");

static const struct plain_route plains[] = {
#define PLAIN(name, path, media, doc) { #name, path, media, doc },
#include "schema/routes.def"
};

static const char *const methods[] = { "", "GET", "POST", "PUT", "PATCH", "DELETE" };

const struct route *route_list(void) {
    return routes;
}
const struct plain_route *plain_list(void) {
    return plains;
}
const char *method_name(enum method method) {
    return methods[method];
}

enum method method_named(struct text name) {
    for (unsigned i = METHOD_GET; i <= METHOD_DELETE; i++) {
        if (text_is(name, methods[i])) return (enum method)i;
    }
    return METHOD_none;
}

/* Does the path fit the template?  Its members are noted. */
static bool fits(const char *template, struct text path, struct route_match *match) {
    const char *at = path.at, *end = path.at + path.size;
    match->members = 0;
    while (*template != 0) {
        if (*template != '{') {
            if (at == end || *at++ != *template ++) return false;
            continue;
        }
        const char *close = strchr(template, '}');
        const char *stop = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
        if (stop == NULL) stop = end;
        if (close == NULL || stop == at || match->members == ROUTE_MEMBERS_MAX) return false;
        uint32_t i = match->members++;
        match->member[i].name = template + 1;
        match->member[i].name_size = (uint32_t)(close - template - 1);
        match->member[i].value = (struct text){ at, (uint32_t)(stop - at) };
        template = close + 1;
        at = stop;
    }
    return at == end;
}

static bool find_plain(enum method method, struct text path, struct route_match *match) {
    for (int i = 0; i < PLAIN_COUNT; i++) {
        if (!text_is(path, plains[i].path)) continue;
        match->allowed = 1U << METHOD_GET;
        if (method != METHOD_GET) return false;
        match->plain = i;
        return true;
    }
    return false;
}

bool route_find(enum method method, struct text path, struct route_match *match) {
    struct route_match other;
    match->route = NULL;
    match->plain = -1;
    match->allowed = 0;
    for (const struct route *route = routes; route->name; route++) {
        /* Members are noted only for the route that is meant. */
        struct route_match *to = route->method == method ? match : &other;
        if (!fits(route->path, path, to)) continue;
        match->allowed |= 1U << route->method;
        if (route->method != method) continue;
        match->route = route;
        return true;
    }
    return find_plain(method, path, match);
}

const struct route_row *route_row_for(const struct route *route, enum message_id type) {
    for (const struct route_row *row = route->rows; row->kind != ROW_end; row++) {
        if (row->type == type && row->kind <= ROW_empty) return row;
    }
    return NULL;
}

const struct route_row *route_row_next(const struct route_row *row, enum route_row_kind kind) {
    for (; row->kind != ROW_end; row++) {
        if (row->kind == kind) return row;
    }
    return NULL;
}
