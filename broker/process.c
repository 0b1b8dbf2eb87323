#include "broker/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/metrics.h"
#include "broker/ready.h"
#include "broker/version.h"

static int64_t is_ready(void *context) {
    (void)context;
    return ready_all() ? 1 : 0;
}

void process_metrics_open(void) {
    metric_set(metrics_gauge("build_info", "1, with the version of this program.",
                             METRIC_LABELS("version", DOORBUSTER_VERSION)),
               1);
    metrics_gauge_read("ready", "1 when /readyz says 200.", METRIC_NO_LABELS, is_ready, NULL);
}

struct out {
    char *at;
    size_t size, used;
};

static void put(struct out *out, const char *name, const char *type, const char *help,
                const char *format, ...) __attribute__((format(printf, 5, 6)));
static void put(struct out *out, const char *name, const char *type, const char *help,
                const char *format, ...) {
    char value[64], text[512];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(value, sizeof value, format, list);
    va_end(list);
    int size = snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name,
                        type, name, value);
    if (size <= 0 || (size_t)size >= sizeof text || out->used + (size_t)size >= out->size) return;
    memcpy(out->at + out->used, text, (size_t)size + 1);
    out->used += (size_t)size;
}

static uint64_t count_descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (folder == NULL) return 0;
    for (const struct dirent *one; (one = readdir(folder)) != NULL;)
        if (one->d_name[0] != '.') count++;
    closedir(folder);
    return count - 1; /* Without the folder itself. */
}

/* Fields of /proc/self/stat by their number in proc(5); the name before them may hold blanks. */
static bool read_stat(uint64_t *threads, uint64_t *started, uint64_t *virtual, int64_t *pages) {
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL) return false;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    const char *at = strrchr(text, ')');
    if (at == NULL) return false;
    return sscanf(at + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
                  " %" SCNu64 " %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
                  threads, started, virtual, pages) == 4;
}

/* Ticks are counted from the boot. */
static double start_time(uint64_t ticks) {
    struct timespec up;
    if (clock_gettime(CLOCK_BOOTTIME, &up) != 0) return 0;
    double now = (double)clock_now() / 1e9;
    double boot = now - (double)up.tv_sec - (double)up.tv_nsec / 1e9;
    return boot + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

size_t process_metrics_write(char *to, size_t size) {
    struct out out = { to, size, 0 };
    struct rusage used;
    struct rlimit files;
    uint64_t threads, started, virtual;
    int64_t pages;
    if (size > 0) to[0] = 0;
    if (getrusage(RUSAGE_SELF, &used) == 0)
        put(&out, "process_cpu_seconds_total", "counter", "User and system time.", "%.6f",
            (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    if (read_stat(&threads, &started, &virtual, &pages)) {
        put(&out, "process_start_time_seconds", "gauge", "Unix time of the start.", "%.3f",
            start_time(started));
        put(&out, "process_resident_memory_bytes", "gauge", "Memory in use.", "%" PRId64,
            pages * sysconf(_SC_PAGESIZE));
        put(&out, "process_virtual_memory_bytes", "gauge", "Memory asked for.", "%" PRIu64,
            virtual);
        put(&out, "process_threads", "gauge", "Threads.", "%" PRIu64, threads);
    }
    put(&out, "process_open_fds", "gauge", "Descriptors in use.", "%" PRIu64, count_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        put(&out, "process_max_fds", "gauge", "Descriptors allowed.", "%" PRIu64,
            (uint64_t)files.rlim_cur);
    return out.used;
}
