/* Links to other nodes, as the host sees them.  One object per thread of the host, used by that
 * thread alone; what lies beneath (sockets, credit, keys) is the implementation's.
 *
 * A link never loses a message because it is full: send() says LINK_FULL, and the host answers the
 * asker; or the message must go (an answer, a consequence: bounded by what was admitted) and then
 * the link keeps it until there is room.  What was sent to a node that has gone is lost with it;
 * everything repeats by id. */
#ifndef LINKS_H
#define LINKS_H

#include <poll.h>

#include "broker/batch.h"
#include "broker/placement.h"

struct links;

enum links_sent {
    LINKS_SENT, /* Or kept to be sent. */
    LINKS_FULL, /* Not taken.  Only when it need not go. */
    LINKS_GONE  /* Not taken: there is no such node any more, or it does not answer. */
};

struct links_type {
    /* Called by host_open for each thread before it starts, and by host_close after it ended.
     * NULL: could not; the reason has been logged. */
    struct links *(*open)(void *context, uint32_t thread);
    void (*close)(struct links *self);

    /* Copies the message, texts included.  `must`: never LINKS_FULL.  Never blocks. */
    enum links_sent (*send)(struct links *self, uint16_t node, uint8_t thread,
                            const struct message *message, bool must);
    /* Appends what has arrived, as much as one turn should handle; whether there was anything. */
    bool (*receive)(struct links *self, int64_t now, struct batch *to);
    /* The end of a turn: what was sent leaves now. */
    void (*flush)(struct links *self, int64_t now);
    /* A new map: nodes have come or gone. */
    void (*follow)(struct links *self, const struct placement_map *map);

    /* As in port.h. */
    uint32_t (*poll)(struct links *self, struct pollfd *fds, uint32_t max);
    int64_t (*timeout)(struct links *self, int64_t now);
};

#endif
