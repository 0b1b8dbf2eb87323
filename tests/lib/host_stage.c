#include "tests/lib/host_stage.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/metrics.h"
#include "broker/ready.h"

enum { MS = 1000000, PATIENCE_MS = 5000, METRICS_SIZE = 1 << 20 };

static struct {
    pthread_mutex_t lock;
    struct stage_seen seen[STAGE_SEEN_MAX];
    uint32_t count;
    struct stage_seen sent[STAGE_SEEN_MAX];
    uint32_t sent_count;
    enum links_sent answer;
    struct batch arriving[HOST_THREADS_MAX];
    stage_step *step;
    bool crash_at_start;
    char letter[65536];
    uint32_t letter_size;
} play = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- Actors ---- */

struct part {
    enum address address;
    uint8_t shard;
    uint64_t handled;
};

static int64_t value_of(const struct message *message) {
    if (message->head.type == MSG_order_get) return BODY(message, order_get)->order_id;
    if (message->head.type == MSG_failed) return (int64_t)BODY(message, failed)->problem;
    return 0;
}

static void note(struct part *self, const struct message *in) {
    self->handled++;
    if (in->head.type == MSG_tick) return;
    pthread_mutex_lock(&play.lock);
    assert(play.count < STAGE_SEEN_MAX);
    play.seen[play.count++] = (struct stage_seen){ .at = self->address,
                                                   .at_shard = self->shard,
                                                   .nth = self->handled,
                                                   .head = in->head,
                                                   .value = value_of(in) };
    pthread_mutex_unlock(&play.lock);
}

/* The host gives zeroed memory, also when a part starts anew. */
static void init_part(struct part *self, enum address address, uint8_t shard) {
    self->address = address;
    self->shard = shard;
}

static void init_bridge(void *self, const struct actor_setup *setup) {
    init_part(self, ACTOR_bridge, setup->shard);
}

static void handle_bridge(void *self, const struct message *in, uint32_t count, int64_t now,
                          struct outbox *out) {
    (void)now;
    for (uint32_t i = 0; i < count; i++) {
        note(self, &in[i]);
        if (in[i].head.type == MSG_stop) REPLY(out, &in[i], stopped);
        if (in[i].head.type != MSG_tick) continue;
        pthread_mutex_lock(&play.lock);
        stage_step *step = play.step;
        pthread_mutex_unlock(&play.lock);
        if (step == NULL) continue;
        step(out);
        pthread_mutex_lock(&play.lock);
        play.step = NULL;
        pthread_mutex_unlock(&play.lock);
    }
}

static void init_order(void *self, const struct actor_setup *setup) {
    init_part(self, ACTOR_order, setup->shard);
}

static void handle_order(void *self, const struct message *in, uint32_t count, int64_t now,
                         struct outbox *out) {
    (void)now;
    pthread_mutex_lock(&play.lock);
    bool crash = play.crash_at_start;
    pthread_mutex_unlock(&play.lock);
    for (uint32_t i = 0; i < count; i++) {
        assert(!crash || in[i].head.type != MSG_started);
        if (in[i].head.type == MSG_order_get)
            assert(BODY(&in[i], order_get)->order_id != STAGE_POISON);
        note(self, &in[i]);
        if (in[i].head.type == MSG_stop) REPLY(out, &in[i], stopped);
        if (in[i].head.type == MSG_order_get) ANSWER(out, &in[i], done);
        if (in[i].head.type == MSG_recover) EVERY(out, ACTOR_bridge, done);
    }
}

static void init_broker(void *self, const struct actor_setup *setup) {
    init_part(self, ACTOR_broker, setup->shard);
}

static void handle_broker(void *self, const struct message *in, uint32_t count, int64_t now,
                          struct outbox *out) {
    (void)now, (void)out;
    for (uint32_t i = 0; i < count; i++) {
        note(self, &in[i]);
        if (in[i].head.type != MSG_dead_letter_add) continue;
        struct text content = BODY(&in[i], dead_letter_add)->content;
        pthread_mutex_lock(&play.lock);
        memcpy(play.letter, content.at, content.size);
        play.letter_size = content.size;
        pthread_mutex_unlock(&play.lock);
    }
}

