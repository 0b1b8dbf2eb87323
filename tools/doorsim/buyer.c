/* A shopper up to his order: ticket, purchase, line. */
#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/crowd.h"
#include "tools/doorsim/json_peek.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    IMPATIENCE_NS = 150 * 1000 * 1000,
    BACK_OFF_MAX_MS = 2000,
    STUBBORN_QUIET_S = 3, /* Who hears nothing new for so long gives up. */
};

static void write_call(struct http_call *call, struct textbuf *request) {
    struct act *act = (struct act *)call;
    struct buyer *self = act->buyer;
    const char *authority = http_client_authority(self->crowd->shop);
    const char *token = self->shopper->token;
    char path[API_TICKET_MAX + 64];
    switch (act->event.kind) {
    case HISTORY_ticket:
        (void)snprintf(path, sizeof path, "/v1/lots/%" PRId64 "/tickets", self->lot);
        api_post(request, authority, token, path, "{}", 2);
        break;
    case HISTORY_buy:
    case HISTORY_again:
        api_buy(request, authority, token, self->ticket, self->crowd->options->quantity,
                self->shopper->user);
        break;
    case HISTORY_poll:
        (void)snprintf(
            path, sizeof path, "/v1/orders/%" PRId64 "%s%s", self->order,
            self->receipt == NULL ? "" : "?receipt=", self->receipt == NULL ? "" : self->receipt);
        api_get(request, authority, token, path, NULL);
        break;
    case HISTORY_cancel:
        (void)snprintf(path, sizeof path, "/v1/orders/%" PRId64 "/cancel", self->order);
        api_post(request, authority, token, path, "{}", 2);
        break;
    case HISTORY_pay:
        if (self->stage == BUYER_provider) {
            api_post(request, http_client_authority(self->crowd->provider), NULL, self->pay_path,
                     "{\"result\":\"success\"}", 20);
            break;
        }
        (void)snprintf(path, sizeof path, "/v1/orders/%" PRId64 "/payments", self->order);
        api_post(request, authority, token, path, "{\"provider\":\"sandbox\"}", 22);
        break;
    case HISTORY_KINDS: break;
    }
}

static bool keep_text(const struct http_response *response, const char *name, char **to) {
    char text[API_URL_MAX];
    if (response == NULL ||
        !json_peek_text(response->body.bytes, response->body.length, name, text, sizeof text)) {
        return false;
    }
    free(*to);
    *to = strdup(text);
    return *to != NULL;
}

static void keep_pay_by(struct buyer *self, const struct http_response *response) {
    char text[40];
    int64_t pay_by;
    if (response != NULL &&
        json_peek_text(response->body.bytes, response->body.length, "pay_by", text, sizeof text) &&
        timefmt_read(text, strlen(text), &pay_by)) {
        self->pay_by = pay_by;
    }
}

void buyer_back_off(struct buyer *self, int retry_after_s) {
    unsigned doublings = self->tries < 5 ? self->tries : 5;
    int64_t wait_ms = INT64_C(60) << doublings;
    if (wait_ms > BACK_OFF_MAX_MS) wait_ms = BACK_OFF_MAX_MS;
    if (retry_after_s > 0) wait_ms = INT64_C(1000) * retry_after_s;
    /* Jitter only adds: Retry-After is a promise to the shop. */
    wait_ms += (int64_t)buyer_draw(self, (uint64_t)(wait_ms / 2 + 20));
    buyer_sleep(self, wait_ms * TIMEFMT_NS_PER_MS);
}

static void finish(struct buyer *self) {
    buyer_move(self, BUYER_done);
}

static void after_ticket(struct buyer *self, const struct answer *answer,
                         const struct http_response *response) {
    struct crowd_count *count = &self->crowd->result->count;
    if (answer->phase == HISTORY_ok && answer->order != 0 &&
        keep_text(response, "ticket", &self->ticket)) {
        self->order = answer->order;
        self->tries = 0;
        count->tickets++;
        buyer_move(self, BUYER_waiting);
        return;
    }
    if (answer->phase == HISTORY_unknown) {
        self->tries++;
        buyer_back_off(self, answer->retry_after_s);
        return;
    }
    count->no_ticket++;
    finish(self);
}

