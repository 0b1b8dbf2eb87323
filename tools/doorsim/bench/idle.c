/* Memory of connections that do nothing: more of them in each round, none closed before the end. */
#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/api.h"
#include "tools/doorsim/bench/bench.h"

#include <stdlib.h>
#include <time.h>

enum { PATIENCE_S = 20, WARM_AT_ONCE = 100, SETTLE_MS = 200 };

struct knock {
    struct http_call call;
    const char *authority, *path;
    bool good;
};

static void write_knock(struct http_call *call, struct textbuf *request) {
    const struct knock *self = (const struct knock *)call;
    api_get(request, self->authority, NULL, self->path, NULL);
}

static void on_knocked(struct http_call *call, enum http_outcome outcome,
                       const struct http_response *response) {
    struct knock *self = (struct knock *)call;
    self->good = outcome == HTTP_answered && response->status < 400;
}

/* Every connection has asked once: one that never did may cost less. */
static bool knock_on_all(struct http_loop *loop, struct http_client *client, unsigned count,
                         const char *path) {
    struct knock *knocks = calloc(count, sizeof *knocks);
    bool good = knocks != NULL;
    for (unsigned i = 0; good && i < count; i++) {
        knocks[i] = (struct knock){ .call = { .write = write_knock, .done = on_knocked },
                                    .authority = http_client_authority(client),
                                    .path = path };
        http_client_send(client, &knocks[i].call);
    }
    while (good && http_client_pending(client) > 0) {
        http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_S);
    }
    for (unsigned i = 0; good && i < count; i++) {
        good = knocks[i].good;
    }
    free(knocks);
    return good;
}

static struct http_client *open_many(struct bench *self, struct http_loop *loop) {
    struct http_url url;
    unsigned count = (unsigned)self->words->idle;
    if (!http_url_read(self->words->base, &url)) return NULL;
    struct http_client *client = http_client_open(
        loop,
        &(struct http_client_options){ .host = url.host,
                                       .port = url.port,
                                       .connections = count,
                                       .timeout_ns = self->words->timeout_ms * TIMEFMT_NS_PER_MS,
                                       .in_turns = true });
    int64_t until = clock_mono() + PATIENCE_S * TIMEFMT_NS_PER_S;
    while (client != NULL && http_client_warm(client, WARM_AT_ONCE) > 0 && clock_mono() < until) {
        http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_MS);
    }
    if (client != NULL && !knock_on_all(loop, client, count, self->words->nothing)) {
        http_client_close(&client);
    }
    return client;
}

bool bench_idle(struct bench *self) {
    const struct bench_words *words = self->words;
    struct http_client *clients[ROUNDS_MAX] = { 0 };
    if (words->idle == 0 || words->server_pid == 0 || words->nothing == NULL ||
        !bench_wants(self, "idle")) {
        return true;
    }
    struct http_loop *loop = http_loop_open();
    bool good = loop != NULL;
    for (int64_t i = 0; good && i < words->rounds && i < ROUNDS_MAX; i++) {
        double before = resident_kib((long)words->server_pid);
        good = (clients[i] = open_many(self, loop)) != NULL;
        nanosleep(&(struct timespec){ .tv_nsec = SETTLE_MS * TIMEFMT_NS_PER_MS }, NULL);
        double after = resident_kib((long)words->server_pid);
        if (good) {
            book_add(&self->book, FIGURE_idle_connection, (after - before) / (double)words->idle);
        }
    }
    for (int i = 0; i < ROUNDS_MAX; i++) {
        http_client_close(&clients[i]);
    }
    http_loop_close(&loop);
    if (!good) fprintf(stderr, "doorsim bench: idle connections could not be made\n");
    return good;
}
