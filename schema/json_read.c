/* Bodies out of JSON text: json_tree.c finds the members, the table says what may stand in them. */
#include "schema/json.h"

#include <assert.h>
#include <string.h>

#include "schema/json_internal.h"
#include "schema/json_tree.h"

/* Where the texts of the body go. */
struct memory {
    char *at;
    size_t used, capacity;
};

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

static bool check_part(const struct field *field, const struct part *part,
                       const struct json_member *value, struct json_fail *fail) {
    char rule[64];
    if (value == NULL) {
        return refuse_part(field, part->name, PROBLEM_missing_field, "is required", fail);
    }
    if (value->shape != JSON_text) {
        return refuse_part(field, part->name, PROBLEM_wrong_type, "must be a text", fail);
    }
    struct text text = value->text;
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

static bool is_address_part(struct text name) {
    for (const struct part *part = address_parts; part->name != NULL; part++) {
        if (text_is(name, part->name)) return true;
    }
    return false;
}

static bool only_address_parts(const struct field *field, const struct json_tree *tree, int object,
                               struct json_fail *fail) {
    for (int i = 0; i < tree->count; i++) {
        const struct json_member *member = &tree->members[i];
        if (member->parent != object || is_address_part(member->name)) continue;
        char name[JSON_FAIL_FIELD];
        snprintf(name, sizeof name, "%.*s", (int)member->name.size, member->name.at);
        return refuse_part(field, name, PROBLEM_unknown_field, "is not known here", fail);
    }
    return true;
}

static bool put_address(const struct field *field, void *body, const struct json_tree *tree,
                        int object, struct memory *memory, struct json_fail *fail) {
    if (!only_address_parts(field, tree, object, fail)) return false;
    struct json_out out = { .at = memory->at + memory->used,
                            .capacity = memory->capacity - memory->used };
    for (const struct part *part = address_parts; part->name; part++) {
        const struct json_member *member = json_member(tree, object, part->name);
        if (!check_part(field, part, member, fail)) return false;
        json_raw(&out, part == address_parts ? "{" : ",", 1);
        json_quote(&out, text_of(part->name));
        json_raw(&out, ":", 1);
        json_quote(&out, member->text);
    }
    json_raw(&out, "}", 1);
    assert(!out.full && "the shortest form is never longer than what came");
    struct text text = { out.at, (uint32_t)out.size };
    memory->used += out.size;
    if (!json_check_text(field, text, fail)) return false;
    memcpy((char *)body + field->offset, &text, sizeof text);
    return true;
}

static bool put_money(const struct field *field, void *body, const struct json_tree *tree,
                      int object, struct json_fail *fail) {
    const struct json_member *amount = json_member(tree, object, "amount");
    const struct json_member *currency = json_member(tree, object, "currency");
    int members = 0;
    for (int i = 0; i < tree->count; i++)
        members += tree->members[i].parent == object;
    if (amount == NULL || amount->shape != JSON_integer || currency == NULL ||
        currency->shape != JSON_text || members != 2) {
        return json_wrong_type(field, fail);
    }
    return json_put_money(field, body, amount->number, currency->text, fail);
}

static bool put_member(const struct field *field, void *body, const struct json_tree *tree,
                       const struct json_member *value, struct memory *memory,
                       struct json_fail *fail) {
    int index = (int)(value - tree->members);
    switch (field->kind) {
    case KIND_i64:
    case KIND_u32:
    case KIND_span:
        if (value->shape != JSON_integer) return json_wrong_type(field, fail);
        return json_put_number(field, body, value->number, fail);
    case KIND_money:
        if (value->shape != JSON_object) return json_wrong_type(field, fail);
        return put_money(field, body, tree, index, fail);
    case KIND_address:
        if (value->shape != JSON_object) return json_wrong_type(field, fail);
        return put_address(field, body, tree, index, memory, fail);
    case KIND_lots:
    case KIND_sales:
    case KIND_json:
    case KIND_bytes: return json_wrong_type(field, fail);
    default: break;
    }
    if (value->shape != JSON_text) return json_wrong_type(field, fail);
    struct text text = value->text;
    if (kind_stored(field->kind) == STORED_text) text = keep(memory, text);
    return json_put_string(field, body, text, fail);
}

static bool put_members(const struct message_type *type, const struct json_tree *tree, void *body,
                        struct memory *memory, struct json_fail *fail) {
    for (int i = 0; i < tree->count; i++) {
        const struct json_member *member = &tree->members[i];
        if (member->parent != JSON_ROOT) continue;
        const struct field *field = field_named(type, member->name);
        if (field == NULL || field->need == CONTEXT) return json_unknown(member->name, fail);
    }
    for (const struct field *field = type->fields; field->name; field++) {
        const struct json_member *value = json_member(tree, JSON_ROOT, field->name);
        if (value != NULL && !put_member(field, body, tree, value, memory, fail)) return false;
    }
    return true;
}

bool json_read(const struct message_type *type, const char *from, size_t size, void *body,
               char *texts, size_t capacity, struct json_fail *fail) {
    struct json_tree tree;
    struct memory memory = { .at = texts, .capacity = capacity };
    bool good =
        json_tree_read(&tree, from, size, fail) && put_members(type, &tree, body, &memory, fail);
    json_tree_fini(&tree);
    return good;
}
