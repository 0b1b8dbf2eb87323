#include "schema/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "schema/wire.h"

enum { VERSION = 1, PREFIX = 7, RAW_MAX = 288 };

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool parse_key(struct seal_keys *keys, const char *at, size_t size) {
    size_t i = 0;
    uint64_t id = 0;
    while (i < size && at[i] >= '0' && at[i] <= '9' && id <= UINT32_MAX)
        id = id * 10 + (uint64_t)(at[i++] - '0');
    if (i == 0 || id == 0 || id > UINT32_MAX || i >= size || at[i] != ' ') return false;
    at += i + 1;
    size -= i + 1;
    while (size > 0 && (at[size - 1] == '\r' || at[size - 1] == ' '))
        size--;
    if (size != 2 * SEAL_KEY_BYTES || keys->count == SEAL_KEYS_MAX) return false;
    for (uint32_t k = 0; k < keys->count; k++) {
        if (keys->key[k].id == id) return false;
    }
    keys->key[keys->count].id = (uint32_t)id;
    for (i = 0; i < SEAL_KEY_BYTES; i++) {
        int high = hex_digit(at[2 * i]), low = hex_digit(at[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        keys->key[keys->count].bytes[i] = (uint8_t)(high << 4 | low);
    }
    keys->signing = keys->count++;
    return true;
}

bool seal_keys_parse(struct seal_keys *keys, const char *text, size_t size, uint32_t *line) {
    memset(keys, 0, sizeof *keys);
    *line = 0;
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        ++*line;
        if (length > 0 && text[0] != '#' && !parse_key(keys, text, length)) return false;
        size_t step = end ? length + 1 : length;
        text += step;
        size -= step;
    }
    return keys->count > 0;
}

/* Of base64url (RFC 4648, 5), by character; 64 = no digit. */
/* clang-format off */
static const uint8_t digits64[128] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
    64,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
};
/* clang-format on */

/* Without padding, in its one form: bits beyond the last byte are 0.  A table, where libsodium's
 * takes the same time for all texts: what is decoded came from outside and is no secret, and this
 * stands twice in every purchase.  False: not base64url, or longer than `most` bytes. */
static bool decode64(struct text from, uint8_t *to, size_t most, size_t *size) {
    uint32_t bits = 0, have = 0;
    *size = (size_t)from.size * 3 / 4;
    if (*size > most || from.size % 4 == 1) return false;
    for (uint32_t i = 0; i < from.size; i++) {
        unsigned char byte = (unsigned char)from.at[i];
        if (byte >= sizeof digits64 || digits64[byte] == 64) return false;
        bits = bits << 6 | digits64[byte];
        have += 6;
        if (have < 8) continue;
        have -= 8;
        *to++ = (uint8_t)(bits >> have);
    }
    return (bits & ((1U << have) - 1)) == 0;
}

static void put_big(uint8_t *to, uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static void make_mac(const uint8_t *key, const uint8_t *bytes, size_t size, uint8_t *mac) {
    crypto_generichash(mac, SEAL_MAC_BYTES, bytes, size, key, SEAL_KEY_BYTES);
}

uint32_t seal_write(const struct seal_keys *keys, enum message_id claims, const void *body,
                    char *to) {
    uint8_t raw[RAW_MAX];
    assert(keys->count > 0);
    raw[0] = VERSION;
    put_big(raw + 1, keys->key[keys->signing].id, 4);
    put_big(raw + 5, (uint32_t)claims, 2);
    size_t size =
        wire_encode(message_type(claims), body, raw + PREFIX, sizeof raw - PREFIX - SEAL_MAC_BYTES);
    assert(size > 0 && "claims are small");
    size += PREFIX;
    make_mac(keys->key[keys->signing].bytes, raw, size, raw + size);
    size += SEAL_MAC_BYTES;
    sodium_bin2base64(to, SEAL_TEXT_MAX + 1, raw, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return (uint32_t)strlen(to);
}

bool seal_read(const struct seal_keys *keys, enum message_id claims, struct text sealed,
               void *body) {
    uint8_t raw[RAW_MAX], mac[SEAL_MAC_BYTES];
    size_t size = 0;
    const struct field *culprit;
    if (sealed.size == 0 || sealed.size > SEAL_TEXT_MAX) return false;
    if (!decode64(sealed, raw, sizeof raw, &size)) return false;
    if (size < PREFIX + 1 + SEAL_MAC_BYTES || raw[0] != VERSION) return false;
    uint32_t id = (uint32_t)raw[1] << 24 | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 8 | raw[4];
    uint32_t number = (uint32_t)raw[5] << 8 | raw[6];
    size -= SEAL_MAC_BYTES;
    for (uint32_t k = 0; k < keys->count; k++) {
        if (keys->key[k].id != id) continue;
        make_mac(keys->key[k].bytes, raw, size, mac);
        if (sodium_memcmp(mac, raw + size, SEAL_MAC_BYTES) != 0) return false;
        /* Claims hold numbers only: nothing points into raw afterwards. */
        assert(message_type(claims)->text_count == 0);
        return number == (uint32_t)claims &&
               wire_decode(message_type(claims), raw + PREFIX, size - PREFIX, body, &culprit) ==
                   PROBLEM_none;
    }
    return false;
}
