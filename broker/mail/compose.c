/* Headers and body of a mail: 7bit where the text allows it, else base64. */
#include "broker/mail/compose.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    LINE_MAX_7BIT = 900,    /* RFC 5321 allows 998. */
    BASE64_LINE_BYTES = 57, /* Make 76 characters. */
    WORD_BYTES = 39,        /* Of text in one encoded word: 76 characters with "Subject: ". */
};

struct output {
    char *at;
    size_t size;
};

static void put(struct output *out, const char *bytes, size_t size) {
    assert(size <= COMPOSE_MAX - out->size);
    memcpy(out->at + out->size, bytes, size);
    out->size += size;
}

__attribute__((format(printf, 2, 3))) static void print(struct output *out, const char *format,
                                                        ...) {
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(out->at + out->size, COMPOSE_MAX - out->size, format, arguments);
    va_end(arguments);
    assert(size >= 0 && (size_t)size < COMPOSE_MAX - out->size);
    out->size += (size_t)size;
}

static void put_base64(struct output *out, const char *bytes, size_t size) {
    char text[128];

    assert(size <= BASE64_LINE_BYTES);
    sodium_bin2base64(text, sizeof text, (const unsigned char *)bytes, size,
                      sodium_base64_VARIANT_ORIGINAL);
    put(out, text, strlen(text));
}

/* ---- What is good ---------------------------------------------------------------------------- */

bool compose_address_good(const char *at, size_t size) {
    const char *sign = size < 3 ? NULL : memchr(at, '@', size);

    if (size > SMTP_ADDRESS_MAX || sign == NULL || sign == at || sign == at + size - 1)
        return false;
    if (memchr(sign + 1, '@', size - (size_t)(sign - at) - 1) != NULL) return false;
    for (size_t i = 0; i < size; i++) {
        if (at[i] <= ' ' || at[i] > '~' || strchr("<>()[],;:\\\"", at[i]) != NULL) return false;
    }
    return at[0] != '-'; /* Some programs behind a server would take it for an option. */
}

static size_t utf8_size(const unsigned char *at, size_t left) {
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t size = at[0] < 0x80   ? 1
                  : at[0] < 0xc2 ? 0
                  : at[0] < 0xe0 ? 2
                  : at[0] < 0xf0 ? 3
                  : at[0] < 0xf5 ? 4
                                 : 0;

    if (size == 0 || size > left) return 0;
    uint32_t value = size == 1 ? at[0] : at[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (at[i] & 0x3fU);
    }
    if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    return size;
}

static bool text_good(const char *text, size_t size, const char *controls) {
    const unsigned char *at = (const unsigned char *)text;

    for (size_t i = 0; i < size;) {
        size_t step = utf8_size(at + i, size - i);
        if (step == 0 || at[i] == 0x7f) return false;
        if (at[i] < ' ' && (at[i] == '\0' || strchr(controls, at[i]) == NULL)) return false;
        /* U+0080 to U+009F are control characters too; U+0085 is a line end to some. */
        if (step == 2 && at[i] == 0xc2 && at[i + 1] < 0xa0) return false;
        i += step;
    }
    return true;
}

bool compose_mail_good(const struct smtp_mail *mail) {
    return mail->outbox_id > 0 && compose_address_good(mail->to, mail->to_size) &&
           mail->subject_size > 0 && mail->subject_size <= SMTP_SUBJECT_MAX &&
           mail->body_size > 0 && mail->body_size <= SMTP_BODY_MAX &&
           text_good(mail->subject, mail->subject_size, "") &&
           text_good(mail->body, mail->body_size, "\t\r\n");
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_date(struct output *out, int64_t now) {
    /* Not strftime: its names depend on the locale. */
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const time_t seconds = (time_t)(now / INT64_C(1000000000));
    struct tm utc = { .tm_mday = 1 };

    (void)gmtime_r(&seconds, &utc);
    print(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n", days[utc.tm_wday], utc.tm_mday,
          months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

static bool is_ascii(const char *at, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)at[i] > '~') return false;
    }
    return true;
}

/* RFC 2047 for what is not ASCII, and for what only looks encoded. */
static void put_subject(struct output *out, const char *at, size_t size) {
    print(out, "Subject: ");
    if (is_ascii(at, size) && memmem(at, size, "=?", 2) == NULL) {
        put(out, at, size);
    } else {
        for (size_t done = 0; done < size;) {
            size_t part = 0;
            while (done + part < size) {
                size_t step =
                    utf8_size((const unsigned char *)at + done + part, size - done - part);
                if (part + step > WORD_BYTES) break;
                part += step;
            }
            print(out, "%s=?UTF-8?B?", done == 0 ? "" : "\r\n ");
            put_base64(out, at + done, part);
            print(out, "?=");
            done += part;
        }
    }
    print(out, "\r\n");
}

static bool fits_7bit(const char *body, size_t size) {
    size_t line = 0;

    for (size_t i = 0; i < size; i++) {
        line = body[i] == '\n' ? 0 : line + 1;
        if (line > LINE_MAX_7BIT) return false;
    }
    return is_ascii(body, size);
}

/* Every line end, whether CR, LF or CRLF, becomes CRLF; the last line gets one. */
static void put_7bit(struct output *out, const char *body, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (body[i] == '\r' && i + 1 < size && body[i + 1] == '\n') continue;
        if (body[i] == '\r' || body[i] == '\n') {
            put(out, "\r\n", 2);
        } else {
            put(out, body + i, 1);
        }
    }
    if (out->at[out->size - 1] != '\n') put(out, "\r\n", 2);
}

size_t compose_mail(const struct smtp_mail *mail, const char *from, int64_t now, char *out_bytes) {
    struct output out = { .at = out_bytes };
    bool plain = fits_7bit(mail->body, mail->body_size);

    print(&out, "From: <%s>\r\nTo: <%.*s>\r\n", from, (int)mail->to_size, mail->to);
    put_subject(&out, mail->subject, mail->subject_size);
    put_date(&out, now);
    print(&out, "Message-ID: <outbox-%" PRId64 "@%s>\r\n", mail->outbox_id, strchr(from, '@') + 1);
    print(&out,
          "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
          "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
          plain ? "7bit" : "base64");
    if (plain) {
        put_7bit(&out, mail->body, mail->body_size);
        return out.size;
    }
    for (size_t done = 0; done < mail->body_size; done += BASE64_LINE_BYTES) {
        size_t left = mail->body_size - done;
        put_base64(&out, mail->body + done, left < BASE64_LINE_BYTES ? left : BASE64_LINE_BYTES);
        put(&out, "\r\n", 2);
    }
    return out.size;
}
