/* Messages as bytes between threads and processes: envelope and body, one behind the other, many
 * messages in one ZeroMQ frame. */
#ifndef FRAME_H
#define FRAME_H

#include "broker/batch.h"

enum { FRAME_MAX = 4 << 20 };

/* A growing buffer; zero it to start. */
struct frame {
    uint8_t *bytes;
    size_t size, capacity;
    uint32_t count; /* messages */
};

void frame_fini(struct frame *self);
void frame_append(struct frame *self, const struct message *message);

/* Appends the messages of a frame to the batch.  Texts are copied.  Returns false at the first
 * thing that is not a message; what came before it has been appended. */
bool frame_read(const uint8_t *bytes, size_t size, struct batch *to);

#endif
