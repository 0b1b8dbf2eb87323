/* The keys that may come in: public key -> name and role, from a folder or a file.
 *
 * A folder: every public key file in it (broker/curve.h); *_secret files and hidden ones are passed
 * over.  A file: a line for each key, `KEY NAME [ROLE]`, blank lines and lines with # ignored.
 * What cannot be read as a key, a published test key, and a name or key that stands there a second
 * time are left out and reported; the rest holds. */
#ifndef ALLOW_H
#define ALLOW_H

#include <stdint.h>
#include <sys/types.h>

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

/* ---- A list that is kept ---- */

/* What the folder or file looked like. */
struct allow_stamp {
    int64_t changed; /* ctime; 0 = it was not there. */
    ino_t inode;
};

/* All zero before the first use. */
struct allow_kept {
    struct allow_list list;
    int64_t read_at; /* The caller's clock; 0 = never. */
    int64_t read_on; /* Wall clock: what files are stamped with. */
    struct allow_stamp stamp;
    bool whole;      /* The last reading left nothing out; else */
    char error[400]; /* what. */
};

/* The row of this key, or NULL; borrowed until the next call.  The list is read again when it is
 * older than `life`, or when the key is not in it and the folder (the file) has changed since: a
 * key that was added counts at once, one that was taken away, or has another role, within `life`.
 * A key that nobody knows costs a look at the folder's stamp, not a reading. */
const struct curve *allow_find(struct allow_kept *self, const char *path, const char *public_key,
                               int64_t now, int64_t life);

#endif
