/* (a node came or went) -> map_node rows, node_map: who serves what */
#include <string.h>

#include "actors/broker/broker.h"

static uint32_t bits(uint64_t set) {
    return (uint32_t)__builtin_popcountll(set);
}

static uint64_t owned_shards(const struct broker *self, uint32_t index) {
    uint64_t owned = 0;
    for (uint32_t shard = 0; shard < self->shards; shard++)
        if (self->shard_owner[shard] == index) owned |= UINT64_C(1) << shard;
    return owned;
}

static uint32_t owned_actors(const struct broker *self, uint32_t index) {
    uint32_t owned = 0;
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++)
        if (self->actor_owner[address] == index) owned |= UINT32_C(1) << address;
    return owned;
}

/* The able node with the least to do; among equals the one that started first, so that the choice
 * does not depend on the order of hellos. */
static uint16_t choose(const struct broker *self, bool shard, uint32_t which) {
    uint16_t best = BROKER_NOBODY;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < BROKER_NODES_MAX; i++) {
        const struct broker_node *node = &self->nodes[i];
        bool able =
            shard ? (node->able_shards >> which & 1) != 0 : (node->able_actors >> which & 1) != 0;
        if (!node->used || !node->settled || !able) continue;
        uint32_t load = shard ? bits(owned_shards(self, i)) : bits(owned_actors(self, i));
        bool earlier = best != BROKER_NOBODY && load == least && node->run < self->nodes[best].run;
        if (load > least || (load == least && !earlier && best != BROKER_NOBODY)) continue;
        best = (uint16_t)i;
        least = load;
    }
    return best;
}

static void report_spares(struct broker *self, struct outbox *out) {
    for (uint32_t i = 0; i < BROKER_NODES_MAX; i++) {
        struct broker_node *node = &self->nodes[i];
        char text[200];
        if (!node->used || !node->settled || outbox_room(out) < 300) continue;
        uint64_t shards = node->able_shards & ~owned_shards(self, i);
        uint32_t actors = node->able_actors & ~owned_actors(self, i);
        if ((shards & ~node->spare_shards) != 0) {
            hosts_ranges(shards, text);
            broker_event(out, "spare", node, outbox_printf(out, "shards %s", text));
        }
        for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
            if (((actors & ~node->spare_actors) >> address & 1) == 0) continue;
            broker_event(out, "spare", node, text_of(address_name((enum address)address)));
        }
        node->spare_shards = shards;
        node->spare_actors = actors;
    }
}

void broker_place(struct broker *self, struct outbox *out) {
    for (uint32_t shard = 0; shard < self->shards; shard++) {
        if (self->shard_owner[shard] != BROKER_NOBODY) continue;
        self->shard_owner[shard] = choose(self, true, shard);
        if (self->shard_owner[shard] != BROKER_NOBODY) self->changed = true;
    }
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        if (!broker_places((enum address)address) || self->actor_owner[address] != BROKER_NOBODY)
            continue;
        self->actor_owner[address] = choose(self, false, address);
        if (self->actor_owner[address] != BROKER_NOBODY) self->changed = true;
    }
    report_spares(self, out);
}

void broker_disown(struct broker *self, uint16_t index) {
    for (uint32_t shard = 0; shard < SHARDS_MAX; shard++)
        if (self->shard_owner[shard] == index) self->shard_owner[shard] = BROKER_NOBODY;
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++)
        if (self->actor_owner[address] == index) self->actor_owner[address] = BROKER_NOBODY;
    self->changed = true;
}

/* ---- The map as messages ---- */

static void *to_peer(struct outbox *out, enum address via, uint64_t peer, enum message_id id) {
    return outbox_ask(out, via, id, NOBODY, peer, 0);
}

static void tell_node(const struct broker_node *node, enum address via, uint64_t peer,
                      struct outbox *out) {
    struct map_node *row = to_peer(out, via, peer, MSG_map_node);
    row->node = node->number;
    row->name = text_of(node->name);
    row->protocol_min = node->protocol_min;
    row->protocol_max = node->protocol_max;
    row->hosts = (struct text){ node->hosts, node->hosts_size };
    row->endpoints = (struct text){ node->endpoints, node->endpoints_size };
    row->key = text_of(node->key);
}

static bool owns(const struct broker *self, uint16_t index, const struct hosted *row) {
    enum address address = (enum address)row->address;
    if (broker_places(address)) return self->actor_owner[address] == index;
    return !address_is_port(address) && address_is_sharded(address) &&
           self->shard_owner[row->shard] == index;
}

static uint32_t write_seats(const struct broker *self, char *to, uint32_t capacity) {
    struct hosted rows[HOSTED_MAX];
    uint32_t used = 0;
    for (uint16_t i = 0; i < BROKER_NODES_MAX; i++) {
        const struct broker_node *node = &self->nodes[i];
        if (!node->used || !node->settled) continue;
        int32_t count = hosts_read((struct text){ node->hosts, node->hosts_size }, rows);
        for (int32_t k = 0; k < count; k++) {
            if (!owns(self, i, &rows[k])) continue;
            rows[k].node = node->number;
            used = hosts_write(to, used, capacity, &rows[k]);
        }
    }
    return used;
}

void broker_tell(struct broker *self, enum address via, uint64_t peer, struct outbox *out) {
    enum { SEATS_SIZE = 8192 };
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < BROKER_NODES_MAX; i++) {
        if (!self->nodes[i].used || !self->nodes[i].settled) continue;
        tell_node(&self->nodes[i], via, peer, out);
        nodes++;
    }
    char *seats = outbox_text(out, SEATS_SIZE);
    uint32_t size = write_seats(self, seats, SEATS_SIZE);
    struct node_map *map = to_peer(out, via, peer, MSG_node_map);
    map->number = self->number;
    map->nodes = nodes;
    map->seats = (struct text){ seats, size };
}

void broker_publish(struct broker *self, struct outbox *out) {
    self->changed = false;
    self->number++;
    bool by[ADDRESS_COUNT] = { false };
    for (uint32_t i = 0; i < BROKER_NODES_MAX; i++)
        if (self->nodes[i].used) by[self->nodes[i].via] = true;
    if (by[PORT_directory]) broker_tell(self, PORT_directory, 0, out);
    if (by[PORT_member]) broker_tell(self, PORT_member, 0, out);
}
