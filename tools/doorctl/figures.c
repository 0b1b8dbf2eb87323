#include "tools/doorctl/figures.h"

#include <stdlib.h>
#include <string.h>

void figures_look(struct figures *self, int64_t at) {
    self->before = self->at;
    self->at = at;
    for (uint32_t i = 0; i < self->count; i++) {
        self->rows[i].before = self->rows[i].value;
        self->rows[i].value = 0;
    }
}

static const struct figure *find(const struct figures *self, const char *name) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->rows[i].name, name) == 0) return &self->rows[i];
    }
    return NULL;
}

void figures_add(struct figures *self, struct text name, int64_t value) {
    char key[FIGURE_NAME_SIZE];
    size_t size = name.size < sizeof key ? name.size : sizeof key - 1;
    if (size > 0) memcpy(key, name.at, size);
    key[size] = 0;
    const struct figure *known = find(self, key);
    if (known == NULL && self->count == FIGURES_MAX) return;
    struct figure *row = &self->rows[known != NULL ? known - self->rows : self->count];
    if (known == NULL) {
        *row = (struct figure){ 0 };
        memcpy(row->name, key, size + 1);
        self->count++;
    }
    row->value += value;
}

static int64_t grown(const struct figure *figure) {
    return figure->value > figure->before ? figure->value - figure->before : 0;
}

double figures_rate(const struct figures *self, const char *name) {
    const struct figure *figure = find(self, name);
    if (figure == NULL || self->before == 0 || self->at <= self->before) return 0;
    return (double)grown(figure) * 1e9 / (double)(self->at - self->before);
}

/* ---- Quantiles ---- */

static bool is_bucket(const struct figure *figure, const char *histogram) {
    size_t size = strlen(histogram);
    return strncmp(figure->name, histogram, size) == 0 &&
           strncmp(figure->name + size, "_bucket{", 8) == 0;
}

/* `le="0.5"}`, the end of a bucket's name; NULL when it has none. */
static const char *bound_of(const struct figure *figure) {
    return strstr(figure->name, "le=\"");
}

static int64_t cases_below(const struct figures *self, const char *histogram, const char *bound) {
    int64_t cases = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct figure *figure = &self->rows[i];
        const char *own = is_bucket(figure, histogram) ? bound_of(figure) : NULL;
        if (own != NULL && strcmp(own, bound) == 0) cases += grown(figure);
    }
    return cases;
}

struct figure_quantile figures_quantile(const struct figures *self, const char *histogram,
                                        double share) {
    static const char all[] = "le=\"+Inf\"}";
    struct figure_quantile found = { 0, false };
    double most = 0;
    int64_t wanted = (int64_t)((double)cases_below(self, histogram, all) * share + 0.999);
    if (wanted <= 0) return found;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct figure *figure = &self->rows[i];
        const char *bound = is_bucket(figure, histogram) ? bound_of(figure) : NULL;
        if (bound == NULL || strcmp(bound, all) == 0) continue;
        double seconds = strtod(bound + 4, NULL);
        if (seconds > most) most = seconds;
        if (found.seconds > 0 && seconds >= found.seconds) continue;
        if (cases_below(self, histogram, bound) >= wanted) found.seconds = seconds;
    }
    if (found.seconds > 0) return found;
    return (struct figure_quantile){ most, true };
}
