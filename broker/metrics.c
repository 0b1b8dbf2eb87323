/* The registry of metrics and its text. */
#include "broker/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BUCKETS_MAX = 20, CACHE_LINE = 64, NONE = -1 };

/* Upper bounds; one more bucket, +Inf, follows. */
static const int64_t bounds_seconds[] = {
    100000,     250000,     500000,     1000000,     2500000,     5000000,
    10000000,   25000000,   50000000,   100000000,   250000000,   500000000,
    1000000000, 2500000000, 5000000000, 10000000000, 30000000000, 60000000000,
};
static const int64_t bounds_count[] = { 1,   2,   4,    8,    16,   32,   64,   128,
                                        256, 512, 1024, 2048, 4096, 8192, 16384 };

enum family_kind { FAMILY_counter, FAMILY_gauge, FAMILY_histogram };

struct family {
    const char *name;
    const char *help;
    enum family_kind kind;
    enum metric_unit unit;
    int first; /* Index of its first series, in order of registration; NONE at the end. */
    int last;
};

struct metric_counter {
    _Alignas(CACHE_LINE) _Atomic uint64_t value;
};

struct metric_gauge {
    _Alignas(CACHE_LINE) _Atomic int64_t value;
};

struct metric_histogram {
    _Alignas(CACHE_LINE) _Atomic int64_t sum;
    const int64_t *bounds;
    size_t bounds_count;
    _Atomic uint64_t buckets[BUCKETS_MAX];
};

/* What the text needs of a series.  The values live elsewhere: apart from each other in memory, so
 * that threads do not take a cache line from each other. */
struct series {
    int next; /* In the same family. */
    void *value;
    int64_t (*read)(void *context); /* Set for a gauge that is asked for. */
    void *context;
    char labels[METRICS_LABELS_SIZE];
};

enum { ALL_SERIES = METRICS_SERIES_MAX + METRICS_HISTOGRAMS_MAX };

static struct family families[METRICS_FAMILIES_MAX];
static struct series all[ALL_SERIES];
static union {
    struct metric_counter counter;
    struct metric_gauge gauge;
} simple[METRICS_SERIES_MAX];
static struct metric_histogram histograms[METRICS_HISTOGRAMS_MAX];
static int families_count, all_count, simple_count, histograms_count;
static bool sealed;

static bool is_name(const char *text) {
    for (const char *c = text; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || *c == '_' || (c > text && *c >= '0' && *c <= '9')))
            return false;
    return *text != '\0';
}

static bool ends_in(const char *text, const char *end) {
    size_t size = strlen(text);
    size_t tail = strlen(end);
    return size > tail && strcmp(text + size - tail, end) == 0;
}

static struct family *family(const char *name, const char *help, enum family_kind kind,
                             enum metric_unit unit) {
    assert(is_name(name));
    assert(ends_in(name, "_total") == (kind == FAMILY_counter));
    assert(kind != FAMILY_histogram || ends_in(name, "_seconds") == (unit == METRIC_seconds));
    for (int i = 0; i < families_count; i++) {
        if (strcmp(families[i].name, name) != 0) continue;
        assert(families[i].kind == kind && (kind == FAMILY_gauge || families[i].unit == unit));
        return &families[i];
    }
    assert(!sealed && families_count < METRICS_FAMILIES_MAX);
    if (kind == FAMILY_gauge && ends_in(name, "_seconds")) unit = METRIC_seconds;
    struct family *self = &families[families_count++];
    *self = (struct family){ name, help, kind, unit, NONE, NONE };
    return self;
}

/* Text being written into a buffer that may be too small, counted as if it were not. */
struct text {
    char *at;
    size_t room;
    size_t size;
};

static void put_char(struct text *to, char c) {
    if (to->size + 1 < to->room) to->at[to->size] = c;
    to->size++;
}

/* With the escapes of the format: help texts know two of them, label values three. */
static void put_escaped(struct text *to, const char *from, bool quotes) {
    for (const char *c = from; *c != '\0'; c++) {
        if (*c == '\\' || *c == '\n' || (*c == '"' && quotes)) put_char(to, '\\');
        put_char(to, (char)(*c == '\n' ? 'n' : *c));
    }
}

