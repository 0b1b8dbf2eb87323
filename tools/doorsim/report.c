/* doorsim report, and the page it makes. */
#include "tools/doorsim/report.h"

#include "tools/doorsim/chart.h"
#include "tools/doorsim/commands.h"
#include "tools/doorsim/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>doorsim "
    "load</title>\n<style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1600px;margin:2em auto;padding:0 1em;"
    "color:#222;background:#fff}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\n"
    "table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .9em .2em 0;text-align:right;"
    "border-bottom:1px solid #8883;font-variant-numeric:tabular-nums}\n"
    "td:first-child,th:first-child{text-align:left}code{font-size:.85em;word-break:break-all}\n"
    ".good{color:#1a7f37}.bad{color:#c62828;font-weight:600}.charts{display:flex;flex-wrap:wrap;"
    "gap:1.2em}.charts svg{max-width:100%;height:auto}.two{display:flex;flex-wrap:wrap;gap:0 4em}\n"
    "@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}.good{color:#56d364}"
    ".bad{color:#ff7b72}}\n</style>\n";

static double real(const json_t *in, const char *name) {
    return json_number_value(json_object_get(in, name));
}

static const char *text(const json_t *in, const char *name) {
    const char *value = json_string_value(json_object_get(in, name));
    return value != NULL ? value : "";
}

/* -------------------------------------------------------------------------------------------
 * tables
 */

static void write_top(FILE *to, const json_t *run) {
    const json_t *machine = json_object_get(run, "machine");
    const json_t *generator = json_object_get(run, "generator");
    const json_t *faults = json_object_get(run, "faults");
    const json_t *account = json_object_get(run, "account");
    size_t index;
    json_t *fault;
    fprintf(to, "<h1>doorsim load, %s</h1>\n<p><code>", text(machine, "at"));
    chart_text(to, text(run, "command"));
    fputs("</code></p>\n", to);
    if (json_array_size(faults) == 0)
        fputs("<p class=\"good\">The generator kept its plan.</p>\n", to);
    json_array_foreach(faults, index, fault) {
        fputs("<p class=\"bad\">Not good: ", to);
        chart_text(to, json_string_value(fault));
        fputs("</p>\n", to);
    }
    if (json_is_object(account)) {
        bool good = json_is_true(json_object_get(account, "good"));
        fprintf(to,
                "<p class=\"%s\">The account is %s: %.0f purchases told 201, %.0f orders in "
                "PostgreSQL, %.0f purchases without an answer.</p>\n",
                good ? "good" : "bad", good ? "right" : "wrong", real(account, "told_yes"),
                real(account, "orders"), real(account, "without_answer"));
    }
    fprintf(to,
            "<p>%.0f arrivals in %.1f s (%.0f/s), all answered after %.1f s; %.0f told yes a "
            "second; %.0f connections. Generator: %.0f&nbsp;%% of one core, %.0f&nbsp;%% in its "
            "busiest slice; sent late by p99 %.2f ms.<br>",
            real(run, "arrivals"), real(run, "planned_s"), real(run, "arrivals_per_s"),
            real(run, "seconds"), real(run, "yes_per_s"), real(run, "connections"),
            100 * real(generator, "cores"), 100 * real(generator, "cores_busiest_slice"),
            real(json_object_get(generator, "late_ms"), "p99"));
    chart_text(to, text(machine, "processor"));
    fprintf(to, ", %.0f cores, %.0f GiB, ", real(machine, "cores"), real(machine, "memory_gib"));
    chart_text(to, text(machine, "system"));
    fprintf(to, ", load before %.2f</p>\n", real(machine, "load_before"));
}

static void write_times_row(FILE *to, const char *name, const json_t *times) {
    if (real(times, "count") < 1) return;
    fputs("<tr><td>", to);
    for (const char *at = name; *at != '\0'; at++) {
        fputc(*at == '_' ? ' ' : *at, to);
    }
    fprintf(to, "</td><td>%.0f</td>", real(times, "count"));
    static const char *const columns[] = { "p50", "p90", "p99", "p99_9", "p99_99", "max" };
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        fprintf(to, "<td>%.2f</td>", real(times, columns[i]));
    }
    fputs("</tr>\n", to);
}

