/* A journal entry whose rows are all decided -> settle, until done */
#include "actors/order/order.h"

static const int64_t again_after = INT64_C(1000000000);

struct order_entry *order_entry(struct order *self, int64_t entry) {
    uint32_t slot;
    return idmap_get(&self->entry_map, entry, &slot) ? &self->entries[slot] : NULL;
}

struct order_entry *order_entry_make(struct order *self, int64_t entry, uint32_t rows,
                                     int64_t now) {
    uint32_t slot;
    struct order_entry *known = order_entry(self, entry);
    if (known != NULL) return known;
    if (!slots_take(&self->entries_free, &slot)) return NULL;
    idmap_put(&self->entry_map, entry, slot);
    self->entries[slot] = (struct order_entry){
        .entry = entry, .rows = rows > 0 ? rows : 1, .pass = self->journal.pass, .since = now
    };
    return &self->entries[slot];
}

static void send(struct order *self, struct order_entry *entry, int64_t now, struct outbox *out) {
    uint32_t slot = (uint32_t)(entry - self->entries);
    struct settle *settle =
        ASK(out, ACTOR_inventory, settle, ACTOR_order, (uint64_t)entry->entry, 0);
    settle->entry = entry->entry;
    settle->rows = entry->rows;
    if (entry->settling) chain_remove(&self->settling, slot);
    entry->settling = true;
    entry->sent_at = now;
    chain_append(&self->settling, slot);
}

void order_entry_decided(struct order *self, int64_t entry_id, int64_t now, struct outbox *out) {
    struct order_entry *entry = order_entry(self, entry_id);
    if (entry == NULL) return;
    entry->decided++;
    if (entry->decided >= entry->rows && !entry->settling) send(self, entry, now, out);
}

void order_entry_drop(struct order *self, struct order_entry *entry) {
    uint32_t slot = (uint32_t)(entry - self->entries);
    /* Rids of an entry follow each other; stop early when all known ones were found. */
    for (uint32_t i = 0; i < entry->rows && entry->known > 0; i++) {
        struct order_row *row = order_row(self, entry->entry + (int64_t)i);
        if (row != NULL && row->entry == entry->entry) order_row_drop(self, row);
    }
    if (entry->settling) chain_remove(&self->settling, slot);
    idmap_remove(&self->entry_map, entry->entry);
    entry->entry = 0;
    slots_give(&self->entries_free, slot);
}

void order_on_settled(struct order *self, const struct message *in) {
    struct order_entry *entry = order_entry(self, (int64_t)in->head.request);
    if (entry != NULL && entry->settling) order_entry_drop(self, entry);
}

void order_send_settles(struct order *self, int64_t now, struct outbox *out) {
    uint32_t slot;
    while (order_room(out, 2) && chain_first(&self->settling, &slot) &&
           now - self->entries[slot].sent_at >= again_after) {
        send(self, &self->entries[slot], now, out);
    }
}

/* An entry without undecided rows that the journal does not hold is settled, or was brought back by
 * a message that came twice.  Should its row have been lost on the way, the next pass brings it. */
void order_entries_after_pass(struct order *self) {
    for (uint32_t i = 0; i < self->entries_free.fresh; i++) {
        struct order_entry *entry = &self->entries[i];
        if (entry->entry == 0 || entry->known != entry->decided) continue;
        if (entry->since >= self->journal.pass_at || entry->pass == self->journal.pass) continue;
        order_entry_drop(self, entry);
    }
}
