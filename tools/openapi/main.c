/* Writes the OpenAPI 3.1 document of the HTTP interface on stdout, from routes.def, messages.def,
 * kinds.def, states.def and problems.def: nothing is described here a second time. */
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json.h"
#include "schema/routes.h"

static json_t *text(const char *value) {
    return json_string(value);
}

static void set(json_t *object, const char *name, json_t *value) {
    int failed = json_object_set_new(object, name, value);
    assert(failed == 0);
    (void)failed;
}

static json_t *reference(const char *name) {
    json_t *object = json_object();
    char path[120];
    snprintf(path, sizeof path, "#/components/schemas/%s", name);
    set(object, "$ref", text(path));
    return object;
}

static json_t *number_schema(int64_t lo, int64_t hi) {
    json_t *schema = json_object();
    set(schema, "type", text("integer"));
    set(schema, "minimum", json_integer(lo));
    set(schema, "maximum", json_integer(hi));
    return schema;
}

static json_t *string_schema(const char *format, const char *pattern) {
    json_t *schema = json_object();
    set(schema, "type", text("string"));
    if (format != NULL) set(schema, "format", text(format));
    if (pattern != NULL) set(schema, "pattern", text(pattern));
    return schema;
}

static json_t *text_schema(int64_t lo, int64_t hi) {
    json_t *schema = string_schema(NULL, NULL);
    if (lo > 0) set(schema, "minLength", json_integer(lo > 1 ? 1 : lo)); /* Bounds are bytes. */
    set(schema, "maxLength", json_integer(hi));
    return schema;
}

static json_t *names_schema(enum kind kind) {
    json_t *schema = string_schema(NULL, NULL), *names = json_array();
    if (kind == KIND_problem) {
        for (const enum problem *at = problem_list(); *at; at++) {
            json_array_append_new(names, text(problem_name(*at)));
        }
    }
    for (uint32_t value = 1; kind_is_state(kind) && value < 100; value++) {
        const char *name = state_name(kind, value);
        if (name != NULL) json_array_append_new(names, text(name));
    }
    set(schema, "enum", names);
    return schema;
}

static json_t *list_schema(const char *row) {
    json_t *schema = json_object();
    set(schema, "type", text("array"));
    set(schema, "items", reference(row));
    return schema;
}

static json_t *field_schema(const struct field *field) {
    switch (field->kind) {
    case KIND_id: return string_schema(NULL, "^[1-9][0-9]{0,18}$");
    case KIND_rid: return string_schema(NULL, "^[0-9]+-[0-9]+$");
    case KIND_time: return string_schema("date-time", NULL);
    case KIND_span: return number_schema(field->lo / 1000000000, field->hi / 1000000000);
    case KIND_i64:
    case KIND_u32: return number_schema(field->lo, field->hi);
    case KIND_text:
    case KIND_secret:
    case KIND_bytes: return text_schema(field->lo, field->hi);
    case KIND_address: return reference("address");
    case KIND_money: return reference("money");
    case KIND_lots: return list_schema("lot_view");
    case KIND_sales: return list_schema("sale_view");
    case KIND_json: return json_object();
    default: return names_schema(field->kind);
    }
}

static bool in_path(const char *path, const char *name) {
    char member[80];
    snprintf(member, sizeof member, "{%s}", name);
    return strstr(path, member) != NULL;
}

static bool is_shown(const struct field *field) {
    return field->need != CONTEXT && field->kind != KIND_bytes;
}

/* The members of a message, those of `path` left out. */
static json_t *message_schema(const struct message_type *type, const char *path, bool closed) {
    json_t *schema = json_object(), *properties = json_object(), *required = json_array();
    set(schema, "type", text("object"));
    set(schema, "description", text(type->doc));
    for (const struct field *field = type->fields; field->name; field++) {
        if (!is_shown(field) || in_path(path, field->name)) continue;
        json_t *property = field_schema(field);
        set(property, "description", text(field->doc));
        set(properties, field->name, property);
        bool listed = field->kind == KIND_lots || field->kind == KIND_sales;
        if (field->need == REQUIRED || listed) {
            json_array_append_new(required, text(field->name));
        }
    }
    set(schema, "properties", properties);
    if (json_array_size(required) > 0)
        set(schema, "required", required);
    else
        json_decref(required);
    if (closed) set(schema, "additionalProperties", json_false());
    return schema;
}

static json_t *content(const char *media, json_t *schema) {
    json_t *object = json_object(), *inner = json_object();
    set(inner, "schema", schema);
    set(object, media, inner);
    return object;
}

static json_t *parameter(const char *in, const char *name, const char *doc, bool required,
                         json_t *schema) {
    json_t *object = json_object();
    set(object, "name", text(name));
    set(object, "in", text(in));
    set(object, "description", text(doc));
    set(object, "required", json_boolean(required));
    set(object, "schema", schema);
    return object;
}

