/* The reader of HTTP answers: every answer in every cut, and what must be refused. */
#include "tools/doorsim/http_client.h"
#include "tools/doorsim/http_response.h"
#include "tools/doorsim/json_peek.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct good {
    const char *bytes;
    int status;
    const char *body;
    const char *location;
    int retry_after_s;
    bool replayed, close, needs_end;
};

static const struct good goods[] = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", "", -1, 0, 0, 0 },
    { "HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 200, "hello", "", -1, 0, 0, 0 },
    { "HTTP/1.1 202 Accepted\r\nLocation:  /v1/orders/7 \r\nRetry-After: 2\r\n"
      "Content-Length: 2\r\n\r\n{}",
      202, "{}", "/v1/orders/7", 2, 0, 0, 0 },
    { "HTTP/1.1 200 OK\r\nIdempotent-Replayed: true\r\nContent-Length: 0\r\n\r\n", 200, "", "", -1,
      1, 0, 0 },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n"
      "Trailer: x\r\n\r\n",
      200, "hello world", "", -1, 0, 0, 0 },
    { "HTTP/1.1 204 No Content\r\n\r\n", 204, "", "", -1, 0, 0, 0 },
    { "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, "", "", -1, 0, 0, 0 },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, "x",
      "", -1, 0, 0, 0 },
    { "HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nConnection: close\r\n"
      "Content-Length: 0\r\n\r\n",
      503, "", "", -1, 0, 1, 0 },
    { "HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", "", -1, 0, 1, 1 },
    { "HTTP/1.0 200 OK\nContent-Length: 2\n\nok", 200, "ok", "", -1, 0, 1, 0 },
};

static void check(const struct http_parser *parser, const struct good *good) {
    const struct http_response *response = &parser->response;
    assert_int_equal(response->status, good->status);
    assert_int_equal(response->body.length, strlen(good->body));
    if (response->body.length > 0) assert_string_equal(response->body.bytes, good->body);
    assert_string_equal(response->location, good->location);
    assert_int_equal(response->retry_after_s, good->retry_after_s);
    assert_int_equal(response->replayed, good->replayed);
    assert_int_equal(response->close, good->close);
}

static void every_cut(void **state) {
    (void)state;
    struct http_parser *parser = test_malloc(sizeof *parser);
    http_parser_init(parser);
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        size_t size = strlen(goods[i].bytes), used;
        for (size_t cut = 0; cut <= size; cut++) {
            http_parser_reset(parser);
            assert_true(http_parser_untouched(parser));
            enum http_parse parse = http_parser_feed(parser, goods[i].bytes, cut, &used);
            assert_int_equal(used, cut);
            if (cut < size) {
                assert_int_equal(parse, HTTP_PARSE_more);
                parse = http_parser_feed(parser, goods[i].bytes + cut, size - cut, &used);
                assert_int_equal(used, size - cut);
            }
            if (goods[i].needs_end) {
                assert_int_equal(parse, HTTP_PARSE_more);
                parse = http_parser_end(parser);
            }
            assert_int_equal(parse, HTTP_PARSE_done);
            check(parser, &goods[i]);
        }
    }
    http_parser_fini(parser);
    test_free(parser);
}

static void next_answer_is_left_alone(void **state) {
    (void)state;
    static const char two[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 No";
    struct http_parser parser;
    size_t used;
    http_parser_init(&parser);
    assert_int_equal(http_parser_feed(&parser, two, sizeof two - 1, &used), HTTP_PARSE_done);
    assert_int_equal(used, sizeof two - 1 - strlen("HTTP/1.1 404 No"));
    http_parser_fini(&parser);
}

static void refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 2x0 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "nonsense\r\n",
        "\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    };
    struct http_parser parser;
    size_t used;
    http_parser_init(&parser);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        http_parser_reset(&parser);
        if (http_parser_feed(&parser, bad[i], strlen(bad[i]), &used) != HTTP_PARSE_bad) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    http_parser_fini(&parser);
}

