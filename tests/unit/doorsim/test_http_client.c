/* The HTTP client against a small server that answers, dribbles, breaks off, stays silent. */
#include "tools/doorsim/http_client.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALLS_MAX = 400, THREADS_MAX = 64 };

static struct {
    int listener;
    uint16_t port;
    pthread_t acceptor;
    atomic_bool stop;
    atomic_uint connections;
    atomic_uint used;                    /* Connections that a request came over. */
    atomic_uint from_third, from_fourth; /* 127.0.0.3 and 127.0.0.4 */
    atomic_uint thread_count;
    pthread_t threads[THREADS_MAX];
    int fds[THREADS_MAX];
} server;

static void put(int fd, const char *text) {
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* One request's answer.  False ends the connection. */
static bool respond(int fd, const char *path) {
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    if (strncmp(path, "/dribble", 8) == 0) {
        for (const char *at = whole; *at != '\0'; at++) {
            char one[2] = { *at, '\0' };
            put(fd, one);
        }
        return true;
    }
    if (strncmp(path, "/last", 5) == 0) {
        put(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        return false;
    }
    if (strncmp(path, "/to-end", 7) == 0) {
        put(fd, "HTTP/1.1 200 OK\r\n\r\nok");
        return false;
    }
    if (strncmp(path, "/half", 5) == 0) {
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        return false;
    }
    if (strncmp(path, "/twice", 6) == 0) {
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
        return true;
    }
    if (strncmp(path, "/drop", 5) == 0) return false;
    if (strncmp(path, "/silent", 7) == 0) {
        while (!server.stop) {
            (void)poll(NULL, 0, 5);
        }
        return false;
    }
    if (strncmp(path, "/nonsense", 9) == 0) {
        put(fd, "220 smtp ready\r\n");
        return true;
    }
    put(fd, whole);
    return true;
}

static void *serve(void *arg) {
    int fd = *(int *)arg;
    char bytes[4096];
    size_t size = 0;
    bool used = false;
    while (!server.stop) {
        ssize_t got = recv(fd, bytes + size, sizeof bytes - 1 - size, 0);
        if (got <= 0) break;
        size += (size_t)got;
        bytes[size] = '\0';
        if (strstr(bytes, "\r\n\r\n") == NULL) continue;
        size = 0;
        if (!used) server.used++;
        used = true;
        if (!respond(fd, bytes + 4)) break;
    }
    shutdown(fd, SHUT_RDWR);
    close(fd);
    return NULL;
}

static void *accept_all(void *arg) {
    (void)arg;
    struct pollfd ready = { .fd = server.listener, .events = POLLIN };
    while (!server.stop) {
        if (poll(&ready, 1, 10) <= 0 || server.thread_count == THREADS_MAX) continue;
        unsigned i = server.thread_count;
        struct sockaddr_in from = { 0 };
        socklen_t size = sizeof from;
        server.fds[i] = accept(server.listener, (struct sockaddr *)&from, &size);
        if (server.fds[i] < 0) continue;
        server.from_third += from.sin_addr.s_addr == htonl(INADDR_LOOPBACK + 2);
        server.from_fourth += from.sin_addr.s_addr == htonl(INADDR_LOOPBACK + 3);
        server.connections++;
        pthread_create(&server.threads[i], NULL, serve, &server.fds[i]);
        server.thread_count++;
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
    server.port = ntohs(address.sin_port);
    return pthread_create(&server.acceptor, NULL, accept_all, NULL);
}

static int tear_down(void **state) {
    (void)state;
    server.stop = true;
    pthread_join(server.acceptor, NULL);
    for (unsigned i = 0; i < server.thread_count; i++) {
        pthread_join(server.threads[i], NULL);
    }
    close(server.listener);
    return 0;
}

/* A call that counts its answers; `again` more rounds follow each. */
struct probe {
    struct http_call call;
    struct http_client *client;
    const char *path;
    unsigned again;
    unsigned done;
    enum http_outcome outcome;
    char body[8];
};

static void write_probe(struct http_call *call, struct textbuf *request) {
    const struct probe *probe = (const struct probe *)call;
    textbuf_format(request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", probe->path);
}

static void probe_done(struct http_call *call, enum http_outcome outcome,
                       const struct http_response *response) {
    struct probe *probe = (struct probe *)call;
    probe->done++;
    probe->outcome = outcome;
    assert_int_equal(response != NULL, outcome == HTTP_answered);
    assert_true(call->done_at >= call->wanted_at);
    if (response != NULL) {
        (void)snprintf(probe->body, sizeof probe->body, "%s", response->body.bytes);
    }
    if (probe->again > 0) {
        probe->again--;
        call->wanted_at = 0;
        http_client_send(probe->client, call);
    }
}

static struct probe probes[CALLS_MAX];

/* Sends `count` probes over `connections` connections and turns until all are answered. */
static void run(uint16_t port, unsigned connections, const char *path, unsigned count,
                unsigned again) {
    struct http_loop *loop = http_loop_open();
    assert_non_null(loop);
    struct http_client *client = http_client_open(
        loop, &(struct http_client_options){ .host = "127.0.0.1",
                                             .port = port,
                                             .connections = connections,
                                             .timeout_ns = 300 * TIMEFMT_NS_PER_MS });
    assert_non_null(client);
    memset(probes, 0, sizeof probes);
    for (unsigned i = 0; i < count; i++) {
        probes[i] = (struct probe){ .call = { .write = write_probe, .done = probe_done },
                                    .client = client,
                                    .path = path,
                                    .again = again };
        http_client_send(client, &probes[i].call);
        assert_int_equal(probes[i].done, 0);
    }
    int64_t until = clock_mono() + 10 * TIMEFMT_NS_PER_S;
    while (http_client_pending(client) > 0 && clock_mono() < until) {
        http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_S);
    }
    assert_int_equal(http_client_pending(client), 0);
    http_client_close(&client);
    http_loop_close(&loop);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(probes[i].done, again + 1);
    }
}

static void all_ended(unsigned count, enum http_outcome outcome, const char *body) {
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(probes[i].outcome, outcome);
        assert_string_equal(probes[i].body, body);
    }
}

static void answers_over_few_connections(void **state) {
    (void)state;
    run(server.port, 3, "/", 200, 10);
    all_ended(200, HTTP_answered, "ok");
    assert_int_equal(server.connections, 3);
}

static void dribbled(void **state) {
    (void)state;
    run(server.port, 2, "/dribble", 4, 3);
    all_ended(4, HTTP_answered, "ok");
}

static void closing_answers(void **state) {
    (void)state;
    run(server.port, 2, "/last", 6, 1);
    all_ended(6, HTTP_answered, "ok");
    assert_int_equal(server.connections, 12);
    run(server.port, 2, "/to-end", 6, 0);
    all_ended(6, HTTP_answered, "ok");
}

static void broken_off(void **state) {
    (void)state;
    static const char *const paths[] = { "/drop", "/half", "/nonsense", "/twice" };
    for (unsigned i = 0; i < 4; i++) {
        run(server.port, 2, paths[i], 5, 0);
        all_ended(5, HTTP_lost, "");
    }
}

static void silent(void **state) {
    (void)state;
    int64_t started = clock_mono();
    run(server.port, 4, "/silent", 4, 0);
    all_ended(4, HTTP_timeout, "");
    int64_t took = clock_mono() - started;
    assert_true(took >= 300 * TIMEFMT_NS_PER_MS);
    assert_true(took < 3 * TIMEFMT_NS_PER_S);
}

static void nobody_there(void **state) {
    (void)state;
    /* A port that was just given and closed again. */
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    close(fd);
    run(ntohs(address.sin_port), 2, "/", 6, 1);
    all_ended(6, HTTP_unsent, "");
}

static void closed_with_calls(void **state) {
    (void)state;
    struct http_loop *loop = http_loop_open();
    struct http_client *client =
        http_client_open(loop, &(struct http_client_options){
                                   .host = "localhost", .port = server.port, .connections = 1 });
    memset(probes, 0, sizeof probes);
    for (unsigned i = 0; i < 3; i++) {
        probes[i] = (struct probe){ .call = { .write = write_probe, .done = probe_done },
                                    .path = "/silent" };
        http_client_send(client, &probes[i].call);
    }
    int64_t until = clock_mono() + 50 * TIMEFMT_NS_PER_MS;
    while (clock_mono() < until) {
        http_loop_turn(loop, until);
    }
    http_client_close(&client);
    http_loop_close(&loop);
    assert_int_equal(probes[0].outcome, HTTP_lost);
    assert_int_equal(probes[1].outcome, HTTP_unsent);
    assert_int_equal(probes[2].outcome, HTTP_unsent);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(probes[i].done, 1);
    }
}

