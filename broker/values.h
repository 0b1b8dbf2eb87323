/* What actors need of the settings, as plain values: the one place where they are put together, for
 * the server and for whoever else runs its actors. */
#ifndef VALUES_H
#define VALUES_H

#include "actors/actor.h"
#include "config/config.h"

/* `keys` is borrowed, may be NULL; `worker` also gives the node's number, one above it. */
struct actor_setup actor_values(const struct config *config, const struct seal_keys *keys,
                                uint32_t worker);

#endif
