/* config.def as a table. */
#include "config/internal.h"

#include <string.h>

/* clang-format off: a row per macro. */
#define MEMBER(member) offsetof(struct config, member)
#define KEY(member, name, kind, standard, lo, hi, sentence)                                        \
    { name, CONFIG_KIND_##kind, MEMBER(member), standard, lo, hi, NULL, sentence },
#define CHOICE(member, name, standard, words, sentence)                                            \
    { name, CONFIG_KIND_choice, MEMBER(member), standard, "", "", words, sentence },
const struct config_key config_keys[] = {
#include "config/config.def"
};
/* clang-format on */

_Static_assert(sizeof config_keys / sizeof *config_keys == CONFIG_KEYS, "a row per key");

int config_key_find(const char *name) {
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(config_keys[i].name, name) == 0) return i;
    return -1;
}

bool config_key_reloaded(int number) {
    static const bool reloaded[CONFIG_KEYS] = {
#define RELOADED(member) [CONFIG_KEY_##member] = true,
#include "config/config.def"
    };
    return reloaded[number];
}
