/* The header of a frame between nodes: 64 bytes, little endian.  Its first 8 bytes never change, so
 * that any two versions understand why they cannot talk. */
#ifndef LINK_HEAD_H
#define LINK_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_HEAD_SIZE = 64 };

struct link_head {
    uint8_t protocol_min, protocol_max; /* What the sender speaks. */
    uint8_t protocol;                   /* What this frame is written in. */
    uint8_t from_thread, to_thread;
    uint16_t from_node, to_node;
    uint32_t count;      /* Messages in this frame; 0 = a probe or an acknowledgement. */
    uint32_t window;     /* Messages that the receiver of this frame may have under way to us. */
    uint64_t stream;     /* One beginning of the numbering; a later one is larger. */
    uint64_t first;      /* Number of the first message; without messages, of the next one. */
    uint64_t ack_stream; /* Stream of the other direction, and the highest number seen in it. */
    uint64_t ack;
    int64_t sent_at; /* The sender's wall time, ns; 0 = it did not say (protocol 1). */
};

/* Writes LINK_HEAD_SIZE bytes. */
void link_head_write(const struct link_head *self, uint8_t *to);
/* False: no frame of ours, whatever the version. */
bool link_head_read(struct link_head *self, const uint8_t *from, size_t size);

#endif
