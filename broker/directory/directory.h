/* The two ends between nodes and the broker (actors/broker/): PORT_directory is a ROUTER at the
 * broker, PORT_member a DEALER in every node, also in the broker's own, where it hands its messages
 * over in the process and opens no socket.
 *
 * PORT_member says hello, beats once a second, applies the placement maps it is told (links first,
 * then routing) and answers questions about its process: actors, figures, restarts.  Without a
 * broker it goes on with its last map and tries to reach it, the connection by ZeroMQ's own
 * back-off. Several messages may travel in one frame (broker/frame.h): a map is one frame.
 *
 * The broker's own process is ready (broker/ready.h) when its map names whom operators' commands go
 * to: what exists once in the system.  A shard that is away is told by the commands about it. */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include <signal.h>

#include "broker/link.h"

/* This process as a node.  Filled by the command that starts the host. */
struct member_self {
    const struct config *config;
    char name[CURVE_NAME_SIZE];
    int64_t run;   /* Its start, ns. */
    uint16_t node; /* Its number. */
    bool own_lease;
    bool with_broker;                /* ACTOR_broker is in this process: no socket. */
    const struct host_place *places; /* What it hosts. */
    uint32_t place_count;
    struct link_mesh *mesh;      /* NULL: everything is in this process. */
    struct placement *placement; /* NULL likewise. */
};

/* node.name, or the host's name, made a name.  False: logged. */
bool member_name(const struct config *config, char name[CURVE_NAME_SIZE]);

/* Before host_open: what PORT_member speaks of; borrowed until host_close. */
void member_use(const struct member_self *self);

/* Asks the broker for a number, for as long as it takes; `stop` (may be NULL) are signals that are
 * blocked and end the wait.  0: it was ended, or refused; the reason has been logged. */
uint16_t member_join(const struct config *config, const char *name, int64_t run,
                     const sigset_t *stop);

/* A DEALER to broker.endpoint, with our keys, in this name, when that is tcp.  NULL: logged. */
void *member_connect(void *context, const struct config *config, const char *name);

extern const struct port_type directory_port, member_port;

#endif
