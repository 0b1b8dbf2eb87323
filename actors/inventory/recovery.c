/* Recovery of the shard: R1 to R3 of the specification, as steps between messages.
 *
 *   redis_up | meta_read -> what Redis says of itself   shard_get -> what PostgreSQL says
 *   R1  both the same: epoch_use, drain -> the order actor decides what the journal holds
 *   R2  shard_recover -> the epoch is raised, the truth comes as rows    R3  install.c
 *   then epoch_use, installed -> order, done -> whoever asked, and the shard is open */
#include <string.h>

#include "actors/inventory/inventory.h"

enum { MILLISECOND = 1000000, STEP_MS = 2000, BACKOFF_MS = 100, BACKOFF_MAX_MS = 2000 };
/* A shard with millions of orders is not read in one step's time, and a long journal not decided.
 */
enum { PATIENCE_MAX_MS = 64000, DRAIN_MAX_MS = 30000 };
enum { BEAT_MS = 1000, FOREIGN_BEATS = 3 };

uint64_t inventory_request(const struct inventory *self, uint32_t number) {
    return (uint64_t)self->attempt << 32 | number;
}

bool inventory_is_ours(const struct inventory *self, const struct message *in) {
    return in->head.request >> 32 == self->attempt && in->head.origin == ACTOR_inventory;
}

void inventory_progress(struct inventory *self, int64_t now) {
    if (self->patience == 0) self->patience = (int64_t)STEP_MS * MILLISECOND;
    self->phase_until = now + self->patience;
}

/* Nonces only have to differ between recoveries; xorshift of the actor's seed will do. */
static int64_t next_nonce(struct inventory *self) {
    do {
        self->random ^= self->random << 13;
        self->random ^= self->random >> 7;
        self->random ^= self->random << 17;
    } while (self->random >> 1 == 0);
    return (int64_t)(self->random >> 1);
}

static void enter(struct inventory *self, enum inventory_phase phase, int64_t now,
                  struct outbox *out) {
    self->phase = phase;
    outbox_ready(out, phase == PHASE_ready, &self->told_ready);
    self->attempt++;
    self->verifying = self->verifying_record = self->foreign = 0;
    inventory_progress(self, now);
}

#define ASK_STEP(self, out, to, name)                                                              \
    ASK((out), (to), name, ACTOR_inventory, inventory_request((self), 0), 0)

void inventory_recover(struct inventory *self, int64_t now, struct outbox *out) {
    enter(self, PHASE_meta, now, out);
    ASK_STEP(self, out, PORT_redis, meta_read);
}

void inventory_recovery_failed(struct inventory *self, int64_t now, struct outbox *out) {
    enter(self, PHASE_wait, now, out);
    if (self->backoff == 0) self->backoff = (int64_t)BACKOFF_MS * MILLISECOND;
    self->phase_until = now + self->backoff;
    self->backoff *= 2;
    int64_t most = (int64_t)BACKOFF_MAX_MS * MILLISECOND;
    if (self->backoff > most) self->backoff = most;
}

/* No answer: lost, or it takes longer.  In the second case the same again would never end. */
static void timed_out(struct inventory *self, int64_t now, struct outbox *out) {
    int64_t most = (int64_t)PATIENCE_MAX_MS * MILLISECOND;
    self->patience = self->patience * 2 < most ? self->patience * 2 : most;
    inventory_recovery_failed(self, now, out);
}

static void ask_shard(struct inventory *self, int64_t now, struct outbox *out) {
    enter(self, PHASE_shard, now, out);
    ASK_STEP(self, out, PORT_pg_shard, shard_get)->shard = self->shard;
}

static void raise_epoch(struct inventory *self, int64_t now, struct outbox *out) {
    enter(self, PHASE_raise, now, out);
    inventory_install_reset(self);
    self->boot = next_nonce(self);
    struct shard_recover *recover = ASK_STEP(self, out, PORT_pg_shard, shard_recover);
    recover->shard = self->shard;
    /* As high as any epoch seen: PostgreSQL may have been set back. */
    recover->redis_epoch = self->redis_epoch > self->epoch ? self->redis_epoch : self->epoch;
    recover->run_id = (struct text){ self->run_id, self->run_id_size };
    recover->boot = self->boot;
}

static void use_epoch(struct inventory *self, struct outbox *out) {
    struct epoch_use *use = ASK_STEP(self, out, PORT_redis, epoch_use);
    use->epoch = self->epoch;
    use->boot = self->boot;
    /* It may come after the next Redis, which has lost its tail and must not be used (H23). */
    use->run_id = (struct text){ self->run_id, self->run_id_size };
}

static void ask_drain(struct inventory *self, int64_t now, struct outbox *out) {
    struct drain *drain = ASK_STEP(self, out, ACTOR_order, drain);
    drain->until = now + (int64_t)STEP_MS * MILLISECOND;
    self->phase_until = drain->until + (int64_t)STEP_MS / 8 * MILLISECOND; /* It answers then. */
}

