/* What a server's log must never say.  Supervision restarts an actor whose assertion failed, so
 * that everything may add up in the end all the same: only the log and the counters tell. */
#include "tools/doorsim/stage.h"

#include <string.h>

enum { SHOWN_MAX = 5 };

static const char *const faults[] = {
    "msg=\"actor crashed\"",
    "msg=\"dead letter\"",
    "msg=\"answer that does not fit its route\"",
    "msg=\"no such address here\"",
    ": Assertion `",     /* glibc's, outside of actors. */
    "Assertion failed:", /* libzmq's. */
    "ERROR: AddressSanitizer",
    "runtime error: ",
};

static bool is_fault(const char *line) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (strstr(line, faults[i]) != NULL) return true;
    return false;
}

unsigned stage_log_faults(const struct stage *self, const char *log, long *from) {
    char line[2000];
    unsigned count = 0;
    FILE *in = fopen(stage_path(self, log), "re");
    if (in == NULL) return 0; /* That server was never started. */
    bool good = fseek(in, *from, SEEK_SET) == 0;
    while (good && fgets(line, sizeof line, in) != NULL) {
        if (!is_fault(line)) continue;
        if (count++ < SHOWN_MAX) printf("FAIL %s: %s", log, line);
    }
    *from = ftell(in);
    (void)fclose(in);
    if (count > SHOWN_MAX) printf("FAIL %s: %u more such lines\n", log, count - SHOWN_MAX);
    return count;
}
