/* Bridge: the door for shoppers.  Checks what can be checked without I/O, answers sale pages from
 * memory, admits purchases and holds each until it is decided or its hold time is over.
 *
 * There may be several, each on a node of its own, and a shopper may come to another one with each
 * request: tokens, tickets and receipts are good at all of them.  News (hints, catalogue, ended
 * sessions) are sent to every bridge; one that missed some, because a link lost them or it has just
 * started, asks again: for ended sessions several times a second, for changes of the catalogue
 * every two.  Rate limits and the admission cap are per bridge: with n bridges a user has up to n
 * times the rate.
 *
 * State is a cache and a waiting room: everything in it may be lost at any moment. */
#ifndef BRIDGE_H
#define BRIDGE_H

#include "actors/actor.h"
#include "actors/lib/follow.h"
#include "schema/id.h"

enum {
    PURCHASES_MAX = 16384, /* Held at once. */
    SALES_MAX = 256,       /* Known; more are not shown. */
    LOTS_MAX = 1024,
    LOT_SLOTS = 4096,    /* Hash table over the lots. */
    PAGE_MAX = 65536,    /* Rendered sale. */
    HOLDERS_MAX = 65536, /* Bytes of a lot's filter. */
    BUCKETS_MAX = 65536, /* Rate buckets; users that share one replace each other. */
    REVOKED_MAX = 65536,
    BRIDGE_TITLE_MAX = 250,
};

/* A purchase under way.  Its number towards the actors is generation and index. */
struct purchase_slot {
    uint64_t http; /* Request number of the port; answers go there. */
    uint64_t trace;
    int64_t order_id, user_id;
    int64_t rid;  /* Known once it is journalled. */
    int64_t ends; /* Hold time is over. */
    uint32_t generation;
    uint32_t next; /* Free list. */
    uint8_t shard;
    bool used;
};

/* What inventory said last of a lot. */
struct bridge_lot {
    int64_t lot_id, sale_id, sku_id;
    struct money price;
    uint32_t price_version, per_buyer_limit;
    int64_t allocated;
    int64_t version; /* Of the catalogue's row. */
    char title[BRIDGE_TITLE_MAX + 1];
    bool settled; /* Nothing is left in it, whatever an old hint says. */
    /* From the hint. */
    uint32_t hint_epoch;
    int64_t hint_version;
    int64_t hint_until; /* Not to be believed after this. */
    enum lot_state hint_state;
    int64_t available;
    bool level_known;
    uint32_t holders_epoch; /* The filter was sent under this epoch; 0 = none. */
    uint32_t holders_size;
    uint8_t holders[HOLDERS_MAX];
};

struct bridge_sale {
    int64_t sale_id;
    int64_t version;
    int64_t opens_at, closes_at;
    uint32_t snapshot; /* Last one, or time after it, in which it was told of. */
    enum sale_state state;
    char title[BRIDGE_TITLE_MAX + 1];
    bool dirty; /* The page must be made again. */
    char etag[24];
    uint32_t page_size;
    char page[PAGE_MAX];
};

/* How fast a shard decides purchases, as seen from here, while more wait than it takes at once. */
struct pace {
    uint32_t in_flight; /* Slots of this shard. */
    uint32_t done;      /* Decided since paces_since. */
    bool crowded;       /* Since then there were always enough to keep it busy. */
    int64_t each;       /* ns for one; 0 = not known: it was not busy. */
};

struct bucket {
    int64_t user_id;
    int64_t filled_at;
    int64_t tokens_ns; /* Tokens in ns of refill. */
};

struct revocation {
    int64_t session_id; /* 0 = free */
    int64_t until;
};

/* The question that is put to the session actor again and again: whose sessions have ended? */
struct revoked_news {
    bool known, open;
    uint32_t number, rows; /* Of the question asked last: its request, the rows that have come. */
    int64_t asked_at;
    int64_t since; /* Where to go on; a time of the session actor's clock. */
};

struct bridge {
    const struct seal_keys *keys;
    int64_t hold;
    uint32_t inflight_max, rate_user, rate_user_burst;
    uint32_t shards;
    bool stopping;
    uint8_t told_ready; /* See outbox_ready(). */
    struct follow catalogue;
    struct revoked_news news;

    uint32_t free_slot, in_flight;
    uint32_t queue_head, queue_count; /* Ring of slot numbers in the order their hold ends. */
    uint64_t queue[PURCHASES_MAX * 2];
    int64_t paces_since;
    struct pace paces[SHARDS_MAX];
    struct purchase_slot slots[PURCHASES_MAX];

    uint32_t sale_count, lot_count, revoked_count;
    uint16_t lot_index[LOT_SLOTS];  /* index + 1 */
    uint16_t sale_order[SALES_MAX]; /* Newest first. */
    struct bucket buckets[BUCKETS_MAX];
    struct revocation revoked[REVOKED_MAX];
    struct bridge_sale sales[SALES_MAX];
    struct bridge_lot lots[LOTS_MAX];
};

/* Handlers, one file each. */
void bridge_on_order_create(struct bridge *self, const struct message *in, int64_t now,
                            struct outbox *out);
void bridge_on_decision(struct bridge *self, const struct message *in, struct outbox *out);
void bridge_on_held(struct bridge *self, const struct message *in);
/* At every tick. */
void bridge_take_pace(struct bridge *self, int64_t now);
void bridge_end_holds(struct bridge *self, int64_t now, struct outbox *out);
void bridge_on_order_get(struct bridge *self, const struct message *in, int64_t now,
                         struct outbox *out);
void bridge_on_lot_hint(struct bridge *self, const struct message *in, int64_t now);
void bridge_on_sale_view(struct bridge *self, const struct message *in);
void bridge_on_lot_view(struct bridge *self, const struct message *in);
void bridge_on_sale_get(struct bridge *self, const struct message *in, struct outbox *out);
void bridge_on_sale_list(struct bridge *self, const struct message *in, struct outbox *out);
void bridge_on_session_revoked(struct bridge *self, const struct message *in, int64_t now);
void bridge_on_revoked_end(struct bridge *self, const struct message *in);
void bridge_ask_revoked(struct bridge *self, int64_t now, struct outbox *out);
/* A snapshot is whole: sales that are not in it have been put away. */
void bridge_after_snapshot(struct bridge *self);
/* Tells the host whether shoppers can be served; where that may have changed. */
void bridge_tell_ready(struct bridge *self, struct outbox *out);

/* What the hint says of buying from the lot, or PROBLEM_none when inventory has to be asked. */
enum problem bridge_hint(const struct bridge *self, int64_t lot_id, int64_t order_id,
                         uint32_t quantity, int64_t now);

/* False and a refusal when the session has been ended or the user asks too often. */
bool bridge_admit(struct bridge *self, const struct message *in, int64_t user_id,
                  int64_t session_id, int64_t now, struct outbox *out);

struct bridge_lot *bridge_lot(const struct bridge *self, int64_t lot_id);
/* The same, made when it is not there; NULL when there are too many. */
struct bridge_lot *bridge_lot_make(struct bridge *self, int64_t lot_id);
struct bridge_sale *bridge_sale(const struct bridge *self, int64_t sale_id);

#endif
