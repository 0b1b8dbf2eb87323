/* The settings of a process: every key of config.def with its value and where that came from.
 * Later sources win: default, file (ZPL), environment (DOORBUSTER_SECTION_NAME), --set.
 *
 * Invariant: a struct config that config_load returned is complete and within all bounds; only
 * config_reload changes it.  It is plain memory without pointers: copy it freely, share it
 * read-only.  Secrets are not in it: it names the files that hold them. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CONFIG_TEXT_SIZE = 512,       /* Of any text, with its NUL. */
    CONFIG_FILE_MAX = 256 * 1024, /* Of the file. */
    CONFIG_SECRET_SIZE = 513,     /* Of a secret, with its NUL. */
};

enum config_source { CONFIG_default, CONFIG_file, CONFIG_environment, CONFIG_set };

/* CONFIG_KEY_http_hold and so on: the number of each key. */
enum config_number {
#define KEY(member, name, kind, standard, lo, hi, sentence) CONFIG_KEY_##member,
#define CHOICE(member, name, standard, words, sentence)     CONFIG_KEY_##member,
#include "config/config.def"
    CONFIG_KEYS
};

#define CONFIG_MEMBER_integer(member)     int64_t member;
#define CONFIG_MEMBER_duration(member)    int64_t member;
#define CONFIG_MEMBER_size(member)        int64_t member;
#define CONFIG_MEMBER_boolean(member)     bool member;
#define CONFIG_MEMBER_text(member)        char member[CONFIG_TEXT_SIZE];
#define CONFIG_MEMBER_path(member)        char member[CONFIG_TEXT_SIZE];
#define CONFIG_MEMBER_secret_file(member) char member[CONFIG_TEXT_SIZE];

struct config {
#define KEY(member, name, kind, standard, lo, hi, sentence) CONFIG_MEMBER_##kind(member)
#define CHOICE(member, name, standard, words, sentence)     CONFIG_MEMBER_text(member)
#include "config/config.def"
    struct {
        enum config_source from;
        uint32_t line; /* In the file; 0 if it did not come from there. */
    } origin[CONFIG_KEYS];
    char file[CONFIG_TEXT_SIZE]; /* That was loaded, or "". */
};

/* One sentence: `shop.zpl:12: http.hold: must be a duration from 0 to 30s, such as 300ms`. */
struct config_error {
    char text[1024];
};

/* Fills `self` from the defaults alone. */
void config_defaults(struct config *self);

/* Fills `self` from the defaults, then `file` (NULL: none), the environment and `sets`, each
 * `section.name=value`.  False for the first thing that is wrong, described in `error`; `self` is
 * then not to be used.  Reads one file, otherwise does not block.  Refused are also keys given
 * twice in the file, and DOORBUSTER_SECTION_ variables of one of our sections that name no key. */
bool config_load(struct config *self, const char *file, const char *const *sets, size_t sets_count,
                 struct config_error *error) __attribute__((warn_unused_result));

/* A key that two settings have different values for, as told to config_tell.  Passwords are hidden
 * as config_print does. */
struct config_change {
    const char *name;
    const char *before, *after; /* Valid for the call. */
    bool taken;                 /* It may change while running. */
};
typedef void config_tell(void *context, const struct config_change *change);

/* Takes from `wanted` those keys that may change while running, and tells of every key that
 * differs, in the order of config.def.  False, with a sentence: what may change does not go
 * together with what may not; then nothing has changed and nothing was told. */
bool config_reload(struct config *self, const struct config *wanted, config_tell *tell,
                   void *context, struct config_error *error) __attribute__((warn_unused_result));

/* Reads the secret that a secret_file key names: `file` is the member.  Line ends at its end are
 * cut off.  False, with a sentence, if it is not a regular file, is empty or too long, holds a NUL
 * byte, or may be written by everybody.  Wipe `out` after use. */
bool config_secret(const char *file, char out[CONFIG_SECRET_SIZE], struct config_error *error)
    __attribute__((warn_unused_result));

/* Writes all keys as a file that config_load reads, each with its sentence, and its source if
 * `sources`.  Passwords inside addresses are replaced by "***". */
void config_print(FILE *to, const struct config *self, bool sources);

/* {"http.hold":{"value":"300ms","source":"default","reloaded":true},...}; integers and booleans as
 * such.  The same replacement. */
void config_dump_json(FILE *to, const struct config *self);

/* The options every program of ours takes for its settings. */
struct config_options {
    const char *file; /* NULL: none. */
    const char *sets[64];
    size_t sets_count;
};

/* If argv[*at] is `--config FILE` or `--set KEY=VALUE` (or with `=` for the blank), takes it and
 * moves `*at` behind it: 1.  0 if it is something else.  -1, with a complaint on stderr, if its
 * value is missing or there are too many.  The strings stay argv's. */
int config_option(struct config_options *options, int argc, char **argv, int *at);

/* Is one of the words behind the command's name `--help`? */
bool config_help_wanted(int argc, char **argv);

/* What config_option takes, for the help of a command: two lines. */
extern const char config_options_help[];

/* `config check|dump|sample`, given argv from the word `config` on.  Talks on stdout, complains on
 * stderr.  Exit code: 0, 1 if a setting is refused, 2 if the command is not understood. */
int config_command(int argc, char **argv);

#endif
