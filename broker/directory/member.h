/* Parts of PORT_member: the map that is being told, and answers about this process. */
#ifndef MEMBER_H
#define MEMBER_H

#include "broker/link.h"

/* The newest complete map and the nodes of the next one. */
struct member_map {
    int64_t number;
    uint64_t owned_shards; /* What it places here. */
    uint32_t owned_actors;
    struct link_peers peers;
    struct placement_map placement;
    struct link_peers next_peers; /* As far as they have come. */
    struct placement_map next;
};

void member_map_node(struct member_map *self, const struct map_node *row);
/* The end of a map: true when it is complete and not older than the one we have; it is the newest
 * now.  False: nothing has changed; whoever sent it sends it again. */
bool member_map_end(struct member_map *self, const struct node_map *map, uint16_t self_node);
/* Nobody and nothing: everything here goes to sleep. */
void member_map_clear(struct member_map *self, uint16_t self_node);

/* actor_list, actor_restart, node_status about this process, to whoever asked. */
void member_answer(const struct message *in, const char *name, struct outbox *out);

#endif
