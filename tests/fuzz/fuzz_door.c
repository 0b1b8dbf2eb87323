/* Bytes at the operators' door.  Byte 0: the role of who sends them; byte 1: what the record and
 * the actor say; the rest is the frame.  Nothing gets in that the role may not, nothing is carried
 * out that has to be in the record and is not, and no request stays behind. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/door/door.h"

enum { STEPS_MAX = 8, ROOM = 64 };

static const int64_t start = INT64_C(1800000000) * INT64_C(1000000000),
                     long_after = INT64_C(60) * INT64_C(1000000000);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct port *the_door(void) {
    static struct port *self;
    if (self != NULL) return self;
    self = calloc(1, sizeof *self); /* Without a socket: answers go nowhere, and are counted. */
    assert(self != NULL);
    self->shards = 4;
    self->refused = metrics_counter("door_refused_total", "Refused.", METRIC_NO_LABELS);
    self->forbidden = metrics_counter("door_forbidden_total", "Forbidden.", METRIC_NO_LABELS);
    self->commands = metrics_counter("door_commands_total", "Commands.", METRIC_NO_LABELS);
    batch_init(&self->incoming);
    batch_init(&self->letter);
    return self;
}

static bool answered_by(struct port *self, const struct message *asked, unsigned how,
                        struct batch *sent) {
    struct failed failed = { .problem = PROBLEM_unavailable, .what = asked->head.type };
    struct done done = { .what = asked->head.type, .id = 5, .count = 1 };
    struct rows_end end = { .what = asked->head.type };
    struct head head = asked->head;
    const void *body = &failed;
    head.from = head.to;
    head.to = PORT_door;
    head.type = MSG_failed;
    if (how == 1) head.type = MSG_done, body = &done;
    if (how == 2) head.type = MSG_rows_end, body = &end;
    if (how == 3) return false;
    struct outbox out = batch_outbox(sent, PORT_door, 0, ROOM);
    door_port.handle(self, &(struct message){ head, body }, 1, start, &out);
    return true;
}

/* The first message of what was sent must be what may be. */
static void allowed(const struct message *message, enum role role, bool recorded) {
    if (message->head.to == PORT_pg_shop && message->head.type == MSG_audit_begin) {
        assert(role > role_viewer && !recorded);
        assert(BODY(message, audit_begin)->role == role);
        return;
    }
    if (message->head.type == MSG_audit_end) {
        assert(recorded);
        return;
    }
    assert(role != role_none && message->head.origin == PORT_door);
    const struct door_command *command = door_command_of(message);
    if (message->head.type == MSG_order_cancel) return; /* order_withdraw, under way. */
    assert(command != NULL && door_allows(role, command));
    assert(recorded || !door_audited(command));
}

static void play(struct port *self, const struct door_client *client, unsigned how,
                 const uint8_t *bytes, size_t size) {
    struct batch sent, next;
    bool recorded = false;
    batch_init(&sent);
    batch_init(&next);
    batch_reset(&self->incoming);
    struct outbox out = batch_outbox(&sent, PORT_door, 0, ROOM);
    door_take(self, client, bytes, size, start, &out);
    for (int step = 0; step < STEPS_MAX && sent.count > 0; step++, how >>= 2) {
        assert(sent.count == 1);
        allowed(&sent.items[0], client->role, recorded);
        recorded = recorded || sent.items[0].head.type == MSG_audit_begin;
        batch_reset(&next);
        if (!answered_by(self, &sent.items[0], how & 3, &next)) break;
        struct batch swap = sent;
        sent = next;
        next = swap;
    }
    batch_reset(&sent);
    /* The record that nobody answers, the actor, the record again: one after the other. */
    for (int i = 1; i <= 3; i++) {
        out = batch_outbox(&sent, PORT_door, 0, ROOM);
        door_sweep(self, start + i * long_after, &out);
    }
    batch_fini(&sent);
    batch_fini(&next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum role roles[] = { role_none, role_viewer, role_operator, role_admin };
    struct port *self = the_door();
    struct door_client client = { .who = "otto", .identity_size = 5, .identity = "12345" };
    if (size < 2 || size > DOOR_REQUEST_MAX) return 0;
    client.role = roles[data[0] % 4];
    size_t rest = size - 2;
    uint8_t *copy = malloc(rest > 0 ? rest : 1); /* Its end is where the bytes end. */
    assert(copy != NULL);
    memcpy(copy, data + 2, rest);
    play(self, &client, data[1], copy, rest);
    free(copy);
    for (uint32_t i = 0; i < DOOR_REQUESTS_MAX; i++)
        assert(self->requests[i].stage == DOOR_free);
    return 0;
}
