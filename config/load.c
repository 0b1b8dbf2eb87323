/* From the sources to a complete struct config. */
#include "config/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE_PREFIX "DOORBUSTER_"

struct loading {
    struct config *config;
    struct config_error *error;
    const char *file;
};

/* Where a value came from, as the beginning of a sentence. */
struct place {
    char text[CONFIG_TEXT_SIZE + 32];
};

/* http.hold -> DOORBUSTER_HTTP_HOLD, or with a section only, DOORBUSTER_HTTP_ */
static void variable_name(const char *name, size_t size, char out[128]) {
    size_t at = (size_t)snprintf(out, 128, "%s", VARIABLE_PREFIX);
    for (size_t i = 0; i < size && at + 1 < 128; i++) {
        char c = name[i];
        out[at++] = (char)(c == '.' ? '_' : c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    out[at] = '\0';
}

static struct place place_of(const struct config *self, int number) {
    struct place place = { "" };
    char variable[128];
    switch (self->origin[number].from) {
    case CONFIG_default: (void)snprintf(place.text, sizeof place.text, "default: "); break;
    case CONFIG_file:
        (void)snprintf(place.text, sizeof place.text, "%s:%" PRIu32 ": ", self->file,
                       self->origin[number].line);
        break;
    case CONFIG_environment:
        variable_name(config_keys[number].name, strlen(config_keys[number].name), variable);
        (void)snprintf(place.text, sizeof place.text, "environment %s: ", variable);
        break;
    case CONFIG_set: (void)snprintf(place.text, sizeof place.text, "--set: "); break;
    }
    return place;
}

/* Sets one key.  The refusal does not repeat the value: it may be a secret in the wrong place. */
static bool set_key(struct config *self, int number, const char *text, enum config_source from,
                    uint32_t line, struct config_error *error) {
    char rule[256];
    const struct config_key *key = &config_keys[number];
    self->origin[number].from = from;
    self->origin[number].line = line;
    if (config_value_read(self, key, text, rule)) return true;
    return config_refuse(error, "%s%s: must be %s", place_of(self, number).text, key->name, rule);
}

static bool take_from_file(void *context, uint32_t line, const char *name, const char *value) {
    struct loading *loading = context;
    struct config *self = loading->config;
    int number = config_key_find(name);
    if (number < 0)
        return config_refuse(loading->error, "%s:%" PRIu32 ": %.200s: no such key", loading->file,
                             line, name);
    if (self->origin[number].from == CONFIG_file)
        return config_refuse(loading->error,
                             "%s:%" PRIu32 ": %s: given twice, first in line %" PRIu32,
                             loading->file, line, name, self->origin[number].line);
    return set_key(self, number, value, CONFIG_file, line, loading->error);
}

/* A variable that looks like one of ours must be one: a slip of the pen would go unseen.  Sections
 * that are not ours are left alone, for service managers set such variables by themselves. */
static bool check_variable(const char *entry, struct config_error *error) {
    size_t size = strcspn(entry, "=");
    char variable[128];
    bool ours = false;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *name = config_keys[i].name;
        variable_name(name, strlen(name), variable);
        if (strlen(variable) == size && memcmp(variable, entry, size) == 0) return true;
        variable_name(name, strcspn(name, ".") + 1, variable);
        ours |= strncmp(variable, entry, strlen(variable)) == 0;
    }
    if (!ours) return true;
    return config_refuse(error, "environment %.*s: no such key", (int)(size < 200 ? size : 200),
                         entry);
}

static bool take_environment(struct config *self, struct config_error *error) {
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        if (strncmp(*entry, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0 &&
            !check_variable(*entry, error))
            return false;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        char variable[128];
        variable_name(config_keys[i].name, strlen(config_keys[i].name), variable);
        const char *value = getenv(variable);
        if (value != NULL && !set_key(self, i, value, CONFIG_environment, 0, error)) return false;
    }
    return true;
}

static bool take_set(struct config *self, const char *set, struct config_error *error) {
    char name[128];
    size_t size = strcspn(set, "=");
    if (set[size] != '=') return config_refuse(error, "--set: must read section.name=value");
    (void)snprintf(name, sizeof name, "%.*s", (int)(size < 127 ? size : 127), set);
    int number = config_key_find(name);
    if (number < 0) return config_refuse(error, "--set: %s: no such key", name);
    return set_key(self, number, set + size + 1, CONFIG_set, 0, error);
}

static bool check_order(const struct config *self, int smaller, int greater, const char *why,
                        struct config_error *error) {
    const struct config_key *left = &config_keys[smaller];
    const struct config_key *right = &config_keys[greater];
    int64_t a;
    int64_t b;
    char text[2][32];
    memcpy(&a, (const char *)self + left->offset, sizeof a);
    memcpy(&b, (const char *)self + right->offset, sizeof b);
    if (a <= b) return true;
    int blamed = self->origin[greater].from > self->origin[smaller].from ? greater : smaller;
    return config_refuse(error, "%s%s (%s) must not be greater than %s (%s): %s",
                         place_of(self, blamed).text, left->name,
                         config_number_write(left->kind, a, text[0]), right->name,
                         config_number_write(right->kind, b, text[1]), why);
}

bool config_check_orders(const struct config *self, struct config_error *error) {
#define ORDERED(smaller, greater, why)                                                             \
    if (!check_order(self, CONFIG_KEY_##smaller, CONFIG_KEY_##greater, why, error)) return false;
#include "config/config.def"
    return true;
}

static bool check_list(const struct config *self, int number, const char *what,
                       struct config_error *error) {
    const char *text = (const char *)self + config_keys[number].offset;
    if (text[strspn(text, " ")] != '\0') return true;
    return config_refuse(error, "%s%s: must name %s", place_of(self, number).text,
                         config_keys[number].name, what);
}

static bool check_lists(const struct config *self, struct config_error *error) {
#define LISTED(member, what)                                                                       \
    if (!check_list(self, CONFIG_KEY_##member, what, error)) return false;
#include "config/config.def"
    return true;
}

void config_defaults(struct config *self) {
    struct config_error error;
    memset(self, 0, sizeof *self);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        bool good = set_key(self, i, config_keys[i].standard, CONFIG_default, 0, &error);
        assert(good); /* Else the row of config.def contradicts itself. */
    }
}

bool config_load(struct config *self, const char *file, const char *const *sets, size_t sets_count,
                 struct config_error *error) {
    config_defaults(self);
    error->text[0] = '\0';
    if (file != NULL) {
        struct loading loading = { self, error, file };
        if (strlen(file) >= sizeof self->file)
            return config_refuse(error, "--config: the name of the file is too long");
        memcpy(self->file, file, strlen(file) + 1);
        if (!config_zpl_read(file, take_from_file, &loading, error)) return false;
    }
    if (!take_environment(self, error)) return false;
    for (size_t i = 0; i < sets_count; i++)
        if (!take_set(self, sets[i], error)) return false;
    return config_check_orders(self, error) && check_lists(self, error);
}
