/* One request over the door, and its answer printed. */
#include <inttypes.h>
#include <string.h>

#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

static void print_for_people(const struct message_type *type, const void *from) {
    _Alignas(16) char body[BODY_MAX], at[TIMEFMT_SIZE];
    memcpy(body, from, type->size);
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->kind == KIND_time || field->kind == KIND_span) field_set_number(field, body, 0);
    }
    message_print(stdout, type, body);
    for (const struct field *field = type->fields; field->name; field++) {
        int64_t value = field_number(field, from);
        /* A lot is always on a shard, also on number 0. */
        if (value == 0 && type->id == MSG_lot_view && strcmp(field->name, "shard") == 0)
            fputs(" shard=0", stdout);
        if (value == 0) continue;
        if (field->kind == KIND_time) printf(" %s=%s", field->name, timefmt_write(value, at));
        if (field->kind == KIND_span) printf(" %s=%" PRId64 "s", field->name, value / 1000000000);
    }
}

void print_row(const struct options *options, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    if (options->json) {
        static char bytes[1 << 21];
        struct json_out json = { .at = bytes, .capacity = sizeof bytes };
        json_write_whole(&json, type, message->body);
        fwrite(bytes, 1, json.size, stdout);
    } else {
        print_for_people(type, message->body);
    }
    putchar('\n');
}

struct talking {
    const struct options *options;
    bool off;
};

static void each(void *context, const struct message *message) {
    struct talking *self = context;
    if (message->head.type == MSG_reconcile_view && BODY(message, reconcile_view)->off.size > 0)
        self->off = true; /* An account that is off. */
    if (message->head.type != MSG_done) print_row(self->options, message);
}

int talk(const struct options *options, const struct door_command *door, const void *body) {
    struct link link;
    struct talking talking = { .options = options };
    if (!link_to_door(&link, options)) return EXIT_failed;
    int code = link_ask(&link, door->message, body, door->answers, each, &talking);
    link_end(&link);
    return code == EXIT_done && talking.off ? EXIT_conflict : code;
}
