/* The directory: which nodes live, what each of them can serve, and who serves what - a numbered
 * placement map that all nodes are told.
 *
 * Nodes say hello, get a number (a worker lease in PostgreSQL), then beat once a second; who is
 * silent for BROKER_LIVENESS has gone.  Each shard (its inventory, order and timer together) and
 * each actor that exists once belongs to the node that had it first; when that node goes, the able
 * node with the least gets it.  A second instance sleeps, and is reported as spare.  Nothing is
 * lost when the broker is: nodes go on with their last map.  One that starts listens for
 * BROKER_LIVENESS to who has what, and to the highest number of a map, before it publishes one of
 * its own. */
#ifndef BROKER_H
#define BROKER_H

#include "actors/broker/hosts.h"
#include "schema/id.h"

enum { BROKER_NODES_MAX = 128, BROKER_QUERIES_MAX = 16, BROKER_NAME_SIZE = 65 };
enum { BROKER_HOSTS_SIZE = 8192, BROKER_ENDPOINTS_SIZE = 1024, BROKER_NOBODY = 0xffff };
#define BROKER_SECOND    INT64_C(1000000000)
#define BROKER_LIVENESS  (3 * BROKER_SECOND)
#define BROKER_LEASE     (3600 * BROKER_SECOND)
#define BROKER_RENEW     (600 * BROKER_SECOND)
#define BROKER_QUERY_MAX (5 * BROKER_SECOND)

struct broker_node {
    bool used;
    bool settled; /* It has its number and has said what it hosts: it is on the map. */
    bool own_lease, leasing;
    char name[BROKER_NAME_SIZE];
    int64_t run;
    uint16_t number;  /* 0 = none yet. */
    enum address via; /* PORT_directory, or PORT_member when it is our own process. */
    uint64_t peer;    /* Its connection there. */
    uint32_t protocol_min, protocol_max;
    char hosts[BROKER_HOSTS_SIZE], endpoints[BROKER_ENDPOINTS_SIZE], key[41];
    uint32_t hosts_size, endpoints_size;
    uint64_t able_shards;     /* Those whose inventory, order and timer it hosts. */
    uint32_t able_actors;     /* A bit for each address that exists once. */
    uint64_t reported_shards; /* What the last map told it, for the broker that has started. */
    uint32_t reported_actors;
    uint64_t spare_shards; /* Reported as spare already. */
    uint32_t spare_actors;
    int64_t seen_at, next_renewal;
    int64_t placement;
};

/* A question that is asked to the members of several nodes, or of one. */
struct broker_query {
    bool used, one; /* One answer, or rows. */
    uint32_t generation;
    struct head asker;
    uint16_t what; /* Message number. */
    uint32_t waiting, rows;
    int64_t until;
};

struct broker {
    uint32_t shards;
    int64_t publish_from;             /* Before it we listen. 0 = not started. */
    int64_t number;                   /* Of the map. */
    bool changed;                     /* The map must be published. */
    uint16_t shard_owner[SHARDS_MAX]; /* Index of the node, or BROKER_NOBODY. */
    uint16_t actor_owner[ADDRESS_COUNT];
    struct broker_node nodes[BROKER_NODES_MAX];
    struct broker_query queries[BROKER_QUERIES_MAX];
};

/* Exists once in the system, and may be placed: session, catalogue, payment, notifier. */
bool broker_places(enum address address);

struct broker_node *broker_by_name(struct broker *self, struct text name);
void broker_event(struct outbox *out, const char *event, const struct broker_node *node,
                  struct text detail);

/* place.c */
/* Gives what nobody has to whom it fits; marks the map as changed when it is. */
void broker_place(struct broker *self, struct outbox *out);
/* The node has gone: what it had is nobody's. */
void broker_disown(struct broker *self, uint16_t index);
/* The map to one node, or to all (peer 0). */
void broker_tell(struct broker *self, enum address via, uint64_t peer, struct outbox *out);
void broker_publish(struct broker *self, struct outbox *out);

/* nodes.c */
void broker_on_hello(struct broker *self, const struct message *in, int64_t now,
                     struct outbox *out);
void broker_on_beat(struct broker *self, const struct message *in, int64_t now, struct outbox *out);
void broker_on_bye(struct broker *self, const struct message *in, struct outbox *out);
void broker_on_leased(struct broker *self, const struct message *in, int64_t now,
                      struct outbox *out);
void broker_on_lease_failed(struct broker *self, const struct message *in);
void broker_look_after(struct broker *self, int64_t now, struct outbox *out);

/* operator.c */
void broker_on_node_list(struct broker *self, const struct message *in, int64_t now,
                         struct outbox *out);
void broker_on_shard_list(struct broker *self, const struct message *in, struct outbox *out);
void broker_on_shard_move(struct broker *self, const struct message *in, struct outbox *out);
void broker_on_shard_rebuild(struct broker *self, const struct message *in, struct outbox *out);
void broker_on_question(struct broker *self, const struct message *in, int64_t now,
                        struct outbox *out);
/* From a member: a row or the end of an answer. */
void broker_on_answer(struct broker *self, const struct message *in, struct outbox *out);
void broker_end_queries(struct broker *self, int64_t now, struct outbox *out);

#endif
