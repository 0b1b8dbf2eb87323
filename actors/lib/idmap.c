#include "actors/lib/idmap.h"

#include <assert.h>
#include <string.h>

/* Cells at the start, and of the largest map that starts with so few. */
enum { CELLS_FIRST = 256, CELLS_MOVED = 131072 };

uint64_t id_hash(int64_t id) {
    /* Two rounds of xor-shift and multiply by odd constants: every bit reaches every other. */
    uint64_t mixed = (uint64_t)id;
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 29) * UINT64_C(0xd1b54a32d192ed03);
    return mixed ^ mixed >> 32;
}

void idmap_init(struct idmap *self, struct idmap_cell *cells, uint32_t size) {
    assert(size >= 4 && (size & (size - 1)) == 0);
    uint32_t first = size > CELLS_MOVED || size < CELLS_FIRST ? size : CELLS_FIRST;
    *self = (struct idmap){ .cells = cells, .mask = first - 1, .full = size - 1 };
}

uint32_t idmap_capacity(const struct idmap *self) {
    return self->full / 4 * 3;
}

/* Eight ids that follow each other are neighbours: rids and order ids come and go in sequence, and
 * a whole batch then touches few cache lines.  Between eights the order is that of a hash. */
static uint32_t home(const struct idmap *self, int64_t id) {
    return ((uint32_t)id_hash(id >> 3) << 3 | ((uint32_t)id & 7)) & self->mask;
}

/* The cell of the id, or the free cell where it would go. */
static uint32_t find(const struct idmap *self, int64_t id) {
    uint32_t at = home(self, id);
    while (self->cells[at].id != 0 && self->cells[at].id != id)
        at = (at + 1) & self->mask;
    return at;
}

/* Twice as many cells, in place: every id of the old ones is taken out and put where it belongs
 * now. One that lands ahead of us is met again, and put again.  Those that ran over the old end are
 * met as well: they stand in a row with it, up to the first free cell. */
static void grow(struct idmap *self) {
    uint32_t old = self->mask + 1;
    self->mask = 2 * old - 1;
    for (uint32_t at = 0; at < old || self->cells[at].id != 0; at++) {
        struct idmap_cell cell = self->cells[at];
        if (cell.id == 0) continue;
        self->cells[at] = (struct idmap_cell){ 0 };
        self->cells[find(self, cell.id)] = cell;
    }
}

bool idmap_put(struct idmap *self, int64_t id, uint32_t value) {
    assert(id != 0);
    struct idmap_cell *cell = &self->cells[find(self, id)];
    if (cell->id == 0) {
        if (self->count >= idmap_capacity(self)) return false;
        if (self->count >= self->mask / 2 && self->mask < self->full) {
            grow(self);
            cell = &self->cells[find(self, id)];
        }
        self->count++;
    }
    *cell = (struct idmap_cell){ .id = id, .value = value };
    return true;
}

bool idmap_get(const struct idmap *self, int64_t id, uint32_t *value) {
    if (id == 0) return false;
    const struct idmap_cell *cell = &self->cells[find(self, id)];
    if (cell->id == 0) return false;
    *value = cell->value;
    return true;
}

bool idmap_remove(struct idmap *self, int64_t id) {
    if (id == 0) return false;
    uint32_t gap = find(self, id);
    if (self->cells[gap].id == 0) return false;
    /* Close the gap: whoever hashes to the gap or before it moves up into it. */
    for (uint32_t at = (gap + 1) & self->mask; self->cells[at].id != 0;
         at = (at + 1) & self->mask) {
        uint32_t from_home = (at - home(self, self->cells[at].id)) & self->mask;
        if (from_home >= ((at - gap) & self->mask)) {
            self->cells[gap] = self->cells[at];
            gap = at;
        }
    }
    self->cells[gap] = (struct idmap_cell){ 0 };
    self->count--;
    return true;
}

void idmap_clear(struct idmap *self) {
    memset(self->cells, 0, ((size_t)self->mask + 1) * sizeof *self->cells);
    idmap_init(self, self->cells, self->full + 1);
}
