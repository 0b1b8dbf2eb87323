#include "tools/doorsim/bench/book.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *unit, *against, *what;
} figures[FIGURES] = {
#define FIGURE(name, unit, against, what) { #name, unit, against, what },
#include "tools/doorsim/bench/figures.def"
#undef FIGURE
};

static const struct {
    enum figure figure;
    const char *against;
    double must, dream;
    const char *what;
} targets[] = {
#define TARGET(figure, against, must, dream, what) { FIGURE_##figure, against, must, dream, what },
#include "tools/doorsim/bench/targets.def"
#undef TARGET
};

enum { TARGETS = sizeof targets / sizeof targets[0] };

const char *figure_name(enum figure figure) {
    return figures[figure].name;
}

static void add(struct values *values, double value) {
    if (values->count < ROUNDS_MAX && isfinite(value)) values->of[values->count++] = value;
}

void book_add(struct book *self, enum figure figure, double value) {
    add(&self->figures[figure], value);
}

void book_add_part(struct book *self, const char *part, double value) {
    unsigned i = 0;
    while (i < self->part_count && strcmp(self->parts[i].name, part) != 0) {
        i++;
    }
    if (i == PARTS_MAX) return;
    if (i == self->part_count) {
        (void)snprintf(self->parts[i].name, PART_NAME_MAX, "%s", part);
        self->part_count++;
    }
    add(&self->parts[i].values, value);
}

void book_note(struct book *self, const char *format, ...) {
    char note[NOTE_MAX];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(note, sizeof note, format, list);
    va_end(list);
    size_t words = strcspn(note, "0123456789");
    for (unsigned i = 0; i < self->note_count; i++) {
        if (strncmp(self->notes[i].text, note, words) != 0) continue;
        self->notes[i].times++;
        return;
    }
    if (self->note_count == NOTES_MAX) return;
    memcpy(self->notes[self->note_count].text, note, sizeof note);
    self->notes[self->note_count++].times = 1;
}