static json_t *parameters(const struct route *route, const struct message_type *type) {
    json_t *list = json_array();
    for (const struct field *field = type->fields; field->name; field++) {
        bool path = in_path(route->path, field->name);
        if (!is_shown(field) || (!path && route->method != METHOD_GET)) continue;
        json_array_append_new(list,
                              parameter(path ? "path" : "query", field->name, field->doc,
                                        path || field->need == REQUIRED, field_schema(field)));
    }
    const struct route_row *row = route->rows;
    for (; (row = route_row_next(row, ROW_header)) != NULL; row++) {
        json_array_append_new(
            list, parameter("header", row->text, row->doc, false, string_schema(NULL, NULL)));
    }
    return list;
}

static json_t *list_answer(const struct route_row *row) {
    json_t *schema = json_object(), *properties = json_object();
    set(properties, row->text, list_schema(message_type(row->type)->name));
    json_t *next = string_schema(NULL, NULL);
    set(next, "description", text("Cursor of the next page; absent on the last."));
    set(properties, "next", next);
    set(schema, "type", text("object"));
    set(schema, "properties", properties);
    set(schema, "required", json_pack("[s]", row->text));
    return schema;
}

static json_t *header(const char *doc) {
    return json_pack("{s:s,s:{s:s}}", "description", doc, "schema", "type", "string");
}

static json_t *answer(const struct route *route, const struct route_row *row) {
    json_t *object = json_object(), *headers = json_object();
    static const char media[] = "application/json";
    set(object, "description", text(row->doc));
    if (row->kind == ROW_answer) {
        set(object, "content", content(media, reference(message_type(row->type)->name)));
    } else if (row->kind == ROW_list) {
        set(object, "content", content(media, list_answer(row)));
    } else if (row->kind == ROW_raw) {
        set(object, "content", content(media, reference(message_type(row->shape)->name)));
        set(headers, "ETag", header("Version of the page."));
    }
    if (row->kind == ROW_answer && route_row_next(route->rows, ROW_location) != NULL) {
        set(headers, "Location", header("Where the order is."));
        set(headers, row->status == 202 ? "Retry-After" : "Idempotent-Replayed",
            header(row->status == 202 ? "Seconds." : "true: an earlier request made it."));
    }
    if (json_object_size(headers) > 0)
        set(object, "headers", headers);
    else
        json_decref(headers);
    return object;
}

/* All problems of one status in one answer; their names make its description. */
static void add_problem(json_t *responses, enum problem problem) {
    char status[8], words[1000];
    snprintf(status, sizeof status, "%d", problem_http(problem));
    json_t *old = json_object_get(responses, status);
    const char *before = json_string_value(json_object_get(old, "description"));
    snprintf(words, sizeof words, "%s%s%s", before ? before : "", before ? ", " : "",
             problem_name(problem));
    json_t *object = json_object();
    set(object, "description", text(words));
    set(object, "content", content("application/problem+json", reference("problem")));
    set(responses, status, object);
}

static json_t *other_problem(void) {
    json_t *other = json_object();
    set(other, "description", text("Any other problem."));
    set(other, "content", content("application/problem+json", reference("problem")));
    return other;
}

static json_t *responses(const struct route *route, bool has_body) {
    json_t *object = json_object();
    for (const struct route_row *row = route->rows; row->kind != ROW_end; row++) {
        char status[8];
        if (row->kind == ROW_fails) add_problem(object, row->problem);
        if (row->kind > ROW_empty) continue;
        snprintf(status, sizeof status, "%d", row->status);
        set(object, status, answer(route, row));
        if (row->kind == ROW_raw) {
            set(object, "304", json_pack("{s:s}", "description", "The client's copy is good."));
        }
    }
    if (has_body) {
        add_problem(object, PROBLEM_missing_field);
        add_problem(object, PROBLEM_out_of_range);
    }
    if (route->auth == AUTH_bearer) {
        add_problem(object, PROBLEM_unauthenticated);
        add_problem(object, PROBLEM_token_expired);
        add_problem(object, PROBLEM_login_again);
    }
    set(object, "default", other_problem());
    return object;
}

static json_t *operation(const struct route *route) {
    const struct message_type *type = message_type(route->request);
    json_t *object = json_object(), *list = parameters(route, type);
    const struct field *raw = field_named(type, text_of("body"));
    bool has_body = false;
    set(object, "operationId", text(route->name));
    set(object, "summary", text(route->doc));
    if (route->auth == AUTH_bearer) set(object, "security", json_pack("[{s:[]}]", "bearer"));
    if (json_array_size(list) > 0)
        set(object, "parameters", list);
    else
        json_decref(list);
    if (route->method == METHOD_POST) {
        json_t *schema = message_schema(type, route->path, true);
        has_body = json_object_size(json_object_get(schema, "properties")) > 0;
        bool required = json_object_get(schema, "required") != NULL;
        if (has_body && raw == NULL) {
            set(object, "requestBody",
                json_pack("{s:b,s:o}", "required", required, "content",
                          content("application/json", schema)));
        } else {
            json_decref(schema);
        }
    }
    if (raw != NULL) {
        set(object, "requestBody", json_pack("{s:b,s:{s:{}}}", "required", 1, "content", "*/*"));
    }
    set(object, "responses", responses(route, has_body));
    return object;
}

