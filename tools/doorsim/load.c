#include "tools/doorsim/load.h"

#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/api.h"
#include "tools/doorsim/json_peek.h"
#include "tools/doorsim/open_loop.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_AT_ONCE = 128, WARM_S = 5 };

struct worker {
    struct http_call call; /* First: callbacks get its address. */
    struct load *load;
    struct ticket *ticket;
    struct history_event event;
};

struct load {
    const struct load_plan *plan;
    struct load_result *result;
    struct http_client *client;
    struct recorder recorder;
    struct worker *workers;
    size_t next_ticket;
    uint64_t sent;
    int64_t count_from;
    int64_t stop_at;
};

/* False when there is nothing more to send. */
static bool next_work(struct load *self, struct worker *worker, int64_t now) {
    const struct load_plan *plan = self->plan;
    if (now >= self->stop_at || (plan->requests > 0 && self->sent >= plan->requests)) return false;
    if (plan->kind != LOAD_get) {
        size_t end = plan->last_ticket;
        bool over_and_over = plan->kind == LOAD_refuse || plan->kind == LOAD_login;
        if (self->next_ticket >= end && over_and_over) {
            self->next_ticket = plan->first_ticket;
        }
        if (self->next_ticket >= end) return false;
        worker->ticket = &plan->tickets->list[self->next_ticket++];
    }
    self->sent++;
    return true;
}

static void write_call(struct http_call *call, struct textbuf *request) {
    struct worker *worker = (struct worker *)call;
    const struct load_plan *plan = worker->load->plan;
    const char *authority = http_client_authority(worker->load->client);
    const struct ticket *ticket = worker->ticket;
    char path[64];
    assert(plan->kind == LOAD_get || ticket != NULL);
    switch (plan->kind) {
    case LOAD_get: api_get(request, authority, plan->token, plan->path, plan->etag); break;
    case LOAD_login: api_login(request, authority, ticket->shopper->user, plan->password); break;
    case LOAD_ticket:
        (void)snprintf(path, sizeof path, "/v1/lots/%" PRId64 "/tickets", ticket->lot);
        api_post(request, authority, ticket->shopper->token, path, "{}", 2);
        break;
    case LOAD_buy:
    case LOAD_refuse:
        api_buy(request, authority, ticket->shopper->token, ticket->text, plan->quantity,
                ticket->shopper->user);
        break;
    }
}

static void keep_ticket(struct ticket *ticket, const struct http_response *response) {
    char text[API_TICKET_MAX];
    if (!json_peek_text(response->body.bytes, response->body.length, "ticket", text, sizeof text)) {
        return;
    }
    if (!json_peek_id(response->body.bytes, response->body.length, "order_id", &ticket->order)) {
        return;
    }
    free(ticket->text);
    ticket->text = strdup(text);
}

static void begin(struct worker *worker, int64_t now) {
    struct load *self = worker->load;
    if (!next_work(self, worker, now)) return;
    if (self->recorder.to != NULL && worker->ticket != NULL) {
        const struct ticket *ticket = worker->ticket;
        worker->event = (struct history_event){
            .kind = self->plan->kind == LOAD_ticket ? HISTORY_ticket : HISTORY_buy,
            .user = ticket->shopper->user,
            .lot = ticket->lot,
            .order = ticket->order,
            .quantity = self->plan->quantity,
        };
        recorder_ask(&self->recorder, &worker->event);
    }
    worker->call.wanted_at = 0;
    http_client_send(self->client, &worker->call);
}

static void on_done(struct http_call *call, enum http_outcome outcome,
                    const struct http_response *response) {
    struct worker *worker = (struct worker *)call;
    struct load *self = worker->load;
    bool buys = self->plan->kind == LOAD_buy || self->plan->kind == LOAD_refuse;
    struct answer answer;
    /* Reading bodies is the generator's own cost: only where something in them matters. */
    if (self->recorder.to != NULL && worker->ticket != NULL) {
        api_read(&answer, outcome, response);
        recorder_answer(&self->recorder, &worker->event, &answer);
    } else {
        answer_glance(&answer, outcome, response);
    }
    if (self->plan->kind == LOAD_ticket && answer.status == 201) {
        keep_ticket(worker->ticket, response);
    }
    enum tally became = tally_of(buys, &answer);
    /* Over the whole run, counted part or not: what PostgreSQL has to show afterwards. */
    if (became == TALLY_created) self->result->yes_all++;
    if (buys && tally_is_open(became)) self->result->open_all++;
    if (call->done_at >= self->count_from && call->done_at < self->stop_at) {
        self->result->requests++;
        self->result->count[became]++;
        histogram_record(&self->result->latency, call->done_at - call->wanted_at);
    }
    begin(worker, call->done_at);
}

