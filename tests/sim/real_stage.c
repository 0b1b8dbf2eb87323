/* The server of --store=real: its tables, the gate before each commit, and the first rows. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/pg/migrate.h"
#include "tests/lib/pg_harness.h"
#include "tests/sim/real.h"

enum { BUYERS = 20000 };

static PGconn *sql;
static char dsn[256];
static struct draw noise;
static char *tables; /* All that a run writes to: "a, b, c". */

/* ---- Random numbers ---- */

static const char *noise_name(void) {
    return "seeded";
}
static uint32_t noise_random(void) {
    return (uint32_t)draw_bits(&noise);
}
static void noise_buf(void *to, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)draw_bits(&noise);
}

void real_seed(uint64_t seed) {
    noise = draw_make(seed, 5);
}

/* ---- The server ---- */

PGconn *real_sql(void) {
    return sql;
}

const char *real_dsn(void) {
    return dsn;
}

/* Two locks for each session, held by real_sql(): (77, pid) is its gate, (78, pid) says that the
 * transaction which goes through shall fail.  Once for each transaction. */
static const char gate[] =
    "CREATE FUNCTION sim_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF current_setting('sim.passed', true) IS DISTINCT FROM pg_current_xact_id()::text THEN"
    "   PERFORM pg_advisory_xact_lock(77, pg_backend_pid());"
    "   IF NOT pg_try_advisory_xact_lock_shared(78, pg_backend_pid()) THEN"
    "     RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'drawn from the seed'; END IF;"
    "   PERFORM set_config('sim.passed', pg_current_xact_id()::text, true);"
    " END IF; RETURN NULL; END $$;"
    "DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY ARRAY['orders', 'refusal', 'lot', 'sale',"
    " 'general_stock', 'stock_shard', 'payment', 'refund', 'outbox', 'payment_event'] LOOP"
    "   EXECUTE format('CREATE CONSTRAINT TRIGGER sim_gate AFTER INSERT OR UPDATE OR DELETE ON %I"
    "     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sim_gate()', name);"
    " END LOOP; END $$;";

/* Between runs the logs are emptied, by nobody else; and no plan and no place of a row may depend
 * on when somebody vacuums. */
static const char quiet[] =
    "DO $$ DECLARE t record; BEGIN"
    " FOR t IN SELECT tgrelid::regclass AS name FROM pg_trigger WHERE tgname = 'append_only' LOOP"
    "   EXECUTE format('DROP TRIGGER append_only ON %s; CREATE TRIGGER append_only BEFORE UPDATE"
    "     OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION keep_as_written()', t.name, t.name);"
    " END LOOP;"
    " FOR t IN SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() LOOP"
    "   EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = false)', t.name);"
    " END LOOP; END $$;";

static void fail(const char *what, const char *why) {
    fprintf(stderr, "doorsim: %s: %s\n", what, why);
    exit(1);
}

static char *table_list(void) {
    PGresult *rows = PQexec(sql, "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables"
                                 " WHERE schemaname = current_schema() AND tablename NOT IN"
                                 " ('migration', 'sale_step', 'account', 'product')");
    if (PQntuples(rows) != 1) fail("tables", PQerrorMessage(sql));
    char *list = strdup(PQgetvalue(rows, 0, 0));
    PQclear(rows);
    return list;
}

void real_begin(void) {
    static randombytes_implementation seeded = { .implementation_name = noise_name,
                                                 .random = noise_random,
                                                 .buf = noise_buf };
    struct migration_report report;
    real_seed(0);
    randombytes_set_implementation(&seeded);
    pg_schema("sim", dsn, sizeof dsn);
    if (!migrate_run(dsn, &report)) fail("migrate", report.why);
    sql = PQconnectdb(dsn);
    if (PQstatus(sql) != CONNECTION_OK) fail("connect", PQerrorMessage(sql));
    pg_exec(sql, "SET client_min_messages = error"); /* Who is told to end may have ended. */
    pg_exec(sql, "%s", gate);
    pg_exec(sql, "%s", quiet);
    pg_exec(sql,
            "INSERT INTO account SELECT g, 'u' || g || '@here', 'x', 1, 0, 0, NULL, 'epoch'"
            " FROM generate_series(1001, %d) g; INSERT INTO product VALUES (1, 'Lamp')",
            1000 + BUYERS);
    tables = table_list();
    pg_exec(sql, "SET plan_cache_mode = force_generic_plan; SET jit = off");
    mirror_prepare();
}

void real_end(void) {
    PQfinish(sql);
    free(tables);
    sql = NULL;
    tables = NULL;
}

/* ---- The first rows ---- */

typedef long long ll;

static void add_lot(const struct pg_lot *lot) {
    pg_exec(sql,
            "INSERT INTO lot (lot_id, sale_id, sku_id, shard, state, allocated, price, currency,"
            " price_version, per_buyer_limit, pay_window_us, rid_after)"
            " VALUES (%lld, %lld, %lld, %u, %d, %lld, %lld, 'CNY', %u, %u, %lld, %lld)",
            (ll)lot->lot_id, (ll)lot->sale_id, (ll)lot->sku_id, lot->shard, (int)lot->state,
            (ll)lot->allocated, (ll)lot->price, lot->price_version, lot->limit,
            (ll)lot->pay_window / 1000, (ll)lot->rid_after);
}

void real_stage(struct world *self) {
    const struct model_pg *pg = self->pg;
    if (self->shopper_count > BUYERS / 2) fail("--shoppers", "at most 10000 with --store=real");
    pg_exec(sql, "TRUNCATE %s RESTART IDENTITY", tables);
    for (uint32_t i = 0; i < pg->stock_count; i++)
        pg_exec(sql,
                "INSERT INTO sku VALUES (%lld, 1, 'red');"
                "INSERT INTO general_stock VALUES (%lld, %lld)",
                (ll)pg->stocks[i].sku_id, (ll)pg->stocks[i].sku_id, (ll)pg->stocks[i].on_hand);
    for (uint32_t i = 0; i < pg->sale_count; i++) {
        const struct pg_sale *sale = &pg->sales[i];
        pg_exec(sql,
                "INSERT INTO sale VALUES (%lld, 'Night', %d, time_of(%lld), time_of(%lld), %lld)",
                (ll)sale->sale_id, (int)sale->state, (ll)sale->opens_at / 1000,
                (ll)sale->closes_at / 1000, (ll)sale->pay_window / 1000);
    }
    for (uint32_t i = 0; i < pg->lot_count; i++)
        add_lot(&pg->lots[i]);
}
