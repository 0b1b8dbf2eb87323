#include "broker/link_head.h"

#include <endian.h>
#include <string.h>

enum { MAGIC = 0x4c424f44 }; /* "DOBL" */

static void put16(uint8_t *to, uint16_t value) {
    value = htole16(value);
    memcpy(to, &value, sizeof value);
}
static void put32(uint8_t *to, uint32_t value) {
    value = htole32(value);
    memcpy(to, &value, sizeof value);
}
static void put64(uint8_t *to, uint64_t value) {
    value = htole64(value);
    memcpy(to, &value, sizeof value);
}
static uint16_t get16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return le16toh(value);
}
static uint32_t get32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return le32toh(value);
}
static uint64_t get64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return le64toh(value);
}

void link_head_write(const struct link_head *self, uint8_t *to) {
    memset(to, 0, LINK_HEAD_SIZE);
    put32(to, MAGIC);
    to[4] = self->protocol_min;
    to[5] = self->protocol_max;
    to[6] = self->protocol;
    to[8] = self->from_thread;
    to[9] = self->to_thread;
    put16(to + 10, self->from_node);
    put16(to + 12, self->to_node);
    put32(to + 16, self->count);
    put32(to + 20, self->window);
    put64(to + 24, self->stream);
    put64(to + 32, self->first);
    put64(to + 40, self->ack_stream);
    put64(to + 48, self->ack);
    put64(to + 56, (uint64_t)self->sent_at);
}

bool link_head_read(struct link_head *self, const uint8_t *from, size_t size) {
    if (size < LINK_HEAD_SIZE || get32(from) != MAGIC) return false;
    *self = (struct link_head){ .protocol_min = from[4],
                                .protocol_max = from[5],
                                .protocol = from[6],
                                .from_thread = from[8],
                                .to_thread = from[9],
                                .from_node = get16(from + 10),
                                .to_node = get16(from + 12),
                                .count = get32(from + 16),
                                .window = get32(from + 20),
                                .stream = get64(from + 24),
                                .first = get64(from + 32),
                                .ack_stream = get64(from + 40),
                                .ack = get64(from + 48),
                                .sent_at = (int64_t)get64(from + 56) };
    return true;
}
