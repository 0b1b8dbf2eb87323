/* sale_view, lot_view -> (remembered);  sale_get, sale_list -> page | failed not_found */
#include <inttypes.h>
#include <string.h>

#include "actors/bridge/bridge.h"
#include "schema/json.h"

static uint32_t lot_hash(int64_t id) {
    return (uint32_t)(((uint64_t)id * 0x9E3779B97F4A7C15U) >> 32) % LOT_SLOTS;
}

struct bridge_lot *bridge_lot(const struct bridge *self, int64_t lot_id) {
    for (uint32_t at = lot_hash(lot_id); self->lot_index[at] != 0; at = (at + 1) % LOT_SLOTS) {
        const struct bridge_lot *lot = &self->lots[self->lot_index[at] - 1];
        if (lot->lot_id == lot_id) return (struct bridge_lot *)(uintptr_t)lot;
    }
    return NULL;
}

static void index_lot(struct bridge *self, uint32_t which) {
    uint32_t at = lot_hash(self->lots[which].lot_id);
    while (self->lot_index[at] != 0)
        at = (at + 1) % LOT_SLOTS;
    self->lot_index[at] = (uint16_t)(which + 1);
}

/* When all places are taken, lots of sales that were put away make room. */
static struct bridge_lot *lot_replace(struct bridge *self, int64_t lot_id) {
    uint32_t which = 0;
    for (; which < LOTS_MAX; which++) {
        const struct bridge_sale *sale = bridge_sale(self, self->lots[which].sale_id);
        if (sale == NULL || sale->state == sale_state_archived) break;
    }
    if (which == LOTS_MAX) return NULL;
    memset(&self->lots[which], 0, sizeof self->lots[which]);
    self->lots[which].lot_id = lot_id;
    memset(self->lot_index, 0, sizeof self->lot_index);
    for (uint32_t i = 0; i < LOTS_MAX; i++)
        index_lot(self, i);
    return &self->lots[which];
}

struct bridge_lot *bridge_lot_make(struct bridge *self, int64_t lot_id) {
    struct bridge_lot *lot = bridge_lot(self, lot_id);
    if (lot != NULL) return lot;
    if (self->lot_count == LOTS_MAX) return lot_replace(self, lot_id);
    lot = &self->lots[self->lot_count++];
    lot->lot_id = lot_id;
    index_lot(self, self->lot_count - 1);
    return lot;
}

struct bridge_sale *bridge_sale(const struct bridge *self, int64_t sale_id) {
    for (uint32_t i = 0; i < self->sale_count; i++) {
        if (self->sales[i].sale_id == sale_id) {
            return (struct bridge_sale *)(uintptr_t)&self->sales[i];
        }
    }
    return NULL;
}

static void keep_title(char *to, struct text title) {
    uint32_t size = title.size < BRIDGE_TITLE_MAX ? title.size : BRIDGE_TITLE_MAX;
    memcpy(to, title.at, size);
    to[size] = 0;
}

/* Takes a sale that was put away out of the list; false when there is none. */
static bool sale_forget(struct bridge *self) {
    uint32_t at = self->sale_count;
    while (at > 0 && self->sales[self->sale_order[at - 1]].state != sale_state_archived)
        at--;
    if (at == 0) return false;
    uint16_t index = self->sale_order[at - 1];
    for (; at < self->sale_count; at++)
        self->sale_order[at - 1] = self->sale_order[at];
    self->sale_order[--self->sale_count] = index; /* Its place is the next one to be given. */
    memset(&self->sales[index], 0, sizeof self->sales[index]);
    return true;
}

static struct bridge_sale *sale_make(struct bridge *self, int64_t sale_id) {
    struct bridge_sale *sale = bridge_sale(self, sale_id);
    uint32_t at = self->sale_count, index = at;
    if (sale != NULL) return sale;
    if (at == SALES_MAX) {
        if (!sale_forget(self)) return NULL;
        at = self->sale_count;
        index = self->sale_order[at];
    }
    self->sale_count++;
    for (; at > 0 && self->sales[self->sale_order[at - 1]].sale_id < sale_id; at--) {
        self->sale_order[at] = self->sale_order[at - 1];
    }
    self->sale_order[at] = (uint16_t)index;
    self->sales[index].sale_id = sale_id;
    return &self->sales[index];
}

