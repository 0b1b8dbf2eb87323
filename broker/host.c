#include "broker/host.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <zmq.h>

#include "broker/batch.h"
#include "broker/clock.h"
#include "broker/frame.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/ready.h"
#include "config/config.h"

enum { PORT_ROOM = 4096, FDS_MAX = 64, MS = 1000000 };

/* An address served by a thread. */
struct seat {
    enum address address;
    const struct actor_type *actor;
    void *state;
    const struct port_type *type;
    struct port *port;
    struct batch waiting; /* What arrived; becomes `working` when that is done. */
    struct batch working;
    uint32_t cursor; /* Next message of working. */
    int64_t next_tick;
    struct metric_counter *handled;
    struct metric_gauge *depth;
};

struct thread {
    struct host *host;
    uint32_t index;
    pthread_t id;
    bool started, told_stop;
    struct seat *seats[ADDRESS_COUNT]; /* By address; NULL = elsewhere. */
    void *pull;
    void *push[HOST_THREADS_MAX];
    struct frame outgoing[HOST_THREADS_MAX];
    struct batch out;   /* What the handler of this moment sends. */
    struct batch inbox; /* What one frame brought. */
    int64_t now, next_renewal;
    int64_t mono; /* When `now` was read. */
};

struct host {
    const struct config *config;
    void *zmq;
    struct thread threads[HOST_THREADS_MAX];
    uint32_t thread_count;
    int8_t where[ADDRESS_COUNT]; /* Thread of an address, -1 = nowhere. */
    struct seat seats[ADDRESS_COUNT];
    uint32_t mailbox_max, batch_max;
    struct worker_lease lease;
    int64_t lease_life, renew_every;
    atomic_bool stopping, ending;
    atomic_uint stopped; /* Bit per address that has nothing left. */
    struct metric_counter *refused, *stray;
};

static uint32_t backlog(const struct seat *seat) {
    return seat->waiting.count + seat->working.count - seat->cursor;
}

/* ---- Delivery ---- */

/* Requests from the edge may be refused; their sender's answer path is known. */
static bool refusable(const struct head *head) {
    enum address from = (enum address)head->from, origin = (enum address)head->origin;
    if (origin == NOBODY) return false;
    if (from == PORT_http || from == ACTOR_bridge || from == PORT_door) return true;
    /* A look-up that a shopper waits for: only it is piled up by a store that hangs. */
    return head->type == MSG_order_find && (origin == PORT_http || origin == ACTOR_bridge);
}

static void deliver(struct thread *thread, const struct message *message);

static void refuse(struct thread *thread, const struct head *head) {
    struct failed body = { .problem = PROBLEM_overloaded, .what = head->type, .retry_after = 1 };
    struct message answer = { *head, &body };
    answer.head.type = MSG_failed;
    answer.head.from = head->to;
    answer.head.to = head->origin;
    metric_add(thread->host->refused, 1);
    deliver(thread, &answer);
}

static void to_mailbox(struct thread *thread, struct seat *seat, const struct message *message) {
    if (backlog(seat) >= thread->host->mailbox_max && refusable(&message->head)) {
        refuse(thread, &message->head);
    } else {
        batch_append(&seat->waiting, message);
    }
}

static void deliver(struct thread *thread, const struct message *message) {
    struct host *host = thread->host;
    uint8_t to = message->head.to;
    if (to == NOBODY) {
        if (message->head.type == MSG_stopped) {
            atomic_fetch_or(&host->stopped, 1U << message->head.from);
        } else if (message->head.type == MSG_ready) {
            ready_set(address_name((enum address)message->head.from), BODY(message, ready)->yes);
        }
        return;
    }
    if (thread->seats[to] != NULL) {
        to_mailbox(thread, thread->seats[to], message);
    } else if (host->where[to] >= 0) {
        frame_append(&thread->outgoing[host->where[to]], message);
    } else {
        metric_add(host->stray, 1);
        log_warn("host", "no such address here", LOG_TEXT("to", address_name((enum address)to)),
                 LOG_I64("type", message->head.type), LOG_END);
    }
}

static void deliver_all(struct thread *thread) {
    for (uint32_t i = 0; i < thread->out.count; i++)
        deliver(thread, &thread->out.items[i]);
    batch_reset(&thread->out);
}

/* ---- Links between threads ---- */

static void send_frames(struct thread *thread) {
    for (uint32_t i = 0; i < thread->host->thread_count; i++) {
        struct frame *frame = &thread->outgoing[i];
        if (frame->count == 0) continue;
        if (zmq_send(thread->push[i], frame->bytes, frame->size, ZMQ_DONTWAIT) < 0) {
            continue; /* Full: it stays and grows until the other side has read. */
        }
        frame->size = 0;
        frame->count = 0;
    }
}

