/* From words to a message, by the tables. */
#include <string.h>

#include "broker/clock.h"
#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

const struct door_command *door_find(int argc, char **argv, int *used) {
    for (const struct door_command *door = door_commands; door->noun; door++) {
        if (strcmp(argv[0], door->noun) != 0) continue;
        *used = door->verb[0] ? 2 : 1;
        if (*used == 1) return door;
        if (argc > 1 && strcmp(argv[1], door->verb) == 0) return door;
    }
    return NULL;
}

static bool is_preset(const struct door_command *door, const struct field *field) {
    struct text value;
    return door_preset(door, &value) == field;
}

bool door_is_word(const struct door_command *door, const struct field *field) {
    return field->need == REQUIRED && !is_preset(door, field);
}

bool door_is_option(const struct door_command *door, const struct field *field) {
    return field->need == OPTIONAL && field->kind != KIND_secret && !is_preset(door, field);
}

void door_flag(const struct field *field, char flag[WORD_MAX]) {
    size_t size = (size_t)snprintf(flag, WORD_MAX, "--%s", field->name);
    for (size_t i = 0; i < size && i < WORD_MAX; i++) {
        if (flag[i] == '_') flag[i] = '-';
    }
}

/* 30s, 15m, 2h, 7d in seconds; -1: it is something else. */
static int64_t span_seconds(const char *word) {
    int64_t value = 0;
    const char *at = word;
    while (*at >= '0' && *at <= '9' && value < 100000000)
        value = value * 10 + (*at++ - '0');
    if (at == word || at[0] == 0 || at[1] != 0) return -1;
    switch (at[0]) {
    case 's': return value;
    case 'm': return value * 60;
    case 'h': return value * 3600;
    case 'd': return value * 86400;
    default: return -1;
    }
}

static bool set(const struct field *field, const char *word, void *body) {
    struct json_fail fail;
    char made[64];
    int64_t seconds = 0;
    if (field->kind == KIND_time && (strcmp(word, "now") == 0 || strchr("+-", word[0]) != NULL)) {
        if (word[0] != 'n') seconds = span_seconds(word + 1);
        if (seconds >= 0) {
            if (word[0] == '-') seconds = -seconds;
            field_set_number(field, body, clock_now() + seconds * 1000000000);
            return true;
        }
    }
    if (field->kind == KIND_span && (seconds = span_seconds(word)) >= 0) {
        snprintf(made, sizeof made, "%lld", (long long)seconds);
        word = made;
    }
    if (json_set(field, body, text_of(word), &fail)) return true;
    /* JSON says how JSON writes them. */
    bool other = field->kind == KIND_id || field->kind == KIND_time || field->kind == KIND_span;
    if (other)
        fprintf(stderr, "doorctl: %s must be %s\n", field->name, door_form(field));
    else
        fprintf(stderr, "doorctl: %s\n", fail.detail);
    return false;
}

/* --per-buyer-limit is per_buyer_limit. */
static const struct field *field_of_flag(const struct message_type *type, const char *flag) {
    char name[WORD_MAX];
    size_t size = strlen(flag);
    if (size >= sizeof name) return NULL;
    for (size_t i = 0; i <= size; i++)
        name[i] = flag[i] == '-' ? '_' : flag[i];
    const struct field *field = field_named(type, text_of(name));
    return field != NULL && field->need != CONTEXT && field->kind != KIND_secret ? field : NULL;
}

static bool fill_preset(const struct door_command *door, void *body) {
    struct text value;
    const struct field *field = door_preset(door, &value);
    return field == NULL || set(field, value.at, body);
}

bool door_fill(const struct door_command *door, int argc, char **argv, void *body) {
    const struct message_type *type = message_type(door->message);
    const struct field *next = type->fields;
    struct json_fail fail;
    if (!fill_preset(door, body)) return false;
    for (int i = 0; i < argc; i++) {
        const struct field *field = NULL;
        if (strncmp(argv[i], "--", 2) == 0) {
            field = field_of_flag(type, argv[i] + 2);
            if (field == NULL || i + 1 == argc) {
                fprintf(stderr, "doorctl: %s %s\n", argv[i],
                        field == NULL ? "is not an option of this command" : "needs a value");
                return false;
            }
            i++;
        } else {
            while (next->name && (next->need != REQUIRED || is_preset(door, next)))
                next++;
            if (next->name == NULL) {
                fprintf(stderr, "doorctl: `%s` is one word too many\n", argv[i]);
                return false;
            }
            field = next++;
        }
        if (!set(field, argv[i], body)) return false;
    }
    if (json_check(type, body, &fail)) return true;
    fprintf(stderr, "doorctl: %s\n", fail.detail);
    return false;
}
