/* The hot counter's rules, asked of real Redis through the port and of the model: the same
 * questions, the same answers, the same keys afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "schema/id.h"
#include "tests/lib/redis_pair.h"

/* ---- reserve ---- */

static void test_reserve(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    reserve(102, 2, LOT + 1, 2);
    reserve(103, 1, LOT, 1);
    reserve(104, 1, LOT, 1); /* Third unit of a limit of two. */
    reserve(101, 1, LOT, 1); /* Twice in one batch. */
    tell();
    assert_int_equal(side_count(&sides[1], "reserved"), 4);
    assert_int_equal(side_count(&sides[1], "seen=1"), 1);
    assert_true(said("limit_reached"));
    assert_string_equal(value("HGET {s0}:lot:11 available"), "3");
    assert_string_equal(value("HGET {s0}:u:11 1"), "101:5:1:1;103:5:3:1;");
    assert_string_equal(value("HGET {s0}:meta rows"), "3");
    assert_string_equal(value("XLEN {s0}:j"), "1");
    same_keys();
}

static void test_sold_out_and_states(void **state) {
    (void)state;
    for (int i = 1; i <= 6; i++)
        reserve(100 + i, i, LOT, 1);
    tell();
    assert_int_equal(side_count(&sides[1], "sold_out"), 1);
    static const struct {
        enum lot_state state;
        const char *problem;
    } rows[] = { { lot_state_paused, "sale_paused" },
                 { lot_state_closed, "sale_closed" },
                 { lot_state_waiting, "sale_not_open" },
                 { lot_state_settled, "sale_closed" } };
    for (int i = 0; i < 4; i++) {
        struct lot_set *set = ASK_FOR(lot_set);
        set->lot_id = LOT;
        set->state = rows[i].state;
        set->per_buyer_limit = 2;
        reserve(101, 1, LOT, 1); /* Seen, whatever the state. */
        reserve(106, 6, LOT, 1);
        tell();
        assert_true(said(rows[i].problem));
        assert_int_equal(side_count(&sides[1], "seen=1"), 1);
    }
    same_keys();
}

static void test_kinds(void **state) {
    (void)state;
    reserve(101, 1, LOT, 2);
    tell();
    reserve(101, 1, LOT, 1)->kind = reserve_kind_probe;
    reserve(102, 1, LOT, 1)->kind = reserve_kind_probe;
    tell();
    assert_int_equal(side_count(&sides[1], "seen=1"), 1);
    assert_true(said("ticket_expired"));
    struct lot_set *set = ASK_FOR(lot_set);
    set->lot_id = LOT;
    set->state = lot_state_closed;
    set->per_buyer_limit = 1;
    reserve(103, 1, LOT, 1)->kind = reserve_kind_late; /* Over the limit, of a closed lot. */
    reserve(104, 1, LOT, 1)->kind = reserve_kind_pull;
    reserve(105, 1, LOT, 2)->kind = reserve_kind_late; /* There is one. */
    tell();
    assert_int_equal(side_count(&sides[1], "reserved"), 2);
    assert_true(said("sold_out"));
    /* An order that gave its units back and is paid late gets them under a new rid. */
    undo(rid(2), 103, 1, LOT)->keep = 1;
    tell();
    assert_string_equal(value("HGET {s0}:u:11 1"), "101:5:1:2;103:5:2:0;104:5:3:1;");
    reserve(103, 1, LOT, 1);
    tell();
    assert_true(said("seen=1"));
    reserve(103, 1, LOT, 1)->kind = reserve_kind_late;
    tell();
    assert_false(said("seen=1"));
    assert_string_equal(value("HGET {s0}:u:11 1"), "101:5:1:2;104:5:3:1;103:5:4:1;");
    same_keys();
}

