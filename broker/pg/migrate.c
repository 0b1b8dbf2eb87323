/* Brings a database up to this program's schema. */
#include "broker/pg/migrate.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/pg/link.h"
#include "config/config.h"

enum { CHECKSUM_SIZE = 32, HEX_SIZE = 2 * CHECKSUM_SIZE + 1 };
static const char prefix[] = "schema/sql/";

/* "schema/sql/0001_tables.sql" -> 1; 0 if it has no number. */
static long file_number(const struct asset *file) {
    const char *name = strncmp(file->name, prefix, sizeof prefix - 1) == 0
                           ? file->name + sizeof prefix - 1
                           : file->name;
    return strtol(name, NULL, 10);
}

static void checksum(const struct asset *file, char out[HEX_SIZE]) {
    unsigned char hash[CHECKSUM_SIZE];
    crypto_generichash(hash, sizeof hash, file->data, file->size, NULL, 0);
    sodium_bin2hex(out, HEX_SIZE, hash, sizeof hash);
}

static bool fail(struct migration_report *report, const char *what, const char *why) {
    snprintf(report->why, sizeof report->why, "%s: %s", what, why);
    return false;
}

static bool run(struct pg_link *link, struct migration_report *report, const char *what,
                const char *sql) {
    if (link_run(link, sql, 0, NULL)) return true;
    return fail(report, what, link_error(link)->message);
}

/* Of a file: 1 = applied, 0 = not, -1 = applied, but it was another one. */
static int look_up(struct pg_link *link, const struct asset *file,
                   struct migration_report *report) {
    char number[24], sum[HEX_SIZE];
    snprintf(number, sizeof number, "%ld", file_number(file));
    checksum(file, sum);
    const char *values[] = { number, sum };
    if (!link_run(link, "SELECT checksum = $2 FROM migration WHERE number = $1", 2, values)) {
        fail(report, file->name, link_error(link)->message);
        return -1;
    }
    if (link_rows(link) == 0) return 0;
    uint32_t size;
    if (link_value(link, 0, 0, &size)[0] == 't') return 1;
    fail(report, file->name, "has changed after it was applied");
    return -1;
}

static bool apply(struct pg_link *link, const struct asset *file, struct migration_report *report) {
    char number[24], sum[HEX_SIZE];
    snprintf(number, sizeof number, "%ld", file_number(file));
    checksum(file, sum);
    const char *values[] = { number, file->name, sum };
    if (!run(link, report, file->name, "BEGIN")) return false;
    /* assets.h: the data is followed by a zero. */
    if (!run(link, report, file->name, (const char *)file->data)) return false;
    if (!link_run(link, "INSERT INTO migration VALUES ($1, $2, $3)", 3, values))
        return fail(report, file->name, link_error(link)->message);
    if (!run(link, report, file->name, "COMMIT")) return false;
    report->applied++;
    return true;
}

/* All files are looked at before the first is applied. */
static bool apply_missing(struct pg_link *link, const struct asset *files, size_t count,
                          struct migration_report *report) {
    size_t first = count;
    for (size_t i = 0; i < count; i++) {
        if (file_number(&files[i]) != (long)i + 1)
            return fail(report, files[i].name, "is not the next number");
        int found = look_up(link, &files[i], report);
        if (found < 0) return false;
        if (found == 0 && first == count) first = i;
        if (found == 1 && first < i) return fail(report, files[first].name, "was left out");
    }
    for (size_t i = first; i < count; i++)
        if (!apply(link, &files[i], report)) return false;
    return true;
}

static struct pg_link *connect_to(const char *dsn, struct migration_report *report) {
    struct pg_link *link = link_open(dsn, "migrate", 0);
    char why[400];
    if (link_connect(link, why, sizeof why)) return link;
    fail(report, "could not connect to PostgreSQL", why);
    link_close(link);
    return NULL;
}

bool migrate_files(const char *dsn, const struct asset *files, size_t count,
                   struct migration_report *report) {
    *report = (struct migration_report){ .known = (uint32_t)count };
    struct pg_link *link = connect_to(dsn, report);
    if (link == NULL) return false;
    /* The lock ends with the connection.  Its key is per schema, as the table is. */
    bool good =
        run(link, report, "lock",
            "SET lock_timeout = '60s'; SET client_min_messages = warning;"
            "SELECT pg_advisory_lock(hashtext('doorbuster migration'), "
            "hashtext(current_schema))") &&
        run(link, report, "table migration",
            "CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())") &&
        apply_missing(link, files, count, report);
    link_close(link);
    return good;
}

bool migrate_run(const char *dsn, struct migration_report *report) {
    size_t count;
    const struct asset *files = asset_find_prefix(prefix, &count);
    return migrate_files(dsn, files, count, report);
}

/* One line per file. */
static int print_status(const char *dsn) {
    struct migration_report report = { 0 };
    struct pg_link *link = connect_to(dsn, &report);
    size_t count, missing = 0;
    const struct asset *files = asset_find_prefix(prefix, &count);
    if (link == NULL) {
        fprintf(stderr, "doorbuster migrate: %s\n", report.why);
        return 1;
    }
    bool fresh = !link_run(link, "SELECT FROM migration", 0, NULL);
    for (size_t i = 0; i < count; i++) {
        int found = fresh ? 0 : look_up(link, &files[i], &report);
        printf("%-8s %s\n",
               found == 1   ? "applied"
               : found == 0 ? "missing"
                            : "changed",
               files[i].name + sizeof prefix - 1);
        missing += found != 1;
    }
    link_close(link);
    return missing == 0 ? 0 : 1;
}

static int help(FILE *to, int code) {
    fprintf(
        to,
        "usage: doorbuster migrate [status] [--config FILE] [--set KEY=VALUE]...\n\n"
        "Brings the database that pg.dsn names to this version's tables, one numbered file after\n"
        "the other; safe to run twice.  `status` only tells which are there and which are "
        "missing;\n"
        "exit code 1 when one is.\n\n"
        "%s\nexample: doorbuster migrate status --config doorbuster.zpl\n",
        config_options_help);
    return code;
}

int migrate_command(int argc, char **argv) {
    struct config_options options = { 0 };
    struct config_error error;
    static struct config config;
    bool status = false;
    if (config_help_wanted(argc, argv)) return help(stdout, 0);
    for (int at = 1; at < argc;) {
        int taken = config_option(&options, argc, argv, &at);
        if (taken < 0) return 2;
        if (taken > 0) continue;
        if (strcmp(argv[at], "status") != 0) {
            fprintf(stderr, "doorbuster migrate: what is \"%s\"?\n\n", argv[at]);
            return help(stderr, 2);
        }
        status = true;
        at++;
    }
    if (!config_load(&config, options.file, options.sets, options.sets_count, &error)) {
        fprintf(stderr, "doorbuster migrate: %s\n", error.text);
        return 1;
    }
    if (sodium_init() < 0) return 1;
    if (status) return print_status(config.pg_dsn);
    struct migration_report report;
    if (!migrate_run(config.pg_dsn, &report)) {
        fprintf(stderr, "doorbuster migrate: %s\n", report.why);
        return 1;
    }
    printf("%u of %u migrations applied\n", report.applied, report.known);
    return 0;
}
