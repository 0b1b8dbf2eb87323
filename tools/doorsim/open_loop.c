#include "tools/doorsim/open_loop.h"

#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/visit.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum {
    VISITS_MAX = 200000,    /* Arrivals under way at once. */
    PICK_MAX = 32,          /* Arrivals begun in one turn, so that their requests leave soon. */
    QUANTUM_NS = 50 * 1000, /* The shortest sleep: those due within it leave together. */
    WARM_AT_ONCE = 128,
    WARM_S = 20,
    GOOD_CORES_PERCENT = 90,
};

const char *people_name(enum people people) {
    static const char *const names[PEOPLES] = { "honest", "clicking", "retrying", "leaving",
                                                "bot" };
    return names[people];
}

double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

__attribute__((format(printf, 2, 3))) static void fault(struct open_result *result,
                                                        const char *format, ...) {
    if (result->fault_count == OPEN_FAULTS_MAX) return;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(result->faults[result->fault_count++], OPEN_FAULT_MAX, format, list);
    va_end(list);
}

/* ------------------------------------------------------------------------------ watching the
 * server
 */

struct watch {
    struct http_call call;
    struct open_loop *loop;
    const char *authority, *path;
    int64_t asked_at;
    bool busy;
};

static void write_watch(struct http_call *call, struct textbuf *request) {
    const struct watch *self = (const struct watch *)call;
    api_get(request, self->authority, NULL, self->path, NULL);
}

static void on_watched(struct http_call *call, enum http_outcome outcome,
                       const struct http_response *response) {
    struct watch *self = (struct watch *)call;
    struct series *series = &self->loop->result->series;
    self->busy = false;
    if (outcome != HTTP_answered || response->status != 200) return;
    /* Where it was asked: under load the answer itself waits. */
    struct slice *slice = series_at(series, self->asked_at - self->loop->start);
    gauges_read(&series->names, response->body.bytes, response->body.length, slice->gauges);
}

static void ask_gauges(struct open_loop *loop, struct watch *watch, int64_t now) {
    if (loop->watcher == NULL || watch->busy) return;
    watch->busy = true;
    watch->asked_at = now;
    watch->call.wanted_at = 0;
    http_client_send(loop->watcher, &watch->call);
}

/* ---------------------------------------------------------------------------------------- the loop
 */

struct pace {
    int64_t next;       /* The next arrival, steady clock; INT64_MAX: none. */
    int64_t next_slice; /* When the slice under way ends. */
    double cpu;         /* At its beginning. */
    int64_t line_at;
};

static int64_t next_arrival(const struct open_loop *loop) {
    int64_t offset = arrivals_next(loop->plan->arrivals);
    return offset < 0 ? INT64_MAX : loop->start + offset;
}

/* Begins whoever is due, a few at a time. */
static void pick(struct open_loop *loop, struct pace *pace, int64_t now) {
    struct open_result *result = loop->result;
    for (unsigned i = 0; i < PICK_MAX && pace->next <= now; i++) {
        result->arrivals++;
        series_at(&result->series, pace->next - loop->start)->arrived++;
        if (!visit_begin(loop, pace->next, now)) result->unsettled++;
        pace->next = next_arrival(loop);
    }
}

static void print_line(const struct open_loop *loop, int64_t now) {
    const struct open_result *result = loop->result;
    if (loop->plan->progress == NULL) return;
    fprintf(loop->plan->progress,
            "%3" PRId64 " s  arrived %" PRIu64 " · answered %" PRIu64 " · yes %" PRIu64
            " · under way %zu · p99 %.1f ms\n",
            (now - loop->start) / TIMEFMT_NS_PER_S, result->arrivals, result->requests,
            open_count(result, TALLY_created) + open_count(result, TALLY_ok), loop->busy,
            (double)histogram_percentile(&result->latency, 99) / 1e6);
    fflush(loop->plan->progress);
}

static void end_slice(struct open_loop *loop, struct pace *pace, int64_t now) {
    struct open_result *result = loop->result;
    struct series *series = &result->series;
    if (now < pace->next_slice) return;
    double cpu = cpu_seconds(), passed;
    passed = (double)(now - pace->next_slice + series->slice_ns) / 1e9;
    struct slice *slice = series_at(series, pace->next_slice - series->slice_ns - loop->start);
    slice->cores = (cpu - pace->cpu) / passed;
    if (slice->cores > result->cores_peak) result->cores_peak = slice->cores;
    pace->cpu = cpu;
    pace->next_slice = now + series->slice_ns - (now - loop->start) % series->slice_ns;
}

