/* One request over the door, and its answer printed. */
#include <inttypes.h>
#include <string.h>

#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

static void print_value(FILE *to, const struct field *field, const void *body) {
    char at[TIMEFMT_SIZE];
    int64_t value = field_number(field, body);
    if (field->kind == KIND_time)
        fputs(timefmt_write(value, at), to);
    else if (field->kind == KIND_span)
        fprintf(to, "%" PRId64 "s", value / 1000000000);
    else
        field_print(to, field, body);
}

/* The fields that JSON has, in the same order. */
static void print_for_people(FILE *to, const struct message_type *type, const void *body) {
    fputs(type->name, to);
    for (const struct field *field = type->fields; field->name; field++) {
        if (!field_shown(field, body)) continue;
        fprintf(to, " %s=", field->name);
        print_value(to, field, body);
    }
}

void print_row(FILE *to, bool as_json, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    if (as_json) {
        static char bytes[1 << 21];
        struct json_out json = { .at = bytes, .capacity = sizeof bytes };
        json_write_whole(&json, type, message->body);
        fwrite(bytes, 1, json.size, to);
    } else {
        print_for_people(to, type, message->body);
    }
    fputc('\n', to);
}

struct talking {
    const struct options *options;
    bool off;
};

static void each(void *context, const struct message *message) {
    struct talking *self = context;
    if (message->head.type == MSG_reconcile_view && BODY(message, reconcile_view)->off.size > 0)
        self->off = true; /* An account that is off. */
    if (message->head.type != MSG_done) print_row(stdout, self->options->json, message);
}

int talk(const struct options *options, const struct door_command *door, const void *body) {
    struct link link;
    struct talking talking = { .options = options };
    int code = link_to_door(&link, options);
    if (code != EXIT_done) return code;
    code = link_ask(&link, door->message, body, door->answers, each, &talking);
    link_end(&link);
    return code == EXIT_done && talking.off ? EXIT_conflict : code;
}
