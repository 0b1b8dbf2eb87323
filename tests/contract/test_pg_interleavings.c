/* Two sessions on the real PostgreSQL, every order of their calls and commits.
 *
 * A session runs a script of two transactions, each of two steps: BEGIN with the call, and COMMIT.
 * A call that waits for a lock is a state: that session cannot step before the other one has.  For
 * each pair of scripts all schedules are run from the same tables (2 lots of 1 unit, 3 requests, 2
 * epochs), and after each the invariants are asked for in SQL.
 *
 * The same with functions that lack a guard must fail: H4 (the epoch is raised below a purchase)
 * and H5 (what was read by the statement that waited is old). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/clock.h"
#include "tests/lib/pg_harness.h"

#define BUDGET INT64_C(15000000000) /* ns, of the longer scripts */
enum { CALLS = 2, SCRIPTS_MAX = 64, STEP_WAIT_MS = 400 };

struct call {
    const char *name;
    const char *sql;
};
/* Shard 0; epoch 5 at first.  rid = epoch << 36 | seq. */
#define RID(epoch, seq) "(" #epoch "::bigint << 36 | " #seq ")"
#define BUY(rids, orders, users, lots, n)                                                          \
    "SELECT outcome FROM purchase_short(ARRAY[" rids "]::bigint[], ARRAY[" orders "]::bigint[],"   \
    " ARRAY[" users "]::bigint[], ARRAY[" lots "]::bigint[], array_fill(1, ARRAY[" n "]),"         \
    " array_fill(1, ARRAY[" n "]), array_fill(0::bigint, ARRAY[" n "]),"                           \
    " array_fill('{}'::text, ARRAY[" n "]), array_fill(0::bigint, ARRAY[" n "]))"
static const struct call calls[] = {
    { "buy 1", BUY(RID(5, 1), "101", "1", "11", "1") },
    { "buy 2,3", BUY(RID(5, 2) "," RID(5, 3), "102,103", "2,3", "11,12", "2") },
    { "buy 1 again", BUY(RID(6, 1), "101", "1", "11", "1") },
    { "cancel 1", "SELECT outcome FROM return_batch(ARRAY[101]::bigint[], ARRAY[0]::bigint[],"
                  " ARRAY[7], ARRAY[0]::bigint[], ARRAY[5]::bigint[], ARRAY[0])" },
    { "recover", "INSERT INTO truth SELECT * FROM shard_recover(0, 0, 'r', 1)" },
    { "settle", "SELECT state FROM sale_settle(21, 0)" },
};
enum { CALL_COUNT = sizeof calls / sizeof *calls };

struct session {
    PGconn *sql;
    int pid;
    const uint8_t *script;
    uint32_t done; /* Steps. */
    bool busy, failed;
};

static struct pg_harness pg;
static struct session sessions[2];
static uint32_t steps; /* Of each script: twice its calls. */
static uint64_t schedules, waits, deadlocks;

/* ---- One step ---- */

static void fresh(void) {
    pg_exec(pg.sql,
            "DELETE FROM orders; DELETE FROM refusal;"
            "DELETE FROM stock_movement; DELETE FROM order_event; DELETE FROM outbox;"
            "DELETE FROM sale_event; DELETE FROM lot; DELETE FROM sale; DELETE FROM stock_shard;"
            "DELETE FROM general_stock; DELETE FROM truth; DELETE FROM late;"
            "INSERT INTO general_stock VALUES (3, 0);"
            "INSERT INTO sale VALUES (21, 'Night', 8, 'epoch', 'now', 60000000);"
            "INSERT INTO stock_shard VALUES (0, 5);"
            "INSERT INTO lot VALUES (11, 21, 3, 0, 2, 1, 0, 1, 1999, 'CNY', 7, 2, 60000000, 0),"
            " (12, 21, 3, 0, 2, 1, 0, 1, 1999, 'CNY', 7, 2, 60000000, 0)");
}