static void write_tables(FILE *to, const json_t *run) {
    const json_t *generator = json_object_get(run, "generator");
    const char *name, *outcome;
    json_t *value, *count;
    fputs("<div class=\"two\"><div><h2>Latency, ms</h2><table><tr><th></th><th>count</th><th>p50"
          "</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th></tr>\n",
          to);
    json_object_foreach(json_object_get(run, "latency_ms"), name, value) {
        write_times_row(to, name, value);
    }
    write_times_row(to, "lateness_of_sending", json_object_get(generator, "late_ms"));
    write_times_row(to, "of_it_the_generator", json_object_get(generator, "late_by_itself_ms"));
    fputs("</table><p>Felt: from the moment the request was meant to start. Within 1&nbsp;%.</p>"
          "</div><div><h2>Outcomes</h2><table>\n",
          to);
    json_object_foreach(json_object_get(run, "outcomes"), name, value) {
        json_object_foreach(value, outcome, count) {
            fprintf(to, "<tr><td>%s: %s</td><td>%lld</td></tr>\n", name, outcome,
                    (long long)json_integer_value(count));
        }
    }
    fputs("</table></div>", to);
    const json_t *promises = json_object_get(json_object_get(run, "account"), "promises");
    if (json_object_size(promises) > 0) {
        fputs("<div><h2>The judge</h2><table>\n", to);
        json_object_foreach((json_t *)(uintptr_t)promises, name, value) {
            bool kept = strcmp(json_string_value(value), "kept") == 0;
            fputs("<tr><td>", to);
            chart_text(to, name);
            fprintf(to, "</td><td class=\"%s\">", kept ? "good" : "bad");
            chart_text(to, json_string_value(value));
            fputs("</td></tr>\n", to);
        }
        fputs("</table></div>", to);
    }
    fputs("</div>\n", to);
}

/* -------------------------------------------------------------------------------------------
 * charts
 */

/* Numbers of an array; the caller frees.  NULL when memory is out. */
static double *numbers(const json_t *list, size_t count) {
    double *values = malloc((count + 1) * sizeof *values);
    for (size_t i = 0; values != NULL && i < count; i++) {
        const json_t *item = json_array_get(list, i);
        values[i] = json_is_number(item) ? json_number_value(item) : (double)NAN;
    }
    return values;
}

static void add_line(struct chart *chart, const char *name, const json_t *list, const double *x,
                     size_t count) {
    double *y = numbers(list, count);
    if (y == NULL || chart->line_count == CHART_LINES_MAX) {
        free(y);
        return;
    }
    chart->lines[chart->line_count++] =
        (struct chart_line){ .name = name, .count = count, .x = x, .y = y };
}

static void finish_chart(FILE *to, struct chart *chart) {
    chart_write(to, chart);
    for (size_t i = 0; i < chart->line_count; i++) {
        free((void *)(uintptr_t)chart->lines[i].y);
    }
    chart->line_count = 0;
}

/* `doorbuster_mailbox_depth{address="order"}` -> `mailbox_depth order`; false: it is no queue. */
static bool queue_name(const char *metric, char *name, size_t size) {
    static const char prefix[] = "doorbuster_";
    static const char *const queues[] = { "mailbox_depth", "inflight", "journal_rows",
                                          "undecided" };
    bool found = false;
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        found = found || strstr(metric, queues[i]) != NULL;
    }
    if (strncmp(metric, prefix, sizeof prefix - 1) == 0) metric += sizeof prefix - 1;
    size_t length = strcspn(metric, "{");
    const char *value = strchr(metric, '"');
    size_t value_length = value != NULL ? strcspn(value + 1, "\"") : 0;
    (void)snprintf(name, size, "%.*s %.*s", (int)length, metric, (int)value_length,
                   value != NULL ? value + 1 : "");
    return found;
}

static void write_queues(FILE *to, struct chart *chart, json_t *queues, const double *x,
                         size_t count) {
    char names[CHART_LINES_MAX][27]; /* As long as the legend's columns are wide. */
    const char *metric;
    json_t *list;
    json_object_foreach(queues, metric, list) {
        size_t at = chart->line_count;
        if (at == CHART_LINES_MAX || !queue_name(metric, names[at], sizeof names[at])) continue;
        add_line(chart, names[at], list, x, count);
    }
    finish_chart(to, chart);
}

