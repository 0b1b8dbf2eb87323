/* Reads single members of a JSON object without building it.
 * Answers are read a hundred thousand times a second and one or two members matter; everything else
 * (whole sales, lists) goes through jansson.  Only members of the outermost object are found. */
#ifndef DOORSIM_JSON_PEEK_H
#define DOORSIM_JSON_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies a text member, unescaped, NUL-terminated.  False when absent, not a text, too long, or
 * when the JSON is broken before it. */
bool json_peek_text(const char *json, size_t length, const char *name, char *value, size_t size);

/* An id as the API writes it: a text of decimal digits.  Also accepts a bare whole number. */
bool json_peek_id(const char *json, size_t length, const char *name, int64_t *value);

#endif