static void live(struct open_loop *loop, struct watch *watch) {
    struct pace pace = { .cpu = cpu_seconds() };
    double cpu = pace.cpu;
    int64_t last_answer_by = 0;
    loop->start = clock_mono();
    pace.next = next_arrival(loop);
    pace.next_slice = loop->start + loop->result->series.slice_ns;
    pace.line_at = loop->start + TIMEFMT_NS_PER_S;
    ask_gauges(loop, watch, loop->start);
    for (;;) {
        int64_t now = clock_mono();
        pick(loop, &pace, now);
        int64_t until = visits_wake(loop, now);
        if (now >= pace.next_slice) {
            end_slice(loop, &pace, now);
            ask_gauges(loop, watch, now);
        }
        if (now >= pace.line_at) {
            print_line(loop, now);
            pace.line_at += TIMEFMT_NS_PER_S;
        }
        if (pace.next == INT64_MAX) {
            if (loop->busy == 0) break;
            /* Nobody new: what is under way is heard to its end, within a limit. */
            if (last_answer_by == 0) last_answer_by = now + 2 * loop->plan->timeout_ns;
            loop->ending = now >= last_answer_by;
        }
        if (until > pace.next_slice) until = pace.next_slice;
        if (until > pace.next) until = pace.next <= now ? now : pace.next;
        if (until > now && until < now + QUANTUM_NS) until = now + QUANTUM_NS;
        http_loop_turn(loop->http, until);
    }
    int64_t end = clock_mono();
    loop->result->seconds = (double)(end - loop->start) / 1e9;
    loop->result->cores = (cpu_seconds() - cpu) / loop->result->seconds;
    loop->result->began_at = loop->start;
    loop->result->planned_ns = loop->plan->arrivals->wish.duration_ns;
}

/* ----------------------------------------------------------------------------------- open and
 * close
 */

static bool warm(struct open_loop *loop, struct http_client *client) {
    int64_t until = clock_mono() + WARM_S * TIMEFMT_NS_PER_S;
    unsigned missing;
    while ((missing = http_client_warm(client, WARM_AT_ONCE)) > 0) {
        if (clock_mono() > until) {
            fprintf(stderr, "doorsim: %u connections could not be made\n", missing);
            return false;
        }
        http_loop_turn(loop->http, clock_mono() + TIMEFMT_NS_PER_MS);
    }
    return true;
}

static bool open_clients(struct open_loop *loop, struct watch *watch, struct http_url *metrics) {
    const struct open_plan *plan = loop->plan;
    struct http_url url;
    if (!http_url_read(plan->base, &url)) {
        fprintf(stderr, "doorsim: %s is not an http:// address\n", plan->base);
        return false;
    }
    struct http_client_options options = { .host = url.host,
                                           .port = url.port,
                                           .connections = plan->connections,
                                           .timeout_ns = plan->timeout_ns,
                                           .in_turns = true };
    loop->client = http_client_open(loop->http, &options);
    if (loop->client != NULL && plan->percent[PEOPLE_bot] > 0) {
        options.connections = plan->bot_connections;
        if (strncmp(url.host, "127.", 4) == 0 || strcmp(url.host, "localhost") == 0) {
            options.source_first = INADDR_LOOPBACK + 1;
            options.source_count = plan->bot_addresses;
        }
        loop->bots = http_client_open(loop->http, &options);
        if (loop->bots == NULL) return false;
    }
    if (loop->client != NULL && plan->metrics != NULL && http_url_read(plan->metrics, metrics)) {
        loop->watcher = http_client_open(
            loop->http, &(struct http_client_options){ .host = metrics->host,
                                                       .port = metrics->port,
                                                       .connections = 1,
                                                       .timeout_ns = plan->timeout_ns });
        *watch = (struct watch){ .call = { .write = write_watch, .done = on_watched },
                                 .loop = loop,
                                 .path = metrics->path };
        if (loop->watcher != NULL) watch->authority = http_client_authority(loop->watcher);
    }
    if (loop->client == NULL) fprintf(stderr, "doorsim: could not open a client\n");
    return loop->client != NULL;
}

static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static double ms(const struct histogram *histogram, double percent) {
    return (double)histogram_percentile(histogram, percent) / 1e6;
}