static bool waits_for_lock(const struct session *self) {
    return pg_number(pg.sql, "SELECT cardinality(pg_blocking_pids(%d))", self->pid) > 0;
}

/* Takes the results that are there; false while the server works on it. */
static bool collect(struct session *self, int ms) {
    struct pollfd fd = { .fd = PQsocket(self->sql), .events = POLLIN };
    poll(&fd, 1, ms);
    assert_int_equal(PQconsumeInput(self->sql), 1);
    if (PQisBusy(self->sql)) return false;
    for (PGresult *result; (result = PQgetResult(self->sql)) != NULL; PQclear(result)) {
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) continue;
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        self->failed = true;
        if (strcmp(state, "40P01") == 0)
            deadlocks++;
        else if (strcmp(state, "DB001") != 0) /* Refused: unpaid orders are left. */
            fail_msg("%s %s", state, PQresultErrorMessage(result));
    }
    self->busy = false;
    self->done++;
    return true;
}

/* Until it has answered or waits for the other one. */
static void await(struct session *self) {
    for (int i = 0; i < STEP_WAIT_MS * 10; i++) {
        if (collect(self, i < 2 ? 1 : 2)) return;
        if (waits_for_lock(self)) {
            if (collect(self, 0)) return;
            return;
        }
    }
    fail_msg("a statement neither ends nor waits");
}

static void step(struct session *self) {
    char text[1500];
    if (self->done % 2 == 0)
        snprintf(text, sizeof text, "BEGIN; %s", calls[self->script[self->done / 2]].sql);
    else
        snprintf(text, sizeof text, "%s", self->failed ? "ROLLBACK" : "COMMIT");
    if (self->done % 2 == 1) self->failed = false;
    assert_int_equal(PQsendQuery(self->sql, text), 1);
    self->busy = true;
    await(self);
    if (self->busy) waits++;
}

/* ---- What must hold ---- */

static const char *const invariants[][2] = {
    { "sold is what orders hold, and at most what there is",
      "SELECT count(*) FROM lot l WHERE sold > allocated OR sold <> (SELECT"
      " coalesce(sum(quantity), 0) FROM orders o WHERE o.lot_id = l.lot_id"
      " AND holds_units(o.state))" },
    { "units are in lots or in general stock",
      "SELECT 2 - on_hand - (SELECT sum(allocated) FROM lot) FROM general_stock" },
    { "one outcome for a rid", "SELECT count(*) FROM refusal JOIN orders USING (rid)" },
    { "no row of an older epoch behind the raise", "SELECT count(*) FROM late" },
    { "a recovery has read every order of older epochs",
      "SELECT count(*) FROM truth t WHERE t.lot_id > 0 AND t.holders IS NULL AND"
      " (SELECT count(*) FROM orders o WHERE o.lot_id = t.lot_id AND o.rid >> 36 < t.epoch) <>"
      " (SELECT coalesce(sum(length(h.holders) - length(replace(h.holders, ';', ''))), 0)"
      "    FROM truth h WHERE h.epoch = t.epoch AND h.lot_id = t.lot_id)" },
    { "what a recovery calls available is what holders leave",
      "SELECT count(*) FROM truth t WHERE t.lot_id > 0 AND t.holders IS NULL AND"
      " t.allocated - t.available <> (SELECT coalesce(sum(length(h.holders) -"
      " length(replace(h.holders, ':1;', ''))) / 3, 0)"
      "    FROM truth h WHERE h.epoch = t.epoch AND h.lot_id = t.lot_id)" },
    { "settled once",
      "SELECT count(*) FROM (SELECT count(*) FROM sale_event HAVING count(*) > 1) x" },
    { "movements fold to the counters",
      "SELECT count(*) FROM lot l WHERE sold <> (SELECT coalesce(sum(change), 0) FROM"
      " stock_movement m WHERE m.lot_id = l.lot_id AND counter = 'sold')" },
};

