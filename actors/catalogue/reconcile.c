/* reconcile -> lot_account_get to PostgreSQL, lot_count to inventory for each lot
 *           -> reconcile_view rows, rows_end | failed recovering, unavailable, not_found
 *
 * Shards are counted each by itself.  While one is away the others' lots are told all the same, and
 * the refusal that ends the answer says which shards could not be counted. */
#include <stdio.h>
#include <string.h>

#include "actors/catalogue/catalogue.h"

#define STAGE_LOST    (5 * CATALOGUE_SECOND)
#define RECOUNT_AFTER (100 * CATALOGUE_MS)
enum { EVERY_SHARD = UINT8_MAX };

static void ask_accounts(struct run *run, int64_t now, struct outbox *out) {
    run->stage = RUN_accounts;
    run->until = now + STAGE_LOST;
    ASK(out, PORT_pg_shop, lot_account_get, ACTOR_catalogue, run->number, run->head.trace)
        ->sale_id = run->sale_id;
}

static bool begin(struct catalogue *self, const struct head *head, int64_t sale_id, int64_t now,
                  struct outbox *out) {
    for (uint32_t i = 0; i < CATALOGUE_RUNS_MAX; i++) {
        struct run *run = &self->runs[i];
        if (run->stage != RUN_free) continue;
        run->head = *head;
        run->own = head->origin == ACTOR_catalogue;
        run->number = CATALOGUE_RUN | (++self->runs_made * CATALOGUE_RUNS_MAX + i);
        run->sale_id = sale_id;
        run->count = run->next = run->waiting = run->recounts = 0;
        ask_accounts(run, now, out);
        return true;
    }
    return false;
}

void catalogue_on_reconcile(struct catalogue *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    if (!begin(self, &in->head, BODY(in, reconcile)->sale_id, now, out))
        outbox_refuse(out, in, PROBLEM_overloaded);
}

void catalogue_reconcile_by_itself(struct catalogue *self, int64_t now, struct outbox *out) {
    const struct head head = { .origin = ACTOR_catalogue };
    if (self->reconcile_every == 0 || !self->lots_known || outbox_room(out) == 0) return;
    if (now - self->reconciled_at < self->reconcile_every) return;
    self->reconciled_at = now;
    (void)begin(self, &head, 0, now, out);
}

struct run *catalogue_run(struct catalogue *self, uint64_t number) {
    if ((number & CATALOGUE_RUN) == 0) return NULL;
    struct run *run = &self->runs[number % CATALOGUE_RUNS_MAX];
    return run->stage != RUN_free && run->number == number ? run : NULL;
}

static struct run_lot *lot_of(struct run *run, int64_t lot_id) {
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->lots[i].lot_id == lot_id) return &run->lots[i];
    }
    return NULL;
}

/* The first account makes the row; later ones replace only what was off. */
void catalogue_run_account(struct run *run, const struct lot_account *account) {
    if (run->stage != RUN_accounts) return;
    struct run_lot *lot = lot_of(run, account->lot_id);
    if (lot == NULL) {
        if (run->count == CATALOGUE_LOTS_MAX || run->recounts > 0) return;
        lot = &run->lots[run->count++];
        *lot = (struct run_lot){ .lot_id = account->lot_id, .off = true };
    }
    if (!lot->off) return;
    lot->state = account->state;
    lot->allocated = account->allocated;
    lot->sold = account->sold;
    lot->orders = account->orders;
    lot->shard = account->shard;
    lot->counted = lot->away = false;
}

/* Lots that are not in the hot counter yet, or not any more, have no second store to agree with. */
static bool is_hot(struct catalogue *self, const struct run_lot *lot) {
    if (lot->state == lot_state_settled) return false;
    const struct catalogue_lot *known = catalogue_lot(self, lot->lot_id);
    return lot->state != lot_state_waiting || (known != NULL && known->hot != lot_state_none);
}

void catalogue_run_accounts_end(struct catalogue *self, struct run *run, int64_t now) {
    if (run->stage != RUN_accounts) return;
    run->stage = RUN_counts;
    run->until = now + STAGE_LOST;
    run->next = run->waiting = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        struct run_lot *lot = &run->lots[i];
        if (!lot->off || is_hot(self, lot)) continue;
        lot->counted = true;
        lot->undecided = 0;
        lot->held = lot->sold;
        lot->available = lot->allocated - lot->sold;
    }
}

void catalogue_run_counted(struct run *run, const struct lot_counted *counted, int64_t now) {
    struct run_lot *lot = lot_of(run, counted->lot_id);
    if (run->stage != RUN_counts || lot == NULL || lot->counted || lot->away) return;
    lot->counted = true;
    lot->available = counted->available;
    lot->held = counted->held;
    lot->undecided = counted->undecided;
    run->waiting--;
    run->until = now + STAGE_LOST;
}

static int64_t undos_of(const struct run_lot *lot) {
    return lot->held - lot->undecided - lot->sold;
}

static int64_t difference_of(const struct run_lot *lot) {
    return lot->allocated - (lot->available + lot->undecided + lot->sold + undos_of(lot));
}

