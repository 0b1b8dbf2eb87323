#include "tools/doorsim/gauges.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *line, size_t length, const char *word, size_t word_length) {
    return length >= word_length && memcmp(line, word, word_length) == 0;
}

/* The place of a name, made if there is room; GAUGES_MAX if not. */
static size_t place_of(struct gauges *self, const char *name, size_t length) {
    if (length >= GAUGE_NAME_MAX) return GAUGES_MAX;
    for (size_t i = 0; i < self->count; i++) {
        if (strlen(self->name[i]) == length && memcmp(self->name[i], name, length) == 0) return i;
    }
    if (self->count == GAUGES_MAX) return GAUGES_MAX;
    memcpy(self->name[self->count], name, length);
    self->name[self->count][length] = '\0';
    return self->count++;
}

static void read_series(struct gauges *self, const char *line, size_t length, double *values) {
    char number[40];
    size_t name_length = length;
    while (name_length > 0 && line[name_length - 1] != ' ') {
        name_length--;
    }
    size_t digits = length - name_length;
    if (name_length < 2 || digits == 0 || digits >= sizeof number) return;
    memcpy(number, line + name_length, digits);
    number[digits] = '\0';
    size_t place = place_of(self, line, name_length - 1);
    if (place < GAUGES_MAX) values[place] = strtod(number, NULL);
}

void gauges_read(struct gauges *self, const char *text, size_t length, double *values) {
    static const char type[] = "# TYPE ", gauge[] = " gauge";
    const char *family = NULL;
    size_t family_length = 0;
    const char *end = text + length;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t size = newline != NULL ? (size_t)(newline - text) : (size_t)(end - text);
        if (begins(text, size, type, sizeof type - 1)) {
            bool is_gauge = size > sizeof type - 1 + sizeof gauge - 1 &&
                            memcmp(text + size - (sizeof gauge - 1), gauge, sizeof gauge - 1) == 0;
            family = is_gauge ? text + sizeof type - 1 : NULL;
            family_length = is_gauge ? size - (sizeof type - 1) - (sizeof gauge - 1) : 0;
        } else if (family != NULL && begins(text, size, family, family_length)) {
            read_series(self, text, size, values);
        }
        text += size + 1;
    }
}

bool gauges_sum(const struct gauges *self, const char *prefix, const double *values, double *sum) {
    bool any = false;
    *sum = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (strncmp(self->name[i], prefix, strlen(prefix)) != 0 || isnan(values[i])) continue;
        *sum += values[i];
        any = true;
    }
    return any;
}