static void add_operation(json_t *paths, const char *path, const char *method, json_t *what) {
    json_t *item = json_object_get(paths, path);
    if (item == NULL) {
        item = json_object();
        set(paths, path, item);
    }
    set(item, method, what);
}

static json_t *all_paths(void) {
    static const char *const methods[] = { "", "get", "post", "put", "patch", "delete" };
    json_t *paths = json_object();
    for (const struct route *route = route_list(); route->name; route++) {
        add_operation(paths, route->path, methods[route->method], operation(route));
    }
    for (int i = 0; i < PLAIN_COUNT; i++) {
        const struct plain_route *plain = &plain_list()[i];
        json_t *response = json_pack("{s:s}", "description", plain->doc);
        if (plain->media[0] != 0) {
            set(response, "content", json_pack("{s:{}}", plain->media));
        }
        json_t *what = json_pack("{s:s,s:s,s:{s:o,s:o}}", "operationId", plain->name, "summary",
                                 plain->doc, "responses", plain->media[0] ? "200" : "204", response,
                                 "default", other_problem());
        add_operation(paths, plain->path, "get", what);
    }
    return paths;
}

/* Shapes that are no messages. */
static void add_shapes(json_t *schemas) {
    static const char address[] =
        "{\"type\":\"object\",\"additionalProperties\":false,"
        "\"required\":[\"name\",\"phone\",\"line\",\"city\",\"country\"],\"properties\":{"
        "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":80},"
        "\"phone\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":32},"
        "\"line\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},"
        "\"city\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":80},"
        "\"country\":{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}$\"}}}";
    static const char money[] =
        "{\"type\":\"object\",\"additionalProperties\":false,"
        "\"description\":\"Minor units and ISO 4217 currency.\","
        "\"required\":[\"amount\",\"currency\"],\"properties\":{\"amount\":{\"type\":\"integer\","
        "\"minimum\":0},\"currency\":{\"type\":\"string\",\"pattern\":\"^[A-Z]{3}$\"}}}";
    static const char problem[] =
        "{\"type\":\"object\",\"description\":\"RFC 9457.\",\"required\":[\"type\",\"title\","
        "\"status\",\"code\",\"detail\",\"retryable\",\"trace_id\"],\"properties\":{"
        "\"type\":{\"type\":\"string\",\"format\":\"uri\"},\"title\":{\"type\":\"string\"},"
        "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
        "\"field\":{\"type\":\"string\"},\"retryable\":{\"type\":\"boolean\"},"
        "\"trace_id\":{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{16}$\"}}}";
    json_t *shape = json_loads(problem, 0, NULL);
    set(json_object_get(shape, "properties"), "code", names_schema(KIND_problem));
    set(schemas, "address", json_loads(address, 0, NULL));
    set(schemas, "money", json_loads(money, 0, NULL));
    set(schemas, "problem", shape);
}

static json_t *all_schemas(void) {
    json_t *schemas = json_object();
    add_shapes(schemas);
    set(schemas, "lot_view", message_schema(message_type(MSG_lot_view), "", false));
    set(schemas, "sale_view", message_schema(message_type(MSG_sale_view), "", false));
    for (const struct route *route = route_list(); route->name; route++) {
        for (const struct route_row *row = route->rows; row->kind != ROW_end; row++) {
            enum message_id id = row->kind == ROW_raw ? row->shape : row->type;
            if (row->kind > ROW_raw) continue;
            const struct message_type *type = message_type(id);
            set(schemas, type->name, message_schema(type, "", false));
        }
    }
    return schemas;
}

int main(void) {
    json_t *root = json_object();
    set(root, "openapi", text("3.1.0"));
    set(root, "info",
        json_pack("{s:s,s:s,s:{s:s,s:s}}", "title", "Doorbuster", "version", "1", "license", "name",
                  "Apache-2.0", "identifier", "Apache-2.0"));
    set(root, "servers", json_pack("[{s:s}]", "url", "/"));
    set(root, "paths", all_paths());
    set(root, "components",
        json_pack("{s:o,s:{s:{s:s,s:s}}}", "schemas", all_schemas(), "securitySchemes", "bearer",
                  "type", "http", "scheme", "bearer"));
    int failed = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(root);
    return failed != 0 || puts("") < 0;
}
