/* The keys that may come in: public key -> name and role, from a folder or a file.
 *
 * A folder: every public key file in it (broker/curve.h); *_secret files and hidden ones are passed
 * over.  A file: a line for each key, `KEY NAME [ROLE]`, blank lines and lines with # ignored.
 * What cannot be read as a key, a published test key, and a name or key that stands there a second
 * time are left out and reported; the rest holds. */
#ifndef ALLOW_H
#define ALLOW_H

#include <stdint.h>

#include "broker/curve.h"

enum { ALLOW_MAX = 512 };

struct allow_list {
    uint32_t count;
    struct curve rows[ALLOW_MAX]; /* Without secrets. */
};

/* Reads the list anew.  False when something was left out (`error` names the last such thing) or
 * nothing could be read at all; what could be is in the list. */
bool allow_read(struct allow_list *self, const char *path, char *error, size_t error_size);

/* The row, or NULL; borrowed until the next read. */
const struct curve *allow_key(const struct allow_list *self, const char *public_key);
const struct curve *allow_name(const struct allow_list *self, const char *name);

#endif
