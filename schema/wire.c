#include "schema/wire.h"

#include <assert.h>
#include <msgpack.h>
#include <string.h>

/* ---- Encoding: msgpack-c's packer into a fixed buffer; the first failure latches. ---- */

struct writer {
    uint8_t *at, *end;
    bool failed;
};

static int write_bytes(void *data, const char *bytes, size_t size) {
    struct writer *writer = data;
    if (writer->failed || (size_t)(writer->end - writer->at) < size) {
        writer->failed = true;
        return -1;
    }
    memcpy(writer->at, bytes, size);
    writer->at += size;
    return 0;
}

static void pack_text(msgpack_packer *packer, enum kind kind, struct text text) {
    if (text.size == 0) {
        msgpack_pack_nil(packer);
    } else if (kind == KIND_bytes) {
        msgpack_pack_bin(packer, text.size);
        msgpack_pack_bin_body(packer, text.at, text.size);
    } else {
        msgpack_pack_str(packer, text.size);
        msgpack_pack_str_body(packer, text.at, text.size);
    }
}

static void pack_field(msgpack_packer *packer, const struct field *field, const void *body) {
    switch (kind_stored(field->kind)) {
    case STORED_int64: msgpack_pack_int64(packer, field_number(field, body)); return;
    case STORED_uint32:
    case STORED_enum: msgpack_pack_uint32(packer, (uint32_t)field_number(field, body)); return;
    case STORED_text: pack_text(packer, field->kind, field_text(field, body)); return;
    case STORED_money: {
        struct money money;
        memcpy(&money, (const char *)body + field->offset, sizeof money);
        if (money.currency[0] == 0) {
            msgpack_pack_nil(packer);
            return;
        }
        msgpack_pack_array(packer, 2);
        msgpack_pack_int64(packer, money.amount);
        pack_text(packer, KIND_text, (struct text){ money.currency, 3 });
    }
    }
}

size_t wire_encode(const struct message_type *type, const void *body, uint8_t *to,
                   size_t capacity) {
    struct writer writer = { to, to + capacity, false };
    msgpack_packer packer;
    msgpack_packer_init(&packer, &writer, write_bytes);
    uint32_t count = type->field_count;
    while (count > 0 && !field_present(&type->fields[count - 1], body))
        count--;
    msgpack_pack_array(&packer, count);
    for (uint32_t i = 0; i < count; i++)
        pack_field(&packer, &type->fields[i], body);
    return writer.failed ? 0 : (size_t)(writer.at - to);
}

size_t wire_bound(const struct message_type *type, const void *body) {
    size_t bound = 5;
    for (const struct field *field = type->fields; field->name; field++) {
        bound += 16;
        if (kind_stored(field->kind) == STORED_text) bound += field_text(field, body).size;
    }
    return bound;
}

/* ---- Scanning and decoding: one cursor over the bytes, no memory. ---- */

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static size_t left(const struct reader *reader) {
    return (size_t)(reader->end - reader->at);
}

static const uint8_t *take(struct reader *reader, size_t size) {
    if (reader->failed || left(reader) < size) {
        reader->failed = true;
        return NULL;
    }
    reader->at += size;
    return reader->at - size;
}

