/* ticket_create -> ticket_facts_get; ticket_facts -> ticket_view | failed
 *
 * The eligibility chain: an ordered list of validators, each with its own problem; the first that
 * fails is the answer.  Those that need no look-up run when the request comes, the others when
 * PostgreSQL has told the facts.  A new rule is a new row. */
#include "actors/session/session.h"

#include <string.h>

static struct session_lot *find_lot(struct session *self, int64_t lot_id) {
    for (uint32_t i = 0; i < self->lot_count; i++) {
        if (self->lots[i].lot_id == lot_id) return &self->lots[i];
    }
    return NULL;
}

static struct session_sale *find_sale(struct session *self, int64_t sale_id) {
    for (uint32_t i = 0; i < self->sale_count; i++) {
        if (self->sales[i].sale_id == sale_id) return &self->sales[i];
    }
    return NULL;
}

/* When all places are taken, what belongs to sales that were put away makes room. */
static struct session_sale *sale_place(struct session *self) {
    if (self->sale_count < SESSION_SALES_MAX) return &self->sales[self->sale_count++];
    for (uint32_t i = 0; i < self->sale_count; i++) {
        if (self->sales[i].state == sale_state_archived) return &self->sales[i];
    }
    return NULL;
}

static struct session_lot *lot_place(struct session *self) {
    if (self->lot_count < SESSION_LOTS_MAX) return &self->lots[self->lot_count++];
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct session_sale *sale = find_sale(self, self->lots[i].sale_id);
        if (sale == NULL || sale->state == sale_state_archived) return &self->lots[i];
    }
    return NULL;
}

void session_on_sale_view(struct session *self, const struct message *in) {
    const struct sale_view *view = BODY(in, sale_view);
    struct session_sale *sale = find_sale(self, view->sale_id);
    follow_row(&self->catalogue, in);
    if (sale != NULL) sale->snapshot = self->catalogue.number;
    if (sale != NULL && view->version < sale->version) return;
    if (sale == NULL && (sale = sale_place(self)) == NULL) return;
    *sale = (struct session_sale){ .sale_id = view->sale_id,
                                   .snapshot = self->catalogue.number,
                                   .version = view->version,
                                   .opens_at = view->opens_at,
                                   .closes_at = view->closes_at,
                                   .state = view->state };
}

void session_on_lot_view(struct session *self, const struct message *in) {
    const struct lot_view *view = BODY(in, lot_view);
    struct session_lot *lot = find_lot(self, view->lot_id);
    follow_row(&self->catalogue, in);
    if (lot != NULL && view->version < lot->version) return;
    if (lot == NULL && (lot = lot_place(self)) == NULL) return;
    *lot = (struct session_lot){ .lot_id = view->lot_id,
                                 .sale_id = view->sale_id,
                                 .price = view->price,
                                 .price_version = view->price_version,
                                 .per_buyer_limit = view->per_buyer_limit,
                                 .version = view->version,
                                 .shard = view->shard,
                                 .state = view->state };
}

void session_after_snapshot(struct session *self) {
    for (uint32_t i = 0; i < self->sale_count; i++) {
        struct session_sale *sale = &self->sales[i];
        if (sale->snapshot != self->catalogue.number) sale->state = sale_state_archived;
    }
}

/* Everything a validator may look at. */
struct applicant {
    const struct session *session;
    const struct session_sale *sale;
    const struct session_lot *lot;
    const struct money *price;        /* The buyer saw; NULL = he did not say. */
    const struct ticket_facts *facts; /* NULL before they have come. */
    int64_t now;
};

static enum problem check_lot(const struct applicant *a) {
    if (a->lot == NULL || a->sale == NULL || a->sale->state == sale_state_draft) {
        return PROBLEM_not_found;
    }
    /* There were more shards once; nobody serves this one. */
    return a->lot->shard < a->session->shards ? PROBLEM_none : PROBLEM_not_on_sale;
}

static enum problem check_sale(const struct applicant *a) {
    switch (a->sale->state) {
    case sale_state_scheduled:
    case sale_state_warming:
    case sale_state_ready:
        return a->now < a->sale->opens_at - a->session->ticket_lead ? PROBLEM_sale_not_open
                                                                    : PROBLEM_none;
    case sale_state_open:
    case sale_state_paused: return PROBLEM_none;
    case sale_state_closed:
    case sale_state_draining:
    case sale_state_settled:
    case sale_state_archived: return PROBLEM_sale_closed;
    case sale_state_none:
    case sale_state_draft: break;
    }
    return PROBLEM_not_on_sale;
}

static enum problem check_price(const struct applicant *a) {
    if (a->price == NULL) return PROBLEM_none;
    bool same = a->price->amount == a->lot->price.amount &&
                memcmp(a->price->currency, a->lot->price.currency, 4) == 0;
    return same ? PROBLEM_none : PROBLEM_price_changed;
}