/* ---- What Redis says of itself ---- */

static bool same_run(const struct inventory *self, const struct redis_up *up) {
    return text_equal((struct text){ self->run_id, self->run_id_size }, up->run_id);
}

static void note_redis(struct inventory *self, const struct redis_up *up) {
    self->run_id_size = up->run_id.size < RUN_ID_MAX ? up->run_id.size : RUN_ID_MAX;
    memcpy(self->run_id, up->run_id.at, self->run_id_size);
    self->redis_epoch = up->epoch;
    self->redis_boot = up->boot;
}

/* Open, and perhaps mistaken: epoch_use, redis_up or redis_down may have been lost; the epoch may
 * have been raised by a commit that nobody heard of; PostgreSQL may have failed over. */
static void verify(struct inventory *self, struct outbox *out) {
    self->verifying = ++self->attempt;
    ASK_STEP(self, out, PORT_redis, meta_read);
}

static void verify_record(struct inventory *self, struct outbox *out) {
    self->verifying_record = self->attempt;
    ASK_STEP(self, out, PORT_pg_shard, shard_get)->shard = self->shard;
}

/* Is it still our epoch, and still the history that we have installed?  A standby that has taken
 * over may lack orders whose units we hold for nobody. */
static void check_record(struct inventory *self, const struct message *in, int64_t now,
                         struct outbox *out) {
    const struct shard_row *row = BODY(in, shard_row);
    if (self->verifying_record == 0 || in->head.request >> 32 != self->verifying_record) return;
    self->verifying_record = 0;
    bool history = row->timeline == self->timeline && row->epoch >= self->epoch;
    bool ours = history && row->epoch == self->epoch && row->boot == self->boot;
    /* Somebody else may serve the shard now, and we hear of it soon: not at once against him. */
    self->foreign = ours ? 0 : self->foreign + 1;
    if (!history || self->foreign >= FOREIGN_BEATS) inventory_recover(self, now, out);
}

/* Open, and Redis introduces itself: a new connection, an old message, or an answer to meta_read.
 */
static void check_open(struct inventory *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    const struct redis_up *up = BODY(in, redis_up);
    bool asked = self->verifying != 0 && in->head.request >> 32 == self->verifying;
    if (same_run(self, up) && up->epoch == self->epoch && up->boot == self->boot) {
        if (asked) self->verifying = 0;
        use_epoch(self, out);
    } else if (!same_run(self, up) || asked) {
        note_redis(self, up);
        ask_shard(self, now, out);
    } else if (self->verifying == 0) {
        verify(self, out); /* Said before the install, perhaps, and late. */
    } /* Else the answer that is under way decides: a question for each of these outdates it. */
}

void inventory_on_redis_up(struct inventory *self, const struct message *in, int64_t now,
                           struct outbox *out) {
    const struct redis_up *up = BODY(in, redis_up);
    bool asked = inventory_is_ours(self, in);
    switch (self->phase) {
    case PHASE_ready: check_open(self, in, now, out); break;
    case PHASE_meta:
        if (!asked && in->head.request != 0) break; /* An older attempt asked. */
        note_redis(self, up);
        ask_shard(self, now, out);
        break;
    case PHASE_down:
        note_redis(self, up);
        ask_shard(self, now, out);
        break;
    case PHASE_shard:
    case PHASE_drain:
    case PHASE_raise:
    case PHASE_end:
    case PHASE_wait:
        if (same_run(self, up)) break; /* Known.  If scripts were lost, their failure says so. */
        note_redis(self, up);
        ask_shard(self, now, out);
        break;
    }
}

void inventory_on_redis_down(struct inventory *self, int64_t now, struct outbox *out) {
    enter(self, PHASE_down, now, out);
    self->next_beat = now + (int64_t)BEAT_MS * MILLISECOND;
}

/* ---- R1 and R2 ---- */

void inventory_on_shard_row(struct inventory *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    const struct shard_row *row = BODY(in, shard_row);
    if (self->phase == PHASE_ready) check_record(self, in, now, out);
    if (self->phase != PHASE_shard || !inventory_is_ours(self, in)) return;
    bool intact = self->redis_epoch != 0 && self->redis_epoch == row->epoch &&
                  self->redis_boot != 0 && self->redis_boot == row->boot;
    if (row->epoch > self->epoch) self->epoch = row->epoch;
    if (!intact) {
        raise_epoch(self, now, out);
        return;
    }
    enter(self, PHASE_drain, now, out);
    self->drain_left = UINT32_MAX;
    self->drain_until = now + (int64_t)DRAIN_MAX_MS * MILLISECOND;
    self->boot = row->boot;
    self->epoch = row->epoch;
    use_epoch(self, out);
    ask_drain(self, now, out);
}

