#include "actors/broker/hosts.h"

#include <stdio.h>
#include <string.h>

#include "schema/id.h"

static bool number(const char **at, const char *end, uint32_t most, uint32_t *value) {
    const char *start = *at;
    *value = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *value <= most)
        *value = *value * 10 + (uint32_t)(*(*at)++ - '0');
    return *at > start && *value <= most;
}

static int32_t address_of(const char *at, size_t size) {
    for (uint32_t address = 1; address < ADDRESS_COUNT; address++) {
        const char *name = address_name((enum address)address);
        if (strlen(name) == size && memcmp(name, at, size) == 0) return (int32_t)address;
    }
    return 0;
}

int32_t hosts_read(struct text text, struct hosted rows[HOSTED_MAX]) {
    const char *at = text.at, *end = text.size > 0 ? text.at + text.size : text.at;
    int32_t count = 0;
    while (at < end) {
        const char *start = at;
        uint32_t shard = 0, node = 0, thread;
        while (at < end && *at != '@' && *at != '/' && *at != ' ')
            at++;
        int32_t address = address_of(start, (size_t)(at - start));
        if (at < end && *at == '/') {
            at++;
            if (!number(&at, end, SHARDS_MAX - 1, &shard)) return -1;
        }
        if (at == end || *at++ != '@' || !number(&at, end, UINT16_MAX, &thread)) return -1;
        if (at < end && *at == '.') {
            node = thread;
            at++;
            if (!number(&at, end, UINT8_MAX, &thread)) return -1;
        }
        if (thread > UINT8_MAX) return -1;
        if (at < end && *at++ != ' ') return -1;
        if (address == 0) continue;
        if (count == HOSTED_MAX) return -1;
        rows[count++] =
            (struct hosted){ (uint8_t)address, (uint8_t)shard, (uint8_t)thread, (uint16_t)node };
    }
    return count;
}

uint32_t hosts_write(char *to, uint32_t used, uint32_t capacity, const struct hosted *row) {
    char word[64], shard[8] = "", node[8] = "";
    if (address_is_sharded((enum address)row->address))
        snprintf(shard, sizeof shard, "/%u", row->shard);
    if (row->node != 0) snprintf(node, sizeof node, "%u.", row->node);
    int size = snprintf(word, sizeof word, "%s%s@%s%u", address_name((enum address)row->address),
                        shard, node, row->thread);
    uint32_t blank = used > 0 ? 1 : 0;
    if (used + blank + (uint32_t)size > capacity) return used;
    if (blank) to[used] = ' ';
    memcpy(to + used + blank, word, (size_t)size);
    return used + blank + (uint32_t)size;
}

uint32_t hosts_ranges(uint64_t bits, char *to) {
    uint32_t size = 0;
    for (uint32_t first = 0; first < 64; first++) {
        if ((bits >> first & 1) == 0) continue;
        uint32_t last = first;
        while (last + 1 < 64 && (bits >> (last + 1) & 1) != 0)
            last++;
        const char *comma = size > 0 ? "," : "";
        size +=
            (uint32_t)(last > first ? snprintf(to + size, 200 - size, "%s%u-%u", comma, first, last)
                                    : snprintf(to + size, 200 - size, "%s%u", comma, first));
        first = last;
    }
    return size;
}
