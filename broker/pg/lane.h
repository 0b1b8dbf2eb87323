/* One connection to PostgreSQL with its queue: one statement at a time, in the order of coming, as
 * many messages of one type in a statement as follow each other where that is allowed
 * (broker/pg/statements.def).  Every message is answered exactly once, after the commit. */
#ifndef PG_LANE_H
#define PG_LANE_H

#include <poll.h>

#include "broker/batch.h"

struct config;
struct lane;

/* `name` is for the log and outlives the lane; `address` labels figures.  Connects by itself, in
 * lane_step.  Aborts without memory. */
struct lane *lane_open(const struct config *config, const char *name, enum address address);
/* NULL is harmless. */
void lane_close(struct lane *self);
void lane_reload(struct lane *self, const struct config *config);

/* Nothing is under way, nothing waits. */
bool lane_idle(const struct lane *self);
bool lane_connected(const struct lane *self);

/* Copies the message to the end of the queue; it starts with the next lane_pump or lane_step. */
void lane_put(struct lane *self, const struct message *message);
/* Gives the connection up: what is under way is unknown, and answered `unavailable` by the next
 * lane_pump. */
void lane_drop(struct lane *self, int64_t now);
/* Goes on until something has to be waited for. */
void lane_pump(struct lane *self, int64_t now, struct outbox *out);
void lane_step(struct lane *self, int64_t now, struct outbox *out);
uint32_t lane_poll(const struct lane *self, struct pollfd *fds, uint32_t max);
int64_t lane_timeout(const struct lane *self, int64_t now);

#endif
