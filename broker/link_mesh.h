/* What link.c and link_mesh.c share and nobody else includes: the sockets and what they need. */
#ifndef LINK_MESH_H
#define LINK_MESH_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/link.h"
#include "broker/metrics.h"
#include "broker/zap.h"

struct link_mesh {
    const struct config *config;
    char name[CURVE_NAME_SIZE];
    uint16_t node;
    uint32_t protocol_min, protocol_max;
    void *zmq;
    struct zap *zap;    /* NULL without CURVE. */
    bool named;         /* Frames come with the name of their sender's key: CURVE, on tcp. */
    struct curve curve; /* Empty without. */
    char endpoints[LINK_ENDPOINTS_SIZE];
    atomic_uint version; /* Of peers; grows. */
    pthread_mutex_t lock;
    struct link_peers peers;
    struct metric_counter *sent, *received, *full, *gone, *gap, *dropped;
    struct metric_counter *stale, *version_refused, *malformed, *skipped, *impostor;
};

/* The PULL socket of a thread, bound; its endpoint is added to the mesh's.  NULL: logged. */
void *link_mesh_bind(struct link_mesh *self, uint32_t thread);
/* A PUSH socket, connecting to a thread of this node; NULL when it has no such endpoint. */
void *link_mesh_connect(struct link_mesh *self, const struct link_peer *peer, uint32_t thread);

#endif
