#include "tests/sim/flights.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 8, CHILDREN = 4, FRAME_KEPT = 1024 };

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

static void parcel_give(struct flights *self, struct parcel *parcel) {
    if (parcel->class == PARCEL_CLASSES) {
        free(parcel);
        return;
    }
    parcel->next = self->spare[parcel->class];
    self->spare[parcel->class] = parcel;
}

void flights_give(struct flights *self, const struct flight *flight) {
    if (flight->event == EVENT_message) parcel_give(self, flight->parcel);
    if (flight->event != EVENT_frame) return;
    /* A large one is many chunks to go through whenever it is emptied. */
    if (flight->frame->messages.capacity > FRAME_KEPT) batch_fini(&flight->frame->messages);
    batch_reset(&flight->frame->messages);
    flight->frame->next = self->spare_frame;
    self->spare_frame = flight->frame;
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

static void append(struct flight_heap *self, const struct flight *flight) {
    if (self->count == self->capacity) {
        self->capacity = self->capacity * 2 + 16;
        self->items = realloc(self->items, self->capacity * sizeof *self->items);
        if (self->items == NULL) abort();
    }
    self->items[self->count++] = *flight;
}

static void rise(struct flight_heap *self, uint32_t k) {
    struct flight flight = self->items[k];
    while (k > 0 && earlier(&flight, &self->items[(k - 1) / CHILDREN])) {
        self->items[k] = self->items[(k - 1) / CHILDREN];
        k = (k - 1) / CHILDREN;
    }
    self->items[k] = flight;
}

static void sink(struct flight_heap *self, uint32_t k) {
    struct flight flight = self->items[k];
    for (;;) {
        uint32_t child = CHILDREN * k + 1, end = child + CHILDREN, least = child;
        if (child >= self->count) break;
        if (end > self->count) end = self->count;
        while (++child < end)
            if (earlier(&self->items[child], &self->items[least])) least = child;
        if (!earlier(&self->items[least], &flight)) break;
        self->items[k] = self->items[least];
        k = least;
    }
    self->items[k] = flight;
}

static void push(struct flight_heap *self, const struct flight *flight) {
    append(self, flight);
    rise(self, self->count - 1);
}

static struct flight pop(struct flight_heap *self) {
    struct flight first = self->items[0];
    self->items[0] = self->items[--self->count];
    if (self->count > 0) sink(self, 0);
    return first;
}

/* ---- Days ---- */

static int64_t day_of(int64_t at) {
    return at >> DAY_BITS;
}

static void put(struct flights *self, const struct flight *flight) {
    int64_t day = day_of(flight->at);
    if (self->days == NULL) {
        self->days = calloc(FLIGHT_DAYS, sizeof *self->days);
        if (self->days == NULL) abort();
        self->today = day - 1;
    }
    if (day <= self->today) {
        push(&self->now, flight);
    } else if (day - self->today < FLIGHT_DAYS) {
        uint32_t place = (uint32_t)day % FLIGHT_DAYS;
        append(&self->days[place], flight);
        self->busy[place / 64] |= UINT64_C(1) << (place % 64);
        self->days_count++;
    } else {
        push(&self->later, flight);
    }
}

/* The first day behind today on which something is planned; there is one in `days`. */
static int64_t next_day(const struct flights *self) {
    for (int64_t day = self->today + 1;;) {
        uint32_t place = (uint32_t)day % FLIGHT_DAYS;
        uint64_t left = self->busy[place / 64] >> (place % 64);
        if (left != 0) return day + __builtin_ctzll(left);
        day += 64 - place % 64;
    }
}

static void begin_day(struct flights *self) {
    self->today =
        self->days_count > 0 ? next_day(self) : day_of(self->later.items[0].at) - FLIGHT_DAYS + 1;
    while (self->later.count > 0 && day_of(self->later.items[0].at) - self->today < FLIGHT_DAYS) {
        struct flight flight = pop(&self->later);
        put(self, &flight);
    }
    uint32_t place = (uint32_t)self->today % FLIGHT_DAYS;
    struct flight_heap empty = self->now;
    self->now = self->days[place];
    self->days[place] = empty;
    self->busy[place / 64] &= ~(UINT64_C(1) << (place % 64));
    self->days_count -= self->now.count;
    for (uint32_t k = self->now.count / CHILDREN + 1; k-- > 0;)
        if (k < self->now.count) sink(&self->now, k);
}

/* ---- What the world sees ---- */

static void add(struct flights *self, struct flight *flight) {
    flight->sequence = self->sequence++;
    self->count++;
    put(self, flight);
}

void flights_add(struct flights *self, const struct message *message, uint8_t seat, int64_t at) {
    struct flight flight = { .at = at, .event = EVENT_message, .seat = seat };
    flight.parcel = parcel_copy(self, message);
    add(self, &flight);
}

struct frame *flights_frame(struct flights *self, uint8_t seat, int64_t at) {
    struct frame *frame = self->spare_frame;
    if (frame != NULL) {
        self->spare_frame = frame->next;
    } else {
        frame = malloc(sizeof *frame);
        if (frame == NULL) abort();
        batch_init(&frame->messages);
    }
    struct flight flight = { .at = at, .frame = frame, .event = EVENT_frame, .seat = seat };
    add(self, &flight);
    return frame;
}

void flights_plan(struct flights *self, enum event event, uint8_t seat, uint64_t number,
                  int64_t at) {
    struct flight flight = { .at = at, .number = number, .event = (uint8_t)event, .seat = seat };
    add(self, &flight);
}

int64_t flights_next(struct flights *self) {
    while (self->now.count == 0)
        begin_day(self);
    return self->now.items[0].at;
}

struct flight flights_take(struct flights *self) {
    (void)flights_next(self);
    self->count--;
    return pop(&self->now);
}

static void heap_fini(struct flights *self, struct flight_heap *heap) {
    for (uint32_t i = 0; i < heap->count; i++)
        flights_give(self, &heap->items[i]);
    free(heap->items);
}

void flights_fini(struct flights *self) {
    heap_fini(self, &self->now);
    heap_fini(self, &self->later);
    for (uint32_t i = 0; self->days != NULL && i < FLIGHT_DAYS; i++)
        heap_fini(self, &self->days[i]);
    for (struct frame *next, *one = self->spare_frame; one != NULL; one = next) {
        next = one->next;
        batch_fini(&one->messages);
        free(one);
    }
    for (uint32_t i = 0; i < PARCEL_CLASSES; i++) {
        for (struct parcel *next, *one = self->spare[i]; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(self->days);
    memset(self, 0, sizeof *self);
}
