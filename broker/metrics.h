/* The process's counters, gauges and histograms, and their Prometheus text (format 0.0.4).
 *
 * Series are registered at start, by one thread, before metrics_seal; from then on the registry is
 * fixed and any thread may update and write it.  Updates are relaxed atomics: no lock, no
 * allocation.  Names are given without the prefix `doorbuster_`, in base units: a counter ends in
 * `_total`, a histogram or gauge of times in `_seconds`; its values are given in nanoseconds.
 * Labels are fixed at registration; never an id.
 *
 *     static struct metric_counter *orders;
 *     orders = metrics_counter("orders_total", "Orders committed.", METRIC_LABELS("shard", "0"));
 *     metric_add(orders, 1);
 *
 * A name that breaks the rules, too many series, or a new one after the seal are faults of ours
 * and assert.  The same name and labels again give the same series.
 *
 * A histogram with labels is left out of the text until something was observed: there is one per
 * message type, and a node sees few of them. */
#ifndef BROKER_METRICS_H
#define BROKER_METRICS_H

#include <stddef.h>
#include <stdint.h>

enum {
    METRICS_FAMILIES_MAX = 256,
    METRICS_SERIES_MAX = 2048,    /* Counters and gauges; some for each shard. */
    METRICS_HISTOGRAMS_MAX = 512, /* Histogram series. */
    METRICS_LABELS_SIZE = 160,    /* The labels of one series as text, with the NUL. */
};

struct metric_counter;
struct metric_gauge;
struct metric_histogram;

/* What a histogram counts, and with it its buckets. */
enum metric_unit {
    METRIC_seconds, /* Observed in nanoseconds, shown in seconds: 100 us to 60 s. */
    METRIC_count,   /* A number of things, such as a batch: 1 to 16384, by powers of two. */
};

/* Name, value, name, value, ...; borrowed for the call. */
#define METRIC_LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define METRIC_NO_LABELS   ((const char *const[]){ NULL })

/* `name` and `help` must be literals: they are kept.  The results live as long as the process. */
struct metric_counter *metrics_counter(const char *name, const char *help,
                                       const char *const *labels);
struct metric_gauge *metrics_gauge(const char *name, const char *help, const char *const *labels);
struct metric_histogram *metrics_histogram(const char *name, const char *help,
                                           enum metric_unit unit, const char *const *labels);

/* A gauge whose value is asked for whenever the text is written, by the thread that writes it. */
void metrics_gauge_read(const char *name, const char *help, const char *const *labels,
                        int64_t (*read)(void *context), void *context);

/* No series can be added from here on. */
void metrics_seal(void);

/* Any thread, never block. */
void metric_add(struct metric_counter *counter, uint64_t n);
void metric_set(struct metric_gauge *gauge, int64_t value);
void metric_change(struct metric_gauge *gauge, int64_t by);
/* Nanoseconds for METRIC_seconds.  Below zero counts as zero: clocks may differ. */
void metric_observe(struct metric_histogram *histogram, int64_t value);

uint64_t metric_counter_value(const struct metric_counter *counter);
int64_t metric_gauge_value(const struct metric_gauge *gauge);

/* Writes all series as text with a NUL, as snprintf does: returns the size of the whole text
 * without the NUL; if that is not below `size`, the text was cut and should be asked for again with
 * more room.  The values of different series are not of one instant. */
size_t metrics_write(char *out, size_t size);

/* Forgets all series and the seal.  For tests only, in one thread: pointers given out are void. */
void metrics_reset(void);

#endif
