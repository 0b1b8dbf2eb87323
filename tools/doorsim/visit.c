#include "tools/doorsim/visit.h"

#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/json_peek.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BACK_OFF_MS = 60, LOOKS_MAX = 30, RETRY_AFTER_MAX_S = 30, LEAVES_AT_ONCE_MS = 1 };

static uint64_t draw(struct open_loop *loop, uint64_t bound) {
    uint64_t mixed = loop->random += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (mixed ^ mixed >> 31) % bound;
}

static bool buys(const struct open_loop *loop) {
    return loop->plan->kind == LOAD_buy;
}

static void write_call(struct http_call *call, struct textbuf *request) {
    const struct click *click = (const struct click *)call;
    const struct visit *self = click->visit;
    const struct open_plan *plan = self->loop->plan;
    const char *authority = http_client_authority(self->loop->client);
    const struct ticket *ticket = self->ticket;
    char path[API_TICKET_MAX + 64];
    if (plan->kind == LOAD_get) {
        api_get(request, authority, plan->token, plan->path, plan->etag);
    } else if (plan->kind == LOAD_ticket) {
        (void)snprintf(path, sizeof path, "/v1/lots/%" PRId64 "/tickets", ticket->lot);
        api_post(request, authority, ticket->shopper->token, path, "{}", 2);
    } else if (click->event.kind == HISTORY_poll) {
        (void)snprintf(path, sizeof path, "/v1/orders/%" PRId64 "?receipt=%s", ticket->order,
                       self->receipt);
        api_get(request, authority, ticket->shopper->token, path, NULL);
    } else {
        api_buy(request, authority, ticket->shopper->token, ticket->text, plan->quantity,
                ticket->shopper->user);
    }
}

static void on_done(struct http_call *call, enum http_outcome outcome,
                    const struct http_response *response);

static void send_click(struct visit *self, struct click *click, enum history_kind kind,
                       int64_t wanted_at, int64_t now) {
    struct open_loop *loop = self->loop;
    click->visit = self;
    click->busy = true;
    click->picked_at = now;
    click->call.write = write_call;
    click->call.done = on_done;
    click->call.wanted_at = wanted_at;
    click->call.timeout_ns = 0;
    if (kind != HISTORY_poll && self->people == PEOPLE_retrying) {
        click->call.timeout_ns = loop->plan->patience_ns;
    } else if (self->people == PEOPLE_leaving) {
        click->call.timeout_ns = LEAVES_AT_ONCE_MS * TIMEFMT_NS_PER_MS +
                                 (int64_t)draw(loop, (uint64_t)loop->plan->patience_ns);
    }
    click->event = (struct history_event){ .kind = kind };
    if (loop->recorder.to != NULL && self->ticket != NULL) {
        click->event.user = self->ticket->shopper->user;
        click->event.lot = self->ticket->lot;
        click->event.order = self->ticket->order;
        click->event.quantity = kind == HISTORY_poll ? 0 : loop->plan->quantity;
        recorder_ask(&loop->recorder, &click->event);
    }
    http_client_send(self->people == PEOPLE_bot ? loop->bots : loop->client, &click->call);
}

static enum people draw_people(struct open_loop *loop) {
    uint64_t at = draw(loop, 100);
    for (int i = 0; i < PEOPLES; i++) {
        if (at < loop->plan->percent[i]) return (enum people)i;
        at -= loop->plan->percent[i];
    }
    return PEOPLE_honest;
}

/* The next ticket of its kind.  Tickets for tickets and for bots are used again and again. */
static struct ticket *take_ticket(struct open_loop *loop, enum people people) {
    const struct open_plan *plan = loop->plan;
    size_t own = plan->tickets->count - plan->bot_tickets;
    if (people == PEOPLE_bot) {
        return &plan->tickets->list[own + loop->next_bot++ % plan->bot_tickets];
    }
    if (plan->kind == LOAD_ticket) return &plan->tickets->list[loop->next_ticket++ % own];
    return loop->next_ticket < own ? &plan->tickets->list[loop->next_ticket++] : NULL;
}