/* Every term that is off, the one PostgreSQL alone can tell first; empty when exact. */
static const char *off_of(const struct run_lot *lot) {
    bool orders = lot->orders != lot->sold;
    bool available = difference_of(lot) != 0;
    bool undos = undos_of(lot) < 0; /* Fewer units are held than were sold. */
    static const char *const names[8] = {
        "",      "sold",        "available",        "sold, available",
        "undos", "sold, undos", "available, undos", "sold, available, undos",
    };
    return names[(orders ? 1U : 0U) | (available ? 2U : 0U) | (undos ? 4U : 0U)];
}

static void fail(struct run *run, enum problem problem, struct outbox *out) {
    run->stage = RUN_free;
    if (run->own) return; /* See tell_figures(). */
    const struct message cause = { .head = run->head };
    struct failed *failed = outbox_refuse_with(out, &cause, problem);
    failed->id = run->sale_id;
}

/* Everything that was asked for and has not come, of one shard or of all. */
static void give_up(struct run *run, uint32_t shard) {
    for (uint32_t i = 0; i < run->next; i++) {
        struct run_lot *lot = &run->lots[i];
        if (!lot->off || lot->counted || lot->away) continue;
        if (shard != EVERY_SHARD && lot->shard != shard) continue;
        lot->away = true;
        run->waiting--;
    }
}

void catalogue_run_failed(struct run *run, const struct message *in, int64_t now,
                          struct outbox *out) {
    if (in->head.from == PORT_pg_shop) {
        fail(run, BODY(in, failed)->problem, out);
    } else if (run->stage == RUN_counts) {
        give_up(run, in->head.shard);
        run->until = now + STAGE_LOST;
    }
}

static void count_lots(struct run *run, struct outbox *out) {
    for (; run->next < run->count && outbox_room(out) > 0; run->next++) {
        const struct run_lot *lot = &run->lots[run->next];
        if (!lot->off || lot->counted || lot->away) continue;
        outbox_about(out, lot->shard);
        ASK(out, ACTOR_inventory, lot_count, ACTOR_catalogue, run->number, run->head.trace)
            ->lot_id = lot->lot_id;
        run->waiting++;
    }
}

/* Is the hot counter wrong, with nothing under way that would mend it?  Units on their way back are
 * undos, too: those that nobody gives back any more (a writer that died with them after another had
 * taken its shard over) are told from them by staying what they are while nothing else moves.
 * What PostgreSQL alone is wrong about, a recovery would only copy. */
static bool stays(const struct run *run, const struct run_lot *lot) {
    bool wrong = difference_of(lot) != 0 || undos_of(lot) != 0;
    bool still = lot->held == lot->before_held && lot->sold == lot->before_sold;
    return wrong && lot->undecided == 0 && lot->orders == lot->sold &&
           (run->recounts == 0 || still);
}

/* All have been counted: those that are exact stay so, the others are looked at again. */
static void judge(struct run *run, int64_t now) {
    bool again = false;
    for (uint32_t i = 0; i < run->count; i++) {
        struct run_lot *lot = &run->lots[i];
        if (lot->away || !lot->off) continue;
        lot->stuck = run->own && (run->recounts == 0 || lot->stuck) && stays(run, lot);
        lot->off = off_of(lot)[0] != 0 || lot->stuck;
        lot->before_held = lot->held;
        lot->before_sold = lot->sold;
        again = again || lot->off;
    }
    run->next = 0;
    if (again && run->recounts < CATALOGUE_RECOUNTS) {
        run->recounts++;
        run->stage = RUN_pause;
        run->until = now + RECOUNT_AFTER;
    } else {
        run->stage = RUN_answer;
    }
}

static void recover_shard(struct catalogue *self, const struct catalogue_lot *lot,
                          struct outbox *out) {
    outbox_about(out, lot->shard);
    struct recover *recover = SEND(out, ACTOR_inventory, recover, NULL);
    recover->reason = outbox_printf(out, "units of lot %lld are held for nobody, twice in a row",
                                    (long long)lot->lot_id);
    recover->epoch = lot->hot_epoch; /* Not when it has been recovered since. */
    self->recoveries++;
}

/* By a commit that came after it had been given up: all rows are read again.  The lots' rows may
 * have been read since then and the sale's not, so both are looked at. */
static bool moved_unseen(struct catalogue *self, const struct catalogue_lot *lot,
                         const struct run_lot *row) {
    const struct catalogue_sale *sale = catalogue_sale(self, lot->sale_id);
    enum lot_state wanted = sale != NULL ? catalogue_wanted(sale) : lot_state_none;
    return row->state != lot->state || (wanted != lot_state_none && row->state != wanted);
}

/* Found twice in a row, a whole pause apart: its shard installs PostgreSQL's truth again, after all
 * that can be decided is.  Once for each shard, however many lots there ask for it. */
