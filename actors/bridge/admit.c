/* session_revoked -> (remembered): who may act, and how often
 * (time) -> revoked_load: the news of ended sessions may be lost on a link, so they are also asked
 * for, more often than once a second */
#include "actors/bridge/bridge.h"

enum { SECOND = 1000000000 };
static const int64_t ask_every = 400 * INT64_C(1000000), answer_lost = 2 * INT64_C(1000000000);
/* Now and then further back than the last answer went: an end may have been committed late. */
enum { FURTHER_EACH = 64 };
static const int64_t further = 60 * INT64_C(1000000000);

static uint32_t hash(int64_t id) {
    return (uint32_t)(((uint64_t)id * 0x9E3779B97F4A7C15U) >> 32);
}

static struct revocation *find(struct bridge *self, int64_t session_id, int64_t now) {
    struct revocation *reusable = NULL;
    for (uint32_t i = 0; i < REVOKED_MAX; i++) {
        struct revocation *row = &self->revoked[(hash(session_id) + i) % REVOKED_MAX];
        if (row->session_id == session_id) return row;
        /* A lapsed row may be taken over, but must not end the search. */
        if (row->session_id != 0 && row->until <= now && reusable == NULL) reusable = row;
        if (row->session_id == 0) return reusable != NULL ? reusable : row;
    }
    return reusable;
}

void bridge_ask_revoked(struct bridge *self, int64_t now, struct outbox *out) {
    struct revoked_news *news = &self->news;
    if (now - news->asked_at < (news->open && news->rows > 0 ? answer_lost : ask_every)) return;
    news->asked_at = now;
    news->open = true;
    news->rows = 0;
    if (++news->number == 0) news->number = 1; /* What comes unasked has the request 0. */
    int64_t back = news->number % FURTHER_EACH == 0 ? further : 0;
    struct revoked_load *load = ASK(out, ACTOR_session, revoked_load, NOBODY, news->number, 0);
    load->since = news->since > back ? news->since - back : news->since;
}

void bridge_on_revoked_end(struct bridge *self, const struct message *in) {
    struct revoked_news *news = &self->news;
    const struct rows_end *end = BODY(in, rows_end);
    uint32_t late = news->number - (uint32_t)in->head.request;
    if (late == 0) news->open = false;
    /* One was lost: the same again.  An answer that takes long is as good where it has no rows. */
    bool whole = late == 0 ? end->count == news->rows : late < FURTHER_EACH && end->count == 0;
    if (!whole) return;
    news->known = true;
    if (end->next > news->since) news->since = end->next;
}

void bridge_on_session_revoked(struct bridge *self, const struct message *in, int64_t now) {
    const struct session_revoked *revoked = BODY(in, session_revoked);
    if (self->news.open && in->head.request == self->news.number) self->news.rows++;
    struct revocation *row = find(self, revoked->session_id, now);
    if (row == NULL || revoked->until <= now) return;
    if (row->session_id == 0) self->revoked_count++;
    *row = (struct revocation){ revoked->session_id, revoked->until };
}

static bool is_revoked(struct bridge *self, int64_t session_id, int64_t now) {
    if (self->revoked_count == 0 || session_id == 0) return false;
    const struct revocation *row = find(self, session_id, now);
    /* A full table refuses nobody: PostgreSQL still does, when a ticket is asked for. */
    return row != NULL && row->session_id == session_id && row->until > now;
}

/* A token bucket that holds time: one request costs 1/rate seconds. */
static bool within_rate(struct bridge *self, int64_t user_id, int64_t now) {
    if (self->rate_user == 0 || user_id == 0) return true;
    struct bucket *bucket = &self->buckets[hash(user_id) % BUCKETS_MAX];
    int64_t cost = SECOND / self->rate_user;
    int64_t most = cost * self->rate_user_burst;
    if (bucket->user_id != user_id) *bucket = (struct bucket){ user_id, now, most };
    bucket->tokens_ns += now - bucket->filled_at;
    if (bucket->tokens_ns > most) bucket->tokens_ns = most;
    bucket->filled_at = now;
    if (bucket->tokens_ns < cost) return false;
    bucket->tokens_ns -= cost;
    return true;
}

bool bridge_admit(struct bridge *self, const struct message *in, int64_t user_id,
                  int64_t session_id, int64_t now, struct outbox *out) {
    if (is_revoked(self, session_id, now)) {
        outbox_refuse(out, in, PROBLEM_login_again);
        return false;
    }
    if (!within_rate(self, user_id, now)) {
        outbox_refuse_with(out, in, PROBLEM_rate_limited)->retry_after = 1;
        return false;
    }
    return true;
}
