/* Values as text, and back. */
#include "config/internal.h"
#include "schema/schema.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t worth;
};

/* Largest first; a size without a unit is in bytes. */
static const struct unit durations[] = {
    { "d", INT64_C(86400000000000) },
    { "h", INT64_C(3600000000000) },
    { "m", INT64_C(60000000000) },
    { "s", INT64_C(1000000000) },
    { "ms", INT64_C(1000000) },
    { "us", INT64_C(1000) },
    { "ns", INT64_C(1) },
    { NULL, 0 },
};
static const struct unit sizes[] = {
    { "g", INT64_C(1) << 30 },
    { "m", INT64_C(1) << 20 },
    { "k", INT64_C(1) << 10 },
    { "", INT64_C(1) },
    { NULL, 0 },
};
static const struct unit ones[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(enum config_kind kind) {
    return kind == CONFIG_KIND_duration ? durations : kind == CONFIG_KIND_size ? sizes : ones;
}

bool config_number_read(enum config_kind kind, const char *text, int64_t *value) {
    bool minus = kind == CONFIG_KIND_integer && *text == '-';
    const char *at = text + (minus ? 1 : 0);
    const char *first = at;
    int64_t sum = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(sum, 10, &sum)) return false;
        if (__builtin_add_overflow(sum, *at - '0', &sum)) return false;
    }
    if (at == first) return false;
    if (kind == CONFIG_KIND_duration && sum == 0 && *at == '\0') { /* Zero needs no unit. */
        *value = 0;
        return true;
    }
    for (const struct unit *unit = units_of(kind); unit->name != NULL; unit++) {
        if (strcmp(at, unit->name) != 0) continue;
        if (__builtin_mul_overflow(sum, unit->worth, &sum)) return false;
        *value = minus ? -sum : sum;
        return true;
    }
    return false;
}

const char *config_number_write(enum config_kind kind, int64_t value, char out[32]) {
    const struct unit *unit = units_of(kind);
    if (kind == CONFIG_KIND_integer || value == 0) {
        (void)snprintf(out, 32, "%" PRId64, value);
        return out;
    }
    while (value % unit->worth != 0)
        unit++; /* Ends: the last unit is worth 1. */
    (void)snprintf(out, 32, "%" PRId64 "%s", value / unit->worth, unit->name);
    return out;
}

static bool is_number(enum config_kind kind) {
    return kind == CONFIG_KIND_integer || kind == CONFIG_KIND_duration || kind == CONFIG_KIND_size;
}

static bool read_number(const struct config_key *key, const char *text, int64_t *member,
                        char rule[256]) {
    static const char *const forms[][2] = {
        [CONFIG_KIND_integer] = { "whole number", "" },
        [CONFIG_KIND_duration] = { "duration", ", such as 300ms, 5s, 15m, 24h, 30d" },
        [CONFIG_KIND_size] = { "size", ", such as 900, 64k, 1m" },
    };
    int64_t lo;
    int64_t hi;
    int64_t value;
    bool known =
        config_number_read(key->kind, key->lo, &lo) && config_number_read(key->kind, key->hi, &hi);
    assert(known); /* Else the row of config.def is wrong; a test reads them all. */
    if (config_number_read(key->kind, text, &value) && value >= lo && value <= hi) {
        *member = value;
        return true;
    }
    (void)snprintf(rule, 256, "a %s from %s to %s%s", forms[key->kind][0], key->lo, key->hi,
                   forms[key->kind][1]);
    return false;
}

static bool read_boolean(const char *text, bool *member, char rule[256]) {
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *member = i % 2 == 1;
        return true;
    }
    (void)snprintf(rule, 256, "yes or no");
    return false;
}

static bool read_choice(const char *words, const char *text, char *member, char rule[256]) {
    size_t size = strlen(text);
    for (const char *word = words; *word != '\0';) {
        size_t length = strcspn(word, "|");
        if (length == size && memcmp(word, text, size) == 0) {
            memcpy(member, text, size + 1);
            return true;
        }
        word += length + (word[length] == '|' ? 1 : 0);
    }
    (void)snprintf(rule, 256, "one of %s", words);
    return false;
}

