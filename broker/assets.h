/* The files that travel inside the program: SQL, Lua, the OpenAPI document.
 * Names are paths below the project's root ("schema/sql/0001_init.sql", "broker/redis/reserve.lua",
 * "docs/openapi.json"), in the order of strcmp().  tools/embed makes the table when the program is
 * built; nothing is read from disk when it runs.
 *
 * Invariant: data[size] is 0, so that text can be used as a C string. */
#ifndef DOORBUSTER_BROKER_ASSETS_H
#define DOORBUSTER_BROKER_ASSETS_H

#include <stddef.h>

struct asset {
    const char *name;
    const unsigned char *data;
    size_t size; /* Bytes, without the zero behind them. */
};

/* All assets; after the last stands one whose name is NULL. */
extern const struct asset assets[];
extern const size_t assets_count;

/* The asset of that name, or NULL. */
const struct asset *asset_find(const char *name);

/* The first asset whose name begins with the prefix ("schema/sql/"), or NULL; those that share the
 * prefix follow it directly.  *count, which may not be NULL, is set to how many there are. */
const struct asset *asset_find_prefix(const char *prefix, size_t *count);

#endif
