/* The key file: who else may read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/keys.h"

static char folder[] = "/tmp/test_keys-XXXXXX";
static char file[64];
static struct seal_keys keys;
static char error[300];

static int begin(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    (void)snprintf(file, sizeof file, "%s/keys", folder);
    return keys_make(file) ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    return unlink(file) + rmdir(folder);
}

static bool load(mode_t mode) {
    assert_int_equal(chmod(file, mode), 0);
    return keys_load(file, &keys, error, sizeof error);
}

static void only_its_owner_may_read_it(void **state) {
    (void)state;
    assert_true(load(0600));
    assert_int_equal(keys.count, 1);
    assert_true(load(0400));
    assert_false(load(0440));
    assert_non_null(strstr(error, "by its owner only"));
    assert_false(load(0604));
    assert_false(load(0602));
}

static void a_credential_of_systemd_shows_a_group(void **state) {
    (void)state;
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_true(load(0440));
    assert_false(load(0460));
    assert_false(load(0444));
    setenv("CREDENTIALS_DIRECTORY", "/tmp/test_key", 1); /* The beginning of a name is no folder. */
    assert_false(load(0440));
    unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_owner_may_read_it),
        cmocka_unit_test(a_credential_of_systemd_shows_a_group),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