static bool read_text(const struct config_key *key, const char *text, char *member,
                      char rule[256]) {
    int64_t lo;
    int64_t hi;
    bool known = config_number_read(CONFIG_KIND_integer, key->lo, &lo) &&
                 config_number_read(CONFIG_KIND_integer, key->hi, &hi);
    assert(known && lo >= 0 && hi < CONFIG_TEXT_SIZE);
    size_t size = strlen(text);
    /* Without a double quote every text can be written into a file again. */
    if (size >= (size_t)lo && size <= (size_t)hi && strchr(text, '"') == NULL &&
        utf8_valid(text, size, false)) {
        memcpy(member, text, size + 1);
        return true;
    }
    (void)snprintf(rule, 256, "%s of %s to %s bytes, in UTF-8, without '\"' and control characters",
                   key->kind == CONFIG_KIND_text ? "a text" : "a path", key->lo, key->hi);
    return false;
}

bool config_value_read(struct config *self, const struct config_key *key, const char *text,
                       char rule[256]) {
    char *member = (char *)self + key->offset;
    if (is_number(key->kind)) {
        int64_t value;
        if (!read_number(key, text, &value, rule)) return false;
        memcpy(member, &value, sizeof value);
        return true;
    }
    if (key->kind == CONFIG_KIND_boolean) {
        bool value;
        if (!read_boolean(text, &value, rule)) return false;
        memcpy(member, &value, sizeof value);
        return true;
    }
    if (key->kind == CONFIG_KIND_choice) return read_choice(key->words, text, member, rule);
    return read_text(key, text, member, rule);
}

/* Puts "***" in the place of [from, to).  Returns the position behind it. */
static size_t hide(char text[CONFIG_TEXT_SIZE], size_t from, size_t to) {
    char rest[CONFIG_TEXT_SIZE];
    if (from == to) return to;
    (void)snprintf(rest, sizeof rest, "%s", text + to);
    (void)snprintf(text + from, CONFIG_TEXT_SIZE - from, "***%s", rest);
    return strlen(text) < from + 3 ? strlen(text) : from + 3;
}

/* scheme://user:secret@host */
static void hide_in_url(char text[CONFIG_TEXT_SIZE]) {
    const char *authority = strstr(text, "://");
    if (authority == NULL) return;
    authority += 3;
    size_t size = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', size);
    const char *colon = memchr(authority, ':', size);
    if (at != NULL && colon != NULL && colon < at)
        (void)hide(text, (size_t)(colon + 1 - text), (size_t)(at - text));
}

/* password=secret, password = 'sec ret', ?password=secret&... */
static void hide_in_pairs(char text[CONFIG_TEXT_SIZE]) {
    size_t from = 0;
    for (const char *key; (key = strcasestr(text + from, "password")) != NULL;) {
        from = (size_t)(key - text) + strlen("password");
        size_t at = from + strspn(text + from, " ");
        if (text[at] != '=') continue;
        at++;
        at += strspn(text + at, " ");
        size_t end = at + strcspn(text + at, " &");
        if (text[at] == '\'') {
            for (end = at + 1; text[end] != '\0' && text[end] != '\''; end++)
                if (text[end] == '\\' && text[end + 1] != '\0') end++;
            if (text[end] == '\'') end++;
        }
        from = hide(text, at, end);
    }
}

void config_value_write(const struct config *self, const struct config_key *key,
                        char out[CONFIG_TEXT_SIZE]) {
    const char *member = (const char *)self + key->offset;
    if (is_number(key->kind)) {
        int64_t value;
        memcpy(&value, member, sizeof value);
        (void)config_number_write(key->kind, value, out);
    } else if (key->kind == CONFIG_KIND_boolean) {
        bool value;
        memcpy(&value, member, sizeof value);
        (void)snprintf(out, CONFIG_TEXT_SIZE, "%s", value ? "yes" : "no");
    } else {
        memcpy(out, member, CONFIG_TEXT_SIZE);
        if (key->kind == CONFIG_KIND_text) {
            hide_in_url(out);
            hide_in_pairs(out);
        }
    }
}