__attribute__((format(printf, 2, 3))) static void put(struct text *to, const char *format, ...) {
    char *at = to->size < to->room ? to->at + to->size : NULL;
    va_list list;
    va_start(list, format);
    int size = vsnprintf(at, at == NULL ? 0 : to->room - to->size, format, list);
    va_end(list);
    assert(size >= 0);
    to->size += (size_t)size;
}

static void write_labels(char out[METRICS_LABELS_SIZE], const char *const *labels) {
    struct text to = { out, METRICS_LABELS_SIZE, 0 };
    for (const char *const *label = labels; *label != NULL; label += 2) {
        assert(is_name(label[0]) && label[1] != NULL);
        assert(strcmp(label[0], "le") != 0); /* Histograms own this one. */
        put(&to, "%s%s=\"", label == labels ? "" : ",", label[0]);
        put_escaped(&to, label[1], true);
        put_char(&to, '"');
    }
    assert(to.size < METRICS_LABELS_SIZE);
    out[to.size] = '\0';
}

/* The series of these labels, made if there is none; a made one has no value yet. */
static struct series *series(struct family *in, const char *const *labels) {
    char text[METRICS_LABELS_SIZE];
    write_labels(text, labels);
    for (int i = in->first; i != NONE; i = all[i].next)
        if (strcmp(all[i].labels, text) == 0) return &all[i];

    assert(!sealed && all_count < ALL_SERIES);
    int index = all_count++;
    all[index] = (struct series){ .next = NONE };
    memcpy(all[index].labels, text, sizeof text);
    if (in->first == NONE)
        in->first = index;
    else
        all[in->last].next = index;
    in->last = index;
    return &all[index];
}

struct metric_counter *metrics_counter(const char *name, const char *help,
                                       const char *const *labels) {
    struct series *one = series(family(name, help, FAMILY_counter, METRIC_count), labels);
    if (one->value == NULL) {
        assert(simple_count < METRICS_SERIES_MAX);
        one->value = &simple[simple_count++].counter;
    }
    return one->value;
}

struct metric_gauge *metrics_gauge(const char *name, const char *help, const char *const *labels) {
    struct series *one = series(family(name, help, FAMILY_gauge, METRIC_count), labels);
    assert(one->read == NULL);
    if (one->value == NULL) {
        assert(simple_count < METRICS_SERIES_MAX);
        one->value = &simple[simple_count++].gauge;
    }
    return one->value;
}

void metrics_gauge_read(const char *name, const char *help, const char *const *labels,
                        int64_t (*read)(void *context), void *context) {
    struct series *one = series(family(name, help, FAMILY_gauge, METRIC_count), labels);
    assert(one->value == NULL);
    assert(one->read == NULL || (one->read == read && one->context == context));
    one->read = read;
    one->context = context;
}

struct metric_histogram *metrics_histogram(const char *name, const char *help,
                                           enum metric_unit unit, const char *const *labels) {
    struct series *one = series(family(name, help, FAMILY_histogram, unit), labels);
    if (one->value == NULL) {
        assert(histograms_count < METRICS_HISTOGRAMS_MAX);
        struct metric_histogram *self = &histograms[histograms_count++];
        bool seconds = unit == METRIC_seconds;
        self->bounds = seconds ? bounds_seconds : bounds_count;
        self->bounds_count =
            (seconds ? sizeof bounds_seconds : sizeof bounds_count) / sizeof(int64_t);
        assert(self->bounds_count < BUCKETS_MAX);
        one->value = self;
    }
    return one->value;
}

void metrics_seal(void) {
    sealed = true;
}

