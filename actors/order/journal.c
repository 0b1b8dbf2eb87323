/* journal_read -> place rows, rows_end;  drain -> done;  stop -> stopped;  writer_lag
 *
 * The journal is the truth behind the place messages.  It is read from its head to its end, page by
 * page, when rows are known and it has been quiet, and once a second whatever is known. */
#include "actors/order/order.h"

#define MILLISECOND INT64_C(1000000)
enum { PAGE_ENTRIES = 64 };
static const int64_t second = 1000 * MILLISECOND, failure_pause = 100 * MILLISECOND;

/* ---- Reading ---- */

void order_journal_row(struct order *self, const struct place *row, bool added, bool left) {
    struct order_journal *journal = &self->journal;
    int64_t entry_id = row->entry != 0 ? row->entry : row->rid;
    struct order_entry *entry = order_entry(self, entry_id);
    if (entry != NULL) entry->pass = journal->pass;
    if (entry_id > journal->last) {
        journal->last = entry_id;
        journal->entries++;
    }
    journal->seen++;
    if (added) journal->new_rows++;
    if (left) journal->left++;
}

static void ask_page(struct order *self, int64_t now, struct outbox *out) {
    struct order_journal *journal = &self->journal;
    journal->reading = true;
    journal->number++;
    journal->read_at = now;
    journal->entries = 0;
    journal->last = journal->after;
    struct journal_read *read =
        ASK(out, ACTOR_inventory, journal_read, ACTOR_order, journal->number, 0);
    read->after = journal->after;
    read->limit = PAGE_ENTRIES;
}

static void begin_pass(struct order *self, int64_t now, struct outbox *out) {
    struct order_journal *journal = &self->journal;
    journal->pass++;
    journal->pass_at = now;
    journal->after = 0;
    journal->new_rows = journal->left = journal->seen = 0;
    ask_page(self, now, out);
}

void order_on_journal_end(struct order *self, const struct message *in, int64_t now) {
    struct order_journal *journal = &self->journal;
    const struct rows_end *end = BODY(in, rows_end);
    if (!journal->reading || in->head.request != journal->number) return;
    journal->reading = false;
    journal->not_before = now;
    if (end->next > journal->last)
        journal->last = end->next; /* Also past rows nobody could read. */
    bool more = end->next != 0 || journal->entries >= PAGE_ENTRIES;
    if (more && journal->last > journal->after) {
        journal->after = journal->last; /* The next page follows at once. */
        return;
    }
    journal->after = 0;
    journal->ended_at = now;
    journal->unread = journal->left > 0;
    journal->rows = journal->seen;
    /* Nothing new: look less often, down to once a second. */
    int64_t longer = journal->gap * 2 < second ? journal->gap * 2 : second;
    journal->gap = journal->new_rows > 0 ? self->idle_read : longer;
    order_entries_after_pass(self);
    if (self->drain.active && self->drain.pass == 0) self->drain.pass = journal->pass;
    if (self->stop.active && self->stop.pass == 0) self->stop.pass = journal->pass;
}

void order_on_journal_failed(struct order *self, const struct message *in, int64_t now,
                             struct outbox *out) {
    struct order_journal *journal = &self->journal;
    if (!journal->reading || in->head.request != journal->number) return;
    journal->reading = false;
    journal->after = 0;
    journal->not_before = now + failure_pause;
    bool from_script = in->head.from == PORT_redis;
    if (from_script && BODY(in, failed)->problem == PROBLEM_fenced) order_on_fence(self, now, out);
}

void order_read_journal(struct order *self, int64_t now, struct outbox *out) {
    struct order_journal *journal = &self->journal;
    if (journal->reading && now - journal->read_at >= second) {
        journal->reading = false; /* The answer is lost. */
        journal->after = 0;
    }
    if (journal->reading || now < journal->not_before || !order_room(out, 2)) return;
    if (journal->after != 0) {
        ask_page(self, now, out);
        return;
    }
    bool known = self->rows_free.used > 0 || self->entries_free.used > 0 || journal->unread;
    bool quiet = now - journal->busy_at >= journal->gap && now - journal->ended_at >= journal->gap;
    bool wished = (self->drain.active && (self->drain.pass == 0 || journal->unread)) ||
                  (self->stop.active && (self->stop.pass == 0 || journal->unread));
    bool due = now - journal->pass_at >= second;
    if (due || wished || (known && quiet)) begin_pass(self, now, out);
}

/* ---- Until nothing is left ---- */

static void wish(struct order *self, struct order_wish *made, const struct message *in,
                 int64_t until) {
    if (made->active && made->head.request == in->head.request) return; /* Came twice. */
    *made = (struct order_wish){ .active = true, .head = in->head, .until = until };
    self->journal.reading = false; /* A pass from now on counts. */
    self->journal.number++;
    self->journal.after = 0;
    self->journal.not_before = 0;
}

void order_on_drain(struct order *self, const struct message *in, int64_t now) {
    (void)now;
    wish(self, &self->drain, in, BODY(in, drain)->until);
}

void order_on_stop(struct order *self, const struct message *in, int64_t now) {
    (void)now;
    wish(self, &self->stop, in, 0);
}

void order_grant_wishes(struct order *self, int64_t now, struct outbox *out) {
    bool decided = self->undecided.count == 0 && !self->journal.unread;
    struct order_wish *drain = &self->drain, *stop = &self->stop;
    if (drain->active && ((drain->pass != 0 && decided) || now >= drain->until)) {
        struct message cause = { .head = drain->head };
        struct done *done = REPLY(out, &cause, done);
        done->what = MSG_drain;
        done->count = self->undecided.count;
        drain->active = false;
    }
    bool tidy =
        self->settling.count == 0 && self->undoing.count == 0 && self->returns_free.used == 0;
    if (stop->active && stop->pass != 0 && decided && tidy) {
        struct message cause = { .head = stop->head };
        REPLY(out, &cause, stopped);
        stop->active = false;
    }
}

/* ---- PostgreSQL cannot keep up ---- */

void order_tell_lag(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    int64_t age = chain_first(&self->undecided, &slot) ? now - self->rows[slot].since : 0;
    bool lagging = age > self->journal_age_max;
    if (lagging ? (self->lagging && now - self->lag_at < second) : !self->lagging) return;
    SEND(out, ACTOR_inventory, writer_lag, NULL)->age = lagging ? age : 0;
    self->lagging = lagging;
    self->lag_at = now;
}

/* ---- What the host shows ---- */

void order_tell_figures(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    int64_t lag = chain_first(&self->undecided, &slot) ? now - self->rows[slot].since : 0;
    struct writer_figures news = { .undecided = self->undecided.count,
                                   .lag = lag > 0 ? lag : 0,
                                   .journal_rows = self->journal.rows };
    const struct writer_figures *told = &self->figures;
    bool same = news.undecided == told->undecided && news.lag == told->lag &&
                news.journal_rows == told->journal_rows;
    if (same || now - self->figures_at < second || !order_room(out, 1)) return;
    self->figures = news;
    self->figures_at = now;
    *SEND(out, NOBODY, writer_figures, NULL) = news;
}
