/* The book of a bench: values of figures, round by round; the table, the targets, the JSON. */
#ifndef DOORSIM_BENCH_BOOK_H
#define DOORSIM_BENCH_BOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum figure {
#define FIGURE(name, unit, against, what) FIGURE_##name,
#include "tools/doorsim/bench/figures.def"
#undef FIGURE
    FIGURES,
};

enum { ROUNDS_MAX = 50, PARTS_MAX = 24, PART_NAME_MAX = 32, NOTES_MAX = 40, NOTE_MAX = 240 };

struct values {
    unsigned count;
    double of[ROUNDS_MAX];
};

struct book {
    struct values figures[FIGURES];
    /* Microseconds of processor time a purchase, by part of the system. */
    unsigned part_count;
    struct {
        char name[PART_NAME_MAX];
        struct values values;
    } parts[PARTS_MAX];
    unsigned note_count;
    struct {
        unsigned times;
        char text[NOTE_MAX];
    } notes[NOTES_MAX]; /* What a reader of the figures must know. */
};

const char *figure_name(enum figure figure);

/* Notes a round's value; those beyond ROUNDS_MAX are dropped, as is what is not a number. */
void book_add(struct book *self, enum figure figure, double value);
void book_add_part(struct book *self, const char *part, double value);
/* A note that is the same up to its first digit is kept once, and counted. */
void book_note(struct book *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0 when nothing was measured. */
double values_median(const struct values *values);
double values_low(const struct values *values);
double values_high(const struct values *values);
double book_median(const struct book *self, enum figure figure);

void book_print(FILE *to, const struct book *self);

/* Prints each target with what was reached; how many of those measured are missed. */
unsigned book_print_targets(FILE *to, const struct book *self);

/* {"figures": [...], "cpu_us_per_purchase": [...], "targets": [...], "notes": [...]} */
json_t *book_json(const struct book *self);

#endif
