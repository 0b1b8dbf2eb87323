/* Who serves what, as text: `bridge@0 http@0 order/0@1 catalogue@2` - an address, where there are
 * shards the shard, and the thread of the node that hosts it.  In a map a node's number stands
 * before the thread: `order/0@17.1`. */
#ifndef HOSTS_H
#define HOSTS_H

#include "actors/actor.h"

enum { HOSTED_MAX = 256 };

struct hosted {
    uint8_t address, shard, thread;
    uint16_t node; /* 0 = not said. */
};

/* Reads at most HOSTED_MAX words; -1 when one of them is none.  Addresses that this version does
 * not know are passed over: the node may be newer. */
int32_t hosts_read(struct text text, struct hosted rows[HOSTED_MAX]);

/* Appends one word and a blank before it, if there is room; returns the new size of the text. */
uint32_t hosts_write(char *to, uint32_t used, uint32_t capacity, const struct hosted *row);

/* "0-3,5" from the bits; returns its size.  `to` has room for 200 bytes. */
uint32_t hosts_ranges(uint64_t bits, char *to);

#endif
