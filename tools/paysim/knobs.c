/* Misbehaviour as options and as JSON. */
#include "tools/paysim/knobs.h"

#include <stdlib.h>
#include <string.h>

static const struct knob rows[] = {
#define KNOB(name, kind, standard, lo, hi, doc)                                                    \
    { #name, KNOB_##kind, offsetof(struct knobs, name), (standard), (lo), (hi), (doc) },
#include "tools/paysim/knobs.def"
    { .name = NULL },
};

const struct knob *knobs_rows(void) {
    return rows;
}

static bool set(struct knobs *self, const struct knob *row, double value) {
    unsigned char *member = (unsigned char *)self + row->offset;
    const int64_t integer = (int64_t)value;
    const bool yes = value > 0;

    if (!(value >= row->lo && value <= row->hi)) return false;
    switch (row->kind) {
    case KNOB_integer: memcpy(member, &integer, sizeof integer); break;
    case KNOB_rate: memcpy(member, &value, sizeof value); break;
    case KNOB_boolean: memcpy(member, &yes, sizeof yes); break;
    }
    return true;
}

void knobs_init(struct knobs *self) {
    memset(self, 0, sizeof *self);
    for (const struct knob *row = rows; row->name != NULL; row++)
        (void)set(self, row, row->standard);
}

bool knobs_set_text(struct knobs *self, const struct knob *row, const char *text) {
    if (row->kind == KNOB_boolean) {
        if (text == NULL || strcmp(text, "yes") == 0 || strcmp(text, "true") == 0) {
            return set(self, row, 1);
        }
        if (strcmp(text, "no") == 0 || strcmp(text, "false") == 0) return set(self, row, 0);
    }
    if (text == NULL || *text == '\0') return false;
    char *end = NULL;
    double value = strtod(text, &end);
    return *end == '\0' && set(self, row, value);
}

static bool set_member(struct knobs *self, const char *name, const json_t *value) {
    for (const struct knob *row = rows; row->name != NULL; row++) {
        if (strcmp(row->name, name) != 0) continue;
        if (row->kind == KNOB_boolean) {
            return json_is_boolean(value) && set(self, row, json_is_true(value) ? 1 : 0);
        }
        if (row->kind == KNOB_integer && !json_is_integer(value)) return false;
        return json_is_number(value) && set(self, row, json_number_value(value));
    }
    return false;
}

bool knobs_set_json(struct knobs *self, const json_t *object, const char **bad) {
    struct knobs changed = *self;

    /* Read-only iteration; jansson's iterators want a pointer they could write through. */
    json_t *copy = json_copy((json_t *)(uintptr_t)object);
    for (void *at = json_object_iter(copy); at != NULL; at = json_object_iter_next(copy, at)) {
        const char *name = json_object_iter_key(at);
        if (set_member(&changed, name, json_object_iter_value(at))) continue;
        *bad = "unknown";
        for (const struct knob *row = rows; row->name != NULL; row++) {
            if (strcmp(row->name, name) == 0) *bad = row->name;
        }
        json_decref(copy);
        return false;
    }
    json_decref(copy);
    *self = changed;
    return true;
}

json_t *knobs_json(const struct knobs *self) {
    json_t *object = json_object();

    for (const struct knob *row = rows; row->name != NULL; row++) {
        const unsigned char *member = (const unsigned char *)self + row->offset;
        int64_t integer = 0;
        double rate = 0;
        bool yes = false;
        json_t *value = NULL;
        switch (row->kind) {
        case KNOB_integer:
            memcpy(&integer, member, sizeof integer);
            value = json_integer(integer);
            break;
        case KNOB_rate:
            memcpy(&rate, member, sizeof rate);
            value = json_real(rate);
            break;
        case KNOB_boolean:
            memcpy(&yes, member, sizeof yes);
            value = json_boolean(yes);
            break;
        }
        json_object_set_new(object, row->name, value);
    }
    return object;
}