static void begin_purchase(struct buyer *self) {
    struct crowd_count *count = &self->crowd->result->count;
    bool first = self->tries == 0;
    self->got_yes = self->got_line = self->got_unknown = false;
    self->retry_after_s = -1;
    buyer_move(self, BUYER_buying);
    if (first)
        count->asked++;
    else
        count->repeated++;
    self->tries++;
    buyer_ask(self, &self->acts[0], first ? HISTORY_buy : HISTORY_again,
              first && self->impatient ? IMPATIENCE_NS : 0);
    if (first && self->twice) {
        count->repeated++;
        buyer_ask(self, &self->acts[1], HISTORY_again, 0);
    }
}

/* A refusal that may be another one later: the doors are not open, or units may come back. */
static bool worth_waiting(const struct buyer *self, const char *code) {
    const struct crowd *crowd = self->crowd;
    if (strcmp(code, "sale_not_open") == 0 || strcmp(code, "sale_paused") == 0) return true;
    if (strcmp(code, "sold_out") != 0 || !self->stubborn) return false;
    return crowd->unpaid > 0 ||
           clock_mono() - crowd->last_change < STUBBORN_QUIET_S * TIMEFMT_NS_PER_S;
}

static void after_refusal(struct buyer *self, const struct answer *answer) {
    if (!worth_waiting(self, answer->code)) {
        finish(self);
        return;
    }
    buyer_move(self, BUYER_waiting);
    bool closed_doors = strcmp(answer->code, "sold_out") != 0;
    int64_t wait_ms = closed_doors ? 150 + (int64_t)buyer_draw(self, 200)
                                   : 1000 + (int64_t)buyer_draw(self, 2000);
    if (answer->retry_after_s > 0 && wait_ms < INT64_C(1000) * answer->retry_after_s) {
        wait_ms = INT64_C(1000) * answer->retry_after_s + (int64_t)buyer_draw(self, 500);
    }
    buyer_sleep(self, wait_ms * TIMEFMT_NS_PER_MS);
}

static void count_purchase(struct buyer *self, const struct act *act, const struct answer *answer) {
    struct crowd_result *result = self->crowd->result;
    int64_t felt = act->call.done_at - act->call.wanted_at;
    if (answer->status == 0) {
        result->count.lost++;
        return;
    }
    histogram_record(&result->buy, felt);
    histogram_record(&result->buy_server, act->call.done_at - act->call.sent_at);
    if (answer->status == 202)
        result->count.queued++;
    else if (answer->phase == HISTORY_unknown)
        result->count.busy++;
    else if (answer->phase == HISTORY_ok && answer->replayed)
        result->count.replayed++;
    else if (answer->phase == HISTORY_fail && strcmp(answer->code, "sold_out") == 0)
        result->count.sold_out++;
    else if (answer->phase == HISTORY_fail)
        result->count.refused++;
    if (answer->phase == HISTORY_ok && answer->status != 202) histogram_record(&result->yes, felt);
}

static void after_purchase(struct buyer *self, const struct act *act, const struct answer *answer,
                           const struct http_response *response) {
    count_purchase(self, act, answer);
    if (answer->phase == HISTORY_unknown) self->got_unknown = true;
    if (answer->retry_after_s > self->retry_after_s) self->retry_after_s = answer->retry_after_s;
    if (answer->phase == HISTORY_ok) {
        if (answer->status == 202 && keep_text(response, "receipt", &self->receipt)) {
            self->got_line = true;
        } else if (answer->status != 202) {
            self->got_yes = true;
            keep_pay_by(self, response);
        }
    }
    if (self->acts[0].busy || self->acts[1].busy) return; /* The other click is not answered yet. */
    if (self->got_yes) {
        buyer_has_order(self);
    } else if (self->got_line) {
        buyer_move(self, BUYER_in_line);
        buyer_back_off(self, self->retry_after_s);
    } else if (self->got_unknown) {
        buyer_move(self, BUYER_waiting);
        buyer_back_off(self, self->retry_after_s);
    } else {
        after_refusal(self, answer);
    }
}

