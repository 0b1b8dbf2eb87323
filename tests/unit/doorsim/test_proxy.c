/* The fault proxy between a client and an echo server: each fault does what it says, and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/clock.h"
#include "tools/doorsim/proxy.h"

#define MS INT64_C(1000000)

static struct {
    char folder[64], server[100], front[100];
    int listener;
    pthread_t thread;
    struct proxy *proxy;
} world;

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    return at;
}

/* Sends everything back, one connection after the other, until told a connection of nothing. */
static void *echo(void *context) {
    char bytes[4096];
    (void)context;
    for (;;) {
        int fd = accept(world.listener, NULL, NULL);
        if (fd < 0) return NULL;
        for (ssize_t got; (got = recv(fd, bytes, sizeof bytes, 0)) > 0;)
            (void)!send(fd, bytes, (size_t)got, MSG_NOSIGNAL);
        (void)close(fd);
    }
}

static int set_up(void **state) {
    (void)state;
    (void)snprintf(world.folder, sizeof world.folder, "/tmp/test_proxy.XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    (void)snprintf(world.server, sizeof world.server, "%s/server", world.folder);
    (void)snprintf(world.front, sizeof world.front, "%s/front", world.folder);
    struct sockaddr_un at = address_of(world.server);
    world.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(world.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(world.listener, 8), 0);
    assert_int_equal(pthread_create(&world.thread, NULL, echo, NULL), 0);
    world.proxy = proxy_open(world.front, world.server);
    assert_non_null(world.proxy);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    proxy_close(&world.proxy);
    assert_null(world.proxy);
    (void)shutdown(world.listener, SHUT_RDWR);
    (void)pthread_join(world.thread, NULL);
    (void)close(world.listener);
    (void)unlink(world.server);
    assert_int_equal(rmdir(world.folder), 0);
    return 0;
}

static int dial(void) {
    struct sockaddr_un at = address_of(world.front);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* What comes back within the time: bytes, 0 for the end of the connection, -1 for nothing. */
static ssize_t hear(int fd, char *bytes, size_t size, int ms) {
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    if (poll(&wait, 1, ms) == 0) return -1;
    ssize_t got = recv(fd, bytes, size, 0);
    return got < 0 ? 0 : got;
}

static void say(int fd, const char *text) {
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void expect(int fd, const char *text) {
    char bytes[256];
    assert_int_equal(hear(fd, bytes, sizeof bytes, 2000), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void heal(void) {
    proxy_set(world.proxy, &(struct proxy_faults){ 0 });
}

static void test_plain(void **state) {
    char large[300000], got[300000];
    (void)state;
    int fd = dial();
    say(fd, "hello");
    expect(fd, "hello");
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 7);
    size_t sent = 0, back = 0;
    while (back < sizeof large) {
        if (sent < sizeof large)
            sent += (size_t)send(fd, large + sent,
                                 sizeof large - sent > 4096 ? 4096 : sizeof large - sent, 0);
        ssize_t some = hear(fd, got + back, sizeof got - back, sent < sizeof large ? 0 : 2000);
        if (sent == sizeof large) assert_true(some > 0);
        if (some > 0) back += (size_t)some;
    }
    assert_memory_equal(large, got, sizeof large);
    (void)close(fd);
}

static void test_delay(void **state) {
    (void)state;
    int fd = dial();
    int64_t began = clock_mono();
    proxy_set(world.proxy, &(struct proxy_faults){ .delay_ns = { 60 * MS, 60 * MS } });
    say(fd, "late");
    expect(fd, "late");
    assert_true(clock_mono() - began >= 115 * MS);
    heal();
    (void)close(fd);
}

static void test_one_way(void **state) {
    char bytes[16];
    (void)state;
    int fd = dial();
    say(fd, "a");
    expect(fd, "a");
    struct proxy_count before = proxy_count(world.proxy);
    proxy_set(world.proxy, &(struct proxy_faults){ .block = { [TO_CLIENT] = true } });
    say(fd, "unheard");
    assert_int_equal(hear(fd, bytes, sizeof bytes, 100), -1);
    /* The server has had it all the same. */
    assert_int_equal(proxy_count(world.proxy).bytes[TO_SERVER] - before.bytes[TO_SERVER], 7);
    heal();
    expect(fd, "unheard");
    proxy_set(world.proxy, &(struct proxy_faults){ .block = { [TO_CLIENT] = true } });
    say(fd, "lost");
    assert_int_equal(hear(fd, bytes, sizeof bytes, 50), -1);
    proxy_cut(world.proxy, false);
    assert_int_equal(hear(fd, bytes, sizeof bytes, 2000), 0);
    heal();
    (void)close(fd);
}

static void test_cut_after(void **state) {
    char bytes[16];
    (void)state;
    int fd = dial();
    proxy_set(world.proxy, &(struct proxy_faults){ .cut_after = { [TO_CLIENT] = 3 } });
    say(fd, "abcdef");
    ssize_t got = hear(fd, bytes, sizeof bytes, 2000);
    assert_int_equal(got, 3);
    assert_int_equal(hear(fd, bytes, sizeof bytes, 2000), 0);
    (void)close(fd);
    fd = dial(); /* Once, not for ever. */
    say(fd, "abcdef");
    expect(fd, "abcdef");
    heal();
    (void)close(fd);
}

static void test_refuse_and_hang(void **state) {
    char bytes[16];
    (void)state;
    proxy_set(world.proxy, &(struct proxy_faults){ .refuse = true });
    int fd = dial();
    assert_int_equal(hear(fd, bytes, sizeof bytes, 2000), 0);
    (void)close(fd);
    proxy_set(world.proxy, &(struct proxy_faults){ .hang = true });
    fd = dial();
    say(fd, "anybody?");
    assert_int_equal(hear(fd, bytes, sizeof bytes, 100), -1);
    heal();
    assert_int_equal(hear(fd, bytes, sizeof bytes, 50), -1);
    proxy_cut(world.proxy, true);
    assert_int_equal(hear(fd, bytes, sizeof bytes, 2000), 0);
    (void)close(fd);
}

static void test_rate(void **state) {
    char text[2001], bytes[4096];
    size_t got = 0;
    (void)state;
    int fd = dial();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    proxy_set(world.proxy, &(struct proxy_faults){ .rate = { [TO_SERVER] = 10000 } });
    int64_t began = clock_mono();
    say(fd, text);
    while (got < 2000) {
        ssize_t some = hear(fd, bytes, sizeof bytes, 2000);
        assert_true(some > 0);
        got += (size_t)some;
    }
    /* 2000 bytes at 10,000 a second; the last piece is not waited for. */
    assert_true(clock_mono() - began >= 150 * MS);
    heal();
    (void)close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),           cmocka_unit_test(test_delay),
        cmocka_unit_test(test_one_way),         cmocka_unit_test(test_cut_after),
        cmocka_unit_test(test_refuse_and_hang), cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
