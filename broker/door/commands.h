/* Operators' commands as a table (schema/doors.def), and what the door decides by it alone: which
 * command a message is, and whether a role may give it. */
#ifndef DOOR_COMMANDS_H
#define DOOR_COMMANDS_H

#include "actors/actor.h"

enum door_answers { ONE, ROWS };
enum door_care { AT_ONCE, ASK };

struct door_command {
    const char *noun, *verb;
    enum message_id message;
    enum address actor; /* NOBODY = the door itself. */
    const char *preset; /* "field=value", or "" */
    enum door_answers answers;
    enum role role; /* Needed at least. */
    enum door_care care;
    const char *about; /* Field that names the thing concerned, or "" */
    const char *doc, *example;
};

/* All commands; ends where noun is NULL. */
extern const struct door_command door_commands[];

/* The command that a valid message is, or NULL: it is nobody's. */
const struct door_command *door_command_of(const struct message *message);

/* May a key of this role give the command?  role_none may nothing. */
bool door_allows(enum role role, const struct door_command *command);
/* Is it written to the record?  What only viewers need changes nothing and shows no person. */
bool door_audited(const struct door_command *command);

/* "sale open", "status"; at most `size` bytes with the zero. */
void door_command_name(const struct door_command *command, char *name, size_t size);

/* The field that the command implies, or NULL; *value is its text. */
const struct field *door_preset(const struct door_command *command, struct text *value);

#endif
