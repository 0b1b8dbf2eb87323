/* Bodies out of JSON text: jansson makes the tree, the table says what may stand in it. */
#include "schema/json.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "schema/json_internal.h"

enum { DEPTH_MAX = 8 };

/* Where the texts of the body go. */
struct memory {
    char *at;
    size_t used, capacity;
};

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

static struct text json_text(const json_t *value) {
    return (struct text){ json_string_value(value), (uint32_t)json_string_length(value) };
}

static struct text keep(struct memory *memory, struct text text) {
    assert(text.size <= memory->capacity - memory->used && "the bound of json.h was not kept");
    char *at = memory->at + memory->used;
    if (text.size > 0) memcpy(at, text.at, text.size);
    memory->used += text.size;
    return (struct text){ at, text.size };
}

static const struct part {
    const char *name;
    uint32_t lo, hi;
} address_parts[] = {
    { "name", 1, 80 }, { "phone", 3, 32 },  { "line", 1, 200 },
    { "city", 1, 80 }, { "country", 2, 2 }, { NULL, 0, 0 },
};

static bool refuse_part(const struct field *field, const char *part, enum problem problem,
                        const char *rule, struct json_fail *fail) {
    char name[JSON_FAIL_FIELD];
    snprintf(name, sizeof name, "%s.%.40s", field->name, part);
    return json_refuse(fail, problem, text_of(name), "%s %s", name, rule);
}

static bool check_part(const struct field *field, const struct part *part, const json_t *value,
                       struct json_fail *fail) {
    char rule[64];
    if (value == NULL) {
        return refuse_part(field, part->name, PROBLEM_missing_field, "is required", fail);
    }
    if (!json_is_string(value)) {
        return refuse_part(field, part->name, PROBLEM_wrong_type, "must be a text", fail);
    }
    struct text text = json_text(value);
    if (!utf8_valid(text.at, text.size, false)) {
        return refuse_part(field, part->name, PROBLEM_malformed,
                           "must be UTF-8 without control characters", fail);
    }
    if (part->hi == 2 && (text.size != 2 || text.at[0] < 'A' || text.at[0] > 'Z' ||
                          text.at[1] < 'A' || text.at[1] > 'Z')) {
        return refuse_part(field, part->name, PROBLEM_out_of_range,
                           "must be two capital letters, such as CN", fail);
    }
    if (text.size < part->lo || text.size > part->hi) {
        snprintf(rule, sizeof rule, "must be %u to %u bytes long", part->lo, part->hi);
        return refuse_part(field, part->name, PROBLEM_out_of_range, rule, fail);
    }
    return true;
}

static bool only_address_parts(const struct field *field, json_t *object, struct json_fail *fail) {
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        const struct part *part = address_parts;
        while (part->name != NULL && strcmp(part->name, key) != 0)
            part++;
        if (part->name != NULL) continue;
        return refuse_part(field, key, PROBLEM_unknown_field, "is not known here", fail);
    }
    return true;
}

static bool put_address(const struct field *field, void *body, json_t *value, struct memory *memory,
                        struct json_fail *fail) {
    if (!only_address_parts(field, value, fail)) return false;
    struct json_out out = { .at = memory->at + memory->used,
                            .capacity = memory->capacity - memory->used };
    for (const struct part *part = address_parts; part->name; part++) {
        const json_t *member = json_object_get(value, part->name);
        if (!check_part(field, part, member, fail)) return false;
        json_raw(&out, part == address_parts ? "{" : ",", 1);
        json_quote(&out, text_of(part->name));
        json_raw(&out, ":", 1);
        json_quote(&out, json_text(member));
    }
    json_raw(&out, "}", 1);
    assert(!out.full && "the shortest form is never longer than what came");
    struct text text = { out.at, (uint32_t)out.size };
    memory->used += out.size;
    if (!json_check_text(field, text, fail)) return false;
    memcpy((char *)body + field->offset, &text, sizeof text);
    return true;
}

static bool put_money(const struct field *field, void *body, const json_t *value,
                      struct json_fail *fail) {
    const json_t *amount = json_object_get(value, "amount");
    const json_t *currency = json_object_get(value, "currency");
    if (!json_is_integer(amount) || !json_is_string(currency) || json_object_size(value) != 2) {
        return json_wrong_type(field, fail);
    }
    return json_put_money(field, body, json_integer_value(amount), json_text(currency), fail);
}

static bool put_member(const struct field *field, void *body, json_t *value, struct memory *memory,
                       struct json_fail *fail) {
    switch (field->kind) {
    case KIND_i64:
    case KIND_u32:
    case KIND_span:
        if (!json_is_integer(value)) return json_wrong_type(field, fail);
        return json_put_number(field, body, json_integer_value(value), fail);
    case KIND_money:
        if (!json_is_object(value)) return json_wrong_type(field, fail);
        return put_money(field, body, value, fail);
    case KIND_address:
        if (!json_is_object(value)) return json_wrong_type(field, fail);
        return put_address(field, body, value, memory, fail);
    case KIND_lots:
    case KIND_sales:
    case KIND_json:
    case KIND_bytes: return json_wrong_type(field, fail);
    default: break;
    }
    if (!json_is_string(value)) return json_wrong_type(field, fail);
    struct text text = json_text(value);
    if (kind_stored(field->kind) == STORED_text) text = keep(memory, text);
    return json_put_string(field, body, text, fail);
}

static bool put_members(const struct message_type *type, json_t *root, void *body,
                        struct memory *memory, struct json_fail *fail) {
    for (void *at = json_object_iter(root); at != NULL; at = json_object_iter_next(root, at)) {
        struct text name = text_of(json_object_iter_key(at));
        const struct field *field = field_named(type, name);
        if (field == NULL || field->need == CONTEXT) return json_unknown(name, fail);
    }
    for (const struct field *field = type->fields; field->name; field++) {
        json_t *value = json_object_get(root, field->name);
        if (value != NULL && !put_member(field, body, value, memory, fail)) return false;
    }
    return true;
}

static bool not_json(const json_error_t *error, struct json_fail *fail) {
    struct text none = { NULL, 0 };
    const char *rule = "is not valid JSON";
    if (json_error_code(error) == json_error_duplicate_key) rule = "has a member twice";
    return json_refuse(fail, PROBLEM_malformed, none, "the body %s, at line %d, column %d", rule,
                       error->line, error->column);
}

bool json_read(const struct message_type *type, const char *from, size_t size, void *body,
               char *texts, size_t capacity, struct json_fail *fail) {
    struct text none = { NULL, 0 };
    json_error_t error;
    if (!depth_bounded(from, size)) {
        return json_refuse(fail, PROBLEM_malformed, none, "the body is nested too deeply");
    }
    json_t *root = json_loadb(from, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) return not_json(&error, fail);
    struct memory memory = { .at = texts, .capacity = capacity };
    bool good = json_is_object(root)
                    ? put_members(type, root, body, &memory, fail)
                    : json_refuse(fail, PROBLEM_malformed, none, "the body must be a JSON object");
    json_decref(root);
    return good;
}