static int by_value(const void *a, const void *b) {
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* The value at this place, from 0 to 1, in sorted order; between two of them their middle. */
static double at_place(const struct values *values, double place) {
    double sorted[ROUNDS_MAX];
    if (values->count == 0) return 0;
    memcpy(sorted, values->of, values->count * sizeof sorted[0]);
    qsort(sorted, values->count, sizeof sorted[0], by_value);
    double at = place * (double)(values->count - 1);
    return (sorted[(size_t)floor(at)] + sorted[(size_t)ceil(at)]) / 2;
}

double values_median(const struct values *values) {
    return at_place(values, 0.5);
}

double values_low(const struct values *values) {
    return at_place(values, 0);
}

double values_high(const struct values *values) {
    return at_place(values, 1);
}

double book_median(const struct book *self, enum figure figure) {
    return values_median(&self->figures[figure]);
}

/* What stands for "a" or for the lower of "a|b"; 0 when it was not measured. */
static double reference(const struct book *self, const char *against) {
    double lowest = 0;
    while (*against != '\0') {
        size_t length = strcspn(against, "|");
        for (int i = 0; i < FIGURES; i++) {
            if (strlen(figures[i].name) != length ||
                strncmp(figures[i].name, against, length) != 0) {
                continue;
            }
            double value = book_median(self, (enum figure)i);
            if (value <= 0) return 0;
            if (lowest <= 0 || value < lowest) lowest = value;
        }
        against += length + (against[length] == '|');
    }
    return lowest;
}

static const char *digits(double value, char text[24]) {
    int places = fabs(value) >= 1000 ? 0 : fabs(value) >= 10 ? 1 : fabs(value) >= 0.1 ? 2 : 4;
    (void)snprintf(text, 24, "%.*f", places, value);
    return text;
}

static void print_row(FILE *to, const char *what, const char *unit, const struct values *values) {
    char middle[24], low[24], high[24];
    fprintf(to, "%-60s %10s %10s - %-10s %-4s", what, digits(values_median(values), middle),
            digits(values_low(values), low), digits(values_high(values), high), unit);
}

void book_print(FILE *to, const struct book *self) {
    fprintf(to, "\n%-60s %10s %23s\n", "", "median", "lowest - highest    ");
    for (int i = 0; i < FIGURES; i++) {
        if (self->figures[i].count == 0) continue;
        print_row(to, figures[i].what, figures[i].unit, &self->figures[i]);
        double of = reference(self, figures[i].against);
        if (of > 0) {
            fprintf(to, "  %.3f of %s", book_median(self, (enum figure)i) / of, figures[i].against);
        }
        fprintf(to, "\n");
    }
    if (self->part_count > 0) fprintf(to, "\nprocessor time of a purchase\n");
    double sum = 0;
    for (unsigned i = 0; i < self->part_count; i++) {
        print_row(to, self->parts[i].name, "us", &self->parts[i].values);
        fprintf(to, "\n");
        sum += values_median(&self->parts[i].values);
    }
    if (self->part_count > 0) fprintf(to, "%-60s %10.1f %28s\n", "all together", sum, "us  ");
    for (unsigned i = 0; i < self->note_count; i++) {
        fprintf(to, "%snote: %s", i == 0 ? "\n" : "", self->notes[i].text);
        if (self->notes[i].times > 1) fprintf(to, " (%u times)", self->notes[i].times);
        fprintf(to, "\n");
    }
}

/* What a target's figure came to: a share, or itself.  False when it was not measured. */
static bool reached(const struct book *self, int target, double *value) {
    const struct values *values = &self->figures[targets[target].figure];
    *value = values_median(values);
    if (values->count == 0) return false;
    if (targets[target].against[0] == '\0') return true;
    double of = reference(self, targets[target].against);
    if (of > 0) *value /= of;
    return of > 0;
}

/* Shares of a rate are to be passed, amounts of time and memory not. */
static const char *judgement(int target, double value) {
    bool up = targets[target].against[0] != '\0';
    double must = targets[target].must, dream = targets[target].dream;
    if (up ? value >= dream : value <= dream) return "dream";
    return (up ? value >= must : value <= must) ? "met" : "MISSED";
}

unsigned book_print_targets(FILE *to, const struct book *self) {
    unsigned missed = 0;
    fprintf(to, "\n%-44s %10s %10s %10s\n", "targets", "reached", "must", "dream");
    for (int i = 0; i < TARGETS; i++) {
        double value;
        if (!reached(self, i, &value)) {
            fprintf(to, "%-44s %10s %10g %10g  not measured\n", targets[i].what, "-",
                    targets[i].must, targets[i].dream);
            continue;
        }
        const char *word = judgement(i, value);
        missed += strcmp(word, "MISSED") == 0;
        fprintf(to, "%-44s %10.3f %10g %10g  %s\n", targets[i].what, value, targets[i].must,
                targets[i].dream, word);
    }
    return missed;
}

static json_t *values_json(const char *name, const char *unit, const struct values *values) {
    json_t *rounds = json_array();
    for (unsigned i = 0; i < values->count; i++) {
        json_array_append_new(rounds, json_real(values->of[i]));
    }
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:o}", "name", name, "unit", unit, "median",
                     values_median(values), "lowest", values_low(values), "highest",
                     values_high(values), "rounds", rounds);
}

json_t *book_json(const struct book *self) {
    json_t *all = json_array(), *parts = json_array(), *goals = json_array(), *notes = json_array();
    for (int i = 0; i < FIGURES; i++) {
        if (self->figures[i].count == 0) continue;
        json_t *one = values_json(figures[i].name, figures[i].unit, &self->figures[i]);
        double of = reference(self, figures[i].against);
        json_object_set_new(one, "what", json_string(figures[i].what));
        if (of > 0) {
            json_object_set_new(one, "against", json_string(figures[i].against));
            json_object_set_new(one, "share", json_real(book_median(self, (enum figure)i) / of));
        }
        json_array_append_new(all, one);
    }
    for (unsigned i = 0; i < self->part_count; i++) {
        json_array_append_new(parts,
                              values_json(self->parts[i].name, "us", &self->parts[i].values));
    }
    for (int i = 0; i < TARGETS; i++) {
        double value;
        bool measured = reached(self, i, &value);
        json_array_append_new(goals,
                              json_pack("{s:s, s:o, s:f, s:f, s:s}", "name", targets[i].what,
                                        "reached", measured ? json_real(value) : json_null(),
                                        "must", targets[i].must, "dream", targets[i].dream, "is",
                                        measured ? judgement(i, value) : "not measured"));
    }
    for (unsigned i = 0; i < self->note_count; i++) {
        json_array_append_new(
            notes, json_sprintf("%s (%u times)", self->notes[i].text, self->notes[i].times));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "figures", all, "cpu_us_per_purchase", parts,
                     "targets", goals, "notes", notes);
}
