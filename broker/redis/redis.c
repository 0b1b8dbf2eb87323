/* The port to Redis: one connection, scripts only, nothing ever replayed.
 *
 *   down --back-off--> setup (AUTH, INFO, SCRIPT LOAD of all, meta) --redis_up--> up
 *   any error, a late answer, READONLY or LOADING: every message in flight is answered
 *   `unavailable` (it may have been carried out), redis_down is sent, the connection is closed.
 *
 * hiredis is used for its buffers and its parser; the order of replies is the order of `pending`.
 * A context is never used again after an error or a timeout: a late answer would shift all others.
 */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/assets.h"
#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/port.h"
#include "broker/redis/script_call.h"
#include "config/config.h"

enum {
    MS = 1000000,
    IN_FLIGHT_MAX = 1, /* Batches under way; 2 is 1.2 times as fast and needs nothing else. */
    BATCH_MAX = 512,
    PENDING_MAX = 4 * BATCH_MAX * IN_FLIGHT_MAX + 64,
    BACKOFF_FIRST_MS = 10,
    BACKOFF_MOST_MS = 1000,
    ATTEMPTS_MAX = 2, /* Of one call, when Redis does not know the script. */
    SHA_SIZE = 41,
    READ_BYTES = 16384, /* That hiredis reads at once. */
};

enum phase { PHASE_down, PHASE_setup, PHASE_up, PHASE_burying };

/* A batch under way; the memory of its calls. */
struct slot {
    struct batch memory;
    uint32_t open; /* Calls that have no reply yet. */
};

enum pending_kind { PENDING_auth, PENDING_info, PENDING_load, PENDING_call };

struct pending {
    enum pending_kind kind;
    enum script script;       /* load */
    struct script_call *call; /* call */
    struct slot *slot;        /* call; NULL: our own meta call */
    int64_t sent;
};

struct port {
    struct script_state state;
    char host[CONFIG_TEXT_SIZE]; /* Or the path of a unix socket. */
    int tcp_port;                /* 0 = unix. */
    char user[CONFIG_TEXT_SIZE], password[CONFIG_SECRET_SIZE];
    int64_t timeout;

    enum phase phase;
    redisContext *context;
    bool told_up, unsent, blocked;
    int64_t retry_at, backoff, progress; /* Monotonic. */
    char run_id[65];
    char sha[SCRIPT_COUNT][SHA_SIZE];
    struct slot slots[IN_FLIGHT_MAX];
    struct slot *issuing; /* While a batch is planned. */
    struct batch own;     /* Of our own meta call. */
    bool asking;          /* It is under way. */
    struct batch replies;
    struct pending pending[PENDING_MAX]; /* A ring. */
    uint32_t first, count;

    struct metric_counter *calls, *drops, *undecodable;
    struct metric_histogram *seconds[SCRIPT_COUNT], *rows;
};

/* ---- Sending ---- */

static void push(struct port *self, struct pending pending) {
    assert(self->count < PENDING_MAX);
    pending.sent = clock_mono();
    if (self->count == 0) self->progress = pending.sent;
    self->pending[(self->first + self->count++) % PENDING_MAX] = pending;
    self->unsent = true;
}

static void append(struct port *self, int count, const char **words, const size_t *sizes) {
    if (redisAppendCommandArgv(self->context, count, words, sizes) != REDIS_OK) abort();
}

static void send_words(struct port *self, enum pending_kind kind, int count, const char **words) {
    size_t sizes[4];
    for (int i = 0; i < count; i++)
        sizes[i] = strlen(words[i]);
    append(self, count, words, sizes);
    push(self, (struct pending){ .kind = kind });
}

static void send_load(struct port *self, enum script script) {
    char name[64];
    snprintf(name, sizeof name, "broker/redis/%s.lua", script_name(script));
    const struct asset *asset = asset_find(name);
    assert(asset != NULL);
    const char *words[] = { "SCRIPT", "LOAD", (const char *)asset->data };
    size_t sizes[] = { 6, 4, asset->size };
    append(self, 3, words, sizes);
    push(self, (struct pending){ .kind = PENDING_load, .script = script });
}

