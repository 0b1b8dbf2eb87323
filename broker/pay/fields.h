/* Members of a JSON object from outside, each with its bounds.  Every function returns false, and
 * leaves its result alone, if the member is missing, of another type, or out of bounds. */
#ifndef BROKER_PAY_FIELDS_H
#define BROKER_PAY_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An object from exactly these bytes, no name twice; the caller's to json_decref.  NULL: it is not.
 */
json_t *fields_parse(const char *body, size_t size);

/* A text of 1 to out_size - 1 bytes, without control characters. */
bool fields_text(const json_t *object, const char *name, char *out, size_t out_size);
/* An id as a decimal string, 1 .. INT64_MAX, in its one shortest form. */
bool fields_id(const json_t *object, const char *name, int64_t *out);
bool fields_integer(const json_t *object, const char *name, int64_t lo, int64_t hi, int64_t *out);
/* Three capital letters. */
bool fields_currency(const json_t *object, const char *name, char out[4]);

#endif
