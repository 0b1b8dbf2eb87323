#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <zmq.h>

#include "broker/beat.h"
#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/host_internal.h"
#include "broker/log.h"
#include "broker/socket.h"

enum { FDS_MAX = 512, MS = HOST_MS };

/* ---- Links between threads ---- */

static void send_parcels(struct thread *thread) {
    for (uint32_t i = 0; i < thread->host->thread_count; i++) {
        struct parcel *parcel = thread->outgoing[i];
        if (parcel == NULL) continue;
        CRASH_POINT(host_sending);
        if (zmq_send(thread->push[i], &parcel, sizeof parcel, ZMQ_DONTWAIT) < 0) {
            continue; /* Full: it stays and grows until the other side has read. */
        }
        CRASH_POINT(host_sent);
        thread->outgoing[i] = NULL;
    }
}

static void take_all(struct thread *thread, struct batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++)
        route_arrived(thread, &batch->items[i]);
}

static bool receive_parcels(struct thread *thread) {
    struct parcel *parcel;
    bool any = false;
    while (zmq_recv(thread->pull, &parcel, sizeof parcel, ZMQ_DONTWAIT) == sizeof parcel) {
        any = true;
        CRASH_POINT(host_received);
        take_all(thread, &parcel->batch);
        parcel_back(parcel);
    }
    return any;
}

/* ---- Other nodes ---- */

static bool receive_links(struct thread *thread) {
    if (thread->links == NULL) return false;
    bool any = thread->host->links->receive(thread->links, thread->now, &thread->inbox);
    take_all(thread, &thread->inbox);
    batch_reset(&thread->inbox);
    return any;
}

/* A new map: shards come here or go. */
static void follow_map(struct thread *thread) {
    struct host *host = thread->host;
    if (host->placement == NULL) return;
    if (!placement_read(host->placement, &thread->map_version, &thread->map)) return;
    if (thread->links != NULL) host->links->follow(thread->links, &thread->map);
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        struct seat *seat = thread->seats[i];
        if (!seat_may_sleep(seat)) continue;
        struct placement_seat to = placement_map_seat(&thread->map, seat->address, seat->shard);
        bool ours = to.node != NODE_NONE && to.node == host->node;
        if (ours == (seat_phase(seat) != SEAT_asleep)) continue;
        log_info("host", "placed by the map", LOG_TEXT("seat", seat->name), LOG_BOOL("awake", ours),
                 LOG_I64("map", (int64_t)thread->map.number), LOG_END);
        if (!ours) {
            seat_sleep(thread, seat);
        } else if (!thread->told_stop) {
            seat_start(seat);
            seat_handle_started(thread, seat);
        }
    }
}

/* ---- Turns ---- */

/* One turn over all seats; true when there is more to do at once. */
static bool turn(struct thread *thread) {
    bool more = false;
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        if (seat_turn(thread, thread->seats[i])) more = true;
    }
    return more;
}

/* Messages sent in a turn to seats already served in it. */
static bool anything_waiting(const struct thread *thread) {
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        const struct seat *seat = thread->seats[i];
        if (seat_backlog(seat) == 0) continue;
        if (seat->actor != NULL ? seat_phase(seat) == SEAT_up : seat->type->ready(seat->port)) {
            return true;
        }
    }
    return false;
}

/* ---- Waiting ---- */

/* Until the seat wants its turn; -1 = not by itself. */
static int64_t seat_timeout(const struct thread *thread, const struct seat *seat) {
    if (seat->actor == NULL) return seat->type->timeout(seat->port, thread->now);
    enum seat_phase phase = seat_phase(seat);
    if (phase == SEAT_asleep || (phase == SEAT_up && seat->actor->tick_every == 0)) return -1;
    int64_t next =
        phase == SEAT_down ? seat->restart_at - thread->mono : seat->next_tick - thread->now;
    return next > 0 ? next : 0;
}

