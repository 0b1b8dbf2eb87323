/* What the port counts: see docs/operations.md. */
#include <assert.h>

#include "broker/http/internal.h"
#include "broker/process.h"

static void open_problems(struct http_metrics *it) {
    uint32_t count = 0;
    for (const enum problem *problem = problem_list(); *problem != PROBLEM_none; problem++) {
        assert(count + 1 < HTTP_PROBLEMS_MAX);
        it->problems[count].problem = *problem;
        it->problems[count++].counter = metrics_counter(
            "http_problems_total", "Requests refused, by the problem that was told.",
            METRIC_LABELS("problem", problem_name(*problem)));
    }
}

static void open_seconds(struct http_metrics *it) {
    static const char name[] = "http_request_seconds";
    static const char help[] =
        "From a request's last byte to its answer, by the request's message.";
    uint32_t count = 1;
    it->seconds[0] =
        metrics_histogram(name, help, METRIC_seconds, METRIC_LABELS("message", "none"));
    for (const struct route *route = route_list(); route->name != NULL; route++) {
        assert(count <= ROUTES_MAX);
        it->seconds[count++] =
            metrics_histogram(name, help, METRIC_seconds,
                              METRIC_LABELS("message", message_type(route->request)->name));
    }
}

void http_metrics_open(struct http_metrics *it) {
    static const char requests[] = "http_requests_total";
    static const char help[] = "Requests answered, by hundreds of the status.";
    it->status[2] = metrics_counter(requests, help, METRIC_LABELS("status", "2xx"));
    it->status[3] = metrics_counter(requests, help, METRIC_LABELS("status", "3xx"));
    it->status[4] = metrics_counter(requests, help, METRIC_LABELS("status", "4xx"));
    it->status[5] = metrics_counter(requests, help, METRIC_LABELS("status", "5xx"));
    it->refused = metrics_counter("http_connections_refused_total",
                                  "Connections closed at once, at a limit.", METRIC_NO_LABELS);
    it->stale = metrics_counter("http_stale_answers_total", "Answers whose client had gone.",
                                METRIC_NO_LABELS);
    it->cut_off = metrics_counter("http_cut_off_total", "Clients too slow to send or to receive.",
                                  METRIC_NO_LABELS);
    it->unanswered = metrics_counter("http_unanswered_total",
                                     "Requests that nobody answered in time.", METRIC_NO_LABELS);
    it->odd = metrics_counter("http_odd_answers_total", "Answers that did not fit their route.",
                              METRIC_NO_LABELS);
    it->connections = metrics_gauge("http_connections", "Open connections.", METRIC_NO_LABELS);
    it->inflight =
        metrics_gauge("http_inflight", "Requests waiting for an answer.", METRIC_NO_LABELS);
    open_problems(it);
    open_seconds(it);
    process_metrics_open();
}

void http_metrics_problem(const struct http_metrics *it, enum problem problem) {
    for (uint32_t i = 0; it->problems[i].counter != NULL; i++)
        if (it->problems[i].problem == problem) metric_add(it->problems[i].counter, 1);
}