static void send_call(struct port *self, struct script_call *call, struct slot *slot) {
    char keys[12];
    snprintf(keys, sizeof keys, "%u", call->keys);
    call->at[0] = "EVALSHA";
    call->size[0] = 7;
    call->at[1] = self->sha[call->script];
    call->size[1] = strlen(self->sha[call->script]);
    call->at[2] = keys;
    call->size[2] = strlen(keys);
    call->attempts++;
    append(self, (int)(call->words + SCRIPT_WORDS_BEFORE), call->at, call->size);
    push(self, (struct pending){ .kind = PENDING_call, .call = call, .slot = slot });
    metric_add(self->calls, 1);
}

static void ask_meta(struct port *self) {
    if (self->asking) return;
    self->asking = true;
    batch_reset(&self->own);
    send_call(self, script_meta(&self->state, &self->own), NULL);
}

/* ---- Connecting ---- */

static void schedule(struct port *self) {
    self->phase = PHASE_down;
    int64_t jitter = (int64_t)randombytes_uniform((uint32_t)(self->backoff / 2 / 1000) + 1) * 1000;
    self->retry_at = clock_mono() + self->backoff / 2 + jitter;
    self->backoff *= 2;
    if (self->backoff > (int64_t)BACKOFF_MOST_MS * MS) {
        self->backoff = (int64_t)BACKOFF_MOST_MS * MS;
    }
}

static void setup(struct port *self) {
    if (self->password[0] != 0) {
        const char *with_user[] = { "AUTH", self->user, self->password };
        const char *without[] = { "AUTH", self->password };
        if (self->user[0] != 0)
            send_words(self, PENDING_auth, 3, with_user);
        else
            send_words(self, PENDING_auth, 2, without);
    }
    const char *info[] = { "INFO", "server" };
    send_words(self, PENDING_info, 2, info);
    for (int i = 0; i < SCRIPT_COUNT; i++)
        send_load(self, (enum script)i);
}

static void connect_now(struct port *self) {
    self->context = self->tcp_port != 0 ? redisConnectNonBlock(self->host, self->tcp_port)
                                        : redisConnectUnixNonBlock(self->host);
    if (self->context == NULL) abort(); /* Out of memory. */
    if (self->context->err != 0) {
        log_warn("redis", "could not connect", LOG_TEXT("error", self->context->errstr), LOG_END);
        redisFree(self->context);
        self->context = NULL;
        schedule(self);
        return;
    }
    if (self->tcp_port != 0) redisEnableKeepAlive(self->context);
    self->phase = PHASE_setup;
    self->run_id[0] = 0;
    setup(self);
}

/* ---- Disconnecting ---- */

/* Answers what was in flight, as far as there is room, then says that Redis is gone. */
static void bury(struct port *self, struct outbox *out) {
    while (self->count > 0) {
        struct pending *pending = &self->pending[self->first];
        if (pending->kind == PENDING_call) {
            if (outbox_room(out) < script_room(pending->call)) return;
            script_fail(pending->call, PROBLEM_unavailable, out);
            if (pending->slot != NULL) pending->slot->open--;
        }
        self->first = (self->first + 1) % PENDING_MAX;
        self->count--;
    }
    if (self->told_up) {
        if (outbox_room(out) == 0) return;
        SEND(out, ACTOR_inventory, redis_down, NULL);
        self->told_up = false;
    }
    schedule(self);
}

static void drop(struct port *self, const char *why, struct outbox *out) {
    log_warn("redis", "disconnected", LOG_TEXT("why", why), LOG_I64("in_flight", self->count),
             LOG_END);
    metric_add(self->drops, 1);
    redisFree(self->context);
    self->context = NULL;
    self->phase = PHASE_burying;
    self->asking = self->unsent = self->blocked = false;
    self->state.epoch = 0; /* Until inventory has looked at who is there now. */
    self->state.boot = 0;
    bury(self, out);
}

/* ---- Replies ---- */

