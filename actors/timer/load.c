/* deadlines_load -> deadline_row rows, rows_end: unpaid orders of the shard that are due soon, from
 * PostgreSQL */
#include "actors/timer/timer.h"

#define SECOND INT64_C(1000000000)
static const int64_t load_every = 10 * SECOND, look_ahead = 30 * SECOND, patience = 5 * SECOND;
static const int64_t failure_pause = SECOND;
static const int64_t microsecond = 1000; /* The resolution of PostgreSQL's times. */

static void ask(struct timer *self, int64_t now, struct outbox *out) {
    self->loading = true;
    self->load++;
    self->load_at = now;
    self->load_rows = 0;
    self->load_last = self->load_after;
    struct deadlines_load *load =
        ASK(out, PORT_pg_shard, deadlines_load, ACTOR_timer, self->load, 0);
    load->after = self->load_after;
    load->until = self->load_until;
    load->limit = TIMER_PAGE;
    load->shard = self->shard;
}

void timer_load(struct timer *self, int64_t now, struct outbox *out) {
    if (self->loading && now - self->load_at >= patience) self->loading = false;
    if (self->loading || now < self->next_load) return;
    self->next_load = now + load_every;
    self->load_after = 0;
    self->load_until = now + look_ahead;
    ask(self, now, out);
}

void timer_on_row(struct timer *self, const struct message *in) {
    const struct deadline_row *row = BODY(in, deadline_row);
    if (in->head.request != self->load) return;
    self->load_rows++;
    if (row->at > self->load_last) self->load_last = row->at;
    /* What is known may have been put off: it stays. */
    if (!timer_has(self, deadline_kind_pay_by, row->id)) {
        timer_set(self, deadline_kind_pay_by, row->id, row->at);
    }
}

void timer_on_rows_end(struct timer *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    if (!self->loading || in->head.request != self->load) return;
    self->loading = false;
    if (self->load_rows < TIMER_PAGE || self->heap.count == TIMER_MAX) return; /* To its end. */
    /* The page began at load_after; a full page of one instant must not be read for ever. */
    self->load_after =
        self->load_last > self->load_after ? self->load_last : self->load_after + microsecond;
    ask(self, now, out);
}

void timer_on_load_failed(struct timer *self, const struct message *in, int64_t now) {
    if (in->head.request != self->load || BODY(in, failed)->what != MSG_deadlines_load) return;
    self->loading = false;
    self->next_load = now + failure_pause;
}
