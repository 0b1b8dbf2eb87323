/* What a hop between two threads costs: the same frames, with nobody deciding anything. */
#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/frame.h"
#include "tools/doorsim/bench/alone.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

struct side {
    void *pull, *push;
    struct batch in;
    struct frame out;
};

static bool open_side(struct side *self, void *zmq, const char *own, const char *other) {
    memset(self, 0, sizeof *self);
    batch_init(&self->in);
    self->pull = zmq_socket(zmq, ZMQ_PULL);
    self->push = zmq_socket(zmq, ZMQ_PUSH);
    return self->pull != NULL && self->push != NULL && zmq_bind(self->pull, own) == 0 &&
           zmq_connect(self->push, other) == 0;
}

static void close_side(struct side *self) {
    int at_once = 0;
    if (self->push != NULL) {
        zmq_setsockopt(self->push, ZMQ_LINGER, &at_once, sizeof at_once);
        zmq_close(self->push);
    }
    if (self->pull != NULL) zmq_close(self->pull);
    batch_fini(&self->in);
    frame_fini(&self->out);
}

static bool send_frame(struct side *self) {
    bool good = zmq_send(self->push, self->out.bytes, self->out.size, 0) >= 0;
    self->out.size = 0;
    self->out.count = 0;
    return good;
}

/* How many messages came; 0: the end. */
static uint32_t receive(struct side *self) {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    batch_reset(&self->in);
    if (zmq_msg_recv(&frame, self->pull, 0) > 0) {
        (void)frame_read(zmq_msg_data(&frame), zmq_msg_size(&frame), &self->in);
    }
    zmq_msg_close(&frame);
    return self->in.count;
}

/* Answers each reserve with an order view, until an empty frame comes. */
static void *answer(void *argument) {
    struct side *self = argument;
    struct order_view view;
    memset(&view, 0, sizeof view);
    while (receive(self) > 0) {
        for (uint32_t i = 0; i < self->in.count; i++) {
            const struct reserve *want = BODY(&self->in.items[i], reserve);
            struct message message = { self->in.items[i].head, &view };
            message.head.type = MSG_order_view;
            view.order_id = want->order_id;
            view.state = order_state_awaiting_payment;
            view.lot_id = want->lot_id;
            view.quantity = want->quantity;
            view.address = want->address;
            view.user_id = want->user_id;
            frame_append(&self->out, &message);
        }
        if (!send_frame(self)) break;
    }
    return NULL;
}

static void ask(struct side *self, uint32_t rows, uint64_t *request) {
    struct reserve want;
    memset(&want, 0, sizeof want);
    want.lot_id = INT64_C(1) << 60;
    want.quantity = 1;
    want.kind = reserve_kind_ordinary;
    want.address = text_of(ALONE_ADDRESS);
    for (uint32_t i = 0; i < rows; i++) {
        want.order_id = (INT64_C(1) << 60) + (int64_t)++ * request;
        want.user_id = (int64_t)*request;
        struct message message = { { .type = MSG_reserve,
                                     .from = ACTOR_bridge,
                                     .to = ACTOR_inventory,
                                     .origin = ACTOR_bridge,
                                     .request = *request },
                                   &want };
        frame_append(&self->out, &message);
    }
}

double alone_zmq_round(uint32_t rows, unsigned flight, int64_t ns) {
    struct side here, there;
    pthread_t thread;
    uint64_t request = 0, answered = 0;
    unsigned sent = 0;
    void *zmq = zmq_ctx_new();
    bool good = open_side(&here, zmq, "inproc://here", "inproc://there");
    good = open_side(&there, zmq, "inproc://there", "inproc://here") && good;
    bool started = good && pthread_create(&thread, NULL, answer, &there) == 0;
    int64_t began = clock_mono(), ends = began + ns, now = began;
    while (started && good && (now < ends || sent > 0)) {
        for (; good && sent < flight && now < ends; sent++) {
            ask(&here, rows, &request);
            good = send_frame(&here);
        }
        uint32_t count = good ? receive(&here) : 0;
        good = good && count == rows;
        answered += count;
        sent--;
        now = clock_mono();
    }
    if (started) {
        (void)zmq_send(here.push, "", 0, 0);
        pthread_join(thread, NULL);
    }
    close_side(&here);
    close_side(&there);
    zmq_ctx_term(zmq);
    if (!good) fprintf(stderr, "doorsim bench: frames went astray\n");
    return good ? (double)answered / ((double)(now - began) / 1e9) : -1;
}