static bool receive_frames(struct thread *thread) {
    bool any = false;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, thread->pull, ZMQ_DONTWAIT) >= 0) {
        any = true;
        if (!frame_read(zmq_msg_data(&frame), zmq_msg_size(&frame), &thread->inbox)) {
            log_error("host", "frame is malformed", LOG_END);
            assert(0 && "frames inside a process are our own");
        }
        for (uint32_t i = 0; i < thread->inbox.count; i++)
            deliver(thread, &thread->inbox.items[i]);
        batch_reset(&thread->inbox);
    }
    zmq_msg_close(&frame);
    return any;
}

/* ---- Actors and ports ---- */

/* The next messages of the mailbox; 0 when there are none. */
static uint32_t take_slice(struct seat *seat, uint32_t most, const struct message **items) {
    if (seat->cursor == seat->working.count) {
        batch_reset(&seat->working);
        seat->cursor = 0;
        struct batch swap = seat->working;
        seat->working = seat->waiting;
        seat->waiting = swap;
    }
    uint32_t count = seat->working.count - seat->cursor;
    if (count > most) count = most;
    *items = seat->working.items + seat->cursor;
    seat->cursor += count;
    return count;
}

static void handle_with(struct thread *thread, struct seat *seat, const struct message *items,
                        uint32_t count) {
    const struct actor_type *actor = seat->actor;
    struct outbox out = batch_outbox(&thread->out, seat->address, 0, count * actor->sends_max);
    actor->handle(seat->state, items, count, thread->now, &out);
    if (actor->check != NULL) actor->check(seat->state);
    metric_add(seat->handled, count);
    deliver_all(thread);
}

static void tick_actor(struct thread *thread, struct seat *seat) {
    if (seat->actor->tick_every == 0 || thread->now < seat->next_tick) return;
    seat->next_tick = thread->now + seat->actor->tick_every;
    struct tick body = { 0 };
    struct message tick = { { .type = MSG_tick, .to = (uint8_t)seat->address }, &body };
    handle_with(thread, seat, &tick, 1);
}

static bool turn_actor(struct thread *thread, struct seat *seat) {
    const struct message *items;
    uint32_t most = seat->actor->batch_max;
    if (most > thread->host->batch_max) most = thread->host->batch_max;
    uint32_t count = take_slice(seat, most, &items);
    if (count > 0) handle_with(thread, seat, items, count);
    tick_actor(thread, seat);
    return backlog(seat) > 0;
}

static bool turn_port(struct thread *thread, struct seat *seat) {
    const struct port_type *type = seat->type;
    if (type->ready(seat->port)) {
        const struct message *items;
        uint32_t count = take_slice(seat, type->batch_max, &items);
        if (count > 0) {
            struct outbox out = batch_outbox(&thread->out, seat->address, 0, PORT_ROOM + 8 * count);
            type->handle(seat->port, items, count, thread->now, &out);
            metric_add(seat->handled, count);
            deliver_all(thread);
        }
    }
    struct outbox out = batch_outbox(&thread->out, seat->address, 0, PORT_ROOM);
    type->step(seat->port, thread->now, &out);
    bool full = out.count >= PORT_ROOM / 2;
    deliver_all(thread);
    return full || (backlog(seat) > 0 && type->ready(seat->port));
}

/* One turn over all seats; true when there is more to do at once. */
static bool turn(struct thread *thread) {
    bool more = false;
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        struct seat *seat = thread->seats[address];
        if (seat == NULL) continue;
        if (seat->actor != NULL ? turn_actor(thread, seat) : turn_port(thread, seat)) more = true;
        metric_set(seat->depth, backlog(seat));
    }
    return more;
}

/* Messages sent in a turn to seats already served in it. */
static bool anything_waiting(const struct thread *thread) {
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        const struct seat *seat = thread->seats[address];
        if (seat == NULL || backlog(seat) == 0) continue;
        if (seat->actor != NULL || seat->type->ready(seat->port)) return true;
    }
    return false;
}

/* ---- Waiting ---- */

static int64_t until_next(struct thread *thread) {
    int64_t wait = 100 * MS; /* The end of the process is noticed this late at most. */
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        struct seat *seat = thread->seats[address];
        if (seat == NULL) continue;
        int64_t next = -1;
        if (seat->actor == NULL)
            next = seat->type->timeout(seat->port, thread->now);
        else if (seat->actor->tick_every != 0)
            next = seat->next_tick - thread->now;
        if (seat->actor != NULL && seat->actor->tick_every != 0 && next < 0) next = 0;
        if (next >= 0 && next < wait) wait = next;
    }
    for (uint32_t i = 0; i < thread->host->thread_count; i++) {
        if (thread->outgoing[i].count > 0 && wait > MS) wait = MS;
    }
    return wait;
}

