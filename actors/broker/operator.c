/* node_list, shard_list, shard_move, shard_rebuild, and questions to the nodes' members */
#include <string.h>

#include "actors/broker/broker.h"

static uint64_t shards_of(const struct broker *self, uint16_t index) {
    uint64_t bits = 0;
    for (uint32_t shard = 0; shard < self->shards; shard++)
        if (self->shard_owner[shard] == index) bits |= UINT64_C(1) << shard;
    return bits;
}

/* Appends a word; what does not fit is left out. */
static void append(char *to, size_t size, const char *word) {
    size_t used = strlen(to), length = strlen(word), blank = used > 0 ? 1 : 0;
    if (used + blank + length >= size) return;
    if (blank) to[used] = ' ';
    memcpy(to + used + blank, word, length + 1);
}

/* What exists once or on every node, and it hosts; without what another node serves. */
static void write_actors(const struct broker *self, uint16_t index, char *to, size_t size) {
    struct hosted rows[HOSTED_MAX];
    const struct broker_node *node = &self->nodes[index];
    int32_t count = hosts_read((struct text){ node->hosts, node->hosts_size }, rows);
    to[0] = 0;
    for (int32_t i = 0; i < count; i++) {
        enum address address = (enum address)rows[i].address;
        if (address_is_sharded(address) || address_is_port(address)) continue;
        if (broker_places(address) && self->actor_owner[address] != index) continue;
        append(to, size, address_name(address));
    }
}

static void write_spare(const struct broker_node *node, char *to, size_t size) {
    char shards[200];
    to[0] = 0;
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++)
        if ((node->spare_actors >> address & 1) != 0)
            append(to, size, address_name((enum address)address));
    if (node->spare_shards == 0) return;
    hosts_ranges(node->spare_shards, shards);
    append(to, size, "shards");
    append(to, size, shards);
}

void broker_on_node_list(struct broker *self, const struct message *in, int64_t now,
                         struct outbox *out) {
    uint32_t rows = 0;
    for (uint16_t i = 0; i < BROKER_NODES_MAX; i++) {
        const struct broker_node *node = &self->nodes[i];
        char actors[300], shards[200] = "", spare[300];
        if (!node->used) continue;
        write_actors(self, i, actors, sizeof actors);
        write_spare(node, spare, sizeof spare);
        hosts_ranges(shards_of(self, i), shards);
        struct node_row *row = ANSWER(out, in, node_row);
        row->name = text_of(node->name);
        row->node = node->number;
        row->since = node->run;
        row->seen = now - node->seen_at;
        row->placement = node->placement;
        row->actors = outbox_printf(out, "%s", actors);
        row->shards = outbox_printf(out, "%s", shards);
        row->spare = outbox_printf(out, "%s", spare);
        row->endpoints = (struct text){ node->endpoints, node->endpoints_size };
        row->protocol = node->protocol_max;
        rows++;
    }
    struct rows_end *end = ANSWER(out, in, rows_end);
    end->what = in->head.type;
    end->count = rows;
}

/* ---- Shards ---- */

static void answer_shard(struct broker *self, uint32_t shard, const struct message *in,
                         struct outbox *out) {
    char able[300] = "";
    uint16_t owner = self->shard_owner[shard];
    for (uint32_t i = 0; i < BROKER_NODES_MAX; i++) {
        const struct broker_node *node = &self->nodes[i];
        if (node->used && node->settled && (node->able_shards >> shard & 1) != 0)
            append(able, sizeof able, node->name);
    }
    struct shard_view *row = ANSWER(out, in, shard_view);
    row->shard = shard;
    row->node = text_of(owner == BROKER_NOBODY ? "" : self->nodes[owner].name);
    row->able = outbox_printf(out, "%s", able);
    row->placement = self->number;
}

void broker_on_shard_list(struct broker *self, const struct message *in, struct outbox *out) {
    for (uint32_t shard = 0; shard < self->shards; shard++)
        answer_shard(self, shard, in, out);
    struct rows_end *end = ANSWER(out, in, rows_end);
    end->what = in->head.type;
    end->count = self->shards;
}

static void refuse(const struct message *in, enum problem problem, const char *why,
                   struct outbox *out) {
    outbox_refuse_with(out, in, problem)->detail = text_of(why);
}

void broker_on_shard_move(struct broker *self, const struct message *in, struct outbox *out) {
    const struct shard_move *move = BODY(in, shard_move);
    struct broker_node *node = broker_by_name(self, move->node);
    if (move->shard >= self->shards) {
        refuse(in, PROBLEM_not_found, "there is no such shard", out);
    } else if (node == NULL || !node->settled) {
        refuse(in, PROBLEM_not_found, "there is no such node", out);
    } else if ((node->able_shards >> move->shard & 1) == 0) {
        refuse(in, PROBLEM_illegal_state, "the node does not host this shard", out);
    } else {
        uint16_t index = (uint16_t)(node - self->nodes);
        if (self->shard_owner[move->shard] != index) {
            self->shard_owner[move->shard] = index;
            self->changed = true;
            broker_event(out, "moved", node, outbox_printf(out, "shard %u", move->shard));
        }
        answer_shard(self, move->shard, in, out);
    }
}

