/* map_node rows and node_map become what links and routing read. */
#include "broker/directory/member.h"

#include <string.h>

#include "actors/broker/hosts.h"
#include "broker/log.h"

static void copy_text(char *to, size_t size, struct text from) {
    size_t length = from.size < size ? from.size : size - 1;
    if (length > 0) memcpy(to, from.at, length);
    to[length] = 0;
}

/* The threads of what exists once or per shard, by node: needed when the seats come. */
static void take_hosts(struct member_map *self, const struct map_node *row) {
    struct hosted rows[HOSTED_MAX];
    int32_t count = hosts_read(row->hosts, rows);
    struct placement_node *node = placement_map_node(&self->next, (uint16_t)row->node);
    if (node == NULL) return;
    for (int32_t i = 0; i < count; i++) {
        if (address_is_by_node((enum address)rows[i].address))
            node->thread[rows[i].address] = rows[i].thread;
    }
}

void member_map_node(struct member_map *self, const struct map_node *row) {
    if (self->next_peers.count == LINK_PEERS_MAX) return;
    struct link_peer *peer = &self->next_peers.rows[self->next_peers.count++];
    *peer = (struct link_peer){ .node = (uint16_t)row->node,
                                .protocol_min = row->protocol_min,
                                .protocol_max = row->protocol_max };
    copy_text(peer->name, sizeof peer->name, row->name);
    copy_text(peer->key, sizeof peer->key, row->key);
    copy_text(peer->endpoints, sizeof peer->endpoints, row->endpoints);
    take_hosts(self, row);
}

static void take_seats(struct member_map *self, struct text seats, uint16_t self_node) {
    struct hosted rows[HOSTED_MAX];
    int32_t count = hosts_read(seats, rows);
    self->owned_shards = 0;
    self->owned_actors = 0;
    for (int32_t i = 0; i < count; i++) {
        enum address address = (enum address)rows[i].address;
        placement_map_put(&self->next, address, rows[i].shard, rows[i].node, rows[i].thread);
        if (rows[i].node != self_node) continue;
        if (address == ACTOR_order) self->owned_shards |= UINT64_C(1) << rows[i].shard;
        if (!address_is_sharded(address)) self->owned_actors |= UINT32_C(1) << rows[i].address;
    }
}

bool member_map_end(struct member_map *self, const struct node_map *map, uint16_t self_node) {
    bool whole = self->next_peers.count == map->nodes;
    bool news = whole && map->number > self->number;
    if (news) {
        take_seats(self, map->seats, self_node);
        self->number = map->number;
        self->next.number = (uint64_t)map->number;
        self->next.self = self_node;
        self->peers = self->next_peers;
        self->placement = self->next;
    }
    self->next_peers.count = 0;
    memset(&self->next, 0, sizeof self->next);
    return news;
}

void member_map_clear(struct member_map *self, uint16_t self_node) {
    self->owned_shards = 0;
    self->owned_actors = 0;
    self->peers.count = 0;
    memset(&self->placement, 0, sizeof self->placement);
    self->placement.self = self_node;
}