/* ZMQ_FD is edge-triggered: it may stay silent while ZMQ_EVENTS says there is something. */
static bool link_readable(struct thread *thread) {
    int events = 0;
    size_t size = sizeof events;
    zmq_getsockopt(thread->pull, ZMQ_EVENTS, &events, &size);
    return (events & ZMQ_POLLIN) != 0;
}

static void wait_for(struct thread *thread, int64_t wait) {
    struct pollfd fds[FDS_MAX];
    uint32_t count = 1;
    struct seat *waiter = NULL;
    size_t size = sizeof fds[0].fd;
    fds[0].events = POLLIN;
    zmq_getsockopt(thread->pull, ZMQ_FD, &fds[0].fd, &size);
    if (link_readable(thread)) return;
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        struct seat *seat = thread->seats[address];
        if (seat == NULL || seat->port == NULL) continue;
        if (seat->type->wait != NULL)
            waiter = seat;
        else
            count += seat->type->poll(seat->port, fds + count, FDS_MAX - count);
    }
    if (waiter != NULL) {
        waiter->type->wait(waiter->port, fds, count, wait);
    } else {
        struct timespec limit = { wait / 1000000000, wait % 1000000000 };
        ppoll(fds, count, &limit, NULL);
    }
}

static void tell_all(struct thread *thread, enum message_id id) {
    struct stop body = { 0 }; /* started and stop both carry nothing. */
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        struct seat *seat = thread->seats[address];
        if (seat == NULL || (id == MSG_started && seat->actor == NULL)) continue;
        struct message message = { { .type = (uint16_t)id, .to = (uint8_t)address }, &body };
        batch_append(&seat->waiting, &message);
    }
}

/* Whoever serves PORT_pg_shop keeps the process's worker id leased; the answer goes to nobody. */
static void renew_lease(struct thread *thread) {
    struct host *host = thread->host;
    struct seat *seat = thread->seats[PORT_pg_shop];
    if (seat == NULL || host->renew_every == 0 || thread->now < thread->next_renewal) return;
    thread->next_renewal = thread->now + host->renew_every;
    host->lease.now = thread->now;
    host->lease.until = thread->now + host->lease_life;
    struct message message = { { .type = MSG_worker_lease, .to = PORT_pg_shop }, &host->lease };
    batch_append(&seat->waiting, &message);
}

static void *thread_main(void *argument) {
    struct thread *thread = argument;
    thread->now = clock_now();
    thread->mono = clock_mono();
    tell_all(thread, MSG_started);
    while (!atomic_load_explicit(&thread->host->ending, memory_order_relaxed)) {
        int64_t mono = clock_mono();
        thread->now = clock_onward(thread->now, clock_now(), mono - thread->mono);
        thread->mono = mono;
        if (!thread->told_stop && atomic_load(&thread->host->stopping)) {
            thread->told_stop = true;
            tell_all(thread, MSG_stop);
        }
        renew_lease(thread);
        bool more = receive_frames(thread);
        if (turn(thread)) more = true;
        send_frames(thread);
        if (!more && !anything_waiting(thread)) wait_for(thread, until_next(thread));
    }
    return NULL;
}

/* ---- Life ---- */

static bool open_links(struct host *self) {
    for (uint32_t i = 0; i < self->thread_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "inproc://thread-%u", i);
        int zero = 0;
        self->threads[i].pull = zmq_socket(self->zmq, ZMQ_PULL);
        zmq_setsockopt(self->threads[i].pull, ZMQ_LINGER, &zero, sizeof zero);
        if (zmq_bind(self->threads[i].pull, name) != 0) return false;
        for (uint32_t k = 0; k < self->thread_count; k++) {
            if (k == i) continue;
            self->threads[k].push[i] = zmq_socket(self->zmq, ZMQ_PUSH);
            zmq_setsockopt(self->threads[k].push[i], ZMQ_LINGER, &zero, sizeof zero);
            if (zmq_connect(self->threads[k].push[i], name) != 0) return false;
        }
    }
    return true;
}

/* These report by themselves; until then /readyz says no. */
static bool reports_ready(enum address address) {
    return address == ACTOR_bridge || address == ACTOR_inventory;
}

