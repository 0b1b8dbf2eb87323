/* What actors tell the host about themselves, as gauges: they are pure and know no registry. */
#ifndef BROKER_FIGURES_H
#define BROKER_FIGURES_H

#include "actors/actor.h"

/* Registers the gauges of an actor that tells figures; before metrics_seal. */
void figures_open(enum address address, uint32_t shard);

/* Takes a message to nobody when it holds figures; false when it does not.  Any thread. */
bool figures_take(const struct message *message);

/* The shard sleeps here from now on: what was told of it is void. */
void figures_forget(uint32_t shard);

#endif
