/* Log lines: put together on the stack, written at once. */
#include "broker/log.h"

#include "broker/clock.h"
#include "schema/schema.h"
#include "schema/timefmt.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_TAIL = 96, /* Kept free for truncated, suppressed, lost and the end of the line. */
    RATE_DEFAULT = 20,
};

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const int priorities[] = { 7, 6, 4, 3 }; /* debug, info, warning, err of syslog(3). */
static const char *const format_names[] = { "logfmt", "json" };

/* Read by every line, changed by a reload meanwhile: each value for itself. */
static struct {
    _Atomic int level;  /* enum log_level */
    _Atomic int format; /* enum log_format */
    _Atomic int fd;
    _Atomic bool journal;        /* Each line begins with its priority, as journald reads it. */
    _Atomic int64_t interval_ns; /* Between lines of one site, on average; 0: no limit. */
    char node[LOG_NODE_MAX + 1]; /* Set once, before there are threads. */
    _Atomic uint64_t lost;
    _Atomic(struct log_site *) sites; /* Those that have ever suppressed a line. */
} setup = { .level = LOG_LEVEL_info,
            .format = LOG_FORMAT_logfmt,
            .fd = STDERR_FILENO,
            .interval_ns = INT64_C(1000000000) / RATE_DEFAULT };

struct line {
    size_t size;
    size_t limit;
    bool full; /* Something did not fit since this was last cleared. */
    bool json, begun;
    char at[LOG_LINE_MAX];
};

/* systemd tells device and inode of the stream that it gave us, for it may have been redirected. */
static bool is_journal(int fd) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    uintmax_t device, inode;
    if (stream == NULL || sscanf(stream, "%ju:%ju", &device, &inode) != 2) return false;
    return fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_setup(enum log_level level, enum log_format format, uint32_t rate, int fd) {
    setup.level = (int)level;
    setup.format = (int)format;
    setup.interval_ns = rate == 0 ? 0 : INT64_C(1000000000) / rate;
    setup.fd = fd;
    setup.journal = is_journal(fd);
}

void log_node(const char *name) {
    (void)snprintf(setup.node, sizeof setup.node, "%s", name);
}

bool log_level_parse(const char *name, enum log_level *level) {
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) != 0) continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}

bool log_format_parse(const char *name, enum log_format *format) {
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++) {
        if (strcmp(name, format_names[i]) != 0) continue;
        *format = (enum log_format)i;
        return true;
    }
    return false;
}

bool log_wants(enum log_level level) {
    return (int)level >= atomic_load_explicit(&setup.level, memory_order_relaxed);
}

struct log_field log_slice(const char *key, const char *at, size_t size) {
    return (
        struct log_field){ .key = key, .kind = LOG_KIND_text, .value = { .text = { at, size } } };
}

struct log_field log_text(const char *key, const char *text) {
    return log_slice(key, text, text == NULL ? 0 : strlen(text));
}

static void put(struct line *line, const char *bytes, size_t size) {
    if (size > line->limit - line->size) {
        line->full = true;
        return;
    }
    memcpy(line->at + line->size, bytes, size);
    line->size += size;
}