bool visit_begin(struct open_loop *loop, int64_t wanted_at, int64_t now) {
    struct visit *self = loop->free;
    enum people people = buys(loop) ? draw_people(loop) : PEOPLE_honest;
    struct ticket *ticket = NULL;
    if (self == NULL) return false;
    if (loop->plan->kind != LOAD_get && (ticket = take_ticket(loop, people)) == NULL) return false;
    loop->free = self->next;
    loop->busy++;
    memset(self, 0, sizeof *self);
    self->loop = loop;
    self->people = people;
    self->ticket = ticket;
    self->arrived_at = wanted_at;
    self->tries = 1;
    enum history_kind kind = loop->plan->kind == LOAD_ticket ? HISTORY_ticket : HISTORY_buy;
    send_click(self, &self->clicks[0], kind, wanted_at, now);
    if (people == PEOPLE_clicking) {
        send_click(self, &self->clicks[1], HISTORY_again, wanted_at, now);
    }
    return true;
}

static void finish(struct visit *self, int64_t now, bool settled) {
    struct open_loop *loop = self->loop;
    if (settled) histogram_record(&loop->result->whole, now - self->arrived_at);
    if (!settled && self->people != PEOPLE_leaving) loop->result->unsettled++;
    free(self->receipt);
    self->receipt = NULL;
    self->next = loop->free;
    loop->free = self;
    loop->busy--;
}

/* Waits as told, or a little longer with every try; with jitter, which only adds. */
static void sleep_for(struct visit *self, int retry_after_s, int64_t now) {
    struct open_loop *loop = self->loop;
    unsigned doublings = self->tries < 5 ? self->tries : 5;
    int64_t wait_ms = (int64_t)BACK_OFF_MS << doublings;
    if (retry_after_s > RETRY_AFTER_MAX_S) retry_after_s = RETRY_AFTER_MAX_S;
    if (retry_after_s > 0) wait_ms = INT64_C(1000) * retry_after_s;
    wait_ms += (int64_t)draw(loop, (uint64_t)wait_ms / 2 + 10);
    self->due = now + wait_ms * TIMEFMT_NS_PER_MS;
    struct visit **slot = &loop->timers[(self->due / TIMEFMT_NS_PER_MS) % TIMER_SLOTS];
    self->next = *slot;
    *slot = self;
    loop->waiting++;
}

int64_t visits_wake(struct open_loop *loop, int64_t now) {
    int64_t now_ms = now / TIMEFMT_NS_PER_MS;
    if (loop->timers_at_ms == 0) loop->timers_at_ms = now_ms;
    int64_t until_ms = loop->ending ? loop->timers_at_ms + TIMER_SLOTS : now_ms;
    for (; loop->timers_at_ms < until_ms && loop->waiting > 0; loop->timers_at_ms++) {
        struct visit *self = loop->timers[loop->timers_at_ms % TIMER_SLOTS];
        loop->timers[loop->timers_at_ms % TIMER_SLOTS] = NULL;
        while (self != NULL) {
            struct visit *next = self->next;
            loop->waiting--;
            if (loop->ending)
                finish(self, now, false);
            else
                send_click(self, &self->clicks[0], self->in_line ? HISTORY_poll : HISTORY_again,
                           self->due, now);
            self = next;
        }
    }
    if (loop->waiting == 0) {
        loop->timers_at_ms = now_ms;
        return INT64_MAX;
    }
    return (now_ms + 1) * TIMEFMT_NS_PER_MS;
}

/* ---------------------------------------------------------------------------------------- answers
 */

