/* order_get -> order_find;  order_list -> order_rows_get;  what they find ->
 * the origin
 *
 * Whether a receipt is void is decided in one statement of PostgreSQL (first the epoch, then the
 * rid); here it is passed on. */
#include "actors/order/order.h"

enum { LIMIT_USUAL = 20, LIMIT_MOST = 100 };
static const uint64_t list_mark = UINT64_C(1) << 62;
static const int64_t list_life = INT64_C(5000000000);

bool order_is_list(uint64_t request) {
    return (request & list_mark) != 0;
}

/* Without a receipt PostgreSQL cannot tell a place in line from an order that never was.  As long
 * as the reservation waits here its rid goes with the question, as if the receipt had been shown:
 * what is committed and not known here yet is the answer, else it is pending.  Late money has an
 * order already, which has expired and must not become pending again (G6). */
static int64_t waiting_rid(const struct order *self, const struct order_get *want) {
    const struct order_row *row = order_pending_row(self, want->order_id);
    bool his = row != NULL && (want->user_id == 0 || row->user_id == want->user_id);
    return his ? row->rid : 0;
}

void order_on_get(struct order *self, const struct message *in, struct outbox *out) {
    const struct order_get *want = BODY(in, order_get);
    struct order_find *order_find = SEND(out, PORT_pg_shop, order_find, in);
    order_find->order_id = want->order_id;
    order_find->user_id = want->user_id;
    order_find->rid = want->rid != 0 ? want->rid : waiting_rid(self, want);
}

static uint64_t list_number(const struct order *self, uint32_t slot) {
    uint32_t generation = (self->lists[slot].generation + self->born) & 0x3fffffff;
    return list_mark | (uint64_t)generation << 32 | slot;
}

static struct order_list_slot *find_list(struct order *self, uint64_t request) {
    uint32_t slot = (uint32_t)request % ORDER_LISTS_MAX;
    struct order_list_slot *list = &self->lists[slot];
    return list->used && list_number(self, slot) == request ? list : NULL;
}

void order_on_list(struct order *self, const struct message *in, int64_t now, struct outbox *out) {
    const struct order_list *want = BODY(in, order_list);
    uint32_t slot = self->next_list++ % ORDER_LISTS_MAX;
    struct order_list_slot *list = &self->lists[slot];
    if (list->used && now - list->since < list_life) {
        outbox_refuse_with(out, in, PROBLEM_overloaded)->retry_after = 1;
        return;
    }
    uint32_t limit = want->limit != 0 ? want->limit : LIMIT_USUAL;
    *list = (struct order_list_slot){ .head = in->head,
                                      .generation = list->generation + 1,
                                      .limit = limit < LIMIT_MOST ? limit : LIMIT_MOST,
                                      .since = now,
                                      .used = true };
    struct order_rows_get *get = ASK(out, PORT_pg_shop, order_rows_get, ACTOR_order,
                                     list_number(self, slot), in->head.trace);
    get->user_id = want->user_id;
    get->before = want->cursor != 0 ? want->cursor : ID_MAX;
    get->limit = list->limit + 1; /* One more tells whether there is a next page. */
}

void order_on_view(struct order *self, const struct message *in, struct outbox *out) {
    const struct order_view *got = BODY(in, order_view);
    if (in->head.origin != ACTOR_order) { /* Of order_get, or after a cancel. */
        *ANSWER(out, in, order_view) = *got;
        return;
    }
    if (!order_is_list(in->head.request)) {
        order_on_seen_found(self, in, out);
        return;
    }
    struct order_list_slot *list = find_list(self, in->head.request);
    /* The newest comes first: one that came twice, or was overtaken, must not stand for another. */
    if (list == NULL || (list->seen > 0 && got->order_id >= list->row_id)) return;
    list->row_id = got->order_id;
    if (++list->seen > list->limit) return;
    struct message cause = { .head = list->head };
    *ANSWER(out, &cause, order_view) = *got;
    list->last_id = got->order_id;
}

void order_on_list_end(struct order *self, const struct message *in, struct outbox *out) {
    struct order_list_slot *list = find_list(self, in->head.request);
    if (list == NULL) return;
    struct message cause = { .head = list->head };
    if (list->seen < BODY(in, rows_end)->count) { /* A row is lost: half a list is none (G16). */
        outbox_refuse_with(out, &cause, PROBLEM_unavailable)->retry_after = 1;
        list->used = false;
        return;
    }
    struct rows_end *end = ANSWER(out, &cause, rows_end);
    bool more = list->seen > list->limit;
    end->what = MSG_order_list;
    end->count = more ? list->limit : list->seen;
    end->next = more ? list->last_id : 0;
    list->used = false;
}

void order_on_list_failed(struct order *self, const struct message *in, struct outbox *out) {
    struct order_list_slot *list = find_list(self, in->head.request);
    if (list == NULL) return;
    struct message cause = { .head = list->head };
    *ANSWER(out, &cause, failed) = *BODY(in, failed);
    list->used = false;
}
