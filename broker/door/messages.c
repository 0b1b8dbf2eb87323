/* trace: what the host's rings know of an order's messages (broker/trace.h). */
#include "broker/door/door.h"
#include "broker/trace.h"

struct telling {
    struct port *door;
    const struct door_client *client;
};

static void tell(void *context, const struct trace_entry *entry) {
    const struct telling *self = context;
    const struct message_type *type = message_type((enum message_id)entry->type);
    char what[81], detail[40];
    snprintf(what, sizeof what, "%s > %s  %s", address_name((enum address)entry->from),
             address_name((enum address)entry->to), type != NULL ? type->name : "?");
    snprintf(detail, sizeof detail, "shard=%u", entry->shard);
    struct trace_row row = { .at = entry->at,
                             .source = text_of("message"),
                             .what = text_of(what),
                             .detail = text_of(detail),
                             .node = entry->node };
    door_send(self->door, self->client,
              &(struct message){ { .type = MSG_trace_row, .from = PORT_door }, &row });
}

void door_messages(struct port *self, const struct door_client *client, int64_t order_id) {
    struct telling telling = { self, client };
    trace_find((uint64_t)order_id, tell, &telling);
}
