#include "tools/doorsim/bench/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(const char *path, char *line, int size) {
    FILE *from = fopen(path, "re");
    if (from == NULL) return false;
    bool good = fgets(line, size, from) != NULL;
    fclose(from);
    if (good) line[strcspn(line, "\n")] = '\0';
    return good;
}

static void add(struct parts *self, const char *name, double seconds) {
    unsigned i = 0;
    while (i < self->count && strcmp(self->list[i].name, name) != 0) {
        i++;
    }
    if (i == PARTS_SEEN_MAX) return;
    if (i == self->count) {
        (void)snprintf(self->list[i].name, PART_SEEN_NAME_MAX, "%.31s", name);
        self->list[i].seconds = 0;
        self->count++;
    }
    self->list[i].seconds += seconds;
}

/* The first number of schedstat: nanoseconds on a processor, to the nanosecond. */
static double thread_seconds(const char *folder, const char *thread) {
    char path[300], line[100];
    (void)snprintf(path, sizeof path, "%.200s/%.20s/schedstat", folder, thread);
    return read_line(path, line, sizeof line) ? strtod(line, NULL) / 1e9 : 0;
}

void parts_threads(struct parts *self, long pid, const char *prefix) {
    char folder[64], path[400], thread[64], name[128];
    (void)snprintf(folder, sizeof folder, "/proc/%ld/task", pid);
    DIR *tasks = opendir(folder);
    if (tasks == NULL) return;
    size_t length = strlen(prefix);
    bool apart = length > 0 && (prefix[length - 1] == ' ' || prefix[length - 1] == ':');
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%.20s/comm", folder, entry->d_name);
        if (!read_line(path, thread, sizeof thread)) continue;
        (void)snprintf(name, sizeof name, "%s%s", prefix, apart ? thread : "");
        add(self, name, thread_seconds(folder, entry->d_name));
    }
    closedir(tasks);
}

/* The parent, fourth word of stat; the second is in parentheses and may hold anything. */
static long parent_of(const char *pid) {
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (!read_line(path, line, sizeof line)) return 0;
    const char *at = strrchr(line, ')');
    return at != NULL && strlen(at) > 4 ? strtol(at + 4, NULL, 10) : 0;
}

void parts_family(struct parts *self, long pid, const char *name) {
    DIR *all = opendir("/proc");
    if (all == NULL) return;
    parts_threads(self, pid, name);
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        if (parent_of(entry->d_name) != pid) continue;
        parts_threads(self, strtol(entry->d_name, NULL, 10), name);
    }
    closedir(all);
}

double parts_used(const struct parts *before, const struct parts *after, const char *name) {
    double used = 0;
    for (unsigned i = 0; i < after->count; i++) {
        if (strcmp(after->list[i].name, name) == 0) used += after->list[i].seconds;
    }
    for (unsigned i = 0; i < before->count; i++) {
        if (strcmp(before->list[i].name, name) == 0) used -= before->list[i].seconds;
    }
    return used;
}

double resident_kib(long pid) {
    char path[64], line[128];
    double kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *from = fopen(path, "re");
    while (from != NULL && fgets(line, sizeof line, from) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) kib = strtod(line + 6, NULL);
    }
    if (from != NULL) fclose(from);
    return kib;
}
