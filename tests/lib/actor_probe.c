#include "tests/lib/actor_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MILLISECOND INT64_C(1000000)

struct actor_setup probe_setup(void) {
    return (struct actor_setup){
        .worker = 1,
        .seed = { 7 },
        .hold = 300 * MILLISECOND,
        .inflight_max = 8192,
        .access_life = 900000 * MILLISECOND,
        .refresh_life = 2592000000 * MILLISECOND,
        .session_idle = 1800000 * MILLISECOND,
        .login_failures_max = 10,
        .ticket_life = 1800000 * MILLISECOND,
        .ticket_lead = 86400000 * MILLISECOND,
        .pay_window = 900000 * MILLISECOND,
        .cancels_max = 3,
        .batch_max = 512,
        .journal_cap = 20000,
        .journal_age_max = 10000 * MILLISECOND,
        .idle_read = 20 * MILLISECOND,
        .hint_every = 200 * MILLISECOND,
        .hint_life = 500 * MILLISECOND,
        .payment_query_every = 5000 * MILLISECOND,
        .mail_attempts_max = 10,
    };
}

static void *memory(size_t size) {
    void *at = calloc(1, size > 0 ? size : 1);
    assert_non_null(at);
    return at;
}

/* Texts of a body, copied; each is kept until the body goes. */
static void copy_texts(const struct message_type *type, void *body) {
    for (const struct field *field = type->fields; field->name; field++) {
        if (kind_stored(field->kind) != STORED_text) continue;
        struct text text;
        memcpy(&text, (char *)body + field->offset, sizeof text);
        char *copy = text.size > 0 ? memory(text.size) : NULL;
        if (text.size > 0) memcpy(copy, text.at, text.size);
        text.at = copy;
        memcpy((char *)body + field->offset, &text, sizeof text);
    }
}

static void drop(struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    union {
        const void *borrowed;
        void *owned;
    } body = { .borrowed = message->body };
    for (const struct field *field = type->fields; field->name; field++) {
        union {
            const char *borrowed;
            void *owned;
        } text = { .borrowed = field_text(field, message->body).at };
        if (kind_stored(field->kind) == STORED_text) free(text.owned);
    }
    free(body.owned);
}

/* ---- The outbox: bodies and made texts live until the call is over, then they are copied. ---- */

struct sink {
    struct probe *probe;
    struct message *items;
    uint32_t count;
    void **texts;
    uint32_t text_count, text_capacity;
};

static void *take(void *at, const struct head *head, const struct message_type *type) {
    struct sink *sink = at;
    void *body = memory(type->size);
    sink->items[sink->count++] = (struct message){ *head, body };
    return body;
}

static char *text(void *at, size_t size) {
    struct sink *sink = at;
    if (sink->text_count == sink->text_capacity) {
        sink->text_capacity = sink->text_capacity * 2 + 16;
        sink->texts = realloc(sink->texts, sink->text_capacity * sizeof *sink->texts);
        assert_non_null(sink->texts);
    }
    return sink->texts[sink->text_count++] = memory(size);
}

static void collect(struct probe *self, struct sink *sink) {
    for (uint32_t i = 0; i < sink->count; i++) {
        struct message *message = &sink->items[i];
        union {
            const void *borrowed;
            void *owned;
        } body = { .borrowed = message->body };
        copy_texts(message_type((enum message_id)message->head.type), body.owned);
        assert_true(self->sent_count < PROBE_SENT_MAX);
        self->sent[self->sent_count++] = *message;
    }
    for (uint32_t i = 0; i < sink->text_count; i++)
        free(sink->texts[i]);
    free(sink->texts);
    free(sink->items);
}

static void handle(struct probe *self, const struct message *in, uint32_t count) {
    struct sink sink = { .probe = self };
    struct outbox out = { .sink = &sink,
                          .take = take,
                          .text = text,
                          .self = self->type->address,
                          .shard = self->setup.shard,
                          .node = self->setup.node,
                          .capacity = count * self->type->sends_max };
    assert_true(count > 0 && count <= self->type->batch_max);
    sink.items = memory(out.capacity * sizeof *sink.items);
    self->type->handle(self->state, in, count, self->now, &out);
    if (self->type->check != NULL) self->type->check(self->state);
    collect(self, &sink);
}

/* ---- Giving ---- */

