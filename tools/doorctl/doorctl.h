/* doorctl: the operators' commands, made from schema/doors.def. */
#ifndef DOORCTL_H
#define DOORCTL_H

#include "broker/curve.h"
#include "broker/door/commands.h"

enum {
    EXIT_done = 0,
    EXIT_failed = 1,
    EXIT_usage = 2,
    EXIT_absent = 3,
    EXIT_conflict = 4,
    EXIT_away = 5
};
enum { BODY_MAX = 1024, WORD_MAX = 40, PATH_SIZE = 512 };

struct options {
    char endpoint[PATH_SIZE + 8];
    char key[PATH_SIZE];      /* Our key pair: its public file. */
    char door_key[PATH_SIZE]; /* The door's public key file. */
    bool json, yes, once;
    int64_t timeout_ms;
};

/* ---- Words (command.c) ---- */

/* The command that the words begin with (*used words), or NULL. */
const struct door_command *door_find(int argc, char **argv, int *used);
/* Fills the body from the words.  False: a sentence on stderr. */
bool door_fill(const struct door_command *door, int argc, char **argv, void *body);
/* The words that stand behind it, and the options it has: for help, completion, manual. */
bool door_is_word(const struct door_command *door, const struct field *field);
bool door_is_option(const struct door_command *door, const struct field *field);
/* How its value is written: "`30s`, `15m`, `2h` or `7d`". */
const char *door_form(const struct field *field);
/* "--per-buyer-limit" of per_buyer_limit. */
void door_flag(const struct field *field, char flag[WORD_MAX]);

/* ---- Help (help.c) ---- */

int help(FILE *to, int code);
/* Lists the commands of a noun, or all (NULL); false when there are none. */
bool door_list(FILE *to, const char *noun);
void door_help(FILE *to, const struct door_command *door);
/* Prints a completion script for bash or zsh. */
int completion(const char *shell);

/* ---- The connection (link.c) ---- */

/* Where keys and socket are, unless options say so: see doorctl(1). */
void find_door(struct options *options);

struct link {
    void *context, *socket, *monitor;
    const struct options *options;
};

/* The exit code: EXIT_done, or a sentence is on stderr and there is nothing to end. */
int link_to_door(struct link *self, const struct options *options);
void link_end(struct link *self);

/* Sends one request and calls `each` for every message of the answer but its end, until the answer
 * is complete.  Returns the exit code; a refusal is printed on stderr. */
int link_ask(struct link *self, enum message_id id, const void *body, enum door_answers answers,
             void (*each)(void *context, const struct message *message), void *context);

/* ---- What is shown ---- */

/* Sends one request, prints every message of the answer, returns the exit code. */
int talk(const struct options *options, const struct door_command *door, const void *body);
/* The way of an order, in time order, with the time between steps. */
int way(const struct options *options, const struct door_command *door, const void *body);
/* The live view. */
int top(const struct options *options);

/* One line: as traces are printed, but with times and spans as people write them, and with the
 * numbers that are 0; or JSON, with the same fields. */
void print_row(FILE *to, bool as_json, const struct message *message);

#endif
