/* JSON text as a table of members: what json_read.c works on.
 *
 * Two makers.  json_scan() takes what nearly every client sends, without allocating: one object,
 * and objects in it, of texts without escapes and of whole numbers.  Whatever it does not take goes
 * through jansson (json_tree_load), which is the only judge of what is broken and how: the scanner
 * never refuses, it declines.  tests/fuzz/fuzz_json.c holds the two against each other. */
#ifndef JSON_TREE_H
#define JSON_TREE_H

#include "schema/json.h"

/* Every message has fewer, also with all parts of its objects (tests/unit/test_json.c). */
enum { JSON_MEMBERS_MAX = 64, JSON_ROOT = -1 };

enum json_shape { JSON_text, JSON_integer, JSON_object, JSON_else };

struct json_member {
    struct text name, text; /* Borrowed: from the text that was read, or from the loaded tree. */
    int64_t number;
    int16_t parent; /* The object that it stands in: a member, or JSON_ROOT. */
    uint8_t shape;  /* enum json_shape */
};

struct json_tree {
    struct json_member members[JSON_MEMBERS_MAX]; /* An object before what stands in it. */
    int count;
    void *loaded; /* jansson's, or NULL. */
};

/* False: not of the usual form, or more members than fit. */
bool json_scan(struct json_tree *self, const char *at, size_t size);
/* By jansson; of objects in objects only that they are there.  False: refused, *fail is filled. */
bool json_tree_load(struct json_tree *self, const char *at, size_t size, struct json_fail *fail);
/* The one, and if it declines the other. */
bool json_tree_read(struct json_tree *self, const char *at, size_t size, struct json_fail *fail);
void json_tree_fini(struct json_tree *self);

/* The member of this name in an object, or NULL. */
const struct json_member *json_member(const struct json_tree *self, int parent, const char *name);

#endif
