#include "tests/sim/flights.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 8, CHILDREN = 4 };

static size_t rounded(size_t size) {
    return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* ---- Memory: a list of free parcels for each size ---- */

static struct parcel *parcel_make(struct flights *self, size_t room) {
    size_t class = room / PARCEL_STEP;
    if (class < PARCEL_CLASSES) {
        struct parcel *spare = self->spare[class];
        if (spare != NULL) {
            self->spare[class] = spare->next;
            return spare;
        }
        room = (class + 1) * PARCEL_STEP;
    }
    struct parcel *made = malloc(room);
    if (made == NULL) abort();
    made->class = (uint8_t)(class < PARCEL_CLASSES ? class : PARCEL_CLASSES);
    return made;
}

void flights_give(struct flights *self, struct parcel *parcel) {
    if (parcel->class == PARCEL_CLASSES) {
        free(parcel);
        return;
    }
    parcel->next = self->spare[parcel->class];
    self->spare[parcel->class] = parcel;
}

static struct parcel *parcel_copy(struct flights *self, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    size_t room = rounded(sizeof(struct parcel)) + rounded(type->size);
    struct text text;
    for (uint32_t i = 0; i < type->text_count; i++) {
        memcpy(&text, (const char *)message->body + type->text_at[i], sizeof text);
        room += text.size;
    }
    struct parcel *made = parcel_make(self, room);
    char *body = (char *)made + rounded(sizeof *made), *end = body + rounded(type->size);
    made->message = (struct message){ message->head, body };
    memcpy(body, message->body, type->size);
    for (uint32_t i = 0; i < type->text_count; i++) {
        memcpy(&text, body + type->text_at[i], sizeof text);
        if (text.size > 0) memcpy(end, text.at, text.size);
        text.at = text.size > 0 ? end : NULL;
        end += text.size;
        memcpy(body + type->text_at[i], &text, sizeof text);
    }
    return made;
}

/* ---- Order ---- */

static bool earlier(const struct flight *a, const struct flight *b) {
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void add(struct flights *self, struct parcel *parcel, int64_t at) {
    if (self->count == self->capacity) {
        self->capacity = self->capacity * 2 + 64;
        self->heap = realloc(self->heap, self->capacity * sizeof *self->heap);
        if (self->heap == NULL) abort();
    }
    struct flight flight = { at, self->sequence++, parcel };
    uint32_t k = self->count++;
    while (k > 0 && earlier(&flight, &self->heap[(k - 1) / CHILDREN])) {
        self->heap[k] = self->heap[(k - 1) / CHILDREN];
        k = (k - 1) / CHILDREN;
    }
    self->heap[k] = flight;
}

void flights_add(struct flights *self, const struct message *message, uint8_t seat, int64_t at) {
    struct parcel *parcel = parcel_copy(self, message);
    parcel->event = EVENT_message;
    parcel->seat = seat;
    parcel->number = 0;
    add(self, parcel, at);
}

void flights_plan(struct flights *self, enum event event, uint8_t seat, uint64_t number,
                  int64_t at) {
    struct parcel *parcel = parcel_make(self, sizeof *parcel);
    parcel->event = event;
    parcel->seat = seat;
    parcel->number = number;
    add(self, parcel, at);
}

int64_t flights_next(const struct flights *self) {
    return self->heap[0].at;
}

struct parcel *flights_take(struct flights *self) {
    struct parcel *first = self->heap[0].parcel;
    struct flight last = self->heap[--self->count];
    uint32_t k = 0;
    for (;;) {
        uint32_t child = CHILDREN * k + 1, end = child + CHILDREN, least = child;
        if (child >= self->count) break;
        if (end > self->count) end = self->count;
        while (++child < end)
            if (earlier(&self->heap[child], &self->heap[least])) least = child;
        if (!earlier(&self->heap[least], &last)) break;
        self->heap[k] = self->heap[least];
        k = least;
    }
    self->heap[k] = last;
    return first;
}

void flights_fini(struct flights *self) {
    for (uint32_t i = 0; i < self->count; i++)
        flights_give(self, self->heap[i].parcel);
    for (uint32_t i = 0; i < PARCEL_CLASSES; i++) {
        for (struct parcel *next, *one = self->spare[i]; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(self->heap);
    memset(self, 0, sizeof *self);
}
