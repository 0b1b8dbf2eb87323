/* session_create -> account_find; account_row -> hash_check; hash_checked -> session_insert |
 * login_failed; session_refresh -> session_rotate; session_row -> session_view;
 * session_delete -> session_end; done -> done, session_revoked; failed login_again -> failed,
 * session_revoked */
#include <sodium.h>
#include <string.h>

#include "actors/session/session.h"

static const int64_t day = INT64_C(86400000000000);
static const int64_t refresh_grace = INT64_C(10000000000);

/* ---- Log in ---- */

void session_on_session_create(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out) {
    const struct session_create *want = BODY(in, session_create);
    char name[LOGIN_MAX + 1];
    if (!login_name(want->login, name)) {
        outbox_refuse(out, in, PROBLEM_wrong_password); /* Says nothing of who is registered. */
        return;
    }
    struct login *login = login_start(self, in, now, out);
    if (login == NULL) return;
    memcpy(login->name, name, sizeof name);
    memcpy(login->secret, want->password.at, want->password.size);
    login->secret_size = want->password.size;
    login->step = STEP_find;
    ASK(out, PORT_pg_shop, account_find, ACTOR_session, login_number(self, login), in->head.trace)
        ->login = text_of(login->name);
}

static void compare(struct session *self, struct login *login, struct text hash,
                    struct outbox *out) {
    login->step = STEP_compare;
    struct hash_check *check = ASK(out, PORT_hash, hash_check, ACTOR_session,
                                   login_number(self, login), login->head.trace);
    check->password = (struct text){ login->secret, login->secret_size };
    check->hash = hash;
}

/* What is told before the password was compared is told to anybody.
 *   banned   only to who knows the password.  That is no oracle: wrong ones are counted and lock
 * the account as they do for everybody, and a right one is told by its success anyway. locked   to
 * anybody, without comparing.  If it were told only with the right password, a lock would no longer
 * stop a guesser: he could go on, and the answer would tell him when he was right.  The price is
 * that ten wrong passwords show that an account exists. */
void session_on_account_row(struct session *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    const struct account_row *row = BODY(in, account_row);
    struct login *login = login_waiting(self, in, STEP_find);
    if (login == NULL) return;
    struct message cause = login_cause(login);
    if (now < row->locked_until) {
        int64_t wait = (row->locked_until - now) / 1000000000 + 1;
        outbox_refuse_with(out, &cause, PROBLEM_account_locked)->retry_after =
            wait > 86400 ? 86400 : (uint32_t)wait;
        login_end(login);
        return;
    }
    login->user_id = row->user_id;
    login->state = row->state;
    compare(self, login, row->password, out);
}

