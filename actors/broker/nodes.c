/* node_hello, node_beat, node_bye, worker_leased -> node_welcome, node_unknown, failed, placement
 */
#include <string.h>

#include "actors/broker/broker.h"
#include "schema/protocol.h"

static uint16_t index_of(const struct broker *self, const struct broker_node *node) {
    return (uint16_t)(node - self->nodes);
}

static struct broker_node *by_run(struct broker *self, int64_t run) {
    for (struct broker_node *node = self->nodes; node < self->nodes + BROKER_NODES_MAX; node++)
        if (node->used && node->run == run) return node;
    return NULL;
}

static void forget(struct broker *self, struct broker_node *node, const char *why,
                   struct outbox *out) {
    bool settled = node->settled;
    broker_event(out, why, node, text_of(""));
    node->used = node->settled = false;
    if (settled) broker_disown(self, index_of(self, node));
}

/* ---- Numbers ---- */

static void ask_lease(struct broker *self, struct broker_node *node, int64_t now,
                      struct outbox *out) {
    uint64_t request = (uint64_t)node->run; /* A node that came to its place is another run. */
    (void)self;
    struct worker_lease *lease = ASK(out, PORT_pg_shop, worker_lease, ACTOR_broker, request, 0);
    lease->worker = node->number > 0 ? (int64_t)node->number - 1 : -1;
    lease->holder = outbox_printf(out, "%s %lld", node->name, (long long)node->run);
    lease->now = now;
    lease->until = now + BROKER_LEASE;
    node->leasing = true;
    node->next_renewal = now + BROKER_RENEW;
}

static void welcome(const struct broker_node *node, struct outbox *out) {
    struct node_welcome *body = outbox_ask(out, node->via, MSG_node_welcome, NOBODY, node->peer, 0);
    body->node = node->number;
    body->run = node->run;
}

void broker_on_leased(struct broker *self, const struct message *in, int64_t now,
                      struct outbox *out) {
    struct broker_node *node = by_run(self, (int64_t)in->head.request);
    (void)now;
    if (node == NULL) return;
    node->leasing = false;
    if (node->number != 0) return; /* Renewed. */
    node->number = (uint16_t)(BODY(in, worker_leased)->worker + 1);
    welcome(node, out);
}

void broker_on_lease_failed(struct broker *self, const struct message *in) {
    struct broker_node *node = by_run(self, (int64_t)in->head.request);
    if (node == NULL || BODY(in, failed)->what != MSG_worker_lease) return;
    node->leasing = false; /* It says hello again; a renewal is tried again after a while. */
}

/* ---- Hello ---- */

static void refuse(const struct message *in, enum problem problem, const char *why,
                   struct outbox *out) {
    struct failed *failed = REPLY(out, in, failed);
    failed->problem = problem;
    failed->what = in->head.type;
    failed->detail = text_of(why);
}

/* What it can serve; false: the text cannot be read. */
static bool take_hosts(struct broker *self, struct broker_node *node, struct text hosts) {
    struct hosted rows[HOSTED_MAX];
    uint64_t of_shard[3] = { 0 };
    int32_t count = hosts_read(hosts, rows);
    if (count < 0) return false;
    node->able_actors = 0;
    for (int32_t i = 0; i < count; i++) {
        enum address address = (enum address)rows[i].address;
        if (broker_places(address)) node->able_actors |= UINT32_C(1) << address;
        if (rows[i].shard >= self->shards) continue;
        uint64_t bit = UINT64_C(1) << rows[i].shard;
        if (address == ACTOR_inventory) of_shard[0] |= bit;
        if (address == ACTOR_order) of_shard[1] |= bit;
        if (address == ACTOR_timer) of_shard[2] |= bit;
    }
    node->able_shards = of_shard[0] & of_shard[1] & of_shard[2];
    memcpy(node->hosts, hosts.at != NULL ? hosts.at : "", hosts.size);
    node->hosts_size = hosts.size;
    return true;
}

