/* A request that nobody inside answers (its actor has crashed, its node is gone) is answered by the
 * HTTP port, and the connection is as good as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/clock.h"
#include "tests/lib/http_harness.h"

#define MS INT64_C(1000000)

static struct http_harness harness;
static atomic_bool answering;

static void serve(void *context, const struct message *in, struct outbox *out) {
    (void)context;
    if (atomic_load(&answering)) outbox_refuse(out, in, PROBLEM_not_found);
}

/* One request on the connection; its answer. */
static const char *get(int fd, const char *path) {
    static char got[1 << 17];
    char request[1000], token[SEAL_TEXT_MAX + 1];
    http_harness_token(&harness, 600, token);
    int size =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, token);
    assert_int_equal(send(fd, request, (size_t)size, MSG_NOSIGNAL), size);
    size_t have = 0, want = sizeof got - 1;
    while (have < want) {
        ssize_t more = recv(fd, got + have, want - have, 0);
        assert_true(more > 0);
        have += (size_t)more;
        got[have] = '\0';
        const char *end = strstr(got, "\r\n\r\n"), *length = strstr(got, "Content-Length: ");
        if (end != NULL && length != NULL)
            want = (size_t)(end + 4 - got) + strtoul(length + 16, NULL, 10);
    }
    return got;
}

static void has(const char *got, const char *piece) {
    if (strstr(got, piece) == NULL) fail_msg("no \"%s\" in\n%s", piece, got);
}

static void a_request_that_nobody_answers_ends(void **state) {
    (void)state;
    int fd = http_harness_dial(&harness);

    int64_t began = clock_mono();
    const char *got = get(fd, "/v1/orders/1");
    int64_t took = clock_mono() - began;
    has(got, "HTTP/1.1 503 ");
    has(got, "\"code\":\"unavailable\"");
    has(got, "\r\nRetry-After: 1\r\n");
    has(got, "it may have been done");
    assert_true(took >= 390 * MS && took < 2000 * MS);

    atomic_store(&answering, true);
    has(get(fd, "/v1/orders/1"), "HTTP/1.1 404 ");
    got = get(fd, "/metrics");
    has(got, "doorbuster_http_unanswered_total 1\n");
    has(got, "doorbuster_http_inflight 0\n");
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_request_that_nobody_answers_ends) };
    signal(SIGPIPE, SIG_IGN);
    http_harness_init(&harness);
    harness.serve = serve;
    harness.config.http_answer_max = 400 * MS;
    http_harness_start(&harness);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    http_harness_end(&harness);
    return failed;
}
