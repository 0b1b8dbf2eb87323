#include "broker/frame.h"

#include <stdlib.h>
#include <string.h>

#include "schema/wire.h"

void frame_fini(struct frame *self) {
    free(self->bytes);
    memset(self, 0, sizeof *self);
}

static void frame_reserve(struct frame *self, size_t more) {
    if (self->capacity - self->size >= more) return;
    size_t capacity = self->capacity ? self->capacity : 4096;
    while (capacity - self->size < more)
        capacity *= 2;
    self->bytes = realloc(self->bytes, capacity);
    if (self->bytes == NULL) abort();
    self->capacity = capacity;
}

void frame_append(struct frame *self, const struct message *message) {
    const struct head *head = &message->head;
    const struct message_type *type = message_type((enum message_id)head->type);
    struct envelope envelope = { .type = head->type,
                                 .from = head->from,
                                 .to = head->to,
                                 .origin = head->origin,
                                 .shard = head->shard,
                                 .node = head->node,
                                 .request = (int64_t)head->request,
                                 .trace = (int64_t)head->trace,
                                 .deadline = head->deadline };
    const struct message_type *outer = message_type(MSG_envelope);
    frame_reserve(self, wire_bound(outer, &envelope) + wire_bound(type, message->body));
    self->size +=
        wire_encode(outer, &envelope, self->bytes + self->size, self->capacity - self->size);
    self->size +=
        wire_encode(type, message->body, self->bytes + self->size, self->capacity - self->size);
    self->count++;
}

static bool known(const struct envelope *envelope) {
    return envelope->to < ADDRESS_COUNT && envelope->origin < ADDRESS_COUNT &&
           envelope->from < ADDRESS_COUNT && message_type((enum message_id)envelope->type) != NULL;
}

/* A scanned head and body.  False: the head is none. */
static bool read_one(const uint8_t *at, size_t head_size, size_t body_size, struct batch *to,
                     struct frame_skips *skips) {
    const struct field *culprit;
    struct envelope envelope;
    union { /* Room for any body, aligned. */
#define MESSAGE(name, id, doc) struct name name;
#define FIELD(name, kind, need, lo, hi, doc)
#define END()
#include "schema/messages.def"
#undef MESSAGE
#undef FIELD
#undef END
    } body;
    if (wire_decode(message_type(MSG_envelope), at, head_size, &envelope, &culprit)) return false;
    if (!known(&envelope)) {
        skips->unknown++;
        return true;
    }
    const struct message_type *type = message_type((enum message_id)envelope.type);
    if (wire_decode(type, at + head_size, body_size, &body, &culprit) != PROBLEM_none) {
        skips->invalid++;
        return true;
    }
    if (wire_count(at + head_size, body_size) > type->field_count) skips->newer++;
    struct head head = { .type = (uint16_t)envelope.type,
                         .from = (uint8_t)envelope.from,
                         .to = (uint8_t)envelope.to,
                         .origin = (uint8_t)envelope.origin,
                         .shard = (uint8_t)envelope.shard,
                         .node = (uint16_t)envelope.node,
                         .request = (uint64_t)envelope.request,
                         .deadline = envelope.deadline,
                         .trace = (uint64_t)envelope.trace };
    batch_append(to, &(struct message){ head, &body });
    return true;
}

bool frame_read_from(const uint8_t *bytes, size_t size, struct batch *to,
                     struct frame_skips *skips) {
    while (size > 0) {
        size_t head_size = wire_scan(bytes, size, 64);
        if (head_size == 0) return false;
        size_t body_size = wire_scan(bytes + head_size, size - head_size, WIRE_OBJECTS_MAX);
        if (body_size == 0) return false;
        if (!read_one(bytes, head_size, body_size, to, skips)) return false;
        bytes += head_size + body_size;
        size -= head_size + body_size;
    }
    return true;
}

bool frame_read(const uint8_t *bytes, size_t size, struct batch *to) {
    struct frame_skips skips = { 0 };
    return frame_read_from(bytes, size, to, &skips) && skips.unknown == 0 && skips.invalid == 0;
}
