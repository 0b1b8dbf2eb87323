/* Processor time and memory of other processes, from /proc. */
#ifndef DOORSIM_BENCH_PARTS_H
#define DOORSIM_BENCH_PARTS_H

#include <stdbool.h>

enum { PARTS_SEEN_MAX = 48, PART_SEEN_NAME_MAX = 32 };

struct parts {
    unsigned count;
    struct {
        char name[PART_SEEN_NAME_MAX];
        double seconds;
    } list[PARTS_SEEN_MAX];
};

/* Adds each thread of a process under "<prefix><thread's name>"; with a prefix that ends without a
 * blank or colon all threads go under the prefix alone. */
void parts_threads(struct parts *self, long pid, const char *prefix);

/* Adds a process and all its children, as they are now, under one name. */
void parts_family(struct parts *self, long pid, const char *name);

/* Calls `each` for every thread of a process, and of its children as they are now. */
void parts_each_thread(long pid, void (*each)(void *context, long thread), void *context);
void parts_each_thread_of_family(long pid, void (*each)(void *context, long thread), void *context);

/* What was used of a part between two moments. */
double parts_used(const struct parts *before, const struct parts *after, const char *name);

/* Resident memory in KiB; 0: there is no such process. */
double resident_kib(long pid);

#endif
