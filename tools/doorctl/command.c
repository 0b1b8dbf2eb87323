/* From words to a message, by the tables. */
#include <string.h>

#include "broker/clock.h"
#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

const struct door doors[] = {
#define DOOR(noun, verb, message, actor, preset, answers, doc, example)                            \
    { noun, verb, MSG_##message, preset, answers, doc, example },
#include "schema/doors.def"
#undef DOOR
    { NULL, NULL, MSG_started, NULL, ONE, NULL, NULL },
};

const struct door *door_find(int argc, char **argv, int *used) {
    for (const struct door *door = doors; door->noun; door++) {
        if (strcmp(argv[0], door->noun) != 0) continue;
        *used = door->verb[0] ? 2 : 1;
        if (*used == 1) return door;
        if (argc > 1 && strcmp(argv[1], door->verb) == 0) return door;
    }
    return NULL;
}

static bool is_preset(const struct door *door, const struct field *field) {
    size_t size = strlen(field->name);
    return strncmp(door->preset, field->name, size) == 0 && door->preset[size] == '=';
}

/* How it is written here. */
static const char *form_of(const struct field *field) {
    switch (field->kind) {
    case KIND_id: return "a number, as other commands show it";
    case KIND_time: return "2026-11-27T20:00:00Z, `now` or `+5m`";
    case KIND_span: return "`30s`, `15m`, `2h` or `7d`";
    case KIND_money: return "`1999CNY`, in minor units";
    default: return kind_doc(field->kind);
    }
}

static void print_flag(FILE *to, const struct field *field) {
    char name[WORD_MAX];
    size_t size = 0;
    for (const char *at = field->name; *at && size + 1 < sizeof name; at++)
        name[size++] = *at == '_' ? '-' : *at;
    name[size] = 0;
    fprintf(to, "  --%-16s", name);
}

bool door_list(FILE *to, const char *noun) {
    bool any = false;
    for (const struct door *door = doors; door->noun; door++) {
        char name[WORD_MAX];
        if (noun != NULL && strcmp(door->noun, noun) != 0) continue;
        snprintf(name, sizeof name, "%s %s", door->noun, door->verb);
        fprintf(to, "  %-16s  %s\n", name, door->doc);
        any = true;
    }
    return any;
}

void door_help(FILE *to, const struct door *door) {
    const struct message_type *type = message_type(door->message);
    fprintf(to, "%s %s: %s\n\nusage: doorctl %s%s%s", door->noun, door->verb, door->doc, door->noun,
            door->verb[0] ? " " : "", door->verb);
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->need == REQUIRED && !is_preset(door, field)) fprintf(to, " %s", field->name);
    }
    fputs("\n\n", to);
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->need == CONTEXT || is_preset(door, field)) continue;
        if (field->need == OPTIONAL)
            print_flag(to, field);
        else
            fprintf(to, "  %-18s", field->name);
        fprintf(to, "  %s (%s)\n", field->doc, form_of(field));
    }
    fprintf(to, "\nexample: %s\n", door->example);
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
    if (field->kind == KIND_time && (strcmp(word, "now") == 0 || word[0] == '+')) {
        if (word[0] == '+') seconds = span_seconds(word + 1);
        if (seconds >= 0) {
            field_set_number(field, body, clock_now() + seconds * 1000000000);
            return true;
        }
    }
    if (field->kind == KIND_span && (seconds = span_seconds(word)) >= 0) {
        snprintf(made, sizeof made, "%lld", (long long)seconds);
        word = made;
    }
    if (json_set(field, body, text_of(word), &fail)) return true;
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
    return field != NULL && field->need != CONTEXT ? field : NULL;
}

static bool fill_preset(const struct door *door, const struct message_type *type, void *body) {
    const char *equals = strchr(door->preset, '=');
    if (equals == NULL) return true;
    struct text name = { door->preset, (uint32_t)(equals - door->preset) };
    return set(field_named(type, name), equals + 1, body);
}

bool door_fill(const struct door *door, int argc, char **argv, void *body) {
    const struct message_type *type = message_type(door->message);
    const struct field *next = type->fields;
    struct json_fail fail;
    if (!fill_preset(door, type, body)) return false;
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