static const char *broken(void) {
    for (size_t i = 0; i < sizeof invariants / sizeof *invariants; i++)
        if (pg_number(pg.sql, "%s", invariants[i][1]) != 0) return invariants[i][0];
    return NULL;
}

/* ---- Schedules ---- */

/* Bit i of `order`: which session takes the i-th step; where it waits, or has ended, the other. */
static const char *run(const uint8_t *a, const uint8_t *b, uint32_t order) {
    fresh();
    for (int i = 0; i < 2; i++) {
        sessions[i].script = i == 0 ? a : b;
        sessions[i].done = 0;
        sessions[i].busy = sessions[i].failed = false;
    }
    for (uint32_t i = 0; sessions[0].done < steps || sessions[1].done < steps; i++) {
        struct session *self = &sessions[i < 2 * steps ? order >> i & 1 : i % 2];
        if (i > 2000) fail_msg("both wait for ever");
        if (self->busy || self->done == steps) self = &sessions[self == &sessions[0]];
        if (self->busy || self->done == steps) {
            self = &sessions[self == &sessions[0]];
            if (self->busy) await(self);
            continue;
        }
        step(self);
        struct session *other = &sessions[self == &sessions[0]];
        if (other->busy) await(other); /* Its lock may be free now. */
    }
    schedules++;
    return broken();
}

static uint32_t ones(uint32_t bits) {
    return (uint32_t)__builtin_popcount(bits);
}

static const char *run_pair(const uint8_t *a, const uint8_t *b) {
    for (uint32_t order = 0; order < 1U << 2 * steps; order++) {
        if (ones(order) != steps) continue;
        const char *why = run(a, b, order);
        if (why == NULL) continue;
        print_message("  [%s%s%s] and [%s%s%s], schedule %02x: %s\n", calls[a[0]].name,
                      steps > 2 ? "; " : "", steps > 2 ? calls[a[1]].name : "", calls[b[0]].name,
                      steps > 2 ? "; " : "", steps > 2 ? calls[b[1]].name : "", order, why);
        return why;
    }
    return NULL;
}

/* All pairs of scripts of so many calls; until `end` (0: all), pairs spread over all there are. */
static const char *run_all(uint32_t length, int64_t end, uint32_t *pairs, uint32_t *all) {
    uint32_t scripts = length == 1 ? CALL_COUNT : CALL_COUNT * CALL_COUNT;
    uint32_t total = scripts * scripts, stride = 505; /* No factor in common with 36 * 36. */
    steps = 2 * length;
    *pairs = *all = 0;
    for (uint32_t n = 0, at = 0; n < total; n++, at = (at + stride) % total) {
        uint32_t a = at / scripts, b = at % scripts;
        if (a > b) continue; /* The mirrored schedules are run already. */
        ++*all;
        if (end != 0 && clock_mono() > end) continue;
        const uint8_t first[] = { (uint8_t)(a % CALL_COUNT), (uint8_t)(a / CALL_COUNT) };
        const uint8_t second[] = { (uint8_t)(b % CALL_COUNT), (uint8_t)(b / CALL_COUNT) };
        const char *why = run_pair(first, second);
        if (why != NULL) return why;
        ++*pairs;
    }
    return NULL;
}

static void nothing_breaks(void **state) {
    (void)state;
    uint32_t pairs, all;
    for (uint32_t length = 1; length <= CALLS; length++) {
        schedules = waits = deadlocks = 0;
        int64_t end = length == 1 ? 0 : clock_mono() + BUDGET;
        assert_null(run_all(length, end, &pairs, &all));
        print_message("scripts of %u: %u of %u pairs, %llu schedules, %llu waits, %llu deadlocks\n",
                      length, pairs, all, (unsigned long long)schedules, (unsigned long long)waits,
                      (unsigned long long)deadlocks);
        assert_true(schedules > 100 && waits > 20);
    }
}

/* ---- Without the guards ---- */

