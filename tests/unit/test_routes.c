/* Every route: found by its own path, only by its methods, its members are fields of its request,
 * its answers exist; and the look-up of paths that are none. */
#include "schema/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The template with 42 for every member. */
static struct text example(const char *template, char *to, size_t capacity) {
    size_t used = 0;
    for (; *template != 0 && used + 3 < capacity; template ++) {
        if (*template != '{') {
            to[used++] = *template;
            continue;
        }
        to[used++] = '4';
        to[used++] = '2';
        template = strchr(template, '}');
        assert_non_null(template);
    }
    return (struct text){ to, (uint32_t)used };
}

static void each_is_found(void **state) {
    (void)state;
    for (const struct route *route = route_list(); route->name; route++) {
        char path[200];
        struct route_match match;
        assert_true(route_find(route->method, example(route->path, path, sizeof path), &match));
        assert_ptr_equal(match.route, route);
        const struct message_type *type = message_type(route->request);
        for (uint32_t i = 0; i < match.members; i++) {
            struct text name = { match.member[i].name, match.member[i].name_size };
            const struct field *field = field_named(type, name);
            assert_non_null(field);
            assert_int_not_equal(field->need, CONTEXT);
            assert_true(text_is(match.member[i].value, "42"));
        }
        assert_false(route_find(METHOD_PATCH, example(route->path, path, sizeof path), &match));
        assert_true(match.allowed & 1U << route->method);
    }
}

static void each_can_be_answered(void **state) {
    (void)state;
    for (const struct route *route = route_list(); route->name; route++) {
        int answers = 0;
        const struct message_type *type = message_type(route->request);
        for (const struct route_row *row = route->rows; row->kind != ROW_end; row++) {
            if (row->kind <= ROW_empty) {
                answers++;
                assert_ptr_equal(route_row_for(route, row->type), row); /* No two of one type. */
                assert_non_null(message_type(row->type));
                assert_in_range(row->status, 200, 299);
            }
            if (row->kind == ROW_raw) assert_non_null(message_type(row->shape));
            if (row->kind == ROW_header) {
                const struct field *field = field_named(type, text_of(row->field));
                assert_non_null(field);
                assert_int_equal(field->need, CONTEXT);
            }
            if (row->kind == ROW_fails) assert_non_null(problem_name(row->problem));
        }
        assert_true(answers > 0);
        /* Who acts for a person must be told which. */
        const struct field *user = field_named(type, text_of("user_id"));
        if (route->auth == AUTH_bearer) assert_non_null(user);
    }
}

static void no_two_are_the_same(void **state) {
    (void)state;
    for (const struct route *a = route_list(); a->name; a++) {
        for (const struct route *b = a + 1; b->name; b++) {
            assert_false(a->method == b->method && strcmp(a->path, b->path) == 0);
            assert_string_not_equal(a->name, b->name);
        }
    }
}

static void plain_ones(void **state) {
    (void)state;
    for (int i = 0; i < PLAIN_COUNT; i++) {
        struct route_match match;
        assert_true(route_find(METHOD_GET, text_of(plain_list()[i].path), &match));
        assert_int_equal(match.plain, i);
        assert_false(route_find(METHOD_POST, text_of(plain_list()[i].path), &match));
        assert_int_equal(match.allowed, 1U << METHOD_GET);
    }
}

static void what_is_not_there(void **state) {
    (void)state;
    static const char *const paths[] = {
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/orders/",
        "/v1/orders//cancel",
        "/v1/orders/1/",
        "/v1/Orders",
        "/v1/orders/1/cancel/",
        "/v1/orders/1/2",
        "//v1/orders",
        "/v1/sales/1/x",
        "v1/orders",
    };
    struct route_match match;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        for (unsigned method = METHOD_none; method <= METHOD_DELETE; method++) {
            if (route_find((enum method)method, text_of(paths[i]), &match))
                fail_msg("%s", paths[i]);
            assert_int_equal(match.allowed, 0);
        }
    }
    assert_false(route_find(METHOD_none, text_of("/v1/orders"), &match));
    assert_int_equal(match.allowed, 1U << METHOD_GET | 1U << METHOD_POST);
}

static void the_issues_list(void **state) {
    (void)state;
    static const struct {
        enum method method;
        const char *path;
    } wanted[] = {
        { METHOD_POST, "/v1/accounts" },
        { METHOD_POST, "/v1/sessions" },
        { METHOD_POST, "/v1/sessions/refresh" },
        { METHOD_DELETE, "/v1/sessions/current" },
        { METHOD_GET, "/v1/sales" },
        { METHOD_GET, "/v1/sales/1" },
        { METHOD_POST, "/v1/lots/1/tickets" },
        { METHOD_POST, "/v1/orders" },
        { METHOD_GET, "/v1/orders/1" },
        { METHOD_GET, "/v1/orders" },
        { METHOD_POST, "/v1/orders/1/cancel" },
        { METHOD_POST, "/v1/orders/1/payments" },
        { METHOD_POST, "/v1/payments/callbacks/sandbox" },
        { METHOD_GET, "/healthz" },
        { METHOD_GET, "/readyz" },
        { METHOD_GET, "/metrics" },
        { METHOD_GET, "/openapi.json" },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct route_match match;
        if (!route_find(wanted[i].method, text_of(wanted[i].path), &match)) {
            fail_msg("%s is missing", wanted[i].path);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found),       cmocka_unit_test(each_can_be_answered),
        cmocka_unit_test(no_two_are_the_same), cmocka_unit_test(plain_ones),
        cmocka_unit_test(what_is_not_there),   cmocka_unit_test(the_issues_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