static void test_cap(void **state) {
    (void)state;
    for (int i = 0; i < CAP + 3; i++)
        reserve(100 + i, 1 + i % USERS, LOT + i % LOTS, 1);
    tell();
    assert_int_equal(side_count(&sides[1], "overloaded"), 3);
    reserve(100, 1, LOT, 1);
    tell();
    assert_true(said("seen=1"));
    struct settle *settle = ASK_FOR(settle);
    settle->entry = rid(1);
    settle->rows = CAP;
    tell();
    settle = ASK_FOR(settle); /* Twice: counted off once. */
    settle->entry = rid(1);
    settle->rows = CAP;
    tell();
    assert_string_equal(value("HGET {s0}:meta rows"), "0");
    reserve(200, 1, LOT + 1, 1);
    tell();
    assert_string_equal(value("HGET {s0}:meta rows"), "1");
    same_keys();
}

/* ---- undo ---- */

static void test_undo(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    undo(rid(9), 101, 1, LOT); /* Another rid of the same order. */
    tell();
    assert_false(said("changed=1"));
    undo(rid(1), 101, 1, LOT);
    undo(rid(1), 101, 1, LOT);
    tell();
    assert_int_equal(side_count(&sides[1], "changed=1"), 1);
    undo(rid(1), 101, 1, LOT);
    tell();
    assert_false(said("changed=1"));
    assert_string_equal(value("HGET {s0}:lot:11 available"), "5");
    assert_string_equal(value("HGET {s0}:u:11 1"), "(nil)");
    /* A refusal does not burn the ticket. */
    reserve(101, 1, LOT, 2);
    tell();
    assert_true(said("reserved"));
    undo(rid(2), 101, 1, LOT)->keep = 1;
    undo(rid(2), 101, 1, LOT)->keep = 1;
    tell();
    assert_int_equal(side_count(&sides[1], "changed=1"), 1);
    assert_string_equal(value("HGET {s0}:lot:11 available"), "5");
    reserve(101, 1, LOT, 1); /* Kept: the writer answers with that order. */
    reserve(102, 1, LOT, 2); /* Does not count toward the limit. */
    tell();
    assert_int_equal(side_count(&sides[1], "seen=1"), 1);
    assert_int_equal(side_count(&sides[1], "reserved"), 2);
    same_keys();
}

static void test_undo_over_epochs(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    undo(rid(1), 101, 1, LOT)->epoch = EPOCH + 1; /* Committed under an epoch to come. */
    undo(rid_make(0, EPOCH + 1, 1), 101, 1, LOT);
    tell();
    assert_int_equal(side_count(&sides[1], "fenced"), 2);
    install_lots(EPOCH + 1, 4, 2);
    struct install_holders *holders = ASK_FOR(install_holders);
    holders->epoch = EPOCH + 1;
    holders->lot_id = LOT;
    char text[200];
    snprintf(text, sizeof text, "1:101:%lld:1;2:102:%lld:0;1:103:%lld:2", (long long)rid(1),
             (long long)rid(2), (long long)rid(3));
    holders->holders = text_of(text);
    install_done(EPOCH + 1);
    tell();
    assert_string_equal(value("HGET {s0}:u:11 1"), "101:5:1:1;103:5:3:2;");
    assert_string_equal(value("HGET {s0}:u:11 2"), "102:5:2:0;");
    undo(rid(1), 101, 1, LOT)->epoch = EPOCH + 1;
    undo(rid(7), 107, 1, LOT);
    tell();
    assert_int_equal(side_count(&sides[1], "changed=1"), 1);
    assert_string_equal(value("HGET {s0}:lot:11 available"), "5");
    same_keys();
}

/* ---- Fences ---- */

