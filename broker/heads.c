#include "broker/heads.h"

#include <assert.h>

bool heads_put(struct heads *self, const struct head *head, uint64_t *tag) {
    if (self->count == HEADS_MAX) return false;
    for (uint32_t i = 0; i < HEADS_MAX; i++) {
        if (self->used[i]) continue;
        self->used[i] = true;
        self->heads[i] = *head;
        self->count++;
        *tag = i;
        return true;
    }
    return false;
}

struct message heads_take(struct heads *self, uint64_t tag) {
    assert(tag < HEADS_MAX && self->used[tag]);
    self->used[tag] = false;
    self->count--;
    return (struct message){ self->heads[tag], NULL };
}
