#include "tests/lib/town.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/batch.h"
#include "schema/id.h"

#define MS INT64_C(1000000)
enum { NODES = 2, SHARDS = 2, SEATS = 8, ROOM = 4096, ORDERS_MAX = 8, UNITS = 5 };
static const int64_t town_start = INT64_C(1800000000) * 1000 * MS;

struct place_at {
    const struct actor_type *type;
    uint8_t shard;
    uint16_t node;
    void *state;
    int64_t next_tick;
};

struct town_order {
    int64_t order_id, lot_id, rid;
    enum order_state state;
};

struct town {
    FILE *trace;
    int64_t now;
    struct seal_keys keys;
    struct place_at seats[SEATS];
    uint32_t seat_count;
    struct batch under_way, arriving, out;
    struct batch answers;
    uint64_t requests;
    uint64_t seq[SHARDS];
    int64_t available[SHARDS];
    struct town_order orders[ORDERS_MAX];
    uint32_t order_count;
    int64_t ended_at; /* Of the session; 0 = it has not. */
    uint16_t deaf_node;
    enum message_id deaf_to;
};

static int64_t lot_of(uint8_t shard) {
    return LOT_0 + shard;
}

/* ---- Telling ---- */

static bool is_housekeeping(const struct message *message) {
    switch (message->head.type) {
    case MSG_order_create:
    case MSG_ticket_create:
    case MSG_ticket_facts_get:
    case MSG_ticket_facts:
    case MSG_ticket_view:
    case MSG_order_get:
    case MSG_order_list:
    case MSG_order_cancel:
    case MSG_session_delete:
    case MSG_session_end:
    case MSG_session_revoked:
    case MSG_order_find:
    case MSG_order_view:
    case MSG_order_return:
    case MSG_returned:
    case MSG_held:
    case MSG_place:
    case MSG_purchase:
    case MSG_decided:
    case MSG_undo:
    case MSG_undone: return false;
    case MSG_reserve: return BODY(message, reserve)->kind == reserve_kind_probe;
    case MSG_reserved: return false;
    case MSG_failed: return message->head.to != PORT_http;
    case MSG_done: return message->head.to != PORT_http;
    default: return true;
    }
}

static void print_name(FILE *to, enum address address, const struct head *head, uint16_t node) {
    char name[32];
    bool by_node = address == ACTOR_bridge || address == PORT_http;
    if (address_is_sharded(address))
        snprintf(name, sizeof name, "%s/%u", address_name(address), head->shard);
    else if (by_node)
        snprintf(name, sizeof name, "%s@%u", address_name(address), node);
    else
        snprintf(name, sizeof name, "%s", address_name(address));
    fprintf(to, "%-11s ", name);
}

/* Times are told in milliseconds since the town was opened. */
static void say(const struct town *self, const struct message *message, uint16_t from, uint16_t to,
                const char *fate) {
    char *line = NULL, *end;
    size_t size = 0;
    if (self->trace == NULL || is_housekeeping(message)) return;
    fprintf(self->trace, "[%5" PRId64 "] ", (self->now - town_start) / MS);
    print_name(self->trace, (enum address)message->head.from, &message->head, from);
    fputs("> ", self->trace);
    print_name(self->trace, (enum address)message->head.to, &message->head, to);
    FILE *words = open_memstream(&line, &size);
    assert(words != NULL);
    message_print(words, message_type((enum message_id)message->head.type), message->body);
    fclose(words);
    for (const char *at = line; *at != 0;) {
        bool number = *at >= '0' && *at <= '9' && at > line && at[-1] == '=';
        int64_t value = number ? strtoll(at, &end, 10) : 0;
        if (value > town_start / 2 && value < town_start * 2) {
            fprintf(self->trace, "+%" PRId64, (value - town_start) / MS);
            at = end;
        } else {
            fputc(*at++, self->trace);
        }
    }
    fprintf(self->trace, "%s\n", fate);
    free(line);
}

/* ---- The stores, as simple as can be ---- */

#define ANSWER_WITH(name, ...)                                                                     \
    *REPLY(out, in, name) = (struct name) {                                                        \
        __VA_ARGS__                                                                                \
    }

