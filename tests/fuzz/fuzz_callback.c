/* Bytes as a provider's callback: the body signed as the provider would (first byte even), or the
 * signature's header itself.  What is taken must be whole and within bounds. */
#include <stdlib.h>
#include <string.h>

#include "broker/pay/sandbox.h"
#include "broker/pay/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t key[32] = { 1, 2, 3 };
    static const int64_t now = INT64_C(1790000000) * INT64_C(1000000000);
    const struct secret secret = { key, sizeof key };
    const struct sandbox_trust trust = { &secret, 1, "doorbuster", INT64_C(300000000000) };
    struct sandbox_callback callback;
    char header[1100] = "";
    if (size < 1 || size > 20000) return 0;
    if (data[0] % 2 == 0) {
        signature_make(secret, data + 1, size - 1, now / INT64_C(1000000000), header);
        if (sandbox_callback_parse(&trust, data + 1, size - 1, header, now, &callback) ==
                CALLBACK_good &&
            (callback.payment_id <= 0 ||
             memchr(callback.event_id, 0, sizeof callback.event_id) == NULL))
            abort();
        return 0;
    }
    size_t some = size - 1 < sizeof header - 1 ? size - 1 : sizeof header - 1;
    memcpy(header, data + 1, some);
    if (sandbox_callback_parse(&trust, "{}", 2, header, now, &callback) == CALLBACK_good) abort();
    return 0;
}
