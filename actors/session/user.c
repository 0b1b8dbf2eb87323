/* user_ban | user_unban | user_kick -> user_end;  session_revoked (of user_end) -> session_revoked
 * to every bridge;  rows_end (of user_end) -> user_show;  user_view -> the operator
 *
 * The account is looked at when its end has been answered, so the operator sees what the command
 * has left, after the bridges have been told. */
#include <string.h>

#include "actors/session/session.h"

static const int64_t patience = INT64_C(30000000000);

static struct text word_of(const struct message *in) {
    const struct message_type *type = message_type((enum message_id)in->head.type);
    return field_text(field_named(type, text_of("user")), in->body);
}

static bool is_of(const struct user_command *command, const struct head *head) {
    return command->until != 0 && command->head.request == head->request &&
           command->head.origin == head->origin && command->head.node == head->node;
}

static struct user_command *find(struct session *self, const struct head *head) {
    for (uint32_t i = 0; i < USER_COMMANDS_MAX; i++) {
        if (is_of(&self->commands[i], head)) return &self->commands[i];
    }
    return NULL;
}

/* A place for a new one; NULL: too many are under way. */
static struct user_command *place(struct session *self, int64_t now) {
    for (uint32_t i = 0; i < USER_COMMANDS_MAX; i++) {
        if (self->commands[i].until <= now) return &self->commands[i];
    }
    return NULL;
}

void session_on_user_command(struct session *self, const struct message *in, int64_t now,
                             struct outbox *out) {
    struct text word = word_of(in);
    struct user_command *command = place(self, now);
    if (command == NULL || word.size > sizeof command->word) {
        outbox_refuse_with(out, in, PROBLEM_overloaded)->retry_after = 1;
        return;
    }
    *command =
        (struct user_command){ .head = in->head, .until = now + patience, .word_size = word.size };
    memcpy(command->word, word.at, word.size);
    struct user_end *end = SEND(out, PORT_pg_shop, user_end, in);
    end->user = word;
    end->now = now;
    if (in->head.type == MSG_user_ban) end->state = account_state_banned;
    if (in->head.type == MSG_user_unban) end->state = account_state_normal;
}

void session_on_user_ended(struct session *self, const struct message *in, struct outbox *out) {
    struct user_command *command = find(self, &in->head);
    if (command == NULL) return;
    /* A copy: the place is free, and the next of the batch may take it. */
    SEND(out, PORT_pg_shop, user_show, in)->user =
        outbox_printf(out, "%.*s", (int)command->word_size, command->word);
    command->until = 0;
}

void session_on_user_failed(struct session *self, const struct message *in) {
    struct user_command *command = find(self, &in->head);
    if (command != NULL) command->until = 0;
}

void session_on_user_view(const struct message *in, struct outbox *out) {
    *ANSWER(out, in, user_view) = *BODY(in, user_view);
}
