#include "broker/crash.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool crash_armed;

static enum crash_point wanted = CRASH_POINTS; /* None. */
static uint64_t wanted_hit;
static atomic_uint_least64_t hits[CRASH_POINTS];
static const char *count_file;

static const struct {
    const char *name, *in, *doc;
} points[CRASH_POINTS] = {
#define CRASH(name, in, doc) { #name, #in, doc },
#include "broker/crash.def"
#undef CRASH
};

const char *crash_describe(enum crash_point point, const char **in, const char **doc) {
    if (in != NULL) *in = points[point].in;
    if (doc != NULL) *doc = points[point].doc;
    return points[point].name;
}

void crash_reach(enum crash_point point) {
    uint64_t hit = atomic_fetch_add(&hits[point], 1) + 1;
    if (point != wanted || hit != wanted_hit) return;
    char line[100];
    int size = snprintf(line, sizeof line, "crash point %s, hit %llu\n", points[point].name,
                        (unsigned long long)hit);
    (void)!write(STDERR_FILENO, line, (size_t)size);
    _exit(CRASH_STATUS);
}

static void write_counts(void) {
    FILE *out = fopen(count_file, "we");
    if (out == NULL) return;
    for (unsigned i = 0; i < CRASH_POINTS; i++)
        fprintf(out, "%s %llu\n", points[i].name, (unsigned long long)atomic_load(&hits[i]));
    (void)fclose(out);
}

/* "name:hit" */
static bool read_wanted(const char *text) {
    const char *colon = strchr(text, ':');
    if (colon == NULL) return false;
    for (unsigned i = 0; i < CRASH_POINTS; i++) {
        size_t size = strlen(points[i].name);
        if (size != (size_t)(colon - text) || memcmp(points[i].name, text, size) != 0) continue;
        char *end;
        wanted = (enum crash_point)i;
        wanted_hit = strtoull(colon + 1, &end, 10);
        return *end == '\0' && wanted_hit > 0;
    }
    return false;
}

bool crash_arm(void) {
    const char *point = getenv("CRASH_POINT");
    count_file = getenv("CRASH_COUNT");
    if (point != NULL && !read_wanted(point)) {
        fprintf(stderr, "doorbuster: CRASH_POINT=%s is no name:hit of broker/crash.def\n", point);
        return false;
    }
    if (count_file != NULL && atexit(write_counts) != 0) return false;
    crash_armed = point != NULL || count_file != NULL;
    return true;
}
