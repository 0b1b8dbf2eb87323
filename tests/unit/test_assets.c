/* The files inside the program: broker/assets.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/assets.h"

static void equal_the_files_on_disk(void **state) {
    (void)state;
    for (size_t i = 0; i < assets_count; i++) {
        FILE *file = fopen(assets[i].name, "rb");
        assert_non_null(file);
        size_t at = 0;
        for (int c = getc(file); c != EOF; c = getc(file), at++) {
            assert_true(at < assets[i].size);
            assert_int_equal(assets[i].data[at], c);
        }
        (void)fclose(file);
        assert_int_equal(at, assets[i].size);
        assert_int_equal(assets[i].data[at], 0);
    }
    assert_null(assets[assets_count].name);
}

static void are_found_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < assets_count; i++) {
        assert_ptr_equal(asset_find(assets[i].name), &assets[i]);
        assert_true(i == 0 || strcmp(assets[i - 1].name, assets[i].name) < 0);
    }
    assert_null(asset_find("schema/sql/"));
    assert_null(asset_find(""));
}

static void are_found_by_prefix(void **state) {
    size_t count = 0;

    (void)state;
    const struct asset *first = asset_find_prefix("schema/sql/", &count);
    assert_non_null(first);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strncmp(first[i].name, "schema/sql/", 11), 0);
    }
    assert_true(first == assets || strncmp(first[-1].name, "schema/sql/", 11) != 0);
    assert_true(first[count].name == NULL || strncmp(first[count].name, "schema/sql/", 11) != 0);
    assert_null(asset_find_prefix("no such folder/", &count));
    assert_int_equal(count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_the_files_on_disk),
        cmocka_unit_test(are_found_by_name),
        cmocka_unit_test(are_found_by_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
