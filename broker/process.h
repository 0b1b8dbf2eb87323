/* What the kernel knows of this process, for /metrics: under the names that every Prometheus client
 * gives them (process_cpu_seconds_total and so on), without our prefix. */
#ifndef BROKER_PROCESS_H
#define BROKER_PROCESS_H

#include <stddef.h>

/* Registers doorbuster_build_info and doorbuster_ready, once; before metrics_seal. */
void process_metrics_open(void);

/* Writes the text with a NUL and returns its size without, at most `size` - 1.  What cannot be read
 * from /proc is left out. */
size_t process_metrics_write(char *out, size_t size);

#endif
