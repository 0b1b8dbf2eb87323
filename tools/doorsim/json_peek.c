#include "tools/doorsim/json_peek.h"

#include <string.h>

struct cursor {
    const char *at;
    const char *end;
};

static void skip_space(struct cursor *in) {
    while (in->at < in->end && strchr(" \t\r\n", *in->at) != NULL && *in->at != '\0') {
        in->at++;
    }
}

/* At the opening quote; leaves the cursor after the closing one.  The text between is raw. */
static bool take_string(struct cursor *in, const char **raw, size_t *length) {
    if (in->at >= in->end || *in->at != '"') return false;
    const char *start = ++in->at;
    while (in->at < in->end && *in->at != '"') {
        in->at += *in->at == '\\' ? 2 : 1;
    }
    if (in->at >= in->end) return false;
    *raw = start;
    *length = (size_t)(in->at - start);
    in->at++;
    return true;
}

/* Over one value of any kind.  Brackets are only counted: the server is not on trial for its JSON
 * here, and whatever is wrong shows as a member not found. */
static bool skip_value(struct cursor *in) {
    int depth = 0;
    const char *raw;
    size_t length;
    while (in->at < in->end) {
        char c = *in->at;
        if (c == '"') {
            if (!take_string(in, &raw, &length)) return false;
            if (depth == 0) return true;
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') {
            if (depth == 0) return true;
            if (--depth == 0) {
                in->at++;
                return true;
            }
        }
        if (depth == 0 && c == ',') return true;
        in->at++;
    }
    return depth == 0;
}

/* Leaves the cursor at the value of the member. */
static bool find_member(struct cursor *in, const char *name) {
    size_t want = strlen(name);
    skip_space(in);
    if (in->at >= in->end || *in->at != '{') return false;
    in->at++;
    for (;;) {
        const char *raw;
        size_t length;
        skip_space(in);
        if (!take_string(in, &raw, &length)) return false;
        skip_space(in);
        if (in->at >= in->end || *in->at != ':') return false;
        in->at++;
        skip_space(in);
        if (length == want && memcmp(raw, name, want) == 0) return true;
        if (!skip_value(in)) return false;
        skip_space(in);
        if (in->at >= in->end || *in->at != ',') return false;
        in->at++;
    }
}

/* The simple escapes; \u only for ASCII, which is all the members read here can hold. */
static bool unescape(const char *raw, size_t length, char *value, size_t size) {
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char c = raw[i];
        if (c == '\\') {
            const char *simple = ++i < length && raw[i] != '\0' ? strchr(from, raw[i]) : NULL;
            if (simple != NULL) {
                c = to[simple - from];
            } else if (i + 4 < length && raw[i] == 'u' && memcmp(raw + i + 1, "00", 2) == 0) {
                static const char digits[] = "0123456789abcdef";
                const char *high = memchr(digits, raw[i + 3] | 0x20, 16);
                const char *low = memchr(digits, raw[i + 4] | 0x20, 16);
                if (high == NULL || low == NULL || high - digits > 7) return false;
                c = (char)((high - digits) * 16 + (low - digits));
                i += 4;
            } else {
                return false;
            }
        }
        if (used + 1 >= size) return false;
        value[used++] = c;
    }
    value[used] = '\0';
    return true;
}

bool json_peek_text(const char *json, size_t length, const char *name, char *value, size_t size) {
    if (json == NULL) return false;
    struct cursor in = { json, json + length };
    const char *raw;
    size_t raw_length;
    if (!find_member(&in, name)) return false;
    return take_string(&in, &raw, &raw_length) && unescape(raw, raw_length, value, size);
}

bool json_peek_id(const char *json, size_t length, const char *name, int64_t *value) {
    if (json == NULL) return false;
    struct cursor in = { json, json + length };
    if (!find_member(&in, name)) return false;
    if (in.at < in.end && *in.at == '"') in.at++;
    int64_t number = 0;
    const char *start = in.at;
    while (in.at < in.end && *in.at >= '0' && *in.at <= '9') {
        int digit = *in.at++ - '0';
        if (number > (INT64_MAX - digit) / 10) return false;
        number = number * 10 + digit;
    }
    if (in.at == start) return false;
    *value = number;
    return true;
}
