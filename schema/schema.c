#include "schema/schema.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "schema/id.h"

#define HOT(name) _Static_assert(sizeof(struct name) <= HOT_BODY_MAX, #name " is a hot type")
HOT(reserve);
HOT(reserved);
HOT(held);
HOT(place);
HOT(purchase);
HOT(decided);
HOT(settle);
HOT(undo);
HOT(undone);
HOT(order_create);
HOT(order_view);
HOT(failed);

/* The field tables: one array per message, made with a local typedef so that offsetof needs no
 * repetition of the message's name.  The function is called once, by the table below. */
#define MESSAGE(name, id, doc)                                                                     \
    static const struct field *name##_fields(void) {                                               \
        typedef struct name self;                                                                  \
        static const struct field fields[] = {
#define FIELD(name, kind, need, lo, hi, doc)                                                       \
    {                                                                                              \
        #name, KIND_##kind, need, offsetof(self, name), sizeof(((self *)NULL)->name),              \
        (lo),  (hi),        doc                                                                    \
    },
#define END()                                                                                      \
    { NULL, KIND_id, OPTIONAL, sizeof(self), 0, 0, 0, NULL }                                       \
    }                                                                                              \
    ;                                                                                              \
    return fields;                                                                                 \
    }
#include "schema/messages.def"
#undef MESSAGE
#undef FIELD
#undef END

static const struct {
    enum message_id id;
    const char *name;
    const char *doc;
    size_t size;
    const struct field *(*fields)(void);
} rows[] = {
#define MESSAGE(name, id, doc) { MSG_##name, #name, doc, sizeof(struct name), name##_fields },
#define FIELD(name, kind, need, lo, hi, doc)
#define END()
#include "schema/messages.def"
#undef MESSAGE
#undef FIELD
#undef END
};

enum { TYPES = sizeof rows / sizeof rows[0], NUMBERS = 0x1000 };

static struct message_type types[TYPES + 1];
static uint16_t by_number[NUMBERS]; /* index + 1, 0 = none */

static const enum stored stored_as[KIND_COUNT] = {
#define KIND(name, type, stored, doc) STORED_##stored,
#include "schema/kinds.def"
#undef KIND
};

static const char *const kind_names[KIND_COUNT] = {
#define KIND(name, type, stored, doc) #name,
#include "schema/kinds.def"
#undef KIND
};

static const char *const kind_docs[KIND_COUNT] = {
#define KIND(name, type, stored, doc) doc,
#include "schema/kinds.def"
#undef KIND
};

/* Before main, so that threads never meet a half-made table. */
__attribute__((constructor)) static void make_tables(void) {
    for (uint16_t i = 0; i < TYPES; i++) {
        struct message_type *type = &types[i];
        *type = (struct message_type){ .id = rows[i].id,
                                       .index = i,
                                       .name = rows[i].name,
                                       .doc = rows[i].doc,
                                       .size = rows[i].size,
                                       .fields = rows[i].fields() };
        for (const struct field *field = type->fields; field->name; field++) {
            type->field_count++;
            if (stored_as[field->kind] != STORED_text) continue;
            assert(type->text_count < MESSAGE_TEXTS_MAX);
            type->text_at[type->text_count++] = (uint16_t)field->offset;
        }
        assert(type->field_count <= MESSAGE_FIELDS_MAX);
        assert((unsigned)type->id < NUMBERS);
        assert(by_number[type->id] == 0 && "a message number is used twice");
        by_number[type->id] = (uint16_t)(i + 1);
    }
}

struct text text_of(const char *string) {
    return (struct text){ string, string ? (uint32_t)strlen(string) : 0 };
}

bool text_equal(struct text a, struct text b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

bool text_is(struct text a, const char *string) {
    return text_equal(a, text_of(string));
}

const struct message_type *message_types(void) {
    return types;
}
uint32_t message_type_count(void) {
    return TYPES;
}

const struct message_type *message_type(enum message_id id) {
    if ((unsigned)id >= NUMBERS || by_number[id] == 0) return NULL;
    return &types[by_number[id] - 1];
}

const struct message_type *message_type_named(const char *name) {
    for (const struct message_type *type = types; type->name; type++) {
        if (strcmp(type->name, name) == 0) return type;
    }
    return NULL;
}

const struct field *field_named(const struct message_type *type, struct text name) {
    for (const struct field *field = type->fields; field->name; field++) {
        if (text_is(name, field->name)) return field;
    }
    return NULL;
}

enum stored kind_stored(enum kind kind) {
    return stored_as[kind];
}
const char *kind_name(enum kind kind) {
    return kind_names[kind];
}
const char *kind_doc(enum kind kind) {
    return kind_docs[kind];
}
bool kind_is_state(enum kind kind) {
    return stored_as[kind] == STORED_enum && kind != KIND_problem;
}

static const struct {
    enum kind kind;
    uint32_t number;
    const char *name;
} states[] = {
#define MACHINE(kind, doc)
#define STATE(kind, name, number) { KIND_##kind, number, #name },
#define END_MACHINE()
#include "schema/states.def"
#undef MACHINE
#undef STATE
#undef END_MACHINE
};

const char *state_name(enum kind kind, uint32_t value) {
    if (kind == KIND_problem) return problem_name((enum problem)value);
    if (value == 0) return "none";
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].kind == kind && states[i].number == value) return states[i].name;
    }
    return NULL;
}

