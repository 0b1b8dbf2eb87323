/* account_create -> hash_make; hash_made -> account_insert; account_view -> account_view | failed
 */
#include <string.h>

#include "actors/session/session.h"

static void refuse_login(const struct message *in, struct outbox *out) {
    struct failed *failed = outbox_refuse_with(out, in, PROBLEM_malformed);
    failed->field = text_of("login");
    failed->detail = text_of("login must be a mail address or a phone number of 5 to 15 digits");
}

void session_on_account_create(struct session *self, const struct message *in, int64_t now,
                               struct outbox *out) {
    const struct account_create *want = BODY(in, account_create);
    char name[LOGIN_MAX + 1];
    if (!login_name(want->login, name)) {
        refuse_login(in, out);
        return;
    }
    struct login *login = login_start(self, in, now, out);
    if (login == NULL) return;
    memcpy(login->name, name, sizeof name);
    login->step = STEP_hash;
    ASK(out, PORT_hash, hash_make, ACTOR_session, login_number(self, login), in->head.trace)
        ->password = want->password;
}

void session_on_hash_made(struct session *self, const struct message *in, int64_t now,
                          struct outbox *out) {
    struct login *login = login_waiting(self, in, STEP_hash);
    if (login == NULL) return;
    login->step = STEP_insert;
    login->user_id = id_next(&self->ids, now);
    struct account_insert *insert = ASK(out, PORT_pg_shop, account_insert, ACTOR_session,
                                        login_number(self, login), in->head.trace);
    insert->user_id = login->user_id;
    insert->login = text_of(login->name);
    insert->password = BODY(in, hash_made)->password;
    insert->now = now;
}

/* a***@example.org, +86***89: enough to recognise, too little to collect. */
static struct text masked(const char *name, struct outbox *out) {
    const char *at = strchr(name, '@');
    size_t size = strlen(name);
    if (at != NULL) return outbox_printf(out, "%c***%s", name[0], at);
    return outbox_printf(out, "%.3s***%s", name, name + size - 2);
}

void session_on_account_view(struct session *self, const struct message *in, struct outbox *out) {
    struct login *login = login_waiting(self, in, STEP_insert);
    if (login == NULL) return;
    struct message cause = login_cause(login);
    struct account_view *view = ANSWER(out, &cause, account_view);
    view->user_id = login->user_id;
    view->login = masked(login->name, out);
    login_end(login);
}
