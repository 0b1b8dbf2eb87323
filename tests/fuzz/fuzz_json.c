/* Bytes as JSON for every message: what is taken must be valid, must be written again, and must
 * then be read to the same text.  The first byte chooses the message, the second the reader: JSON,
 * a single value, the head of a request, chunks. */
#include <stdlib.h>
#include <string.h>

#include "broker/http/parse.h"
#include "schema/json.h"
#include "tests/lib/json_twins.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good) {
    if (!good) abort();
}

/* Arrays of rows, and values that others made, are only ever written. */
static bool is_read_back(const struct message_type *type) {
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->kind == KIND_lots || field->kind == KIND_sales || field->kind == KIND_json)
            return false;
    }
    return true;
}

static void as_json(const struct message_type *type, const char *at, size_t size) {
    _Alignas(16) char body[1024] = { 0 }, again[1024] = { 0 };
    struct json_fail fail = { 0 };
    char *texts = malloc(size + 1), *line, *more;
    bool taken;
    must(texts != NULL && type->size <= sizeof body);
    must(json_twins(at, size, &taken));
    if (json_read(type, at, size, body, texts, size + 1, &fail)) {
        size_t room = 6 * size + 8192; /* Escapes are at most six times as long. */
        struct json_out out = { .at = line = malloc(room), .capacity = room };
        struct json_out second = { .at = malloc(room), .capacity = room };
        json_write(&out, type, body);
        must(!out.full);
        more = malloc(out.size + 1);
        if (is_read_back(type) && json_check(type, body, &fail)) {
            must(json_read(type, out.at, out.size, again, more, out.size + 1, &fail));
            json_write(&second, type, again);
            must(second.size == out.size && memcmp(second.at, out.at, out.size) == 0);
        }
        free(more);
        free(line);
        free(second.at);
    } else {
        must(fail.problem != PROBLEM_none && fail.detail[0] != 0);
        must(utf8_valid(fail.field, strlen(fail.field), false));
    }
    free(texts);
}

static void as_value(const struct message_type *type, const char *at, size_t size) {
    _Alignas(16) char body[1024] = { 0 };
    struct json_fail fail = { 0 };
    for (const struct field *field = type->fields; field->name; field++) {
        struct text text = { at, (uint32_t)size };
        if (!json_set(field, body, text, &fail)) must(fail.detail[0] != 0);
    }
}

static void as_head(const char *at, size_t size) {
    struct http_head head;
    size_t scanned = 0, end = 0;
    /* Byte by byte and at once: the same verdict. */
    enum http_progress slow = HTTP_MORE, quick;
    for (size_t have = 0; have <= size && slow == HTTP_MORE; have++) {
        slow = http_find_head(at, have, &scanned, &end);
    }
    scanned = 0;
    quick = http_find_head(at, size, &scanned, &end);
    must(slow == quick);
    if (quick != HTTP_DONE || http_parse_head(at, end, &head) != HTTP_DONE) return;
    must(!(head.chunked && head.has_length) && head.path.size > 0 && head.path.at[0] == '/');
    char decoded[65536];
    uint32_t length;
    if (head.path.size < sizeof decoded) http_decode(head.path, true, decoded, &length);
}

static void as_chunks(const char *at, size_t size) {
    enum { MOST = 4096 };
    char whole[65536], parts[65536];
    struct http_chunks a = { 0 }, b = { 0 };
    size_t have = size, some = 0;
    bool large;
    if (size > sizeof whole) return;
    memcpy(whole, at, size);
    enum http_progress quick = http_read_chunks(&a, whole, &have, MOST, &large), slow = HTTP_MORE;
    for (size_t i = 0; i < size && slow == HTTP_MORE; i++) {
        parts[some++] = at[i];
        slow = http_read_chunks(&b, parts, &some, MOST, &large);
    }
    if (size == 0) return;
    must(slow == quick && a.out <= MOST);
    if (quick == HTTP_DONE) must(a.out == b.out && memcmp(whole, parts, a.out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const struct message_type *type = &message_types()[data[0] % message_type_count()];
    char *copy = malloc(size - 2 + 1); /* Its end is where the bytes end. */
    must(copy != NULL);
    memcpy(copy, data + 2, size - 2);
    switch (data[1] % 4) {
    case 0: as_json(type, copy, size - 2); break;
    case 1: as_value(type, copy, size - 2); break;
    case 2: as_head(copy, size - 2); break;
    default: as_chunks(copy, size - 2); break;
    }
    free(copy);
    return 0;
}
