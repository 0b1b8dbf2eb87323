#include "tools/doorsim/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[HISTORY_KINDS] = { "ticket", "buy", "again",
                                                       "poll",   "pay", "cancel" };
static const char *const phase_names[HISTORY_PHASES] = { "invoke", "ok", "fail", "unknown" };

enum { COLUMNS = 11, LINE_MAX_BYTES = 512 };

const char *history_kind_name(enum history_kind kind) {
    return kind_names[kind];
}

/* Decimal, or `-` for zero.  Returns the end. */
static char *put_number(char *at, int64_t number) {
    char digits[20];
    int count = 0;
    uint64_t left = number < 0 ? 0 : (uint64_t)number;
    if (left == 0) {
        *at++ = '-';
        *at++ = ' ';
        return at;
    }
    while (left > 0) {
        digits[count++] = (char)('0' + left % 10);
        left /= 10;
    }
    while (count > 0) {
        *at++ = digits[--count];
    }
    *at++ = ' ';
    return at;
}

/* A name; bytes that would break the line become '?'. */
static char *put_word(char *at, const char *word, char after) {
    if (*word == '\0') *at++ = '-';
    for (; *word != '\0'; word++) {
        bool plain = *word > ' ' && *word < 127;
        *at++ = plain ? *word : (char)'?';
    }
    *at++ = after;
    return at;
}

void history_write(FILE *to, const struct history_event *event) {
    char line[LINE_MAX_BYTES];
    char *at = put_number(line, event->at_ns);
    at = put_number(at, (int64_t)event->call);
    at = put_word(at, kind_names[event->kind], ' ');
    at = put_word(at, phase_names[event->phase], ' ');
    at = put_number(at, event->user);
    at = put_number(at, event->lot);
    at = put_number(at, event->order);
    at = put_number(at, event->quantity);
    at = put_number(at, event->status);
    at = put_word(at, event->code, ' ');
    at = put_word(at, event->state, '\n');
    (void)fwrite_unlocked(line, 1, (size_t)(at - line), to);
}

static bool take_number(const char *word, int64_t hi, int64_t *number) {
    *number = 0;
    if (strcmp(word, "-") == 0) return true;
    char *end;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    if (errno != 0 || end == word || *end != '\0' || value < 0 || value > hi) return false;
    *number = value;
    return true;
}

static bool take_name(const char *word, const char *const *names, unsigned count, unsigned *index) {
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(word, names[i]) != 0) continue;
        *index = i;
        return true;
    }
    return false;
}

static bool take_word(const char *word, char *to, size_t size) {
    size_t length = strlen(word);
    if (length >= size) return false;
    if (strcmp(word, "-") == 0) length = 0;
    memcpy(to, word, length);
    to[length] = '\0';
    return true;
}

bool history_read_line(const char *line, struct history_event *event) {
    char copy[LINE_MAX_BYTES];
    char *words[COLUMNS];
    size_t length = strlen(line);
    if (length >= sizeof copy) return false;
    memcpy(copy, line, length + 1);
    char *at = copy;
    for (unsigned i = 0; i < COLUMNS; i++) {
        words[i] = at;
        char *space = strchr(at, ' ');
        if ((space == NULL) != (i == COLUMNS - 1)) return false;
        if (space == NULL) break;
        *space = '\0';
        at = space + 1;
    }
    int64_t call, quantity, status;
    unsigned kind, phase;
    memset(event, 0, sizeof *event);
    if (!take_number(words[0], INT64_MAX, &event->at_ns)) return false;
    if (!take_number(words[1], INT64_MAX, &call)) return false;
    if (!take_name(words[2], kind_names, HISTORY_KINDS, &kind)) return false;
    if (!take_name(words[3], phase_names, HISTORY_PHASES, &phase)) return false;
    if (!take_number(words[4], INT64_MAX, &event->user)) return false;
    if (!take_number(words[5], INT64_MAX, &event->lot)) return false;
    if (!take_number(words[6], INT64_MAX, &event->order)) return false;
    if (!take_number(words[7], UINT32_MAX, &quantity)) return false;
    if (!take_number(words[8], 999, &status)) return false;
    if (!take_word(words[9], event->code, sizeof event->code)) return false;
    if (!take_word(words[10], event->state, sizeof event->state)) return false;
    event->call = (uint64_t)call;
    event->kind = (enum history_kind)kind;
    event->phase = (enum history_phase)phase;
    event->quantity = (uint32_t)quantity;
    event->status = (int)status;
    return true;
}

bool history_add(struct history *self, const struct history_event *event) {
    if (self->count == self->capacity) {
        size_t capacity = self->capacity == 0 ? 1024 : self->capacity * 2;
        struct history_event *events = realloc(self->events, capacity * sizeof *events);
        if (events == NULL) return false;
        self->events = events;
        self->capacity = capacity;
    }
    self->events[self->count++] = *event;
    return true;
}

bool history_load(struct history *self, const char *path) {
    FILE *from = fopen(path, "re");
    if (from == NULL) {
        fprintf(stderr, "history: could not open %s: %s\n", path, strerror(errno));
        return false;
    }
    uint64_t base = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (self->events[i].call > base) base = self->events[i].call;
    }
    char line[LINE_MAX_BYTES + 2];
    bool good = true;
    for (unsigned long number = 1; good && fgets(line, sizeof line, from) != NULL; number++) {
        size_t length = strlen(line);
        struct history_event event;
        if (length == 0 || line[length - 1] != '\n') {
            /* A part of a line is only forgiven where the writer was killed: at the end. */
            if (length < sizeof line - 1 && fgetc(from) == EOF) break;
            good = false;
        } else {
            line[length - 1] = '\0';
            good = history_read_line(line, &event);
        }
        if (!good) {
            fprintf(stderr, "history: %s line %lu is not an event\n", path, number);
            break;
        }
        event.call += base;
        good = history_add(self, &event);
    }
    if (ferror(from) != 0) good = false;
    fclose(from);
    return good;
}

void history_fini(struct history *self) {
    free(self->events);
    *self = (struct history){ 0 };
}
