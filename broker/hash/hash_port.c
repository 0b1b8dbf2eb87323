/* hash_make -> hash_made | failed;  hash_check -> hash_checked | failed;  full -> hashing_busy */
#include <stdlib.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/hash/pool.h"
#include "broker/heads.h"
#include "broker/log.h"
#include "broker/port.h"
#include "config/config.h"

struct port {
    struct hash_pool *pool;
    struct heads heads;
};

static struct port *open_port(const struct port_setup *setup) {
    const struct config *config = setup->config;
    struct hash_pool_config pool = { .threads = (uint32_t)config->session_hash_threads,
                                     .queue_max = (uint32_t)config->session_hash_queue,
                                     .memory = (uint64_t)config->session_hash_memory,
                                     .passes = (uint32_t)config->session_hash_passes,
                                     .nice = 10 }; /* A sale goes before log-ins. */
    struct port *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->pool = hash_pool_open(&pool);
    if (self->pool == NULL) {
        log_error("hash", "could not start the password pool", LOG_END);
        free(self);
        return NULL;
    }
    return self;
}

static void close_port(struct port *self) {
    if (self == NULL) return;
    hash_pool_close(&self->pool);
    free(self);
}

static bool ready(const struct port *self) {
    (void)self;
    return true;
}

static enum hash_start start(struct port *self, const struct message *in, uint64_t tag) {
    if (in->head.type == MSG_hash_make) {
        struct text password = BODY(in, hash_make)->password;
        return hash_pool_make(self->pool, tag, password.at, password.size);
    }
    const struct hash_check *check = BODY(in, hash_check);
    struct text hash = check->hash.size > 0 ? check->hash : text_of(hash_pool_decoy(self->pool));
    return hash_pool_verify(self->pool, tag, check->password.at, check->password.size, hash.at,
                            hash.size);
}

static void handle(struct port *self, const struct message *in, uint32_t count, int64_t now,
                   struct outbox *out) {
    (void)now;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t tag;
        if (in[i].head.type == MSG_stop) continue;
        if (!heads_put(&self->heads, &in[i].head, &tag)) {
            outbox_reply_failed(out, &in[i], PROBLEM_hashing_busy);
        } else if (start(self, &in[i], tag) != HASH_started) {
            heads_take(&self->heads, tag);
            struct failed *failed = REPLY(out, &in[i], failed);
            failed->problem = PROBLEM_hashing_busy;
            failed->what = in[i].head.type;
            failed->retry_after = 2;
        } else {
            CRASH_POINT(hash_taken);
        }
    }
}

static void step(struct port *self, int64_t now, struct outbox *out) {
    struct hash_result result;
    (void)now;
    while (outbox_room(out) > 0 && hash_pool_next(self->pool, &result)) {
        struct message cause = heads_take(&self->heads, result.tag);
        CRASH_POINT(hash_told);
        if (result.outcome == HASH_failed) {
            outbox_reply_failed(out, &cause, PROBLEM_internal);
        } else if (cause.head.type == MSG_hash_make) {
            char *phc = outbox_text(out, sizeof result.phc);
            memcpy(phc, result.phc, sizeof result.phc);
            REPLY(out, &cause, hash_made)->password = text_of(phc);
        } else {
            REPLY(out, &cause, hash_checked)->match = result.outcome != HASH_wrong;
        }
    }
}

static uint32_t poll_fds(struct port *self, struct pollfd *fds, uint32_t max) {
    if (max == 0) return 0;
    fds[0] = (struct pollfd){ .fd = hash_pool_fd(self->pool), .events = POLLIN };
    return 1;
}

static int64_t timeout(struct port *self, int64_t now) {
    (void)self, (void)now;
    return -1;
}

const struct port_type hash_port = {
    .name = "hash",
    .batch_max = 64,
    .open = open_port,
    .close = close_port,
    .ready = ready,
    .handle = handle,
    .poll = poll_fds,
    .timeout = timeout,
    .step = step,
};