static enum problem check_session(const struct applicant *a) {
    return a->facts->session_id != 0 ? PROBLEM_none : PROBLEM_login_again;
}

static enum problem check_user(const struct applicant *a) {
    return a->facts->state == account_state_normal ? PROBLEM_none : PROBLEM_account_banned;
}

static enum problem check_limit(const struct applicant *a) {
    return a->facts->held < a->lot->per_buyer_limit ? PROBLEM_none : PROBLEM_limit_reached;
}

static enum problem check_cancels(const struct applicant *a) {
    uint32_t most = a->session->cancels_max;
    return most == 0 || a->facts->cancels < most ? PROBLEM_none : PROBLEM_too_many_cancels;
}

static const struct {
    bool facts; /* Needs them. */
    enum problem (*check)(const struct applicant *);
} chain[] = {
    { false, check_lot }, { false, check_sale }, { false, check_price },  { true, check_session },
    { true, check_user }, { true, check_limit }, { true, check_cancels },
};

static enum problem run_chain(const struct applicant *applicant, bool facts) {
    for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
        /* The first ones run again with the facts: the sale may have closed meanwhile. */
        if (chain[i].facts && !facts) continue;
        enum problem problem = chain[i].check(applicant);
        if (problem != PROBLEM_none) return problem;
    }
    return PROBLEM_none;
}

static void refuse(const struct message *in, const struct applicant *applicant,
                   enum problem problem, struct outbox *out) {
    struct failed *failed = outbox_refuse_with(out, in, problem);
    if (problem == PROBLEM_sale_not_open) {
        int64_t from = applicant->sale->opens_at - applicant->session->ticket_lead;
        int64_t wait = (from - applicant->now) / 1000000000 + 1;
        failed->retry_after = wait > 86400 ? 86400 : (uint32_t)wait;
    }
    if (problem == PROBLEM_price_changed) failed->field = text_of("price");
}

static struct applicant applicant_for(struct session *self, int64_t lot_id, int64_t now) {
    struct applicant applicant = { .session = self, .lot = find_lot(self, lot_id), .now = now };
    if (applicant.lot != NULL) applicant.sale = find_sale(self, applicant.lot->sale_id);
    return applicant;
}

void session_on_ticket_create(struct session *self, const struct message *in, int64_t now,
                              struct outbox *out) {
    const struct ticket_create *want = BODY(in, ticket_create);
    struct applicant applicant = applicant_for(self, want->lot_id, now);
    if (want->price.currency[0] != 0) applicant.price = &want->price;
    if (applicant.lot == NULL && !self->catalogue.known) {
        outbox_refuse_with(out, in, PROBLEM_unavailable)->retry_after = 1;
        return;
    }
    enum problem problem = run_chain(&applicant, false);
    if (problem != PROBLEM_none) {
        refuse(in, &applicant, problem, out);
        return;
    }
    struct ticket_facts_get *get = SEND(out, PORT_pg_shop, ticket_facts_get, in);
    get->user_id = want->user_id;
    get->session_id = want->session_id;
    get->lot_id = want->lot_id;
}

void session_on_ticket_facts(struct session *self, const struct message *in, int64_t now,
                             struct outbox *out) {
    const struct ticket_facts *facts = BODY(in, ticket_facts);
    struct applicant applicant = applicant_for(self, facts->lot_id, now);
    applicant.facts = facts;
    enum problem problem = run_chain(&applicant, true);
    if (problem != PROBLEM_none) {
        refuse(in, &applicant, problem, out);
        return;
    }
    struct ticket_claims claims = { .order_id = id_next_in_shard(&self->order_ids, now,
                                                                 applicant.lot->shard),
                                    .user_id = facts->user_id,
                                    .session_id = facts->session_id,
                                    .lot_id = facts->lot_id,
                                    .quantity_max = applicant.lot->per_buyer_limit - facts->held,
                                    .price_version = applicant.lot->price_version };
    int64_t opens_at = applicant.sale->opens_at;
    /* A sale opened by hand before its time is open, and was before it was paused. */
    enum sale_state state = applicant.sale->state;
    bool opened = state == sale_state_open || state == sale_state_paused;
    claims.not_before = opened && opens_at > now ? now : opens_at;
    claims.expires_at = (claims.not_before > now ? claims.not_before : now) + self->ticket_life;
    char *text = outbox_text(out, SEAL_TEXT_MAX + 1);
    struct ticket_view *view = ANSWER(out, in, ticket_view);
    view->ticket = (struct text){ text, seal_write(self->keys, MSG_ticket_claims, &claims, text) };
    view->order_id = claims.order_id;
    view->not_before = claims.not_before;
    view->expires_at = claims.expires_at;
}