static void after_line(struct buyer *self, const struct answer *answer,
                       const struct http_response *response) {
    if (answer->phase == HISTORY_unknown || strcmp(answer->state, "pending") == 0) {
        buyer_back_off(self, answer->retry_after_s);
        return;
    }
    bool back = strcmp(answer->state, "void") == 0 || answer->phase == HISTORY_fail;
    bool refused = strcmp(answer->state, "refused") == 0;
    if (back || refused) {
        free(self->receipt);
        self->receipt = NULL;
    }
    if (refused) {
        after_refusal(self, answer);
    } else if (back) {
        /* The place in line is gone: the same ticket may try again. */
        buyer_move(self, BUYER_waiting);
        buyer_back_off(self, -1);
    } else {
        keep_pay_by(self, response);
        buyer_has_order(self);
    }
}

static void on_done(struct http_call *call, enum http_outcome outcome,
                    const struct http_response *response) {
    struct act *act = (struct act *)call;
    struct buyer *self = act->buyer;
    struct answer answer;
    api_read(&answer, outcome, response);
    act->busy = false;
    /* At the provider he pays; the shop is asked afterwards, and only its word is history. */
    if (self->stage != BUYER_provider) {
        recorder_answer(&self->crowd->recorder, &act->event, &answer);
    }
    if (act->event.kind == HISTORY_ticket && answer.status != 0) {
        histogram_record(&self->crowd->result->ticket, call->done_at - call->wanted_at);
    }
    switch (self->stage) {
    case BUYER_ticket: after_ticket(self, &answer, response); break;
    case BUYER_buying: after_purchase(self, act, &answer, response); break;
    case BUYER_in_line: after_line(self, &answer, response); break;
    case BUYER_prepay: buyer_after_prepay(self, &answer, response); break;
    case BUYER_provider: buyer_after_provider(self, &answer); break;
    case BUYER_watching: buyer_after_look(self, &answer); break;
    case BUYER_cancel: buyer_after_cancel(self, &answer); break;
    case BUYER_waiting:
    case BUYER_holding:
    case BUYER_done:
    case BUYER_STAGES: break;
    }
}

void buyer_ask(struct buyer *self, struct act *act, enum history_kind kind, int64_t timeout_ns) {
    act->busy = true;
    act->event = (struct history_event){
        .kind = kind,
        .user = self->shopper->user,
        .lot = self->lot,
        .order = self->order,
        .quantity =
            kind == HISTORY_buy || kind == HISTORY_again ? self->crowd->options->quantity : 0,
    };
    act->call.write = write_call;
    act->call.done = on_done;
    act->call.wanted_at = 0;
    act->call.timeout_ns = timeout_ns;
    bool at_provider = self->stage == BUYER_provider;
    if (!at_provider) recorder_ask(&self->crowd->recorder, &act->event);
    http_client_send(at_provider ? self->crowd->provider : self->crowd->shop, &act->call);
}

void buyer_wake(struct buyer *self) {
    switch (self->stage) {
    case BUYER_ticket: buyer_ask(self, &self->acts[0], HISTORY_ticket, 0); break;
    case BUYER_waiting: begin_purchase(self); break;
    case BUYER_in_line: buyer_ask(self, &self->acts[0], HISTORY_poll, 0); break;
    case BUYER_holding:
    case BUYER_prepay:
    case BUYER_provider:
    case BUYER_watching:
    case BUYER_cancel: buyer_wake_with_order(self); break;
    case BUYER_buying:
    case BUYER_done:
    case BUYER_STAGES: break;
    }
}
