#include "tools/doorsim/bench/pipeline.h"

#include "broker/clock.h"
#include "broker/host.h"
#include "broker/keys.h"
#include "broker/log.h"
#include "broker/values.h"
#include "config/config.h"
#include "schema/id.h"
#include "schema/timefmt.h"
#include "tools/doorsim/bench/alone.h"
#include "tools/doorsim/open_loop.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD_edge, THREAD_shard, THREAD_shop, START_S = 20, END_S = 10, AGAIN_MS = 2 };

/* ---- In the bridge's place ---- */

static struct feed {
    const struct pipeline_words *words;
    uint64_t next;
    uint32_t under_way;
    int64_t again_at; /* After a refusal: not before this. */
    atomic_ullong accepted, refused, asked;
    atomic_bool stop;
} feed;

static struct port *feed_open(const struct port_setup *setup) {
    (void)setup;
    return (struct port *)&feed; /* Nobody looks inside. */
}

static void feed_close(struct port *self) {
    (void)self;
}

static bool feed_ready(const struct port *self) {
    (void)self;
    return true;
}

static void feed_handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                        struct outbox *out) {
    (void)self;
    (void)out;
    uint64_t accepted = 0, refused = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t type = in[i].head.type;
        if (in[i].head.request == 0) continue; /* News for bridges. */
        if (type == MSG_order_view) accepted++;
        if (type == MSG_failed) refused++;
    }
    if (refused > 0) feed.again_at = now + AGAIN_MS * TIMEFMT_NS_PER_MS;
    feed.under_way -= (uint32_t)(accepted + refused);
    atomic_fetch_add_explicit(&feed.accepted, accepted, memory_order_relaxed);
    atomic_fetch_add_explicit(&feed.refused, refused, memory_order_relaxed);
}

static uint32_t feed_poll(struct port *self, struct pollfd *fds, uint32_t max) {
    (void)self;
    (void)fds;
    (void)max;
    return 0;
}

static int64_t feed_timeout(struct port *self, int64_t now) {
    (void)self;
    if (feed.under_way > 0) return -1;
    return feed.again_at > now ? feed.again_at - now : TIMEFMT_NS_PER_MS;
}

static void feed_step(struct port *self, int64_t now, struct outbox *out) {
    (void)self;
    if (atomic_load_explicit(&feed.stop, memory_order_relaxed) || now < feed.again_at) return;
    uint64_t asked = 0;
    while (feed.under_way < feed.words->flight && outbox_room(out) > 0) {
        uint64_t number = ++feed.next;
        struct reserve *want = ASK(out, ACTOR_inventory, reserve, ACTOR_bridge, number, number);
        want->order_id = feed.words->lot << 40 | (int64_t)number << 6;
        want->user_id = (int64_t)number; /* Everybody buys once. */
        want->lot_id = feed.words->lot;
        want->quantity = 1;
        want->kind = reserve_kind_ordinary;
        want->address = text_of(ALONE_ADDRESS);
        feed.under_way++;
        asked++;
    }
    atomic_fetch_add_explicit(&feed.asked, asked, memory_order_relaxed);
}

static const struct port_type feed_port = { .name = "feed",
                                            .batch_max = 4096,
                                            .open = feed_open,
                                            .close = feed_close,
                                            .ready = feed_ready,
                                            .handle = feed_handle,
                                            .poll = feed_poll,
                                            .timeout = feed_timeout,
                                            .step = feed_step };

/* As the server spreads them, without HTTP and door. */
static const struct host_place places[] = {
    { ACTOR_bridge, 0, THREAD_edge, NULL, &feed_port },
    { ACTOR_inventory, 0, THREAD_shard, &inventory_type, NULL },
    { ACTOR_order, 0, THREAD_shard, &order_type, NULL },
    { ACTOR_timer, 0, THREAD_shard, &timer_type, NULL },
    { PORT_redis, 0, THREAD_shard, NULL, &redis_port },
    { PORT_pg_shard, 0, THREAD_shard, NULL, &pg_port },
    { ACTOR_session, 0, THREAD_shop, &session_type, NULL },
    { ACTOR_catalogue, 0, THREAD_shop, &catalogue_type, NULL },
    { ACTOR_payment, 0, THREAD_shop, &payment_type, NULL },
    { ACTOR_notifier, 0, THREAD_shop, &notifier_type, NULL },
    { PORT_hash, 0, THREAD_shop, NULL, &hash_port },
    { PORT_pay, 0, THREAD_shop, NULL, &pay_port },
    { PORT_mail, 0, THREAD_shop, NULL, &mail_port },
    { PORT_pg_shop, 0, THREAD_shop, NULL, &pg_port },
};

