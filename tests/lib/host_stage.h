/* A host with actors and links that a test plays: it has one actor send what a function says, sees
 * what every seat was given, and is the other nodes at the end of every link.
 *
 * All functions are for the test's thread; the host's threads run beside it. */
#ifndef HOST_STAGE_H
#define HOST_STAGE_H

#include "broker/host.h"
#include "config/config.h"

enum { STAGE_NODE = 7, STAGE_SEEN_MAX = 20000 };

/* A message as a seat got it, or as it left for another node. */
struct stage_seen {
    enum address at;
    uint8_t at_shard;
    uint64_t nth; /* How many this seat handled since it started, `started` is 1. */
    struct head head;
    int64_t value; /* order_get: order_id, failed: the problem; otherwise 0. */
    uint16_t node; /* Links: to whom. */
    uint8_t thread;
    bool must;
};

enum stage_parts { STAGE_only = 0, STAGE_nodes = 1, STAGE_broker = 2 };

struct stage {
    struct config config;
    struct host *host;
    struct placement placement;
};

/* What the next tick of the bridge (or order) actor sends. */
typedef void stage_step(struct outbox *out);

/* A bridge that sends what it is told to, and an order actor for each shard that answers order_get
 * with done, and asserts when order_id is STAGE_POISON; `shards` dealt to `threads`, the bridge in
 * thread 0.  STAGE_nodes: there are links and a placement map, still empty.  STAGE_broker: somebody
 * at ACTOR_broker, in thread 0. */
enum { STAGE_POISON = 666 };
void stage_open(struct stage *self, uint32_t shards, uint32_t threads, unsigned parts);
void stage_close(struct stage *self);

/* Has the bridge send it, and waits until that is done. */
void stage_do(stage_step *step);
/* Waits for as many messages of the type in the seat of that address (5 s at most); how many there
 * are.  Shard -1: in any. */
uint32_t stage_wait(enum address at, int shard, enum message_id id, uint32_t count);
/* The nth of them. */
struct stage_seen stage_get(enum address at, int shard, enum message_id id, uint32_t nth);
/* The same for what left for other nodes. */
uint32_t stage_wait_sent(uint16_t node, enum message_id id, uint32_t count);
struct stage_seen stage_get_sent(uint16_t node, enum message_id id, uint32_t nth);
/* A message comes from another node. */
void stage_arrive(uint32_t thread, const struct head *head, const void *body);
/* What the links say of everything that is sent. */
void stage_links_say(enum links_sent answer);
/* The order actors' assertion fails at `started`, too. */
void stage_crash_at_start(bool yes);
/* What the last dead letter held; valid until the next. */
struct text stage_letter(void);
/* A counter or gauge of /metrics by its name, labels included; -1 = there is none. */
int64_t stage_metric(const char *name);
/* Waits until it is at least so much (5 s at most); what it is. */
int64_t stage_wait_metric(const char *name, int64_t least);

#endif
