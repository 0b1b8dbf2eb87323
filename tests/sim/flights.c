#include "tests/sim/flights.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 8 };

static size_t rounded(size_t size) {
    return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct parcel *parcel_make(const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    size_t room = rounded(sizeof(struct parcel)) + rounded(type->size);
    for (const struct field *field = type->fields; field->name; field++) {
        if (kind_stored(field->kind) == STORED_text) room += field_text(field, message->body).size;
    }
    struct parcel *made = malloc(room);
    if (made == NULL) abort();
    char *body = (char *)made + rounded(sizeof *made), *end = body + rounded(type->size);
    made->event = EVENT_message;
    made->number = 0;
    made->message = (struct message){ message->head, body };
    memcpy(body, message->body, type->size);
    for (const struct field *field = type->fields; field->name; field++) {
        if (kind_stored(field->kind) != STORED_text) continue;
        struct text text = field_text(field, message->body);
        if (text.size > 0) memcpy(end, text.at, text.size);
        text.at = text.size > 0 ? end : NULL;
        end += text.size;
        memcpy(body + field->offset, &text, sizeof text);
    }
    return made;
}

static bool earlier(const struct parcel *a, const struct parcel *b) {
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void swap(struct flights *self, uint32_t a, uint32_t b) {
    struct parcel *kept = self->heap[a];
    self->heap[a] = self->heap[b];
    self->heap[b] = kept;
}

static struct parcel *add(struct flights *self, const struct message *message, int64_t at) {
    if (self->count == self->capacity) {
        self->capacity = self->capacity * 2 + 64;
        self->heap = realloc(self->heap, self->capacity * sizeof *self->heap);
        if (self->heap == NULL) abort();
    }
    struct parcel *parcel = parcel_make(message);
    parcel->at = at;
    parcel->sequence = self->sequence++;
    uint32_t k = self->count++;
    self->heap[k] = parcel;
    while (k > 0 && earlier(self->heap[k], self->heap[(k - 1) / 2])) {
        swap(self, k, (k - 1) / 2);
        k = (k - 1) / 2;
    }
    return parcel;
}

void flights_add(struct flights *self, const struct message *message, int64_t at) {
    add(self, message, at);
}

void flights_plan(struct flights *self, enum event event, enum address to, uint64_t number,
                  int64_t at) {
    struct tick body = { 0 };
    struct message message = { { .type = MSG_tick, .to = (uint8_t)to }, &body };
    struct parcel *parcel = add(self, &message, at);
    parcel->event = event;
    parcel->number = number;
}

const struct parcel *flights_first(const struct flights *self) {
    return self->count > 0 ? self->heap[0] : NULL;
}

struct parcel *flights_take(struct flights *self) {
    struct parcel *first = self->heap[0];
    self->heap[0] = self->heap[--self->count];
    for (uint32_t k = 0;;) {
        uint32_t least = k, left = 2 * k + 1, right = left + 1;
        if (left < self->count && earlier(self->heap[left], self->heap[least])) least = left;
        if (right < self->count && earlier(self->heap[right], self->heap[least])) least = right;
        if (least == k) return first;
        swap(self, k, least);
        k = least;
    }
}

void flights_fini(struct flights *self) {
    for (uint32_t i = 0; i < self->count; i++)
        free(self->heap[i]);
    free(self->heap);
    memset(self, 0, sizeof *self);
}
