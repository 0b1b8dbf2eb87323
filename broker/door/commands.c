#include "broker/door/commands.h"

#include <string.h>

const struct door_command door_commands[] = {
#define DOOR(noun, verb, message, actor, preset, answers, role, care, about, doc, example)         \
    { noun, verb, MSG_##message, actor, preset, answers, role_##role, care, about, doc, example },
#include "schema/doors.def"
#undef DOOR
    { 0 },
};

const struct field *door_preset(const struct door_command *command, struct text *value) {
    const char *equals = strchr(command->preset, '=');
    if (equals == NULL) return NULL;
    *value = text_of(equals + 1);
    return field_named(message_type(command->message),
                       (struct text){ command->preset, (uint32_t)(equals - command->preset) });
}

static bool implies(const struct door_command *command, const void *body) {
    struct text value;
    const struct field *field = door_preset(command, &value);
    return field == NULL || field_number(field, body) == state_value(field->kind, value);
}

const struct door_command *door_command_of(const struct message *message) {
    for (const struct door_command *command = door_commands; command->noun; command++) {
        if (message->head.type == (uint16_t)command->message && implies(command, message->body))
            return command;
    }
    return NULL;
}

bool door_allows(enum role role, const struct door_command *command) {
    return role != role_none && role >= command->role;
}

bool door_audited(const struct door_command *command) {
    return command->role > role_viewer;
}

void door_command_name(const struct door_command *command, char *name, size_t size) {
    snprintf(name, size, "%s%s%s", command->noun, command->verb[0] ? " " : "", command->verb);
}
