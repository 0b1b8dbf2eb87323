/* From the settings of a running process to those of its sources as they are now. */
#include "config/internal.h"

#include <string.h>

static size_t member_size(enum config_kind kind) {
    if (kind == CONFIG_KIND_boolean) return sizeof(bool);
    bool number =
        kind == CONFIG_KIND_integer || kind == CONFIG_KIND_duration || kind == CONFIG_KIND_size;
    return number ? sizeof(int64_t) : CONFIG_TEXT_SIZE;
}

static bool differs(const struct config *a, const struct config *b, const struct config_key *key) {
    const char *left = (const char *)a + key->offset, *right = (const char *)b + key->offset;
    size_t size = member_size(key->kind);
    /* Behind the end of a text anything may stand. */
    return size == CONFIG_TEXT_SIZE ? strcmp(left, right) != 0 : memcmp(left, right, size) != 0;
}

static void take(struct config *self, const struct config *wanted, int number) {
    const struct config_key *key = &config_keys[number];
    memcpy((char *)self + key->offset, (const char *)wanted + key->offset, member_size(key->kind));
    self->origin[number] = wanted->origin[number];
}

static void tell_one(const struct config *before, const struct config *wanted, int number,
                     config_tell *tell, void *context) {
    char texts[2][CONFIG_TEXT_SIZE];
    const struct config_key *key = &config_keys[number];
    config_value_write(before, key, texts[0]);
    config_value_write(wanted, key, texts[1]);
    tell(context,
         &(struct config_change){ key->name, texts[0], texts[1], config_key_reloaded(number) });
}

bool config_reload(struct config *self, const struct config *wanted, config_tell *tell,
                   void *context, struct config_error *error) {
    struct config merged = *self;
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (config_key_reloaded(i)) take(&merged, wanted, i);
    memcpy(merged.file, wanted->file, sizeof merged.file);
    if (!config_check_orders(&merged, error)) return false;
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (differs(self, wanted, &config_keys[i])) tell_one(self, wanted, i, tell, context);
    *self = merged;
    return true;
}
