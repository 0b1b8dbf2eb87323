/* One request over the door, and its answer printed. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "broker/clock.h"
#include "broker/frame.h"
#include "schema/json.h"
#include "schema/timefmt.h"
#include "tools/doorctl/doorctl.h"

static int exit_code(enum problem problem) {
    int http = problem_http(problem);
    if (http == 404) return EXIT_absent;
    if (http == 409) return EXIT_conflict;
    if (http == 503 || http == 429) return EXIT_away;
    if (http == 400 || http == 422) return EXIT_usage;
    return EXIT_failed;
}

static int print_failed(const struct failed *failed) {
    fprintf(stderr, "doorctl: %s", problem_title(failed->problem));
    if (failed->field.size > 0)
        fprintf(stderr, " (%.*s)", (int)failed->field.size, failed->field.at);
    if (failed->detail.size > 0)
        fprintf(stderr, ": %.*s", (int)failed->detail.size, failed->detail.at);
    fprintf(stderr, " [%s]\n", problem_name(failed->problem));
    return exit_code(failed->problem);
}

/* As traces are printed, but with times and spans as people write them. */
static void print_for_people(const struct message_type *type, const void *from) {
    _Alignas(16) char body[BODY_MAX], at[TIMEFMT_SIZE];
    memcpy(body, from, type->size);
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->kind == KIND_time || field->kind == KIND_span) field_set_number(field, body, 0);
    }
    message_print(stdout, type, body);
    for (const struct field *field = type->fields; field->name; field++) {
        int64_t value = field_number(field, from);
        if (value == 0) continue;
        if (field->kind == KIND_time) printf(" %s=%s", field->name, timefmt_write(value, at));
        if (field->kind == KIND_span) printf(" %s=%" PRId64 "s", field->name, value / 1000000000);
    }
}

/* Every field, CONTEXT ones too: operators see what is kept. */
static void print_row(const struct options *options, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    if (options->json) {
        static char bytes[1 << 20];
        struct json_out json = { .at = bytes, .capacity = sizeof bytes };
        json_write(&json, type, message->body);
        fwrite(bytes, 1, json.size, stdout);
    } else {
        print_for_people(type, message->body);
    }
    putchar('\n');
}

/* The answer's exit code, or -1 while more is to come. */
static int take(const struct options *options, const struct door *door,
                const struct message *message, int *code) {
    if (message->head.type == MSG_failed) return print_failed(BODY(message, failed));
    if (message->head.type == MSG_rows_end) return *code;
    if (message->head.type == MSG_reconcile_view && BODY(message, reconcile_view)->off.size > 0) {
        *code = EXIT_conflict; /* An account that is off. */
    }
    if (message->head.type != MSG_done) print_row(options, message);
    return door->answers == ONE ? *code : -1;
}

static int receive(const struct options *options, const struct door *door, void *socket) {
    int64_t end = clock_mono() + options->timeout_ms * 1000000;
    int code = EXIT_done, result = -1;
    struct batch batch;
    batch_init(&batch);
    while (result < 0) {
        int64_t left = (end - clock_mono()) / 1000000;
        zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
        if (left <= 0 || zmq_poll(&item, 1, (long)left) <= 0) {
            fprintf(stderr, "doorctl: no answer from %s\n", options->endpoint);
            result = EXIT_away;
            break;
        }
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0) {
            batch_reset(&batch);
            if (!frame_read(zmq_msg_data(&frame), zmq_msg_size(&frame), &batch))
                result = EXIT_failed;
            for (uint32_t i = 0; i < batch.count && result < 0; i++) {
                result = take(options, door, &batch.items[i], &code);
            }
        }
        zmq_msg_close(&frame);
    }
    batch_fini(&batch);
    return result;
}

int talk(const struct options *options, const struct door *door, const void *body) {
    struct frame frame = { 0 };
    int none = 0, result = EXIT_away;
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    if (zmq_connect(socket, options->endpoint) != 0) {
        fprintf(stderr, "doorctl: %s: %s\n", options->endpoint, zmq_strerror(errno));
    } else {
        frame_append(&frame, &(struct message){ { .type = (uint16_t)door->message }, body });
        if (zmq_send(socket, frame.bytes, frame.size, 0) >= 0) {
            result = receive(options, door, socket);
        }
    }
    frame_fini(&frame);
    zmq_close(socket);
    zmq_ctx_term(context);
    return result;
}
