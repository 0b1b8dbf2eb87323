/* The file of keys that sign tokens, tickets and receipts: see schema/seal.h for its lines. */
#ifndef KEYS_H
#define KEYS_H

#include "schema/seal.h"

/* Makes the file (mode 0600) with one new key unless it is there.  False: errno says why. */
bool keys_make(const char *path);

/* Reads it.  False: a sentence in `error`. */
bool keys_load(const char *path, struct seal_keys *keys, char *error, size_t error_size);

#endif
