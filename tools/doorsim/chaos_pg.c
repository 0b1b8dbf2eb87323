/* Faults of PostgreSQL itself. */
#include "tools/doorsim/chaos.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool chaos_admin(struct chaos *self, const char *sql, char *out, size_t size) {
    char text[400] = "";
    if (out == NULL) {
        out = text;
        size = sizeof text;
    }
    int status = STAGE_RUN(&self->stage, out, size, 20 * CHAOS_S, "psql", "-XqAt", "-U", "postgres",
                           "-v", "ON_ERROR_STOP=1", "-c", sql);
    out[strcspn(out, "\n")] = '\0';
    return status == 0;
}

/* Switches, turned by UPDATE: with which probability a row that is written fails, or a commit ends
 * its own backend.  `chaos_fenced` notes each order or refusal whose epoch is not its shard's: at
 * that moment the writer holds the shard's row FOR SHARE, so no other epoch can begin (G14). */
static const char prepare_sql[] =
    "CREATE TABLE chaos_switch (what text PRIMARY KEY, rate double precision NOT NULL);"
    "INSERT INTO chaos_switch VALUES ('errors', 0), ('commit', 0);"
    "CREATE TABLE chaos_fenced (rid bigint, epoch bigint);"
    "CREATE FUNCTION chaos_rate(w text) RETURNS double precision LANGUAGE sql STABLE AS"
    " $$ SELECT rate FROM chaos_switch WHERE what = w $$;"
    "CREATE FUNCTION chaos_errors() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF random() < chaos_rate('errors') THEN"
    "  RAISE EXCEPTION 'chaos' USING ERRCODE ="
    "   (ARRAY['40001', '40P01', '55P03', '57014'])[1 + floor(random() * 4)::integer];"
    " END IF; RETURN NULL; END $$;"
    "CREATE FUNCTION chaos_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF random() < chaos_rate('commit') THEN"
    "  PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$;"
    "CREATE FUNCTION chaos_fence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO chaos_fenced SELECT f.rid, s.epoch FROM fresh f JOIN stock_shard s"
    "  ON s.shard = f.rid >> 56 WHERE (f.rid >> 36) & 1048575 <> s.epoch;"
    " RETURN NULL; END $$;"
    "DO $$ DECLARE t text; BEGIN"
    " FOREACH t IN ARRAY ARRAY['orders', 'order_event', 'payment', 'outbox', 'ledger'] LOOP"
    "  EXECUTE format('CREATE TRIGGER chaos_errors AFTER INSERT OR UPDATE ON %I"
    "   FOR EACH STATEMENT EXECUTE FUNCTION chaos_errors()', t);"
    "  EXECUTE format('CREATE CONSTRAINT TRIGGER chaos_commit AFTER INSERT ON %I DEFERRABLE"
    "   INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chaos_commit()', t);"
    " END LOOP;"
    " FOREACH t IN ARRAY ARRAY['orders', 'refusal'] LOOP"
    "  EXECUTE format('CREATE TRIGGER chaos_fence AFTER INSERT ON %I REFERENCING NEW TABLE AS"
    "   fresh FOR EACH STATEMENT EXECUTE FUNCTION chaos_fence()', t);"
    " END LOOP; END $$";

bool chaos_prepare_sql(struct chaos *self) {
    char out[400];
    if (stage_sql(&self->stage, prepare_sql, out, sizeof out)) return true;
    fprintf(stderr, "chaos: %s\n", out);
    return false;
}

bool chaos_switch(struct chaos *self, const char *what, double rate) {
    char sql[128], out[300] = "";
    (void)snprintf(sql, sizeof sql, "UPDATE chaos_switch SET rate = %.4f WHERE what = '%s'", rate,
                   what);
    return stage_sql(&self->stage, sql, out, sizeof out);
}

static void restart(struct chaos *self) {
    stage_sleep(&self->stage, chaos_span(self, 0, 1500));
    (void)stage_stack(&self->stage, "start-pg", NULL);
}

void chaos_pg_immediate(struct chaos *self) {
    (void)stage_stack(&self->stage, "stop-pg", "immediate");
    restart(self);
}

void chaos_pg_kill(struct chaos *self) {
    (void)stage_stack(&self->stage, "kill-pg", NULL);
    restart(self);
}

void chaos_pg_backend_kill(struct chaos *self) {
    for (uint64_t left = 1 + chaos_draw(self, 5); left > 0; left--) {
        (void)chaos_admin(self,
                          "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                          " WHERE application_name LIKE 'pg_%'",
                          NULL, 0);
        stage_sleep(&self->stage, chaos_span(self, 10, 400));
    }
}

void chaos_pg_commit_kill(struct chaos *self) {
    (void)chaos_switch(self, "commit", 0.02 + (double)chaos_draw(self, 100) / 1000);
    stage_sleep(&self->stage, chaos_span(self, 800, 2500));
    (void)chaos_switch(self, "commit", 0);
}

void chaos_pg_errors(struct chaos *self) {
    (void)chaos_switch(self, "errors", 0.1 + (double)chaos_draw(self, 500) / 1000);
    stage_sleep(&self->stage, chaos_span(self, 800, 2500));
    (void)chaos_switch(self, "errors", 0);
}

/* Commits wait for a standby that does not exist.  Who is cancelled then returns success. */
void chaos_pg_sync_cancelled(struct chaos *self) {
    char out[32] = "";
    unsigned cancelled = 0;
    (void)chaos_admin(self, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", NULL, 0);
    (void)chaos_admin(self, "SELECT pg_reload_conf()", NULL, 0);
    for (int i = 0; i < 8; i++) {
        stage_sleep(&self->stage, chaos_span(self, 50, 300));
        if (chaos_admin(self,
                        "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity"
                        " WHERE wait_event = 'SyncRep'",
                        out, sizeof out))
            cancelled += (unsigned)strtoul(out, NULL, 10);
    }
    (void)chaos_admin(self, "ALTER SYSTEM RESET synchronous_standby_names", NULL, 0);
    (void)chaos_admin(self, "SELECT pg_reload_conf()", NULL, 0);
    chaos_say(self, "%u waits for the standby were cancelled", cancelled);
}

void chaos_pg_lock(struct chaos *self) {
    (void)chaos_admin(
        self, "BEGIN; LOCK TABLE orders IN EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT", NULL, 0);
}

void chaos_pg_disk_full(struct chaos *self) {
    static const char zeros[65536];
    const char *filler = stage_path(&self->stage, "stack/data/filler");
    int file = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (file >= 0 && write(file, zeros, sizeof zeros) > 0)
        continue;
    /* What lies ready in the log is used up first: then a new segment is needed. */
    bool answers = true;
    for (int i = 0; i < 12 && answers; i++) {
        answers = chaos_admin(self,
                              "SELECT pg_logical_emit_message(true, 'chaos', 'x'); "
                              "SELECT pg_switch_wal()",
                              NULL, 0);
    }
    chaos_say(self, "the disk is full: PostgreSQL %s", answers ? "goes on" : "gives up");
    stage_sleep(&self->stage, chaos_span(self, 500, 2500));
    if (file >= 0) (void)close(file);
    (void)unlink(filler);
    (void)stage_stack(&self->stage, "stop-pg", "immediate");
    (void)stage_stack(&self->stage, "start-pg", NULL);
}
