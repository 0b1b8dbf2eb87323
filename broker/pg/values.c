/* Between message fields and PostgreSQL's texts: numbers in decimal, times in microseconds, bytes
 * in hex, arrays in braces. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/pg/statements.h"

static char *room(struct values *self, size_t size) {
    if (self->size + size > self->capacity) {
        self->capacity = (self->size + size) * 2;
        self->at = realloc(self->at, self->capacity);
        if (self->at == NULL) abort();
    }
    return self->at + self->size;
}

static void add_byte(struct values *self, char byte) {
    *room(self, 1) = byte;
    self->size++;
}

static void add_number(struct values *self, int64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) digits[--at] = '-';
    memcpy(room(self, sizeof digits - at), digits + at, sizeof digits - at);
    self->size += sizeof digits - at;
}

static void add_text(struct values *self, const char *at, size_t size, bool quoted) {
    char *to = room(self, 2 * size + 2);
    char *start = to;
    if (quoted) *to++ = '"';
    for (size_t i = 0; i < size; i++) {
        if (quoted && (at[i] == '"' || at[i] == '\\')) *to++ = '\\';
        *to++ = at[i];
    }
    if (quoted) *to++ = '"';
    self->size += (size_t)(to - start);
}

static void add_bytes(struct values *self, struct text bytes, bool quoted) {
    static const char hex[] = "0123456789abcdef";
    const char *prefix = quoted ? "\"\\\\x" : "\\x";
    add_text(self, prefix, strlen(prefix), false);
    char *to = room(self, 2 * (size_t)bytes.size);
    for (uint32_t i = 0; i < bytes.size; i++) {
        unsigned char byte = (unsigned char)bytes.at[i];
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
    }
    self->size += 2 * (size_t)bytes.size;
    if (quoted) add_byte(self, '"');
}

static void add_field(struct values *self, const struct field *field, const void *body,
                      bool currency, bool quoted) {
    switch (kind_stored(field->kind)) {
    case STORED_text: {
        struct text text = field_text(field, body);
        if (field->kind == KIND_bytes)
            add_bytes(self, text, quoted);
        else
            add_text(self, text.at, text.size, quoted);
        break;
    }
    case STORED_money:
        if (currency) {
            const struct money *money = (const void *)((const char *)body + field->offset);
            add_text(self, money->currency, strnlen(money->currency, 3), quoted);
            break;
        }
        add_number(self, field_number(field, body));
        break;
    case STORED_int64:
    case STORED_uint32:
    case STORED_enum: {
        int64_t number = field_number(field, body);
        bool in_ns = field->kind == KIND_time || field->kind == KIND_span;
        add_number(self, in_ns ? number / 1000 : number);
        break;
    }
    }
}

static void add_parameter(struct values *self, const struct field *field, const struct message *in,
                          uint32_t count, bool currency, bool arrays) {
    assert(self->count < LINK_PARAMETERS_MAX);
    self->start[self->count++] = self->size;
    if (arrays) {
        for (uint32_t i = 0; i < count; i++) {
            add_byte(self, i == 0 ? '{' : ',');
            add_field(self, field, in[i].body, currency, true);
        }
        add_byte(self, '}');
    } else {
        add_field(self, field, in[0].body, currency, false);
    }
    add_byte(self, '\0');
}

void values_make(struct values *self, const struct message *in, uint32_t count, bool arrays) {
    const struct message_type *type = message_type((enum message_id)in[0].head.type);
    self->size = 0;
    self->count = 0;
    for (const struct field *field = type->fields; field->name != NULL; field++) {
        add_parameter(self, field, in, count, false, arrays);
        if (kind_stored(field->kind) == STORED_money)
            add_parameter(self, field, in, count, true, arrays);
    }
    for (uint32_t i = 0; i < self->count; i++)
        self->value[i] = self->at + self->start[i];
}

void values_fini(struct values *self) {
    free(self->at);
    *self = (struct values){ 0 };
}

/* Bigints, and whole numerics (sums). */
static int64_t parse(const char *text) {
    bool negative = *text == '-';
    uint64_t number = 0;
    for (text += negative; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    return (int64_t)(negative ? 0 - number : number);
}

int64_t row_number(const struct pg_link *link, uint32_t row, uint32_t column) {
    uint32_t size;
    const char *text = link_value(link, row, column, &size);
    return text == NULL ? 0 : parse(text);
}

static struct text copy(const char *text, uint32_t size, struct outbox *out) {
    if (size == 0) return (struct text){ NULL, 0 };
    char *at = outbox_text(out, size);
    memcpy(at, text, size);
    return (struct text){ at, size };
}

static uint8_t nibble(char digit) {
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* bytea comes as \x and two digits per byte. */
static struct text copy_bytes(const char *hex, uint32_t size, struct outbox *out) {
    if (size < 4) return (struct text){ NULL, 0 };
    uint32_t count = (size - 2) / 2;
    char *at = outbox_text(out, count);
    for (uint32_t i = 0; i < count; i++)
        at[i] = (char)(nibble(hex[2 + 2 * i]) << 4 | nibble(hex[3 + 2 * i]));
    return (struct text){ at, count };
}

static void read_field(const struct field *field, const char *text, uint32_t size, void *body,
                       struct outbox *out) {
    void *member = (char *)body + field->offset;
    if (kind_stored(field->kind) == STORED_text) {
        struct text value =
            field->kind == KIND_bytes ? copy_bytes(text, size, out) : copy(text, size, out);
        memcpy(member, &value, sizeof value);
    } else if (field->kind == KIND_time || field->kind == KIND_span) {
        int64_t us = parse(text);
        field_set_number(field, body, us > INT64_MAX / 1000 ? INT64_MAX : us * 1000);
    } else {
        field_set_number(field, body, parse(text));
    }
}

uint32_t row_read(const struct pg_link *link, uint32_t row, uint32_t first,
                  const struct message_type *type, void *body, struct outbox *out) {
    uint32_t column = first, columns = link_columns(link), size;
    for (const struct field *field = type->fields; field->name != NULL; field++) {
        if (column >= columns) break;
        const char *text = link_value(link, row, column++, &size);
        if (text != NULL) read_field(field, text, size, body, out);
        if (kind_stored(field->kind) != STORED_money || column >= columns) continue;
        text = link_value(link, row, column++, &size);
        struct money *money = (void *)((char *)body + field->offset);
        if (text != NULL && size <= 3) memcpy(money->currency, text, size);
    }
    return column;
}
