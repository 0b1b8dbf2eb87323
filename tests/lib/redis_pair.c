#include "tests/lib/redis_pair.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schema/id.h"

struct server server;
struct side sides[2];

struct message messages[SCRIPT_ROWS_MAX];
uint32_t message_count;
static struct batch bodies;

void *ask(enum message_id id) {
    struct message *message = &messages[message_count];
    struct head head = { .type = (uint16_t)id,
                         .from = ACTOR_order,
                         .to = PORT_redis,
                         .origin = ACTOR_order,
                         .request = message_count };
    if (message_count == 0) batch_reset(&bodies);
    if (id == MSG_reserve || id >= MSG_epoch_use) head.from = ACTOR_inventory;
    void *body = batch_take(&bodies, &head, message_type(id));
    memset(body, 0, message_type(id)->size);
    *message = (struct message){ head, body };
    message_count++;
    return body;
}
/* Sends what was asked to both and compares what they say; returns it. */
const char *tell(void) {
    for (int i = 0; i < 2; i++) {
        side_forget(&sides[i]);
        side_send(&sides[i], messages, message_count);
    }
    message_count = 0;
    assert_string_equal(sides[0].said, sides[1].said);
    return sides[1].said;
}

void both(const char *words) {
    char real[4096];
    snprintf(real, sizeof real, "%s", side_command(&sides[0], words));
    assert_string_equal(real, side_command(&sides[1], words));
}

const char *value(const char *words) {
    both(words);
    return side_command(&sides[1], words);
}

void same_keys(void) {
    static const char *const fields[] = { "state", "available", "limit", "version" };
    char words[80];
    both("HGET {s0}:meta seq");
    both("HGET {s0}:meta rows");
    both("HGET {s0}:meta epoch");
    both("XLEN {s0}:j");
    for (int lot = 0; lot < LOTS; lot++) {
        for (int i = 0; i < 4; i++) {
            snprintf(words, sizeof words, "HGET {s0}:lot:%d %s", LOT + lot, fields[i]);
            both(words);
        }
        for (int user = 1; user <= USERS; user++) {
            snprintf(words, sizeof words, "HGET {s0}:u:%d %d", LOT + lot, user);
            both(words);
        }
    }
}

struct reserve *reserve(int64_t order, int64_t user, int64_t lot, uint32_t quantity) {
    struct reserve *want = ASK_FOR(reserve);
    want->order_id = order;
    want->user_id = user;
    want->lot_id = lot;
    want->quantity = quantity;
    want->kind = reserve_kind_ordinary;
    want->address = text_of("{\"name\":\"A\"}");
    return want;
}

struct undo *undo(int64_t rid, int64_t order, int64_t user, int64_t lot) {
    struct undo *back = ASK_FOR(undo);
    back->rid = rid;
    back->order_id = order;
    back->user_id = user;
    back->lot_id = lot;
    back->quantity = 1;
    return back;
}

int64_t rid(uint64_t seq) {
    return rid_make(0, EPOCH, seq);
}

void install_lots(uint32_t epoch, int64_t available, uint32_t limit) {
    ASK_FOR(install_begin)->epoch = epoch;
    for (int i = 0; i < LOTS; i++) {
        struct install_lot *lot = ASK_FOR(install_lot);
        lot->epoch = epoch;
        lot->lot_id = LOT + i;
        lot->state = lot_state_open;
        lot->available = available;
        lot->per_buyer_limit = limit;
    }
}

void install_done(uint32_t epoch) {
    struct install_end *end = ASK_FOR(install_end);
    end->epoch = epoch;
    end->boot = BOOT;
    struct epoch_use *use = ASK_FOR(epoch_use);
    use->epoch = epoch;
    use->boot = BOOT;
}

int fresh(void **state) {
    (void)state;
    side_command(&sides[0], "CONFIG SET maxmemory 0");
    side_command(&sides[0], "FLUSHALL");
    lua_store_wipe(sides[1].store);
    lua_store_set_full(sides[1].store, false);
    message_count = 0;
    install_lots(EPOCH, 5, 2);
    install_done(EPOCH);
    tell();
    assert_int_equal(side_count(&sides[1], "done"), 2 + LOTS);
    return 0;
}

bool said(const char *word) {
    return strstr(sides[1].said, word) != NULL;
}

int open_sides(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    batch_init(&bodies);
    if (!server_start(&server)) return -1;
    side_open_real(&sides[0], &server, CAP);
    side_open_model(&sides[1], CAP);
    return 0;
}

int close_sides(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        side_close(&sides[i]);
    batch_fini(&bodies);
    server_fini(&server);
    return 0;
}
