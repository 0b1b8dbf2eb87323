/* Migrations: twice, two at once, one that fails, one that was changed, one left out. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/pg/migrate.h"
#include "tests/lib/pg_harness.h"

#define SCHEMA "test_pg_migrate"

static char dsn[256];
static PGconn *sql;

static struct asset file(const char *name, const char *text) {
    return (struct asset){ name, (const unsigned char *)text, strlen(text) };
}

static int fresh(void **state) {
    (void)state;
    PQfinish(sql);
    pg_schema(SCHEMA, dsn, sizeof dsn);
    sql = PQconnectdb(dsn);
    return 0;
}

static void ours_twice(void **state) {
    (void)state;
    struct migration_report report;
    if (!migrate_run(dsn, &report)) fail_msg("%s", report.why);
    assert_true(report.known > 0);
    assert_int_equal(report.applied, report.known);
    if (!migrate_run(dsn, &report)) fail_msg("%s", report.why);
    assert_int_equal(report.applied, 0);
    assert_int_equal(pg_number(sql, "SELECT count(*) FROM migration"), report.known);
}

static void *run(void *arg) {
    struct migration_report *report = arg;
    return migrate_run(dsn, report) ? report : NULL;
}

static void two_at_once(void **state) {
    (void)state;
    enum { RIVALS = 3 };
    pthread_t threads[RIVALS];
    struct migration_report reports[RIVALS];
    uint32_t applied = 0;
    for (int i = 0; i < RIVALS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &reports[i]), 0);
    for (int i = 0; i < RIVALS; i++) {
        void *good;
        pthread_join(threads[i], &good);
        if (good == NULL) fail_msg("%s", reports[i].why);
        applied += reports[i].applied;
    }
    assert_int_equal(applied, reports[0].known);
}

static void changed_file(void **state) {
    (void)state;
    struct migration_report report;
    struct asset files[] = { file("schema/sql/0001_a.sql", "CREATE TABLE a (n integer)"),
                             file("schema/sql/0002_b.sql", "CREATE TABLE b (n integer)") };
    assert_true(migrate_files(dsn, files, 1, &report));
    files[0] = file("schema/sql/0001_a.sql", "CREATE TABLE a (n integer) ");
    assert_false(migrate_files(dsn, files, 2, &report));
    assert_non_null(strstr(report.why, "0001_a.sql: has changed"));
    /* Nothing was done before that was seen. */
    assert_int_equal(pg_number(sql,
                               "SELECT count(*) FROM pg_tables WHERE schemaname = '%s'"
                               " AND tablename = 'b'",
                               SCHEMA),
                     0);
    files[0] = file("schema/sql/0001_a.sql", "CREATE TABLE a (n integer)");
    assert_true(migrate_files(dsn, files, 2, &report));
    assert_int_equal(report.applied, 1);
}

static void failing_file(void **state) {
    (void)state;
    struct migration_report report;
    struct asset files[] = {
        file("schema/sql/0001_a.sql", "CREATE TABLE a (n integer)"),
        file("schema/sql/0002_b.sql", "CREATE TABLE b (n integer); INSERT INTO a VALUES ('x')"),
    };
    assert_false(migrate_files(dsn, files, 2, &report));
    assert_non_null(strstr(report.why, "0002_b.sql"));
    assert_int_equal(pg_number(sql, "SELECT count(*) FROM migration"), 1);
    assert_int_equal(pg_number(sql,
                               "SELECT count(*) FROM pg_tables WHERE schemaname = '%s'"
                               " AND tablename = 'b'",
                               SCHEMA),
                     0);
    files[1] = file("schema/sql/0002_b.sql", "CREATE TABLE b (n integer)");
    assert_true(migrate_files(dsn, files, 2, &report));
}

static void numbers_in_order(void **state) {
    (void)state;
    struct migration_report report;
    struct asset gap[] = { file("schema/sql/0001_a.sql", "SELECT 1"),
                           file("schema/sql/0003_c.sql", "SELECT 1") };
    assert_false(migrate_files(dsn, gap, 2, &report));
    assert_non_null(strstr(report.why, "0003_c.sql: is not the next number"));
}

static void away(void **state) {
    (void)state;
    struct migration_report report;
    assert_false(migrate_run("host=/nonexistent connect_timeout=2", &report));
    assert_non_null(strstr(report.why, "could not connect"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ours_twice, fresh),
        cmocka_unit_test_setup(two_at_once, fresh),
        cmocka_unit_test_setup(changed_file, fresh),
        cmocka_unit_test_setup(failing_file, fresh),
        cmocka_unit_test_setup(numbers_in_order, fresh),
        cmocka_unit_test(away),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    pg_exec(sql, "DROP SCHEMA IF EXISTS %s CASCADE", SCHEMA);
    PQfinish(sql);
    return result;
}
