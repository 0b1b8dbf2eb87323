/* A node before it has a host: its name, and its number from the broker. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/directory/directory.h"
#include "broker/frame.h"
#include "broker/log.h"
#include "broker/socket.h"
#include "config/config.h"

enum { ASK_EVERY_MS = 500, ASK_EVERY_MAX_MS = 5000, SLICE_MS = 100, HWM = 100 };
enum {
    MS = 1000000,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 2000,
    HANDSHAKE_MS = 3000,
    HEARTBEAT_MS = 1000
};

bool member_name(const struct config *config, char name[CURVE_NAME_SIZE]) {
    if (config->node_name[0] != 0) {
        snprintf(name, CURVE_NAME_SIZE, "%.*s", CURVE_NAME_SIZE - 1, config->node_name);
    } else {
        if (gethostname(name, CURVE_NAME_SIZE - 1) != 0) name[0] = 0;
        name[CURVE_NAME_SIZE - 1] = 0;
    }
    if (curve_name_valid(name, CURVE_NAME_SIZE - 1)) return true;
    log_error("member", "node.name must be letters, digits, '.', '_' and '-'", LOG_END);
    return false;
}

static bool fail(const char *why, const char *value) {
    log_error("member", "cannot reach the broker", LOG_TEXT("why", why), LOG_TEXT("value", value),
              LOG_END);
    return false;
}

static bool secure(void *dealer, const struct config *config, const char *name) {
    struct curve own, broker;
    char error[1200];
    const char *endpoint = config->broker_endpoint;
    if (strncmp(endpoint, "tcp://", 6) != 0) return true;
    socket_set(dealer, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    socket_set(dealer, ZMQ_HEARTBEAT_TIMEOUT, LINK_LIVENESS_MS);
    if (config->curve_file[0] == 0) {
        if (!curve_needed(endpoint, config->curve_loopback_plain)) return true;
        return fail("tcp needs CURVE: set curve.file, curve.nodes and curve.broker", endpoint);
    }
    if (!curve_load(config->curve_file, &own, error, sizeof error))
        return fail("curve.file cannot be used", error);
    if (strcmp(own.name, name) != 0)
        return fail("the name in curve.file must be node.name", own.name);
    if (!curve_load_public(config->curve_broker, &broker, error, sizeof error))
        return fail("curve.broker cannot be used", error);
    bool good = curve_connect(dealer, &own, broker.public_key);
    memset(&own, 0, sizeof own);
    return good || fail("CURVE cannot be used", endpoint);
}

void *member_connect(void *context, const struct config *config, const char *name) {
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    int64_t most = FRAME_MAX;
    socket_set(dealer, ZMQ_LINGER, (int)(config->host_linger / 1000000));
    socket_set(dealer, ZMQ_SNDHWM, HWM);
    socket_set(dealer, ZMQ_RCVHWM, HWM);
    socket_set(dealer, ZMQ_IMMEDIATE, 1);
    socket_set(dealer, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    socket_set(dealer, ZMQ_RECONNECT_IVL, RECONNECT_MS + (int)(clock_mono() / 1000 % RECONNECT_MS));
    socket_set(dealer, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (secure(dealer, config, name)) {
        if (zmq_connect(dealer, config->broker_endpoint) == 0) return dealer;
        fail(zmq_strerror(errno), config->broker_endpoint);
    }
    zmq_close(dealer);
    return NULL;
}

/* False: there is no connection. */
static bool ask(void *dealer, const char *name, int64_t run) {
    struct node_hello hello = { .name = text_of(name),
                                .run = run,
                                .protocol_min = PROTOCOL_OLDEST,
                                .protocol_max = PROTOCOL_NEWEST };
    struct frame frame = { 0 };
    frame_append(&frame,
                 &(struct message){ { .type = MSG_node_hello, .to = ACTOR_broker }, &hello });
    CRASH_POINT(join_asking);
    bool sent = zmq_send(dealer, frame.bytes, frame.size, ZMQ_DONTWAIT) >= 0;
    CRASH_POINT(join_asked);
    frame_fini(&frame);
    return sent;
}

/* The number if it has come; -1 when we are refused, 0 when there is nothing yet. */
static int32_t answer(void *dealer, int64_t run) {
    int32_t number = 0;
    struct batch got;
    zmq_msg_t part;
    batch_init(&got);
    zmq_msg_init(&part);
    while (number == 0 && zmq_msg_recv(&part, dealer, ZMQ_DONTWAIT) >= 0) {
        frame_read(zmq_msg_data(&part), zmq_msg_size(&part), &got);
        for (uint32_t i = 0; i < got.count && number == 0; i++) {
            const struct message *message = &got.items[i];
            if (message->head.type == MSG_node_welcome && BODY(message, node_welcome)->run == run) {
                number = (int32_t)BODY(message, node_welcome)->node;
            } else if (message->head.type == MSG_failed) {
                const struct failed *failed = BODY(message, failed);
                log_error("member", "the broker refuses this node",
                          LOG_SLICE("why", failed->detail.at, failed->detail.size), LOG_END);
                number = -1;
            }
        }
        batch_reset(&got);
    }
    zmq_msg_close(&part);
    batch_fini(&got);
    return number;
}

/* The next question is later the longer nobody answers. */
static int64_t back_off(const struct config *config, int64_t every, int64_t waited) {
    if (waited < LINK_LIVENESS_MS * INT64_C(1000000)) return every;
    log_warn("member", "waiting for the broker", LOG_TEXT("endpoint", config->broker_endpoint),
             LOG_END);
    return every * 2 < ASK_EVERY_MAX_MS ? every * 2 : ASK_EVERY_MAX_MS;
}

uint16_t member_join(const struct config *config, const char *name, int64_t run,
                     const sigset_t *stop) {
    void *context = zmq_ctx_new(), *dealer = member_connect(context, config, name);
    int64_t next = 0, every = ASK_EVERY_MS, began = clock_mono(), linked_at = began;
    int32_t number = 0;
    while (dealer != NULL && number == 0) {
        int64_t mono = clock_mono();
        bool sent = mono >= next && ask(dealer, name, run);
        if (sent || mono - linked_at > every * MS) {
            every = back_off(config, every, mono - began);
            /* ZeroMQ gives a socket up whose key was refused; it may be on the list by now. */
            if (!sent) zmq_close(dealer);
            if (!sent) dealer = member_connect(context, config, name);
            if (sent) next = mono + every * MS;
            linked_at = mono;
            if (dealer == NULL) break;
        }
        zmq_pollitem_t item = { .socket = dealer, .events = ZMQ_POLLIN };
        zmq_poll(&item, 1, SLICE_MS);
        number = answer(dealer, run);
        if (stop != NULL && sigtimedwait(stop, NULL, &(struct timespec){ 0 }) > 0) number = -1;
    }
    if (dealer != NULL) zmq_close(dealer);
    zmq_ctx_term(context);
    return number > 0 ? (uint16_t)number : 0;
}
