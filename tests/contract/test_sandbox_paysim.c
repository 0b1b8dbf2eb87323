/* The sandbox engine against the real paysim: what is done, what is refused, and what is not known;
 * then against a peer that talks nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <curl/curl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/pay/sandbox.h"
#include "tests/lib/listener.h"

#define SECOND_NS INT64_C(1000000000)
#define MS_NS     INT64_C(1000000)

enum { URL_SIZE = 400, PATIENCE_MS = 8000 };

static const struct secret secret = { (const uint8_t *)"contract secret", 15 };

struct world {
    pid_t paysim;
    char folder[64];
    char url[64]; /* Of paysim. */
    int receiver; /* Listens for callbacks. */
    char notify_url[64];
};

static struct world world;

/* ---- The world around ------------------------------------------------------------------------ */

static void write_secret(char *path, size_t size) {
    (void)snprintf(path, size, "%s/secret", world.folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fprintf(file, "%.*s\n", (int)secret.size, (const char *)secret.at);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state) {
    const char *build = getenv("BUILD");
    const char *given = getenv("PAYSIM");
    char program[URL_SIZE];
    char path[128];
    char line[128] = "";
    int out[2];
    uint16_t port = 0;

    (void)state;
    (void)snprintf(program, sizeof program, "%s%s",
                   given != NULL   ? given
                   : build != NULL ? build
                                   : "build/gcc",
                   given != NULL ? "" : "/paysim");
    if (access(program, X_OK) != 0) {
        print_error("no program %s (PAYSIM or BUILD tells where it is)\n", program);
        return -1;
    }
    (void)snprintf(world.folder, sizeof world.folder, "/tmp/test_sandbox.XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    write_secret(path, sizeof path);
    world.receiver = listener_open(&port);
    assert_true(world.receiver >= 0);
    (void)snprintf(world.notify_url, sizeof world.notify_url, "http://127.0.0.1:%u/cb", port);

    assert_int_equal(pipe(out), 0);
    world.paysim = fork();
    assert_true(world.paysim >= 0);
    if (world.paysim == 0) {
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(out[0]);
        (void)close(out[1]);
        (void)execl(program, program, "--with-parent", "--listen", "127.0.0.1:0", "--secret-file",
                    path, (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    FILE *told = fdopen(out[0], "r");
    assert_non_null(told);
    assert_non_null(fgets(line, sizeof line, told));
    (void)fclose(told);
    const char *at = strstr(line, "127.");
    assert_non_null(at);
    (void)snprintf(world.url, sizeof world.url, "http://%.*s", (int)strcspn(at, "\n"), at);
    return 0;
}

static int tear_down(void **state) {
    char path[128];
    int status = 0;

    (void)state;
    if (world.paysim > 0) {
        (void)kill(world.paysim, SIGTERM);
        assert_int_equal(waitpid(world.paysim, &status, 0), world.paysim);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    (void)snprintf(path, sizeof path, "%s/secret", world.folder);
    (void)unlink(path);
    (void)rmdir(world.folder);
    return 0;
}

static size_t swallow(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    (void)context;
    return size * count;
}

/* POSTs as the shopper's browser or the test's own control would. */
static long post(const char *url, const char *body) {
    CURL *easy = curl_easy_init();
    long status = 0;

    assert_non_null(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    struct curl_slist *lines = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lines);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(lines);
    curl_easy_cleanup(easy);
    return status;
}

static void control(const char *body) {
    char url[URL_SIZE];

    (void)snprintf(url, sizeof url, "%s/control", world.url);
    assert_int_equal(post(url, body), 200);
}

static void pay(const char *pay_url) {
    assert_int_equal(post(pay_url, "{\"result\":\"success\"}"), 200);
}

static enum sandbox_verdict take_callback(struct sandbox_callback *out) {
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const struct sandbox_trust trust = { .secrets = &secret,
                                         .secret_count = 1,
                                         .merchant = "doorbuster",
                                         .tolerance_ns = 300 * SECOND_NS };
    char request[LISTENER_REQUEST_SIZE];
    char header[256] = "";
    const char *body = NULL;
    int peer = listener_take(world.receiver, request, &body);
    const char *at = strcasestr(request, SIGNATURE_HEADER ": ");

    assert_non_null(at);
    at += strlen(SIGNATURE_HEADER ": ");
    (void)snprintf(header, sizeof header, "%.*s", (int)strcspn(at, "\r"), at);
    assert_true(send(peer, answer, strlen(answer), MSG_NOSIGNAL) > 0);
    (void)close(peer);
    return sandbox_callback_parse(&trust, body, strlen(body), header, clock_now(), out);
}

/* ---- The engine in a loop of our own ------------------------------------------------------------
 */

static struct sandbox *open_sandbox(const char *url, int64_t timeout_ms, uint32_t in_flight_max) {
    const struct sandbox_config config = { .url = url,
                                           .merchant = "doorbuster",
                                           .secret = secret,
                                           .notify_url = world.notify_url,
                                           .timeout_ns = timeout_ms * MS_NS,
                                           .in_flight_max = in_flight_max };
    struct sandbox *sandbox = sandbox_open(&config);

    assert_non_null(sandbox);
    return sandbox;
}

static struct sandbox_result await(struct sandbox *sandbox) {
    struct sandbox_result result;
    struct pollfd fds[4];
    int64_t began = clock_mono();

    while (!sandbox_next(sandbox, &result)) {
        int64_t timeout = sandbox_timeout(sandbox);
        assert_true(timeout >= 0); /* Something is open. */
        assert_true(clock_mono() - began < PATIENCE_MS * MS_NS);
        int count = sandbox_poll_fds(sandbox, fds, 4);
        assert_int_equal(count, 1);
        (void)poll(fds, (nfds_t)count, (int)(timeout / MS_NS));
        sandbox_step(sandbox, clock_now());
    }
    return result;
}

static const struct sandbox_charge *charge_of(int64_t payment_id, int64_t amount) {
    static struct sandbox_charge charge;

    charge = (struct sandbox_charge){
        .payment_id = payment_id, .order_id = payment_id + 1000, .amount = amount, .currency = "CNY"
    };
    return &charge;
}

static struct sandbox_result prepay(struct sandbox *sandbox, int64_t payment_id, int64_t amount) {
    assert_int_equal(sandbox_prepay(sandbox, 5, charge_of(payment_id, amount), clock_now()),
                     SANDBOX_started);
    struct sandbox_result result = await(sandbox);
    assert_int_equal(result.tag, 5);
    assert_int_equal(result.request, SANDBOX_prepay);
    return result;
}

static struct sandbox_result query(struct sandbox *sandbox, int64_t payment_id) {
    assert_int_equal(sandbox_query(sandbox, 6, payment_id, clock_now()), SANDBOX_started);
    return await(sandbox);
}

static struct sandbox_result cancel(struct sandbox *sandbox, int64_t payment_id) {
    assert_int_equal(sandbox_cancel(sandbox, 7, payment_id, clock_now()), SANDBOX_started);
    return await(sandbox);
}

static struct sandbox_result refund(struct sandbox *sandbox, int64_t refund_id, int64_t payment_id,
                                    int64_t amount) {
    const struct sandbox_repayment repayment = {
        .refund_id = refund_id, .payment_id = payment_id, .amount = amount, .currency = "CNY"
    };
    assert_int_equal(sandbox_refund(sandbox, 8, &repayment, clock_now()), SANDBOX_started);
    return await(sandbox);
}

/* ---- Done and refused ---------------------------------------------------------------------------
 */

static void test_pay_and_refund(void **state) {
    struct sandbox *sandbox = open_sandbox(world.url, 5000, 4);
    struct sandbox_callback told;

    (void)state;
    assert_int_equal(sandbox_timeout(sandbox), -1);
    assert_int_equal(query(sandbox, 1).status, SANDBOX_absent);
    struct sandbox_result first = prepay(sandbox, 1, 1999);
    assert_int_equal(first.outcome, SANDBOX_done);
    assert_true(first.sent);
    assert_int_equal(first.http, 201);
    assert_int_equal(first.payment_id, 1);
    struct sandbox_result again = prepay(sandbox, 1, 1999);
    assert_int_equal(again.outcome, SANDBOX_done);
    assert_int_equal(again.http, 200);
    assert_string_equal(again.provider_txn, first.provider_txn);
    assert_string_equal(again.pay_url, first.pay_url);
    struct sandbox_result other = prepay(sandbox, 1, 2000);
    assert_int_equal(other.outcome, SANDBOX_refused);
    assert_string_equal(other.reason, "conflict");
    assert_string_equal(other.provider_txn, "");
    assert_int_equal(query(sandbox, 1).status, SANDBOX_pending);
    assert_int_equal(refund(sandbox, 1, 1, 1).outcome, SANDBOX_refused);

    pay(first.pay_url);
    assert_int_equal(take_callback(&told), CALLBACK_good);
    assert_int_equal(told.status, SANDBOX_succeeded);
    assert_int_equal(told.payment_id, 1);
    assert_int_equal(told.order_id, 1001);
    assert_int_equal(told.amount, 1999);
    assert_string_equal(told.currency, "CNY");
    assert_string_equal(told.provider_txn, first.provider_txn);
    struct sandbox_result paid = query(sandbox, 1);
    assert_int_equal(paid.outcome, SANDBOX_done);
    assert_int_equal(paid.status, SANDBOX_succeeded);
    assert_int_equal(paid.amount, 1999);
    assert_string_equal(paid.currency, "CNY");
    assert_string_equal(paid.provider_txn, first.provider_txn);

    struct sandbox_result back = refund(sandbox, 2, 1, 1999);
    assert_int_equal(back.outcome, SANDBOX_done);
    assert_int_equal(back.status, SANDBOX_succeeded);
    assert_int_equal(back.refund_id, 2);
    assert_int_equal(refund(sandbox, 2, 1, 1999).outcome, SANDBOX_done);
    back = refund(sandbox, 3, 1, 1);
    assert_int_equal(back.outcome, SANDBOX_refused);
    assert_string_equal(back.reason, "exceeds_captured");
    control("{\"fail_refunds\":true}");
    (void)prepay(sandbox, 2, 10);
    pay(prepay(sandbox, 2, 10).pay_url);
    assert_int_equal(take_callback(&told), CALLBACK_good);
    assert_int_equal(refund(sandbox, 4, 2, 10).status, SANDBOX_failed);
    control("{\"fail_refunds\":false}");
    assert_int_equal(sandbox_in_flight(sandbox), 0);
    sandbox_close(&sandbox);
}

static void test_cancel_and_expiry(void **state) {
    struct sandbox *sandbox = open_sandbox(world.url, 5000, 4);
    struct sandbox_callback told;
    struct sandbox_charge late = *charge_of(13, 10);

    (void)state;
    struct sandbox_result open = prepay(sandbox, 11, 10);
    assert_int_equal(cancel(sandbox, 11).outcome, SANDBOX_done);
    assert_int_equal(cancel(sandbox, 11).status, SANDBOX_closed);
    assert_int_equal(post(open.pay_url, "{\"result\":\"success\"}"), 409);
    assert_int_equal(query(sandbox, 11).status, SANDBOX_closed);
    open = prepay(sandbox, 12, 10);
    pay(open.pay_url);
    assert_int_equal(take_callback(&told), CALLBACK_good);
    struct sandbox_result no = cancel(sandbox, 12);
    assert_int_equal(no.outcome, SANDBOX_refused);
    assert_string_equal(no.reason, "already_succeeded");
    assert_int_equal(cancel(sandbox, 99).outcome, SANDBOX_refused);
    late.expires_at = clock_now() - SECOND_NS;
    assert_int_equal(sandbox_prepay(sandbox, 1, &late, clock_now()), SANDBOX_started);
    open = await(sandbox);
    assert_int_equal(open.outcome, SANDBOX_done);
    assert_int_equal(open.status, SANDBOX_closed);
    sandbox_close(&sandbox);
}

static void test_wrong_secret(void **state) {
    struct sandbox_config config = { .url = world.url,
                                     .merchant = "doorbuster",
                                     .secret = { (const uint8_t *)"another", 7 },
                                     .notify_url = world.notify_url,
                                     .timeout_ns = SECOND_NS,
                                     .in_flight_max = 1 };
    struct sandbox *sandbox = sandbox_open(&config);

    (void)state;
    struct sandbox_result result = prepay(sandbox, 21, 10);
    assert_int_equal(result.outcome, SANDBOX_refused);
    assert_int_equal(result.http, 401);
    assert_string_equal(result.reason, "bad_signature");
    /* A refused question says nothing about the payment. */
    result = query(sandbox, 21);
    assert_int_equal(result.outcome, SANDBOX_refused);
    assert_int_equal(result.status, SANDBOX_status_none);
    sandbox_close(&sandbox);
}

static void test_false_callbacks(void **state) {
    static const struct {
        const char *on;
        const char *off;
        enum sandbox_verdict verdict;
    } rows[] = {
        { "{\"bad_signature\":true}", "{\"bad_signature\":false}", CALLBACK_bad_signature },
        { "{\"stale_seconds\":301}", "{\"stale_seconds\":0}", CALLBACK_stale },
        { "{\"stale_seconds\":-400}", "{\"stale_seconds\":0}", CALLBACK_future },
        { "{\"wrong_merchant\":true}", "{\"wrong_merchant\":false}", CALLBACK_wrong_merchant },
        /* The engine does not know what was asked; who does will compare. */
        { "{\"wrong_amount\":true}", "{\"wrong_amount\":false}", CALLBACK_good },
        { "{\"wrong_currency\":true}", "{\"wrong_currency\":false}", CALLBACK_good },
    };
    struct sandbox *sandbox = open_sandbox(world.url, 5000, 4);
    struct sandbox_callback told = { .amount = 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        control(rows[i].on);
        pay(prepay(sandbox, 31 + (int64_t)i, 10).pay_url);
        assert_int_equal(take_callback(&told), rows[i].verdict);
        control(rows[i].off);
        if (i == 4) assert_int_equal(told.amount, 11);
        if (i == 5) assert_string_equal(told.currency, "XTS");
    }
    sandbox_close(&sandbox);
}

static void test_copies(void **state) {
    struct sandbox *sandbox = open_sandbox(world.url, 5000, 4);
    struct sandbox_callback one;
    struct sandbox_callback two;

    (void)state;
    control("{\"callback_copies\":2}");
    pay(prepay(sandbox, 41, 10).pay_url);
    assert_int_equal(take_callback(&one), CALLBACK_good);
    assert_int_equal(take_callback(&two), CALLBACK_good);
    assert_memory_equal(&one, &two, sizeof one);
    control("{\"callback_copies\":1}");
    sandbox_close(&sandbox);
}

/* ---- Not known
 * -------------------------------------------------------------------------------------- */

static void test_timeout_is_unknown(void **state) {
    struct sandbox *sandbox = open_sandbox(world.url, 300, 4);

    (void)state;
    control("{\"slow_ms\":1000}");
    int64_t began = clock_mono();
    struct sandbox_result result = prepay(sandbox, 51, 10);
    int64_t took_ms = (clock_mono() - began) / MS_NS;
    assert_int_equal(result.outcome, SANDBOX_unknown);
    assert_true(result.sent);
    assert_int_equal(result.http, 0);
    assert_string_not_equal(result.reason, "");
    assert_true(took_ms >= 290 && took_ms < 900);
    control("{\"slow_ms\":0,\"silent\":true}");
    assert_int_equal(prepay(sandbox, 52, 10).outcome, SANDBOX_unknown);
    control("{\"silent\":false}");
    /* Both had happened. */
    assert_int_equal(query(sandbox, 51).status, SANDBOX_pending);
    assert_int_equal(query(sandbox, 52).status, SANDBOX_pending);
    control("{\"fail_rate\":1}");
    result = prepay(sandbox, 53, 10);
    assert_int_equal(result.outcome, SANDBOX_unknown);
    assert_int_equal(result.http, 500);
    assert_string_equal(result.reason, "internal");
    assert_int_equal(query(sandbox, 53).outcome, SANDBOX_unknown);
    control("{\"fail_rate\":0}");
    sandbox_close(&sandbox);
}

static void test_nobody_there(void **state) {
    uint16_t port = 0;
    char url[64];
    int listener = listener_open(&port);

    (void)state;
    (void)close(listener);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    struct sandbox *sandbox = open_sandbox(url, 2000, 1);
    struct sandbox_result result = prepay(sandbox, 61, 10);
    assert_int_equal(result.outcome, SANDBOX_unknown);
    assert_false(result.sent);
    sandbox_close(&sandbox);
}

static void test_busy(void **state) {
    struct sandbox *sandbox = open_sandbox(world.url, 400, 2);

    (void)state;
    control("{\"silent\":true}");
    for (int64_t i = 0; i < 2; i++) {
        assert_int_equal(sandbox_prepay(sandbox, 0, charge_of(71 + i, 10), clock_now()),
                         SANDBOX_started);
    }
    assert_int_equal(sandbox_prepay(sandbox, 0, charge_of(73, 10), clock_now()), SANDBOX_busy);
    assert_int_equal(sandbox_query(sandbox, 0, 73, clock_now()), SANDBOX_busy);
    assert_int_equal(sandbox_in_flight(sandbox), 2);
    assert_int_equal(await(sandbox).outcome, SANDBOX_unknown);
    control("{\"silent\":false}");
    assert_int_equal(sandbox_query(sandbox, 9, 73, clock_now()), SANDBOX_started);
    (void)await(sandbox);
    (void)await(sandbox);
    assert_int_equal(sandbox_in_flight(sandbox), 0);
    assert_int_equal(sandbox_query(sandbox, 9, 73, clock_now()), SANDBOX_started);
    assert_int_equal(sandbox_query(sandbox, 9, 73, clock_now()), SANDBOX_started);
    sandbox_close(&sandbox); /* With open requests. */
}

static void test_many(void **state) {
    enum { ALL = 300, AT_ONCE = 16 };
    struct sandbox *sandbox = open_sandbox(world.url, 5000, AT_ONCE);
    bool seen[ALL] = { false };
    int64_t started = 0;

    (void)state;
    for (int ended = 0; ended < ALL; ended++) {
        while (started < ALL && sandbox_in_flight(sandbox) < AT_ONCE) {
            const struct sandbox_charge *charge = charge_of(10000 + started, 10);
            assert_int_equal(sandbox_prepay(sandbox, (uint64_t)started, charge, clock_now()),
                             SANDBOX_started);
            started++;
        }
        struct sandbox_result result = await(sandbox);
        assert_int_equal(result.outcome, SANDBOX_done);
        assert_int_equal(result.payment_id, 10000 + (int64_t)result.tag);
        assert_false(seen[result.tag]);
        seen[result.tag] = true;
    }
    sandbox_close(&sandbox);
}

/* A child that answers one request of each connection with these bytes. */
static pid_t answer_with(int listener, const char *answer, size_t size) {
    pid_t child = fork();

    assert_true(child >= 0);
    if (child > 0) return child;
    char request[LISTENER_REQUEST_SIZE];
    const char *body = NULL;
    int peer = listener_take(listener, request, &body);
    if (peer < 0 || send(peer, answer, size, MSG_NOSIGNAL) < 0) _exit(1);
    (void)close(peer);
    _exit(0);
}

static void test_nonsense(void **state) {
    static const struct {
        const char *head;
        const char *body;
        enum sandbox_outcome prepay;
        enum sandbox_outcome query;
    } rows[] = {
#define OK_BODY                                                                                    \
    "{\"payment_id\":\"81\",\"provider_txn\":\"t\",\"pay_url\":\"u\",\"status\":\"pending\","      \
    "\"amount\":1,\"currency\":\"CNY\"}"
        { "200 OK", OK_BODY, SANDBOX_done, SANDBOX_done },
        { "200 OK", "", SANDBOX_unknown, SANDBOX_unknown },
        { "200 OK", "<html>", SANDBOX_unknown, SANDBOX_unknown },
        { "200 OK",
          "{\"payment_id\":\"82\",\"provider_txn\":\"t\",\"pay_url\":\"u\",\"status\":\"pending\"}",
          SANDBOX_unknown, SANDBOX_unknown },
        { "200 OK",
          "{\"payment_id\":\"81\",\"provider_txn\":\"t\",\"pay_url\":\"u\",\"status\":\"paid\"}",
          SANDBOX_unknown, SANDBOX_unknown },
        { "200 OK",
          "{\"payment_id\":\"81\",\"payment_id\":\"81\",\"provider_txn\":\"t\",\"pay_url\":\"u\"}",
          SANDBOX_unknown, SANDBOX_unknown },
        { "301 Moved\r\nLocation: http://127.0.0.1:1/", OK_BODY, SANDBOX_unknown, SANDBOX_unknown },
        { "404 Not Found", "<html>nginx</html>", SANDBOX_refused, SANDBOX_refused },
        { "404 Not Found", "{\"code\":\"no_such_payment\"}", SANDBOX_refused, SANDBOX_done },
        { "408 Timeout", "{}", SANDBOX_unknown, SANDBOX_unknown },
        { "429 Slowly", "{}", SANDBOX_unknown, SANDBOX_unknown },
        { "502 Bad Gateway", OK_BODY, SANDBOX_unknown, SANDBOX_unknown },
    };
    char answer[2048];
    char url[64];
    uint16_t port = 0;
    int listener = listener_open(&port);

    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        struct sandbox *sandbox = open_sandbox(url, 3000, 1);
        bool ask = i % 2 == 1;
        int size = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                            rows[i / 2].head, strlen(rows[i / 2].body), rows[i / 2].body);
        pid_t child = answer_with(listener, answer, (size_t)size);
        struct sandbox_result result = ask ? query(sandbox, 81) : prepay(sandbox, 81, 1);
        enum sandbox_outcome expected = ask ? rows[i / 2].query : rows[i / 2].prepay;
        if (result.outcome != expected) print_error("row %zu: %s\n", i, result.reason);
        assert_int_equal(result.outcome, expected);
        assert_true(result.sent);
        assert_int_equal(waitpid(child, NULL, 0), child);
        sandbox_close(&sandbox);
    }
    (void)close(listener);
}

static void test_cut_off_and_endless(void **state) {
    char url[64];
    uint16_t port = 0;
    int listener = listener_open(&port);
    char *endless = malloc(100000);

    (void)state;
    assert_non_null(endless);
    memset(endless, ' ', 100000);
    memcpy(endless, "HTTP/1.1 200 OK\r\n\r\n{", 20);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    const struct {
        const char *bytes;
        size_t size;
    } rows[] = { { "", 0 },
                 { "HTTP/1.1 200", 12 },
                 { "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", 41 },
                 { "\x16\x03\x01", 3 },
                 { endless, 100000 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sandbox *sandbox = open_sandbox(url, 3000, 1);
        pid_t child = answer_with(listener, rows[i].bytes, rows[i].size);
        struct sandbox_result result = prepay(sandbox, 81, 1);
        assert_int_equal(result.outcome, SANDBOX_unknown);
        assert_true(result.sent);
        assert_int_equal(waitpid(child, NULL, 0), child);
        sandbox_close(&sandbox);
    }
    free(endless);
    (void)close(listener);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pay_and_refund),
        cmocka_unit_test(test_cancel_and_expiry),
        cmocka_unit_test(test_wrong_secret),
        cmocka_unit_test(test_false_callbacks),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_timeout_is_unknown),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_cut_off_and_endless),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