static void write_charts(FILE *to, const json_t *series, const double *x, size_t count) {
    const char *name;
    json_t *list;
    struct chart chart = { .title = "Arrivals and answers", .x_name = "s", .y_name = "a second" };
    add_line(&chart, "meant to start", json_object_get(series, "arrived_per_s"), x, count);
    add_line(&chart, "sent", json_object_get(series, "sent_per_s"), x, count);
    json_t *outcomes = json_object_get(series, "outcomes_per_s");
    double *all = calloc(count + 1, sizeof *all);
    json_object_foreach(outcomes, name, list) {
        for (size_t i = 0; all != NULL && i < count; i++) {
            all[i] += json_number_value(json_array_get(list, i));
        }
    }
    if (all != NULL)
        chart.lines[chart.line_count++] =
            (struct chart_line){ .name = "answered", .count = count, .x = x, .y = all };
    finish_chart(to, &chart);
    chart.title = "Outcomes";
    json_object_foreach(outcomes, name, list) {
        add_line(&chart, name, list, x, count);
    }
    finish_chart(to, &chart);
    chart.title = "Latency by the moment a request was meant to start";
    chart.y_name = "ms";
    chart.y_log = true;
    add_line(&chart, "p50", json_object_get(series, "p50_ms"), x, count);
    add_line(&chart, "p99", json_object_get(series, "p99_ms"), x, count);
    add_line(&chart, "p99.9", json_object_get(series, "p99_9_ms"), x, count);
    add_line(&chart, "slowest", json_object_get(series, "max_ms"), x, count);
    finish_chart(to, &chart);
    chart.title = "Queues of the server";
    chart.y_name = "waiting";
    chart.y_log = false;
    write_queues(to, &chart, json_object_get(series, "queues"), x, count);
    chart.title = "The generator: most lateness in a slice";
    chart.y_name = "ms";
    add_line(&chart, "meant to start, to sent", json_object_get(series, "late_max_ms"), x, count);
    finish_chart(to, &chart);
    chart.title = "The generator: processor";
    chart.y_name = "cores";
    add_line(&chart, "of its one core", json_object_get(series, "generator_cores"), x, count);
    finish_chart(to, &chart);
}

bool report_write(const json_t *run, const char *path) {
    const json_t *series = json_object_get(run, "series");
    size_t count = json_array_size(json_object_get(series, "arrived_per_s"));
    double *x = calloc(count + 1, sizeof *x);
    FILE *to = x != NULL && json_is_object(series) ? fopen(path, "we") : NULL;
    if (to == NULL) {
        fprintf(stderr, "doorsim: could not write %s: %s\n", path,
                json_is_object(series) ? strerror(errno) : "this is no run of doorsim load");
        free(x);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        x[i] = (double)i * real(series, "slice_s");
    }
    fputs(head, to);
    write_top(to, run);
    write_tables(to, run);
    fputs("<h2>Over time</h2><div class=\"charts\">\n", to);
    write_charts(to, series, x, count);
    fputs("</div></html>\n", to);
    free(x);
    return fclose(to) == 0;
}

int report_command(int argc, char **argv) {
    const char *from = NULL, *to = NULL;
    const struct option options[] = {
        { "json", OPTION_text, true, &from, 0, 0, "A file that doorsim load --json wrote." },
        { "html", OPTION_text, true, &to, 0, 0, "Where the page goes." },
        { 0 },
    };
    switch (options_read(argc, argv, options, "makes a page of a run's JSON")) {
    case OPTIONS_help: return 0;
    case OPTIONS_wrong: return 2;
    case OPTIONS_run: break;
    }
    json_error_t error;
    json_t *run = json_load_file(from, 0, &error);
    if (run == NULL) fprintf(stderr, "doorsim report: %s: %s\n", from, error.text);
    bool good = run != NULL && report_write(run, to);
    json_decref(run);
    return good ? 0 : 2;
}
