/* A shopper with an order: pays, pays late, cancels, or lets it expire. */
#include "broker/clock.h"
#include "schema/timefmt.h"
#include "tools/doorsim/crowd.h"
#include "tools/doorsim/json_peek.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKS_MAX = 60 };

static int64_t ms(uint64_t count) {
    return (int64_t)count * TIMEFMT_NS_PER_MS;
}

/* From now to `after_ns` past the end of the payment time. */
static int64_t past_pay_by(const struct buyer *self, int64_t after_ns) {
    int64_t left = self->pay_by - clock_now();
    return (left > 0 ? left : 0) + after_ns;
}

static void finish(struct buyer *self) {
    self->crowd->unpaid--;
    self->crowd->last_change = clock_mono();
    buyer_move(self, BUYER_done);
}

/* Whether the crowd is still here when the payment time ends: a shop whose clock was ahead when it
 * took the order gives time until long after. */
static bool outlives_pay_by(const struct buyer *self) {
    const struct crowd *crowd = self->crowd;
    int64_t left = crowd->doors_at + crowd->options->end_after_ns - clock_mono();
    return self->pay_by != 0 && self->pay_by - clock_now() < left / 2;
}

void buyer_has_order(struct buyer *self) {
    struct crowd *crowd = self->crowd;
    crowd->result->count.yes++;
    crowd->unpaid++;
    crowd->last_change = clock_mono();
    self->tries = 0;
    self->looks = 0;
    free(self->receipt);
    self->receipt = NULL;
    bool tame = clock_mono() - crowd->doors_at > crowd->options->tame_after_ns;
    bool waits = self->plan == PLAN_abandon || self->plan == PLAN_late;
    if (self->plan != PLAN_keep && (tame || (waits && !outlives_pay_by(self))))
        self->plan = PLAN_pay;
    buyer_move(self, BUYER_holding);
    switch (self->plan) {
    case PLAN_abandon:
        buyer_sleep(self, past_pay_by(self, ms(500 + buyer_draw(self, 1000))));
        break;
    case PLAN_keep: buyer_sleep(self, 0); break;
    case PLAN_cancel: buyer_sleep(self, ms(100 + buyer_draw(self, 1500))); break;
    case PLAN_late:
    case PLAN_pay: buyer_sleep(self, ms(50 + buyer_draw(self, 800))); break;
    }
}

/* Thought is over. */
static void act_on_plan(struct buyer *self) {
    switch (self->plan) {
    case PLAN_keep: finish(self); break;
    case PLAN_cancel:
        buyer_move(self, BUYER_cancel);
        buyer_ask(self, &self->acts[0], HISTORY_cancel, 0);
        break;
    case PLAN_late:
    case PLAN_pay:
        buyer_move(self, BUYER_prepay);
        buyer_ask(self, &self->acts[0], HISTORY_pay, 0);
        break;
    case PLAN_abandon:
        /* Comes back when it is too late and looks; some even press the button again. */
        buyer_move(self, BUYER_watching);
        buyer_ask(self, &self->acts[0], self->replays ? HISTORY_again : HISTORY_poll, 0);
        break;
    }
}

void buyer_wake_with_order(struct buyer *self) {
    switch (self->stage) {
    case BUYER_holding: act_on_plan(self); break;
    case BUYER_prepay:
    case BUYER_provider: buyer_ask(self, &self->acts[0], HISTORY_pay, 0); break;
    case BUYER_watching: buyer_ask(self, &self->acts[0], HISTORY_poll, 0); break;
    case BUYER_cancel: buyer_ask(self, &self->acts[0], HISTORY_cancel, 0); break;
    case BUYER_ticket:
    case BUYER_waiting:
    case BUYER_buying:
    case BUYER_in_line:
    case BUYER_done:
    case BUYER_STAGES: break;
    }
}

void buyer_after_prepay(struct buyer *self, const struct answer *answer,
                        const struct http_response *response) {
    char text[API_URL_MAX];
    struct http_url url;
    bool got_url =
        answer->phase == HISTORY_ok && response->body.length > 0 &&
        json_peek_text(response->body.bytes, response->body.length, "pay_url", text, sizeof text);
    if (got_url && http_url_read(text, &url) && crowd_provider(self->crowd, &url) != NULL) {
        free(self->pay_path);
        self->pay_path = strdup(url.path);
        self->tries = 0;
        buyer_move(self, BUYER_provider);
        bool late = self->plan == PLAN_late;
        self->paid_late = late;
        buyer_sleep(self, late ? past_pay_by(self, ms(300 + buyer_draw(self, 1500)))
                               : ms(50 + buyer_draw(self, 300)));
        return;
    }
    if (answer->phase == HISTORY_unknown || (answer->phase == HISTORY_ok && !got_url)) {
        if (self->tries++ < LOOKS_MAX) {
            buyer_back_off(self, answer->retry_after_s);
            return;
        }
    }
    /* Too late to pay: look what became of it. */
    buyer_move(self, BUYER_watching);
    buyer_sleep(self, ms(200));
}

void buyer_after_provider(struct buyer *self, const struct answer *answer) {
    if (answer->phase == HISTORY_unknown && self->tries++ < LOOKS_MAX) {
        buyer_back_off(self, answer->retry_after_s);
        return;
    }
    /* A provider that closes its page in time takes no late money. */
    if (answer->phase != HISTORY_ok) self->paid_late = false;
    if (self->paid_late) self->crowd->result->count.late_money++;
    self->looks = 0;
    buyer_move(self, BUYER_watching);
    buyer_sleep(self, ms(100 + buyer_draw(self, 300)));
}

/* True when the order will not change any more as far as this buyer's plan goes. */
static bool is_settled(struct buyer *self, const char *state) {
    struct crowd_count *count = &self->crowd->result->count;
    if (strcmp(state, "paid") == 0 || strcmp(state, "refunded") == 0) {
        if (strcmp(state, "paid") == 0) count->paid++;
        return true;
    }
    if (strcmp(state, "cancelled") == 0) return true;
    if (strcmp(state, "expired") != 0) return false;
    /* Late money may still get a unit; give it a while before believing the expiry. */
    if (self->paid_late && self->looks < 6) return false;
    count->expired++;
    return true;
}

void buyer_after_look(struct buyer *self, const struct answer *answer) {
    self->looks++;
    bool settled = answer->phase == HISTORY_ok && is_settled(self, answer->state);
    bool refused = answer->phase == HISTORY_fail;
    if (settled || refused || self->looks > LOOKS_MAX) {
        finish(self);
        return;
    }
    if (answer->phase == HISTORY_unknown) {
        self->tries++;
        buyer_back_off(self, answer->retry_after_s);
        return;
    }
    buyer_sleep(self, ms(300 + buyer_draw(self, 300)));
}

void buyer_after_cancel(struct buyer *self, const struct answer *answer) {
    if (answer->phase == HISTORY_unknown && self->tries++ < LOOKS_MAX) {
        buyer_back_off(self, answer->retry_after_s);
        return;
    }
    if (answer->phase == HISTORY_ok) self->crowd->result->count.cancelled++;
    finish(self);
}