static void level(struct town *self, const struct message *in, struct outbox *out) {
    uint8_t shard = in->head.shard;
    struct lot_level *level = SEND(out, ACTOR_inventory, lot_level, in);
    level->lot_id = lot_of(shard);
    level->state = lot_state_open;
    level->available = self->available[shard];
    level->per_buyer_limit = 1;
    level->version = (int64_t)++self->seq[shard];
    level->epoch = 1;
}

static void redis(struct town *self, const struct message *in, struct outbox *out) {
    uint8_t shard = in->head.shard;
    switch (in->head.type) {
    case MSG_meta_read:
        ANSWER_WITH(redis_up, .run_id = text_of("run"), .epoch = 1, .boot = 1);
        return;
    case MSG_journal_read: ANSWER_WITH(rows_end, .what = in->head.type); return;
    case MSG_reserve: {
        const struct reserve *want = BODY(in, reserve);
        level(self, in, out);
        if (want->kind == reserve_kind_probe) return;
        self->available[shard]--;
        int64_t rid = rid_make(shard, 1, ++self->seq[shard]);
        ANSWER_WITH(reserved, .rid = rid, .entry = rid, .rows = 1, .order_id = want->order_id,
                    .user_id = want->user_id, .lot_id = want->lot_id, .quantity = want->quantity,
                    .kind = want->kind, .address = want->address);
        return;
    }
    case MSG_undo:
        self->available[shard]++;
        ANSWER_WITH(undone, .rid = BODY(in, undo)->rid, .lot_id = lot_of(shard), .changed = 1);
        level(self, in, out);
        return;
    case MSG_epoch_use: return;
    default: ANSWER_WITH(done, .what = in->head.type); return; /* settle, install_… */
    }
}

static void pg_shard(struct town *self, const struct message *in, struct outbox *out) {
    uint8_t shard = in->head.shard;
    if (in->head.type == MSG_shard_get) {
        ANSWER_WITH(shard_row, .shard = shard); /* No epoch yet: it is raised to the first. */
    } else if (in->head.type == MSG_shard_recover) {
        ANSWER_WITH(recovered, .epoch = 1, .row = 1);
        ANSWER_WITH(recovered, .epoch = 1, .lot_id = lot_of(shard), .state = lot_state_open,
                    .available = UNITS, .per_buyer_limit = 1, .row = 2, .allocated = UNITS);
        ANSWER_WITH(rows_end, .what = in->head.type, .count = 2);
    } else if (in->head.type == MSG_purchase) {
        const struct purchase *row = BODY(in, purchase);
        assert(self->order_count < ORDERS_MAX);
        self->orders[self->order_count++] =
            (struct town_order){ row->order_id, row->lot_id, row->rid,
                                 order_state_awaiting_payment };
        ANSWER_WITH(decided, .rid = row->rid, .outcome = outcome_accepted,
                    .order_id = row->order_id, .user_id = row->user_id, .lot_id = row->lot_id,
                    .quantity = row->quantity, .state = order_state_awaiting_payment,
                    .price = { 1999, "CNY" }, .pay_by = self->now + 900000 * MS,
                    .created_at = self->now, .order_rid = row->rid);
    } else if (in->head.type == MSG_order_return) {
        for (uint32_t i = 0; i < self->order_count; i++) {
            struct town_order *order = &self->orders[i];
            if (order->order_id != BODY(in, order_return)->order_id) continue;
            order->state = BODY(in, order_return)->to;
            ANSWER_WITH(returned, .order_id = order->order_id, .outcome = outcome_accepted,
                        .state = order->state, .rid = order->rid, .user_id = TOWN_USER,
                        .lot_id = order->lot_id, .quantity = 1, .epoch = 1);
        }
    }
}

