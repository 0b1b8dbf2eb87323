/* user_ban | user_unban | user_kick -> user_end, user_show;  session_revoked (of user_end) ->
 * session_revoked to every bridge;  user_view -> the operator
 *
 * Both go over one connection, so what user_show finds is what user_end has left, and the bridges
 * have been told before the operator is. */
#include "actors/session/session.h"

static struct text word_of(const struct message *in) {
    const struct message_type *type = message_type((enum message_id)in->head.type);
    return field_text(field_named(type, text_of("user")), in->body);
}

void session_on_user_command(const struct message *in, int64_t now, struct outbox *out) {
    struct user_end *end = SEND(out, PORT_pg_shop, user_end, in);
    end->user = word_of(in);
    end->now = now;
    if (in->head.type == MSG_user_ban) end->state = account_state_banned;
    if (in->head.type == MSG_user_unban) end->state = account_state_normal;
    SEND(out, PORT_pg_shop, user_show, in)->user = word_of(in);
}

void session_on_user_view(const struct message *in, struct outbox *out) {
    *ANSWER(out, in, user_view) = *BODY(in, user_view);
}