int64_t state_value(enum kind kind, struct text name) {
    if (kind == KIND_problem) {
        for (const enum problem *problem = problem_list(); *problem; problem++) {
            if (text_is(name, problem_name(*problem))) return (int64_t)*problem;
        }
        return -1;
    }
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].kind == kind && text_is(name, states[i].name)) return states[i].number;
    }
    return -1;
}

struct text field_text(const struct field *field, const void *body) {
    struct text value = { NULL, 0 };
    if (stored_as[field->kind] == STORED_text) {
        memcpy(&value, (const char *)body + field->offset, sizeof value);
    }
    return value;
}

int64_t field_number(const struct field *field, const void *body) {
    const char *at = (const char *)body + field->offset;
    switch (stored_as[field->kind]) {
    case STORED_int64:
    case STORED_money: {
        int64_t wide;
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    case STORED_uint32:
    case STORED_enum: {
        uint32_t narrow;
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    case STORED_text: return field_text(field, body).size;
    }
    return 0;
}

void field_set_number(const struct field *field, void *body, int64_t value) {
    char *at = (char *)body + field->offset;
    uint32_t narrow = (uint32_t)value;
    if (stored_as[field->kind] == STORED_uint32 || stored_as[field->kind] == STORED_enum) {
        memcpy(at, &narrow, sizeof narrow);
    } else {
        assert(stored_as[field->kind] != STORED_text);
        memcpy(at, &value, sizeof value);
    }
}

bool field_present(const struct field *field, const void *body) {
    if (field_number(field, body) != 0) return true;
    if (stored_as[field->kind] != STORED_money) return false;
    struct money money; /* A price of nothing is a price. */
    memcpy(&money, (const char *)body + field->offset, sizeof money);
    return money.currency[0] != 0;
}

bool field_shown(const struct field *field, const void *body) {
    bool count = field->kind == KIND_u32 || field->kind == KIND_i64;
    if (field->kind == KIND_bytes) return false;
    if (field->need == REQUIRED && stored_as[field->kind] != STORED_text) return true;
    return (field->need == CONTEXT && count) || field_present(field, body);
}

bool currency_valid(const char currency[4]) {
    for (int i = 0; i < 3; i++) {
        if (currency[i] < 'A' || currency[i] > 'Z') return false;
    }
    return currency[3] == 0;
}

/* Eight bytes of printable ASCII?  Bytes that are zero, or smaller than n, as in S. E. Anderson,
 * Bit Twiddling Hacks: exact for "is there any" once no byte has its high bit. */
static bool is_plain(const unsigned char *at, bool control) {
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    if ((word & high) != 0) return false;
    if (control) return true;
    uint64_t delete = word ^ ones * 0x7f;
    return (((word - ones * 0x20) | ((delete - ones) & ~delete)) & high) == 0;
}

bool utf8_valid(const char *at, size_t size, bool control) {
    if (size == 0) return true; /* An absent text has no address to count from. */
    const unsigned char *byte = (const unsigned char *)at, *end = byte + size;
    while (byte < end) {
        if (end - byte >= 8 && is_plain(byte, control)) {
            byte += 8;
            continue;
        }
        unsigned lead = *byte++, more;
        uint32_t point;
        if (lead < 0x80) {
            if (!control && (lead < 0x20 || lead == 0x7f)) return false;
            continue;
        }
        if (lead >= 0xc2 && lead <= 0xdf)
            more = 1, point = lead & 0x1f;
        else if (lead >= 0xe0 && lead <= 0xef)
            more = 2, point = lead & 0x0f;
        else if (lead >= 0xf0 && lead <= 0xf4)
            more = 3, point = lead & 0x07;
        else
            return false;
        if ((size_t)(end - byte) < more) return false;
        unsigned length = more;
        for (; more > 0; more--) {
            if ((*byte & 0xc0) != 0x80) return false;
            point = point << 6 | (*byte++ & 0x3fU);
        }
        if (length == 2 && (point < 0x800 || (point >= 0xd800 && point <= 0xdfff))) return false;
        if (length == 3 && (point < 0x10000 || point > 0x10ffff)) return false;
    }
    return true;
}

static enum problem check_field(const struct field *field, const void *body) {
    bool present = field_present(field, body);
    int64_t value = field_number(field, body);
    /* A required number may be 0 when 0 is within its bounds. */
    if (!present && field->need == REQUIRED && field->lo > 0) return PROBLEM_missing_field;
    if (!present && (field->need != REQUIRED || field->lo > 0)) return PROBLEM_none;
    if (value > field->hi || (field->need != CONTEXT && value < field->lo)) {
        return PROBLEM_out_of_range;
    }
    if (stored_as[field->kind] == STORED_money) {
        struct money money;
        memcpy(&money, (const char *)body + field->offset, sizeof money);
        if (!currency_valid(money.currency)) return PROBLEM_malformed;
    }
    if (stored_as[field->kind] == STORED_enum && value != 0 &&
        state_name(field->kind, (uint32_t)value) == NULL) {
        return PROBLEM_out_of_range;
    }
    if (stored_as[field->kind] == STORED_text && field->kind != KIND_bytes) {
        struct text text = field_text(field, body);
        if (!utf8_valid(text.at, text.size, false)) return PROBLEM_malformed;
    }
    return PROBLEM_none;
}

enum problem message_validate(const struct message_type *type, const void *body,
                              const struct field **culprit) {
    assert(type != NULL && body != NULL);
    for (const struct field *field = type->fields; field->name; field++) {
        *culprit = field;
        enum problem problem = check_field(field, body);
        if (problem != PROBLEM_none) return problem;
    }
    *culprit = NULL;
    return PROBLEM_none;
}

static void print_text(FILE *to, struct text text) {
    fputc('"', to);
    for (uint32_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte == '"' || byte == '\\')
            fprintf(to, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            fprintf(to, "\\x%02x", byte);
        else
            fputc(byte, to);
    }
    fputc('"', to);
}

void field_print(FILE *to, const struct field *field, const void *body) {
    int64_t value = field_number(field, body);
    switch (field->kind) {
    case KIND_secret:
    case KIND_address: fputs("***", to); return;
    case KIND_bytes:
    case KIND_lots:
    case KIND_sales: fprintf(to, "[%" PRId64 "]", value); return;
    case KIND_json:
    case KIND_text: print_text(to, field_text(field, body)); return;
    case KIND_rid: fprintf(to, "%" PRIu32 "-%" PRIu64, rid_epoch(value), rid_seq(value)); return;
    case KIND_money: {
        struct money money;
        memcpy(&money, (const char *)body + field->offset, sizeof money);
        fprintf(to, "%" PRId64 "%.3s", money.amount, money.currency);
        return;
    }
    default:
        if (stored_as[field->kind] == STORED_enum) {
            const char *name = state_name(field->kind, (uint32_t)value);
            fputs(name ? name : "?", to);
        } else {
            fprintf(to, "%" PRId64, value);
        }
    }
}

void message_print(FILE *to, const struct message_type *type, const void *body) {
    fputs(type->name, to);
    for (const struct field *field = type->fields; field->name; field++) {
        if (!field_present(field, body)) continue;
        fprintf(to, " %s=", field->name);
        field_print(to, field, body);
    }
}

/* ---- Problems ---- */

static const struct {
    enum problem problem;
    int http;
    enum retry retry;
    const char *name;
    const char *title;
} problems[] = {
#define PROBLEM(name, code, http, retry, title)                                                    \
    { PROBLEM_##name, http, RETRY_##retry, #name, title },
#include "schema/problems.def"
#undef PROBLEM
};

static const enum problem problem_order[] = {
#define PROBLEM(name, code, http, retry, title) PROBLEM_##name,
#include "schema/problems.def"
#undef PROBLEM
    PROBLEM_none
};

enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static size_t problem_row(enum problem problem) {
    size_t i = 0;
    while (i < PROBLEMS && problems[i].problem != problem)
        i++;
    return i;
}

const enum problem *problem_list(void) {
    return problem_order;
}

const char *problem_name(enum problem problem) {
    if (problem == PROBLEM_none) return "none";
    size_t row = problem_row(problem);
    return row < PROBLEMS ? problems[row].name : NULL;
}

const char *problem_title(enum problem problem) {
    size_t row = problem_row(problem);
    return row < PROBLEMS ? problems[row].title : "unknown problem";
}

int problem_http(enum problem problem) {
    size_t row = problem_row(problem);
    return row < PROBLEMS ? problems[row].http : 500;
}

enum retry problem_retry(enum problem problem) {
    size_t row = problem_row(problem);
    return row < PROBLEMS ? problems[row].retry : RETRY_NEVER;
}