static const struct actor_type broker = {
    .name = "broker",
    .address = ACTOR_broker,
    .state_size = sizeof(struct part),
    .batch_max = 16,
    .sends_max = 1,
    .init = init_broker,
    .handle = handle_broker,
};
static const struct actor_type bridge = {
    .name = "bridge",
    .address = ACTOR_bridge,
    .state_size = sizeof(struct part),
    .batch_max = 256,
    .sends_max = 5000,
    .tick_every = MS,
    .init = init_bridge,
    .handle = handle_bridge,
};
static const struct actor_type order = {
    .name = "order",
    .address = ACTOR_order,
    .state_size = sizeof(struct part),
    .batch_max = 256,
    .sends_max = 2,
    .tick_every = 5 * MS,
    .init = init_order,
    .handle = handle_order,
};

/* ---- Links ---- */

struct links {
    uint32_t thread;
};

static struct links *links_open(void *context, uint32_t thread) {
    struct links *self = context;
    self[thread].thread = thread;
    return &self[thread];
}

static void links_close(struct links *self) {
    (void)self;
}

static enum links_sent links_send(struct links *self, uint16_t node, uint8_t thread,
                                  const struct message *message, bool must) {
    (void)self;
    pthread_mutex_lock(&play.lock);
    enum links_sent answer = play.answer;
    if (answer == LINKS_FULL && must) answer = LINKS_SENT;
    if (answer == LINKS_SENT) {
        play.sent[play.sent_count++] = (struct stage_seen){ .at = (enum address)message->head.from,
                                                            .head = message->head,
                                                            .value = value_of(message),
                                                            .node = node,
                                                            .thread = thread,
                                                            .must = must };
    }
    pthread_mutex_unlock(&play.lock);
    return answer;
}

static bool links_receive(struct links *self, int64_t now, struct batch *to) {
    (void)now;
    pthread_mutex_lock(&play.lock);
    struct batch *from = &play.arriving[self->thread];
    bool any = from->count > 0;
    for (uint32_t i = 0; i < from->count; i++)
        batch_append(to, &from->items[i]);
    batch_reset(from);
    pthread_mutex_unlock(&play.lock);
    return any;
}

static void links_flush(struct links *self, int64_t now) {
    (void)self, (void)now;
}

static void links_follow(struct links *self, const struct placement_map *map) {
    (void)self, (void)map;
}

static uint32_t links_poll(struct links *self, struct pollfd *fds, uint32_t max) {
    (void)self, (void)fds, (void)max;
    return 0;
}

static int64_t links_timeout(struct links *self, int64_t now) {
    (void)self, (void)now;
    return MS; /* Looked at often enough. */
}

static const struct links_type links_type = {
    .open = links_open,
    .close = links_close,
    .send = links_send,
    .receive = links_receive,
    .flush = links_flush,
    .follow = links_follow,
    .poll = links_poll,
    .timeout = links_timeout,
};

/* ---- The stage ---- */

void stage_open(struct stage *self, uint32_t shards, uint32_t threads, unsigned parts) {
    static struct links links[HOST_THREADS_MAX];
    struct host_place places[2 + SHARDS_MAX] = { { ACTOR_bridge, 0, 0, &bridge, NULL } };
    for (uint32_t i = 0; i < shards; i++) {
        places[1 + i] = (struct host_place){ ACTOR_order, (uint8_t)i, i % threads, &order, NULL };
    }
    uint32_t count = 1 + shards;
    if ((parts & STAGE_broker) != 0) {
        places[count++] = (struct host_place){ ACTOR_broker, 0, 0, &broker, NULL };
    }
    bool nodes = (parts & STAGE_nodes) != 0;
    config_defaults(&self->config);
    metrics_reset();
    ready_reset();
    play.count = play.sent_count = 0;
    play.answer = LINKS_SENT;
    play.step = NULL;
    play.crash_at_start = false;
    play.letter_size = 0;
    placement_init(&self->placement);
    struct host_setup setup = { .config = &self->config,
                                .actor = { .node = STAGE_NODE, .shards = (uint8_t)shards },
                                .places = places,
                                .place_count = count,
                                .placement = nodes ? &self->placement : NULL,
                                .links = nodes ? &links_type : NULL,
                                .links_context = links };
    self->host = host_open(&setup);
    if (self->host == NULL) abort();
}

void stage_close(struct stage *self) {
    host_close(self->host);
    placement_fini(&self->placement);
    for (uint32_t i = 0; i < HOST_THREADS_MAX; i++)
        batch_fini(&play.arriving[i]);
}

