#include <assert.h>

#include "broker/figures.h"
#include "broker/host_internal.h"
#include "broker/log.h"
#include "broker/ready.h"

/* Requests from the edge may be refused; their sender's answer path is known. */
static bool refusable(const struct head *head) {
    enum address from = (enum address)head->from, origin = (enum address)head->origin;
    if (origin == NOBODY || head->to == head->origin) return false; /* That is the answer itself. */
    if (from == PORT_http || from == ACTOR_bridge || from == PORT_door) return true;
    /* A look-up that a shopper waits for: only it is piled up by a store that hangs. */
    return head->type == MSG_order_find && (origin == PORT_http || origin == ACTOR_bridge);
}

bool route_refuse(struct thread *thread, const struct head *head, enum problem problem) {
    if (!refusable(head)) return false;
    struct failed body = { .problem = problem, .what = head->type, .retry_after = 1 };
    struct message answer = { *head, &body };
    answer.head.type = MSG_failed;
    answer.head.from = head->to;
    answer.head.to = head->origin;
    answer.head.deadline = 0;
    route(thread, &answer);
    return true;
}

/* ---- Here ---- */

static struct seat *seat_at(const struct host *host, uint32_t address, uint32_t shard) {
    uint32_t at = address_is_sharded((enum address)address) ? shard : 0;
    return address < ADDRESS_COUNT && at < SHARDS_MAX ? host->at[address][at] : NULL;
}

/* Here it is: in the mailbox, and in the trace. */
static void enter(struct thread *thread, struct seat *seat, const struct message *message) {
    if (message->head.trace != 0 && thread->ring != NULL) {
        trace_put(thread->ring, thread->now, &message->head);
    }
    if (seat->waiting.count == 0) seat->waiting_since = thread->mono;
    batch_append(&seat->waiting, message);
}

static void to_sleeping(struct thread *thread, const struct message *message) {
    if (route_refuse(thread, &message->head, PROBLEM_recovering))
        metric_add(thread->host->sleeping_refused, 1);
    else
        metric_add(thread->host->sleeping_dropped, 1);
}

/* It starts again in a moment: what nobody can repeat at once waits. */
static void to_crashed(struct thread *thread, struct seat *seat, const struct message *message) {
    if (route_refuse(thread, &message->head, PROBLEM_unavailable))
        metric_add(thread->host->down_refused, 1);
    else if (seat_backlog(seat) >= thread->host->mailbox_max)
        metric_add(thread->host->down_dropped, 1);
    else
        enter(thread, seat, message);
}

static void to_mailbox(struct thread *thread, struct seat *seat, const struct message *message) {
    if (seat_phase(seat) == SEAT_asleep) {
        to_sleeping(thread, message);
    } else if (seat_phase(seat) == SEAT_down) {
        to_crashed(thread, seat, message);
    } else if (seat_backlog(seat) >= thread->host->mailbox_max &&
               route_refuse(thread, &message->head, PROBLEM_overloaded)) {
        metric_add(thread->host->refused, 1);
    } else {
        enter(thread, seat, message);
    }
}

static void to_thread(struct thread *thread, uint32_t index, const struct message *message) {
    struct parcel **parcel = &thread->outgoing[index];
    if (*parcel == NULL) *parcel = parcel_take(&thread->parcels);
    batch_append(&(*parcel)->batch, message);
}

static void to_seat(struct thread *thread, struct seat *seat, const struct message *message) {
    if (seat->thread == thread->index)
        to_mailbox(thread, seat, message);
    else
        to_thread(thread, seat->thread, message);
}

/* What parts tell the host itself. */
static void to_host(struct thread *thread, const struct message *message) {
    const struct head *head = &message->head;
    struct seat *seat = seat_at(thread->host, head->from, head->shard);
    if (figures_take(message) || seat == NULL) return;
    if (head->type == MSG_stopped)
        atomic_store(&seat->stopped, true);
    else if (head->type == MSG_ready)
        ready_set(seat->name, BODY(message, ready)->yes);
}

/* ---- Elsewhere ---- */

