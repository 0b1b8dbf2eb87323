/* Message bodies as JSON, by their tables.  Reading may allocate (what is not of the usual form
 * goes through jansson), so only ports call it; writing needs neither memory nor a tree and may be
 * used by actors.
 * Shapes: id = decimal string, rid = "<epoch>-<seq>", money = {"amount":1999,"currency":"CNY"},
 * time = RFC 3339 UTC with milliseconds, span = seconds, enumerations by name, address = object,
 * lots, sales = arrays and json = any value (the text is copied as it is).  CONTEXT and absent
 * fields are left out (absent numbers with REQUIRED are written as 0). */
#ifndef JSON_H
#define JSON_H

#include "schema/schema.h"

/* Appends to a fixed buffer; `full` latches. */
struct json_out {
    char *at;
    size_t size, capacity;
    bool full;
};

void json_raw(struct json_out *out, const char *text, size_t size);
void json_quote(struct json_out *out, struct text text); /* Quoted and escaped. */
void json_int(struct json_out *out, int64_t value);
/* One object. */
void json_write(struct json_out *out, const struct message_type *type, const void *body);
/* With CONTEXT fields too, and their numbers also when they are 0: for operators.  Never for
 * shoppers, who must not see them. */
void json_write_whole(struct json_out *out, const struct message_type *type, const void *body);

enum { JSON_FAIL_FIELD = 64, JSON_FAIL_DETAIL = 200 };

/* What was wrong: names the field and the rule. */
struct json_fail {
    enum problem problem;
    char field[JSON_FAIL_FIELD];
    char detail[JSON_FAIL_DETAIL];
};

/* Reads one object into the body; texts are copied to `texts` (capacity bytes; a bound of size + 1
 * is enough).  Unknown members, duplicates, wrong types and values out of bounds are refused, also
 * members that name a CONTEXT field.  Fields that are not in the text stay as they are, so that a
 * caller may fill path and query members first; validation is his last step (message_validate, or
 * json_check for a sentence). */
bool json_read(const struct message_type *type, const char *from, size_t size, void *body,
               char *texts, size_t capacity, struct json_fail *fail);

/* Sets one field from its text form (path and query members, command line words): the same rules
 * and the same sentences as in JSON. */
bool json_set(const struct field *field, void *body, struct text value, struct json_fail *fail);

/* message_validate() with a sentence. */
bool json_check(const struct message_type *type, const void *body, struct json_fail *fail);

#endif
