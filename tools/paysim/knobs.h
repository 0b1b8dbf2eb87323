/* What the provider is told to do wrong, described once in knobs.def. */
#ifndef PAYSIM_KNOBS_H
#define PAYSIM_KNOBS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t knob_integer;
typedef double knob_rate;
typedef bool knob_boolean;

struct knobs {
#define KNOB(name, kind, standard, lo, hi, doc) knob_##kind name;
#include "tools/paysim/knobs.def"
};

enum knob_kind { KNOB_integer, KNOB_rate, KNOB_boolean };

struct knob {
    const char *name;
    enum knob_kind kind;
    size_t offset;
    double standard;
    double lo;
    double hi;
    const char *doc;
};

/* All rows; ends where name is NULL. */
const struct knob *knobs_rows(void);

void knobs_init(struct knobs *self);
/* From an option's text: a number, or for a boolean also yes, no, true, false or nothing (yes). */
bool knobs_set_text(struct knobs *self, const struct knob *row, const char *text);
/* Changes the members named in `object`, or nothing: then *bad is the name at fault. */
bool knobs_set_json(struct knobs *self, const json_t *object, const char **bad);
/* All of them; the caller's. */
json_t *knobs_json(const struct knobs *self);

#endif
