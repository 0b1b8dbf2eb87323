/* Shared by script_*.c only: building the words of a call. */
#ifndef BROKER_REDIS_SCRIPT_WORDS_H
#define BROKER_REDIS_SCRIPT_WORDS_H

#include "broker/batch.h"
#include "broker/redis/script_call.h"

/* A call with room for `words` keys and arguments, and copies of the messages. */
struct script_call *call_make(enum script script, const struct script_state *state,
                              const struct message *const *rows, uint32_t count, uint32_t words,
                              struct batch *memory);
void call_bytes(struct script_call *call, const char *at, size_t size);
void call_string(struct script_call *call, const char *string); /* Borrowed: a literal. */
void call_number(struct script_call *call, int64_t number, struct batch *memory);
/* Printed words: at most 100 bytes. */
void call_print(struct script_call *call, struct batch *memory, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Keys: {sK}:name, and {sK}:name:lot. */
void call_key(struct script_call *call, const struct script_state *state, const char *name,
              struct batch *memory);
void call_lot_key(struct script_call *call, const struct script_state *state, const char *name,
                  int64_t lot, struct batch *memory);
/* Index + 1 of the lot among the call's lots, which it joins. */
uint32_t call_lot(struct script_call *call, int64_t lot);

/* Makes the call for one message of a type that is never grouped; NULL: it cannot be made (its text
 * is malformed). */
struct script_call *call_single(const struct script_state *state, const struct message *message,
                                struct batch *memory);

/* The journal's entries as place rows, then rows_end. */
void script_journal_rows(struct script_state *state, const struct script_call *call,
                         const struct reply *entries, struct outbox *out);
/* Decimal digits that fill the text; false: something else, or above INT64_MAX. */
bool script_number(struct text text, int64_t *number);
/* Cuts the text up to the separator (or all of it) off; false when nothing is left. */
bool script_cut(struct text *rest, char separator, struct text *part);

#endif