static void put_string(struct line *line, const char *text) {
    put(line, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(struct line *line, const char *format,
                                                             ...) {
    char text[64];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (size > 0 && (size_t)size < sizeof text) put(line, text, (size_t)size);
}

/* Size of the UTF-8 character at `at`, or 0 if there is none.  C1 control characters count as none:
 * a terminal may act on them. */
static size_t utf8_size(const char *at, size_t rest) {
    unsigned char lead = (unsigned char)at[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (size > rest || !utf8_valid(at, size, true)) return 0;
    return lead == 0xc2 && (unsigned char)at[1] < 0xa0 ? 0 : size;
}

/* True if logfmt needs no quotes for it. */
static bool is_bare(const char *at, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)at[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) return false;
    }
    return size > 0 && size <= LOG_TEXT_MAX && !(size == 4 && memcmp(at, "null", 4) == 0);
}

/* The same escapes serve both formats. */
static void put_text(struct line *line, const char *at, size_t size) {
    if (!line->json && is_bare(at, size)) {
        put(line, at, size);
        return;
    }
    put(line, "\"", 1);
    for (size_t i = 0; i < size;) {
        size_t step = utf8_size(at + i, size - i);
        unsigned char c = (unsigned char)at[i];
        if (i + step > LOG_TEXT_MAX) {
            put_string(line, "...");
            break;
        }
        if (step == 0) {
            put_string(line, "\xef\xbf\xbd"); /* U+FFFD, the replacement character. */
            step = 1;
        } else if (c == '"' || c == '\\') {
            put_format(line, "\\%c", c);
        } else if (c == '\n') {
            put_string(line, "\\n");
        } else if (c < ' ' || c == 0x7f) {
            put_format(line, "\\u%04x", (unsigned)c);
        } else {
            put(line, at + i, step);
        }
        i += step;
    }
    put(line, "\"", 1);
}

static void put_key(struct line *line, const char *key) {
    bool json = line->json;
    put_string(line, line->begun ? (json ? "," : " ") : (json ? "{" : ""));
    line->begun = true;
    if (json) put_string(line, "\"");
    for (const char *c = key; *c != '\0'; c++) {
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_' || *c == '.';
        put(line, good ? c : "_", 1);
    }
    put_string(line, json ? "\":" : "=");
}

static void put_errno(struct line *line, int error) {
    char text[128];
    const char *name = strerror_r(error, text, sizeof text); /* GNU's: may not use `text`. */
    put_text(line, name, strlen(name));
}

static void put_value(struct line *line, const struct log_field *field) {
    switch (field->kind) {
    case LOG_KIND_end: break;
    case LOG_KIND_i64: put_format(line, "%" PRId64, field->value.i64); break;
    case LOG_KIND_u64: put_format(line, "%" PRIu64, field->value.u64); break;
    case LOG_KIND_f64: /* JSON has no infinities. */
        if (isfinite(field->value.f64))
            put_format(line, "%.9g", field->value.f64);
        else
            put_string(line, "null");
        break;
    case LOG_KIND_hex: {
        char hex[17];
        (void)snprintf(hex, sizeof hex, "%016" PRIx64, field->value.u64);
        put_text(line, hex, sizeof hex - 1);
        break;
    }
    case LOG_KIND_bool: put_string(line, field->value.yes ? "true" : "false"); break;
    case LOG_KIND_text:
        if (field->value.text.at == NULL)
            put_string(line, "null");
        else
            put_text(line, field->value.text.at, field->value.text.size);
        break;
    case LOG_KIND_errno: put_errno(line, (int)field->value.i64); break;
    }
}

/* All of the field or nothing of it. */
static bool put_field(struct line *line, struct log_field field) {
    size_t before = line->size;
    line->full = false;
    put_key(line, field.key);
    put_value(line, &field);
    if (!line->full) return true;
    line->size = before;
    return false;
}

static bool write_line(const struct line *line) {
    size_t done = 0;
    while (done < line->size) {
        ssize_t size = write(setup.fd, line->at + done, line->size - done);
        if (size > 0)
            done += (size_t)size;
        else if (size == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/* Writes one line, and into it what is to be told of lines that were not written.  If it cannot be
 * written either, that is left for a later one. */
static void compose(struct log_site *site, const char *actor, const char *message,
                    const struct log_field *fields) {
    char at[TIMEFMT_SIZE];
    struct line line = { .limit = LOG_LINE_MAX - LINE_TAIL,
                         .json = setup.format == LOG_FORMAT_json };
    bool truncated = false;
    if (setup.journal) put_format(&line, "<%d>", priorities[site->level]);
    (void)put_field(&line, LOG_TEXT("ts", timefmt_write(clock_now(), at)));
    (void)put_field(&line, LOG_TEXT("level", level_names[site->level]));
    if (setup.node[0] != 0) (void)put_field(&line, LOG_TEXT("node", setup.node));
    (void)put_field(&line, LOG_TEXT("actor", actor));
    (void)put_field(&line, LOG_TEXT("msg", message));
    for (const struct log_field *field = fields; field->kind != LOG_KIND_end; field++)
        truncated |= !put_field(&line, *field);

    line.limit = LOG_LINE_MAX; /* LINE_TAIL bytes hold the rest. */
    uint64_t suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    uint64_t lost = atomic_exchange_explicit(&setup.lost, 0, memory_order_relaxed);
    if (truncated) (void)put_field(&line, LOG_BOOL("truncated", true));
    if (suppressed > 0) (void)put_field(&line, LOG_U64("suppressed", suppressed));
    if (lost > 0) (void)put_field(&line, LOG_U64("lost", lost));
    put_string(&line, line.json ? "}\n" : "\n");
    if (write_line(&line)) return;
    atomic_fetch_add_explicit(&site->suppressed, suppressed, memory_order_relaxed);
    atomic_fetch_add_explicit(&setup.lost, lost + 1, memory_order_relaxed);
}

/* Takes a line's share of the site's rate.  A site that was quiet for a second may write a second's
 * lines at once; after that one per interval. */
static bool may_write(struct log_site *site) {
    int64_t interval = setup.interval_ns;
    if (interval == 0) return true;
    int64_t now = clock_mono();
    int64_t next = atomic_load_explicit(&site->next_ns, memory_order_relaxed);
    int64_t then;
    do {
        then = (next > now ? next : now) + interval;
        if (then - now > INT64_C(1000000000)) return false;
    } while (!atomic_compare_exchange_weak_explicit(&site->next_ns, &next, then,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* Counts the line that is not written, and makes the site known to log_flush. */
static void suppress(struct log_site *site) {
    atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
    if (atomic_exchange_explicit(&site->listed, true, memory_order_acq_rel)) return;
    struct log_site *first = atomic_load_explicit(&setup.sites, memory_order_relaxed);
    do {
        atomic_store_explicit(&site->link, first, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&setup.sites, &first, site,
                                                    memory_order_release, memory_order_relaxed));
}

void log_line(struct log_site *site, const char *actor, const struct log_field *fields) {
    int saved = errno;
    if (may_write(site))
        compose(site, actor, site->message, fields);
    else
        suppress(site);
    errno = saved;
}

void log_flush(void) {
    int saved = errno;
    struct log_site *site = atomic_load_explicit(&setup.sites, memory_order_acquire);
    for (; site != NULL; site = atomic_load_explicit(&site->link, memory_order_relaxed)) {
        if (atomic_load_explicit(&site->suppressed, memory_order_relaxed) == 0) continue;
        const struct log_field fields[] = { LOG_TEXT("line", site->message), LOG_END };
        compose(site, "log", "lines suppressed", fields);
    }
    errno = saved;
}