static void pg_shop(struct town *self, const struct message *in, struct outbox *out) {
    switch (in->head.type) {
    case MSG_ticket_facts_get:
        ANSWER_WITH(ticket_facts, .user_id = TOWN_USER, .session_id = TOWN_SESSION,
                    .lot_id = BODY(in, ticket_facts_get)->lot_id, .state = account_state_normal);
        return;
    case MSG_session_end:
        self->ended_at = self->now;
        ANSWER_WITH(done, .what = in->head.type, .id = TOWN_SESSION, .count = 1);
        return;
    case MSG_revoked_load: {
        bool ended = self->ended_at != 0 && self->ended_at >= BODY(in, revoked_load)->since;
        if (ended)
            ANSWER_WITH(session_revoked, .session_id = TOWN_SESSION, .until = self->ended_at);
        ANSWER_WITH(rows_end, .what = in->head.type, .count = ended);
        return;
    }
    case MSG_order_find:
        for (uint32_t i = 0; i < self->order_count; i++) {
            const struct town_order *order = &self->orders[i];
            if (order->order_id != BODY(in, order_find)->order_id) continue;
            ANSWER_WITH(order_view, .order_id = order->order_id, .state = order->state,
                        .lot_id = order->lot_id, .quantity = 1, .user_id = TOWN_USER,
                        .rid = order->rid);
        }
        return;
    default: return;
    }
}

static void catalogue(struct town *self, const struct message *in, struct outbox *out) {
    uint32_t rows = 0;
    if (in->head.type == MSG_sale_rows_get) {
        ANSWER_WITH(sale_view, .sale_id = TOWN_SALE, .title = text_of("S"),
                    .state = sale_state_open, .opens_at = town_start,
                    .closes_at = self->now + 3600000 * MS, .version = 1);
        rows = 1;
    } else if (in->head.type == MSG_lot_rows_get) {
        for (; rows < SHARDS; rows++)
            ANSWER_WITH(lot_view, .lot_id = lot_of((uint8_t)rows), .sku_id = 9,
                        .title = text_of("L"), .price = { 1999, "CNY" }, .allocated = UNITS,
                        .available = UNITS, .per_buyer_limit = 1, .sale_id = TOWN_SALE,
                        .shard = rows, .state = lot_state_open, .version = 1);
    } else if (in->head.type != MSG_catalogue_check) {
        return;
    }
    ANSWER_WITH(rows_end, .what = in->head.type, .count = rows, .next = 1);
}

/* ---- Moving ---- */

/* What somebody at a node has sent goes on its way. */
static void post(struct town *self, uint16_t from) {
    for (uint32_t i = 0; i < self->out.count; i++) {
        const struct message *message = &self->out.items[i];
        const struct head *head = &message->head;
        if (head->to == NOBODY) continue;
        bool by_node = head->to == ACTOR_bridge || head->to == PORT_http;
        for (uint16_t node = 1; node <= NODES; node++) {
            if (by_node && head->node != node && head->node != NODE_EVERY) continue;
            struct message copy = *message;
            if (by_node) copy.head.node = node;
            bool lost = head->node == NODE_EVERY && node == self->deaf_node &&
                        head->type == (uint16_t)self->deaf_to;
            say(self, message, from, by_node ? node : CORE, lost ? "   (lost)" : "");
            if (!lost) batch_append(&self->under_way, &copy);
            if (!by_node) break;
        }
    }
    batch_reset(&self->out);
}

static void handle(struct town *self, struct place_at *seat, const struct message *in) {
    struct outbox out =
        batch_outbox(&self->out, seat->type->address, seat->shard, seat->type->sends_max);
    out.node = seat->node;
    seat->type->handle(seat->state, in, 1, self->now, &out);
    if (seat->type->check != NULL) seat->type->check(seat->state);
    post(self, seat->node);
}

static void play(struct town *self, const struct message *in) {
    struct outbox out = batch_outbox(&self->out, (enum address)in->head.to, in->head.shard, ROOM);
    out.node = CORE; /* Ports serve the node they stand at; these all stand there. */
    switch (in->head.to) {
    case PORT_redis: redis(self, in, &out); break;
    case PORT_pg_shard: pg_shard(self, in, &out); break;
    case PORT_pg_shop: pg_shop(self, in, &out); break;
    case ACTOR_catalogue: catalogue(self, in, &out); break;
    case PORT_http: batch_append(&self->answers, in); break;
    default: break;
    }
    post(self, CORE);
}

static void arrive(struct town *self, const struct message *in) {
    enum address to = (enum address)in->head.to;
    for (uint32_t i = 0; i < self->seat_count; i++) {
        struct place_at *seat = &self->seats[i];
        if (seat->type->address != to) continue;
        if (address_is_sharded(to) && seat->shard != in->head.shard) continue;
        if (to == ACTOR_bridge && seat->node != in->head.node) continue;
        handle(self, seat, in);
        return;
    }
    play(self, in);
}

