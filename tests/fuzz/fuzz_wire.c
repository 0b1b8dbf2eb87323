/* libFuzzer: bytes 0 and 1 pick the message, the rest is its body; the same bytes are tried as a
 * frame.  What decodes must encode and decode again. */
#include <assert.h>
#include <string.h>

#include "broker/frame.h"
#include "schema/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static uint8_t again[1 << 20];
    _Alignas(16) char body[4096], twice[4096];
    const struct field *culprit;
    if (size < 2) return 0;
    const struct message_type *type =
        &message_types()[((unsigned)bytes[0] << 8 | bytes[1]) % message_type_count()];
    if (wire_decode(type, bytes + 2, size - 2, body, &culprit) == PROBLEM_none) {
        size_t length = wire_encode(type, body, again, sizeof again);
        assert(length > 0);
        assert(wire_decode(type, again, length, twice, &culprit) == PROBLEM_none);
    }
    struct batch batch;
    batch_init(&batch);
    frame_read(bytes, size, &batch);
    batch_fini(&batch);
    return 0;
}
