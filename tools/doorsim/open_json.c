#include "tools/doorsim/open_json.h"

#include "tools/doorsim/machine.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static double ms(int64_t ns) {
    return (double)ns / 1e6;
}

json_t *times_json(const struct histogram *histogram) {
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "count",
                     (json_int_t)histogram->count, "p50", ms(histogram_percentile(histogram, 50)),
                     "p90", ms(histogram_percentile(histogram, 90)), "p99",
                     ms(histogram_percentile(histogram, 99)), "p99_9",
                     ms(histogram_percentile(histogram, 99.9)), "p99_99",
                     ms(histogram_percentile(histogram, 99.99)), "max",
                     ms(histogram_max(histogram)), "mean", histogram_mean(histogram) / 1e6);
}

static json_t *outcomes_json(const struct open_result *result) {
    json_t *all = json_object();
    for (int i = 0; i < PEOPLES; i++) {
        json_t *one = json_object();
        for (int t = 0; t < TALLIES; t++) {
            if (result->count[i][t] == 0) continue;
            json_object_set_new(one, tally_name((enum tally)t),
                                json_integer((json_int_t)result->count[i][t]));
        }
        if (json_object_size(one) > 0)
            json_object_set_new(all, people_name((enum people)i), one);
        else
            json_decref(one);
    }
    return all;
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *percentiles_json(const struct series *series, double percent) {
    json_t *list = json_array();
    for (size_t i = 0; i < series->count; i++) {
        const struct histogram *latency = series->slices[i].latency;
        json_array_append_new(list, latency == NULL
                                        ? json_null()
                                        : json_real(ms(histogram_percentile(latency, percent))));
    }
    return list;
}

static json_t *rates_json(const struct series *series, int tally) {
    json_t *list = json_array();
    double seconds = (double)series->slice_ns / 1e9;
    for (size_t i = 0; i < series->count; i++) {
        const struct slice *slice = &series->slices[i];
        uint64_t count = tally == -2   ? slice->arrived
                         : tally == -1 ? slice->sent
                                       : slice->count[tally];
        json_array_append_new(list, json_real((double)count / seconds));
    }
    return list;
}

static json_t *queues_json(const struct series *series) {
    json_t *queues = json_object();
    for (size_t g = 0; g < series->names.count; g++) {
        json_t *list = json_array();
        bool any = false;
        for (size_t i = 0; i < series->count; i++) {
            double value = series->slices[i].gauges[g];
            any = any || (isfinite(value) && value > 0);
            json_array_append_new(list, number(value));
        }
        if (any)
            json_object_set_new(queues, series->names.name[g], list);
        else
            json_decref(list);
    }
    return queues;
}

static json_t *series_json(const struct open_result *result) {
    const struct series *series = &result->series;
    json_t *outcomes = json_object(), *late = json_array(), *cores = json_array();
    for (int t = 0; t < TALLIES; t++) {
        if (open_count(result, (enum tally)t) == 0) continue;
        json_object_set_new(outcomes, tally_name((enum tally)t), rates_json(series, t));
    }
    for (size_t i = 0; i < series->count; i++) {
        const struct slice *slice = &series->slices[i];
        json_array_append_new(late, json_real(ms(slice->late_max)));
        json_array_append_new(cores, slice->cores < 0 ? json_null() : json_real(slice->cores));
    }
    return json_pack("{s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "slice_s",
                     (double)series->slice_ns / 1e9, "arrived_per_s", rates_json(series, -2),
                     "sent_per_s", rates_json(series, -1), "outcomes_per_s", outcomes, "p50_ms",
                     percentiles_json(series, 50), "p99_ms", percentiles_json(series, 99),
                     "p99_9_ms", percentiles_json(series, 99.9), "max_ms",
                     percentiles_json(series, 100), "late_max_ms", late, "generator_cores", cores,
                     "queues", queues_json(series));
}

json_t *open_json(const struct open_plan *plan, const struct open_result *result,
                  const char *command) {
    json_t *faults = json_array();
    for (unsigned i = 0; i < result->fault_count; i++) {
        json_array_append_new(faults, json_string(result->faults[i]));
    }
    double planned = (double)result->planned_ns / 1e9;
    double yes = (double)(open_count(result, TALLY_created) + open_count(result, TALLY_ok));
    json_t *latency =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "felt", times_json(&result->latency),
                  "felt_when_told_yes", times_json(&result->yes), "felt_when_told_else",
                  times_json(&result->refusal), "sent_to_answered", times_json(&result->served),
                  "arrived_to_last_answer", times_json(&result->whole));
    json_t *generator =
        json_pack("{s:f, s:f, s:o, s:o, s:f}", "cores", result->cores, "cores_busiest_slice",
                  result->cores_peak, "late_ms", times_json(&result->late), "late_by_itself_ms",
                  times_json(&result->picked), "late_p99_allowed_ms", ms(plan->late_max_ns));
    return json_pack("{s:s, s:s, s:o, s:b, s:o, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:o, "
                     "s:o, s:o, s:o}",
                     "kind", "load", "command", command, "machine", machine_describe(), "good",
                     result->fault_count == 0, "faults", faults, "arrivals",
                     (json_int_t)result->arrivals, "requests", (json_int_t)result->requests,
                     "looks", (json_int_t)result->polls, "unsettled", (json_int_t)result->unsettled,
                     "planned_s", planned, "seconds", result->seconds, "arrivals_per_s",
                     planned > 0 ? (double)result->arrivals / planned : 0, "yes_per_s",
                     result->seconds > 0 ? yes / result->seconds : 0, "connections",
                     (json_int_t)plan->connections, "latency_ms", latency, "outcomes",
                     outcomes_json(result), "generator", generator, "series", series_json(result));
}

bool json_save(const json_t *json, const char *path) {
    if (json_dump_file(json, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0) return true;
    fprintf(stderr, "doorsim: could not write %s: %s\n", path, strerror(errno));
    return false;
}
