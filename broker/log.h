/* Log lines: logfmt (the default) or JSON, one write(2) per line, to stderr.
 *
 *     log_info("inventory", "recovered", LOG_I64("epoch", epoch), LOG_TEXT("why", why), LOG_END);
 *
 *     ts=2026-11-20T14:35:00.123Z level=info node=3 actor=inventory msg=recovered epoch=7
 *
 * A line about a message carries `trace`, the id that its problem document and all its consequences
 * have.  To systemd's journal each line begins with its priority.
 *
 * Each call site may write so many lines a second (log_setup); what it writes beyond that is
 * counted, and its next line ends in `suppressed=n`.  log_flush tells about sites whose next line
 * never came.  A line is at most LOG_LINE_MAX bytes, a text in it LOG_TEXT_MAX: longer texts end
 * in "...", fields that do not fit are left out and the line says `truncated=true`.
 *
 * Thread safe, no lock, no allocation; writing a line leaves errno alone.  A line blocks as long as
 * stderr does.  If stderr takes no line (EAGAIN, a full disk), the next one that it takes says
 * `lost=n`.  Never pass a secret, an address or a login as a value. */
#ifndef BROKER_LOG_H
#define BROKER_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_LINE_MAX = 4096, LOG_TEXT_MAX = 1024, LOG_NODE_MAX = 64 };

enum log_level { LOG_LEVEL_debug, LOG_LEVEL_info, LOG_LEVEL_warn, LOG_LEVEL_error };
enum log_format { LOG_FORMAT_logfmt, LOG_FORMAT_json };

enum log_kind {
    LOG_KIND_end,
    LOG_KIND_i64,
    LOG_KIND_u64,
    LOG_KIND_f64,
    LOG_KIND_hex,
    LOG_KIND_bool,
    LOG_KIND_text,
    LOG_KIND_errno
};

/* One key and its value.  Made by the macros below; lives as long as the statement. */
struct log_field {
    const char *key; /* A name of letters, digits and '_'. */
    enum log_kind kind;
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
        bool yes;
        struct {
            const char *at; /* NULL is written as null. */
            size_t size;
        } text;
    } value;
};

/* Where a line is written.  Every log_... statement has one of its own, static. */
struct log_site {
    _Atomic int64_t next_ns; /* Monotonic time from which the whole second's share is free. */
    _Atomic uint64_t suppressed;
    _Atomic(struct log_site *) link; /* In the list log_flush walks. */
    _Atomic bool listed;
    enum log_level level;
    const char *message;
};

#define LOG_FIELD_(name, of, member, v)                                                            \
    ((struct log_field){ .key = (name), .kind = LOG_KIND_##of, .value = { .member = (v) } })
#define LOG_I64(key, v)          LOG_FIELD_(key, i64, i64, v)
#define LOG_U64(key, v)          LOG_FIELD_(key, u64, u64, v)
#define LOG_F64(key, v)          LOG_FIELD_(key, f64, f64, v)
#define LOG_HEX(key, v)          LOG_FIELD_(key, hex, u64, v) /* 16 hex digits: trace ids. */
#define LOG_BOOL(key, v)         LOG_FIELD_(key, bool, yes, v)
#define LOG_ERRNO(key, v)        LOG_FIELD_(key, errno, i64, v) /* The text of an errno value. */
#define LOG_TEXT(key, v)         log_text((key), (v))           /* A string, or NULL. */
#define LOG_SLICE(key, at, size) log_slice((key), (at), (size))
#define LOG_END                  ((struct log_field){ .kind = LOG_KIND_end })

/* The statements.  The message is a literal, the last argument is LOG_END. */
#define log_debug(actor, message, ...) LOG_AT_(LOG_LEVEL_debug, actor, message, __VA_ARGS__)
#define log_info(actor, message, ...)  LOG_AT_(LOG_LEVEL_info, actor, message, __VA_ARGS__)
#define log_warn(actor, message, ...)  LOG_AT_(LOG_LEVEL_warn, actor, message, __VA_ARGS__)
#define log_error(actor, message, ...) LOG_AT_(LOG_LEVEL_error, actor, message, __VA_ARGS__)

#define LOG_AT_(at_level, at_actor, at_message, ...)                                               \
    do {                                                                                           \
        static struct log_site log_site_ = { .level = (at_level), .message = at_message };         \
        if (log_wants(at_level))                                                                   \
            log_line(&log_site_, (at_actor), (const struct log_field[]){ __VA_ARGS__ });           \
    } while (0)

/* Chosen at the start, and again by a reload; without it: info, logfmt, 20, stderr.
 * `rate` is lines per second and call site, 0 for no limit.  `fd` is borrowed. */
void log_setup(enum log_level level, enum log_format format, uint32_t rate, int fd);

/* Names this process in each line, for logs that are collected; "" = not at all.  Before there are
 * threads. */
void log_node(const char *name);

/* The level or format of this name; false, and nothing changed, if there is none. */
bool log_level_parse(const char *name, enum log_level *level);
bool log_format_parse(const char *name, enum log_format *format);

/* Writes one line for each site with suppressed lines that has not said so yet.  Call it now and
 * then, and before the end of the process. */
void log_flush(void);

/* What the statements above are made of. */
bool log_wants(enum log_level level);
void log_line(struct log_site *site, const char *actor, const struct log_field *fields);
struct log_field log_text(const char *key, const char *text);
struct log_field log_slice(const char *key, const char *at, size_t size);

#endif
