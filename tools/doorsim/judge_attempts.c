#include "tools/doorsim/judge_attempts.h"

#include <stdlib.h>
#include <string.h>

static int by_call(const void *a, const void *b) {
    const struct history_event *const *left = a, *const *right = b;
    if ((*left)->call != (*right)->call) return (*left)->call < (*right)->call ? -1 : 1;
    return (int)((*left)->phase != HISTORY_invoke) - (int)((*right)->phase != HISTORY_invoke);
}

static int by_order(const void *a, const void *b) {
    const struct attempt *left = a, *right = b;
    if (left->order != right->order) return left->order < right->order ? -1 : 1;
    return (left->asked_at > right->asked_at) - (left->asked_at < right->asked_at);
}

static enum order_state state_read(const char *name) {
    int64_t value = *name == '\0' ? 0 : state_value(KIND_order_state, text_of(name));
    return value < 0 ? order_state_none : (enum order_state)value;
}

static enum claim claim_of(const struct history_event *answer, enum order_state state) {
    if (answer->phase == HISTORY_unknown) return CLAIM_nothing;
    if (answer->status == 404 && answer->phase == HISTORY_fail) return CLAIM_absent;
    if (state == order_state_refused || state == order_state_void) return CLAIM_no;
    bool buys = answer->kind == HISTORY_buy || answer->kind == HISTORY_again;
    if (answer->phase == HISTORY_fail) {
        /* `duplicate` speaks of another request, not of this order. */
        bool refusal = buys && answer->status == 409 && strcmp(answer->code, "duplicate") != 0;
        return refusal ? CLAIM_no : CLAIM_nothing;
    }
    if (buys && answer->status == 202) return CLAIM_pending;
    return state == order_state_pending ? CLAIM_nothing : CLAIM_yes;
}

static void take_answer(struct attempt *self, const struct history_event *answer) {
    self->state = state_read(answer->state);
    self->claim = claim_of(answer, self->state);
    self->code = answer->code;
    if (answer->phase == HISTORY_ok) self->answered_order = answer->order;
    if (answer->phase != HISTORY_unknown) self->answered_at = answer->at_ns;
    if (self->claim == CLAIM_no || self->claim == CLAIM_absent) self->state = order_state_none;
}

bool attempts_read(struct attempts *self, const struct history *history) {
    *self = (struct attempts){ 0 };
    const struct history_event **events = calloc(history->count + 1, sizeof *events);
    self->list = calloc(history->count + 1, sizeof *self->list);
    if (events == NULL || self->list == NULL) {
        free(events);
        attempts_fini(self);
        return false;
    }
    for (size_t i = 0; i < history->count; i++) {
        events[i] = &history->events[i];
    }
    qsort(events, history->count, sizeof *events, by_call);
    for (size_t i = 0; i < history->count; i++) {
        const struct history_event *event = events[i];
        if (event->kind == HISTORY_ticket) continue;
        bool answers = self->count > 0 && i > 0 && events[i - 1]->call == event->call;
        if (event->phase == HISTORY_invoke || !answers) {
            self->list[self->count++] = (struct attempt){
                .kind = event->kind,
                .user = event->user,
                .lot = event->lot,
                .order = event->order,
                .quantity = event->quantity,
                .asked_at = event->at_ns,
                .answered_at = INT64_MAX,
                .code = "",
            };
        }
        if (event->phase != HISTORY_invoke) take_answer(&self->list[self->count - 1], event);
    }
    free(events);
    if (self->count > 0) qsort(self->list, self->count, sizeof *self->list, by_order);
    return true;
}

void attempts_fini(struct attempts *self) {
    free(self->list);
    *self = (struct attempts){ 0 };
}
