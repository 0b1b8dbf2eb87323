#include <string.h>

#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/host.h"

/* Looks for the answer among what the port sent. */
static bool answered(struct batch *got, enum message_id expected, void *answer,
                     enum problem *problem) {
    for (uint32_t i = 0; i < got->count; i++) {
        const struct message *message = &got->items[i];
        if (message->head.type == expected) {
            memcpy(answer, message->body, message_type(expected)->size);
            *problem = PROBLEM_none;
            return true;
        }
        if (message->head.type == MSG_failed) *problem = BODY(message, failed)->problem;
    }
    return false;
}

bool host_call(const struct port_type *type, const struct port_setup *setup,
               enum message_id request, const void *body, enum message_id expected, void *answer,
               int64_t limit, enum problem *problem) {
    enum { ROOM = 256, STEP_NS = 20000000 };
    struct port *port = type->open(setup);
    struct batch got;
    bool found = false;
    int64_t end = clock_mono() + limit, again = 0;
    *problem = PROBLEM_unavailable;
    if (port == NULL) return false;
    batch_init(&got);
    struct message ask = { { .type = (uint16_t)request, .to = (uint8_t)setup->self }, body };
    /* The store may still be starting: a definite refusal ends it, being away does not. */
    while (!found && clock_mono() < end && *problem == PROBLEM_unavailable) {
        struct outbox out = batch_outbox(&got, setup->self, setup->shard, ROOM);
        if (clock_mono() >= again && type->ready(port)) {
            type->handle(port, &ask, 1, clock_now(), &out);
            again = clock_mono() + 10 * STEP_NS;
        }
        type->step(port, clock_now(), &out);
        found = answered(&got, expected, answer, problem);
        batch_reset(&got);
        if (found) break;
        struct pollfd fds[8];
        uint32_t count = type->poll(port, fds, 8);
        poll(fds, count, STEP_NS / 1000000);
    }
    batch_fini(&got);
    type->close(port);
    return found;
}
