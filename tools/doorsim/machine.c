#include "tools/doorsim/machine.h"

#include "broker/clock.h"
#include "schema/timefmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What stands behind the first line that begins with `name`, without quotes; "unknown". */
static void find_line(const char *path, const char *name, char *value, size_t size) {
    char line[256];
    FILE *from = fopen(path, "re");
    (void)snprintf(value, size, "unknown");
    while (from != NULL && fgets(line, sizeof line, from) != NULL) {
        if (strncmp(line, name, strlen(name)) != 0) continue;
        char *at = line + strlen(name);
        at += strspn(at, " \t:=\"");
        at[strcspn(at, "\"\n")] = '\0';
        (void)snprintf(value, size, "%s", at);
        break;
    }
    if (from != NULL) fclose(from);
}

json_t *machine_describe(void) {
    char processor[120], system[120], when[TIMEFMT_SIZE];
    struct utsname names;
    double load = 0;
    find_line("/proc/cpuinfo", "model name", processor, sizeof processor);
    find_line("/etc/os-release", "PRETTY_NAME", system, sizeof system);
    if (uname(&names) != 0) memset(&names, 0, sizeof names);
    (void)getloadavg(&load, 1);
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    return json_pack("{s:s, s:i, s:f, s:s, s:s, s:f, s:s}", "processor", processor, "cores",
                     (int)sysconf(_SC_NPROCESSORS_ONLN), "memory_gib", memory / (double)(1 << 30),
                     "kernel", names.release, "system", system, "load_before", load, "at",
                     timefmt_write(clock_now(), when));
}