/* ---- The process ---- */

static void nap(int64_t ns) {
    struct timespec time = { ns / TIMEFMT_NS_PER_S, ns % TIMEFMT_NS_PER_S };
    while (nanosleep(&time, &time) != 0)
        continue;
}

static uint64_t accepted(void) {
    return atomic_load_explicit(&feed.accepted, memory_order_relaxed);
}

/* Everybody who asked has been answered, within the time. */
static bool all_answered(void) {
    int64_t until = clock_mono() + END_S * TIMEFMT_NS_PER_S;
    atomic_store(&feed.stop, true);
    nap(5 * TIMEFMT_NS_PER_MS); /* A step under way may still ask. */
    while (atomic_load(&feed.asked) != accepted() + atomic_load(&feed.refused)) {
        if (clock_mono() > until) return false;
        nap(TIMEFMT_NS_PER_MS);
    }
    return true;
}

static bool measure(const struct pipeline_words *words, struct pipeline_result *result) {
    int64_t until = clock_mono() + START_S * TIMEFMT_NS_PER_S;
    while (accepted() == 0) { /* Recovery comes first. */
        if (clock_mono() > until) return false;
        nap(TIMEFMT_NS_PER_MS);
    }
    uint64_t sent_away = atomic_load(&feed.refused); /* While it recovered. */
    nap(words->warmup_ns);
    uint64_t before = accepted();
    int64_t began = clock_mono();
    double cpu = cpu_seconds();
    nap(words->ns);
    uint64_t after = accepted();
    double seconds = (double)(clock_mono() - began) / 1e9;
    result->per_s = (double)(after - before) / seconds;
    result->cpu_us = (cpu_seconds() - cpu) * 1e6 / (double)(after - before + (after == before));
    bool good = all_answered();
    result->accepted = accepted();
    result->refused = atomic_load(&feed.refused) - sent_away;
    return good;
}

static bool live(const struct pipeline_words *words, struct pipeline_result *result) {
    static struct config config;
    static struct seal_keys keys;
    char error[200];
    config_defaults(&config);
    (void)snprintf(config.pg_dsn, sizeof config.pg_dsn, "%s", words->dsn);
    (void)snprintf(config.redis_address, sizeof config.redis_address, "%s", words->redis);
    if (words->batch_max > 0) config.order_batch_max = words->batch_max;
    config.http_rate_user = 0; /* Nothing that is not the pipeline. */
    config.catalogue_reconcile_every = 0;
    if (!keys_load(words->keys, &keys, error, sizeof error)) {
        fprintf(stderr, "doorsim bench: %s\n", error);
        return false;
    }
    log_setup(LOG_LEVEL_error, LOG_FORMAT_logfmt, 100, STDERR_FILENO);
    feed.words = words;
    const struct host_setup setup = { .config = &config,
                                      .keys = &keys,
                                      .actor = actor_values(&config, &keys, ID_WORKER_MAX - 1),
                                      .places = places,
                                      .place_count = sizeof places / sizeof places[0] };
    struct host *host = host_open(&setup);
    if (host == NULL) return false;
    bool good = measure(words, result);
    if (!good) {
        fprintf(stderr,
                "doorsim bench: the pipeline left some without an answer: asked %llu, accepted "
                "%" PRIu64 ", refused %llu\n",
                atomic_load(&feed.asked), accepted(), atomic_load(&feed.refused));
    }
    (void)host_drain(host, config.host_drain);
    host_close(host);
    log_flush();
    return good;
}

/* A child, because a process opens its host once. */
bool pipeline_run(const struct pipeline_words *words, struct pipeline_result *result) {
    int ends[2], status = 0;
    memset(result, 0, sizeof *result);
    fflush(NULL);
    if (pipe(ends) != 0) return false;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        bool good = live(words, result);
        good = write(ends[1], result, sizeof *result) == (ssize_t)sizeof *result && good;
        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    bool got = child > 0 && read(ends[0], result, sizeof *result) == (ssize_t)sizeof *result;
    close(ends[0]);
    bool good = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                WEXITSTATUS(status) == 0;
    if (!got || !good) fprintf(stderr, "doorsim bench: the pipeline did not run\n");
    return got && good;
}
