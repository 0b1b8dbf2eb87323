#include "broker/host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <zmq.h>

#include "broker/clock.h"
#include "broker/figures.h"
#include "broker/host_internal.h"
#include "broker/log.h"
#include "config/config.h"

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

/* ---- Seats ---- */

static void name_seat(struct seat *seat, const struct host_setup *setup) {
    const char *name = address_name(seat->address);
    bool told_apart = setup->actor.shards > 1 && address_is_sharded(seat->address);
    snprintf(seat->name, sizeof seat->name, told_apart ? "%s-%u" : "%s", name, seat->shard);
}

static void measure_seat(struct seat *seat) {
    const char *name = address_name(seat->address);
    char shard[4];
    snprintf(shard, sizeof shard, "%u", seat->shard);
    const char *labels[] = { "address", name, "shard", shard, NULL };
    if (!address_is_sharded(seat->address)) labels[2] = NULL;
    seat->handled = metrics_counter("messages_handled_total", "Messages handled.", labels);
    if (seat->actor != NULL) {
        seat->crashes = metrics_counter("actor_crashes_total", "Assertions that failed in actors.",
                                        METRIC_LABELS("address", name));
    }
    seat->depth = metrics_gauge("mailbox_depth", "Messages waiting.", labels);
    seat->wait = metrics_histogram("mailbox_wait_seconds",
                                   "How long the oldest message of a batch has waited.",
                                   METRIC_seconds, METRIC_LABELS("address", name));
    if (seat->address == ACTOR_inventory || seat->address == PORT_redis)
        seat->expired = metrics_counter("messages_expired_total",
                                        "Purchases that came too late: nobody waited any more.",
                                        METRIC_LABELS("address", name));
    figures_open(seat->address, seat->shard);
}

static bool open_seat(struct host *self, struct seat *seat, const struct host_place *from,
                      const struct host_setup *setup) {
    struct seat **at = &self->at[from->address][from->shard];
    assert(*at == NULL && from->thread < HOST_THREADS_MAX);
    assert(from->shard == 0 || address_is_sharded(from->address));
    *seat = (struct seat){ .address = from->address,
                           .shard = from->shard,
                           .thread = from->thread,
                           .actor = from->actor,
                           .type = from->port };
    *at = seat;
    self->seat_count++;
    name_seat(seat, setup);
    measure_seat(seat);
    if (from->thread + 1 > self->thread_count) self->thread_count = from->thread + 1;
    struct thread *thread = &self->threads[from->thread];
    if (setup->keys != NULL) thread->keys = *setup->keys;
    if (from->actor != NULL) {
        assert(from->actor->address == from->address);
        seat->setup = setup->actor;
        seat->setup.shard = from->shard;
        seat->setup.keys = &thread->keys;
        if (self->placement != NULL && seat_may_sleep(seat))
            atomic_store(&seat->phase, SEAT_asleep);
        else
            seat_start(seat);
        return true;
    }
    struct port_setup port = { .config = setup->config,
                               .keys = &thread->keys,
                               .self = from->address,
                               .shard = from->shard,
                               .node = self->node,
                               .name = seat->name };
    seat->port = from->port->open(&port);
    return seat->port != NULL;
}

/* Gives each thread its seats, in the order of addresses, then shards. */
static void deal_seats(struct host *self) {
    for (uint32_t i = 0; i < self->thread_count; i++) {
        self->threads[i].seats = calloc(self->seat_count, sizeof(struct seat *));
        if (self->threads[i].seats == NULL) abort();
    }
    for (uint32_t address = 0; address < ADDRESS_COUNT; address++) {
        for (uint32_t shard = 0; shard < SHARDS_MAX; shard++) {
            struct seat *seat = self->at[address][shard];
            if (seat == NULL) continue;
            struct thread *thread = &self->threads[seat->thread];
            thread->seats[thread->seat_count++] = seat;
            if (address == PORT_pg_shop) thread->lessee = seat;
            if (seat->port == NULL || seat->type->wait == NULL) continue;
            assert(thread->waiter == NULL);
            thread->waiter = seat;
        }
    }
}

/* ---- Opening ---- */

static void measure_host(struct host *self) {
    self->refused = metrics_counter("mailbox_refused_total",
                                    "Requests answered overloaded because a mailbox was full.",
                                    METRIC_NO_LABELS);
    self->stray = metrics_counter("stray_messages_total", "Messages to an address not served here.",
                                  METRIC_NO_LABELS);
    self->sleeping_refused = metrics_counter(
        "asleep_refused_total",
        "Requests answered recovering because their shard is not awake here.", METRIC_NO_LABELS);
    self->sleeping_dropped = metrics_counter(
        "asleep_dropped_total",
        "Other messages to a shard that is not awake here; they come again.", METRIC_NO_LABELS);
    self->link_refused = metrics_counter("link_refused_total",
                                         "Requests answered overloaded or unavailable because they "
                                         "could not leave for another node.",
                                         METRIC_NO_LABELS);
    self->down_refused = metrics_counter(
        "crashed_refused_total",
        "Requests answered unavailable because their actor crashed and has not restarted yet.",
        METRIC_NO_LABELS);
    self->down_dropped = metrics_counter(
        "crashed_dropped_total",
        "Other messages dropped because a crashed actor's mailbox is full.", METRIC_NO_LABELS);
    self->letters = metrics_counter(
        "dead_letters_total", "Messages with which an actor crashed alone.", METRIC_NO_LABELS);
    self->letters_dropped = metrics_counter(
        "dead_letters_dropped_total", "Dead letters not kept because too many wait for the broker.",
        METRIC_NO_LABELS);
    self->link_lost = metrics_counter(
        "link_lost_total", "Other messages lost with the node they were for; they come again.",
        METRIC_NO_LABELS);
}

