/* Drives one actor by hand: gives it messages and a time, collects what it sends.
 *
 *   struct probe probe;
 *   probe_open(&probe, &order_type, NULL);           state zeroed, init called; setup has defaults
 *   struct place place = { .rid = 1, … };
 *   probe_give(&probe, ACTOR_inventory, &place, MSG_place);     handled alone, at probe.now
 *   struct purchase *purchase = PROBE_SENT(&probe, PORT_pg_shard, purchase, 0);   first of it
 *   probe_clear(&probe);                             forgets what was sent
 *
 * PROBE_SENT fails the test (returns never) when there is no such message; probe_count counts.
 * check() of the actor runs after every batch.  Texts of sent messages are copied. */
#ifndef ACTOR_PROBE_H
#define ACTOR_PROBE_H

#include "actors/actor.h"

enum { PROBE_SENT_MAX = 200000 };

struct probe {
    const struct actor_type *type;
    struct actor_setup setup;
    void *state;
    int64_t now;
    /* The head of the next message given: origin, request, trace, deadline; `from` is set. */
    struct head head;
    struct message *sent;
    uint32_t sent_count;
    /* What was queued for one batch. */
    struct message *queued;
    uint32_t queued_count;
};

/* A setup with the defaults of config.def that actors use; seed zero but for its first byte. */
struct actor_setup probe_setup(void);
/* setup NULL = probe_setup(). */
void probe_open(struct probe *self, const struct actor_type *type, const struct actor_setup *setup);
void probe_close(struct probe *self);
/* As a crash and a restart: the state is empty again, `started` is given. */
void probe_restart(struct probe *self);

/* Hands one message over, from `from`, with probe->head's origin, request, trace and deadline. */
void probe_give(struct probe *self, enum address from, const void *body, enum message_id id);
/* Queues it instead; probe_run hands all queued ones over as one batch. */
void probe_queue(struct probe *self, enum address from, const void *body, enum message_id id);
void probe_run(struct probe *self);
/* Answers a sent message as a port does: from its receiver, origin and request as they were. */
void probe_answer(struct probe *self, const struct message *to, const void *body,
                  enum message_id id);
void probe_refuse(struct probe *self, const struct message *to, enum problem problem);
/* Time passes in steps of the actor's tick, with a tick each. */
void probe_pass(struct probe *self, int64_t span);

/* Sent messages of a type to an address (NOBODY = any), since the last clear. */
uint32_t probe_count(const struct probe *self, enum address to, enum message_id id);
/* The nth of them (from 0; -1 = the last); prints what was sent and fails the test if none. */
const struct message *probe_message(const struct probe *self, enum address to, enum message_id id,
                                    int nth);
#define PROBE_SENT(self, to, name, nth)                                                            \
    ((const struct name *)probe_message((self), (to), MSG_##name, (nth))->body)
/* Place of the nth such message among all sent, for questions of order. */
uint32_t probe_place(const struct probe *self, enum address to, enum message_id id, int nth);
void probe_clear(struct probe *self);
void probe_print(const struct probe *self);

#endif