static void stray(struct thread *thread, const struct message *message) {
    metric_add(thread->host->stray, 1);
    log_warn("host", "no such address here",
             LOG_TEXT("to", address_name((enum address)message->head.to)),
             LOG_I64("shard", message->head.shard), LOG_I64("type", message->head.type),
             LOG_HEX("trace", message->head.trace), LOG_END);
}

static bool by_link(struct thread *thread, struct placement_seat to,
                    const struct message *message) {
    struct host *host = thread->host;
    bool must = !refusable(&message->head);
    enum links_sent sent = host->links->send(thread->links, to.node, to.thread, message, must);
    if (sent == LINKS_SENT) return true;
    assert(sent != LINKS_FULL || !must);
    enum problem problem = sent == LINKS_FULL ? PROBLEM_overloaded : PROBLEM_unavailable;
    bool answered = route_refuse(thread, &message->head, problem);
    metric_add(answered ? host->link_refused : host->link_lost, 1);
    return false;
}

static struct placement_seat placed(const struct thread *thread, const struct head *head) {
    enum address to = (enum address)head->to;
    if (!address_is_by_node(to)) return placement_map_seat(&thread->map, to, head->shard);
    const struct placement_node *row = placement_map_find(&thread->map, head->node);
    if (row == NULL || row->thread[to] == PLACEMENT_NOWHERE) return (struct placement_seat){ 0 };
    return (struct placement_seat){ row->node, row->thread[to] };
}

static void to_other_node(struct thread *thread, const struct message *message) {
    struct host *host = thread->host;
    struct placement_seat seat = { 0 };
    if (message->head.to < ADDRESS_COUNT && thread->links != NULL) {
        seat = placed(thread, &message->head);
    }
    if (seat.node != NODE_NONE && seat.node != host->node) {
        by_link(thread, seat, message);
    } else if (thread->links == NULL) {
        stray(thread, message); /* In one process everything has a seat: a fault of ours. */
    } else {
        bool answered = route_refuse(thread, &message->head, PROBLEM_unavailable);
        metric_add(answered ? host->link_refused : host->link_lost, 1);
    }
}

/* News: to our own instance, and to every node that has one.  It stays marked as such, so that
 * nobody sends it on. */
static void to_every(struct thread *thread, const struct message *message) {
    uint8_t to = message->head.to;
    struct seat *seat = seat_at(thread->host, to, message->head.shard);
    if (seat != NULL) to_seat(thread, seat, message);
    if (thread->links == NULL) return;
    for (uint32_t i = 0; i < thread->map.node_count; i++) {
        const struct placement_node *row = &thread->map.nodes[i];
        if (row->node == thread->host->node || row->thread[to] == PLACEMENT_NOWHERE) continue;
        by_link(thread, (struct placement_seat){ row->node, row->thread[to] }, message);
    }
}

/* ---- Both ---- */

static bool is_here(const struct thread *thread, const struct seat *seat, const struct head *head) {
    if (seat == NULL) return false;
    if (thread->links == NULL) return true;
    if (address_is_by_node(seat->address)) {
        return head->node == NODE_NONE || head->node == thread->host->node;
    }
    /* As our map has it: the seat's own thread may read it a turn sooner or later. */
    return !seat_may_sleep(seat) ||
           placement_map_seat(&thread->map, seat->address, seat->shard).node == thread->host->node;
}

bool route_knows(const struct thread *thread, enum address address) {
    if (seat_at(thread->host, address, 0) != NULL) return true;
    struct head head = { .to = (uint8_t)address };
    return thread->links != NULL && placed(thread, &head).node != NODE_NONE;
}

void route(struct thread *thread, const struct message *message) {
    const struct head *head = &message->head;
    if (head->to == NOBODY) {
        to_host(thread, message);
    } else if (head->node == NODE_EVERY && address_is_by_node((enum address)head->to)) {
        to_every(thread, message);
    } else {
        struct seat *seat = seat_at(thread->host, head->to, head->shard);
        if (is_here(thread, seat, head))
            to_seat(thread, seat, message);
        else
            to_other_node(thread, message);
    }
}

void route_arrived(struct thread *thread, const struct message *message) {
    struct seat *seat = seat_at(thread->host, message->head.to, message->head.shard);
    if (seat != NULL)
        to_seat(thread, seat, message);
    else
        stray(thread, message);
}
