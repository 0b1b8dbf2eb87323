/* What systemd is told, over a socket such as it gives; and that a thread that hangs is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "broker/beat.h"
#include "broker/clock.h"
#include "broker/host.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/ready.h"
#include "broker/service.h"
#include "config/config.h"

enum { MS = 1000000 };

static int manager = -1;
static char path[] = "/tmp/test_service-XXXXXX/notify";

static int begin(void **state) {
    (void)state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char *slash = strrchr(path, '/');
    *slash = 0;
    if (mkdtemp(path) == NULL) return -1;
    *slash = '/';
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (bind(manager, (struct sockaddr *)&address, sizeof address) != 0) return -1;
    return setenv("NOTIFY_SOCKET", path, 1) + setenv("WATCHDOG_USEC", "1000000", 1);
}

static int end(void **state) {
    (void)state;
    close(manager);
    unlink(path);
    *strrchr(path, '/') = 0;
    return rmdir(path);
}

/* The next datagram, "" when there is none. */
static const char *told(void) {
    static char text[512];
    ssize_t size = recv(manager, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    return text;
}

static void states(void **state) {
    (void)state;
    service_ready();
    assert_string_equal(told(), "READY=1");
    service_missing("redis");
    assert_string_equal(told(), "STATUS=not ready: redis");
    service_missing(NULL);
    assert_string_equal(told(), "STATUS=ready");
    service_missing(NULL);
    assert_string_equal(told(), ""); /* No news. */
    service_reloading();
    assert_string_equal(told(), "RELOADING=1");
    service_stopping();
    assert_string_equal(told(), "STOPPING=1\nSTATUS=draining");
}

/* ---- An actor that hangs at a tick when it is told to. ---- */

static atomic_bool hang, hanging;

static void init(void *self, const struct actor_setup *setup) {
    (void)self, (void)setup;
}

static void handle(void *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    (void)self, (void)in, (void)count, (void)now, (void)out;
    while (atomic_load(&hang)) {
        atomic_store(&hanging, true);
        nanosleep(&(struct timespec){ 0, MS }, NULL);
    }
}

static const struct actor_type actor = { .name = "bridge",
                                         .address = ACTOR_bridge,
                                         .state_size = 1,
                                         .batch_max = 8,
                                         .sends_max = 1,
                                         .tick_every = 10 * MS,
                                         .init = init,
                                         .handle = handle };

static void the_watchdog_is_fed_while_all_threads_go_round(void **state) {
    (void)state;
    struct config config;
    struct host_place place = { .address = ACTOR_bridge, .actor = &actor };
    config_defaults(&config);
    metrics_reset();
    ready_reset();
    log_setup(LOG_LEVEL_error, LOG_FORMAT_logfmt, 0, STDERR_FILENO);
    struct host_setup setup = { .config = &config, .places = &place, .place_count = 1 };
    struct host *host = host_open(&setup);
    assert_non_null(host);
    assert_true(service_watchdog_every() == INT64_C(250) * MS);
    nanosleep(&(struct timespec){ 0, 300 * MS }, NULL);
    service_alive(clock_mono());
    assert_string_equal(told(), "WATCHDOG=1");

    atomic_store(&hang, true);
    while (!atomic_load(&hanging))
        nanosleep(&(struct timespec){ 0, MS }, NULL);
    nanosleep(&(struct timespec){ 0, 600 * MS }, NULL); /* Half the watchdog's second is allowed. */
    service_alive(clock_mono());
    assert_string_equal(told(), "");

    atomic_store(&hang, false);
    nanosleep(&(struct timespec){ 0, 300 * MS }, NULL);
    service_alive(clock_mono());
    assert_string_equal(told(), "WATCHDOG=1");
    host_close(host);
}

static void without_a_manager_nothing_happens(void **state) {
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    assert_true(service_watchdog_every() == 0);
    service_ready();
    service_alive(clock_mono());
    assert_string_equal(told(), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states),
        cmocka_unit_test(the_watchdog_is_fed_while_all_threads_go_round),
        cmocka_unit_test(without_a_manager_nothing_happens),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
