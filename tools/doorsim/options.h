/* Command lines of doorsim's parts: `--name value`, `--name=value`, flags without a value. */
#ifndef DOORSIM_OPTIONS_H
#define DOORSIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { OPTION_LIST_MAX = 64 };

enum option_kind {
    OPTION_text,   /* const char *, points into argv. */
    OPTION_number, /* int64_t, decimal. */
    OPTION_flag,   /* bool. */
    OPTION_list,   /* struct option_list; may be given often. */
};

struct option_list {
    unsigned count;
    const char *items[OPTION_LIST_MAX];
};

/* A list of options ends where name is NULL. */
struct option {
    const char *name;
    enum option_kind kind;
    bool required;
    void *to;
    int64_t lo, hi; /* Bounds of a number. */
    const char *doc;
};

enum options_result { OPTIONS_run, OPTIONS_help, OPTIONS_wrong };

/* Reads argv[1..]; what is wrong, and the help that --help asks for, is printed here.
 * `purpose` is the first sentence of the help. */
enum options_result options_read(int argc, char **argv, const struct option *options,
                                 const char *purpose);

/* A whole decimal number in the bounds; false otherwise. */
bool options_number(const char *text, int64_t lo, int64_t hi, int64_t *number);

#endif