static void book(struct visit *self, const struct click *click, enum tally tally) {
    struct open_loop *loop = self->loop;
    struct open_result *result = loop->result;
    const struct http_call *call = &click->call;
    int64_t felt = call->done_at - call->wanted_at;
    struct slice *meant = series_at(&result->series, call->wanted_at - loop->start);
    result->requests++;
    result->count[self->people][tally]++;
    series_at(&result->series, call->done_at - loop->start)->count[tally]++;
    if (tally == TALLY_created) result->told_yes++;
    if (buys(loop) && tally_is_open(tally)) result->may_be++;
    bool counts = call->wanted_at >= loop->start + loop->plan->warmup_ns;
    if (call->sent_at > 0) {
        int64_t late = call->sent_at - call->wanted_at;
        series_at(&result->series, call->sent_at - loop->start)->sent++;
        if (counts) {
            histogram_record(&result->late, late);
            histogram_record(&result->picked, click->picked_at - call->wanted_at);
        }
        if (late > meant->late_max) meant->late_max = late;
    }
    if (tally == TALLY_left) return; /* He did not wait: nobody felt a latency. */
    slice_latency(meant, felt);
    if (!counts) return;
    histogram_record(&result->latency, felt);
    if (tally == TALLY_lost) return;
    histogram_record(&result->served, call->done_at - call->sent_at);
    bool yes = tally == TALLY_created || tally == TALLY_replayed || tally == TALLY_ok;
    histogram_record(yes                     ? &result->yes
                     : tally == TALLY_queued ? &result->in_line
                                             : &result->refusal,
                     felt);
}

static void keep_receipt(struct visit *self, const struct http_response *response) {
    char text[API_TICKET_MAX];
    if (!json_peek_text(response->body.bytes, response->body.length, "receipt", text,
                        sizeof text)) {
        return;
    }
    free(self->receipt);
    self->receipt = strdup(text);
    self->in_line = self->receipt != NULL;
}

/* A purchase was answered; what now? */
static void after_purchase(struct visit *self, struct click *click, enum tally tally,
                           int retry_after_s) {
    const struct open_plan *plan = self->loop->plan;
    int64_t now = click->call.done_at;
    bool unknown = tally == TALLY_lost || tally == TALLY_busy || tally == TALLY_failed;
    if (!unknown && tally != TALLY_queued) self->settled = true;
    if (retry_after_s > self->retry_after_s) self->retry_after_s = retry_after_s;
    if (self->clicks[0].busy || self->clicks[1].busy) return; /* The other click. */
    if (self->loop->ending) {
        finish(self, now, self->settled);
    } else if (self->people == PEOPLE_bot) {
        if (self->tries++ < plan->bot_requests)
            send_click(self, click, HISTORY_again, now, now);
        else
            finish(self, now, self->settled);
    } else if (self->settled || self->people == PEOPLE_leaving) {
        finish(self, now, self->settled);
    } else if (self->in_line) {
        sleep_for(self, self->retry_after_s, now);
    } else if (self->people == PEOPLE_retrying && self->tries < plan->tries_max) {
        self->tries++;
        if (tally == TALLY_lost)
            send_click(self, click, HISTORY_again, now, now);
        else
            sleep_for(self, self->retry_after_s, now);
    } else {
        finish(self, now, false);
    }
}

static void after_look(struct visit *self, const struct answer *answer, int64_t now) {
    bool open = answer->phase == HISTORY_unknown || strcmp(answer->state, "pending") == 0;
    self->loop->result->polls++;
    if (open && ++self->looks < LOOKS_MAX && !self->loop->ending)
        sleep_for(self, answer->retry_after_s, now);
    else
        finish(self, now, !open);
}

static void on_done(struct http_call *call, enum http_outcome outcome,
                    const struct http_response *response) {
    struct click *click = (struct click *)call;
    struct visit *self = click->visit;
    struct open_loop *loop = self->loop;
    struct answer answer;
    bool poll = click->event.kind == HISTORY_poll;
    click->busy = false;
    if (poll || loop->recorder.to != NULL)
        api_read(&answer, outcome, response);
    else
        answer_glance(&answer, outcome, response);
    if (self->ticket != NULL) recorder_answer(&loop->recorder, &click->event, &answer);
    if (poll) {
        after_look(self, &answer, call->done_at);
        return;
    }
    enum tally tally = tally_of(buys(loop), &answer);
    if (self->people == PEOPLE_leaving && outcome == HTTP_timeout) tally = TALLY_left;
    if (tally == TALLY_queued && buys(loop)) keep_receipt(self, response);
    book(self, click, tally);
    if (buys(loop))
        after_purchase(self, click, tally, answer.retry_after_s);
    else
        finish(self, call->done_at, tally != TALLY_lost);
}
