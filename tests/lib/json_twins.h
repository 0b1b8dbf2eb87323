/* The scanner of usual JSON beside jansson: what it takes, jansson takes and reads alike. */
#ifndef JSON_TWINS_H
#define JSON_TWINS_H

#include <string.h>

#include "schema/json_tree.h"

static inline bool json_same_text(struct text a, struct text b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

static inline bool json_same_member(const struct json_member *a, const struct json_member *b) {
    if (a->parent != b->parent || a->shape != b->shape || !json_same_text(a->name, b->name))
        return false;
    if (a->shape == JSON_text) return json_same_text(a->text, b->text);
    return a->shape != JSON_integer || a->number == b->number;
}

/* Whether they agree; *taken: the scanner did not decline. */
static inline bool json_twins(const char *at, size_t size, bool *taken) {
    struct json_tree scanned, loaded;
    struct json_fail fail = { 0 };
    *taken = json_scan(&scanned, at, size);
    if (!*taken) return true;
    bool same = json_tree_load(&loaded, at, size, &fail) && scanned.count == loaded.count;
    for (int i = 0; same && i < scanned.count; i++)
        same = json_same_member(&scanned.members[i], &loaded.members[i]);
    json_tree_fini(&loaded);
    return same;
}

#endif