static struct reply convert(struct batch *memory, const redisReply *from) {
    struct reply reply = { .kind = REPLY_nil };
    switch (from->type) {
    case REDIS_REPLY_INTEGER:
        reply.kind = REPLY_integer;
        reply.integer = from->integer;
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        reply.kind = from->type == REDIS_REPLY_ERROR ? REPLY_error : REPLY_text;
        reply.text = (struct text){ from->str, (uint32_t)from->len };
        break;
    case REDIS_REPLY_ARRAY: {
        struct reply *items = batch_memory(memory, (from->elements + 1) * sizeof *items);
        for (size_t i = 0; i < from->elements; i++)
            items[i] = convert(memory, from->element[i]);
        reply.kind = REPLY_array;
        reply.items = items;
        reply.count = (uint32_t)from->elements;
        break;
    }
    default: break;
    }
    return reply;
}

/* "…run_id:<40 hex digits>\r\n…" */
static bool read_info(struct port *self, const struct reply *reply) {
    static const char name[] = "\nrun_id:";
    if (reply->kind != REPLY_text) return false;
    const char *at = memmem(reply->text.at, reply->text.size, name, sizeof name - 1);
    if (at == NULL) return false;
    at += sizeof name - 1;
    const char *end = reply->text.at + reply->text.size;
    size_t size = 0;
    while (at + size < end && size < sizeof self->run_id - 1 && at[size] > ' ')
        size++;
    memcpy(self->run_id, at, size);
    self->run_id[size] = 0;
    return size > 0;
}

static bool read_sha(struct port *self, enum script script, const struct reply *reply) {
    if (reply->kind != REPLY_text || reply->text.size != SHA_SIZE - 1) return false;
    memcpy(self->sha[script], reply->text.at, SHA_SIZE - 1);
    return true;
}

static void come_up(struct port *self) {
    self->phase = PHASE_up;
    self->told_up = true;
    self->state.run_id = self->run_id;
    self->backoff = (int64_t)BACKOFF_FIRST_MS * MS;
    log_info("redis", "connected", LOG_TEXT("run_id", self->run_id), LOG_END);
}

/* What is wrong with the connection after this reply, or NULL. */
static const char *on_call(struct port *self, struct pending *pending, const struct reply *reply,
                           struct outbox *out) {
    struct script_call *call = pending->call;
    if (reply_is_error(reply, "NOSCRIPT") && call->attempts < ATTEMPTS_MAX) {
        /* Not carried out, so it may be sent again; SCRIPT FLUSH hits all, so the order stays. */
        send_load(self, call->script);
        send_call(self, call, pending->slot);
        return NULL;
    }
    if (pending->slot != NULL)
        pending->slot->open--;
    else
        self->asking = false;
    if (self->phase == PHASE_setup && reply->kind == REPLY_error) return "meta cannot be read";
    metric_observe(self->seconds[pending->call->script], clock_mono() - pending->sent);
    metric_observe(self->rows, call->row_count);
    uint64_t undecodable = self->state.undecodable;
    enum script_verdict verdict =
        script_answer(&self->state, call, reply, text_of(self->run_id), out);
    metric_add(self->undecodable, self->state.undecodable - undecodable);
    if (self->phase == PHASE_setup) come_up(self);
    if (verdict == SCRIPT_fenced) ask_meta(self);
    return verdict == SCRIPT_useless ? "it cannot write now" : NULL;
}

static const char *on_reply(struct port *self, struct pending *pending, const struct reply *reply,
                            struct outbox *out) {
    switch (pending->kind) {
    case PENDING_auth: return reply->kind == REPLY_error ? "user or password is wrong" : NULL;
    case PENDING_info: return read_info(self, reply) ? NULL : "INFO says nothing of run_id";
    case PENDING_load:
        if (!read_sha(self, pending->script, reply)) return "script could not be loaded";
        if (self->phase == PHASE_setup && pending->script == SCRIPT_COUNT - 1) ask_meta(self);
        return NULL;
    case PENDING_call: return on_call(self, pending, reply, out);
    }
    return NULL;
}

