/* Bodies as JSON text, by their tables: no tree, no allocation, no printf. */
#include "schema/json.h"

#include <assert.h>
#include <string.h>

#include "schema/id.h"
#include "schema/timefmt.h"

void json_raw(struct json_out *out, const char *text, size_t size) {
    if (out->full || size > out->capacity - out->size) {
        out->full = true;
        return;
    }
    if (size > 0) memcpy(out->at + out->size, text, size);
    out->size += size;
}

static void put(struct json_out *out, const char *literal) {
    json_raw(out, literal, strlen(literal));
}

static void put_unsigned(struct json_out *out, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    json_raw(out, digits + at, sizeof digits - at);
}

void json_int(struct json_out *out, int64_t value) {
    if (value < 0) put(out, "-");
    put_unsigned(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_escaped(struct json_out *out, unsigned char byte) {
    static const char hex[] = "0123456789abcdef";
    char escape[6] = { '\\', (char)byte, '0', '0', hex[byte >> 4], hex[byte & 15] };
    if (byte == '"' || byte == '\\') {
        json_raw(out, escape, 2);
    } else {
        escape[1] = 'u';
        json_raw(out, escape, sizeof escape);
    }
}

void json_quote(struct json_out *out, struct text text) {
    uint32_t from = 0;
    put(out, "\"");
    for (uint32_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f) continue;
        json_raw(out, text.at + from, i - from);
        put_escaped(out, byte);
        from = i + 1;
    }
    if (text.size > from) json_raw(out, text.at + from, text.size - from);
    put(out, "\"");
}

static void put_money(struct json_out *out, const struct field *field, const void *body) {
    struct money money;
    memcpy(&money, (const char *)body + field->offset, sizeof money);
    put(out, "{\"amount\":");
    json_int(out, money.amount);
    put(out, ",\"currency\":");
    json_quote(out, (struct text){ money.currency, (uint32_t)strnlen(money.currency, 3) });
    put(out, "}");
}

static void put_name(struct json_out *out, enum kind kind, int64_t value) {
    const char *name = state_name(kind, (uint32_t)value);
    json_quote(out, text_of(name != NULL ? name : "unknown"));
}

static void put_value(struct json_out *out, const struct field *field, const void *body) {
    int64_t value = field_number(field, body);
    char time[TIMEFMT_SIZE];
    switch (field->kind) {
    case KIND_id:
        put(out, "\"");
        json_int(out, value);
        put(out, "\"");
        return;
    case KIND_rid:
        put(out, "\"");
        put_unsigned(out, rid_epoch(value));
        put(out, "-");
        put_unsigned(out, rid_seq(value));
        put(out, "\"");
        return;
    case KIND_time: json_quote(out, text_of(timefmt_write(value, time))); return;
    case KIND_span: json_int(out, value / TIMEFMT_NS_PER_S); return;
    case KIND_text:
    case KIND_secret: json_quote(out, field_text(field, body)); return;
    case KIND_address:
    case KIND_json:
    case KIND_lots:
    case KIND_sales: {
        struct text text = field_text(field, body);
        if (text.size > 0)
            json_raw(out, text.at, text.size);
        else
            put(out, field->kind == KIND_lots || field->kind == KIND_sales ? "[]" : "null");
        return;
    }
    case KIND_money: put_money(out, field, body); return;
    default: break;
    }
    if (kind_stored(field->kind) == STORED_enum)
        put_name(out, field->kind, value);
    else
        json_int(out, value);
}

static void write(struct json_out *out, const struct message_type *type, const void *body,
                  bool whole) {
    assert(type != NULL && body != NULL);
    bool first = true;
    put(out, "{");
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->need == CONTEXT && !whole) continue;
        /* A shop without lots still shows its list. */
        bool list = !whole && (field->kind == KIND_lots || field->kind == KIND_sales);
        if (!list && !field_shown(field, body)) continue;
        if (!first) put(out, ",");
        first = false;
        put(out, "\"");
        put(out, field->name);
        put(out, "\":");
        put_value(out, field, body);
    }
    put(out, "}");
}

void json_write(struct json_out *out, const struct message_type *type, const void *body) {
    write(out, type, body, false);
}

void json_write_whole(struct json_out *out, const struct message_type *type, const void *body) {
    write(out, type, body, true);
}