/* Connections made beforehand, from two addresses, used in turns. */
static void warm_from_several_addresses(void **state) {
    (void)state;
    struct http_loop *loop = http_loop_open();
    struct http_client *client =
        http_client_open(loop, &(struct http_client_options){ .host = "127.0.0.1",
                                                              .port = server.port,
                                                              .connections = 6,
                                                              .source_first = INADDR_LOOPBACK + 2,
                                                              .source_count = 2,
                                                              .in_turns = true });
    int64_t until = clock_mono() + 5 * TIMEFMT_NS_PER_S;
    while (http_client_warm(client, 2) > 0 && clock_mono() < until) {
        http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_MS);
    }
    assert_int_equal(http_client_warm(client, 2), 0);
    /* One after the other: the seventh comes over the first's connection, none is made anew. */
    for (unsigned i = 0; i < 13; i++) {
        probes[i] = (struct probe){ .call = { .write = write_probe, .done = probe_done },
                                    .path = i == 3 ? "/last" : "/" };
        http_client_send(client, &probes[i].call);
        while (probes[i].done == 0 && clock_mono() < until) {
            http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_S);
        }
        assert_int_equal(probes[i].outcome, HTTP_answered);
    }
    http_client_close(&client);
    http_loop_close(&loop);
    assert_int_equal(server.connections, 6);
    assert_int_equal(server.used, 6);
    assert_int_equal(server.from_third, 3);
    assert_int_equal(server.from_fourth, 3);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(answers_over_few_connections),
        CASE(dribbled),
        CASE(closing_answers),
        CASE(broken_off),
        CASE(silent),
        CASE(nobody_there),
        CASE(closed_with_calls),
        CASE(warm_from_several_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