void bridge_on_sale_view(struct bridge *self, const struct message *in) {
    const struct sale_view *view = BODY(in, sale_view);
    struct bridge_sale *sale = sale_make(self, view->sale_id);
    follow_row(&self->catalogue, in);
    if (sale == NULL) return;
    sale->snapshot = self->catalogue.number;
    if (view->version < sale->version) return;
    sale->version = view->version;
    sale->state = view->state;
    sale->opens_at = view->opens_at;
    sale->closes_at = view->closes_at;
    sale->dirty = true;
    keep_title(sale->title, view->title);
}

void bridge_on_lot_view(struct bridge *self, const struct message *in) {
    const struct lot_view *view = BODY(in, lot_view);
    struct bridge_lot *lot = bridge_lot_make(self, view->lot_id);
    follow_row(&self->catalogue, in);
    if (lot == NULL || (lot->sale_id != 0 && view->version < lot->version)) return;
    lot->sale_id = view->sale_id;
    lot->sku_id = view->sku_id;
    lot->price = view->price;
    lot->price_version = view->price_version;
    lot->per_buyer_limit = view->per_buyer_limit;
    lot->allocated = view->allocated;
    lot->version = view->version;
    lot->settled = view->state == lot_state_settled;
    if (!lot->level_known) lot->available = view->allocated - view->sold;
    keep_title(lot->title, view->title);
    struct bridge_sale *sale = bridge_sale(self, view->sale_id);
    if (sale != NULL) sale->dirty = true;
}

void bridge_after_snapshot(struct bridge *self) {
    for (uint32_t i = 0; i < self->sale_count; i++) {
        struct bridge_sale *sale = &self->sales[i];
        if (sale->snapshot != self->catalogue.number) sale->state = sale_state_archived;
    }
}

static bool is_public(const struct bridge_sale *sale) {
    return sale->state != sale_state_none && sale->state != sale_state_draft &&
           sale->state != sale_state_archived;
}

static void etag_of(char etag[24], const char *bytes, size_t size) {
    uint64_t hash = UINT64_C(1469598103934665603); /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
    snprintf(etag, 24, "%016" PRIx64, hash);
}

static void render_lots(const struct bridge *self, const struct bridge_sale *sale,
                        struct json_out *json) {
    bool first = true;
    json_raw(json, "[", 1);
    for (uint32_t i = 0; i < self->lot_count; i++) {
        const struct bridge_lot *lot = &self->lots[i];
        if (lot->sale_id != sale->sale_id) continue;
        struct lot_view view = { .lot_id = lot->lot_id,
                                 .sku_id = lot->sku_id,
                                 .title = text_of(lot->title),
                                 .price = lot->price,
                                 .allocated = lot->allocated,
                                 .available = lot->settled ? 0 : lot->available,
                                 .per_buyer_limit = lot->per_buyer_limit };
        if (!first) json_raw(json, ",", 1);
        first = false;
        json_write(json, message_type(MSG_lot_view), &view);
    }
    json_raw(json, "]", 1);
}

/* A sale whose page does not fit keeps its last one; PAGE_MAX holds 100 lots with long titles. */
static void render(const struct bridge *self, struct bridge_sale *sale, struct outbox *out) {
    struct json_out lots = { .at = outbox_text(out, PAGE_MAX), .capacity = PAGE_MAX };
    struct json_out page = { .at = outbox_text(out, PAGE_MAX), .capacity = PAGE_MAX };
    render_lots(self, sale, &lots);
    struct sale_view view = { .sale_id = sale->sale_id,
                              .title = text_of(sale->title),
                              .state = sale->state,
                              .opens_at = sale->opens_at,
                              .closes_at = sale->closes_at,
                              .lots = { lots.at, (uint32_t)lots.size } };
    json_write(&page, message_type(MSG_sale_view), &view);
    sale->dirty = false;
    if (lots.full || page.full) return;
    memcpy(sale->page, page.at, page.size);
    sale->page_size = (uint32_t)page.size;
    etag_of(sale->etag, sale->page, page.size);
}

