/* Messages as C types, and the tables that describe them.
 *
 * Everything here derives from messages.def, kinds.def, states.def and problems.def: a struct per
 * message, a row per field, a name per enumeration value.  Whoever needs a list of fields walks the
 * table; nobody writes a second one.
 *
 * Invariants: a number of 0 or a text of size 0 means "absent"; texts are slices of memory that the
 * batch owns, so a body may be copied only by someone who copies its texts too (message_copy). */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ID_MAX    INT64_MAX
#define TIME_MAX  INT64_MAX
#define SPAN_MAX  INT64_C(315360000000000000) /* Ten years. */
#define MONEY_MAX INT64_C(1000000000000000)
#define UNITS_MAX 1000000000
enum { QUANTITY_MAX = 100, SHARD_MAX = 127, TEXT_MAX = 1048576 };

/* Bytes that somebody else owns; not terminated.  at may be NULL when size is 0. */
struct text {
    const char *at;
    uint32_t size;
};

/* A text from a string literal or a terminated string. */
struct text text_of(const char *string);
bool text_equal(struct text a, struct text b);
bool text_is(struct text a, const char *string);

/* Minor units (cents, fen) and an ISO 4217 code, terminated. */
struct money {
    int64_t amount;
    char currency[4];
};

/* Problems: the only errors that leave an actor. */
enum problem {
    PROBLEM_none = 0,
#define PROBLEM(name, code, http, retry, title) PROBLEM_##name = (code),
#include "schema/problems.def"
#undef PROBLEM
};

/* Enumerations: enum sale_state { sale_state_none, sale_state_draft = 1, ... } */
#define MACHINE(kind, doc)        enum kind { kind##_none = 0,
#define STATE(kind, name, number) kind##_##name = (number),
#define END_MACHINE()                                                                              \
    }                                                                                              \
    ;
#include "schema/states.def"
#undef MACHINE
#undef STATE
#undef END_MACHINE

/* Numbers of messages. */
enum message_id {
#define MESSAGE(name, id, doc) MSG_##name = (id),
#define FIELD(name, kind, need, lo, hi, doc)
#define END()
#include "schema/messages.def"
#undef MESSAGE
#undef FIELD
#undef END
};

/* The C type of a field of each kind, under the name kind_<kind>. */
#define KIND(name, type, stored, doc) typedef type kind_##name;
#include "schema/kinds.def"
#undef KIND

/* One struct per message; a message without fields has one byte that nobody reads. */
#define MESSAGE(name, id, doc)                                                                     \
    struct name {                                                                                  \
        uint8_t unused_;
#define FIELD(name, kind, need, lo, hi, doc) kind_##kind name;
#define END()                                                                                      \
    }                                                                                              \
    ;
#include "schema/messages.def"
#undef MESSAGE
#undef FIELD
#undef END

enum kind {
#define KIND(name, type, stored, doc) KIND_##name,
#include "schema/kinds.def"
#undef KIND
    KIND_COUNT
};

enum stored { STORED_int64, STORED_uint32, STORED_enum, STORED_text, STORED_money };

enum need { OPTIONAL, REQUIRED, CONTEXT };

/* One row of a message description.  A list of rows ends where name is NULL. */
struct field {
    const char *name;
    enum kind kind;
    enum need need;
    size_t offset; /* In the message struct. */
    size_t size;   /* Of the member. */
    int64_t lo;    /* Smallest value, or shortest text. */
    int64_t hi;    /* Largest value, or longest text. */
    const char *doc;
};

enum { MESSAGE_TEXTS_MAX = 8 };

struct message_type {
    enum message_id id;
    uint16_t index; /* Position in message_types(); dense, for tables by type. */
    const char *name;
    const char *doc;
    size_t size; /* sizeof the struct. */
    uint32_t field_count;
    uint32_t text_count;                 /* Fields that are texts, which copying must copy too, */
    uint16_t text_at[MESSAGE_TEXTS_MAX]; /* and where they stand in the struct. */
    const struct field *fields;
};

enum { MESSAGE_FIELDS_MAX = 24 };

/* All types, in the order of messages.def; ends where name is NULL. */
const struct message_type *message_types(void);
uint32_t message_type_count(void);

/* The type with this number or name, or NULL.  Static, never freed.  Cheap: a table look-up. */
const struct message_type *message_type(enum message_id id);
const struct message_type *message_type_named(const char *name);

/* The row of this name, or NULL. */
const struct field *field_named(const struct message_type *type, struct text name);

enum stored kind_stored(enum kind kind);
const char *kind_name(enum kind kind);
const char *kind_doc(enum kind kind);
/* True for kinds from states.def (not for problem). */
bool kind_is_state(enum kind kind);

/* Name of an enumeration value ("awaiting_payment"; "none" for 0; NULL if there is none), and back
 * (-1 if there is none).  Also for KIND_problem. */
const char *state_name(enum kind kind, uint32_t value);
int64_t state_value(enum kind kind, struct text name);

/* Number in a field of any numeric or enumerated kind (amount for money, size for text). */
int64_t field_number(const struct field *field, const void *body);
struct text field_text(const struct field *field, const void *body);
bool field_present(const struct field *field, const void *body);
void field_set_number(const struct field *field, void *body, int64_t value);
/* Is it shown to people, as JSON and as text?  What is absent is not, but a number that is required
 * may well be 0, and so may a count that only operators see.  Raw bytes never are. */
bool field_shown(const struct field *field, const void *body);

/* First problem of the body (missing_field, out_of_range, malformed), or PROBLEM_none; *culprit is
 * the row concerned, or NULL.  CONTEXT fields are checked for their upper bound only. */
enum problem message_validate(const struct message_type *type, const void *body,
                              const struct field **culprit);

/* Valid UTF-8 (no surrogates, no overlong forms)?  *control* says whether control characters are
 * allowed as well. */
bool utf8_valid(const char *at, size_t size, bool control);

/* A three-letter currency code? */
bool currency_valid(const char currency[4]);

/* One line, `name field=value ...`, absent fields left out, secrets as `***`, without newline. */
void message_print(FILE *to, const struct message_type *type, const void *body);
/* A field's value as it stands in such a line. */
void field_print(FILE *to, const struct field *field, const void *body);

/* ---- Problems ---- */
enum retry { RETRY_NEVER, RETRY_LATER, RETRY_SAME };
const char *problem_name(enum problem problem);
const char *problem_title(enum problem problem);
int problem_http(enum problem problem);
enum retry problem_retry(enum problem problem);
/* In order of precedence; ends with PROBLEM_none. */
const enum problem *problem_list(void);

/* The hot types must stay small; see schema.c for the list. */
enum { HOT_BODY_MAX = 256 };

#endif
