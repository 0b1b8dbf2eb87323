/* Shared by json.c and json_read.c only: values into fields, and what is said when they do not fit.
 * All return false when they refuse, with *fail filled. */
#ifndef JSON_INTERNAL_H
#define JSON_INTERNAL_H

#include "schema/json.h"

/* Says what is wrong with the member of this name; always false. */
bool json_refuse(struct json_fail *fail, enum problem problem, struct text name, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
bool json_wrong_type(const struct field *field, struct json_fail *fail);
bool json_out_of_range(const struct field *field, struct json_fail *fail);
bool json_unknown(struct text name, struct json_fail *fail);

/* Within the field's bounds; spans are given in seconds. */
bool json_put_number(const struct field *field, void *body, int64_t value, struct json_fail *fail);
/* Kinds that are texts in JSON.  A text field keeps pointing to `value`. */
bool json_put_string(const struct field *field, void *body, struct text value,
                     struct json_fail *fail);
bool json_put_money(const struct field *field, void *body, int64_t amount, struct text currency,
                    struct json_fail *fail);
/* Bounds and UTF-8 without control characters. */
bool json_check_text(const struct field *field, struct text value, struct json_fail *fail);

#endif
