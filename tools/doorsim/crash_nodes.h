/* The system of a stage in three processes - broker, core with everything but shoppers, edge -
 * joined by ipc.  Each is started again when it dies, as an init system would do it.  One at a
 * time. */
#ifndef DOORSIM_CRASH_NODES_H
#define DOORSIM_CRASH_NODES_H

#include "tools/doorsim/stage.h"

enum crash_node_name { CRASH_NODE_broker, CRASH_NODE_core, CRASH_NODE_edge, CRASH_NODES };

struct crash_node {
    pid_t pid;
    unsigned deaths;        /* Ends of the process, of whatever kind. */
    int last_status;        /* waitpid's, of the one that ended last. */
    char crash[64];         /* CRASH_POINT of its next start, once. */
    char count[STAGE_PATH]; /* CRASH_COUNT of its starts, or empty. */
};

struct crash_nodes {
    struct stage *stage;
    bool wanted; /* Start again who has died. */
    struct crash_node rows[CRASH_NODES];
};

/* "broker"; static. */
const char *crash_node_word(unsigned node);

/* Starts all; from now on the stage's waits look after them, too. */
void crash_nodes_start(struct crash_nodes *self, struct stage *stage);
/* SIGTERM, edge first, broker last; true when each ended with 0 in time.  Whoever does not is
 * killed. */
bool crash_nodes_stop(struct crash_nodes *self, int64_t limit_ns);

#endif