static void step(struct town *self) {
    self->now += MS;
    struct batch swap = self->arriving;
    self->arriving = self->under_way;
    self->under_way = swap;
    for (uint32_t i = 0; i < self->arriving.count; i++)
        arrive(self, &self->arriving.items[i]);
    batch_reset(&self->arriving);
    for (uint32_t i = 0; i < self->seat_count; i++) {
        struct place_at *seat = &self->seats[i];
        if (self->now < seat->next_tick) continue;
        struct tick body = { 0 };
        struct message tick = { { .type = MSG_tick }, &body };
        seat->next_tick = self->now + seat->type->tick_every;
        handle(self, seat, &tick);
    }
}

void town_pass(struct town *self, int64_t ms) {
    for (int64_t i = 0; i < ms; i++)
        step(self);
}

const struct message *town_ask(struct town *self, uint16_t node, const void *body,
                               enum message_id id) {
    batch_reset(&self->answers);
    struct message message = { { .type = (uint16_t)id,
                                 .from = PORT_http,
                                 .to = ACTOR_bridge,
                                 .origin = PORT_http,
                                 .node = node,
                                 .request = ++self->requests },
                               body };
    say(self, &message, node, node, "");
    batch_append(&self->under_way, &message);
    for (int i = 0; i < 500 && self->answers.count == 0; i++)
        step(self);
    assert(self->answers.count == 1);
    const struct message *answer = &self->answers.items[0];
    assert(answer->head.node == node && answer->head.request == self->requests);
    return answer;
}

void town_lose(struct town *self, uint16_t node, enum message_id type) {
    self->deaf_node = node;
    self->deaf_to = type;
}

/* ---- Life ---- */

static void add(struct town *self, const struct actor_type *type, uint8_t shard, uint16_t node) {
    struct place_at *seat = &self->seats[self->seat_count++];
    struct actor_setup setup = { .shard = shard,
                                 .shards = SHARDS,
                                 .worker = 1,
                                 .node = node,
                                 .seed = { (uint8_t)self->seat_count, 1, 2, 3, 4, 5, 6, 7, 8, 9 },
                                 .keys = &self->keys,
                                 .hold = 300 * MS,
                                 .inflight_max = 100,
                                 .access_life = 900000 * MS,
                                 .ticket_life = 1800000 * MS,
                                 .batch_max = 512,
                                 .journal_cap = 1000,
                                 .journal_age_max = 10000 * MS,
                                 .idle_read = 20 * MS,
                                 .hint_every = 200 * MS,
                                 .hint_life = 500 * MS };
    *seat = (struct place_at){ .type = type, .shard = shard, .node = node };
    seat->state = calloc(1, (type->state_size + 63) / 64 * 64);
    assert(seat->state != NULL);
    type->init(seat->state, &setup);
    struct started body = { 0 };
    handle(self, seat, &(struct message){ { .type = MSG_started }, &body });
}

struct town *town_open(FILE *trace) {
    struct town *self = calloc(1, sizeof *self);
    assert(self != NULL);
    self->now = town_start;
    self->keys = (struct seal_keys){ .count = 1 };
    self->keys.key[0].id = 1;
    batch_init(&self->under_way);
    batch_init(&self->arriving);
    batch_init(&self->out);
    batch_init(&self->answers);
    for (uint16_t node = 1; node <= NODES; node++)
        add(self, &bridge_type, 0, node);
    add(self, &session_type, 0, CORE);
    for (uint8_t shard = 0; shard < SHARDS; shard++) {
        self->available[shard] = UNITS;
        add(self, &inventory_type, shard, CORE);
        add(self, &order_type, shard, CORE);
    }
    town_pass(self, 1500);
    self->trace = trace;
    return self;
}

void town_close(struct town *self) {
    for (uint32_t i = 0; i < self->seat_count; i++)
        free(self->seats[i].state);
    batch_fini(&self->under_way);
    batch_fini(&self->arriving);
    batch_fini(&self->out);
    batch_fini(&self->answers);
    free(self);
}