void probe_open(struct probe *self, const struct actor_type *type,
                const struct actor_setup *setup) {
    memset(self, 0, sizeof *self);
    self->type = type;
    self->setup = setup != NULL ? *setup : probe_setup();
    self->now = INT64_C(1800000000) * 1000 * MILLISECOND;
    self->state = memory(type->state_size);
    self->sent = memory(PROBE_SENT_MAX * sizeof *self->sent);
    self->queued = memory(type->batch_max * sizeof *self->queued);
    type->init(self->state, &self->setup);
}

void probe_close(struct probe *self) {
    probe_clear(self);
    for (uint32_t i = 0; i < self->queued_count; i++)
        drop(&self->queued[i]);
    free(self->state);
    free(self->sent);
    free(self->queued);
    memset(self, 0, sizeof *self);
}

void probe_restart(struct probe *self) {
    memset(self->state, 0, self->type->state_size);
    self->type->init(self->state, &self->setup);
    probe_give(self, NOBODY, &(struct started){ 0 }, MSG_started);
}

void probe_queue(struct probe *self, enum address from, const void *body, enum message_id id) {
    const struct message_type *type = message_type(id);
    struct message message = { .head = self->head };
    void *copy = memory(type->size);
    memcpy(copy, body, type->size);
    copy_texts(type, copy);
    message.head.type = (uint16_t)id;
    message.head.from = (uint8_t)from;
    message.head.to = (uint8_t)self->type->address;
    message.body = copy;
    assert_true(self->queued_count < self->type->batch_max);
    self->queued[self->queued_count++] = message;
}

void probe_run(struct probe *self) {
    uint32_t count = self->queued_count;
    self->queued_count = 0;
    handle(self, self->queued, count);
    for (uint32_t i = 0; i < count; i++)
        drop(&self->queued[i]);
}

void probe_give(struct probe *self, enum address from, const void *body, enum message_id id) {
    probe_queue(self, from, body, id);
    probe_run(self);
}

void probe_answer(struct probe *self, const struct message *to, const void *body,
                  enum message_id id) {
    struct head before = self->head;
    enum address from = (enum address)to->head.to;
    self->head = to->head;
    self->head.deadline = 0;
    probe_give(self, from, body, id);
    self->head = before;
}

void probe_refuse(struct probe *self, const struct message *to, enum problem problem) {
    struct failed failed = { .problem = problem, .what = to->head.type };
    probe_answer(self, to, &failed, MSG_failed);
}

void probe_pass(struct probe *self, int64_t span) {
    int64_t end = self->now + span, step = self->type->tick_every;
    struct head before = self->head;
    self->head = (struct head){ 0 };
    if (step <= 0) step = span;
    while (self->now < end) {
        self->now = self->now + step < end ? self->now + step : end;
        probe_give(self, NOBODY, &(struct tick){ 0 }, MSG_tick);
    }
    self->head = before;
}

/* ---- Looking ---- */

static bool is(const struct message *message, enum address to, enum message_id id) {
    return message->head.type == (uint16_t)id && (to == NOBODY || message->head.to == to);
}

uint32_t probe_count(const struct probe *self, enum address to, enum message_id id) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->sent_count; i++)
        count += is(&self->sent[i], to, id);
    return count;
}

uint32_t probe_place(const struct probe *self, enum address to, enum message_id id, int nth) {
    uint32_t count = probe_count(self, to, id), seen = 0;
    uint32_t wanted = nth < 0 ? count - 1 : (uint32_t)nth;
    for (uint32_t i = 0; i < self->sent_count; i++) {
        if (is(&self->sent[i], to, id) && seen++ == wanted) return i;
    }
    probe_print(self);
    fail_msg("no %s number %d to %s", message_type(id)->name, nth, address_name(to));
    return 0;
}

const struct message *probe_message(const struct probe *self, enum address to, enum message_id id,
                                    int nth) {
    return &self->sent[probe_place(self, to, id, nth)];
}

void probe_clear(struct probe *self) {
    for (uint32_t i = 0; i < self->sent_count; i++)
        drop(&self->sent[i]);
    self->sent_count = 0;
}

void probe_print(const struct probe *self) {
    for (uint32_t i = 0; i < self->sent_count && i < 200; i++) {
        const struct message *message = &self->sent[i];
        fprintf(stderr, "  %s > %s  ", address_name((enum address)message->head.from),
                address_name((enum address)message->head.to));
        message_print(stderr, message_type((enum message_id)message->head.type), message->body);
        fputc('\n', stderr);
    }
}
