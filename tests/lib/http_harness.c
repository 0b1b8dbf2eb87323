#include "tests/lib/http_harness.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/clock.h"

enum { ROOM = 64 };

void http_harness_init(struct http_harness *self) {
    static const char key[] = "1 000102030405060708090a0b0c0d0e0f"
                              "101112131415161718191a1b1c1d1e1f\n";
    uint32_t line;
    memset(self, 0, sizeof *self);
    self->type = &http_port;
    config_defaults(&self->config);
    snprintf(self->config.http_listen, sizeof self->config.http_listen, "127.0.0.1:0");
    bool good = seal_keys_parse(&self->keys, key, sizeof key - 1, &line);
    assert(good);
    (void)good;
}

void http_harness_token(const struct http_harness *self, int seconds, char to[SEAL_TEXT_MAX + 1]) {
    struct access_claims claims = { .session_id = 8,
                                    .user_id = 7,
                                    .expires_at = clock_now() + seconds * INT64_C(1000000000) };
    seal_write(&self->keys, MSG_access_claims, &claims, to);
}

/* Hands what the port sent to `serve`, and its answers back, until nobody says anything. */
static void deliver(struct http_harness *self, struct batch *sent, struct batch *answers) {
    struct outbox out = batch_outbox(answers, ACTOR_bridge, 0, 4096);
    for (uint32_t i = 0; i < sent->count; i++) {
        const struct message *in = &sent->items[i];
        if (in->head.type == MSG_stopped) {
            atomic_fetch_add(&self->stopped, 1);
            continue;
        }
        atomic_fetch_add(&self->requests, 1);
        self->serve(self->context, in, &out);
    }
    batch_reset(sent);
    struct outbox none = batch_outbox(sent, PORT_http, 0, ROOM);
    self->type->handle(self->port, answers->items, answers->count, clock_now(), &none);
    batch_reset(answers);
}

static void *run(void *context) {
    struct http_harness *self = context;
    struct batch sent, answers;
    bool told = false;
    batch_init(&sent);
    batch_init(&answers);
    while (!atomic_load(&self->ending)) {
        struct outbox out = batch_outbox(&sent, PORT_http, 0, ROOM);
        struct stop body = { 0 };
        struct message stop = { { .type = MSG_stop, .from = ACTOR_bridge }, &body };
        int64_t now = clock_now() + self->wall_shift;
        if (atomic_load(&self->stop) && !told) {
            told = true;
            self->type->handle(self->port, &stop, 1, now, &out);
        }
        const struct config *config = atomic_load(&self->reload);
        if (config != NULL) {
            self->type->reload(self->port, config);
            atomic_store(&self->reload, NULL);
        }
        self->type->step(self->port, now, &out);
        if (sent.count > 0)
            deliver(self, &sent, &answers);
        else
            self->type->wait(self->port, NULL, 0, 20 * INT64_C(1000000));
    }
    batch_fini(&sent);
    batch_fini(&answers);
    return NULL;
}

void http_harness_start(struct http_harness *self) {
    struct port_setup setup = { .config = &self->config, .keys = &self->keys, .self = PORT_http };
    self->port = self->type->open(&setup);
    assert(self->port != NULL);
    self->tcp_port = http_tcp_port(self->port, false);
    int failed = pthread_create(&self->thread, NULL, run, self);
    assert(failed == 0);
    (void)failed;
}

void http_harness_end(struct http_harness *self) {
    atomic_store(&self->ending, true);
    pthread_join(self->thread, NULL);
    self->type->close(self->port);
}

int http_harness_dial(const struct http_harness *self) {
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(self->tcp_port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { 4, 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) abort();
    return fd;
}
