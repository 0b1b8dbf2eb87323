/* What changes while a process runs reaches its threads; and the watchdog's view of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <time.h>

#include "broker/beat.h"
#include "broker/clock.h"
#include "broker/host.h"
#include "broker/metrics.h"
#include "broker/news.h"
#include "broker/ready.h"

enum { MS = 1000000 };

static struct news news;

static void note(void *context, const struct news *got) {
    *(uint32_t *)context = (uint32_t)got->actor.rate_user;
}

static void each_reader_takes_the_latest_once(void **state) {
    (void)state;
    uint64_t one = 0, two = 0;
    uint32_t rate = 0;
    news.actor.rate_user = 5;
    news_publish(&news);
    news.actor.rate_user = 6;
    news_publish(&news);
    assert_true(news_take(&one, note, &rate));
    assert_int_equal(rate, 6);
    assert_false(news_take(&one, note, &rate));
    assert_true(news_take(&two, note, &rate));
}

/* ---- In a host: an actor of each kind of thread, and a port. ---- */

static atomic_uint rates_seen, reloads, key_id, key_id_before;
static const struct seal_keys *held_keys;

static void init(void *self, const struct actor_setup *setup) {
    (void)self;
    held_keys = setup->keys;
}

static void handle(void *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    (void)self, (void)now, (void)out;
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].head.type == MSG_started) atomic_store(&key_id_before, held_keys->key[0].id);
        if (in[i].head.type != MSG_settings) continue;
        atomic_store(&key_id, held_keys->key[0].id);
        atomic_store(&rates_seen, BODY(&in[i], settings)->rate_user);
    }
}

static const struct actor_type actor = { .name = "bridge",
                                         .address = ACTOR_bridge,
                                         .state_size = 1,
                                         .batch_max = 8,
                                         .sends_max = 1,
                                         .init = init,
                                         .handle = handle };

struct port {
    int unused;
};

static struct port *port_open(const struct port_setup *setup) {
    (void)setup;
    return calloc(1, sizeof(struct port));
}
static void port_close(struct port *self) {
    free(self);
}
static bool port_is_ready(const struct port *self) {
    (void)self;
    return true;
}
static void port_handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                        struct outbox *out) {
    (void)self, (void)in, (void)count, (void)now, (void)out;
}
static uint32_t port_poll(struct port *self, struct pollfd *fds, uint32_t max) {
    (void)self, (void)fds, (void)max;
    return 0;
}
static int64_t port_timeout(struct port *self, int64_t now) {
    (void)self, (void)now;
    return -1;
}
static void port_step(struct port *self, int64_t now, struct outbox *out) {
    (void)self, (void)now, (void)out;
}
static void port_reload(struct port *self, const struct config *config) {
    (void)self;
    if (config->http_deadline == 77) atomic_fetch_add(&reloads, 1);
}

static const struct port_type port = { .name = "hash",
                                       .batch_max = 8,
                                       .open = port_open,
                                       .close = port_close,
                                       .ready = port_is_ready,
                                       .handle = port_handle,
                                       .poll = port_poll,
                                       .timeout = port_timeout,
                                       .step = port_step,
                                       .reload = port_reload };

static void until_set(const atomic_uint *value, unsigned wanted) {
    for (int i = 0; i < 2000 && atomic_load(value) != wanted; i++)
        nanosleep(&(struct timespec){ 0, MS }, NULL);
    assert_int_equal(atomic_load(value), wanted);
}

static void a_host_passes_them_on(void **state) {
    (void)state;
    struct config config;
    struct seal_keys keys = { .count = 1, .key = { { .id = 1 } } };
    struct host_place places[2];
    memset(places, 0, sizeof places);
    places[0].address = ACTOR_bridge;
    places[0].actor = &actor;
    places[1].address = PORT_hash;
    places[1].thread = 1;
    places[1].port = &port;
    config_defaults(&config);
    metrics_reset();
    ready_reset();
    struct host_setup setup = {
        .config = &config, .keys = &keys, .places = places, .place_count = 2
    };
    struct host *host = host_open(&setup);
    assert_non_null(host);
    until_set(&key_id_before, 1);
    news.config = config;
    news.config.http_deadline = 77;
    news.actor.rate_user = 9;
    news.keys = (struct seal_keys){ .count = 1, .key = { { .id = 2 } } };
    news_publish(&news);
    until_set(&rates_seen, 9);
    until_set(&reloads, 1);
    assert_int_equal(atomic_load(&key_id), 2); /* Before the message, in the actor's own memory. */
    assert_int_equal(keys.key[0].id, 1);       /* Whoever opened the host keeps his. */

    uint32_t thread;
    assert_true(beat_oldest(clock_mono(), &thread) < INT64_C(2000) * MS);
    assert_true(beat_oldest(clock_mono(), &thread) > 0);
    host_close(host);
    assert_true(beat_oldest(clock_mono() + 1000, &thread) == 0); /* Ended in order. */
}

static void the_oldest_beat_counts(void **state) {
    (void)state;
    uint32_t thread = 99;
    assert_true(beat_oldest(1000, &thread) == 0);
    beat(3, 500);
    beat(4, 900);
    assert_true(beat_oldest(1000, &thread) == 500);
    assert_int_equal(thread, 3);
    beat(3, 990);
    assert_true(beat_oldest(1000, &thread) == 100);
    assert_int_equal(thread, 4);
    beat_end(3);
    beat_end(4);
    assert_true(beat_oldest(1000, &thread) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_passes_them_on), /* First: before anything was published. */
        cmocka_unit_test(each_reader_takes_the_latest_once),
        cmocka_unit_test(the_oldest_beat_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
