/* Pipelines between nodes: what stands behind broker/links.h when there are several processes.
 *
 * Each thread of a node binds one PULL socket (ipc or tcp) and connects one PUSH socket to each
 * thread of another node that it has something for.  Everything sent to one thread of one node is a
 * stream of numbered messages.  Frames carry a fixed header (link_head.h) and messages one behind
 * the other, as between threads (broker/frame.h).
 *
 * Credit.  A receiver grants a window of N messages (link.credit) per stream; at most N are under
 * way, not yet acknowledged.  Every frame acknowledges what came the other way, up to the highest
 * number; a turn that receives and sends nothing back sends an empty frame.  The sockets'
 * high-water marks lie above N, so they are never what loses a message.  Once a second every stream
 * is probed by an empty frame: what a broken connection swallowed is noticed by its number, counted
 * (link_gap_total) and no longer counts as under way.
 *
 * A node that is on the map and silent for LINK_LIVENESS takes no requests until it is heard again;
 * what must go is kept for it, up to link.keep_max bytes.  A node off the map is gone: what was
 * kept is lost with it and counted.  A frame for another node number than ours is for an earlier
 * process on this endpoint: dropped, counted.  Both sides of a link name the protocols they speak;
 * the highest common one is used, and a frame without one in common is refused and counted.
 *
 * A deadline is a time of its sender's clock.  From protocol 2 on a frame tells what that clock
 * said when it left, and the receiver moves deadlines to its own: clocks that differ refuse nobody.
 * What the frame spends on the way is given to the deadline in addition.
 *
 * With CURVE a frame counts only when the key of its connection is the one of the node it says it
 * is from: the allow-list gives the key a name, the map gives the number a name.  Others are
 * refused, counted (link_impostor_total) and logged. */
#ifndef LINK_H
#define LINK_H

#include "broker/curve.h"
#include "broker/host.h"
#include "schema/protocol.h"

enum {
    LINK_ENDPOINT_SIZE = 128,
    LINK_ENDPOINTS_SIZE = 1024,
    LINK_PEERS_MAX = PLACEMENT_NODES_MAX,
    LINK_LIVENESS_MS = 3000,
    LINK_PROBE_MS = 1000
};

/* A node as others reach it. */
struct link_peer {
    uint16_t node;
    uint32_t protocol_min, protocol_max;
    char name[CURVE_NAME_SIZE];
    char key[CURVE_KEY_SIZE];            /* Its public key; empty without CURVE. */
    char endpoints[LINK_ENDPOINTS_SIZE]; /* One per thread, separated by blanks. */
};

struct link_peers {
    uint32_t count;
    struct link_peer rows[LINK_PEERS_MAX];
};

/* What all threads' links share: made before host_open, ended after host_close. */
struct link_mesh;

struct link_setup {
    const struct config *config; /* node.listen, link.*, curve.*; outlives the mesh. */
    const char *name;            /* Of this node. */
    uint16_t node;
    uint32_t protocol_min, protocol_max; /* 0 = what this program speaks. */
};

/* NULL: keys could not be read, or tcp without CURVE where that is not allowed; the reason has been
 * logged.  Registers metrics. */
struct link_mesh *link_mesh_open(const struct link_setup *setup);
void link_mesh_close(struct link_mesh *self);

/* Who the nodes are from now on, this one included: before the placement map that names them is
 * published.  Any thread. */
void link_mesh_peers(struct link_mesh *self, const struct link_peers *peers);

/* The endpoints of the threads opened so far, separated by blanks; complete after host_open. */
const char *link_mesh_endpoints(const struct link_mesh *self);

/* Our public key; "" without CURVE. */
const char *link_mesh_key(const struct link_mesh *self);

/* The context is the mesh. */
extern const struct links_type link_links;

#endif