static void fenced_everything(void) {
    reserve(301, 1, LOT, 1);
    struct settle *settle = ASK_FOR(settle);
    settle->entry = rid(1);
    settle->rows = 1;
    undo(rid(1), 101, 1, LOT);
    ASK_FOR(journal_read)->limit = 10;
    struct lot_set *set = ASK_FOR(lot_set);
    set->lot_id = LOT;
    set->state = lot_state_open;
    set->per_buyer_limit = 1;
    struct lot_warm *warm = ASK_FOR(lot_warm);
    warm->lot_id = LOT;
    warm->state = lot_state_open;
    warm->per_buyer_limit = 1;
    ASK_FOR(lot_count)->lot_id = LOT;
    tell();
    assert_int_equal(side_count(&sides[1], "problem=fenced"), 7);
    assert_true(said("redis_up")); /* Inventory hears of it, though it asked for nothing. */
}

static void test_fences(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    struct epoch_use *use = ASK_FOR(epoch_use);
    use->epoch = EPOCH - 1;
    use->boot = BOOT;
    fenced_everything();
    use = ASK_FOR(epoch_use);
    use->epoch = EPOCH;
    use->boot = BOOT + 1;
    fenced_everything();
    use = ASK_FOR(epoch_use);
    use->epoch = EPOCH;
    use->boot = BOOT;
    both("DEL {s0}:meta");
    fenced_everything();
    both("HSET {s0}:meta epoch 5 boot 77"); /* seq and rows are missing. */
    reserve(302, 1, LOT, 1);
    tell();
    assert_true(said("problem=fenced"));
    both("SET {s0}:meta oops");
    fenced_everything();
    assert_string_equal(value("XLEN {s0}:j"), "1");
    assert_string_equal(value("HGET {s0}:lot:11 available"), "4");
}

static void test_missing_lot(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    both("DEL {s0}:lot:11");
    reserve(101, 1, LOT, 1);
    reserve(102, 2, LOT, 1);
    reserve(103, 2, LOT + 1, 1);
    reserve(104, 2, LOT, 1)->kind = reserve_kind_probe; /* Never a definite no. */
    tell();
    assert_true(said("seen=1"));
    assert_int_equal(side_count(&sides[1], "problem=not_on_sale"), 2); /* Inventory knows more. */
    assert_int_equal(side_count(&sides[1], "reserved"), 2);
    undo(rid(1), 101, 1, LOT); /* A holder of a lot that is gone: this is not our Redis. */
    tell();
    assert_true(said("problem=fenced"));
}

/* A key that is gone is never zero and never unlimited. */
static void test_lost_keys(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    both("DEL {s0}:u:11"); /* Who holds what: he would get two more units, and give none back. */
    reserve(102, 1, LOT, 2);
    undo(rid(1), 101, 1, LOT);
    ASK_FOR(lot_count)->lot_id = LOT; /* Not "nobody holds anything". */
    tell();
    assert_int_equal(side_count(&sides[1], "problem=fenced"), 3);
    assert_string_equal(value("HGET {s0}:lot:11 available"), "4");
    fresh(NULL);
    reserve(101, 1, LOT, 1);
    tell();
    both("DEL {s0}:j"); /* What is not decided yet: nobody would ever decide it. */
    ASK_FOR(journal_read)->limit = 10;
    reserve(102, 2, LOT + 1, 1);
    tell();
    assert_int_equal(side_count(&sides[1], "problem=fenced"), 2);
    assert_string_equal(value("EXISTS {s0}:j"), "0");
    fresh(NULL);
    reserve(101, 1, LOT, 1);
    struct settle *settle = ASK_FOR(settle);
    settle->entry = rid(1);
    settle->rows = 1;
    tell();
    ASK_FOR(journal_read)->limit = 10; /* Empty because all is settled. */
    undo(rid(1), 101, 1, LOT);
    reserve(102, 1, LOT, 1);
    tell();
    assert_false(said("problem="));
    same_keys();
}

