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

/* What a frame of another version of this program had that we do not know. */
struct frame_skips {
    uint32_t unknown; /* Messages of a type, or between addresses, of which we know nothing. */
    uint32_t invalid; /* Messages whose body breaks a rule of ours: a new state, a wider bound. */
    uint32_t newer;   /* Messages with more fields than we know: taken, without these. */
};

/* Appends the messages of a frame to the batch.  Texts are copied.  Messages that we cannot
 * understand are left out and added to *skips: an old and a new node work together.  Returns false
 * at the first thing that is not a message; what came before it has been appended. */
bool frame_read_from(const uint8_t *bytes, size_t size, struct batch *to,
                     struct frame_skips *skips);

/* The same for a frame that our own version made, or has to be answered as a whole: also false when
 * a message was left out. */
bool frame_read(const uint8_t *bytes, size_t size, struct batch *to);

#endif
