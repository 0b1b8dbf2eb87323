/* Numbered, forward-only migrations: schema/sql/NNNN_name.sql, each applied once, in one
 * transaction, with its BLAKE2b checksum kept in the table `migration`.
 *
 * Safe to run twice and at the same time: an advisory lock lets one run after the other.  A file
 * that has been applied must never change: that is refused, before anything is done. */
#ifndef PG_MIGRATE_H
#define PG_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/assets.h"

struct migration_report {
    uint32_t applied; /* By this run. */
    uint32_t known;   /* Files there are. */
    char why[512];    /* A sentence, when it failed. */
};

/* Applies what is missing of the program's own files.  Blocks.  False with a sentence. */
bool migrate_run(const char *dsn, struct migration_report *report);

/* The same with other files: `count` of them, in order. */
bool migrate_files(const char *dsn, const struct asset *files, size_t count,
                   struct migration_report *report);

/* `doorbuster migrate [--config FILE] [--set KEY=VALUE] [status]`, given argv from the word
 * `migrate` on.  Exit code: 0, 1 if it failed (status: if something is missing), 2 if it is not
 * understood. */
int migrate_command(int argc, char **argv);

#endif