static void test_wrong_types(void **state) {
    static const char *const keys[] = { "{s0}:j", "{s0}:lot:11", "{s0}:u:11" };
    (void)state;
    for (int i = 0; i < 3; i++) {
        char words[64];
        fresh(NULL);
        reserve(101, 1, LOT + 1, 1);
        tell();
        snprintf(words, sizeof words, "SET %s oops", keys[i]);
        both(words);
        reserve(102, 2, LOT, 1);
        reserve(103, 2, LOT + 1, 1);
        tell();
        assert_int_equal(side_count(&sides[1], "problem=fenced"), 2);
        undo(rid(1), 101, 1, LOT + 1);
        undo(rid(1), 101, 1, LOT);
        tell();
        assert_int_equal(side_count(&sides[1], "problem=fenced"), 2);
        assert_string_equal(value("HGET {s0}:meta seq"), "1");
        assert_string_equal(value("HGET {s0}:lot:12 available"), "4");
    }
    fresh(NULL);
    both("SET {s0}:j oops"); /* Nothing was journalled: the write itself finds it, before all
                                others. */
    reserve(102, 2, LOT, 1);
    tell();
    assert_true(said("problem=fenced"));
    assert_string_equal(value("HGET {s0}:meta seq"), "0");
    assert_string_equal(value("HGET {s0}:lot:11 available"), "5");
    both("SADD {s0}:meta oops"); /* Not even this stops a recovery. */
    both("DEL {s0}:lots");
    both("SET {s0}:lots oops");
    both("DEL {s0}:meta");
    both("SADD {s0}:meta oops");
    install_lots(EPOCH + 1, 5, 1);
    install_done(EPOCH + 1);
    reserve(104, 1, LOT, 1);
    tell();
    assert_false(said("problem="));
    same_keys();
}

static void test_install(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    ASK_FOR(install_begin)->epoch = EPOCH; /* Redis has it already. */
    tell();
    assert_true(said("problem=fenced"));
    install_lots(EPOCH + 2, 7, 1);
    tell();
    fenced_everything();
    ASK_FOR(install_begin)->epoch = EPOCH + 1; /* A later one is under way. */
    struct install_lot *lot = ASK_FOR(install_lot);
    lot->epoch = EPOCH + 1;
    lot->lot_id = LOT;
    lot->state = lot_state_open;
    lot->per_buyer_limit = 1;
    struct install_holders *holders = ASK_FOR(install_holders);
    holders->epoch = EPOCH + 1;
    holders->lot_id = LOT;
    holders->holders = text_of("1:101:5:1;");
    struct install_end *end = ASK_FOR(install_end);
    end->epoch = EPOCH + 1;
    end->boot = BOOT;
    tell();
    assert_int_equal(side_count(&sides[1], "problem=fenced"), 4);
    holders = ASK_FOR(install_holders);
    holders->epoch = EPOCH + 2;
    holders->lot_id = LOT;
    holders->holders = text_of("1:101:x:1;");
    tell();
    assert_true(said("malformed"));
    install_done(EPOCH + 2);
    reserve(102, 1, LOT, 1);
    tell();
    assert_string_equal(value("HGET {s0}:meta epoch"), "7");
    assert_string_equal(value("XLEN {s0}:j"), "1"); /* The old journal is gone. */
    assert_string_equal(value("HGET {s0}:u:11 1"), "102:7:1:1;");
    assert_string_equal(value("EXISTS {s0}:installing"), "0");
    same_keys();
}

static void test_warm(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct lot_warm *warm = ASK_FOR(lot_warm);
        warm->lot_id = LOT + 9;
        warm->state = lot_state_waiting;
        warm->available = 10 + i; /* The second changes nothing. */
        warm->per_buyer_limit = 1;
    }
    tell();
    assert_int_equal(side_count(&sides[1], "available=10"), 4); /* To the asker and to inventory. */
    ASK_FOR(meta_read);
    tell();
    assert_true(said("redis_up run_id=\"masked\" epoch=5 boot=77"));
}

/* ---- The journal ---- */

