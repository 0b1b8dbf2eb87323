#include "schema/json_tree.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "schema/json_internal.h"

enum { DEPTH_MAX = 8, DIGITS_MAX = 18 };

/* NULL: no room. */
static struct json_member *add(struct json_tree *self, int parent, struct text name) {
    if (self->count == JSON_MEMBERS_MAX) return NULL;
    struct json_member *member = &self->members[self->count++];
    member->name = name;
    member->parent = (int16_t)parent;
    return member;
}

const struct json_member *json_member(const struct json_tree *self, int parent, const char *name) {
    size_t size = strlen(name);
    for (int i = 0; i < self->count; i++) {
        const struct json_member *member = &self->members[i];
        if (member->parent == parent && member->name.size == size &&
            memcmp(member->name.at, name, size) == 0)
            return member;
    }
    return NULL;
}

/* ---- The usual form (RFC 8259, the part of it that needs no copy) ---- */

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *scan) {
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* The byte, with space around it. */
static bool take(struct scan *scan, char byte) {
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != byte) return false;
    scan->at++;
    skip_space(scan);
    return true;
}

/* A text without escapes. */
static bool take_text(struct scan *scan, struct text *text) {
    if (scan->at == scan->end || *scan->at != '"') return false;
    const char *from = ++scan->at;
    bool ascii = true;
    for (; scan->at < scan->end && *scan->at != '"'; scan->at++) {
        unsigned char byte = (unsigned char)*scan->at;
        if (byte < 0x20 || byte == '\\') return false;
        if (byte >= 0x7f) ascii = false;
    }
    if (scan->at == scan->end) return false;
    *text = (struct text){ from, (uint32_t)(scan->at++ - from) };
    return ascii || utf8_valid(text->at, text->size, false);
}

static bool take_integer(struct scan *scan, int64_t *number) {
    bool negative = scan->at < scan->end && *scan->at == '-';
    const char *from = scan->at += negative;
    *number = 0;
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++) {
        if (scan->at - from == DIGITS_MAX) return false;
        *number = *number * 10 + (*scan->at - '0');
    }
    size_t digits = (size_t)(scan->at - from);
    if (digits == 0 || (digits > 1 && *from == '0')) return false;
    if (negative) *number = -*number;
    return true; /* A fraction or an exponent: what follows is no comma and no brace. */
}

/* Behind the opening brace. */
static bool scan_members(struct json_tree *self, struct scan *scan, int parent, int depth) {
    if (take(scan, '}')) return true;
    do {
        struct text name;
        if (!take_text(scan, &name) || !take(scan, ':') || scan->at == scan->end) return false;
        int first = self->count;
        for (int i = 0; i < first; i++) { /* Twice: jansson says it best. */
            const struct json_member *other = &self->members[i];
            if (other->parent == parent && other->name.size == name.size &&
                memcmp(other->name.at, name.at, name.size) == 0)
                return false;
        }
        struct json_member *member = add(self, parent, name);
        if (member == NULL) return false;
        if (*scan->at == '"') {
            member->shape = JSON_text;
            if (!take_text(scan, &member->text)) return false;
        } else if (*scan->at == '{') {
            member->shape = JSON_object;
            if (depth == 2 || !take(scan, '{')) return false;
            if (!scan_members(self, scan, first, depth + 1)) return false;
        } else {
            member->shape = JSON_integer;
            if (!take_integer(scan, &member->number)) return false;
        }
    } while (take(scan, ','));
    return take(scan, '}');
}

bool json_scan(struct json_tree *self, const char *at, size_t size) {
    struct scan scan = { at, at + size };
    self->count = 0;
    self->loaded = NULL;
    if (!take(&scan, '{') || !scan_members(self, &scan, JSON_ROOT, 1)) return false;
    return scan.at == scan.end;
}

/* ---- Everything else ---- */

/* A look at the brackets before anything is built: jansson recurses and allocates per level. */
static bool depth_bounded(const char *at, size_t size) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted) {
            if (at[i] == '\\')
                i++;
            else if (at[i] == '"')
                quoted = false;
        } else if (at[i] == '"') {
            quoted = true;
        } else if (at[i] == '{' || at[i] == '[') {
            if (++depth > DEPTH_MAX) return false;
        } else if (at[i] == '}' || at[i] == ']') {
            depth--;
        }
    }
    return true;
}

static bool refuse(struct json_fail *fail, const char *rule) {
    struct text none = { NULL, 0 };
    return json_refuse(fail, PROBLEM_malformed, none, "the body %s", rule);
}

static bool not_json(const json_error_t *error, struct json_fail *fail) {
    struct text none = { NULL, 0 };
    const char *rule = "is not valid JSON";
    if (json_error_code(error) == json_error_duplicate_key) rule = "has a member twice";
    return json_refuse(fail, PROBLEM_malformed, none, "the body %s, at line %d, column %d", rule,
                       error->line, error->column);
}

static bool load_members(struct json_tree *self, json_t *object, int parent) {
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        json_t *value = json_object_iter_value(at);
        struct json_member *member = add(self, parent, text_of(json_object_iter_key(at)));
        if (member == NULL) return false;
        int index = self->count - 1;
        member->shape = JSON_else;
        if (json_is_string(value)) {
            member->shape = JSON_text;
            member->text =
                (struct text){ json_string_value(value), (uint32_t)json_string_length(value) };
        } else if (json_is_integer(value)) {
            member->shape = JSON_integer;
            member->number = json_integer_value(value);
        } else if (json_is_object(value)) {
            member->shape = JSON_object;
            if (parent == JSON_ROOT && !load_members(self, value, index)) return false;
        }
    }
    return true;
}

bool json_tree_load(struct json_tree *self, const char *at, size_t size, struct json_fail *fail) {
    json_error_t error;
    self->count = 0;
    self->loaded = NULL;
    if (!depth_bounded(at, size)) return refuse(fail, "is nested too deeply");
    json_t *root = json_loadb(at, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) return not_json(&error, fail);
    self->loaded = root;
    if (!json_is_object(root)) return refuse(fail, "must be a JSON object");
    if (!load_members(self, root, JSON_ROOT)) return refuse(fail, "has too many members");
    return true;
}

bool json_tree_read(struct json_tree *self, const char *at, size_t size, struct json_fail *fail) {
    return json_scan(self, at, size) || json_tree_load(self, at, size, fail);
}

void json_tree_fini(struct json_tree *self) {
    json_decref(self->loaded); /* NULL is harmless. */
    self->loaded = NULL;
}
