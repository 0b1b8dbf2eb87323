/* doorctl: the operators' commands, made from schema/doors.def. */
#ifndef DOORCTL_H
#define DOORCTL_H

#include "actors/actor.h"

enum {
    EXIT_done = 0,
    EXIT_failed = 1,
    EXIT_usage = 2,
    EXIT_absent = 3,
    EXIT_conflict = 4,
    EXIT_away = 5
};
enum { BODY_MAX = 1024, WORD_MAX = 40 };
enum answers { ONE, ROWS };

struct door {
    const char *noun, *verb;
    enum message_id message;
    const char *preset; /* "field=value", or "" */
    enum answers answers;
    const char *doc, *example;
};

/* All commands; ends where noun is NULL. */
extern const struct door doors[];

struct options {
    const char *endpoint;
    bool json;
    int64_t timeout_ms;
};

/* The command that the words begin with (*used words), or NULL. */
const struct door *door_find(int argc, char **argv, int *used);
/* Fills the body from the words.  False: a sentence on stderr. */
bool door_fill(const struct door *door, int argc, char **argv, void *body);
/* Lists the commands of a noun, or all (NULL); false when there are none. */
bool door_list(FILE *to, const char *noun);
void door_help(FILE *to, const struct door *door);

/* Sends one request, prints every message of the answer, returns the exit code. */
int talk(const struct options *options, const struct door *door, const void *body);

#endif