static void test_journal(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        reserve(100 + 2 * i, 1 + i, LOT + i, 1)->price_version = 3;
        reserve(101 + 2 * i, 1 + i, LOT, 1);
        tell();
    }
    ASK_FOR(journal_read)->limit = 2;
    tell();
    assert_int_equal(side_count(&sides[1], "place "), 4);
    assert_int_equal(side_count(&sides[1], "address={\"name\":\"A\"}"), 4);
    assert_int_equal(side_count(&sides[1], "price_version=3"), 2);
    char next[64];
    snprintf(next, sizeof next, "next=%lld", (long long)rid(4));
    assert_true(said(next));
    struct journal_read *read = ASK_FOR(journal_read);
    read->limit = 10;
    read->after = rid(4);
    ASK_FOR(lot_count)->lot_id = LOT;
    tell();
    assert_int_equal(side_count(&sides[1], "recovered=1"), 2);
    assert_true(said("lot_counted lot_id=11 available=1 held=4 undecided=4 journal_rows=6"));
    read = ASK_FOR(journal_read);
    read->limit = 10;
    read->after = rid(6);
    tell();
    assert_true(said("rows_end") && !said("next="));
}

static void test_journal_damaged(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    both("XADD {s0}:j 5-2 rows 2 lots 11:2; sizes 3,99 data abc");
    both("XADD {s0}:j 5-4 rows x");
    both("XADD {s0}:j 5-5 what ever");
    ASK_FOR(journal_read)->limit = 10;
    tell();
    assert_int_equal(side_count(&sides[1], "place "), 1);
    assert_int_equal(side_count(&sides[1], "problem=internal"), 4);
    assert_true(said("rows_end"));
}

/* ---- Memory ---- */

static void test_memory_full(void **state) {
    (void)state;
    reserve(101, 1, LOT, 1);
    tell();
    side_command(&sides[0], "CONFIG SET maxmemory 1");
    lua_store_set_full(sides[1].store, true);
    reserve(102, 2, LOT, 1);
    reserve(101, 1, LOT, 1);
    tell();
    assert_int_equal(side_count(&sides[1], "problem=unavailable"), 2);
    assert_string_equal(value("HGET {s0}:lot:11 available"), "4");
    assert_string_equal(value("HGET {s0}:u:11 2"), "(nil)");
    same_keys();
    /* What is sold out, settled or given back needs no memory, nor does a pause. */
    reserve(103, 3, LOT, 2)->kind = reserve_kind_probe;
    undo(rid(1), 101, 1, LOT)->keep = 1;
    struct lot_set *set = ASK_FOR(lot_set);
    set->lot_id = LOT;
    set->state = lot_state_paused;
    set->per_buyer_limit = 1;
    tell();
    assert_true(said("changed=1"));
    assert_true(said("state=paused"));
    struct settle *settle = ASK_FOR(settle);
    settle->entry = rid(1);
    settle->rows = 1;
    tell();
    assert_string_equal(value("HGET {s0}:meta rows"), "0");
    same_keys();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reserve, fresh),
        cmocka_unit_test_setup(test_sold_out_and_states, fresh),
        cmocka_unit_test_setup(test_kinds, fresh),
        cmocka_unit_test_setup(test_cap, fresh),
        cmocka_unit_test_setup(test_undo, fresh),
        cmocka_unit_test_setup(test_undo_over_epochs, fresh),
        cmocka_unit_test_setup(test_fences, fresh),
        cmocka_unit_test_setup(test_missing_lot, fresh),
        cmocka_unit_test_setup(test_lost_keys, fresh),
        cmocka_unit_test_setup(test_wrong_types, fresh),
        cmocka_unit_test_setup(test_install, fresh),
        cmocka_unit_test_setup(test_warm, fresh),
        cmocka_unit_test_setup(test_journal, fresh),
        cmocka_unit_test_setup(test_journal_damaged, fresh),
        cmocka_unit_test_setup(test_memory_full, fresh),
    };
    return cmocka_run_group_tests(tests, open_sides, close_sides);
}