static void rest(void) {
    nanosleep(&(struct timespec){ 0, MS }, NULL);
}

void stage_do(stage_step *step) {
    bool done = false;
    pthread_mutex_lock(&play.lock);
    play.step = step;
    pthread_mutex_unlock(&play.lock);
    for (int i = 0; i < PATIENCE_MS && !done; i++) {
        rest();
        pthread_mutex_lock(&play.lock);
        done = play.step == NULL;
        pthread_mutex_unlock(&play.lock);
    }
    if (!done) abort();
}

static bool fits(const struct stage_seen *seen, enum address at, int shard, enum message_id id) {
    return seen->at == at && (shard < 0 || seen->at_shard == (uint8_t)shard) &&
           seen->head.type == (uint16_t)id;
}

static uint32_t count_seen(enum address at, int shard, enum message_id id, uint32_t nth,
                           struct stage_seen *found) {
    uint32_t count = 0;
    pthread_mutex_lock(&play.lock);
    for (uint32_t i = 0; i < play.count; i++) {
        if (fits(&play.seen[i], at, shard, id) && count++ == nth) *found = play.seen[i];
    }
    pthread_mutex_unlock(&play.lock);
    return count;
}

static uint32_t count_sent(uint16_t node, enum message_id id, uint32_t nth,
                           struct stage_seen *found) {
    uint32_t count = 0;
    pthread_mutex_lock(&play.lock);
    for (uint32_t i = 0; i < play.sent_count; i++) {
        const struct stage_seen *sent = &play.sent[i];
        bool fit = sent->node == node && sent->head.type == (uint16_t)id;
        if (fit && count++ == nth) *found = *sent;
    }
    pthread_mutex_unlock(&play.lock);
    return count;
}

uint32_t stage_wait(enum address at, int shard, enum message_id id, uint32_t count) {
    struct stage_seen found;
    for (int i = 0; i < PATIENCE_MS && count_seen(at, shard, id, 0, &found) < count; i++)
        rest();
    for (int i = 0; i < 10; i++)
        rest(); /* Is there one too many? */
    return count_seen(at, shard, id, 0, &found);
}

uint32_t stage_wait_sent(uint16_t node, enum message_id id, uint32_t count) {
    struct stage_seen found;
    for (int i = 0; i < PATIENCE_MS && count_sent(node, id, 0, &found) < count; i++)
        rest();
    for (int i = 0; i < 10; i++)
        rest();
    return count_sent(node, id, 0, &found);
}

struct stage_seen stage_get(enum address at, int shard, enum message_id id, uint32_t nth) {
    struct stage_seen found = { 0 };
    count_seen(at, shard, id, nth, &found);
    return found;
}

struct stage_seen stage_get_sent(uint16_t node, enum message_id id, uint32_t nth) {
    struct stage_seen found = { 0 };
    count_sent(node, id, nth, &found);
    return found;
}

void stage_arrive(uint32_t thread, const struct head *head, const void *body) {
    pthread_mutex_lock(&play.lock);
    batch_append(&play.arriving[thread], &(struct message){ *head, body });
    pthread_mutex_unlock(&play.lock);
}

void stage_links_say(enum links_sent answer) {
    pthread_mutex_lock(&play.lock);
    play.answer = answer;
    pthread_mutex_unlock(&play.lock);
}

int64_t stage_metric(const char *name) {
    char *text = malloc(METRICS_SIZE), line[256];
    int64_t value = -1;
    if (text == NULL) abort();
    metrics_write(text, METRICS_SIZE);
    snprintf(line, sizeof line, "\ndoorbuster_%s ", name);
    const char *at = strstr(text, line);
    if (at != NULL) value = strtoll(at + strlen(line), NULL, 10);
    free(text);
    return value;
}

int64_t stage_wait_metric(const char *name, int64_t least) {
    for (int i = 0; i < PATIENCE_MS && stage_metric(name) < least; i++)
        rest();
    return stage_metric(name);
}

void stage_crash_at_start(bool yes) {
    pthread_mutex_lock(&play.lock);
    play.crash_at_start = yes;
    pthread_mutex_unlock(&play.lock);
}

struct text stage_letter(void) {
    return (struct text){ play.letter, play.letter_size };
}