void metric_add(struct metric_counter *counter, uint64_t n) {
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

void metric_set(struct metric_gauge *gauge, int64_t value) {
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

void metric_change(struct metric_gauge *gauge, int64_t by) {
    atomic_fetch_add_explicit(&gauge->value, by, memory_order_relaxed);
}

void metric_observe(struct metric_histogram *histogram, int64_t value) {
    size_t bucket = 0;
    if (value < 0) value = 0;
    while (bucket < histogram->bounds_count && value > histogram->bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

uint64_t metric_counter_value(const struct metric_counter *counter) {
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

int64_t metric_gauge_value(const struct metric_gauge *gauge) {
    return atomic_load_explicit(&gauge->value, memory_order_relaxed);
}

/* Nanoseconds as seconds, exact, without zeros at the end. */
static void put_amount(struct text *to, enum metric_unit unit, int64_t value) {
    if (unit == METRIC_count) {
        put(to, "%" PRId64, value);
        return;
    }
    if (value < 0) put_char(to, '-');
    value = value < 0 ? -value : value;
    int64_t rest = value % INT64_C(1000000000);
    int digits = 9;
    while (digits > 0 && rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    put(to, "%" PRId64, value / INT64_C(1000000000));
    if (digits > 0) put(to, ".%0*" PRId64, digits, rest);
}

static bool is_untouched(const struct metric_histogram *self) {
    for (size_t i = 0; i <= self->bounds_count; i++)
        if (atomic_load_explicit(&self->buckets[i], memory_order_relaxed) != 0) return false;
    return true;
}

static void put_histogram(struct text *to, const struct family *in, const struct series *one) {
    const struct metric_histogram *self = one->value;
    if (one->labels[0] != '\0' && is_untouched(self)) return;
    const char *comma = one->labels[0] == '\0' ? "" : ",";
    uint64_t count = 0;
    for (size_t i = 0; i <= self->bounds_count; i++) {
        count += atomic_load_explicit(&self->buckets[i], memory_order_relaxed);
        put(to, "doorbuster_%s_bucket{%s%sle=\"", in->name, one->labels, comma);
        if (i < self->bounds_count)
            put_amount(to, in->unit, self->bounds[i]);
        else
            put(to, "+Inf");
        put(to, "\"} %" PRIu64 "\n", count);
    }
    const char *open = one->labels[0] == '\0' ? "" : "{";
    const char *close = one->labels[0] == '\0' ? "" : "}";
    put(to, "doorbuster_%s_sum%s%s%s ", in->name, open, one->labels, close);
    put_amount(to, in->unit, atomic_load_explicit(&self->sum, memory_order_relaxed));
    put(to, "\ndoorbuster_%s_count%s%s%s %" PRIu64 "\n", in->name, open, one->labels, close, count);
}

static void put_simple(struct text *to, const struct family *in, const struct series *one) {
    put(to, one->labels[0] == '\0' ? "doorbuster_%s%s " : "doorbuster_%s{%s} ", in->name,
        one->labels);
    if (in->kind == FAMILY_counter) {
        put(to, "%" PRIu64 "\n", metric_counter_value(one->value));
    } else {
        put_amount(to, in->unit,
                   one->read != NULL ? one->read(one->context) : metric_gauge_value(one->value));
        put_char(to, '\n');
    }
}

size_t metrics_write(char *out, size_t size) {
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    struct text to = { out, size, 0 };
    for (int i = 0; i < families_count; i++) {
        const struct family *in = &families[i];
        put(&to, "# HELP doorbuster_%s ", in->name);
        put_escaped(&to, in->help, false);
        put(&to, "\n# TYPE doorbuster_%s %s\n", in->name, kinds[in->kind]);
        for (int at = in->first; at != NONE; at = all[at].next) {
            if (in->kind == FAMILY_histogram)
                put_histogram(&to, in, &all[at]);
            else
                put_simple(&to, in, &all[at]);
        }
    }
    if (size > 0) out[to.size < size ? to.size : size - 1] = '\0';
    return to.size;
}

void metrics_reset(void) {
    memset(families, 0, sizeof families);
    memset(all, 0, sizeof all);
    memset(simple, 0, sizeof simple);
    memset(histograms, 0, sizeof histograms);
    families_count = all_count = simple_count = histograms_count = 0;
    sealed = false;
}
