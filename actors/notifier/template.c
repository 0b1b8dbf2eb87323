/* Messages to people: templates.def with the facts of one outbox row filled in. */
#include <inttypes.h>
#include <string.h>

#include "actors/notifier/notifier.h"
#include "schema/timefmt.h"

static const struct template {
    const char *subject, *body;
}
templates[] = {
#define TEMPLATE(notice, subject, body) [notice_##notice] = { (subject), (body) },
#include "actors/notifier/templates.def"
#undef TEMPLATE
};

struct writer {
    char *at;
    uint32_t size, max;
};

/* All of it or nothing: half a character would not be UTF-8. */
static void add(struct writer *to, const char *at, size_t size) {
    if (size > to->max - to->size) return;
    if (size > 0) memcpy(to->at + to->size, at, size);
    to->size += (uint32_t)size;
}

/* Digits behind the point, ISO 4217; two unless named here. */
static uint32_t minor_digits(const char currency[4]) {
    static const char none[] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
    static const char three[] = "BHD IQD JOD KWD LYD OMR TND";
    if (currency[0] == 0) return 2;
    if (strstr(none, currency) != NULL) return 0;
    return strstr(three, currency) != NULL ? 3 : 2;
}

static void add_money(struct writer *to, const struct money *money) {
    char line[48];
    uint32_t digits = minor_digits(money->currency);
    int64_t unit = digits == 0 ? 1 : digits == 2 ? 100 : 1000;
    int size =
        digits == 0
            ? snprintf(line, sizeof line, "%" PRId64 " %s", money->amount, money->currency)
            : snprintf(line, sizeof line, "%" PRId64 ".%0*" PRId64 " %s", money->amount / unit,
                       (int)digits, money->amount % unit, money->currency);
    add(to, line, (size_t)size);
}

static void add_number(struct writer *to, int64_t number) {
    char line[24];
    int size = snprintf(line, sizeof line, "%" PRId64, number);
    add(to, line, (size_t)size);
}

static void add_fact(struct writer *to, struct text name, const struct outbox_row *row) {
    char time[TIMEFMT_SIZE];
    if (text_is(name, "title"))
        add(to, row->title.at, row->title.size);
    else if (text_is(name, "quantity"))
        add_number(to, row->quantity);
    else if (text_is(name, "total"))
        add_money(to, &row->total);
    else if (text_is(name, "order_id"))
        add_number(to, row->order_id);
    else if (text_is(name, "pay_by")) {
        add(to, timefmt_write(row->pay_by, time), TIMEFMT_SIZE - 1);
    }
}

static struct text fill(const char *pattern, const struct outbox_row *row, uint32_t max,
                        struct outbox *out) {
    struct writer to = { .at = outbox_text(out, max), .max = max };
    while (*pattern != 0) {
        size_t plain = strcspn(pattern, "{");
        add(&to, pattern, plain);
        pattern += plain;
        if (*pattern == 0) break;
        size_t name = strcspn(pattern, "}");
        add_fact(&to, (struct text){ pattern + 1, (uint32_t)name - 1 }, row);
        pattern += name + (pattern[name] == '}' ? 1 : 0);
    }
    return (struct text){ to.at, to.size };
}

bool notifier_write(const struct outbox_row *row, struct outbox *out, struct text *subject,
                    struct text *body) {
    size_t count = sizeof templates / sizeof templates[0];
    if (row->notice >= count || templates[row->notice].subject == NULL) return false;
    *subject = fill(templates[row->notice].subject, row, NOTIFIER_SUBJECT_MAX, out);
    *body = fill(templates[row->notice].body, row, NOTIFIER_BODY_MAX, out);
    return true;
}