/* NULL, or what is wrong.  Stops when there is no room for the next answers. */
static const char *read_replies(struct port *self, struct outbox *out) {
    self->blocked = false;
    for (;;) {
        struct pending pending = self->pending[self->first];
        if (self->count > 0 && pending.kind == PENDING_call &&
            outbox_room(out) < script_room(pending.call)) {
            self->blocked = true;
            return NULL;
        }
        void *got = NULL;
        if (redisGetReplyFromReader(self->context, &got) != REDIS_OK) return self->context->errstr;
        if (got == NULL) return NULL;
        if (self->count == 0) {
            freeReplyObject(got);
            return "an answer to nothing";
        }
        self->first = (self->first + 1) % PENDING_MAX;
        self->count--;
        self->progress = clock_mono();
        batch_reset(&self->replies);
        struct reply reply = convert(&self->replies, got);
        CRASH_POINT(redis_answering);
        const char *wrong = on_reply(self, &pending, &reply, out);
        CRASH_POINT(redis_answered);
        freeReplyObject(got);
        if (wrong != NULL) return wrong;
    }
}

static const char *write_out(struct port *self) {
    int done = 1;
    if (!self->unsent) return NULL;
    CRASH_POINT(redis_sending);
    if (redisBufferWrite(self->context, &done) != REDIS_OK) return self->context->errstr;
    CRASH_POINT(redis_sent);
    self->unsent = done == 0;
    return NULL;
}

static const char *read_in(struct port *self) {
    for (;;) {
        size_t before = self->context->reader->len;
        if (redisBufferRead(self->context) != REDIS_OK) return self->context->errstr;
        if (self->context->reader->len < before + READ_BYTES) return NULL;
    }
}

static const char *exchange(struct port *self, struct outbox *out) {
    const char *wrong = write_out(self);
    if (wrong == NULL) wrong = read_in(self);
    if (self->context->reader->len > 0) CRASH_POINT(redis_read);
    /* What arrived before the end of the connection still counts. */
    const char *replies = read_replies(self, out);
    if (wrong == NULL) wrong = replies;
    if (wrong == NULL) wrong = write_out(self);
    if (wrong == NULL && self->count > 0 && !self->blocked &&
        clock_mono() - self->progress > self->timeout) {
        wrong = "no answer in time";
    }
    return wrong;
}

/* ---- The port ---- */

static void issue(void *context, struct script_call *call) {
    struct port *self = context;
    self->issuing->open++;
    send_call(self, call, self->issuing);
}

static bool redis_ready(const struct port *self) {
    if (self->phase != PHASE_up) return true; /* To be answered at once. */
    for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
        if (self->slots[i].open == 0) return true;
    }
    return false;
}

static void redis_handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                         struct outbox *out) {
    if (self->phase != PHASE_up) {
        for (uint32_t i = 0; i < count; i++)
            script_refuse(&in[i], PROBLEM_unavailable, out);
        return;
    }
    struct slot *slot = self->slots;
    while (slot->open > 0)
        slot++; /* ready() has said that there is one. */
    assert(slot < self->slots + IN_FLIGHT_MAX);
    batch_reset(&slot->memory);
    self->issuing = slot;
    script_plan(&self->state, in, count, now, &slot->memory, out, issue, self);
    const char *wrong = write_out(self);
    if (wrong != NULL) drop(self, wrong, out);
}

static void redis_step(struct port *self, int64_t now, struct outbox *out) {
    (void)now; /* Wall time may jump; durations here are monotonic. */
    if (self->phase == PHASE_burying) bury(self, out);
    if (self->phase == PHASE_down && clock_mono() >= self->retry_at) connect_now(self);
    if (self->phase != PHASE_setup && self->phase != PHASE_up) return;
    const char *wrong = exchange(self, out);
    if (wrong != NULL) {
        char why[128];
        snprintf(why, sizeof why, "%s", wrong); /* It may lie in the context. */
        drop(self, why, out);
    }
}

static uint32_t redis_poll(struct port *self, struct pollfd *fds, uint32_t max) {
    if (self->context == NULL || max == 0) return 0;
    short events = self->unsent ? POLLIN | POLLOUT : POLLIN;
    fds[0] = (struct pollfd){ .fd = self->context->fd, .events = events };
    return 1;
}

static int64_t redis_timeout(struct port *self, int64_t now) {
    (void)now;
    int64_t left = -1;
    if (self->blocked || self->phase == PHASE_burying) return 0;
    if (self->phase == PHASE_down)
        left = self->retry_at - clock_mono();
    else if (self->count > 0)
        left = self->progress + self->timeout - clock_mono();
    else
        return -1;
    return left > 0 ? left : 0;
}

