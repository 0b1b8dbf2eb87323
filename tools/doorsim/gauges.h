/* The gauges in a text of /metrics, in the format of Prometheus: how full the server's queues are.
 */
#ifndef DOORSIM_GAUGES_H
#define DOORSIM_GAUGES_H

#include <stdbool.h>
#include <stddef.h>

enum { GAUGES_MAX = 64, GAUGE_NAME_MAX = 80 };

/* Names as they were met first; they keep their places. */
struct gauges {
    size_t count;
    char name[GAUGES_MAX][GAUGE_NAME_MAX]; /* With its labels: mailbox_depth{address="order"} */
};

/* Reads the series of all families that are gauges into the places of their names; others are left
 * alone, as are those beyond GAUGES_MAX or with longer names. */
void gauges_read(struct gauges *self, const char *text, size_t length, double *values);

/* Adds up the values of all gauges whose name begins so; false when there is none. */
bool gauges_sum(const struct gauges *self, const char *prefix, const double *values, double *sum);

#endif
