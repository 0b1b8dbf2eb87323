/* Bytes from another node: the head of a frame and its messages, as links take them in.  What is
 * taken is within bounds, and can be sent on to mean the same. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/frame.h"
#include "broker/link_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void head_alone(const uint8_t *data, size_t size) {
    struct link_head head, again;
    uint8_t first[LINK_HEAD_SIZE], second[LINK_HEAD_SIZE];
    if (!link_head_read(&head, data, size)) return;
    assert(size >= LINK_HEAD_SIZE);
    link_head_write(&head, first);
    assert(link_head_read(&again, first, sizeof first));
    link_head_write(&again, second);
    assert(memcmp(first, second, sizeof first) == 0);
}

/* What was taken can be sent on, and means the same at the next node. */
static void messages_alone(const uint8_t *data, size_t size) {
    struct batch batch, again;
    struct frame_skips skips = { 0 }, none = { 0 };
    struct frame frame = { 0 };
    batch_init(&batch);
    batch_init(&again);
    (void)frame_read_from(data, size, &batch, &skips);
    assert(batch.count + skips.unknown + skips.invalid <= size);
    for (uint32_t i = 0; i < batch.count; i++) {
        const struct head *head = &batch.items[i].head;
        assert(head->to < ADDRESS_COUNT && head->from < ADDRESS_COUNT &&
               head->origin < ADDRESS_COUNT && message_type((enum message_id)head->type) != NULL);
        frame_append(&frame, &batch.items[i]);
    }
    if (batch.count > 0) assert(frame_read_from(frame.bytes, frame.size, &again, &none));
    assert(again.count == batch.count && none.unknown == 0 && none.invalid == 0);
    for (uint32_t i = 0; i < batch.count; i++)
        assert(memcmp(&batch.items[i].head, &again.items[i].head, sizeof batch.items[i].head) == 0);
    frame_fini(&frame);
    batch_fini(&again);
    batch_fini(&batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1); /* Its end is where the bytes end. */
    assert(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    uint8_t *exact = realloc(copy, size > 0 ? size : 1);
    assert(exact != NULL);
    head_alone(exact, size);
    if (size >= LINK_HEAD_SIZE)
        messages_alone(exact + LINK_HEAD_SIZE, size - LINK_HEAD_SIZE);
    else
        messages_alone(exact, size);
    free(exact);
    return 0;
}