/* Connections are made beforehand: thousands of them would take up a short round. */
static void warm(struct load *self, struct http_loop *loop) {
    int64_t until = clock_mono() + WARM_S * TIMEFMT_NS_PER_S;
    while (http_client_warm(self->client, WARM_AT_ONCE) > 0 && clock_mono() < until) {
        http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_MS);
    }
}

static void run(struct load *self, struct http_loop *loop) {
    const struct load_plan *plan = self->plan;
    int64_t started = clock_mono();
    self->count_from = started + plan->warmup_ns;
    self->stop_at = plan->duration_ns > 0 ? self->count_from + plan->duration_ns : INT64_MAX;
    double cpu = cpu_seconds();
    for (unsigned i = 0; i < plan->connections; i++) {
        struct worker *worker = &self->workers[i];
        worker->load = self;
        worker->call.write = write_call;
        worker->call.done = on_done;
        begin(worker, started);
    }
    int64_t next = started;
    while (http_client_pending(self->client) > 0) {
        next += TIMEFMT_NS_PER_S;
        http_loop_turn(loop, next);
        next = clock_mono();
        if (next >= self->stop_at) break;
    }
    int64_t stopped = next < self->stop_at ? next : self->stop_at;
    self->result->seconds = (double)(stopped - self->count_from) / 1e9;
    self->result->cores = (cpu_seconds() - cpu) / ((double)(clock_mono() - started) / 1e9);
    self->result->next_ticket = self->next_ticket;
    /* What is still under way is waited for, uncounted: a purchase must not be cut off unseen. */
    self->stop_at = 0;
    while (http_client_pending(self->client) > 0) {
        http_loop_turn(loop, clock_mono() + TIMEFMT_NS_PER_S);
    }
}

bool load_run(const struct load_plan *plan, struct load_result *result) {
    struct http_url url;
    struct load self = { .plan = plan, .result = result, .next_ticket = plan->first_ticket };
    memset(result, 0, sizeof *result);
    histogram_init(&result->latency);
    self.recorder.to = plan->history;
    if (!http_url_read(plan->base, &url)) {
        fprintf(stderr, "doorsim: %s is not an http:// address\n", plan->base);
        return false;
    }
    struct http_loop *loop = http_loop_open();
    self.workers = calloc(plan->connections, sizeof *self.workers);
    struct http_client_options options = {
        .host = url.host,
        .port = url.port,
        .connections = plan->connections,
        .timeout_ns = plan->timeout_ns,
    };
    if (loop != NULL) self.client = http_client_open(loop, &options);
    bool good = self.client != NULL && self.workers != NULL;
    if (good) {
        warm(&self, loop);
        run(&self, loop);
    } else {
        fprintf(stderr, "doorsim: could not open a client for %s\n", plan->base);
    }
    http_client_close(&self.client);
    http_loop_close(&loop);
    free(self.workers);
    return good;
}

double load_rate(const struct load_result *result) {
    return result->seconds > 0 ? (double)result->requests / result->seconds : 0;
}

void load_print(FILE *to, const struct load_result *result) {
    fprintf(to,
            "%" PRIu64 " requests in %.2f s, %.0f/s; p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, "
            "slowest %.2f ms; generator used %.0f %% of a core\n",
            result->requests, result->seconds, load_rate(result),
            (double)histogram_percentile(&result->latency, 50) / 1e6,
            (double)histogram_percentile(&result->latency, 99) / 1e6,
            (double)histogram_percentile(&result->latency, 99.9) / 1e6,
            (double)histogram_max(&result->latency) / 1e6, 100 * result->cores);
    for (int i = 0; i < TALLIES; i++) {
        fprintf(to, "%s%s %" PRIu64, i == 0 ? "" : ", ", tally_name((enum tally)i),
                result->count[i]);
    }
    fprintf(to, "\n");
}
