/* What happens, in the printed form: for traces, stories and failures. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

static bool about(const struct world *self, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    const struct pg_order *order = NULL;
    int64_t rid = 0, id = self->trace_order;
    if (id == 0) return true;
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->kind == KIND_id && field_number(field, message->body) == id) return true;
        if (field->kind == KIND_rid) rid = field_number(field, message->body);
        if (rid != 0 && (order = model_pg_order_of(self->pg, rid)) != NULL) {
            if (order->order_id == id) return true;
        }
    }
    for (uint32_t i = 0; rid != 0 && i < self->rid_count; i++) {
        if (self->rids[i].rid == rid && self->rids[i].order_id == id) return true;
    }
    if (message->head.to == PORT_http || message->head.from == PORT_http) {
        uint64_t number = message->head.request;
        if (number >= 1 && number <= self->request_count) {
            return self->tickets[self->requests[number - 1].ticket].order_id == id;
        }
    }
    return false;
}

static void say_time(const struct world *self) {
    int64_t at = self->now - SIM_START;
    if (self->story) {
        fprintf(self->trace, "[%5" PRId64 "] ", (self->now - self->story_began) / SIM_MS);
    } else {
        fprintf(self->trace, "%8" PRIu64 " [%12.6f] ", self->step, (double)(at / 1000) / 1000000.0);
    }
}

/* Times are told in milliseconds since the story began, with a sign. */
static void print_story(const struct world *self, const struct message_type *type,
                        const void *body) {
    char *line = NULL, *end;
    size_t size = 0;
    FILE *to = open_memstream(&line, &size);
    if (to == NULL) abort();
    message_print(to, type, body);
    fclose(to);
    for (const char *at = line; *at != 0;) {
        bool number = *at >= '0' && *at <= '9' && at > line && at[-1] == '=';
        int64_t value = number ? strtoll(at, &end, 10) : 0;
        if (value >= SIM_START && value - SIM_START < 3600 * SIM_SECOND) {
            fprintf(self->trace, "+%" PRId64, (value - self->story_began) / SIM_MS);
            at = end;
        } else {
            fputc(*at++, self->trace);
        }
    }
    free(line);
}

/* What goes on all the time and is no part of a story: hints, levels, reads that find nothing. */
static bool is_housekeeping(const struct message *message) {
    switch (message->head.type) {
    case MSG_tick:
    case MSG_lot_hint:
    case MSG_lot_level:
    case MSG_lot_set:
    case MSG_meta_read:
    case MSG_shard_get:
    case MSG_shard_row:
    case MSG_redis_up:
    case MSG_epoch_use:
    case MSG_installed:
    case MSG_journal_read:
    case MSG_payments_due:
    case MSG_deadlines_load:
    case MSG_sale_rows_get:
    case MSG_lot_rows_get:
    case MSG_catalogue_check:
    case MSG_revoked_load: return true;
    case MSG_rows_end: return BODY(message, rows_end)->what != MSG_shard_recover;
    case MSG_reserve: return BODY(message, reserve)->kind == reserve_kind_probe;
    case MSG_failed: return BODY(message, failed)->id == ID_MAX; /* Of such a probe. */
    default: return false;
    }
}

void tell_message(const struct world *self, const struct message *message, const char *fate) {
    enum message_id type = (enum message_id)message->head.type;
    if (self->trace == NULL || !about(self, message)) return;
    if (self->story && is_housekeeping(message)) return;
    say_time(self);
    fprintf(self->trace, "%-9s > %-9s  ", address_name((enum address)message->head.from),
            address_name((enum address)message->head.to));
    if (self->story)
        print_story(self, message_type(type), message->body);
    else
        message_print(self->trace, message_type(type), message->body);
    fprintf(self->trace, "%s\n", fate);
}

void world_note(struct world *self, const char *format, ...) {
    va_list arguments;
    if (self->trace == NULL) return;
    say_time(self);
    fprintf(self->trace, "-- ");
    va_start(arguments, format);
    vfprintf(self->trace, format, arguments);
    va_end(arguments);
    fputc('\n', self->trace);
}

void world_fail(struct world *self, const char *rule, int64_t order_id, const char *format, ...) {
    va_list arguments;
    if (self->failure.is) return;
    self->failure =
        (struct failure){ .is = true, .rule = rule, .order_id = order_id, .step = self->step };
    va_start(arguments, format);
    vsnprintf(self->failure.text, sizeof self->failure.text, format, arguments);
    va_end(arguments);
    world_note(self, "%s: %s", rule, self->failure.text);
}
