/* Line charts as SVG, for reports and documents: no script, no outside file, readable in light and
 * dark.  Points have a title that a browser shows under the pointer. */
#ifndef DOORSIM_CHART_H
#define DOORSIM_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CHART_LINES_MAX = 12 };

/* Borrowed. */
struct chart_line {
    const char *name;
    size_t count;
    const double *x, *y;      /* y: NAN leaves a gap. */
    const double *low, *high; /* The spread at each point; NULL: none. */
};

struct chart {
    const char *title, *x_name, *y_name;
    bool x_log, y_log; /* Values at or below 0 are left out then. */
    bool dots;         /* Mark the points: for few of them. */
    size_t line_count;
    struct chart_line lines[CHART_LINES_MAX];
};

/* One <svg> element with its style inside.  A chart without a value says so in words. */
void chart_write(FILE *to, const struct chart *chart);

/* Text with <, >, & and " escaped. */
void chart_text(FILE *to, const char *text);

/* A number as short as it can be read: 1.5k, 20M, 0.03. */
const char *chart_number(double number, char text[16]);

#endif