static void change(const char *function, const char *from, const char *to) {
    pg_exec(pg.sql,
            "DO $do$ DECLARE d text := pg_get_functiondef('%s'::regproc);"
            "BEGIN IF strpos(d, $a$%s$a$) = 0 THEN RAISE 'not found: %%', d; END IF;"
            "EXECUTE replace(d, $a$%s$a$, $b$%s$b$); END $do$",
            function, from, from, to);
}

static void expect_broken(const char *what) {
    uint32_t pairs, all;
    const char *why = run_all(1, 0, &pairs, &all);
    print_message("%s: %s\n", what, why != NULL ? why : "not noticed");
    assert_non_null(why);
}

/* FOR KEY SHARE alone does no harm as long as the recovery asks FOR UPDATE, which conflicts with
 * it; with the lock that an UPDATE would take by itself the epoch is raised below a purchase. */
static void key_share_is_noticed(void **state) {
    (void)state;
    uint32_t pairs, all;
    change("epochs_lock", "FOR SHARE", "FOR KEY SHARE");
    assert_null(run_all(1, 0, &pairs, &all));
    change("shard_recover", "FOR UPDATE", "FOR NO KEY UPDATE");
    expect_broken("H4, FOR KEY SHARE");
    change("epochs_lock", "FOR KEY SHARE", "FOR SHARE");
    assert_null(run_all(1, 0, &pairs, &all));
    change("shard_recover", "FOR NO KEY UPDATE", "FOR UPDATE");
}

/* The orders are read by the statement that waits for the shard's row. */
static void snapshot_trap_is_noticed(void **state) {
    (void)state;
    change("shard_recover", "fresh bigint;", "fresh bigint; old bigint[];");
    change("shard_recover", "SELECT greatest(s.epoch, redis_epoch) + 1 INTO fresh FROM",
           "SELECT greatest(s.epoch, redis_epoch) + 1, (SELECT array_agg(o.order_id) FROM orders o)"
           " INTO fresh, old FROM");
    change("shard_recover", "WHERE o.rid > low", "WHERE o.order_id = ANY (old) AND o.rid > low");
    expect_broken("H5, read by the statement that waits");
}

/* ---- The stage ---- */

static int open_all(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_interleavings");
    pg_exec(pg.sql,
            "INSERT INTO product VALUES (1, 'Lamp'); INSERT INTO sku VALUES (3, 1, 'red');"
            "CREATE TABLE truth (epoch bigint, lot_id bigint, state smallint, available bigint,"
            " per_buyer_limit integer, holders text, n bigint, allocated bigint);"
            "CREATE TABLE late (rid bigint);"
            /* At the commit: is the row's epoch still the shard's? */
            "CREATE FUNCTION note_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO late SELECT NEW.rid FROM stock_shard s WHERE s.shard = NEW.rid >> 56"
            " AND s.epoch > (NEW.rid >> 36 & 1048575); RETURN NULL; END $$;"
            "CREATE CONSTRAINT TRIGGER note_late AFTER INSERT ON orders"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_late();"
            "CREATE CONSTRAINT TRIGGER note_late AFTER INSERT ON refusal"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_late()");
    static const char *const logs[] = { "refusal", "stock_movement", "order_event", "sale_event" };
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
        pg_exec(pg.sql, "DROP TRIGGER append_only ON %s", logs[i]);
    pg_exec(pg.sql, "SET synchronous_commit = off");
    for (int i = 0; i < 2; i++) {
        sessions[i].sql = PQconnectdb(pg.dsn);
        assert_int_equal(PQstatus(sessions[i].sql), CONNECTION_OK);
        pg_exec(sessions[i].sql, "SET synchronous_commit = off");
        sessions[i].pid = PQbackendPID(sessions[i].sql);
    }
    return 0;
}

static int close_all(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        PQfinish(sessions[i].sql);
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_breaks),
                                        cmocka_unit_test(key_share_is_noticed),
                                        cmocka_unit_test(snapshot_trap_is_noticed) };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
