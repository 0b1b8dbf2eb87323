#include "broker/main/spread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/directory/directory.h"

#define BIT(address) (UINT32_C(1) << (address))

enum group { GROUP_edge, GROUP_shard, GROUP_shop };

/* In the order in which they are written into the places. */
static const struct {
    const struct actor_type *type;
    enum group group;
} actors[] = {
    { &bridge_type, GROUP_edge },  { &inventory_type, GROUP_shard },
    { &order_type, GROUP_shard },  { &timer_type, GROUP_shard },
    { &session_type, GROUP_shop }, { &catalogue_type, GROUP_shop },
    { &payment_type, GROUP_shop }, { &notifier_type, GROUP_shop },
};

static uint32_t group_bits(enum group group) {
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++) {
        if (actors[i].group == group) bits |= BIT(actors[i].type->address);
    }
    return bits;
}

static uint32_t all_bits(void) {
    return group_bits(GROUP_edge) | group_bits(GROUP_shard) | group_bits(GROUP_shop);
}

static uint64_t first_shards(uint32_t count) {
    return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

struct spread spread_all(uint32_t shard_count) {
    return (
        struct spread){ .actors = all_bits(), .shards = first_shards(shard_count), .door = true };
}

struct spread spread_broker(void) {
    return (struct spread){ .door = true, .directory = true };
}

/* ---- The words ---- */

static uint32_t word_bits(struct text word) {
    static const struct {
        const char *word;
        enum group group;
    } groups[] = { { "edge", GROUP_edge }, { "shard", GROUP_shard }, { "shop", GROUP_shop } };
    if (text_is(word, "all")) return all_bits();
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (text_is(word, groups[i].word)) return group_bits(groups[i].group);
    }
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++) {
        if (text_is(word, actors[i].type->name)) return BIT(actors[i].type->address);
    }
    return 0;
}

bool spread_read_actors(struct spread *self, const char *words, struct text *wrong) {
    self->actors = 0;
    self->door = false;
    for (const char *at = words;; at++) {
        struct text word = { at, (uint32_t)strcspn(at, ",") };
        uint32_t bits = word_bits(word);
        if (bits == 0) {
            *wrong = word;
            return false;
        }
        self->actors |= bits;
        if (text_is(word, "all")) self->door = true;
        at += word.size;
        if (*at == 0) return true;
    }
}

static bool read_number(const char **at, uint32_t count, uint32_t *number) {
    char *end;
    if (**at < '0' || **at > '9') return false;
    unsigned long value = strtoul(*at, &end, 10);
    if (value >= count) return false;
    *number = (uint32_t)value;
    *at = end;
    return true;
}

bool spread_read_shards(struct spread *self, const char *words, uint32_t shard_count) {
    self->shards = 0;
    for (const char *at = words;; at++) {
        uint32_t first, last;
        if (!read_number(&at, shard_count, &first)) return false;
        last = first;
        if (*at == '-') {
            at++;
            if (!read_number(&at, shard_count, &last) || last < first) return false;
        }
        for (uint32_t shard = first; shard <= last; shard++)
            self->shards |= UINT64_C(1) << shard;
        if (*at == 0) return true;
        if (*at != ',') return false;
    }
}

/* ---- The places ---- */

struct writing {
    struct host_place *places;
    uint32_t count;
};

static void add_port(struct writing *to, enum address address, uint8_t shard, uint32_t thread,
                     const struct port_type *type) {
    assert(to->count < SPREAD_PLACES_MAX);
    to->places[to->count++] = (struct host_place){ address, shard, thread, NULL, type };
}

static void add_actors(struct writing *to, uint32_t wanted, enum group group, uint8_t shard,
                       uint32_t thread) {
    for (size_t i = 0; i < sizeof actors / sizeof *actors; i++) {
        const struct actor_type *type = actors[i].type;
        if (actors[i].group != group || (wanted & BIT(type->address)) == 0) continue;
        assert(to->count < SPREAD_PLACES_MAX);
        to->places[to->count++] = (struct host_place){ type->address, shard, thread, type, NULL };
    }
}

/* Deals the shards to threads from `first_thread` on; returns the first that is free then. */
static uint32_t add_shards(struct writing *to, const struct spread *self, uint32_t first_thread,
                           uint32_t threads) {
    uint32_t dealt = 0;
    bool with_edge = threads == 0 && first_thread > 0;
    if (with_edge) first_thread--;
    if (threads == 0) threads = 1;
    if ((self->actors & group_bits(GROUP_shard)) == 0) return first_thread + with_edge;
    for (uint32_t shard = 0; shard < SHARDS_MAX; shard++) {
        if ((self->shards >> shard & 1) == 0) continue;
        uint32_t thread = first_thread + dealt++ % threads;
        add_actors(to, self->actors, GROUP_shard, (uint8_t)shard, thread);
        if ((self->actors & BIT(ACTOR_inventory)) != 0) {
            add_port(to, PORT_redis, (uint8_t)shard, thread, &redis_port);
        }
        add_port(to, PORT_pg_shard, (uint8_t)shard, thread, &pg_port);
    }
    if (with_edge) return first_thread + 1;
    return first_thread + (dealt < threads ? dealt : threads);
}

static void add_shop_ports(struct writing *to, const struct spread *self, uint32_t thread) {
    uint32_t wanted = self->actors;
    if ((wanted & BIT(ACTOR_session)) != 0) add_port(to, PORT_hash, 0, thread, &hash_port);
    if ((wanted & BIT(ACTOR_payment)) != 0) add_port(to, PORT_pay, 0, thread, &pay_port);
    if ((wanted & BIT(ACTOR_notifier)) != 0) add_port(to, PORT_mail, 0, thread, &mail_port);
}

uint32_t spread_places(const struct spread *self, uint32_t shard_threads,
                       struct host_place places[SPREAD_PLACES_MAX]) {
    struct writing to = { places, 0 };
    uint32_t thread = 0;
    bool shop = (self->actors & group_bits(GROUP_shop)) != 0;
    if ((self->actors & BIT(ACTOR_bridge)) != 0) {
        add_actors(&to, self->actors, GROUP_edge, 0, thread);
        add_port(&to, PORT_http, 0, thread, &http_port);
        thread++;
    }
    thread = add_shards(&to, self, thread, shard_threads);
    if (shop) {
        add_actors(&to, self->actors, GROUP_shop, 0, thread);
        add_shop_ports(&to, self, thread);
    }
    /* The shop's thread, or else the first: what it has to do in the others is little. */
    uint32_t last = shop ? thread : 0;
    if ((self->actors & ~BIT(ACTOR_bridge)) != 0 || self->door)
        add_port(&to, PORT_pg_shop, 0, last, &pg_port);
    /* In no thread of a shard either, where there is another: beats must not be late. */
    bool edge = (self->actors & BIT(ACTOR_bridge)) != 0;
    bool with_edge = shard_threads == 0 && (self->actors & group_bits(GROUP_shard)) != 0;
    add_port(&to, PORT_member, 0, edge && !with_edge ? last : thread, &member_port);
    /* Health and metrics of a node without shoppers; in no thread of a shard, for it would have to
     * wait for all its stores in a loop of its own. */
    if (!edge) add_port(&to, PORT_http, 0, thread, &http_admin_port);
    if (self->directory) add_port(&to, PORT_directory, 0, last, &directory_port);
    if (self->door) {
        add_port(&to, PORT_door, 0, last, &door_port);
        to.places[to.count++] = (struct host_place){ ACTOR_broker, 0, last, &broker_type, NULL };
    }
    return to.count;
}
