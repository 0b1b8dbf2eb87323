/* H12 on a real PostgreSQL: a cancelled wait for a synchronous standby looks like success with a
 * WARNING.  The standby does not exist here, so that every commit waits, and pg_cancel_backend
 * ends the wait; what has committed only here is unknown to the caller, not done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/pg/link.h"
#include "tests/lib/pg_lot.h"

enum { TRIES = 200, TURN_MS = 20 };

static PGconn *root; /* Superuser; its own commits wait for nobody. */

#define WAITING                                                                                    \
    "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"              \
    " AND application_name = '%s'"

static void want_standby(const char *name) {
    pg_exec(root, "ALTER SYSTEM SET synchronous_standby_names = '%s'", name);
    pg_exec(root, "SELECT pg_reload_conf()");
}

/* A server process of `who` that waits for the standby, or 0. */
static int64_t waiting(const char *who) {
    return pg_number(root, WAITING, who);
}

static void turns(int count) {
    for (int i = 0; i < count; i++)
        pg_turn(&pg, TURN_MS);
}

/* A purchase by a new user, under way and waiting for the standby; its rid.  The checkpointer tells
 * the others of the standby some time after the reload: commits before that do not wait. */
static int64_t purchase_waits(int64_t *order_id) {
    for (int64_t i = 1; i < TRIES; i++) {
        int64_t rid = next_rid();
        *order_id = i;
        put_purchase(rid, i, i, 1);
        batch_reset(&pg.out);
        pg_send(&pg);
        for (int turn = 0; turn < TRIES && pg.out.count == 0; turn++) {
            if (waiting("pg_shop") != 0) return rid;
            pg_turn(&pg, TURN_MS);
        }
        assert_int_equal(decided(0)->outcome, outcome_accepted);
    }
    fail_msg("no commit waits for the standby");
    return 0;
}

static void cancel_wait(void) {
    int64_t pid = waiting("pg_shop");
    assert_true(pid > 0);
    pg_exec(root, "SELECT pg_cancel_backend(%lld)", (long long)pid);
    pg_wait(&pg);
}

static void cancel_a_purchase(void) {
    int64_t order_id, rid;
    fresh_lot(1000, 5);
    want_standby("nowhere");
    rid = purchase_waits(&order_id);
    cancel_wait();
    /* The order is there, and nobody may be told so. */
    assert_int_equal(
        pg_number(pg.sql, "SELECT count(*) FROM orders WHERE order_id = %lld", (long long)order_id),
        1);
    assert_int_equal(pg.out.count, 1);
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_unavailable);

    /* Asked again, it finds the order, and still says nothing before the standby has it: the
     * answer would otherwise promise what a failover forgets. */
    put_purchase(rid, order_id, order_id, 1);
    batch_reset(&pg.out);
    pg_send(&pg);
    turns(25);
    assert_int_equal(pg.out.count, 0);
    assert_true(waiting("pg_shop") > 0);
    cancel_wait();
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_unavailable);

    /* The wait can end well, too: then the answer is that it had been accepted. */
    put_purchase(rid, order_id, order_id, 1);
    batch_reset(&pg.out);
    pg_send(&pg);
    turns(5);
    want_standby("");
    pg_wait(&pg);
    assert_int_equal(pg.out.count, 1);
    assert_int_equal(decided(0)->outcome, outcome_same);
    assert_int_equal(decided(0)->order_id, order_id);
    put_purchase(next_rid(), 900, 900, 1);
    pg_ask(&pg);
    assert_int_equal(decided(0)->outcome, outcome_accepted); /* The doubt was that statement's. */
    assert_account();
}

static void cancelled_wait_is_unknown(void **state) {
    (void)state;
    cancel_a_purchase();
}

/* Another connection of the port's, with these options. */
static void port_anew(const char *options) {
    snprintf(pg.config.pg_dsn, sizeof pg.config.pg_dsn, "options='-c search_path=%s %s'", pg.schema,
             options);
    pg_harness_anew(&pg);
}

/* Somebody found warnings a nuisance: of the database, of the role, or of every connection. */
static void it_is_heard_where_warnings_are_off(void **state) {
    (void)state;
    char *database = PQescapeIdentifier(root, PQdb(pg.sql), strlen(PQdb(pg.sql)));
    char *role = PQescapeIdentifier(root, PQuser(pg.sql), strlen(PQuser(pg.sql)));
    pg_exec(root, "ALTER DATABASE %s SET client_min_messages = error", database);
    pg_exec(root, "ALTER ROLE %s SET client_min_messages = error", role);
    port_anew("");
    cancel_a_purchase();
    port_anew("-c client_min_messages=error");
    cancel_a_purchase();
    pg_exec(root, "ALTER ROLE %s RESET client_min_messages", role);
    pg_exec(root, "ALTER DATABASE %s RESET client_min_messages", database);
    PQfreemem(database);
    PQfreemem(role);
}

