/* Settings and keys that changed while the process runs, on their way to its threads.
 *
 * One thread publishes, each thread of the host takes over at a moment when no handler runs.  Until
 * then it works with what it had: nothing is shared while it is in use.  Thread safe. */
#ifndef BROKER_NEWS_H
#define BROKER_NEWS_H

#include <stdbool.h>

#include "actors/actor.h"
#include "config/config.h"

struct news {
    struct config config;
    struct actor_setup actor; /* keys is not set; seed, shard, worker and node are the host's. */
    struct seal_keys keys;
};

/* Copies it.  What was published before and not taken by some thread yet is replaced. */
void news_publish(const struct news *news);

/* Calls `take` when there is something newer than `*seen`, and moves `*seen` on; `*seen` starts as
 * 0.  Cheap when there is nothing.  The publisher waits meanwhile: take copies, or is quick. */
bool news_take(uint64_t *seen, void (*take)(void *context, const struct news *news), void *context);

#endif
