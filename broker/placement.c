#include "broker/placement.h"

#include <assert.h>
#include <string.h>

static uint32_t slot(enum address address, uint32_t shard) {
    return address_is_sharded(address) ? shard : 0;
}

/* Where the node stands, or would. */
static uint32_t rank(const struct placement_map *self, uint16_t node) {
    uint32_t low = 0, high = self->node_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (self->nodes[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct placement_node *placement_map_node(struct placement_map *self, uint16_t node) {
    uint32_t at = rank(self, node);
    struct placement_node *row = &self->nodes[at];
    if (at < self->node_count && row->node == node) return row;
    if (self->node_count == PLACEMENT_NODES_MAX) return NULL;
    memmove(row + 1, row, (self->node_count - at) * sizeof *row);
    self->node_count++;
    row->node = node;
    memset(row->thread, PLACEMENT_NOWHERE, sizeof row->thread);
    return row;
}

void placement_map_put(struct placement_map *self, enum address address, uint32_t shard,
                       uint16_t node, uint8_t thread) {
    assert((unsigned)address < ADDRESS_COUNT && shard < SHARDS_MAX);
    self->seats[address][slot(address, shard)] = (struct placement_seat){ node, thread };
}

const struct placement_node *placement_map_find(const struct placement_map *self, uint16_t node) {
    uint32_t at = rank(self, node);
    if (at == self->node_count || self->nodes[at].node != node) return NULL;
    return &self->nodes[at];
}

struct placement_seat placement_map_seat(const struct placement_map *self, enum address address,
                                         uint32_t shard) {
    uint32_t at = slot(address, shard);
    if ((unsigned)address >= ADDRESS_COUNT || at >= SHARDS_MAX) return (struct placement_seat){ 0 };
    return self->seats[address][at];
}

bool placement_map_owns(const struct placement_map *self, uint32_t shard) {
    return self->self != NODE_NONE &&
           placement_map_seat(self, ACTOR_order, shard).node == self->self;
}

void placement_init(struct placement *self) {
    memset(self, 0, sizeof *self);
    pthread_mutex_init(&self->lock, NULL);
}

void placement_fini(struct placement *self) {
    pthread_mutex_destroy(&self->lock);
}

void placement_publish(struct placement *self, const struct placement_map *map) {
    pthread_mutex_lock(&self->lock);
    self->map = *map;
    atomic_fetch_add(&self->version, 1);
    pthread_mutex_unlock(&self->lock);
}

bool placement_read(struct placement *self, uint64_t *version, struct placement_map *map) {
    if (atomic_load_explicit(&self->version, memory_order_relaxed) == *version) return false;
    pthread_mutex_lock(&self->lock);
    *map = self->map;
    *version = atomic_load(&self->version);
    pthread_mutex_unlock(&self->lock);
    return true;
}