static void redis_close(struct port *self) {
    if (self == NULL) return;
    if (self->context != NULL) redisFree(self->context);
    for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++)
        batch_fini(&self->slots[i].memory);
    batch_fini(&self->own);
    batch_fini(&self->replies);
    sodium_memzero(self->password, sizeof self->password);
    free(self);
}

/* "/path", or "host:port"; "[::1]:6379" for an address with colons. */
static bool read_address(struct port *self, const char *address) {
    if (address[0] == '/') {
        snprintf(self->host, sizeof self->host, "%s", address);
        return true;
    }
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address) return false;
    char *end;
    long number = strtol(colon + 1, &end, 10);
    if (*end != 0 || number < 1 || number > 65535) return false;
    size_t size = (size_t)(colon - address);
    if (address[0] == '[' && colon[-1] == ']' && size > 2) {
        address++;
        size -= 2;
    }
    snprintf(self->host, sizeof self->host, "%.*s", (int)size, address);
    self->tcp_port = (int)number;
    return true;
}

/* Shard k has the k-th address of the list, and so on around. */
static struct text address_of(const char *list, uint32_t shard) {
    uint32_t count = 0, wanted = 0;
    for (int round = 0; round < 2; round++) {
        const char *at = list + strspn(list, " ");
        for (uint32_t i = 0; *at != 0; i++, at += strspn(at, " ")) {
            size_t size = strcspn(at, " ");
            if (round == 1 && i == wanted) return (struct text){ at, (uint32_t)size };
            at += size;
            count = i + 1;
        }
        if (count > 0) wanted = shard % count;
    }
    return (struct text){ "", 0 };
}

static void redis_reload(struct port *self, const struct config *config) {
    self->timeout = config->redis_timeout;
    self->state.journal_cap = (uint32_t)config->order_journal_cap;
}

static bool configure(struct port *self, const struct config *config) {
    struct config_error error;
    struct text address = address_of(config->redis_address, self->state.shard);
    char one[CONFIG_TEXT_SIZE];
    snprintf(one, sizeof one, "%.*s", (int)address.size, address.at);
    if (!read_address(self, one)) {
        log_error("redis", "redis.address is neither a path nor host:port",
                  LOG_TEXT("address", one), LOG_END);
        return false;
    }
    snprintf(self->user, sizeof self->user, "%s", config->redis_user);
    if (config->redis_password_file[0] != 0 &&
        !config_secret(config->redis_password_file, self->password, &error)) {
        log_error("redis", "password cannot be read", LOG_TEXT("error", error.text), LOG_END);
        return false;
    }
    redis_reload(self, config);
    return true;
}

static struct port *redis_open(const struct port_setup *from) {
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->state.shard = from->shard;
    self->backoff = (int64_t)BACKOFF_FIRST_MS * MS;
    for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++)
        batch_init(&self->slots[i].memory);
    batch_init(&self->own);
    batch_init(&self->replies);
    if (sodium_init() < 0 || !configure(self, from->config)) {
        redis_close(self);
        return NULL;
    }
    self->calls =
        metrics_counter("redis_calls_total", "Script calls sent to Redis.", METRIC_NO_LABELS);
    self->drops =
        metrics_counter("redis_drops_total", "Connections to Redis given up.", METRIC_NO_LABELS);
    self->undecodable = metrics_counter("redis_journal_unreadable_total",
                                        "Journal rows that could not be read.", METRIC_NO_LABELS);
    for (int i = 0; i < SCRIPT_COUNT; i++)
        self->seconds[i] =
            metrics_histogram("redis_call_seconds", "From sending a script to its reply.",
                              METRIC_seconds, METRIC_LABELS("script", script_name((enum script)i)));
    self->rows = metrics_histogram("redis_call_rows", "Messages in a script call.", METRIC_count,
                                   METRIC_NO_LABELS);
    return self;
}

const struct port_type redis_port = {
    .name = "redis",
    .batch_max = BATCH_MAX,
    .open = redis_open,
    .close = redis_close,
    .ready = redis_ready,
    .handle = redis_handle,
    .poll = redis_poll,
    .timeout = redis_timeout,
    .step = redis_step,
    .reload = redis_reload,
};
