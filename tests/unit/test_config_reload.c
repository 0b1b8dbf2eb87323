/* Settings read again while the process runs: what is taken, what is refused, what is told. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct config config;
static struct config_error error;
static char file[] = "/tmp/test_config_reload-XXXXXX";

static bool load_text(const char *text) {
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_int_equal(fwrite(text, 1, strlen(text), to), strlen(text));
    assert_int_equal(fclose(to), 0);
    return config_load(&config, file, NULL, 0, &error);
}

static int begin(void **state) {
    (void)state;
    int fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state) {
    (void)state;
    return unlink(file);
}

static struct config_change changes[8];
static int changes_count;
static char change_texts[8][2][CONFIG_TEXT_SIZE];

static void note(void *context, const struct config_change *change) {
    assert_ptr_equal(context, &changes_count);
    assert_true(changes_count < 8);
    changes[changes_count] = *change;
    (void)snprintf(change_texts[changes_count][0], CONFIG_TEXT_SIZE, "%s", change->before);
    (void)snprintf(change_texts[changes_count++][1], CONFIG_TEXT_SIZE, "%s", change->after);
}

static void reload_takes_what_may_change(void **state) {
    (void)state;
    static struct config running;
    assert_true(load_text("http\n    hold = 200ms\n    listen = \":81\"\n"
                          "pg\n    dsn = \"password=old host=a\"\n"));
    running = config;
    assert_true(load_text("http\n    hold = 400ms\n    listen = \":82\"\n    rate_user = 3\n"
                          "pg\n    dsn = \"password=new host=b\"\n"));
    changes_count = 0;
    assert_true(config_reload(&running, &config, note, &changes_count, &error));
    assert_int_equal(changes_count, 4); /* In the order of config.def. */
    assert_string_equal(changes[0].name, "http.listen");
    assert_false(changes[0].taken);
    assert_string_equal(changes[1].name, "http.hold");
    assert_true(changes[1].taken);
    assert_string_equal(change_texts[1][0], "200ms");
    assert_string_equal(change_texts[1][1], "400ms");
    assert_string_equal(changes[2].name, "http.rate_user");
    assert_string_equal(changes[3].name, "pg.dsn");
    assert_false(changes[3].taken);
    assert_string_equal(change_texts[3][0], "password=*** host=a");
    assert_true(running.http_hold == 400000000 && running.http_rate_user == 3);
    assert_string_equal(running.http_listen, ":81");
    assert_string_equal(running.pg_dsn, "password=old host=a");
    changes_count = 0; /* Once more: only what is refused differs still. */
    assert_true(config_reload(&running, &config, note, &changes_count, &error));
    assert_int_equal(changes_count, 2);
}

/* A key taken out of the file has its default again. */
static void reload_goes_back_to_defaults(void **state) {
    (void)state;
    static struct config running;
    assert_true(load_text("log\n    level = debug\n"));
    running = config;
    assert_true(load_text("log\n    rate = 20\n"));
    changes_count = 0;
    assert_true(config_reload(&running, &config, note, &changes_count, &error));
    assert_int_equal(changes_count, 1);
    assert_string_equal(running.log_level, "info");
}

/* The new value of one key and the kept value of another may not go together. */
static void reload_keeps_the_order(void **state) {
    (void)state;
    static struct config running, before;
    assert_true(load_text("inventory\n    hint_every = 100ms\n    hint_life = 200ms\n"));
    running = config;
    before = running;
    config.inventory_hint_every = 300000000;
    changes_count = 0;
    assert_false(config_reload(&running, &config, note, &changes_count, &error));
    assert_non_null(strstr(error.text, "inventory.hint_every"));
    assert_int_equal(changes_count, 0);
    assert_memory_equal(&running, &before, sizeof before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reload_takes_what_may_change),
        cmocka_unit_test(reload_goes_back_to_defaults),
        cmocka_unit_test(reload_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
