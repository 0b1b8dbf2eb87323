/* The open loop against a server that stands still for a while, and the books it keeps. */
#include "tools/doorsim/open_loop.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS_MAX = 80, STAND_STILL_FROM_MS = 300, STAND_STILL_MS = 300, RATE = 500 };

static struct {
    int listener;
    char base[64];
    pthread_t acceptor, threads[THREADS_MAX];
    int fds[THREADS_MAX];
    unsigned count;
    atomic_bool stop;
    atomic_llong first; /* When the first request came. */
    bool stands_still;
} server;

/* Nobody is answered in the middle of the run. */
static void stand_still(void) {
    long long none = 0, now = clock_mono();
    atomic_compare_exchange_strong(&server.first, &none, now);
    int64_t since_ms = (now - server.first) / TIMEFMT_NS_PER_MS;
    int64_t end = STAND_STILL_FROM_MS + STAND_STILL_MS;
    if (server.stands_still && since_ms >= STAND_STILL_FROM_MS && since_ms < end) {
        (void)poll(NULL, 0, (int)(end - since_ms));
    }
}

static void *serve(void *arg) {
    int fd = *(int *)arg;
    char bytes[4096];
    size_t size = 0;
    while (!server.stop) {
        ssize_t got = recv(fd, bytes + size, sizeof bytes - 1 - size, 0);
        if (got <= 0) break;
        size += (size_t)got;
        bytes[size] = '\0';
        if (strstr(bytes, "\r\n\r\n") == NULL) continue;
        static const char metrics[] = "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n"
                                      "# TYPE depth gauge\ndepth{a=\"b\"} 7\n# TYPE x counter\n";
        static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        const char *answer = strncmp(bytes, "GET /metrics", 12) == 0 ? metrics : whole;
        if (answer == whole) stand_still();
        size = 0;
        (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    }
    close(fd);
    return NULL;
}

static void *accept_all(void *arg) {
    (void)arg;
    struct pollfd ready = { .fd = server.listener, .events = POLLIN };
    while (!server.stop) {
        if (poll(&ready, 1, 10) <= 0 || server.count == THREADS_MAX) continue;
        int *fd = &server.fds[server.count];
        *fd = accept(server.listener, NULL, NULL);
        if (*fd < 0) continue;
        pthread_create(&server.threads[server.count++], NULL, serve, fd);
    }
    return NULL;
}

static int set_up(void **state) {
    (void)state;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    memset(&server, 0, sizeof server);
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server.listener, (struct sockaddr *)&address, size) != 0) return -1;
    if (listen(server.listener, 128) != 0) return -1;
    getsockname(server.listener, (struct sockaddr *)&address, &size);
    (void)snprintf(server.base, sizeof server.base, "http://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
    return pthread_create(&server.acceptor, NULL, accept_all, NULL);
}

static int tear_down(void **state) {
    (void)state;
    server.stop = true;
    pthread_join(server.acceptor, NULL);
    for (unsigned i = 0; i < server.count; i++) {
        shutdown(server.fds[i], SHUT_RDWR);
        pthread_join(server.threads[i], NULL);
    }
    close(server.listener);
    return 0;
}

static struct open_result *run(unsigned connections, unsigned seconds) {
    struct arrivals arrivals;
    struct open_result *result = calloc(1, sizeof *result);
    char metrics[100];
    (void)snprintf(metrics, sizeof metrics, "%s/metrics", server.base);
    assert_non_null(result);
    assert_true(arrivals_init(
        &arrivals,
        &(struct arrivals_wish){ .rate = RATE, .duration_ns = seconds * TIMEFMT_NS_PER_S }));
    const struct open_plan plan = { .kind = LOAD_get,
                                    .base = server.base,
                                    .path = "/",
                                    .metrics = metrics,
                                    .arrivals = &arrivals,
                                    .percent = { 100 },
                                    .connections = connections,
                                    .timeout_ns = 5 * TIMEFMT_NS_PER_S,
                                    .late_max_ns = 50 * TIMEFMT_NS_PER_MS };
    assert_true(open_run(&plan, result));
    arrivals_fini(&arrivals);
    return result;
}

static void done_with(struct open_result *result) {
    open_result_fini(result);
    free(result);
}

/* With 20 connections no more than 20 requests can be under way while the server stands still.  A
 * closed loop would note 20 slow answers; here all who would have come are charged: 150 of 500, of
 * whom a third more than 200 ms. */
static void a_standstill_is_charged_in_full(void **state) {
    (void)state;
    server.stands_still = true;
    struct open_result *result = run(20, 1);
    assert_int_equal(result->arrivals, RATE);
    assert_int_equal(result->latency.count, RATE);
    assert_true(histogram_percentile(&result->latency, 92) >= 180 * TIMEFMT_NS_PER_MS);
    assert_true(histogram_percentile(&result->latency, 80) >= 60 * TIMEFMT_NS_PER_MS);
    /* It had to wait for connections, and says so. */
    assert_true(result->fault_count > 0);
    assert_non_null(strstr(result->faults[result->fault_count - 1], "free connection"));
    done_with(result);
}

static void books(void **state) {
    (void)state;
    struct open_result *result = run(20, 1);
    const struct series *series = &result->series;
    uint64_t arrived = 0, sent = 0, answered = 0, latencies = 0;
    bool watched = false;
    assert_int_equal(open_count(result, TALLY_ok), RATE);
    assert_int_equal(result->unsettled, 0);
    for (size_t i = 0; i < series->count; i++) {
        arrived += series->slices[i].arrived;
        sent += series->slices[i].sent;
        answered += series->slices[i].count[TALLY_ok];
        if (series->slices[i].latency != NULL) latencies += series->slices[i].latency->count;
        double sum;
        if (gauges_sum(&series->names, "depth", series->slices[i].gauges, &sum)) {
            assert_true(fabs(sum - 7) < 1e-9);
            watched = true;
        }
    }
    assert_int_equal(arrived, RATE);
    assert_int_equal(sent, RATE);
    assert_int_equal(answered, RATE);
    assert_int_equal(latencies, RATE);
    assert_int_equal(series->names.count, 1);
    assert_true(watched);
    assert_true(result->cores > 0);
    done_with(result);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = { CASE(a_standstill_is_charged_in_full), CASE(books) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
