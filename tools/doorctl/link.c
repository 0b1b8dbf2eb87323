/* The connection to the door: CURVE on every transport, and a watch on the handshake, so that a key
 * that is not welcome is told at once instead of "no answer". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/clock.h"
#include "broker/door/door.h"
#include "broker/frame.h"
#include "tools/doorctl/doorctl.h"

/* DIR/name where DIR is the folder of `path`. */
static void beside(const char *path, const char *name, char out[PATH_SIZE]) {
    const char *slash = strrchr(path, '/');
    int size = slash == NULL ? 0 : (int)(slash - path) + 1;
    if (snprintf(out, PATH_SIZE, "%.*s%s", size, path, name) >= PATH_SIZE) out[0] = 0;
}

static bool is_ipc(const char *endpoint) {
    return strncmp(endpoint, "ipc://", 6) == 0;
}

void find_door(struct options *options) {
    const char *door = getenv("DOORBUSTER_DOOR"), *key = getenv("DOORBUSTER_KEY");
    const char *door_key = getenv("DOORBUSTER_DOOR_KEY");
    if (door == NULL || door[0] == 0) door = "var/door.sock";
    if (options->endpoint[0] == 0)
        snprintf(options->endpoint, sizeof options->endpoint, "%s%s",
                 strstr(door, "://") ? "" : "ipc://", door);
    bool ipc = is_ipc(options->endpoint);
    if (options->key[0] == 0 && key != NULL) snprintf(options->key, sizeof options->key, "%s", key);
    if (options->key[0] == 0 && ipc) beside(options->endpoint + 6, "operators/admin", options->key);
    if (options->door_key[0] == 0 && door_key != NULL)
        snprintf(options->door_key, sizeof options->door_key, "%s", door_key);
    if (options->door_key[0] != 0) return;
    char ours[PATH_SIZE];
    beside(options->key, "door.key", ours);
    if (ipc) beside(options->endpoint + 6, "door.key", options->door_key);
    if (!ipc || (access(options->door_key, F_OK) != 0 && access(ours, F_OK) == 0))
        memcpy(options->door_key, ours, sizeof ours);
}

static int complain(const char *what, const char *why, int code) {
    fprintf(stderr, "doorctl: %s: %s\n", what, why);
    return code;
}

/* Beside its socket lies the key that the server made there at its first start: without it, no
 * server has been there, or its folder went away with it. */
static bool door_is_away(const struct options *options) {
    return is_ipc(options->endpoint) && access(options->door_key, F_OK) != 0 && errno == ENOENT;
}

static int identify(struct link *self) {
    const struct options *options = self->options;
    struct curve own, door;
    char error[1200];
    if (options->key[0] == 0)
        return complain("key", "say which, with --key or DOORBUSTER_KEY", EXIT_usage);
    if (door_is_away(options)) {
        fprintf(stderr, "doorctl: no server at %s: the door's key %s is not there\n",
                options->endpoint, options->door_key);
        return EXIT_away;
    }
    if (!curve_load(options->key, &own, error, sizeof error))
        return complain("key", error, EXIT_failed);
    if (!curve_load_public(options->door_key, &door, error, sizeof error)) {
        explicit_bzero(&own, sizeof own);
        return complain("the door's key", error, EXIT_failed);
    }
    bool good = curve_connect(self->socket, &own, door.public_key);
    explicit_bzero(&own, sizeof own);
    return good ? EXIT_done : complain("key", "this libzmq knows no CURVE", EXIT_failed);
}

int link_to_door(struct link *self, const struct options *options) {
    static const char watch[] = "inproc://watch";
    int none = 0, rows = DOOR_ROWS_MAX;
    *self = (struct link){ .context = zmq_ctx_new(), .options = options };
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    self->monitor = zmq_socket(self->context, ZMQ_PAIR);
    zmq_setsockopt(self->socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(self->socket, ZMQ_RCVHWM, &rows, sizeof rows);
    zmq_setsockopt(self->monitor, ZMQ_LINGER, &none, sizeof none);
    int code = identify(self);
    if (code == EXIT_done &&
        (zmq_socket_monitor(self->socket, watch,
                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) != 0 ||
         zmq_connect(self->monitor, watch) != 0 ||
         zmq_connect(self->socket, options->endpoint) != 0))
        code = complain(options->endpoint, zmq_strerror(errno), EXIT_failed);
    if (code != EXIT_done) link_end(self);
    return code;
}

void link_end(struct link *self) {
    if (self->context == NULL) return;
    zmq_socket_monitor(self->socket, NULL, 0);
    zmq_close(self->monitor);
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
    *self = (struct link){ 0 };
}

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

/* The door, or what answers in its place, did not want this key. */
static int refused_by(const struct link *self) {
    uint16_t event = 0;
    zmq_msg_t part;
    for (int more = 1; more;) {
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, self->monitor, ZMQ_DONTWAIT) < 0) more = 0;
        if (event == 0 && zmq_msg_size(&part) >= sizeof event)
            memcpy(&event, zmq_msg_data(&part), sizeof event);
        if (more) more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
    if (event == 0) return -1;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        fprintf(stderr, "doorctl: the door does not let this key in: %s\n", self->options->key);
    else
        fprintf(stderr, "doorctl: no door with the key %s answers at %s\n", self->options->door_key,
                self->options->endpoint);
    return EXIT_failed;
}

/* The answer's exit code, or -1 while more is to come. */
static int take_frame(struct link *self, struct batch *batch, enum door_answers answers,
                      void (*each)(void *, const struct message *), void *context) {
    zmq_msg_t frame;
    int result = -1;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, self->socket, ZMQ_DONTWAIT) >= 0) {
        batch_reset(batch);
        if (!frame_read(zmq_msg_data(&frame), zmq_msg_size(&frame), batch)) result = EXIT_failed;
        for (uint32_t i = 0; i < batch->count && result < 0; i++) {
            const struct message *message = &batch->items[i];
            if (message->head.type == MSG_failed) {
                result = print_failed(BODY(message, failed));
            } else if (message->head.type == MSG_rows_end) {
                result = EXIT_done;
            } else {
                each(context, message);
                if (answers == ONE) result = EXIT_done;
            }
        }
    }
    zmq_msg_close(&frame);
    return result;
}

int link_ask(struct link *self, enum message_id id, const void *body, enum door_answers answers,
             void (*each)(void *, const struct message *), void *context) {
    int64_t end = clock_mono() + self->options->timeout_ms * 1000000;
    int result = -1;
    struct frame frame = { 0 };
    struct batch batch;
    frame_append(&frame, &(struct message){ { .type = (uint16_t)id }, body });
    if (zmq_send(self->socket, frame.bytes, frame.size, ZMQ_DONTWAIT) < 0) result = EXIT_away;
    frame_fini(&frame);
    batch_init(&batch);
    while (result < 0) {
        int64_t left = (end - clock_mono()) / 1000000;
        zmq_pollitem_t items[2] = { { .socket = self->socket, .events = ZMQ_POLLIN },
                                    { .socket = self->monitor, .events = ZMQ_POLLIN } };
        if (left <= 0 || zmq_poll(items, 2, (long)left) <= 0) {
            fprintf(stderr, "doorctl: no answer from %s\n", self->options->endpoint);
            result = EXIT_away;
        } else if ((items[0].revents & ZMQ_POLLIN) != 0) {
            result = take_frame(self, &batch, answers, each, context);
        } else {
            result = refused_by(self);
        }
    }
    batch_fini(&batch);
    return result;
}