/* Whatever is not decided by now becomes void; as long as the writer gets on it is not too late. */
void inventory_on_drained(struct inventory *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    uint32_t left = BODY(in, done)->count;
    if (self->phase != PHASE_drain || !inventory_is_ours(self, in)) return;
    if (left == 0 || left >= self->drain_left || now >= self->drain_until) {
        raise_epoch(self, now, out);
        return;
    }
    self->drain_left = left;
    ask_drain(self, now, out);
}

void inventory_on_step_failed(struct inventory *self, const struct message *in, int64_t now,
                              struct outbox *out) {
    if (!inventory_is_ours(self, in)) return;
    switch (self->phase) {
    case PHASE_meta:
    case PHASE_shard:
    case PHASE_raise:
    case PHASE_end:
    case PHASE_drain: inventory_recovery_failed(self, now, out); break;
    case PHASE_down:
    case PHASE_wait:
    case PHASE_ready: break;
    }
}

/* ---- The shard is open ---- */

static void tell_installed(struct inventory *self, struct outbox *out) {
    SEND(out, ACTOR_order, installed, NULL)->epoch = self->epoch;
}

static void tell_asker(const struct inventory_asker *asker, struct outbox *out) {
    struct message cause = { .head = asker->head };
    REPLY(out, &cause, done)->what = MSG_recover;
}

void inventory_open(struct inventory *self, int64_t now, struct outbox *out) {
    self->epoch = self->install.epoch;
    self->redis_epoch = self->epoch;
    self->redis_boot = self->boot;
    enter(self, PHASE_ready, now, out);
    self->backoff = self->patience = 0;
    self->next_round = now + self->hint_every; /* The first round begins with this batch. */
    self->next_beat = now + (int64_t)BEAT_MS * MILLISECOND;
    /* Whoever was under way is decided under the old epoch or void; the filters are new. */
    inventory_forget_pending(self);
    use_epoch(self, out);
    tell_installed(self, out);
    for (uint32_t i = 0; i < INVENTORY_ASKERS; i++) {
        struct inventory_asker *asker = &self->askers[i];
        if (asker->used && !asker->told) tell_asker(asker, out);
        asker->told = true;
    }
}

static struct inventory_asker *find_asker(struct inventory *self, const struct head *head) {
    for (uint32_t i = 0; i < INVENTORY_ASKERS; i++) {
        struct inventory_asker *asker = &self->askers[i];
        if (asker->used && asker->head.from == head->from && asker->head.node == head->node &&
            asker->head.request == head->request) {
            return asker;
        }
    }
    return NULL;
}

/* What R2 has read may be older than what the asker has lost: then R2 is done again. */
static void join(struct inventory *self, int64_t now, struct outbox *out) {
    switch (self->phase) {
    case PHASE_ready:
    case PHASE_raise:
    case PHASE_end: inventory_recover(self, now, out); break;
    case PHASE_drain: ask_drain(self, now, out); break; /* A new order actor knows of none. */
    case PHASE_down:
    case PHASE_meta:
    case PHASE_shard:
    case PHASE_wait: break;
    }
}

void inventory_on_recover(struct inventory *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    const struct recover *want = BODY(in, recover);
    if (want->epoch != 0) {
        bool current = self->phase == PHASE_ready && want->epoch >= self->epoch;
        if (current) inventory_recover(self, now, out);
        return;
    }
    struct inventory_asker *asker = find_asker(self, &in->head);
    if (asker != NULL) { /* Asked before: the answer was lost, or is on its way. */
        if (asker->told) tell_asker(asker, out);
        return;
    }
    asker = &self->askers[self->next_asker++ % INVENTORY_ASKERS];
    *asker = (struct inventory_asker){ .head = in->head, .used = true };
    join(self, now, out);
}

/* ---- Time ---- */

void inventory_recovery_tick(struct inventory *self, int64_t now, struct outbox *out) {
    bool beat = now >= self->next_beat;
    if (beat) self->next_beat = now + (int64_t)BEAT_MS * MILLISECOND;
    switch (self->phase) {
    case PHASE_ready:
        if (!beat) break;
        tell_installed(self, out); /* The first may be lost; it says the same again. */
        verify(self, out);
        verify_record(self, out);
        break;
    case PHASE_down:
        if (beat) ASK_STEP(self, out, PORT_redis, meta_read); /* redis_up may be lost. */
        break;
    case PHASE_wait:
        if (now >= self->phase_until) inventory_recover(self, now, out);
        break;
    case PHASE_drain:
        /* The order actor gives up by itself; this is for an answer that is lost. */
        if (now >= self->phase_until) raise_epoch(self, now, out);
        break;
    case PHASE_meta:
    case PHASE_shard:
    case PHASE_raise:
    case PHASE_end:
        if (now >= self->phase_until) timed_out(self, now, out);
        break;
    }
}
