#include "tests/sim/model_redis.h"

#include <stdio.h>
#include <string.h>

void model_redis_init(struct model_redis *self, struct lua_store *store, uint8_t shard,
                      uint32_t journal_cap) {
    memset(self, 0, sizeof *self);
    self->store = store;
    self->state.shard = shard;
    self->state.journal_cap = journal_cap;
    batch_init(&self->memory);
}

void model_redis_fini(struct model_redis *self) {
    batch_fini(&self->memory);
}

static void run(void *context, struct script_call *call) {
    struct model_redis *self = context;
    struct text *words = batch_memory(&self->memory, (call->words + 1U) * sizeof *words);
    for (uint32_t i = 0; i < call->words; i++) {
        words[i] = (struct text){ call->at[SCRIPT_WORDS_BEFORE + i],
                                  (uint32_t)call->size[SCRIPT_WORDS_BEFORE + i] };
    }
    const struct reply *reply =
        lua_store_eval(self->store, script_name(call->script), words, call->keys,
                       words + call->keys, call->words - call->keys);
    enum script_verdict verdict =
        script_answer(&self->state, call, reply, text_of(self->run_id), self->out);
    if (verdict == SCRIPT_fenced) self->look = true;
    if (verdict == SCRIPT_useless) self->useless = true;
}

void model_redis_up(struct model_redis *self, struct outbox *out) {
    self->up = true;
    self->state.epoch = 0;
    self->state.boot = 0;
    self->out = out;
    snprintf(self->run_id, sizeof self->run_id, "%s", lua_store_run_id(self->store));
    self->state.run_id = self->run_id;
    batch_reset(&self->memory);
    run(self, script_meta(&self->state, &self->memory));
}

void model_redis_down(struct model_redis *self, struct outbox *out) {
    if (self->up) SEND(out, ACTOR_inventory, redis_down, NULL);
    self->up = false;
    self->state.epoch = 0;
}

void model_redis_handle(struct model_redis *self, const struct message *in, uint32_t count,
                        int64_t now, struct outbox *out) {
    self->out = out;
    batch_reset(&self->memory);
    if (!self->up) {
        for (uint32_t i = 0; i < count; i++)
            script_refuse(&in[i], PROBLEM_unavailable, out);
        return;
    }
    self->look = false;
    script_plan(&self->state, in, count, now, &self->memory, out, run, self);
    if (self->look) run(self, script_meta(&self->state, &self->memory));
}
