/* The HTTP port as its neighbours see it: what a request becomes, what an answer becomes, and what
 * happens at each limit. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/metrics.h"
#include "broker/ready.h"
#include "tests/lib/http_harness.h"

/* One behaviour at a time: what `serve` answers, and what it saw last. */
static struct {
    enum message_id answer; /* 0: nothing, ever. */
    enum order_state state;
    enum problem problem;
    bool twice, replayed, delayed;
    struct batch seen; /* The last request. */
    struct batch held; /* delayed: answered when the next request comes. */
} script;

static struct http_harness harness;
static char token[SEAL_TEXT_MAX + 1];

static void answer(const struct message *in, struct outbox *out) {
    struct order_view *order;
    struct order_receipt *receipt;
    struct page *page;
    switch (script.answer) {
    case MSG_order_view:
        for (int i = 0; i < 2; i++) {
            order = ANSWER(out, in, order_view);
            order->order_id = 42;
            order->state = script.state;
            order->code = script.problem;
            order->replayed = script.replayed;
            if (in->head.type != MSG_order_list) return;
        }
        ANSWER(out, in, rows_end)->next = 41;
        return;
    case MSG_order_receipt:
        receipt = ANSWER(out, in, order_receipt);
        receipt->order_id = 42;
        receipt->state = order_state_pending;
        receipt->receipt = text_of("r");
        receipt->retry_after = 3;
        return;
    case MSG_page:
        page = ANSWER(out, in, page);
        page->etag = text_of("v7");
        page->max_age = 1;
        if (!text_is(BODY(in, sale_list)->if_none_match, "v7")) page->body = text_of("{}");
        return;
    case MSG_failed: {
        struct failed *failed = outbox_refuse_with(out, in, script.problem);
        failed->field = text_of("quantity");
        failed->detail = text_of("a \"sentence\"");
        return;
    }
    case MSG_done: ANSWER(out, in, done); return;
    default: return;
    }
}

static void serve(void *context, const struct message *in, struct outbox *out) {
    (void)context;
    batch_reset(&script.seen);
    batch_append(&script.seen, in);
    if (script.delayed) {
        for (uint32_t i = 0; i < script.held.count; i++)
            answer(&script.held.items[i], out);
        batch_reset(&script.held);
        batch_append(&script.held, in);
        return;
    }
    answer(in, out);
    if (script.twice) answer(in, out);
}

/* ---- A client ---- */