static uint64_t take_big(struct reader *reader, size_t size) {
    const uint8_t *bytes = take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* What a value starts with: its class, and its length, count or number. */
enum shape {
    SHAPE_bad,
    SHAPE_nil,
    SHAPE_bool,
    SHAPE_int,
    SHAPE_float,
    SHAPE_str,
    SHAPE_bin,
    SHAPE_array,
    SHAPE_map
};

struct item {
    enum shape shape;
    bool negative; /* value is a negative int64_t */
    uint64_t value;
};

static struct item signed_item(int64_t value) {
    return (struct item){ SHAPE_int, value < 0, (uint64_t)value };
}

static struct item take_wide(struct reader *reader, unsigned tag) {
    switch (tag) {
    case 0xc0: return (struct item){ SHAPE_nil, false, 0 };
    case 0xc2:
    case 0xc3: return (struct item){ SHAPE_bool, false, tag & 1U };
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return (struct item){ SHAPE_bin, false, take_big(reader, (size_t)1 << (tag - 0xc4)) };
    case 0xca:
    case 0xcb: take(reader, tag == 0xca ? 4 : 8); return (struct item){ SHAPE_float, false, 0 };
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return (struct item){ SHAPE_int, false, take_big(reader, (size_t)1 << (tag - 0xcc)) };
    case 0xd0: return signed_item((int8_t)take_big(reader, 1));
    case 0xd1: return signed_item((int16_t)take_big(reader, 2));
    case 0xd2: return signed_item((int32_t)take_big(reader, 4));
    case 0xd3: return signed_item((int64_t)take_big(reader, 8));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return (struct item){ SHAPE_str, false, take_big(reader, (size_t)1 << (tag - 0xd9)) };
    case 0xdc:
    case 0xdd: return (struct item){ SHAPE_array, false, take_big(reader, tag == 0xdc ? 2 : 4) };
    case 0xde:
    case 0xdf: return (struct item){ SHAPE_map, false, take_big(reader, tag == 0xde ? 2 : 4) };
    default: return (struct item){ SHAPE_bad, false, 0 }; /* 0xc1 and every ext */
    }
}

static struct item take_item(struct reader *reader) {
    unsigned tag = (unsigned)take_big(reader, 1);
    struct item item;
    if (tag < 0x80)
        item = (struct item){ SHAPE_int, false, tag };
    else if (tag >= 0xe0)
        item = signed_item((int64_t)tag - 256);
    else if (tag < 0x90)
        item = (struct item){ SHAPE_map, false, tag & 0x0f };
    else if (tag < 0xa0)
        item = (struct item){ SHAPE_array, false, tag & 0x0f };
    else if (tag < 0xc0)
        item = (struct item){ SHAPE_str, false, tag & 0x1f };
    else
        item = take_wide(reader, tag);
    if (reader->failed || item.shape == SHAPE_bad) {
        reader->failed = true;
        item.shape = SHAPE_bad;
    }
    return item;
}

size_t wire_scan(const uint8_t *from, size_t size, uint32_t objects_max) {
    struct reader reader = { from, from + size, false };
    uint64_t pending[WIRE_DEPTH_MAX + 1] = { 1 }; /* Values still to come, per level. */
    uint32_t depth = 0, objects = 0;
    for (;;) {
        while (pending[depth] == 0) {
            if (depth == 0) return (size_t)(reader.at - from);
            depth--;
        }
        pending[depth]--;
        if (++objects > objects_max) return 0;
        struct item item = take_item(&reader);
        if (reader.failed) return 0;
        if (item.shape == SHAPE_str || item.shape == SHAPE_bin) {
            const uint8_t *bytes = take(&reader, item.value);
            if (bytes == NULL) return 0;
            if (item.shape == SHAPE_str && !utf8_valid((const char *)bytes, item.value, true)) {
                return 0;
            }
        } else if (item.shape == SHAPE_array || item.shape == SHAPE_map) {
            uint64_t count = item.shape == SHAPE_map ? item.value * 2 : item.value;
            if (count > left(&reader) || depth == WIRE_DEPTH_MAX) return 0;
            pending[++depth] = count;
        }
    }
}

uint32_t wire_count(const uint8_t *from, size_t size) {
    struct reader reader = { from, from + size, false };
    struct item item = take_item(&reader);
    return item.shape == SHAPE_array && item.value <= UINT32_MAX ? (uint32_t)item.value : 0;
}

static bool take_number(struct reader *reader, const struct field *field, void *body) {
    struct item item = take_item(reader);
    if (item.shape == SHAPE_nil) return true;
    if (item.shape != SHAPE_int) return false;
    if (!item.negative && item.value > INT64_MAX) return false;
    int64_t value = (int64_t)item.value;
    bool narrow =
        kind_stored(field->kind) == STORED_uint32 || kind_stored(field->kind) == STORED_enum;
    if (narrow && (value < 0 || value > UINT32_MAX)) return false;
    field_set_number(field, body, value);
    return true;
}

static bool take_text(struct reader *reader, const struct field *field, void *body) {
    struct item item = take_item(reader);
    if (item.shape == SHAPE_nil) return true;
    if (item.shape != (field->kind == KIND_bytes ? SHAPE_bin : SHAPE_str)) return false;
    if (item.value > TEXT_MAX) return false;
    const uint8_t *bytes = take(reader, item.value);
    if (bytes == NULL) return false;
    struct text text = { (const char *)bytes, (uint32_t)item.value };
    memcpy((char *)body + field->offset, &text, sizeof text);
    return true;
}

static bool take_money(struct reader *reader, const struct field *field, void *body) {
    struct money money = { 0, "" };
    struct item item = take_item(reader);
    if (item.shape == SHAPE_nil) return true;
    if (item.shape != SHAPE_array || item.value != 2) return false;
    item = take_item(reader);
    if (item.shape != SHAPE_int || (!item.negative && item.value > INT64_MAX)) return false;
    money.amount = (int64_t)item.value;
    item = take_item(reader);
    if (item.shape != SHAPE_str || item.value != 3) return false;
    const uint8_t *bytes = take(reader, 3);
    if (bytes == NULL) return false;
    memcpy(money.currency, bytes, 3);
    memcpy((char *)body + field->offset, &money, sizeof money);
    return currency_valid(money.currency);
}

static bool take_field(struct reader *reader, const struct field *field, void *body) {
    switch (kind_stored(field->kind)) {
    case STORED_int64:
    case STORED_uint32:
    case STORED_enum: return take_number(reader, field, body);
    case STORED_text: return take_text(reader, field, body);
    case STORED_money: return take_money(reader, field, body);
    }
    return false;
}

enum problem wire_decode(const struct message_type *type, const uint8_t *from, size_t size,
                         void *body, const struct field **culprit) {
    *culprit = NULL;
    memset(body, 0, type->size);
    if (wire_scan(from, size, WIRE_OBJECTS_MAX) != size) return PROBLEM_malformed;
    struct reader reader = { from, from + size, false };
    struct item head = take_item(&reader);
    if (head.shape != SHAPE_array) return PROBLEM_malformed;
    for (uint64_t i = 0; i < head.value && i < type->field_count; i++) {
        *culprit = &type->fields[i];
        if (!take_field(&reader, &type->fields[i], body) || reader.failed) return PROBLEM_malformed;
    }
    /* Elements behind the last known field come from a later version; the scan has read them. */
    *culprit = NULL;
    return message_validate(type, body, culprit);
}
