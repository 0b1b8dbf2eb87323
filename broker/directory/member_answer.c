/* What operators ask about a process. */
#include <string.h>

#include "broker/control.h"
#include "broker/directory/member.h"
#include "broker/metrics.h"
#include "broker/status_rows.h"
#include "broker/trace.h"

enum { ACTORS_MAX = 512, FIGURES_SIZE = 1 << 18 };

static void end(const struct message *in, uint32_t rows, struct outbox *out) {
    struct rows_end *body = REPLY(out, in, rows_end);
    body->what = in->head.type;
    body->count = rows;
}

static void list_actors(const struct message *in, const char *name, struct outbox *out) {
    static _Thread_local struct control_actor rows[ACTORS_MAX];
    uint32_t count = control_actors(rows, ACTORS_MAX), told = 0;
    if (count > ACTORS_MAX) count = ACTORS_MAX;
    for (uint32_t i = 0; i < count && outbox_room(out) > 8; i++, told++) {
        struct actor_row *row = REPLY(out, in, actor_row);
        row->node = text_of(name);
        row->actor = text_of(address_name(rows[i].address));
        row->shard = rows[i].shard;
        row->state = text_of(control_state_name(rows[i].state));
        row->depth = (int64_t)rows[i].depth;
        row->restarts = (int64_t)rows[i].restarts;
        row->handled = (int64_t)rows[i].handled;
    }
    end(in, told, out);
}

static void restart_actor(const struct message *in, struct outbox *out) {
    const struct actor_restart *restart = BODY(in, actor_restart);
    for (uint32_t address = 1; address < ADDRESS_COUNT; address++) {
        if (!text_is(restart->actor, address_name((enum address)address))) continue;
        if (!control_restart((enum address)address, (uint8_t)restart->shard)) break;
        REPLY(out, in, done)->what = in->head.type;
        return;
    }
    outbox_reply_failed(out, in, PROBLEM_not_found);
}

/* The figures of /metrics as rows. */
static void list_figures(const struct message *in, struct outbox *out) {
    static _Thread_local char text[FIGURES_SIZE];
    struct status_lines lines = { text, BODY(in, node_status)->buckets != 0 };
    struct status_row row;
    uint32_t rows = 0;
    metrics_write(text, sizeof text);
    for (; outbox_room(out) >= 8 && status_rows_next(&lines, &row); rows++)
        *REPLY(out, in, status_row) = row;
    end(in, rows, out);
}

/* ---- What the rings know of an order's messages ---- */

struct telling {
    const struct message *in;
    struct outbox *out;
    uint32_t rows;
};

static void tell(void *context, const struct trace_entry *entry) {
    struct telling *self = context;
    const struct message_type *type = message_type((enum message_id)entry->type);
    if (outbox_room(self->out) < 8) return;
    struct trace_row *row = REPLY(self->out, self->in, trace_row);
    row->at = entry->at;
    row->source = text_of("message");
    row->what =
        outbox_printf(self->out, "%s > %s  %s", address_name((enum address)entry->from),
                      address_name((enum address)entry->to), type != NULL ? type->name : "?");
    row->detail = outbox_printf(self->out, "shard=%u", entry->shard);
    row->node = entry->node;
    self->rows++;
}

static void list_messages(const struct message *in, struct outbox *out) {
    struct telling telling = { .in = in, .out = out };
    trace_find((uint64_t)BODY(in, node_trace)->order_id, tell, &telling);
    end(in, telling.rows, out);
}

void member_answer(const struct message *in, const char *name, struct outbox *out) {
    if (in->head.type == MSG_actor_list)
        list_actors(in, name, out);
    else if (in->head.type == MSG_actor_restart)
        restart_actor(in, out);
    else if (in->head.type == MSG_node_trace)
        list_messages(in, out);
    else
        list_figures(in, out);
}
