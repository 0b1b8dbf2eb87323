/* Supervision: an actor whose assertion failed is restarted with an empty state, what it was doing
 * is tried again message by message, and the message it cannot bear becomes a dead letter. */
#include <stdio.h>
#include <sys/mman.h>

#include "broker/frame.h"
#include "broker/host_internal.h"
#include "broker/log.h"
#include "broker/ready.h"

enum { LETTERS_MAX = 256, REASON_MAX = 300, CONTENT_MAX = 65536 };

static const int64_t backoff_first = INT64_C(100000000), backoff_most = INT64_C(5000000000),
                     quiet = INT64_C(60000000000), letters_every = INT64_C(1000000000);

/* ---- Dead letters ---- */

static void log_letter(const struct seat *seat, const struct message *message, const char *reason) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    log_error("host", "dead letter", LOG_TEXT("seat", seat->name),
              LOG_TEXT("type", type != NULL ? type->name : "?"), LOG_TEXT("reason", reason),
              LOG_HEX("trace", message->head.trace), LOG_END);
}

static void write_letter(struct thread *thread, const struct seat *seat,
                         const struct message *message, const char *reason) {
    struct frame content = { 0 };
    frame_append(&content, message);
    if (content.size > CONTENT_MAX) content.size = 0; /* Said by its absence. */
    struct dead_letter_add body = {
        .node = thread->host->node,
        .to = seat->address,
        .shard = seat->shard,
        .type = message->head.type,
        .reason = text_of(reason),
        .content = { (const char *)content.bytes, (uint32_t)content.size },
        .trace = (int64_t)message->head.trace,
        .at = thread->now,
    };
    struct head head = { .type = MSG_dead_letter_add,
                         .from = (uint8_t)seat->address,
                         .to = ACTOR_broker,
                         .shard = seat->shard,
                         .node = thread->host->node,
                         .trace = message->head.trace };
    batch_append(&thread->letters, &(struct message){ head, &body });
    frame_fini(&content);
}

static void bury(struct thread *thread, const struct seat *seat, const struct message *message,
                 const struct guard_failure *failure) {
    char reason[REASON_MAX + 1];
    snprintf(reason, sizeof reason, "%s:%u: %s: %s", failure->file, failure->line,
             failure->function, failure->expression);
    metric_add(thread->host->letters, 1);
    log_letter(seat, message, reason);
    route_refuse(thread, &message->head, PROBLEM_internal);
    if (thread->letters.count < LETTERS_MAX)
        write_letter(thread, seat, message, reason);
    else
        metric_add(thread->host->letters_dropped, 1);
}

void letters_send(struct thread *thread) {
    if (thread->letters.count == 0 || thread->mono < thread->letters_at) return;
    thread->letters_at = thread->mono + letters_every;
    if (!route_knows(thread, ACTOR_broker)) return;
    for (uint32_t i = 0; i < thread->letters.count; i++)
        route(thread, &thread->letters.items[i]);
    batch_reset(&thread->letters);
}

/* ---- Crashes ---- */

static void drop_state(struct seat *seat) {
    if (seat->state != NULL) munmap(seat->state, seat->actor->state_size);
    seat->state = NULL;
}

/* Those who do not report themselves are ready when they are up. */
static void tell_ready(const struct seat *seat, bool up) {
    if (!up)
        ready_set(seat->name, false);
    else if (!seat_reports_ready(seat))
        ready_forget(seat->name);
}

/* What was handled together is tried one by one: any of it may be the reason, or the state was.  So
 * a message is to blame only when it fails alone, on a state that was empty before the batch. */
static void blame(struct thread *thread, struct seat *seat, const struct message *items,
                  uint32_t count, const struct guard_failure *failure) {
    if (seat->suspects > 0) {
        seat->suspects--;
        bury(thread, seat, items, failure);
    } else {
        seat->cursor -= count;
        seat->suspects = count;
    }
}

void seat_crashed(struct thread *thread, struct seat *self, const struct message *items,
                  uint32_t count, bool from_mailbox, const struct guard_failure *failure) {
    batch_reset(&thread->out); /* What it wanted to say is not to be trusted either. */
    bool calm = thread->mono - self->up_since > quiet;
    int64_t next = 2 * self->backoff;
    if (next > backoff_most) next = backoff_most;
    self->backoff = calm || next == 0 ? backoff_first : next;
    self->restart_at = thread->mono + self->backoff;
    atomic_store(&self->phase, SEAT_down);
    drop_state(self);
    metric_add(self->crashes, 1);
    tell_ready(self, false);
    log_error("host", "actor crashed", LOG_TEXT("seat", self->name),
              LOG_TEXT("assertion", failure->expression), LOG_TEXT("file", failure->file),
              LOG_I64("line", failure->line), LOG_I64("messages", count),
              LOG_I64("again_in_ms", self->backoff / HOST_MS), LOG_END);
    if (from_mailbox) blame(thread, self, items, count, failure);
}

static void restart(struct thread *thread, struct seat *seat) {
    drop_state(seat);
    seat_start(seat);
    seat->up_since = thread->mono;
    atomic_fetch_add(&seat->restarts, 1);
    tell_ready(seat, true);
    log_warn("host", "actor restarted", LOG_TEXT("seat", seat->name),
             LOG_I64("waiting", seat_backlog(seat)), LOG_END);
    seat_handle_started(thread, seat);
    /* It may have been told before it crashed, and has forgotten that. */
    if (thread->told_stop && !atomic_load(&seat->stopped)) seat_tell_stop(thread, seat);
}

bool seat_tend(struct thread *thread, struct seat *self) {
    if (seat_phase(self) == SEAT_asleep) return false;
    bool wanted = atomic_load_explicit(&self->restart_wanted, memory_order_relaxed) &&
                  atomic_exchange(&self->restart_wanted, false);
    bool due = seat_phase(self) == SEAT_down && thread->mono >= self->restart_at;
    if (wanted || due) restart(thread, self);
    return seat_phase(self) == SEAT_up;
}
