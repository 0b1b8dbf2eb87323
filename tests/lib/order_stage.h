/* A stage for tests of the order actor: a probe, and the parts that inventory, Redis and PostgreSQL
 * play around it.  Under epoch EPOCH; rows are named by their sequence numbers. */
#ifndef ORDER_STAGE_H
#define ORDER_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/order/order.h"
#include "schema/id.h"
#include "tests/lib/actor_probe.h"

#define MS INT64_C(1000000)
enum { LOT = 100, USER = 9, EPOCH = 5 };
static struct probe probe;

#define GIVE(from, name, ...) probe_give(&probe, (from), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define ANSWER_TO(message, name, ...)                                                              \
    probe_answer(&probe, (message), &(struct name){ __VA_ARGS__ }, MSG_##name)
#define SENT(to, name)   PROBE_SENT(&probe, (to), name, -1)
#define COUNT(to, name)  probe_count(&probe, (to), MSG_##name)
#define LAST(to, name)   (*probe_message(&probe, (to), MSG_##name, -1))
#define NTH(to, name, n) (*probe_message(&probe, (to), MSG_##name, (n)))

static inline struct order *self(void) {
    return probe.state;
}
static inline int64_t rid(uint64_t seq) {
    return rid_make(0, EPOCH, seq);
}

static inline int setup(void **state) {
    (void)state;
    probe_open(&probe, &order_type, NULL);
    GIVE(ACTOR_inventory, installed, .epoch = EPOCH);
    struct message read = LAST(ACTOR_inventory, journal_read); /* An install is looked at once. */
    read.head.to = PORT_redis;
    ANSWER_TO(&read, rows_end, .what = MSG_journal_read);
    probe_clear(&probe);
    return 0;
}
static inline int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}

static inline struct place place_of(uint64_t seq, uint64_t entry, uint32_t rows, int64_t order_id) {
    return (struct place){ .rid = rid(seq),
                           .entry = rid(entry),
                           .rows = rows,
                           .order_id = order_id,
                           .user_id = USER,
                           .lot_id = LOT,
                           .quantity = 2,
                           .kind = reserve_kind_ordinary,
                           .address = text_of("{\"city\":\"X\"}") };
}

/* Brought by inventory; the bridge waits under the request `seq`. */
static inline void place(uint64_t seq, uint64_t entry, uint32_t rows, int64_t order_id) {
    struct place body = place_of(seq, entry, rows, order_id);
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = seq, .node = 3, .trace = 77 };
    probe_give(&probe, ACTOR_inventory, &body, MSG_place);
    probe.head = (struct head){ 0 };
}

static inline void seen(uint64_t request, uint64_t seq, int64_t order_id) {
    struct place body = place_of(seq, 0, 0, order_id);
    body.entry = 0;
    body.seen = 1;
    probe.head = (struct head){ .origin = ACTOR_bridge, .request = request };
    probe_give(&probe, ACTOR_inventory, &body, MSG_place);
    probe.head = (struct head){ 0 };
}

/* PostgreSQL's answer about the row; the message's own head is that of its last purchase. */
static inline void decide(uint64_t seq, enum outcome outcome, enum problem reason,
                          enum order_state state, int64_t order_rid) {
    struct message ask = { 0 };
    for (uint32_t i = 0; i < probe.sent_count; i++) {
        const struct message *sent = &probe.sent[i];
        if (sent->head.type == MSG_purchase &&
            ((const struct purchase *)sent->body)->rid == rid(seq))
            ask = *sent;
    }
    assert_non_null(ask.body);
    const struct purchase *row = ask.body;
    ANSWER_TO(&ask, decided, .rid = row->rid, .outcome = outcome, .reason = reason,
              .order_id = row->order_id, .user_id = row->user_id, .lot_id = row->lot_id,
              .quantity = row->quantity, .state = state, .price = { 1999, "CNY" },
              .pay_by = probe.now + 60000 * MS, .created_at = probe.now, .order_rid = order_rid);
}
static inline void accept(uint64_t seq) {
    decide(seq, outcome_accepted, PROBLEM_none, order_state_awaiting_payment, rid(seq));
}
static inline void refuse(uint64_t seq, enum problem reason) {
    decide(seq, outcome_refused, reason, order_state_none, 0);
}

/* Redis gives rows of the journal, then the end. */
static inline void journal(const struct place *rows, uint32_t count) {
    struct message ask = LAST(ACTOR_inventory, journal_read);
    ask.head.to = PORT_redis; /* It answers the sender itself. */
    for (uint32_t i = 0; i < count; i++) {
        struct place row = rows[i];
        row.recovered = 1;
        probe_answer(&probe, &ask, &row, MSG_place);
    }
    ANSWER_TO(&ask, rows_end, .what = MSG_journal_read, .count = count);
}
static inline void settled(void) {
    struct message ask = LAST(ACTOR_inventory, settle);
    ask.head.to = PORT_redis;
    ANSWER_TO(&ask, done, .what = MSG_settle);
}
static inline void undone(void) {
    struct message ask = LAST(ACTOR_inventory, undo);
    int64_t undone_rid = ((const struct undo *)ask.body)->rid;
    ask.head.to = PORT_redis;
    ANSWER_TO(&ask, undone, .rid = undone_rid, .lot_id = LOT, .changed = 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
