#include "broker/redis/script_words.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[SCRIPT_COUNT] = {
    [SCRIPT_reserve] = "reserve",
    [SCRIPT_settle] = "settle",
    [SCRIPT_warm_lot] = "warm_lot",
    [SCRIPT_set_lot] = "set_lot",
    [SCRIPT_install_begin] = "install_begin",
    [SCRIPT_install_lot] = "install_lot",
    [SCRIPT_install_holders] = "install_holders",
    [SCRIPT_install_end] = "install_end",
    [SCRIPT_journal] = "journal",
    [SCRIPT_count_lot] = "count_lot",
    [SCRIPT_meta] = "meta",
};

const char *script_name(enum script script) {
    return names[script];
}

struct script_call *call_make(enum script script, const struct script_state *state,
                              const struct message *const *rows, uint32_t count, uint32_t words,
                              struct batch *memory) {
    struct script_call *call = batch_memory(memory, sizeof *call);
    uint32_t places = words + SCRIPT_WORDS_BEFORE;
    *call = (struct script_call){ .script = script, .epoch = state->epoch, .row_count = count };
    call->at = batch_memory(memory, places * sizeof *call->at);
    call->size = batch_memory(memory, places * sizeof *call->size);
    call->rows = batch_memory(memory, (count + 1) * sizeof *call->rows);
    call->lots = batch_memory(memory, (count + 1) * sizeof *call->lots);
    for (uint32_t i = 0; i < count; i++) {
        batch_append(memory, rows[i]);
        call->rows[i] = memory->items[memory->count - 1];
    }
    return call;
}

void call_bytes(struct script_call *call, const char *at, size_t size) {
    call->at[SCRIPT_WORDS_BEFORE + call->words] = at;
    call->size[SCRIPT_WORDS_BEFORE + call->words] = size;
    call->words++;
}

void call_string(struct script_call *call, const char *string) {
    call_bytes(call, string, strlen(string));
}

void call_number(struct script_call *call, int64_t number, struct batch *memory) {
    enum { DIGITS = 24 };
    char *end = (char *)batch_memory(memory, DIGITS) + DIGITS, *at = end;
    uint64_t rest = (uint64_t)number;
    assert(number >= 0);
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    call_bytes(call, at, (size_t)(end - at));
}

void call_print(struct script_call *call, struct batch *memory, const char *format, ...) {
    enum { MOST = 100 };
    char *word = batch_memory(memory, MOST);
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(word, MOST, format, arguments);
    va_end(arguments);
    assert(size >= 0 && size < MOST);
    call_bytes(call, word, (size_t)size);
}

void call_key(struct script_call *call, const struct script_state *state, const char *name,
              struct batch *memory) {
    call_print(call, memory, "{s%u}:%s", state->shard, name);
    call->keys++;
}

void call_lot_key(struct script_call *call, const struct script_state *state, const char *name,
                  int64_t lot, struct batch *memory) {
    call_print(call, memory, "{s%u}:%s:%lld", state->shard, name, (long long)lot);
    call->keys++;
}

uint32_t call_lot(struct script_call *call, int64_t lot) {
    uint32_t i = 0;
    while (i < call->lot_count && call->lots[i] != lot)
        i++;
    if (i == call->lot_count) call->lots[call->lot_count++] = lot;
    return i + 1;
}

bool script_number(struct text text, int64_t *number) {
    uint64_t sum = 0;
    if (text.size == 0 || text.size > 19) return false; /* 19 digits stay below 2^64. */
    for (uint32_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') return false;
        sum = sum * 10 + (uint64_t)(text.at[i] - '0');
    }
    if (sum > INT64_MAX) return false;
    *number = (int64_t)sum;
    return true;
}

bool script_cut(struct text *rest, char separator, struct text *part) {
    if (rest->size == 0) return false;
    const char *stop = memchr(rest->at, separator, rest->size);
    uint32_t size = stop != NULL ? (uint32_t)(stop - rest->at) : rest->size;
    uint32_t taken = stop != NULL ? size + 1 : size;
    *part = (struct text){ rest->at, size };
    *rest = (struct text){ rest->at + taken, rest->size - taken };
    return true;
}
