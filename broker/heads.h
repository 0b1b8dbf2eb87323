/* Requests a port has under way: a bounded table from a tag to the head of the message that asked,
 * so that the answer finds its way back.  Each tag is good for one answer. */
#ifndef HEADS_H
#define HEADS_H

#include "actors/actor.h"

enum { HEADS_MAX = 1024 };

struct heads {
    uint32_t count;
    struct head heads[HEADS_MAX];
    bool used[HEADS_MAX];
};

/* A tag for this message; false when the table is full. */
bool heads_put(struct heads *self, const struct head *head, uint64_t *tag);
/* Takes it out again, as a cause for outbox_reply(); the tag must be one that put() gave. */
struct message heads_take(struct heads *self, uint64_t tag);

#endif
