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
static double thread_seconds(long thread) {
    char path[64], line[100];
    (void)snprintf(path, sizeof path, "/proc/%ld/schedstat", thread);
    return read_line(path, line, sizeof line) ? strtod(line, NULL) / 1e9 : 0;
}

/* Calls `each` for every number among a folder's names. */
static void each_number(const char *folder, void (*each)(void *context, long number),
                        void *context) {
    DIR *all = opendir(folder);
    if (all == NULL) return;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            each(context, strtol(entry->d_name, NULL, 10));
    }
    closedir(all);
}

void parts_each_thread(long pid, void (*each)(void *context, long thread), void *context) {
    char folder[64];
    (void)snprintf(folder, sizeof folder, "/proc/%ld/task", pid);
    each_number(folder, each, context);
}

struct adding {
    struct parts *parts;
    const char *prefix;
    bool apart; /* Under the threads' own names. */
};

static void add_thread(void *context, long thread) {
    const struct adding *self = context;
    char path[64], comm[64], name[128];
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", thread);
    if (!read_line(path, comm, sizeof comm)) return;
    (void)snprintf(name, sizeof name, "%s%s", self->prefix, self->apart ? comm : "");
    add(self->parts, name, thread_seconds(thread));
}

void parts_threads(struct parts *self, long pid, const char *prefix) {
    size_t length = strlen(prefix);
    bool apart = length > 0 && (prefix[length - 1] == ' ' || prefix[length - 1] == ':');
    parts_each_thread(pid, add_thread, &(struct adding){ self, prefix, apart });
}

/* The parent, fourth word of stat; the second is in parentheses and may hold anything. */
static long parent_of(long pid) {
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!read_line(path, line, sizeof line)) return 0;
    const char *at = strrchr(line, ')');
    return at != NULL && strlen(at) > 4 ? strtol(at + 4, NULL, 10) : 0;
}

struct family {
    long parent;
    void (*each)(void *context, long thread);
    void *context;
};

static void threads_of_child(void *context, long pid) {
    const struct family *self = context;
    if (parent_of(pid) == self->parent) parts_each_thread(pid, self->each, self->context);
}

void parts_each_thread_of_family(long pid, void (*each)(void *context, long thread),
                                 void *context) {
    parts_each_thread(pid, each, context);
    each_number("/proc", threads_of_child, &(struct family){ pid, each, context });
}

void parts_family(struct parts *self, long pid, const char *name) {
    parts_each_thread_of_family(pid, add_thread, &(struct adding){ self, name, false });
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