static void take_setup(struct host *self, const struct host_setup *setup) {
    self->config = setup->config;
    self->node = setup->actor.node;
    self->lease = setup->lease;
    self->lease_life = setup->lease_life;
    self->renew_every = setup->renew_every;
    self->placement = setup->placement;
    self->links = setup->links;
    self->mailbox_max = (uint32_t)setup->config->host_mailbox_max;
    self->batch_max = (uint32_t)setup->config->host_batch_max;
}

static bool open_all(struct host *self, const struct host_setup *setup) {
    self->seats = calloc(setup->place_count, sizeof *self->seats);
    if (self->seats == NULL) abort();
    for (uint32_t i = 0; i < setup->place_count; i++) {
        if (!open_seat(self, &self->seats[i], &setup->places[i], setup)) return false;
    }
    deal_seats(self);
    if (!open_links(self)) {
        log_error("host", "could not open the links", LOG_ERRNO("error", errno), LOG_END);
        return false;
    }
    uint32_t slots = (uint32_t)setup->config->trace_ring;
    for (uint32_t i = 0; i < self->thread_count && slots > 0; i++) {
        self->threads[i].ring = trace_ring_open(slots);
        if (self->threads[i].ring == NULL) return false;
    }
    for (uint32_t i = 0; i < self->thread_count && self->links != NULL; i++) {
        self->threads[i].links = self->links->open(setup->links_context, i);
        if (self->threads[i].links == NULL) return false;
    }
    return true;
}

struct host *host_open(const struct host_setup *setup) {
    struct host *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    take_setup(self, setup);
    measure_host(self);
    self->zmq = zmq_ctx_new();
    zmq_ctx_set(self->zmq, ZMQ_IO_THREADS, 1);
    if (!open_all(self, setup)) {
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
    control_attach(self);
    return self;
}

/* ---- Ending ---- */

static bool has_something_left(const struct seat *seat) {
    if (seat->address != ACTOR_order && seat->address != PORT_http) return false;
    return seat_phase(seat) != SEAT_asleep && !atomic_load(&seat->stopped);
}

static bool anything_left(const struct host *self) {
    for (uint32_t i = 0; i < self->seat_count; i++) {
        if (has_something_left(&self->seats[i])) return true;
    }
    return false;
}

bool host_drain(struct host *self, int64_t limit) {
    int64_t end = clock_mono() + limit;
    atomic_store(&self->stopping, true);
    while (anything_left(self)) {
        if (clock_mono() > end) return false;
        nanosleep(&(struct timespec){ 0, 2 * HOST_MS }, NULL);
    }
    return true;
}

/* What nobody reads any more. */
static void free_parcels(struct thread *thread) {
    struct parcel *parcel;
    while (thread->pull != NULL && zmq_recv(thread->pull, &parcel, sizeof parcel, ZMQ_DONTWAIT) > 0)
        parcel_free(parcel);
    for (uint32_t k = 0; k < HOST_THREADS_MAX; k++)
        parcel_free(thread->outgoing[k]);
}

static void close_thread(struct host *self, struct thread *thread) {
    parcel_stock_fini(&thread->parcels);
    if (thread->links != NULL) self->links->close(thread->links);
    if (thread->pull != NULL) zmq_close(thread->pull);
    for (uint32_t k = 0; k < HOST_THREADS_MAX; k++) {
        if (thread->push[k] != NULL) zmq_close(thread->push[k]);
    }
    batch_fini(&thread->out);
    batch_fini(&thread->inbox);
    batch_fini(&thread->letters);
    trace_ring_close(thread->ring);
    free(thread->seats);
}

static void close_seat(struct seat *seat) {
    if (seat->port != NULL) seat->type->close(seat->port);
    if (seat->state != NULL) munmap(seat->state, seat->actor->state_size);
    batch_fini(&seat->waiting);
    batch_fini(&seat->working);
}

void host_close(struct host *self) {
    if (self == NULL) return;
    control_detach(self);
    atomic_store(&self->ending, true);
    for (uint32_t i = 0; i < HOST_THREADS_MAX; i++) {
        if (self->threads[i].started) pthread_join(self->threads[i].id, NULL);
    }
    for (uint32_t i = 0; i < HOST_THREADS_MAX; i++)
        free_parcels(&self->threads[i]);
    for (uint32_t i = 0; i < HOST_THREADS_MAX; i++)
        close_thread(self, &self->threads[i]);
    for (uint32_t i = 0; i < self->seat_count; i++)
        close_seat(&self->seats[i]);
    if (self->zmq != NULL) zmq_ctx_term(self->zmq);
    free(self->seats);
    free(self);
}
