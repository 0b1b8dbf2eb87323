/* Reading JSON that others wrote. */
#include "broker/pay/fields.h"

#include <string.h>

json_t *fields_parse(const char *body, size_t size) {
    json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(root)) return root;
    json_decref(root);
    return NULL;
}

bool fields_text(const json_t *object, const char *name, char *out, size_t out_size) {
    const json_t *member = json_object_get(object, name);
    size_t size = json_string_length(member);

    if (size == 0 || size >= out_size) return false;
    const char *text = json_string_value(member);
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

bool fields_id(const json_t *object, const char *name, int64_t *out) {
    char text[20];
    int64_t id = 0;

    if (!fields_text(object, name, text, sizeof text) || text[0] == '0') return false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') return false;
        if (id > (INT64_MAX - (*at - '0')) / 10) return false;
        id = id * 10 + (*at - '0');
    }
    *out = id;
    return true;
}

bool fields_integer(const json_t *object, const char *name, int64_t lo, int64_t hi, int64_t *out) {
    const json_t *member = json_object_get(object, name);

    if (!json_is_integer(member)) return false;
    int64_t value = json_integer_value(member);
    if (value < lo || value > hi) return false;
    *out = value;
    return true;
}

bool fields_currency(const json_t *object, const char *name, char out[4]) {
    char text[4];

    if (!fields_text(object, name, text, sizeof text) || strlen(text) != 3) return false;
    for (size_t i = 0; i < 3; i++) {
        if (text[i] < 'A' || text[i] > 'Z') return false;
    }
    memcpy(out, text, sizeof text);
    return true;
}