static struct broker_node *place_for(struct broker *self) {
    for (struct broker_node *node = self->nodes; node < self->nodes + BROKER_NODES_MAX; node++)
        if (!node->used) return node;
    return NULL;
}

static void copy_text(char *to, size_t size, struct text from) {
    size_t length = from.size < size ? from.size : size - 1;
    if (length > 0) memcpy(to, from.at, length);
    to[length] = 0;
}

/* While we listen, what a node says that it has is its own, unless an other one says so, too, and
 * has a later map. */
static void learn(struct broker *self, struct broker_node *node, const struct node_hello *hello) {
    uint16_t index = index_of(self, node);
    node->reported_shards = (uint64_t)hello->owned_shards & node->able_shards;
    node->reported_actors = hello->owned_actors & node->able_actors;
    for (uint32_t shard = 0; shard < self->shards; shard++) {
        uint16_t *owner = &self->shard_owner[shard];
        if ((node->reported_shards >> shard & 1) == 0) continue;
        if (*owner == BROKER_NOBODY || self->nodes[*owner].placement < node->placement)
            *owner = index;
    }
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        uint16_t *owner = &self->actor_owner[address];
        if ((node->reported_actors >> address & 1) == 0) continue;
        if (*owner == BROKER_NOBODY || self->nodes[*owner].placement < node->placement)
            *owner = index;
    }
}

/* What it could serve before and cannot any more is nobody's. */
static void give_up_unable(struct broker *self, struct broker_node *node) {
    uint16_t index = index_of(self, node);
    for (uint32_t shard = 0; shard < self->shards; shard++)
        if (self->shard_owner[shard] == index && (node->able_shards >> shard & 1) == 0)
            self->shard_owner[shard] = BROKER_NOBODY;
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++)
        if (self->actor_owner[address] == index && (node->able_actors >> address & 1) == 0)
            self->actor_owner[address] = BROKER_NOBODY;
}

static void settle(struct broker *self, struct broker_node *node, const struct node_hello *hello,
                   int64_t now, struct outbox *out) {
    bool news = !node->settled;
    node->number = (uint16_t)hello->node;
    node->own_lease = hello->own_lease != 0;
    node->placement = hello->placement;
    node->protocol_min = hello->protocol_min;
    node->protocol_max = hello->protocol_max;
    copy_text(node->endpoints, sizeof node->endpoints, hello->endpoints);
    node->endpoints_size = (uint32_t)strlen(node->endpoints);
    copy_text(node->key, sizeof node->key, hello->key);
    node->settled = true;
    give_up_unable(self, node);
    if (hello->placement > self->number) {
        self->number = hello->placement;
        self->changed = true; /* It knows more than we: the next map must be later. */
    }
    if (now < self->publish_from) learn(self, node, hello);
    if (news) {
        self->changed = true;
        broker_event(out, "joined", node, outbox_printf(out, "node %u", node->number));
    }
    welcome(node, out);
    if (!news) broker_tell(self, node->via, node->peer, out);
}

/* Its place: its own, a new one, or NULL (refused). */
static struct broker_node *node_for(struct broker *self, const struct message *in,
                                    const struct node_hello *hello, struct outbox *out) {
    struct broker_node *node = broker_by_name(self, hello->name);
    if (node != NULL && node->run > hello->run) {
        broker_event(out, "refused", node, text_of("an earlier run says hello"));
        refuse(in, PROBLEM_duplicate, "a later run of this name is here", out);
        return NULL;
    }
    if (node != NULL && node->run < hello->run) {
        forget(self, node, "replaced", out);
        node = NULL;
    }
    if (node != NULL) return node;
    node = place_for(self);
    if (node == NULL) {
        refuse(in, PROBLEM_overloaded, "too many nodes", out);
        return NULL;
    }
    memset(node, 0, sizeof *node);
    node->used = true;
    node->run = hello->run;
    copy_text(node->name, sizeof node->name, hello->name);
    return node;
}