static void open_actor(struct seat *seat, const struct host_setup *setup) {
    struct actor_setup actor = setup->actor;
    randombytes_buf(actor.seed, sizeof actor.seed);
    /* Zeroed, and touched only where it is used: states hold their limits, not their loads. */
    seat->state = mmap(NULL, seat->actor->state_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (seat->state == MAP_FAILED) abort();
    seat->actor->init(seat->state, &actor);
}

static bool open_seat(struct host *self, const struct host_place *from,
                      const struct host_setup *setup) {
    struct seat *seat = &self->seats[from->address];
    const char *name = address_name(from->address);
    *seat = (struct seat){ .address = from->address, .actor = from->actor, .type = from->port };
    seat->handled = metrics_counter("messages_handled_total", "Messages handled.",
                                    METRIC_LABELS("address", name));
    seat->depth =
        metrics_gauge("mailbox_depth", "Messages waiting.", METRIC_LABELS("address", name));
    if (from->thread + 1 > self->thread_count) self->thread_count = from->thread + 1;
    self->where[from->address] = (int8_t)from->thread;
    self->threads[from->thread].seats[from->address] = seat;
    if (from->actor != NULL) {
        assert(from->actor->address == from->address);
        if (reports_ready(from->address)) ready_set(name, false);
        open_actor(seat, setup);
        return true;
    }
    struct port_setup port = { setup->config, setup->keys, from->address, setup->actor.shard };
    seat->port = from->port->open(&port);
    return seat->port != NULL;
}

struct host *host_open(const struct host_setup *setup) {
    struct host *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->config = setup->config;
    self->lease = setup->lease;
    self->lease_life = setup->lease_life;
    self->renew_every = setup->renew_every;
    self->mailbox_max = (uint32_t)setup->config->host_mailbox_max;
    self->batch_max = (uint32_t)setup->config->host_batch_max;
    self->refused = metrics_counter("mailbox_refused_total",
                                    "Requests answered overloaded because a mailbox was full.",
                                    METRIC_NO_LABELS);
    self->stray = metrics_counter("stray_messages_total", "Messages to an address not served here.",
                                  METRIC_NO_LABELS);
    memset(self->where, -1, sizeof self->where);
    self->zmq = zmq_ctx_new();
    zmq_ctx_set(self->zmq, ZMQ_IO_THREADS, 1);
    for (uint32_t i = 0; i < setup->place_count; i++) {
        if (!open_seat(self, &setup->places[i], setup)) {
            host_close(self);
            return NULL;
        }
    }
    if (!open_links(self)) {
        log_error("host", "could not open the links", LOG_ERRNO("error", errno), LOG_END);
        host_close(self);
        return NULL;
    }
    metrics_seal(); /* All ports are open; from here on the registry is read by threads. */
    for (uint32_t i = 0; i < self->thread_count; i++) {
        struct thread *thread = &self->threads[i];
        thread->host = self;
        thread->index = i;
        thread->started = pthread_create(&thread->id, NULL, thread_main, thread) == 0;
        if (!thread->started) abort();
    }
    return self;
}

bool host_drain(struct host *self, int64_t limit) {
    unsigned wanted = 0;
    if (self->where[ACTOR_order] >= 0) wanted |= 1U << ACTOR_order;
    if (self->where[PORT_http] >= 0) wanted |= 1U << PORT_http;
    int64_t end = clock_mono() + limit;
    atomic_store(&self->stopping, true);
    while ((atomic_load(&self->stopped) & wanted) != wanted) {
        if (clock_mono() > end) return false;
        nanosleep(&(struct timespec){ 0, 2 * MS }, NULL);
    }
    return true;
}

void host_close(struct host *self) {
    if (self == NULL) return;
    atomic_store(&self->ending, true);
    for (uint32_t i = 0; i < HOST_THREADS_MAX; i++) {
        if (self->threads[i].started) pthread_join(self->threads[i].id, NULL);
    }
    for (uint32_t i = 0; i < HOST_THREADS_MAX; i++) {
        struct thread *thread = &self->threads[i];
        if (thread->pull != NULL) zmq_close(thread->pull);
        for (uint32_t k = 0; k < HOST_THREADS_MAX; k++) {
            if (thread->push[k] != NULL) zmq_close(thread->push[k]);
            frame_fini(&thread->outgoing[k]);
        }
        batch_fini(&thread->out);
        batch_fini(&thread->inbox);
    }
    for (uint32_t i = 0; i < ADDRESS_COUNT; i++) {
        struct seat *seat = &self->seats[i];
        if (seat->port != NULL) seat->type->close(seat->port);
        if (seat->state != NULL) munmap(seat->state, seat->actor->state_size);
        batch_fini(&seat->waiting);
        batch_fini(&seat->working);
    }
    if (self->zmq != NULL) zmq_ctx_term(self->zmq);
    free(self);
}