static void judge_run(const struct open_plan *plan, struct open_result *result) {
    double most = (double)plan->late_max_ns / 1e6;
    double late = ms(&result->late, 99), own = ms(&result->picked, 99);
    if (own > most) {
        fault(result, "the generator began its requests late: p99 %.1f ms, %.1f allowed", own,
              most);
    }
    if (late - own > most) {
        fault(result,
              "requests waited for a free connection: p99 %.1f ms, %.1f allowed; the server did "
              "not see the whole load (more --connections?)",
              late, most);
    }
    if (result->cores * 100 > GOOD_CORES_PERCENT) {
        fault(result, "the generator used %.0f %% of its one core, %d allowed", 100 * result->cores,
              GOOD_CORES_PERCENT);
    }
    uint64_t answered = result->served.count;
    if (result->arrivals > 0 && answered == 0) fault(result, "nothing was answered");
    if (result->latency.count > 0 && result->unsettled > result->arrivals / 100) {
        fault(result, "%" PRIu64 " of %" PRIu64 " arrivals got no last answer", result->unsettled,
              result->arrivals);
    }
}

bool open_run(const struct open_plan *plan, struct open_result *result) {
    struct open_loop *loop = calloc(1, sizeof *loop);
    struct watch watch = { 0 };
    struct http_url metrics;
    memset(result, 0, sizeof *result);
    raise_descriptors();
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    if (loop == NULL) return false;
    loop->plan = plan;
    loop->result = result;
    loop->recorder.to = plan->history;
    loop->random = plan->seed;
    loop->http = http_loop_open();
    loop->visits = calloc(VISITS_MAX, sizeof *loop->visits);
    for (size_t i = 0; loop->visits != NULL && i < VISITS_MAX; i++) {
        loop->visits[i].next = loop->free;
        loop->free = &loop->visits[i];
    }
    bool good = loop->http != NULL && loop->visits != NULL &&
                series_init(&result->series, plan->arrivals->wish.duration_ns) &&
                open_clients(loop, &watch, &metrics) && warm(loop, loop->client) &&
                (loop->bots == NULL || warm(loop, loop->bots));
    if (good) {
        live(loop, &watch);
        judge_run(plan, result);
    }
    http_client_close(&loop->watcher);
    http_client_close(&loop->bots);
    http_client_close(&loop->client);
    http_loop_close(&loop->http);
    free(loop->visits);
    free(loop);
    return good;
}

void open_result_fini(struct open_result *result) {
    series_fini(&result->series);
}

uint64_t open_count(const struct open_result *result, enum tally tally) {
    uint64_t sum = 0;
    for (int i = 0; i < PEOPLES; i++) {
        sum += result->count[i][tally];
    }
    return sum;
}

static void print_times(FILE *to, const char *what, const struct histogram *histogram) {
    if (histogram->count == 0) return;
    fprintf(to, "  %-38s p50 %9.2f  p99 %9.2f  p99.9 %9.2f  max %9.2f ms  (%" PRIu64 ")\n", what,
            ms(histogram, 50), ms(histogram, 99), ms(histogram, 99.9),
            (double)histogram_max(histogram) / 1e6, histogram->count);
}

void open_print(FILE *to, const struct open_result *result) {
    double planned = (double)result->planned_ns / 1e9;
    fprintf(to, "%" PRIu64 " arrivals planned over %.2f s, all answered after %.2f s\n",
            result->arrivals, planned, result->seconds);
    for (int i = 0; i < PEOPLES; i++) {
        uint64_t all = 0;
        for (int t = 0; t < TALLIES; t++) {
            all += result->count[i][t];
        }
        if (all == 0) continue;
        fprintf(to, "  %-9s", people_name((enum people)i));
        for (int t = 0; t < TALLIES; t++) {
            if (result->count[i][t] > 0) {
                fprintf(to, "  %s %" PRIu64, tally_name((enum tally)t), result->count[i][t]);
            }
        }
        fprintf(to, "\n");
    }
    print_times(to, "meant to start, to answered", &result->latency);
    print_times(to, "  of these told yes", &result->yes);
    print_times(to, "  of these told a place in line", &result->in_line);
    print_times(to, "  of these told anything else", &result->refusal);
    print_times(to, "sent, to answered", &result->served);
    print_times(to, "arrived, to the last answer", &result->whole);
    print_times(to, "meant to start, to sent (lateness)", &result->late);
    print_times(to, "  the generator's own part", &result->picked);
    fprintf(to, "generator: %.0f %% of one core, %.0f %% in its busiest slice\n",
            100 * result->cores, 100 * result->cores_peak);
    for (unsigned i = 0; i < result->fault_count; i++) {
        fprintf(to, "NOT GOOD: %s\n", result->faults[i]);
    }
}
