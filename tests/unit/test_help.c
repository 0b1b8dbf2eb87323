/* Every command of doorbuster answers --help, on stdout, with its options, and exit code 0; and the
 * manual has them, too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/main/commands.h"
#include "broker/pg/migrate.h"
#include "config/config.h"

static const struct {
    int (*run)(int argc, char **argv);
    const char *words[3], *options[8];
} commands[] = {
    { serve_command, { "serve" }, { "--actors", "--shards", "--config", "--set" } },
    { broker_command, { "broker" }, { "--config", "--set" } },
    { migrate_command, { "migrate" }, { "status", "--config", "--set" } },
    { migrate_command, { "migrate", "status" }, { "status", "--config", "--set" } },
    { config_command, { "config" }, { "check", "dump", "sample", "--config", "--set", "--json" } },
    { config_command, { "config", "dump" }, { "--json" } },
    { keys_command, { "keys" }, { "--curve", "--role", "--dir", "--config", "--set" } },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static char said[8192];

/* Runs it with this word behind its own, its stdout and stderr (or one of them) in `said`. */
static int run(size_t which, const char *word, bool out, bool err) {
    char copies[4][32], *argv[5] = { NULL };
    int argc = 0;
    for (; argc < 3 && commands[which].words[argc] != NULL; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", commands[which].words[argc]);
        argv[argc] = copies[argc];
    }
    snprintf(copies[argc], sizeof copies[argc], "%s", word);
    argv[argc] = copies[argc];
    fflush(NULL);
    int old_out = dup(STDOUT_FILENO), old_err = dup(STDERR_FILENO);
    FILE *kept = tmpfile(), *lost = fopen("/dev/null", "w");
    assert_true(kept != NULL && lost != NULL);
    dup2(fileno(out ? kept : lost), STDOUT_FILENO);
    dup2(fileno(err ? kept : lost), STDERR_FILENO);
    int code = commands[which].run(argc + 1, argv);
    fflush(NULL);
    dup2(old_out, STDOUT_FILENO);
    dup2(old_err, STDERR_FILENO);
    rewind(kept);
    said[fread(said, 1, sizeof said - 1, kept)] = 0;
    close(old_out), close(old_err), fclose(kept), fclose(lost);
    return code;
}

static void every_command_tells_its_options(void **state) {
    (void)state;
    for (size_t i = 0; i < COMMANDS; i++) {
        assert_int_equal(run(i, "--help", true, false), 0);
        assert_non_null(strstr(said, "usage: doorbuster "));
        assert_non_null(strstr(said, "\nexample: doorbuster "));
        for (size_t k = 0; commands[i].options[k] != NULL; k++)
            if (strstr(said, commands[i].options[k]) == NULL)
                fail_msg("%s --help lacks %s", commands[i].words[0], commands[i].options[k]);
        for (const char *line = said; *line != 0; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > 100) fail_msg("%.200s", line);
        assert_int_equal(run(i, "--help", false, true), 0);
        assert_string_equal(said, "");
    }
}

static void other_words_are_wrong_usage(void **state) {
    (void)state;
    for (size_t i = 0; i < COMMANDS; i++) {
        assert_int_equal(run(i, "--helpme", false, true), 2);
        assert_true(strstr(said, "--help") != NULL || strstr(said, "usage: ") != NULL);
    }
}

static int keys(const char *a, const char *b, const char *c, const char *d) {
    char words[5][40], *argv[6] = { NULL };
    const char *given[] = { "keys", a, b, c, d };
    for (int i = 0; i < 5; i++) {
        snprintf(words[i], sizeof words[i], "%s", given[i]);
        argv[i] = words[i];
    }
    fflush(NULL);
    int old = dup(STDERR_FILENO);
    FILE *lost = fopen("/dev/null", "w");
    assert_non_null(lost);
    dup2(fileno(lost), STDERR_FILENO);
    int code = keys_command(5, argv);
    dup2(old, STDERR_FILENO);
    close(old), fclose(lost);
    return code;
}

/* A slip makes no key that may nothing, and no other file than was meant. */
static void slips_make_no_keys(void **state) {
    (void)state;
    assert_int_equal(keys("--curve", "anna", "--role", "operatr"), 2);
    assert_int_equal(access("anna", F_OK), -1);
    assert_int_equal(keys("--role", "operator", "--set", "keys.file=/nowhere/at/all"), 2);
    assert_int_equal(keys("--dir", "keys", "--set", "keys.file=/nowhere/at/all"), 2);
}

/* Whoever follows the example has no secret in a folder that others read. */
static void the_example_keeps_the_secret_out(void **state) {
    (void)state;
    const char *example;
    run(COMMANDS - 1, "--help", true, false);
    example = strstr(said, "\nexample: ");
    assert_non_null(example);
    assert_non_null(strstr(example, "--dir keys\n"));
    assert_non_null(strstr(example, "install -m 0644 keys/anna /etc/doorbuster/operators/\n"));
}

static void the_manual_has_the_options(void **state) {
    (void)state;
    static char manual[1 << 15];
    FILE *from = fopen("docs/man/doorbuster.1", "r");
    assert_non_null(from);
    manual[fread(manual, 1, sizeof manual - 1, from)] = 0;
    fclose(from);
    for (size_t i = 0; i < COMMANDS; i++) {
        for (size_t k = 0; commands[i].options[k] != NULL; k++) {
            const char *word = commands[i].options[k];
            char flag[40];
            snprintf(flag, sizeof flag, "%s%s", *word == '-' ? "Fl " : "", word + (*word == '-'));
            if (strstr(manual, flag) == NULL) fail_msg("docs/man/doorbuster.1 lacks %s", word);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_tells_its_options),
        cmocka_unit_test(other_words_are_wrong_usage),
        cmocka_unit_test(slips_make_no_keys),
        cmocka_unit_test(the_example_keeps_the_secret_out),
        cmocka_unit_test(the_manual_has_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
