/* doorsim curve: one figure over several runs of the bench, as a picture and as numbers. */
#include "tools/doorsim/chart.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/open_json.h"
#include "tools/doorsim/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *title, *x_name, *y_name, *svg, *json;
    struct option_list points, figures;
    bool x_log;
} words;

static struct curve_line {
    double x[OPTION_LIST_MAX], y[OPTION_LIST_MAX], low[OPTION_LIST_MAX], high[OPTION_LIST_MAX];
} lines[CHART_LINES_MAX];

/* The named one of a list; NULL when it was not measured. */
static const json_t *named(const json_t *list, const char *name) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *own = json_string_value(json_object_get(item, "name"));
        if (own != NULL && strcmp(own, name) == 0) return item;
    }
    return NULL;
}

static double number(const json_t *in, const char *name) {
    const json_t *value = json_object_get(in, name);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* A figure by its name; `cpu` is all parts of a purchase together, whose spread is not known. */
static void read_point(const json_t *run, const char *figure, struct curve_line *line, size_t at) {
    line->y[at] = line->low[at] = line->high[at] = (double)NAN;
    if (strcmp(figure, "cpu") == 0) {
        const json_t *parts = json_object_get(run, "cpu_us_per_purchase");
        double sum = 0;
        for (size_t i = 0; i < json_array_size(parts); i++) {
            sum += number(json_array_get(parts, i), "median");
        }
        if (json_array_size(parts) > 0) line->y[at] = line->low[at] = line->high[at] = sum;
        return;
    }
    const json_t *found = named(json_object_get(run, "figures"), figure);
    if (found == NULL) return;
    line->y[at] = number(found, "median");
    line->low[at] = number(found, "lowest");
    line->high[at] = number(found, "highest");
}

/* `X=FILE` */
static bool read_points(size_t at) {
    const char *word = words.points.items[at];
    char *end;
    double x = strtod(word, &end);
    json_error_t error;
    if (end == word || *end != '=') {
        fprintf(stderr, "doorsim curve: --point is X=FILE, not %s\n", word);
        return false;
    }
    json_t *run = json_load_file(end + 1, 0, &error);
    if (run == NULL) {
        fprintf(stderr, "doorsim curve: %s: %s\n", end + 1, error.text);
        return false;
    }
    for (unsigned i = 0; i < words.figures.count; i++) {
        lines[i].x[at] = x;
        read_point(run, words.figures.items[i], &lines[i], at);
    }
    json_decref(run);
    return true;
}

static json_t *line_json(unsigned index) {
    json_t *points = json_array();
    for (unsigned i = 0; i < words.points.count; i++) {
        if (!isfinite(lines[index].y[i])) continue;
        json_array_append_new(points,
                              json_pack("{s:f, s:f, s:f, s:f}", "x", lines[index].x[i], "median",
                                        lines[index].y[i], "lowest", lines[index].low[i], "highest",
                                        lines[index].high[i]));
    }
    return json_pack("{s:s, s:o}", "name", words.figures.items[index], "points", points);
}

static bool write_all(void) {
    struct chart chart = { .title = words.title,
                           .x_name = words.x_name,
                           .y_name = words.y_name,
                           .x_log = words.x_log,
                           .dots = true,
                           .line_count = words.figures.count };
    json_t *list = json_array();
    for (unsigned i = 0; i < words.figures.count; i++) {
        chart.lines[i] = (struct chart_line){ .name = words.figures.items[i],
                                              .count = words.points.count,
                                              .x = lines[i].x,
                                              .y = lines[i].y,
                                              .low = lines[i].low,
                                              .high = lines[i].high };
        json_array_append_new(list, line_json(i));
    }
    json_t *json =
        json_pack("{s:s, s:s, s:o}", "title", words.title, "x", words.x_name, "figures", list);
    bool good = words.json == NULL || json_save(json, words.json);
    json_decref(json);
    FILE *to = fopen(words.svg, "we");
    if (to == NULL) {
        perror(words.svg);
        return false;
    }
    chart_write(to, &chart);
    return fclose(to) == 0 && good;
}

static const struct option options[] = {
    { "point", OPTION_list, true, &words.points, 0, 0, "X=FILE, a run of the bench; repeated." },
    { "figure", OPTION_list, true, &words.figures, 0, 0,
      "A figure's name, or cpu (all parts of a purchase); repeated." },
    { "title", OPTION_text, true, &words.title, 0, 0, "Above the picture." },
    { "x", OPTION_text, true, &words.x_name, 0, 0, "What changes from point to point." },
    { "y", OPTION_text, true, &words.y_name, 0, 0, "What is measured." },
    { "log", OPTION_flag, false, &words.x_log, 0, 0, "X by powers of ten." },
    { "svg", OPTION_text, true, &words.svg, 0, 0, "Where the picture goes." },
    { "json", OPTION_text, false, &words.json, 0, 0, "Where the numbers go." },
    { 0 },
};

int curve_command(int argc, char **argv) {
    switch (options_read(argc, argv, options, "draws a figure over several runs of the bench")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    if (words.figures.count > CHART_LINES_MAX) {
        fprintf(stderr, "doorsim curve: at most %d figures\n", CHART_LINES_MAX);
        return 2;
    }
    for (unsigned i = 0; i < words.points.count; i++) {
        if (!read_points(i)) return 2;
    }
    return write_all() ? 0 : 2;
}
