/* The reserve script without anything around it. */
#include "broker/assets.h"
#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/redis/script_call.h"
#include "tools/doorsim/bench/alone.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHA_SIZE = 41, LOT = 4711, BOOT = 99, JOURNAL_CAP = 100000000, FLIGHT_MAX = 8 };

struct alone_redis {
    redisContext *context;
    struct script_state state;
    uint32_t epoch;
    int64_t next; /* The next order and buyer: nobody buys twice. */
    char sha[SCRIPT_COUNT][SHA_SIZE];
    struct batch messages, nowhere;
    struct batch calls[FLIGHT_MAX]; /* Memory of the calls under way. */
    unsigned turn;
    bool good;
};

static bool complain(const struct alone_redis *self, const char *what) {
    fprintf(stderr, "doorsim bench: Redis: %s: %s\n", what,
            self->context != NULL ? self->context->errstr : "");
    return false;
}

static bool load_scripts(struct alone_redis *self) {
    for (int script = 0; script < SCRIPT_COUNT; script++) {
        char name[64];
        (void)snprintf(name, sizeof name, "broker/redis/%s.lua", script_name((enum script)script));
        const struct asset *asset = asset_find(name);
        if (asset == NULL) return complain(self, name);
        redisReply *reply = redisCommand(self->context, "SCRIPT LOAD %b", asset->data, asset->size);
        bool good =
            reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == SHA_SIZE - 1;
        if (good) memcpy(self->sha[script], reply->str, SHA_SIZE);
        if (reply != NULL) freeReplyObject(reply);
        if (!good) return complain(self, "a script could not be loaded");
    }
    return true;
}

static void append_call(void *context, struct script_call *call) {
    struct alone_redis *self = context;
    char keys[12];
    (void)snprintf(keys, sizeof keys, "%u", call->keys);
    call->at[0] = "EVALSHA";
    call->size[0] = 7;
    call->at[1] = self->sha[call->script];
    call->size[1] = SHA_SIZE - 1;
    call->at[2] = keys;
    call->size[2] = strlen(keys);
    int words = (int)(call->words + SCRIPT_WORDS_BEFORE);
    if (redisAppendCommandArgv(self->context, words, call->at, call->size) != REDIS_OK) {
        self->good = false;
    }
}

/* Makes the calls of what has been gathered; they are sent with the next read. */
static void send_messages(struct alone_redis *self) {
    struct batch *memory = &self->calls[self->turn++ % FLIGHT_MAX];
    struct outbox out = batch_outbox(&self->nowhere, ACTOR_inventory, ALONE_SHARD, 4096);
    batch_reset(memory);
    script_plan(&self->state, self->messages.items, self->messages.count, 0, memory, &out,
                append_call, self);
    batch_reset(&self->messages);
    batch_reset(&self->nowhere);
}

static void *message(struct alone_redis *self, enum message_id id) {
    const struct message_type *type = message_type(id);
    struct head head = { .type = (uint16_t)id, .from = ACTOR_inventory, .to = PORT_redis };
    head.shard = ALONE_SHARD;
    void *body = batch_take(&self->messages, &head, type);
    memset(body, 0, type->size);
    return body;
}

/* Reads one reply; with `rows` it must say that all of them were taken. */
static bool read_reply(struct alone_redis *self, uint32_t rows) {
    redisReply *reply = NULL;
    if (!self->good || redisGetReply(self->context, (void **)&reply) != REDIS_OK) {
        return complain(self, "no reply");
    }
    bool good = reply->type != REDIS_REPLY_ERROR;
    if (good && rows > 0) {
        good = reply->type == REDIS_REPLY_ARRAY && reply->elements > 2 &&
               strtoul(reply->element[2]->str, NULL, 10) == rows;
    }
    if (!good) {
        fprintf(stderr, "doorsim bench: Redis did not take %u rows: %s\n", rows,
                reply->type == REDIS_REPLY_ERROR ? reply->str : "fenced or refused");
    }
    freeReplyObject(reply);
    return good;
}

/* An empty shard with one lot, under a new epoch. */
static bool install(struct alone_redis *self) {
    self->epoch++;
    ((struct install_begin *)message(self, MSG_install_begin))->epoch = self->epoch;
    struct install_lot *lot = message(self, MSG_install_lot);
    lot->epoch = self->epoch;
    lot->lot_id = LOT;
    lot->state = lot_state_open;
    lot->available = UNITS_MAX;
    lot->per_buyer_limit = 1;
    struct install_end *end = message(self, MSG_install_end);
    end->epoch = self->epoch;
    end->boot = BOOT;
    struct epoch_use *use = message(self, MSG_epoch_use);
    use->epoch = self->epoch;
    use->boot = BOOT;
    send_messages(self);
    return read_reply(self, 0) && read_reply(self, 0) && read_reply(self, 0);
}

struct alone_redis *alone_redis_open(const char *address) {
    struct alone_redis *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->good = true;
    self->state.shard = ALONE_SHARD;
    self->state.journal_cap = JOURNAL_CAP;
    self->next = 1;
    batch_init(&self->messages);
    batch_init(&self->nowhere);
    for (int i = 0; i < FLIGHT_MAX; i++) {
        batch_init(&self->calls[i]);
    }
    self->context = redisConnectUnix(address);
    bool good = self->context != NULL && self->context->err == 0;
    if (!good) (void)complain(self, address);
    good = good && load_scripts(self);
    if (good) return self;
    alone_redis_close(&self);
    return NULL;
}

static void send_reserves(struct alone_redis *self, uint32_t rows) {
    for (uint32_t i = 0; i < rows; i++) {
        struct reserve *reserve = message(self, MSG_reserve);
        reserve->order_id = (INT64_C(1) << 50) + self->next;
        reserve->user_id = self->next++;
        reserve->lot_id = LOT;
        reserve->quantity = 1;
        reserve->kind = reserve_kind_ordinary;
        reserve->address = text_of(ALONE_ADDRESS);
    }
    send_messages(self);
}

/* redisGetReply writes what waits only when it has nothing to read. */
static bool flush(struct alone_redis *self) {
    int done = 0;
    while (done == 0) {
        if (redisBufferWrite(self->context, &done) != REDIS_OK) return complain(self, "write");
    }
    return true;
}

double alone_redis_round(struct alone_redis *self, uint32_t rows, unsigned flight, int64_t ns) {
    if (!install(self)) return -1;
    int64_t started = clock_mono(), ends = started + ns, now = started;
    uint64_t taken = 0;
    unsigned sent = 0;
    bool good = true;
    while (good && (now < ends || sent > 0)) {
        for (; good && sent < flight && now < ends; sent++) {
            send_reserves(self, rows);
            good = flush(self);
        }
        good = good && read_reply(self, rows);
        sent--;
        taken += rows;
        now = clock_mono();
    }
    return good ? (double)taken / ((double)(now - started) / 1e9) : -1;
}

void alone_redis_close(struct alone_redis **self_at) {
    struct alone_redis *self = *self_at;
    if (self == NULL) return;
    *self_at = NULL;
    if (self->context != NULL) redisFree(self->context);
    batch_fini(&self->messages);
    batch_fini(&self->nowhere);
    for (int i = 0; i < FLIGHT_MAX; i++) {
        batch_fini(&self->calls[i]);
    }
    free(self);
}
