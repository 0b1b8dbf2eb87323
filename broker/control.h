/* What operators may see of the actors of this process, and do to them.
 *
 * Any thread, while there is a host (there is one per process); before and after it there are no
 * actors.  What is done is done by the thread that has the actor, at its next turn. */
#ifndef CONTROL_H
#define CONTROL_H

#include "actors/actor.h"

enum control_state {
    CONTROL_up,
    CONTROL_asleep,    /* Its shard is another node's, or nobody's. */
    CONTROL_restarting /* It crashed and waits for its time. */
};

struct control_actor {
    enum address address;
    uint8_t shard;
    uint32_t thread;
    enum control_state state;
    uint64_t depth;    /* Messages waiting, as of its last turn. */
    uint64_t restarts; /* After crashes and on request, since the process started. */
    uint64_t handled;  /* Messages, since the process started. */
};

/* "up", "asleep", "restarting"; static. */
const char *control_state_name(enum control_state state);

/* By address, then shard; at most `max`, returns how many there are. */
uint32_t control_actors(struct control_actor *rows, uint32_t max);

/* The actor's state is dropped and it starts anew; what waits in its mailbox is handled then.
 * False: there is no such actor here, or it is asleep. */
bool control_restart(enum address address, uint8_t shard);

#endif