/* A token goes out once the row with its hash is kept. */
static void make_token(struct session *self, struct login *login, uint8_t hash[REFRESH_BYTES]) {
    uint8_t token[REFRESH_BYTES];
    session_random(self, token);
    sodium_bin2base64(login->secret, sizeof login->secret, token, sizeof token,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    login->secret_size = REFRESH_TEXT;
    crypto_generichash(hash, REFRESH_BYTES, token, sizeof token, NULL, 0);
}

static struct text keep_hash(struct outbox *out, const uint8_t hash[REFRESH_BYTES]) {
    char *copy = outbox_text(out, REFRESH_BYTES);
    memcpy(copy, hash, REFRESH_BYTES);
    return (struct text){ copy, REFRESH_BYTES };
}

static void wrong_password(struct session *self, struct login *login, int64_t now,
                           struct outbox *out) {
    struct message cause = login_cause(login);
    if (login->user_id != 0) {
        struct login_failed *failed = SEND(out, PORT_pg_shop, login_failed, NULL);
        failed->user_id = login->user_id;
        failed->failures_max = self->login_failures_max;
        failed->locked_until = (now / day + 1) * day; /* For the rest of the day. */
    }
    outbox_refuse(out, &cause, PROBLEM_wrong_password);
    login_end(login);
}

void session_on_hash_checked(struct session *self, const struct message *in, int64_t now,
                             struct outbox *out) {
    uint8_t hash[REFRESH_BYTES];
    struct login *login = login_waiting(self, in, STEP_compare);
    if (login == NULL) return;
    if (BODY(in, hash_checked)->match == 0 || login->user_id == 0) {
        wrong_password(self, login, now, out);
        return;
    }
    if (login->state != account_state_normal) {
        struct message cause = login_cause(login);
        outbox_refuse(out, &cause, PROBLEM_account_banned);
        login_end(login);
        return;
    }
    make_token(self, login, hash);
    login->step = STEP_open;
    login->session_id = id_next(&self->ids, now);
    struct text kept = keep_hash(out, hash);
    struct session_insert *insert = ASK(out, PORT_pg_shop, session_insert, ACTOR_session,
                                        login_number(self, login), login->head.trace);
    insert->session_id = login->session_id;
    insert->user_id = login->user_id;
    insert->refresh_hash = kept;
    insert->now = now;
    insert->expires_at = now + self->refresh_life;
}

/* ---- Refresh ---- */

static void refuse_refresh(const struct message *in, struct outbox *out) {
    outbox_refuse(out, in, PROBLEM_login_again);
}

void session_on_session_refresh(struct session *self, const struct message *in, int64_t now,
                                struct outbox *out) {
    const struct session_refresh *want = BODY(in, session_refresh);
    uint8_t token[REFRESH_BYTES], old_hash[REFRESH_BYTES], new_hash[REFRESH_BYTES];
    size_t size = 0;
    if (sodium_base642bin(token, sizeof token, want->refresh_token.at, want->refresh_token.size,
                          NULL, &size, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        size != sizeof token) {
        refuse_refresh(in, out);
        return;
    }
    struct login *login = login_start(self, in, now, out);
    if (login == NULL) return;
    crypto_generichash(old_hash, sizeof old_hash, token, sizeof token, NULL, 0);
    make_token(self, login, new_hash);
    login->step = STEP_rotate;
    struct text old_kept = keep_hash(out, old_hash), new_kept = keep_hash(out, new_hash);
    struct session_rotate *rotate = ASK(out, PORT_pg_shop, session_rotate, ACTOR_session,
                                        login_number(self, login), in->head.trace);
    rotate->old_hash = old_kept;
    rotate->new_hash = new_kept;
    rotate->now = now;
    rotate->idle_since = now - self->idle;
    rotate->grace_since = now - refresh_grace;
}

void session_on_session_row(struct session *self, const struct message *in, int64_t now,
                            struct outbox *out) {
    const struct session_row *row = BODY(in, session_row);
    struct login *login = login_waiting(self, in, STEP_open);
    if (login == NULL) login = login_waiting(self, in, STEP_rotate);
    if (login == NULL) return;
    struct message cause = login_cause(login);
    if (row->state != account_state_normal) {
        outbox_refuse(out, &cause, PROBLEM_account_banned);
        login_end(login);
        return;
    }
    struct access_claims claims = { .session_id = row->session_id,
                                    .user_id = row->user_id,
                                    .roles = row->roles,
                                    .expires_at = now + self->access_life };
    if (claims.expires_at > row->expires_at) claims.expires_at = row->expires_at;
    char *access = outbox_text(out, SEAL_TEXT_MAX + 1), *refresh = outbox_text(out, REFRESH_TEXT);
    memcpy(refresh, login->secret, REFRESH_TEXT); /* The slot is wiped before delivery. */
    struct session_view *view = ANSWER(out, &cause, session_view);
    view->access_token =
        (struct text){ access, seal_write(self->keys, MSG_access_claims, &claims, access) };
    view->refresh_token = (struct text){ refresh, REFRESH_TEXT };
    view->expires_in = claims.expires_at - now;
    view->user_id = row->user_id;
    login_end(login);
}

/* ---- Log out ---- */

/* Its access tokens are not to be believed any more, wherever they are shown. */
static void tell_bridges(const struct session *self, int64_t session_id, int64_t now,
                         struct outbox *out) {
    struct session_revoked *revoked = EVERY(out, ACTOR_bridge, session_revoked);
    revoked->session_id = session_id;
    revoked->until = now + self->access_life;
}

void session_on_session_delete(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out) {
    const struct session_delete *want = BODY(in, session_delete);
    struct login *login = login_start(self, in, now, out);
    if (login == NULL) return;
    login->step = STEP_end;
    login->session_id = want->session_id;
    struct session_end *end = ASK(out, PORT_pg_shop, session_end, ACTOR_session,
                                  login_number(self, login), in->head.trace);
    end->session_id = want->session_id;
    end->user_id = want->user_id;
    end->now = now;
}

void session_on_done(struct session *self, const struct message *in, int64_t now,
                     struct outbox *out) {
    struct login *login = login_waiting(self, in, STEP_end);
    if (login == NULL) return; /* login_failed has been counted. */
    struct message cause = login_cause(login);
    tell_bridges(self, login->session_id, now, out);
    ANSWER(out, &cause, done)->what = MSG_session_delete;
    login_end(login);
}

/* ---- What went wrong ---- */

void session_on_failed(struct session *self, const struct message *in, int64_t now,
                       struct outbox *out) {
    const struct failed *failed = BODY(in, failed);
    if (failed->what == MSG_user_end) session_on_user_failed(self, in);
    if (in->head.origin != ACTOR_session) { /* A ticket's facts, or the bridge's rows. */
        if (in->head.origin != NOBODY) {
            struct failed *answer = ANSWER(out, in, failed);
            *answer = *failed;
        }
        return;
    }
    struct login *login = login_waiting(self, in, STEP_find);
    if (login != NULL && failed->problem == PROBLEM_not_found) {
        compare(self, login, (struct text){ NULL, 0 }, out); /* Takes as long as a wrong one. */
        return;
    }
    for (enum login_step step = STEP_hash; login == NULL && step <= STEP_end; step++) {
        login = login_waiting(self, in, step);
    }
    if (login == NULL) return;
    struct message cause = login_cause(login);
    struct failed *answer = ANSWER(out, &cause, failed);
    *answer = *failed;
    if (failed->problem == PROBLEM_login_taken) answer->field = text_of("login");
    /* A token that was spent before has ended its session. */
    if (login->step == STEP_rotate && failed->problem == PROBLEM_login_again && failed->id != 0) {
        answer->id = 0;
        tell_bridges(self, failed->id, now, out);
    }
    login_end(login);
}
