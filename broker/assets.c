#include "broker/assets.h"

#include <string.h>

const struct asset *asset_find(const char *name) {
    for (size_t i = 0; i < assets_count; i++) {
        if (strcmp(assets[i].name, name) == 0) return &assets[i];
    }
    return NULL;
}

const struct asset *asset_find_prefix(const char *prefix, size_t *count) {
    const struct asset *first = NULL;
    size_t length = strlen(prefix);

    *count = 0;
    for (size_t i = 0; i < assets_count; i++) {
        if (strncmp(assets[i].name, prefix, length) != 0) continue;
        if (first == NULL) first = &assets[i];
        ++*count;
    }
    return first;
}