static void answer_page(struct outbox *out, const struct message *in, struct text etag,
                        struct text have, struct text body) {
    struct page *page = ANSWER(out, in, page);
    page->etag = etag;
    page->max_age = 1;
    if (!text_equal(have, etag)) page->body = body;
}

void bridge_on_sale_get(struct bridge *self, const struct message *in, struct outbox *out) {
    const struct sale_get *want = BODY(in, sale_get);
    struct bridge_sale *sale = bridge_sale(self, want->sale_id);
    if (sale == NULL || !is_public(sale)) {
        enum problem why = self->catalogue.known ? PROBLEM_not_found : PROBLEM_unavailable;
        outbox_refuse(out, in, why);
        return;
    }
    if (sale->dirty) render(self, sale, out);
    answer_page(out, in, text_of(sale->etag), want->if_none_match,
                (struct text){ sale->page, sale->page_size });
}

/* The cursor is the id of the last sale shown. */
static bool read_cursor(struct text cursor, int64_t *after) {
    *after = ID_MAX;
    if (cursor.size == 0) return true;
    *after = 0;
    for (uint32_t i = 0; i < cursor.size; i++) {
        if (cursor.at[i] < '0' || cursor.at[i] > '9' || *after > ID_MAX / 10 - 1) return false;
        *after = *after * 10 + (cursor.at[i] - '0');
    }
    return true;
}

void bridge_on_sale_list(struct bridge *self, const struct message *in, struct outbox *out) {
    enum { LIST_BYTES = 4 * PAGE_MAX, LIMIT = 20 };
    const struct sale_list *want = BODY(in, sale_list);
    uint32_t limit = want->limit > 0 ? want->limit : LIMIT, shown = 0;
    int64_t after, next = 0;
    if (!read_cursor(want->cursor, &after)) {
        struct failed *failed = outbox_refuse_with(out, in, PROBLEM_malformed);
        failed->field = text_of("cursor");
        failed->detail = text_of("cursor must be the `next` of an earlier answer");
        return;
    }
    struct json_out list = { .at = outbox_text(out, LIST_BYTES), .capacity = LIST_BYTES };
    json_raw(&list, "[", 1);
    for (uint32_t i = 0; i < self->sale_count; i++) {
        struct bridge_sale *sale = &self->sales[self->sale_order[i]];
        if (sale->sale_id >= after || !is_public(sale)) continue;
        if (sale->dirty) render(self, sale, out);
        /* What does not fit goes to the next page. */
        if (shown == limit || list.size + sale->page_size + 2 > LIST_BYTES) break;
        if (shown++ > 0) json_raw(&list, ",", 1);
        json_raw(&list, sale->page, sale->page_size);
        next = sale->sale_id;
    }
    json_raw(&list, "]", 1);
    bool more = false;
    for (uint32_t i = 0; i < self->sale_count && shown > 0; i++) {
        more = more || (self->sales[i].sale_id < next && is_public(&self->sales[i]));
    }
    struct sale_page view = { .sales = { list.at, (uint32_t)list.size } };
    if (more) view.next = outbox_printf(out, "%" PRId64, next);
    struct json_out body = { .at = outbox_text(out, LIST_BYTES + 64), .capacity = LIST_BYTES + 64 };
    json_write(&body, message_type(MSG_sale_page), &view);
    char *etag = outbox_text(out, 24);
    etag_of(etag, body.at, body.size);
    answer_page(out, in, text_of(etag), want->if_none_match,
                (struct text){ body.at, (uint32_t)body.size });
}
