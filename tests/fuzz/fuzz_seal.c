/* Bytes as a token, ticket or receipt, and as a key file.  The first byte chooses.  A key that
 * nobody has signed with takes nothing; a sealed body that was altered in one place is not taken
 * either. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "schema/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good) {
    if (!good) abort();
}

static const enum message_id claims[] = { MSG_access_claims, MSG_ticket_claims,
                                          MSG_receipt_claims };

static struct seal_keys one_key(void) {
    struct seal_keys keys = { .count = 1 };
    keys.key[0].id = 1;
    memset(keys.key[0].bytes, 7, sizeof keys.key[0].bytes);
    return keys;
}

/* Our own MAC over the fuzzer's body: what the wire reader refuses must not crash behind it. */
static void as_signed(const uint8_t *data, size_t size, enum message_id id) {
    struct seal_keys keys = one_key();
    uint8_t raw[300] = { 1, 0, 0, 0, 1 };
    _Alignas(16) char body[1024] = { 0 };
    char text[SEAL_TEXT_MAX + 200];
    if (size > sizeof raw - 7 - SEAL_MAC_BYTES) return;
    raw[5] = (uint8_t)(id >> 8);
    raw[6] = (uint8_t)id;
    if (size > 0) memcpy(raw + 7, data, size);
    crypto_generichash(raw + 7 + size, SEAL_MAC_BYTES, raw, 7 + size, keys.key[0].bytes,
                       SEAL_KEY_BYTES);
    sodium_bin2base64(text, sizeof text, raw, 7 + size + SEAL_MAC_BYTES,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    bool good = seal_read(&keys, id, text_of(text), body);
    if (!good) return;
    text[size % strlen(text)] ^= 1; /* One bit of one letter. */
    must(!seal_read(&keys, id, text_of(text), body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seal_keys keys = one_key(), parsed;
    _Alignas(16) char body[1024] = { 0 };
    uint32_t line;
    if (sodium_init() < 0 || size < 1) return 0;
    enum message_id id = claims[data[0] / 3 % 3];
    struct text text = { (const char *)data + 1, (uint32_t)(size - 1) };
    switch (data[0] % 3) {
    case 0: must(!seal_read(&keys, id, text, body)); break;
    case 1: as_signed(data + 1, size - 1, id); break;
    default:
        if (seal_keys_parse(&parsed, text.at, text.size, &line))
            must(parsed.count > 0 && parsed.count <= SEAL_KEYS_MAX &&
                 parsed.signing < parsed.count);
        break;
    }
    return 0;
}
