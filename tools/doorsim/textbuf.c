#include "tools/doorsim/textbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void textbuf_init(struct textbuf *self, size_t max) {
    *self = (struct textbuf){ .max = max };
}

void textbuf_fini(struct textbuf *self) {
    free(self->bytes);
    *self = (struct textbuf){ .max = self->max };
}

void textbuf_clear(struct textbuf *self) {
    self->length = 0;
    self->full = false;
    if (self->bytes != NULL) self->bytes[0] = '\0';
}

/* Room for `more` bytes and the final NUL. */
static bool reserve(struct textbuf *self, size_t more) {
    if (self->full || more > self->max - self->length) {
        self->full = true;
        return false;
    }
    size_t need = self->length + more + 1;
    if (need <= self->capacity) return true;
    size_t capacity = self->capacity == 0 ? 256 : self->capacity;
    while (capacity < need) {
        capacity *= 2;
    }
    if (capacity > self->max + 1) capacity = self->max + 1;
    char *bytes = realloc(self->bytes, capacity);
    if (bytes == NULL) {
        self->full = true;
        return false;
    }
    self->bytes = bytes;
    self->capacity = capacity;
    return true;
}

bool textbuf_add(struct textbuf *self, const char *bytes, size_t length) {
    if (!reserve(self, length)) return false;
    if (length > 0) memcpy(self->bytes + self->length, bytes, length);
    self->length += length;
    self->bytes[self->length] = '\0';
    return true;
}

bool textbuf_format(struct textbuf *self, const char *format, ...) {
    char small[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (size < 0) return false;
    if ((size_t)size < sizeof small) return textbuf_add(self, small, (size_t)size);
    if (!reserve(self, (size_t)size)) return false;
    va_start(args, format);
    (void)vsnprintf(self->bytes + self->length, (size_t)size + 1, format, args);
    va_end(args);
    self->length += (size_t)size;
    return true;
}
