/* The routes of routes.def as tables, and the look-up of a path.
 * Pure and thread safe: nothing changes after start, nothing is allocated. */
#ifndef ROUTES_H
#define ROUTES_H

#include "schema/schema.h"

enum method { METHOD_none, METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE };

enum auth { AUTH_none, AUTH_bearer };

enum route_row_kind {
    ROW_end,
    ROW_answer,
    ROW_list,
    ROW_raw,
    ROW_empty,
    ROW_header,
    ROW_location,
    ROW_fails,
};

/* One row of a route; ends with ROW_end. */
struct route_row {
    enum route_row_kind kind;
    int status;
    enum message_id type;  /* answer, list: of a row; raw: of the page; empty: done */
    enum message_id shape; /* raw: what the page's body looks like */
    enum problem problem;  /* fails */
    const char *text;      /* list: member; header: name; location: path */
    const char *field;     /* header: field it fills */
    const char *doc;
};

struct route {
    const char *name; /* NULL behind the last. */
    enum method method;
    const char *path;
    enum message_id request;
    enum auth auth;
    const char *doc;
    const struct route_row *rows;
};

/* Paths that the HTTP port answers itself, all GET. */
enum plain {
#define PLAIN(name, path, media, doc) PLAIN_##name,
#include "schema/routes.def"
    PLAIN_COUNT
};

struct plain_route {
    const char *name, *path, *media, *doc;
};

enum { ROUTE_MEMBERS_MAX = 4, ROUTES_MAX = 64 };

/* What a path is. */
struct route_match {
    const struct route *route; /* NULL: none for this method. */
    int plain;                 /* enum plain, or -1. */
    uint32_t allowed;          /* Bits (1 << method) of the methods that exist for the path. */
    uint32_t members;
    struct {
        const char *name; /* As in routes.def, up to the '}'. */
        uint32_t name_size;
        struct text value; /* As it stands in the path, still encoded; never empty. */
    } member[ROUTE_MEMBERS_MAX];
};

/* All routes, in the order of routes.def. */
const struct route *route_list(void);
const struct plain_route *plain_list(void); /* PLAIN_COUNT rows. */

/* Finds what stands for the method and the path (without query).  False: nothing does, then
 * `allowed` says whether it would for another method. */
bool route_find(enum method method, struct text path, struct route_match *match);

/* The row that tells how an answer of this type is given, or NULL. */
const struct route_row *route_row_for(const struct route *route, enum message_id type);
/* The next row of this kind from `row` on, or NULL. */
const struct route_row *route_row_next(const struct route_row *row, enum route_row_kind kind);

/* "GET" and so on; METHOD_none for a name that is not known. */
const char *method_name(enum method method);
enum method method_named(struct text name);

#endif
