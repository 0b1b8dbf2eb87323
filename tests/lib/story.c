#include "tests/lib/story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    char *got = NULL;
    size_t size = 0;
    if (file == NULL) return NULL;
    if (getdelim(&got, &size, 0, file) < 0) {
        free(got);
        got = NULL;
    }
    fclose(file);
    return got;
}

static void show_difference(const char *path, const char *is, const char *was) {
    uint32_t line = 1;
    while (*is != 0 && *is == *was) {
        if (*is == '\n') line++;
        is++;
        was++;
    }
    while (*is != 0 && was[-1] != '\n') {
        is--;
        was--;
    }
    fail_msg("%s, line %u\n  is:  %.*s\n  was: %.*s\n(UPDATE_STORIES=1 writes it anew)", path, line,
             (int)strcspn(is, "\n"), is, (int)strcspn(was, "\n"), was);
}

void story_compare(const char *path, const char *told) {
    if (getenv("UPDATE_STORIES") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(told, file);
        fclose(file);
    }
    char *kept = read_file(path);
    if (kept == NULL)
        fail_msg("%s is missing", path);
    else if (strcmp(told, kept) != 0)
        show_difference(path, told, kept);
    free(kept);
}
