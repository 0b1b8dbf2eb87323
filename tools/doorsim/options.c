#include "tools/doorsim/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool options_number(const char *text, int64_t lo, int64_t hi, int64_t *number) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < lo || value > hi) return false;
    *number = value;
    return true;
}

static void help(const char *program, const struct option *options, const char *purpose) {
    printf("doorsim %s: %s\n", program, purpose);
    for (const struct option *option = options; option->name != NULL; option++) {
        static const char *const values[] = { " TEXT", " N", "", " TEXT…" };
        printf("  --%s%s%s\n      %s\n", option->name, values[option->kind],
               option->required ? "  (required)" : "", option->doc);
    }
}

static const struct option *find(const struct option *options, const char *name, size_t length) {
    for (const struct option *option = options; option->name != NULL; option++) {
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

static bool store(const char *program, const struct option *option, const char *value) {
    struct option_list *list = option->to;
    switch (option->kind) {
    case OPTION_flag: *(bool *)option->to = true; return true;
    case OPTION_text: *(const char **)option->to = value; return true;
    case OPTION_number:
        if (options_number(value, option->lo, option->hi, option->to)) return true;
        fprintf(stderr,
                "doorsim %s: --%s must be a number from %" PRId64 " to %" PRId64 ", not \"%s\"\n",
                program, option->name, option->lo, option->hi, value);
        return false;
    case OPTION_list:
        if (list->count < OPTION_LIST_MAX) {
            list->items[list->count++] = value;
            return true;
        }
        fprintf(stderr, "doorsim %s: --%s may be given at most %d times\n", program, option->name,
                OPTION_LIST_MAX);
        return false;
    }
    return false;
}

/* One option with its value from argv[*at] on.  NULL, with a sentence on stderr, when it is wrong.
 */
static const struct option *take(const struct option *options, int argc, char **argv, int *at) {
    const char *program = argv[0];
    const char *word = argv[*at];
    const char *name = strncmp(word, "--", 2) == 0 ? word + 2 : "";
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option *option = find(options, name, length);
    if (option == NULL) {
        fprintf(stderr, "doorsim %s: unknown option %s (see --help)\n", program, word);
        return NULL;
    }
    bool flag = option->kind == OPTION_flag;
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (!flag && value == NULL && *at + 1 < argc) value = argv[++*at];
    if (flag == (value == NULL)) return store(program, option, value) ? option : NULL;
    fprintf(stderr, "doorsim %s: --%s %s a value\n", program, option->name,
            flag ? "takes no" : "needs");
    return NULL;
}

enum options_result options_read(int argc, char **argv, const struct option *options,
                                 const char *purpose) {
    uint64_t given = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help(argv[0], options, purpose);
            return OPTIONS_help;
        }
        const struct option *option = take(options, argc, argv, &i);
        if (option == NULL) return OPTIONS_wrong;
        given |= UINT64_C(1) << (option - options);
    }
    for (const struct option *option = options; option->name != NULL; option++) {
        if (!option->required || (given >> (option - options) & 1) != 0) continue;
        fprintf(stderr, "doorsim %s: --%s is required (see --help)\n", argv[0], option->name);
        return OPTIONS_wrong;
    }
    return OPTIONS_run;
}
