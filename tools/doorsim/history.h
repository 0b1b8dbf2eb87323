/* What clients asked and what they were told: one line per event, the judge's only witness beside
 * SQL.  A line, in this order, `-` where there is nothing:
 *
 *     at call kind phase user lot order quantity status code state
 *
 *   at        wall clock, nanoseconds
 *   call      ties an answer to its question; unique within one file
 *   kind      ticket, buy, again (the same ticket once more), poll, pay, cancel
 *   phase     invoke  the question was put
 *             ok      answered with success
 *             fail    refused for good: this attempt has had no effect and will have none
 *             unknown no answer, or one that promises nothing (429, 5xx): it may have an effect
 *   order     of a question: the ticket's; of an answer: the one the answer names
 *   status    HTTP status;  code  the problem's code;  state  the order state that was told
 *
 * Lines are appended whole; a file whose writer was killed may end in a part of a line, which is
 * ignored: the question it answered counts as unknown. */
#ifndef DOORSIM_HISTORY_H
#define DOORSIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum history_kind {
    HISTORY_ticket,
    HISTORY_buy,
    HISTORY_again,
    HISTORY_poll,
    HISTORY_pay,
    HISTORY_cancel,
    HISTORY_KINDS,
};

enum history_phase {
    HISTORY_invoke,
    HISTORY_ok,
    HISTORY_fail,
    HISTORY_unknown,
    HISTORY_PHASES,
};

enum { HISTORY_CODE_MAX = 31, HISTORY_STATE_MAX = 19 };

struct history_event {
    int64_t at_ns;
    uint64_t call;
    enum history_kind kind;
    enum history_phase phase;
    int64_t user, lot, order; /* 0: not known. */
    uint32_t quantity;
    int status;                      /* 0: no answer. */
    char code[HISTORY_CODE_MAX + 1]; /* Empty: none. */
    char state[HISTORY_STATE_MAX + 1];
};

const char *history_kind_name(enum history_kind kind);

/* Writes one line.  Buffered by the FILE; the caller flushes when a kill should lose nothing. */
void history_write(FILE *to, const struct history_event *event);

/* Reads one line without its newline.  False when it is not one. */
bool history_read_line(const char *line, struct history_event *event);

/* A growing list of events.  Zeroed memory is an empty one. */
struct history {
    size_t count;
    size_t capacity;
    struct history_event *events;
};

bool history_add(struct history *self, const struct history_event *event);

/* Adds a whole file.  Calls are renumbered, so that several files can be added.  False, with a
 * sentence on stderr, when it cannot be read or a line is not one. */
bool history_load(struct history *self, const char *path);

void history_fini(struct history *self);

#endif