void broker_on_shard_rebuild(struct broker *self, const struct message *in, struct outbox *out) {
    uint32_t shard = BODY(in, shard_rebuild)->shard;
    if (shard >= self->shards) {
        refuse(in, PROBLEM_not_found, "there is no such shard", out);
        return;
    }
    outbox_about(out, shard);
    SEND(out, ACTOR_inventory, recover, in)->reason = text_of("an operator asks for it");
}

/* ---- Questions to members ---- */

static struct broker_query *free_query(struct broker *self) {
    for (uint32_t i = 0; i < BROKER_QUERIES_MAX; i++)
        if (!self->queries[i].used) return &self->queries[i];
    return NULL;
}

static uint64_t request_of(const struct broker *self, const struct broker_query *query) {
    return (uint64_t)query->generation << 32 | (uint64_t)(query - self->queries);
}

static void ask_member(struct broker *self, struct broker_query *query,
                       const struct broker_node *node, const struct message *in,
                       struct outbox *out) {
    const struct message_type *type = message_type((enum message_id)in->head.type);
    uint16_t self_node = out->node;
    out->node = node->number; /* Which of all members. */
    void *body = outbox_ask(out, PORT_member, (enum message_id)in->head.type, ACTOR_broker,
                            request_of(self, query), in->head.trace);
    memcpy(body, in->body, type->size);
    out->node = self_node;
    query->waiting++;
}

/* The name of the node that is asked; absent = all of them. */
static struct text whom(const struct message *in) {
    if (in->head.type == MSG_actor_restart) return BODY(in, actor_restart)->node;
    if (in->head.type == MSG_node_status) return BODY(in, node_status)->node;
    return (struct text){ 0 };
}

void broker_on_question(struct broker *self, const struct message *in, int64_t now,
                        struct outbox *out) {
    struct text name = whom(in);
    struct broker_node *one = name.size > 0 ? broker_by_name(self, name) : NULL;
    struct broker_query *query = free_query(self);
    if (name.size > 0 && (one == NULL || !one->settled)) {
        refuse(in, PROBLEM_not_found, "there is no such node", out);
        return;
    }
    if (query == NULL) {
        refuse(in, PROBLEM_overloaded, "too many questions at once", out);
        return;
    }
    *query = (struct broker_query){ .used = true,
                                    .one = in->head.type == MSG_actor_restart,
                                    .generation = query->generation + 1,
                                    .asker = in->head,
                                    .what = in->head.type,
                                    .until = now + BROKER_QUERY_MAX };
    for (struct broker_node *node = self->nodes; node < self->nodes + BROKER_NODES_MAX; node++)
        if (node->used && node->settled && (one == NULL || one == node))
            ask_member(self, query, node, in, out);
    if (query->waiting == 0) query->until = now;
}

/* To whoever asked, as an answer to his question. */
static void pass_on(const struct broker_query *query, const struct message *in,
                    struct outbox *out) {
    struct message answer = *in;
    answer.head = query->asker;
    answer.head.type = in->head.type;
    answer.head.from = ACTOR_broker;
    outbox_forward(out, (enum address)query->asker.origin, &answer);
}

static void end_query(struct broker_query *query, struct outbox *out) {
    struct message cause = { query->asker, NULL };
    query->used = false;
    if (query->one) {
        outbox_refuse(out, &cause, PROBLEM_unavailable);
        return;
    }
    struct rows_end *end = ANSWER(out, &cause, rows_end);
    end->what = query->what;
    end->count = query->rows;
}

void broker_on_answer(struct broker *self, const struct message *in, struct outbox *out) {
    if (in->head.from == ACTOR_inventory) { /* Has recovered, and tells who sent it the question. */
        outbox_forward(out, (enum address)in->head.origin, in);
        return;
    }
    uint64_t index = in->head.request & UINT32_MAX;
    if (index >= BROKER_QUERIES_MAX || in->head.from != PORT_member) return;
    struct broker_query *query = &self->queries[index];
    if (!query->used || query->generation != (uint32_t)(in->head.request >> 32)) return;
    bool end = in->head.type == MSG_rows_end || in->head.type == MSG_failed;
    if (query->one) {
        pass_on(query, in, out);
        query->used = false;
    } else if (end) {
        query->waiting--;
        if (query->waiting == 0) end_query(query, out);
    } else {
        query->rows++;
        pass_on(query, in, out);
    }
}

void broker_end_queries(struct broker *self, int64_t now, struct outbox *out) {
    for (uint32_t i = 0; i < BROKER_QUERIES_MAX; i++) {
        struct broker_query *query = &self->queries[i];
        if (query->used && now >= query->until && outbox_room(out) > 300) end_query(query, out);
    }
}
