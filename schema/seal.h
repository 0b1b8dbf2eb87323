/* Claims under a MAC: access tokens, tickets and receipts.
 *
 * Text form: base64url without padding of [1 byte version][4 bytes key id][2 bytes message number]
 * [wire body][16 bytes keyed BLAKE2b of all before].  Comparison in constant time.  Pure: no I/O,
 * no clock; whoever reads claims compares times himself.  Add a key everywhere, switch `signing`,
 * remove the old key after the longest life of what it signed. */
#ifndef SEAL_H
#define SEAL_H

#include "schema/schema.h"

enum { SEAL_KEYS_MAX = 8, SEAL_KEY_BYTES = 32, SEAL_MAC_BYTES = 16, SEAL_TEXT_MAX = 400 };

struct seal_keys {
    uint32_t count;
    uint32_t signing; /* Index of the key that signs. */
    struct {
        uint32_t id;
        uint8_t bytes[SEAL_KEY_BYTES];
    } key[SEAL_KEYS_MAX];
};

/* Reads lines `<id> <64 hex digits>`; the last line's key signs.  Lines that start with # and empty
 * lines are skipped.  False when a line is wrong (*line says which) or there is no key. */
bool seal_keys_parse(struct seal_keys *keys, const char *text, size_t size, uint32_t *line);

/* Writes the sealed claims, terminated, to `to` (SEAL_TEXT_MAX + 1 bytes).  Returns the length. */
uint32_t seal_write(const struct seal_keys *keys, enum message_id claims, const void *body,
                    char *to);

/* Reads and verifies.  False: not ours, altered, unknown key, or other claims than asked for. */
bool seal_read(const struct seal_keys *keys, enum message_id claims, struct text sealed,
               void *body);

#endif