/* What the address of the database asks for stays. */
static void other_options_stay(void **state) {
    (void)state;
    uint32_t size;
    char why[400];
    struct pg_link *link =
        link_open("options='-c statement_timeout=71s -c client_min_messages=error'", "test", 0);
    if (!link_connect(link, why, sizeof why)) fail_msg("%s", why);
    assert_true(link_run(link, "SHOW statement_timeout", 0, NULL));
    assert_string_equal(link_value(link, 0, 0, &size), "71s");
    assert_true(link_run(link, "SHOW client_min_messages", 0, NULL));
    assert_string_equal(link_value(link, 0, 0, &size), "warning");
    link_close(link);
}

/* Nobody can make "you got it" mean "unless the power fails": not for the role, nor the address. */
static void commits_wait_for_the_disk(void **state) {
    (void)state;
    uint32_t size;
    char why[400];
    char *role = PQescapeIdentifier(root, PQuser(pg.sql), strlen(PQuser(pg.sql)));
    pg_exec(root, "ALTER ROLE %s SET synchronous_commit = off", role);
    struct pg_link *link = link_open("options='-c synchronous_commit=off'", "test", 0);
    if (!link_connect(link, why, sizeof why)) fail_msg("%s", why);
    assert_true(link_run(link, "SHOW synchronous_commit", 0, NULL));
    assert_string_equal(link_value(link, 0, 0, &size), "on");
    link_close(link);
    pg_exec(root, "ALTER ROLE %s RESET synchronous_commit", role);
    PQfreemem(role);
}

/* The server ends the process that waits: the connection is lost, which is unknown as well. */
static void terminated_wait_is_unknown(void **state) {
    (void)state;
    int64_t order_id, rid;
    fresh_lot(1000, 5);
    want_standby("nowhere");
    rid = purchase_waits(&order_id);
    pg_exec(root, "SELECT pg_terminate_backend(%lld)", (long long)waiting("pg_shop"));
    pg_wait(&pg);
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_unavailable);
    want_standby("");
    for (int i = 0; i < TRIES; i++) {
        put_purchase(rid, order_id, order_id, 1);
        pg_ask(&pg);
        if (pg.out.items[0].head.type == MSG_decided) break;
        pg_turn(&pg, TURN_MS);
    }
    assert_int_equal(decided(0)->outcome, outcome_same);
    assert_account();
}

/* Of several connections only the one whose wait was cut short is in doubt. */
static void doubt_is_of_one_connection(void **state) {
    (void)state;
    int64_t order_id;
    fresh_lot(1000, 5);
    pg_port.close(pg.port);
    pg.config.pg_shop_connections = 2;
    struct port_setup setup = { .config = &pg.config, .self = PORT_pg_shop };
    pg.port = pg_port.open(&setup);
    turns(50);
    want_standby("nowhere");
    (void)purchase_waits(&order_id);
    struct sale_rows_get *get = pg_put(&pg, MSG_sale_rows_get);
    get->sale_id = 1;
    pg_send(&pg);
    for (int i = 0; i < TRIES && pg.out.count == 0; i++)
        pg_turn(&pg, TURN_MS);
    (void)PG_ANSWER(&pg, 0, rows_end); /* A reader beside it does not wait. */
    batch_reset(&pg.out);
    cancel_wait();
    for (int i = 0; i < TRIES && pg.out.count == 0; i++)
        pg_turn(&pg, TURN_MS);
    assert_int_equal(pg.out.count, 1);
    assert_int_equal(PG_ANSWER(&pg, 0, failed)->problem, PROBLEM_unavailable);
    want_standby("");
}

static int open_pg(void **state) {
    (void)state;
    pg_harness_open(&pg, "test_pg_standby");
    pg_exec(pg.sql, "SET synchronous_commit = local");
    root = PQconnectdb("user=postgres dbname=postgres");
    if (PQstatus(root) != CONNECTION_OK) return -1;
    pg_exec(root, "SET synchronous_commit = local");
    return 0;
}

static int close_pg(void **state) {
    (void)state;
    want_standby("");
    PQfinish(root);
    pg_harness_close(&pg);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_wait_is_unknown),
        cmocka_unit_test(it_is_heard_where_warnings_are_off),
        cmocka_unit_test(other_options_stay),
        cmocka_unit_test(commits_wait_for_the_disk),
        cmocka_unit_test(terminated_wait_is_unknown),
        cmocka_unit_test(doubt_is_of_one_connection),
    };
    return cmocka_run_group_tests(tests, open_pg, close_pg);
}
