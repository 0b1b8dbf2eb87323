/* What the files of config/ share and nobody else includes. */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include "config/config.h"

enum config_kind {
    CONFIG_KIND_integer,
    CONFIG_KIND_duration,
    CONFIG_KIND_size,
    CONFIG_KIND_boolean,
    CONFIG_KIND_text,
    CONFIG_KIND_path,
    CONFIG_KIND_secret_file,
    CONFIG_KIND_choice,
};

/* A row of config.def. */
struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset; /* Of the member in struct config. */
    const char *standard;
    const char *lo; /* Empty for boolean and choice. */
    const char *hi;
    const char *words; /* Of a choice, or NULL. */
    const char *sentence;
};

/* The rows, in the order of config.def, CONFIG_KEYS of them. */
extern const struct config_key config_keys[];

/* May the key change while running? */
bool config_key_reloaded(int number);

/* The number of the key with this name, or -1. */
int config_key_find(const char *name);

/* load.c: false when one of the ORDERED rows is broken. */
bool config_check_orders(const struct config *self, struct config_error *error);

/* value.c: text to value and back. */

/* Reads a number with its unit; false if it is none or overflows. */
bool config_number_read(enum config_kind kind, const char *text, int64_t *value);

/* Writes it with the largest unit that loses nothing.  Returns `out`. */
const char *config_number_write(enum config_kind kind, int64_t value, char out[32]);

/* Reads `text` into the member.  If it breaks the key's rule, false and the rule as words after
 * "must be " in `rule`. */
bool config_value_read(struct config *self, const struct config_key *key, const char *text,
                       char rule[256]);

/* Writes the member as a file would, without quotes and without passwords. */
void config_value_write(const struct config *self, const struct config_key *key,
                        char out[CONFIG_TEXT_SIZE]);

/* zpl.c: the file. */

/* Called for each `name = value` in order of the file; false stops with the callee's error. */
typedef bool config_zpl_take(void *context, uint32_t line, const char *name, const char *value);

/* Reads the file and gives its keys, as `section.name`, to `take`. */
bool config_zpl_read(const char *file, config_zpl_take *take, void *context,
                     struct config_error *error);

/* file.c */

/* Reads a regular file of at most `size` - 1 bytes and ends it with a NUL.  `*mode`, unless NULL,
 * is set to its permissions. */
bool config_file_read(const char *file, char *out, size_t size, size_t *length, unsigned *mode,
                      struct config_error *error);

/* Sets the error's text; always false. */
bool config_refuse(struct config_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
