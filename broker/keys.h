/* The file of keys that sign tokens, tickets and receipts: see schema/seal.h for its lines. */
#ifndef KEYS_H
#define KEYS_H

#include <sys/stat.h>

#include "schema/seal.h"

/* Makes the file (mode 0600) with one new key unless it is there.  False: errno says why. */
bool keys_make(const char *path);

/* May only its owner read a file of this mode?  True also for a credential of systemd's, which a
 * group may seem to read. */
bool keys_private(const char *path, mode_t mode);

/* Reads it.  False: a sentence in `error`. */
bool keys_load(const char *path, struct seal_keys *keys, char *error, size_t error_size);

#endif
