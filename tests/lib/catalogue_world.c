#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/lib/moves.h"
#include "tests/lib/catalogue_world.h"

struct probe probe;
static uint32_t door_requests;

struct world world;

uint32_t count(enum address to, enum message_id id) {
    return probe_count(&probe, to, id);
}

struct sale_view sale_row(void) {
    return (struct sale_view){ .sale_id = SALE,
                               .title = text_of("Winter"),
                               .state = world.state,
                               .opens_at = world.opens_at,
                               .closes_at = world.closes_at,
                               .version = world.version };
}
struct lot_view lot_row(int n) {
    return (struct lot_view){ .lot_id = LOT_A + n,
                              .sku_id = 9,
                              .title = text_of("Kettle red"),
                              .price = { 1999, "CNY" },
                              .allocated = 100,
                              .state = lot_state_open,
                              .sold = world.sold,
                              .per_buyer_limit = 2,
                              .sale_id = SALE,
                              .shard = world.shard[n],
                              .version = world.version };
}
void end_rows(const struct message *to, uint32_t rows) {
    struct rows_end body = { .what = to->head.type, .count = rows };
    probe_answer(&probe, to, &body, MSG_rows_end);
}

static void store(const struct message *asked) {
    struct sale_view sale;
    switch ((enum message_id)asked->head.type) {
    case MSG_sale_rows_get:
        sale = sale_row();
        if (world.state != sale_state_none) probe_answer(&probe, asked, &sale, MSG_sale_view);
        end_rows(asked, world.state != sale_state_none);
        return;
    case MSG_lot_rows_get:
        for (int n = 0; n < LOTS && world.state != sale_state_none; n++) {
            struct lot_view lot = lot_row(n);
            probe_answer(&probe, asked, &lot, MSG_lot_view);
        }
        end_rows(asked, world.state != sale_state_none ? LOTS : 0);
        return;
    case MSG_sale_move:
        if (world.state != BODY(asked, sale_move)->to) {
            if (!machine_may_move(KIND_sale_state, world.state, BODY(asked, sale_move)->to)) {
                probe_refuse(&probe, asked, PROBLEM_illegal_state);
                return;
            }
            world.state = BODY(asked, sale_move)->to;
            world.version++;
        }
        break;
    case MSG_sale_settle:
        if (world.unpaid > 0) {
            struct failed failed = { .problem = PROBLEM_illegal_state,
                                     .what = MSG_sale_settle,
                                     .detail = text_of("Unpaid orders are left.") };
            probe_answer(&probe, asked, &failed, MSG_failed);
            return;
        }
        world.state = sale_state_settled;
        world.version++;
        break;
    case MSG_lot_account_get:
        for (int n = 0; n < LOTS; n++) {
            int64_t of = BODY(asked, lot_account_get)->sale_id;
            if (of != 0 && of != SALE) break;
            struct lot_account account = { .lot_id = LOT_A + n,
                                           .state = lot_state_open,
                                           .allocated = 100,
                                           .sold = world.sold,
                                           .orders = world.orders,
                                           .shard = world.shard[n] };
            if (world.state == sale_state_scheduled) account.state = lot_state_waiting;
            if (world.state == sale_state_settled) account.state = lot_state_settled;
            if (world.lot_moved != lot_state_none) account.state = world.lot_moved;
            probe_answer(&probe, asked, &account, MSG_lot_account);
        }
        end_rows(asked, LOTS);
        return;
    default: return;
    }
    sale = sale_row();
    probe_answer(&probe, asked, &sale, MSG_sale_view);
}

static void hot_counter(const struct message *asked) {
    if (asked->head.type == MSG_recover) return; /* The test looks at it. */
    if (asked->head.type == MSG_lot_count && BODY(asked, lot_count)->lot_id == world.buyers_lost) {
        struct failed failed = { .problem = PROBLEM_fenced,
                                 .what = MSG_lot_count,
                                 .id = world.buyers_lost };
        probe_answer(&probe, asked, &failed, MSG_failed);
        return;
    }
    if (asked->head.type == MSG_lot_count) {
        struct lot_counted counted = { .lot_id = BODY(asked, lot_count)->lot_id,
                                       .available = world.available,
                                       .held = world.held,
                                       .undecided = world.undecided };
        probe_answer(&probe, asked, &counted, MSG_lot_counted);
        return;
    }
    struct lot_level level = { .available = world.available, .epoch = world.epoch };
    if (asked->head.type == MSG_lot_warm) {
        level.lot_id = BODY(asked, lot_warm)->lot_id;
        if (world.hot[level.lot_id - LOT_A] == lot_state_none) {
            world.hot[level.lot_id - LOT_A] = lot_state_waiting;
        }
    } else {
        level.lot_id = BODY(asked, lot_set)->lot_id;
        world.hot[level.lot_id - LOT_A] = BODY(asked, lot_set)->state;
    }
    level.state = world.hot[level.lot_id - LOT_A];
    probe_answer(&probe, asked, &level, MSG_lot_level);
}

void turn(void) {
    for (; world.seen < probe.sent_count; world.seen++) {
        struct message asked = probe.sent[world.seen];
        if (asked.head.to == PORT_pg_shop) {
            if (world.pg)
                store(&asked);
            else
                probe_refuse(&probe, &asked, PROBLEM_unavailable);
        } else if (asked.head.to == ACTOR_inventory) {
            if (world.redis && (world.away >> asked.head.shard & 1) == 0)
                hot_counter(&asked);
            else
                probe_refuse(&probe, &asked, PROBLEM_recovering);
        }
    }
}
void pass(int64_t span) {
    for (int64_t gone = 0; gone < span; gone += 100 * MS) {
        probe_pass(&probe, 100 * MS);
        turn();
    }
}
void forget(void) {
    turn();
    probe_clear(&probe);
    world.seen = 0;
}

uint64_t door(const void *body, enum message_id id) {
    probe.head = (struct head){ .origin = PORT_door, .request = ++door_requests };
    probe_give(&probe, PORT_door, body, id);
    turn();
    return door_requests;
}
void move(enum sale_state to) {
    struct sale_move body = { .sale_id = SALE, .to = to };
    door(&body, MSG_sale_move);
}
enum problem refused(void) {
    return PROBE_SENT(&probe, PORT_door, failed, -1)->problem;
}

int setup(void **state) {
    (void)state;
    probe_open(&probe, &catalogue_type, NULL);
    world = (struct world){ .pg = true,
                            .redis = true,
                            .state = sale_state_draft,
                            .version = 1,
                            .opens_at = probe.now + 3600 * SECOND,
                            .closes_at = probe.now + 7200 * SECOND,
                            .available = 100 };
    door_requests = 0;
    return 0;
}
int teardown(void **state) {
    (void)state;
    probe_close(&probe);
    return 0;
}
void start_in(enum sale_state state, enum lot_state hot) {
    world.state = state;
    world.hot[0] = world.hot[1] = hot;
    probe_give(&probe, NOBODY, &(struct started){ 0 }, MSG_started);
    turn();
    pass(100 * MS);
    forget();
}