static void bounds(void **state) {
    (void)state;
    char line[HTTP_LINE_MAX + 100];
    struct http_parser parser;
    size_t used;
    static const char status[] = "HTTP/1.1 200 OK\r\n";
    http_parser_init(&parser);
    memset(line, 'a', sizeof line);
    assert_int_equal(http_parser_feed(&parser, status, sizeof status - 1, &used), HTTP_PARSE_more);
    assert_int_equal(http_parser_feed(&parser, line, sizeof line, &used), HTTP_PARSE_bad);
    http_parser_reset(&parser);
    assert_int_equal(http_parser_feed(&parser, status, sizeof status - 1, &used), HTTP_PARSE_more);
    enum http_parse parse = HTTP_PARSE_more;
    for (int i = 0; i < HTTP_HEADERS_MAX && parse == HTTP_PARSE_more; i++) {
        parse = http_parser_feed(&parser, "A: b\r\n", 6, &used);
    }
    assert_int_equal(parse, HTTP_PARSE_more);
    assert_int_equal(http_parser_feed(&parser, "A: b\r\n", 6, &used), HTTP_PARSE_bad);
    http_parser_reset(&parser);
    assert_int_equal(http_parser_end(&parser), HTTP_PARSE_bad);
    http_parser_fini(&parser);
}

static void urls(void **state) {
    (void)state;
    struct http_url url;
    assert_true(http_url_read("http://127.0.0.1:8080", &url));
    assert_string_equal(url.host, "127.0.0.1");
    assert_int_equal(url.port, 8080);
    assert_string_equal(url.path, "/");
    assert_true(http_url_read("http://localhost/pay/7?a=b", &url));
    assert_int_equal(url.port, 80);
    assert_string_equal(url.path, "/pay/7?a=b");
    assert_false(http_url_read("https://localhost/", &url));
    assert_false(http_url_read("http://:80/", &url));
    assert_false(http_url_read("http://a:0/", &url));
    assert_false(http_url_read("http://a:65536/", &url));
    assert_false(http_url_read("http://a:8o/", &url));
}

static bool peek(const char *json, const char *name, char *value, size_t size) {
    return json_peek_text(json, strlen(json), name, value, size);
}

static void members(void **state) {
    (void)state;
    char value[16];
    int64_t id;
    static const char json[] =
        " {\"a\":{\"code\":\"inner\",\"x\":[\"}\",1]}, \"n\" : 12 ,\"t\":true,"
        "\"s\":\"q\\\"\\u0041\\n\", \"code\":\"sold_out\",\"id\":\"77\"}";
    assert_true(peek(json, "code", value, sizeof value));
    assert_string_equal(value, "sold_out");
    assert_true(peek(json, "s", value, sizeof value));
    assert_string_equal(value, "q\"A\n");
    assert_true(json_peek_id(json, strlen(json), "id", &id));
    assert_int_equal(id, 77);
    assert_true(json_peek_id(json, strlen(json), "n", &id));
    assert_int_equal(id, 12);
    assert_false(peek(json, "missing", value, sizeof value));
    assert_false(peek(json, "n", value, sizeof value));
    assert_false(peek(json, "code", value, 4));
    assert_false(json_peek_id("{\"id\":\"9223372036854775808\"}", 28, "id", &id));
    assert_false(json_peek_text(NULL, 0, "a", value, sizeof value));
    /* No cut of it reads beyond its end. */
    for (size_t size = 0; size < strlen(json); size++) {
        char *exact = test_malloc(size + 1);
        memcpy(exact, json, size);
        (void)json_peek_text(exact, size, "code", value, sizeof value);
        (void)json_peek_id(exact, size, "id", &id);
        test_free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut), cmocka_unit_test(next_answer_is_left_alone),
        cmocka_unit_test(refused),   cmocka_unit_test(bounds),
        cmocka_unit_test(urls),      cmocka_unit_test(members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
