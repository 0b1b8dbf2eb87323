/* Signing and checking what the sandbox provider and we say to each other. */
#include "broker/pay/signature.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAC_SIZE = crypto_auth_hmacsha256_BYTES, SECONDS_DIGITS_MAX = 12 };

struct header {
    char seconds_text[SECONDS_DIGITS_MAX + 1]; /* As it came: the MAC is over these bytes. */
    int64_t seconds;
    uint8_t macs[SIGNATURE_V1_MAX][MAC_SIZE];
    size_t mac_count;
};

static void mac(struct secret secret, const char *seconds, const void *body, size_t size,
                uint8_t out[MAC_SIZE]) {
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, secret.at, secret.size);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)seconds, strlen(seconds));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    if (size > 0) crypto_auth_hmacsha256_update(&state, body, size);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

void signature_make(struct secret secret, const void *body, size_t size, int64_t seconds,
                    char out[SIGNATURE_SIZE]) {
    char text[24];
    char hex[2 * MAC_SIZE + 1];
    uint8_t code[MAC_SIZE];

    (void)snprintf(text, sizeof text, "%" PRId64, seconds);
    mac(secret, text, body, size, code);
    sodium_bin2hex(hex, sizeof hex, code, sizeof code);
    int length = snprintf(out, SIGNATURE_SIZE, "t=%s,v1=%s", text, hex);
    assert(length > 0 && length < SIGNATURE_SIZE);
}

static bool read_seconds(const char *at, size_t size, struct header *out) {
    if (out->seconds_text[0] != '\0' || size == 0 || size > SECONDS_DIGITS_MAX) return false;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        out->seconds = out->seconds * 10 + (at[i] - '0');
    }
    memcpy(out->seconds_text, at, size);
    return true;
}

static bool read_mac(const char *at, size_t size, struct header *out) {
    size_t length = 0;

    if (out->mac_count == SIGNATURE_V1_MAX || size != 2 * MAC_SIZE) return false;
    if (sodium_hex2bin(out->macs[out->mac_count], MAC_SIZE, at, size, NULL, &length, NULL) != 0) {
        return false;
    }
    out->mac_count++;
    return length == MAC_SIZE;
}

static bool read_header(const char *header, struct header *out) {
    memset(out, 0, sizeof *out);
    if (header == NULL || strnlen(header, SIGNATURE_HEADER_MAX + 1) > SIGNATURE_HEADER_MAX) {
        return false;
    }
    for (const char *at = header;;) {
        size_t size = strcspn(at, ",");
        const char *equals = memchr(at, '=', size);
        if (equals == NULL) return false;
        size_t name = (size_t)(equals - at);
        size_t value = size - name - 1;
        if (name == 1 && at[0] == 't') {
            if (!read_seconds(equals + 1, value, out)) return false;
        } else if (name == 2 && memcmp(at, "v1", 2) == 0) {
            if (!read_mac(equals + 1, value, out)) return false;
        } /* Other schemes are not for us. */
        if (at[size] == '\0') break;
        at += size + 1;
    }
    return out->seconds_text[0] != '\0' && out->mac_count > 0;
}

enum signature_verdict signature_check(const struct secret *secrets, size_t secret_count,
                                       const void *body, size_t size, const char *header,
                                       int64_t seconds, int64_t tolerance) {
    struct header told;
    bool good = false;

    if (!read_header(header, &told)) return SIGNATURE_malformed;
    for (size_t i = 0; i < secret_count; i++) {
        uint8_t right[MAC_SIZE];
        if (secrets[i].size == 0) continue; /* Everybody knows the empty secret. */
        mac(secrets[i], told.seconds_text, body, size, right);
        for (size_t k = 0; k < told.mac_count; k++) {
            if (sodium_memcmp(right, told.macs[k], MAC_SIZE) == 0) good = true;
        }
        sodium_memzero(right, sizeof right);
    }
    if (!good) return SIGNATURE_wrong;
    if (told.seconds < seconds - tolerance) return SIGNATURE_stale;
    if (told.seconds > seconds + tolerance) return SIGNATURE_future;
    return SIGNATURE_good;
}
