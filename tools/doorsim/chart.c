#include "tools/doorsim/chart.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 760, HEIGHT = 300, LEFT = 62, RIGHT = 16, TOP = 34, BOTTOM = 44, LEGEND_ROW = 18 };
enum { TICKS_WANTED = 6, LEGEND_COLUMN = 176, LEGEND_COLUMNS = 4 };

struct scale {
    bool log;
    double low, high; /* Of the values, widened to whole ticks; logarithms when log. */
    double step;
    double from, to; /* Pixels. */
};

void chart_text(FILE *to, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '&': fputs("&amp;", to); break;
        case '"': fputs("&quot;", to); break;
        default: fputc(*text, to);
        }
    }
}

const char *chart_number(double number, char text[16]) {
    static const struct {
        double from;
        const char *unit;
    } units[] = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (fabs(number) < units[i].from * 0.9999) continue;
        (void)snprintf(text, 16, "%.4g%s", number / units[i].from, units[i].unit);
        return text;
    }
    (void)snprintf(text, 16, "%.3g", fabs(number) < 1e-12 ? 0 : number);
    return text;
}

static bool usable(double value, bool log) {
    return isfinite(value) && (!log || value > 0);
}

static void stretch(struct scale *scale, const double *values, size_t count) {
    for (size_t i = 0; values != NULL && i < count; i++) {
        if (!usable(values[i], scale->log)) continue;
        double value = scale->log ? log10(values[i]) : values[i];
        if (value < scale->low) scale->low = value;
        if (value > scale->high) scale->high = value;
    }
}

/* A step of 1, 2 or 5 times a power of ten, so that about TICKS_WANTED of them fit. */
static double round_step(double span) {
    double power = pow(10, floor(log10(span / TICKS_WANTED)));
    double left = span / TICKS_WANTED / power;
    return power * (left <= 1 ? 1 : left <= 2 ? 2 : left <= 5 ? 5 : 10);
}

static void settle(struct scale *scale, bool from_zero) {
    if (scale->log) {
        scale->low = floor(scale->low + 1e-9);
        scale->high = ceil(scale->high - 1e-9);
        if (scale->high <= scale->low) scale->high = scale->low + 1;
        scale->step = 1;
        return;
    }
    if (from_zero && scale->low > 0) scale->low = 0;
    if (scale->high <= scale->low) scale->high = scale->low + 1;
    scale->step = round_step(scale->high - scale->low);
    if (!from_zero) return;
    scale->low = floor(scale->low / scale->step) * scale->step;
    scale->high = ceil(scale->high / scale->step - 1e-9) * scale->step;
}

static double place(const struct scale *scale, double value) {
    double at = scale->log ? log10(value) : value;
    return scale->from + (at - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
}

static void write_style(FILE *to) {
    static const char *const light[] = { "#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                         "#ff7f0e", "#17becf", "#8c564b", "#e377c2",
                                         "#7f7f7f", "#bcbd22", "#393b79", "#637939" };
    fputs("<style>.db text{font:12px system-ui,sans-serif;fill:#333}"
          ".db .t{font-size:14px;font-weight:600}.db .g{stroke:#8885;stroke-width:1}"
          ".db path{stroke-width:1.6}.db .g,.db .n{fill:none}.db .b{stroke:none;opacity:.16}"
          "@media(prefers-color-scheme:dark){.db text{fill:#ccc}}",
          to);
    for (size_t i = 0; i < sizeof light / sizeof light[0]; i++) {
        fprintf(to, ".db .l%zu{stroke:%s}.db .f%zu{fill:%s}", i, light[i], i, light[i]);
    }
    fputs("</style>\n", to);
}

static void write_axes(FILE *to, const struct chart *chart, const struct scale *x,
                       const struct scale *y) {
    char text[16];
    for (double at = ceil(y->low / y->step - 1e-9) * y->step; at <= y->high + y->step * 1e-6;
         at += y->step) {
        double pixel = y->from + (at - y->low) / (y->high - y->low) * (y->to - y->from);
        fprintf(to,
                "<path class=\"g\" d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%s</text>\n",
                LEFT, pixel, WIDTH - RIGHT, LEFT - 6, pixel + 4,
                chart_number(y->log ? pow(10, at) : at, text));
    }
    for (double at = ceil(x->low / x->step - 1e-9) * x->step; at <= x->high + x->step * 1e-6;
         at += x->step) {
        double pixel = x->from + (at - x->low) / (x->high - x->low) * (x->to - x->from);
        fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", pixel,
                HEIGHT - BOTTOM + 17, chart_number(x->log ? pow(10, at) : at, text));
    }
    fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT, HEIGHT - 10);
    chart_text(to, chart->x_name);
    fprintf(to, "</text><text class=\"t\" x=\"%d\" y=\"20\">", LEFT);
    chart_text(to, chart->title);
    fprintf(to, "</text><text x=\"%d\" y=\"20\" text-anchor=\"end\">", WIDTH - RIGHT);
    chart_text(to, chart->y_name);
    fputs("</text>\n", to);
}