static int64_t until_next(struct thread *thread) {
    int64_t wait = 100 * MS; /* The end of the process is noticed this late at most. */
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        int64_t next = seat_timeout(thread, thread->seats[i]);
        if (next >= 0 && next < wait) wait = next;
    }
    if (thread->links != NULL) {
        int64_t next = thread->host->links->timeout(thread->links, thread->now);
        if (next >= 0 && next < wait) wait = next;
    }
    for (uint32_t i = 0; i < thread->host->thread_count; i++) {
        if (thread->outgoing[i] != NULL && wait > MS) wait = MS;
    }
    return wait;
}

static void wait_for(struct thread *thread, int64_t wait) {
    struct pollfd fds[FDS_MAX];
    uint32_t count = socket_poll(thread->pull, fds, FDS_MAX);
    if (socket_readable(thread->pull)) return;
    if (thread->links != NULL) {
        count += thread->host->links->poll(thread->links, fds + count, FDS_MAX - count);
    }
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        struct seat *seat = thread->seats[i];
        if (seat->port == NULL || seat == thread->waiter) continue;
        count += seat->type->poll(seat->port, fds + count, FDS_MAX - count);
    }
    if (thread->waiter != NULL) {
        thread->waiter->type->wait(thread->waiter->port, fds, count, wait);
    } else {
        struct timespec limit = { wait / 1000000000, wait % 1000000000 };
        ppoll(fds, count, &limit, NULL);
    }
}

/* ---- The loop ---- */

static void start_all(struct thread *thread) {
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        struct seat *seat = thread->seats[i];
        if (seat->actor != NULL && seat_phase(seat) != SEAT_asleep)
            seat_handle_started(thread, seat);
    }
}

static void stop_all(struct thread *thread) {
    thread->told_stop = true;
    for (uint32_t i = 0; i < thread->seat_count; i++) {
        struct seat *seat = thread->seats[i];
        if (seat_phase(seat) != SEAT_asleep) seat_tell_stop(thread, seat);
    }
}

/* Whoever serves PORT_pg_shop keeps the process's worker id leased; the answer goes to nobody. */
static void renew_lease(struct thread *thread) {
    struct host *host = thread->host;
    struct seat *seat = thread->lessee;
    if (seat == NULL || host->renew_every == 0 || thread->now < thread->next_renewal) return;
    thread->next_renewal = thread->now + host->renew_every;
    host->lease.now = thread->now;
    host->lease.until = thread->now + host->lease_life;
    struct message message = { { .type = MSG_worker_lease, .to = PORT_pg_shop }, &host->lease };
    batch_append(&seat->waiting, &message);
}

static void take_news(void *context, const struct news *news) {
    struct thread *thread = context;
    thread->keys = news->keys;
    for (uint32_t i = 0; i < thread->seat_count; i++)
        seat_take_news(thread, thread->seats[i], news);
}

void *thread_main(void *argument) {
    struct thread *thread = argument;
    /* Named after its first seat (15 bytes at most), for top, perf and the bench. */
    char name[16];
    snprintf(name, sizeof name, "%.15s", thread->seat_count > 0 ? thread->seats[0]->name : "empty");
    pthread_setname_np(pthread_self(), name);
    thread->now = clock_now();
    thread->mono = clock_mono();
    start_all(thread);
    while (!atomic_load_explicit(&thread->host->ending, memory_order_relaxed)) {
        int64_t mono = clock_mono();
        thread->now = clock_onward(thread->now, clock_now(), mono - thread->mono);
        thread->mono = mono;
        beat(thread->index, mono);
        news_take(&thread->news_seen, take_news, thread);
        if (!thread->told_stop && atomic_load(&thread->host->stopping)) stop_all(thread);
        follow_map(thread);
        renew_lease(thread);
        bool more = receive_parcels(thread);
        if (receive_links(thread)) more = true;
        if (turn(thread)) more = true;
        letters_send(thread);
        send_parcels(thread);
        if (thread->links != NULL) thread->host->links->flush(thread->links, thread->now);
        if (!more && !anything_waiting(thread)) wait_for(thread, until_next(thread));
    }
    beat_end(thread->index);
    return NULL;
}