static void mend(struct catalogue *self, const struct run *run, int64_t now, struct outbox *out) {
    bool asked[SHARDS_MAX] = { false };
    for (uint32_t i = 0; i < run->count; i++) {
        const struct run_lot *row = &run->lots[i];
        struct catalogue_lot *lot = catalogue_lot(self, row->lot_id);
        if (lot == NULL || row->away || lot->shard >= SHARDS_MAX) continue;
        if (moved_unseen(self, lot, row) && self->again_at == 0) self->again_at = now;
        bool again = lot->suspect && row->stuck && lot->hot_epoch != 0;
        lot->suspect = row->stuck && !again;
        if (!again || asked[lot->shard]) continue;
        asked[lot->shard] = true;
        recover_shard(self, lot, out);
    }
}

/* Old figures say by their time that there are no new ones: half an account is none. */
static void tell_figures(struct catalogue *self, struct run *run, int64_t now, struct outbox *out) {
    run->stage = RUN_free;
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->lots[i].away) return;
    }
    struct account_figures *figures = SEND(out, NOBODY, account_figures, NULL);
    figures->lots = run->count;
    figures->at = now;
    figures->recoveries = self->recoveries;
    self->recoveries = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct run_lot *lot = &run->lots[i];
        int64_t available = difference_of(lot), orders = lot->orders - lot->sold;
        if (off_of(lot)[0] == 0) continue;
        figures->lots_off++;
        figures->difference += available < 0 ? -available : available;
        figures->difference += orders < 0 ? -orders : orders;
        if (undos_of(lot) < 0) figures->difference -= undos_of(lot);
    }
}

/* "1, 3", and how many lots there were not counted. */
static uint32_t shards_away(const struct run *run, char *list, size_t size) {
    uint32_t lots = 0;
    size_t length = 0;
    list[0] = 0;
    for (uint32_t shard = 0; shard < SHARDS_MAX; shard++) {
        uint32_t before = lots;
        for (uint32_t i = 0; i < run->count; i++) {
            if (run->lots[i].away && run->lots[i].shard == shard) lots++;
        }
        if (lots == before || length + 8 > size) continue;
        length +=
            (size_t)snprintf(list + length, size - length, "%s%u", length > 0 ? ", " : "", shard);
    }
    return lots;
}

static void end_answer(struct catalogue *self, struct run *run, const struct message *cause,
                       struct outbox *out) {
    char list[SHARDS_MAX * 4 + 8];
    uint32_t away = shards_away(run, list, sizeof list);
    run->stage = RUN_free;
    /* Nothing is off of a sale that is not there, which must not look like an exact account. */
    if (run->count == 0 && run->sale_id != 0 && catalogue_sale(self, run->sale_id) == NULL) {
        struct failed *failed = outbox_refuse_with(out, cause, PROBLEM_not_found);
        failed->id = run->sale_id;
        failed->detail = text_of("There is no such sale, or it is archived.");
        return;
    }
    if (away > 0) {
        struct failed *failed = outbox_refuse_with(out, cause, PROBLEM_recovering);
        failed->id = run->sale_id;
        failed->detail =
            outbox_printf(out, "Away: shard %s; lots not counted there: %u.", list, away);
        return;
    }
    struct rows_end *end = ANSWER(out, cause, rows_end);
    end->what = MSG_reconcile;
    end->count = run->count;
}

static void answer(struct catalogue *self, struct run *run, int64_t now, struct outbox *out) {
    if (run->own) {
        if (outbox_room(out) <= SHARDS_MAX) return; /* At the next step. */
        mend(self, run, now, out);
        tell_figures(self, run, now, out);
        return;
    }
    const struct message cause = { .head = run->head };
    for (; run->next < run->count && outbox_room(out) > 1; run->next++) {
        const struct run_lot *lot = &run->lots[run->next];
        if (lot->away) continue;
        struct reconcile_view *view = ANSWER(out, &cause, reconcile_view);
        view->lot_id = lot->lot_id;
        view->allocated = lot->allocated;
        view->available = lot->available;
        view->undecided = lot->undecided;
        view->sold = lot->sold;
        view->undos = undos_of(lot);
        view->held = lot->held;
        view->orders = lot->orders;
        view->difference = difference_of(lot);
        if (off_of(lot)[0] != 0) view->off = text_of(off_of(lot));
    }
    if (run->next == run->count && outbox_room(out) > 0) end_answer(self, run, &cause, out);
}

void catalogue_run_step(struct catalogue *self, struct run *run, int64_t now, struct outbox *out) {
    if (outbox_room(out) == 0) return;
    switch (run->stage) {
    case RUN_free: return;
    case RUN_accounts:
        if (run->until <= now) fail(run, PROBLEM_unavailable, out);
        return;
    case RUN_counts:
        count_lots(run, out);
        if (run->until <= now) give_up(run, EVERY_SHARD); /* The answers are lost. */
        if (run->next == run->count && run->waiting == 0) judge(run, now);
        if (run->stage == RUN_answer) answer(self, run, now, out);
        return;
    case RUN_pause:
        if (run->until <= now) ask_accounts(run, now, out);
        return;
    case RUN_answer: answer(self, run, now, out); return;
    }
}