static void write_band(FILE *to, const struct chart_line *line, size_t index, const struct scale *x,
                       const struct scale *y) {
    if (line->low == NULL || line->high == NULL) return;
    fprintf(to, "<path class=\"b f%zu\" d=\"", index);
    char command = 'M';
    for (size_t i = 0; i < 2 * line->count; i++) {
        size_t at = i < line->count ? i : 2 * line->count - 1 - i;
        double value = i < line->count ? line->low[at] : line->high[at];
        if (!usable(line->x[at], x->log) || !usable(value, y->log)) continue;
        fprintf(to, "%c%.1f %.1f", command, place(x, line->x[at]), place(y, value));
        command = 'L';
    }
    fputs("Z\"/>\n", to);
}

static void write_line(FILE *to, const struct chart *chart, size_t index, const struct scale *x,
                       const struct scale *y) {
    const struct chart_line *line = &chart->lines[index];
    char command = 'M', a[16], b[16];
    write_band(to, line, index, x, y);
    fprintf(to, "<path class=\"n l%zu\" d=\"", index);
    for (size_t i = 0; i < line->count; i++) {
        if (!usable(line->x[i], x->log) || !usable(line->y[i], y->log)) {
            command = 'M';
            continue;
        }
        fprintf(to, "%c%.1f %.1f", command, place(x, line->x[i]), place(y, line->y[i]));
        command = 'L';
    }
    fputs("\"/>\n", to);
    for (size_t i = 0; i < line->count; i++) {
        if (!usable(line->x[i], x->log) || !usable(line->y[i], y->log)) continue;
        fprintf(to, "<circle class=\"f%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"%s><title>", index,
                place(x, line->x[i]), place(y, line->y[i]), chart->dots ? "3" : "4",
                chart->dots ? "" : " opacity=\"0\"");
        chart_text(to, line->name);
        fprintf(to, ": %s at %s</title></circle>\n", chart_number(line->y[i], a),
                chart_number(line->x[i], b));
    }
}

static void write_legend(FILE *to, const struct chart *chart) {
    for (size_t i = 0; i < chart->line_count; i++) {
        int left = LEFT + (int)(i % LEGEND_COLUMNS) * LEGEND_COLUMN;
        int top = HEIGHT + 2 + (int)(i / LEGEND_COLUMNS) * LEGEND_ROW;
        fprintf(to,
                "<rect class=\"f%zu\" x=\"%d\" y=\"%d\" width=\"12\" height=\"4\"/><text x=\"%d\" "
                "y=\"%d\">",
                i, left, top + 4, left + 17, top + 11);
        chart_text(to, chart->lines[i].name);
        fputs("</text>\n", to);
    }
}

void chart_write(FILE *to, const struct chart *chart) {
    struct scale x = {
        .log = chart->x_log, .low = INFINITY, .high = -INFINITY, .from = LEFT, .to = WIDTH - RIGHT
    };
    struct scale y = {
        .log = chart->y_log, .low = INFINITY, .high = -INFINITY, .from = HEIGHT - BOTTOM, .to = TOP
    };
    for (size_t i = 0; i < chart->line_count; i++) {
        const struct chart_line *line = &chart->lines[i];
        stretch(&x, line->x, line->count);
        stretch(&y, line->y, line->count);
        stretch(&y, line->low, line->count);
        stretch(&y, line->high, line->count);
    }
    size_t rows = (chart->line_count + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    int height = HEIGHT + (int)rows * LEGEND_ROW + 4;
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"db\" viewBox=\"0 0 %d %d\" "
            "width=\"%d\" height=\"%d\" role=\"img\">\n",
            WIDTH, height, WIDTH, height);
    write_style(to);
    if (isfinite(x.low) && isfinite(y.low)) {
        settle(&x, false);
        settle(&y, true);
        write_axes(to, chart, &x, &y);
        for (size_t i = 0; i < chart->line_count; i++) {
            write_line(to, chart, i, &x, &y);
        }
        write_legend(to, chart);
    } else {
        fprintf(to, "<text class=\"t\" x=\"%d\" y=\"20\">", LEFT);
        chart_text(to, chart->title);
        fprintf(to, "</text><text x=\"%d\" y=\"60\">nothing was measured</text>\n", LEFT);
    }
    fputs("</svg>\n", to);
}