static int dial(void) {
    return http_harness_dial(&harness);
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* One answer, head and body; "" when the server closed instead. */
static const char *hear(int fd) {
    static char got[16384];
    size_t size = 0, want = SIZE_MAX;
    while (size < want && size + 1 < sizeof got) {
        ssize_t step = recv(fd, got + size, sizeof got - 1 - size, 0);
        if (step <= 0) break;
        size += (size_t)step;
        got[size] = 0;
        const char *end = strstr(got, "\r\n\r\n"), *length = strstr(got, "Content-Length: ");
        if (end == NULL) continue;
        want = (size_t)(end + 4 - got);
        if (length != NULL && length < end) want += strtoul(length + 16, NULL, 10);
    }
    got[size] = 0;
    return got;
}

static const char *ask(const char *method, const char *path, const char *headers,
                       const char *body) {
    static char request[16384];
    int fd = dial();
    snprintf(request, sizeof request,
             "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
             "Authorization: Bearer %s\r\n%sContent-Length: %zu\r\n\r\n%s",
             method, path, token, headers, strlen(body), body);
    say(fd, request);
    const char *got = hear(fd);
    close(fd);
    return got;
}

static void has(const char *got, const char *piece) {
    if (strstr(got, piece) == NULL) fail_msg("no \"%s\" in\n%s", piece, got);
}

static void lacks(const char *got, const char *piece) {
    if (strstr(got, piece) != NULL) fail_msg("\"%s\" in\n%s", piece, got);
}

#define ADDRESS                                                                                    \
    "{\"name\":\"A\",\"phone\":\"123\",\"line\":\"x\",\"city\":\"y\",\"country\":\"CN\"}"
#define ORDER "{\"ticket\":\"t\",\"quantity\":2,\"address\":" ADDRESS "}"

static const char *buy(void) {
    return ask("POST", "/v1/orders", "", ORDER);
}

static int begin(void **state) {
    (void)state;
    memset(&script, 0, sizeof script);
    http_harness_init(&harness);
    harness.serve = serve;
    harness.config.http_deadline = INT64_C(300000000);
    harness.config.http_inflight_max = 2;
    harness.config.http_connections_max = 8;
    script.state = order_state_awaiting_payment;
    http_harness_token(&harness, 600, token);
    http_harness_start(&harness);
    return 0;
}

static int end(void **state) {
    (void)state;
    http_harness_end(&harness);
    batch_fini(&script.seen);
    batch_fini(&script.held);
    metrics_reset();
    return 0;
}

/* ---- Tests ---- */

static void a_request_becomes_a_message(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    has(ask("POST", "/v1/orders",
            "traceparent: 00-0123456789abcdef00000000000000ff-00f067aa0ba902b7-01\r\n", ORDER),
        "HTTP/1.1 201 Created");
    const struct message *in = &script.seen.items[0];
    const struct order_create *order = BODY(in, order_create);
    assert_int_equal(in->head.to, ACTOR_bridge);
    assert_int_equal(in->head.origin, PORT_http);
    assert_int_equal(in->head.trace, 255);
    assert_int_equal(order->user_id, 7);
    assert_int_equal(order->session_id, 8);
    assert_int_equal(order->quantity, 2);
    assert_true(text_is(order->ticket, "t"));
    assert_true(text_is(order->address, ADDRESS));

    ask("GET", "/v1/orders/12?receipt=a%2Bb", "", "");
    assert_int_equal(BODY(&script.seen.items[0], order_get)->order_id, 12);
    assert_true(text_is(BODY(&script.seen.items[0], order_get)->receipt, "a+b"));
    assert_int_equal(BODY(&script.seen.items[0], order_get)->user_id, 7);
}

static void peers_and_raw_bodies(void **state) {
    (void)state;
    script.answer = MSG_done;
    has(ask("POST", "/v1/payments/callbacks/sandbox?x=1", "X-Paysim-Signature: t=1,v1=ff\r\n",
            "not { json"),
        "HTTP/1.1 200 OK");
    const struct payment_callback *callback = BODY(&script.seen.items[0], payment_callback);
    assert_true(text_is(callback->provider, "sandbox"));
    assert_true(text_is(callback->body, "not { json"));
    assert_true(text_is(callback->signature, "t=1,v1=ff"));
    script.answer = MSG_failed;
    script.problem = PROBLEM_wrong_password;
    has(ask("POST", "/v1/sessions", "", "{\"login\":\"a@b\",\"password\":\"x\"}"), " 401 ");
    assert_true(text_is(BODY(&script.seen.items[0], session_create)->peer, "127.0.0.1"));
    script.answer = MSG_done;
    const char *got = ask("DELETE", "/v1/sessions/current", "", "");
    has(got, "HTTP/1.1 204 No Content\r\n");
    lacks(got, "Content-Length");
    assert_int_equal(BODY(&script.seen.items[0], session_delete)->session_id, 8);
}

static void answers_become_replies(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    const char *got = buy();
    has(got, "\r\nLocation: /v1/orders/42\r\n");
    has(got, "\r\nCache-Control: no-store\r\n");
    has(got, "{\"order_id\":\"42\",\"state\":\"awaiting_payment\"}");
    lacks(got, "Idempotent-Replayed");
    script.replayed = true;
    got = buy();
    has(got, "HTTP/1.1 201 Created");
    has(got, "\r\nIdempotent-Replayed: true\r\n");
    script.answer = MSG_order_receipt;
    got = buy();
    has(got, "HTTP/1.1 202 Accepted");
    has(got, "\r\nLocation: /v1/orders/42\r\n");
    has(got, "\r\nRetry-After: 3\r\n");
    has(got, "{\"order_id\":\"42\",\"state\":\"pending\",\"receipt\":\"r\"}");
    script.answer = MSG_order_view;
    got = ask("GET", "/v1/orders", "", "");
    has(got, "HTTP/1.1 200 OK");
    has(got, "{\"orders\":[{\"order_id\":\"42\",\"state\":\"awaiting_payment\"},{\"order_id\"");
    has(got, "],\"next\":\"41\"}");
}

static void no_201_without_an_order(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    script.state = order_state_refused;
    script.problem = PROBLEM_sold_out;
    const char *got = buy();
    has(got, "HTTP/1.1 409 Conflict");
    has(got, "\"code\":\"sold_out\"");
    script.state = order_state_void;
    has(buy(), "HTTP/1.1 503 ");
    has(ask("GET", "/v1/orders/42", "", ""), "\"state\":\"void\"");
    script.state = order_state_pending;
    script.problem = PROBLEM_none;
    has(ask("GET", "/v1/orders/42", "", ""), "\r\nRetry-After: 1\r\n");
    script.answer = MSG_done; /* Not an answer of this route. */
    has(buy(), "HTTP/1.1 500 ");
}

static void problems(void **state) {
    (void)state;
    script.answer = MSG_failed;
    for (const enum problem *problem = problem_list(); *problem; problem++) {
        char piece[120];
        script.problem = *problem;
        const char *got = buy();
        snprintf(piece, sizeof piece, "HTTP/1.1 %d ", problem_http(*problem));
        has(got, piece);
        snprintf(piece, sizeof piece, "\"type\":\"urn:doorbuster:problem:%s\"",
                 problem_name(*problem));
        has(got, piece);
        has(got, "\r\nContent-Type: application/problem+json\r\n");
        has(got, "\"detail\":\"a \\\"sentence\\\"\",\"field\":\"quantity\",\"retryable\":");
        bool again = problem_retry(*problem) != RETRY_NEVER;
        has(got, again ? "\"retryable\":true" : "\"retryable\":false");
        if (again && problem_http(*problem) == 503) has(got, "\r\nRetry-After: 1\r\n");
        if (problem_http(*problem) == 401) has(got, "\r\nWWW-Authenticate: Bearer\r\n");
    }
}

static void pages(void **state) {
    (void)state;
    script.answer = MSG_page;
    const char *got = ask("GET", "/v1/sales", "", "");
    has(got, "\r\nETag: \"v7\"\r\n");
    has(got, "\r\nCache-Control: public, max-age=1\r\n");
    has(got, "\r\n\r\n{}");
    got = ask("GET", "/v1/sales", "If-None-Match: W/\"v7\"\r\n", "");
    has(got, "HTTP/1.1 304 Not Modified");
    has(got, "\r\nETag: \"v7\"\r\n");
    got = ask("HEAD", "/v1/sales", "", "");
    has(got, "\r\nContent-Length: 2\r\n");
    assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
}

static void tokens(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    has(buy(), " 201 ");
    token[20] = token[20] == 'A' ? 'B' : 'A';
    const char *got = buy();
    has(got, "\"code\":\"unauthenticated\"");
    has(got, "\r\nWWW-Authenticate: Bearer\r\n");
    http_harness_token(&harness, -1, token);
    has(buy(), "\"code\":\"token_expired\"");
    struct ticket_claims ticket = { .order_id = 1,
                                    .user_id = 7,
                                    .session_id = 8,
                                    .lot_id = 1,
                                    .quantity_max = 1,
                                    .expires_at = TIME_MAX };
    seal_write(&harness.keys, MSG_ticket_claims, &ticket, token);
    has(buy(), "\"code\":\"unauthenticated\""); /* A ticket is no access token. */
    assert_int_equal(atomic_load(&harness.requests), 1);
}

static void two_answers_count_once(void **state) {
    (void)state;
    int fd = dial();
    script.answer = MSG_order_view;
    script.twice = true;
    for (int i = 0; i < 3; i++) {
        char request[1024];
        snprintf(request, sizeof request,
                 "GET /v1/orders/%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", i + 1,
                 token);
        say(fd, request);
        has(hear(fd), " 200 ");
    }
    close(fd);
    has(ask("GET", "/metrics", "", ""), "doorbuster_http_stale_answers_total 3\n");
}

static void start_buying(int fd) {
    char request[1024];
    snprintf(request, sizeof request,
             "GET /v1/orders/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token);
    unsigned before = atomic_load(&harness.requests);
    say(fd, request);
    for (int i = 0; i < 400 && atomic_load(&harness.requests) == before; i++)
        usleep(5000);
    assert_int_equal(atomic_load(&harness.requests), before + 1);
}

static void a_client_that_left_hears_nothing(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    script.delayed = true;
    int gone = dial();
    start_buying(gone);
    close(gone);
    usleep(100000); /* Its place is free, and is taken by the next. */
    int stays = dial();
    start_buying(stays); /* Now the first one's answer is given. */
    usleep(100000);
    script.answer = MSG_failed;
    script.problem = PROBLEM_sold_out;
    int third = dial();
    start_buying(third);
    has(hear(stays), "\"code\":\"sold_out\""); /* Its own answer, not the other's. */
    close(stays);
    close(third);
    has(ask("GET", "/metrics", "", ""), "doorbuster_http_stale_answers_total 1\n");
}

static void in_flight_is_bounded(void **state) {
    (void)state;
    int first = dial(), second = dial();
    start_buying(first);
    start_buying(second);
    const char *got = buy();
    has(got, "\"code\":\"overloaded\"");
    has(got, "\r\nRetry-After: 1\r\n");
    close(first);
    usleep(100000);
    script.answer = MSG_order_view;
    has(buy(), " 201 ");
    close(second);
}

static void connections_are_bounded(void **state) {
    (void)state;
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = dial();
    usleep(50000);
    int more = dial();
    assert_string_equal(hear(more), "");
    close(more);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    usleep(100000);
    const char *got = ask("GET", "/metrics", "", "");
    has(got, "doorbuster_http_connections_refused_total 1\n");
    has(got, "doorbuster_http_connections 1\n");
}

static int begin_with_peer_rate(void **state) {
    (void)begin(state);
    http_harness_end(&harness);
    metrics_reset();
    atomic_store(&harness.ending, false);
    harness.config.http_rate_peer = 1;
    harness.config.http_rate_peer_burst = 2;
    http_harness_start(&harness);
    return 0;
}

static void a_client_address_is_limited(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    has(buy(), "HTTP/1.1 201");
    has(buy(), "HTTP/1.1 201");
    const char *refused = buy();
    has(refused, "HTTP/1.1 429");
    has(refused, "\r\nRetry-After: 1\r\n");
    has(refused, "rate_limited");
    has(ask("GET", "/healthz", "", ""), "HTTP/1.1 200");
}

/* Both ends of each connection are descriptors of this process. */
static void shoppers_leave_descriptors_for_the_rest(void **state) {
    enum { LIMIT = 64, LEFT = 10 };
    struct rlimit before, low;
    int fds[LIMIT], count = 0, spare[LEFT];
    char byte;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = LIMIT;
    while (count < LIMIT && (fds[count] = open("/dev/null", O_RDONLY)) < LIMIT - 14)
        count++;
    close(fds[count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int refused = dial(); /* Its other end would be the first of the reserve. */
    assert_int_equal(recv(refused, &byte, 1, 0), 0);
    for (int i = 0; i < LEFT; i++)
        assert_true((spare[i] = open("/dev/null", O_RDONLY)) >= 0);
    for (int i = 0; i < LEFT; i++)
        close(spare[i]);
    close(refused);
    while (count > 0)
        close(fds[--count]);
    has(ask("GET", "/healthz", "", ""), "HTTP/1.1 200");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void slow_requests_end(void **state) {
    (void)state;
    int fd = dial();
    say(fd, "GET /healthz HTTP/1.1\r\n");
    const char *got = hear(fd);
    has(got, "HTTP/1.1 408 ");
    has(got, "\r\nConnection: close\r\n");
    close(fd);
}

static void what_the_port_says_itself(void **state) {
    (void)state;
    has(ask("GET", "/healthz", "", ""), " 200 ");
    ready_reset();
    has(ask("GET", "/readyz", "", ""), " 503 ");
    ready_set("pg", true);
    ready_set("redis", false);
    has(ask("GET", "/readyz", "", ""), "redis is not ready");
    ready_set("redis", true);
    has(ask("GET", "/readyz", "", ""), " 200 ");
    has(ask("GET", "/v1/nothing", "", ""), " 204 ");
    has(ask("GET", "/openapi.json", "", ""), "\"openapi\": \"3.1.0\"");
    const char *got = ask("PUT", "/v1/orders", "", "");
    has(got, "\r\nAllow: GET, HEAD, POST\r\n");
    has(ask("POST", "/v1/orders/1/cancel", "", "{\"order_id\":\"2\"}"), "stands in the path");
}

static void what_it_counts(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    buy();
    script.answer = MSG_failed;
    script.problem = PROBLEM_sold_out;
    buy();
    buy();
    ask("GET", "/nowhere", "", "");
    const char *got = ask("GET", "/metrics", "", "");
    has(got, "doorbuster_http_request_seconds_count{message=\"order_create\"} 3\n");
    has(got, "doorbuster_http_request_seconds_count{message=\"none\"} 1\n");
    lacks(got, "message=\"order_get\""); /* Nobody has asked yet. */
    has(got, "doorbuster_http_problems_total{problem=\"sold_out\"} 2\n");
    has(got, "doorbuster_http_problems_total{problem=\"not_found\"} 1\n");
    has(got, "doorbuster_http_problems_total{problem=\"overloaded\"} 0\n");
    has(got, "doorbuster_build_info{version=\"");
    has(got, "\nprocess_resident_memory_bytes ");
    has(got, "\nprocess_open_fds ");
    has(got, "\nprocess_start_time_seconds ");
}

static void reload(const struct config *config) {
    harness.reload = config;
    for (int i = 0; i < 1000 && atomic_load(&harness.reload) != NULL; i++)
        usleep(1000);
    assert_null(atomic_load(&harness.reload));
}

static void limits_change_while_it_runs(void **state) {
    (void)state;
    static struct config config;
    config = harness.config;
    config.http_rate_peer = config.http_rate_peer_burst = 2;
    script.answer = MSG_order_view;
    has(buy(), " 201 ");
    reload(&config);
    has(buy(), " 201 ");
    has(buy(), " 201 ");
    has(buy(), " 429 ");
    config.http_rate_peer = config.http_rate_peer_burst = 0;
    reload(&config);
    has(buy(), " 201 ");
    config.http_inflight_max = 0;
    reload(&config);
    has(buy(), "\"overloaded\"");
}

/* A node without shoppers shows its figures all the same. */
static void admin_alone(void **state) {
    (void)state;
    http_harness_end(&harness);
    snprintf(harness.config.admin_listen, sizeof harness.config.admin_listen, "127.0.0.1:0");
    harness.type = &http_admin_port;
    atomic_store(&harness.ending, false);
    http_harness_start(&harness);
    assert_int_equal(harness.tcp_port, 0);
    harness.tcp_port = http_tcp_port(harness.port, true);
    assert_int_not_equal(harness.tcp_port, 0);
    has(ask("GET", "/healthz", "", ""), " 200 ");
    has(ask("GET", "/metrics", "", ""), "doorbuster_build_info");
    has(buy(), " 404 ");
    has(ask("GET", "/v1/sales", "", ""), " 404 ");
}

static void stopping(void **state) {
    (void)state;
    script.answer = MSG_order_view;
    script.delayed = true;
    int waits = dial(), idle = dial(), late = dial();
    start_buying(waits);
    say(late, "GET /healthz ");
    usleep(50000);
    atomic_store(&harness.stop, true);
    assert_string_equal(hear(idle), ""); /* Closed. */
    assert_int_equal(atomic_load(&harness.stopped), 0);
    char rest[1024];
    snprintf(rest, sizeof rest, "HTTP/1.1\r\nHost: x\r\n\r\n");
    say(late, rest);
    has(hear(late), "\r\nConnection: close\r\n");
    close(waits);
    for (int i = 0; i < 200 && atomic_load(&harness.stopped) == 0; i++)
        usleep(5000);
    assert_int_equal(atomic_load(&harness.stopped), 1);
    close(idle);
    close(late);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_becomes_a_message),
        TEST(peers_and_raw_bodies),
        TEST(answers_become_replies),
        TEST(no_201_without_an_order),
        TEST(problems),
        TEST(pages),
        TEST(tokens),
        TEST(two_answers_count_once),
        TEST(a_client_that_left_hears_nothing),
        TEST(in_flight_is_bounded),
        TEST(connections_are_bounded),
        cmocka_unit_test_setup_teardown(a_client_address_is_limited, begin_with_peer_rate, end),
        TEST(shoppers_leave_descriptors_for_the_rest),
        TEST(slow_requests_end),
        TEST(what_the_port_says_itself),
        TEST(what_it_counts),
        TEST(limits_change_while_it_runs),
        TEST(admin_alone),
        TEST(stopping),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