static bool number_is_taken(const struct broker *self, const struct broker_node *by,
                            uint32_t number) {
    for (const struct broker_node *node = self->nodes; node < self->nodes + BROKER_NODES_MAX;
         node++)
        if (node != by && node->used && number != 0 && node->number == number) return true;
    return false;
}

/* With whom we share no protocol, other nodes of our age cannot work either: before it gets a
 * place, a number or something to serve. */
static bool shares_protocol(const struct message *in, struct outbox *out) {
    const struct node_hello *hello = BODY(in, node_hello);
    uint32_t lo = hello->protocol_min, hi = hello->protocol_max;
    struct broker_node stranger = { 0 };
    if (protocol_common(PROTOCOL_OLDEST, PROTOCOL_NEWEST, lo, hi) != 0) return true;
    struct text why = outbox_printf(
        out, "its program is too %s: it speaks protocols %u to %u, we %u to %u",
        hi < PROTOCOL_OLDEST ? "old" : "new", lo, hi, PROTOCOL_OLDEST, PROTOCOL_NEWEST);
    copy_text(stranger.name, sizeof stranger.name, hello->name);
    broker_event(out, "refused", &stranger, why);
    struct failed *failed = REPLY(out, in, failed);
    failed->problem = PROBLEM_out_of_range;
    failed->what = in->head.type;
    failed->detail = why;
    return false;
}

void broker_on_hello(struct broker *self, const struct message *in, int64_t now,
                     struct outbox *out) {
    const struct node_hello *hello = BODY(in, node_hello);
    if (!shares_protocol(in, out)) return;
    struct broker_node *node = node_for(self, in, hello, out);
    if (node == NULL) return;
    node->seen_at = now;
    node->via = (enum address)in->head.from;
    node->peer = in->head.request;
    if (number_is_taken(self, node, hello->node)) {
        refuse(in, PROBLEM_duplicate, "another node has this number", out);
        forget(self, node, "refused", out);
        return;
    }
    if (!take_hosts(self, node, hello->hosts)) {
        refuse(in, PROBLEM_malformed, "hosts cannot be read", out);
        forget(self, node, "refused", out);
        return;
    }
    if (hello->node != 0) {
        settle(self, node, hello, now, out);
    } else if (node->number != 0) {
        welcome(node, out); /* The first one was lost. */
    } else if (!node->leasing || now - node->next_renewal > -BROKER_RENEW + BROKER_LIVENESS) {
        ask_lease(self, node, now, out);
    }
}

/* ---- Beats, byes, silence ---- */

void broker_on_beat(struct broker *self, const struct message *in, int64_t now,
                    struct outbox *out) {
    const struct node_beat *beat = BODY(in, node_beat);
    struct broker_node *node = by_run(self, beat->run);
    if (node == NULL || !node->settled) {
        REPLY(out, in, node_unknown);
        return;
    }
    node->seen_at = now;
    node->via = (enum address)in->head.from;
    node->peer = in->head.request;
    node->placement = beat->placement;
    if (now >= self->publish_from && beat->placement < self->number && !self->changed &&
        outbox_room(out) > 600) {
        broker_tell(self, node->via, node->peer, out);
    }
}

void broker_on_bye(struct broker *self, const struct message *in, struct outbox *out) {
    struct broker_node *node = by_run(self, BODY(in, node_bye)->run);
    if (node != NULL) forget(self, node, "gone", out);
}

void broker_look_after(struct broker *self, int64_t now, struct outbox *out) {
    for (struct broker_node *node = self->nodes; node < self->nodes + BROKER_NODES_MAX; node++) {
        if (!node->used || outbox_room(out) < 400) continue;
        /* One that waits for its number is heard less often. */
        int64_t patience = node->settled ? BROKER_LIVENESS : 10 * BROKER_LIVENESS;
        if (now - node->seen_at > patience) {
            forget(self, node, "gone", out);
        } else if (node->settled && !node->own_lease && now >= node->next_renewal) {
            ask_lease(self, node, now, out);
        }
    }
}
