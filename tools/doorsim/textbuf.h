/* A growing piece of text with a maximum.  Used for requests and for the bodies of answers.
 * Invariants: length < capacity <= max + 1 once anything was added; bytes[length] is NUL.
 * Text that would pass the maximum is not added and sets `full`, which stays until textbuf_clear().
 */
#ifndef DOORSIM_TEXTBUF_H
#define DOORSIM_TEXTBUF_H

#include <stdbool.h>
#include <stddef.h>

struct textbuf {
    char *bytes; /* NULL until something is added. */
    size_t length;
    size_t capacity;
    size_t max;
    bool full;
};

/* Holds at most `max` bytes; allocates nothing yet. */
void textbuf_init(struct textbuf *self, size_t max);

/* Harmless twice and on zeroed memory. */
void textbuf_fini(struct textbuf *self);

/* Keeps the memory. */
void textbuf_clear(struct textbuf *self);

/* False when the maximum is passed or memory is out: nothing was added then. */
bool textbuf_add(struct textbuf *self, const char *bytes, size_t length);
bool textbuf_format(struct textbuf *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
