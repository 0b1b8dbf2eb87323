/* RFC 3339 times, written and read. */
#include "schema/timefmt.h"

#include <string.h>

#define SECONDS_PER_DAY INT64_C(86400)

enum {
    DAYS_PER_400_YEARS = 146097,
    DAYS_1970_SINCE_1600 = 135140, /* 1600 begins a cycle of 400 years. */
    EPOCH_CYCLE_YEAR = 1600,
};

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_in_year(int64_t year) {
    return is_leap(year) ? 366 : 365;
}

static int64_t days_in_month(int64_t year, int64_t month) {
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1600-01-01 to the first of January of `year`, which is not before 1600. */
static int64_t days_before_year(int64_t year) {
    int64_t years = year - EPOCH_CYCLE_YEAR;
    /* Each started cycle of 4, of 100 and of 400 years began with a leap day, or without one. */
    return years * 365 + (years + 3) / 4 - (years + 99) / 100 + (years + 399) / 400;
}

static void put_digits(char *at, int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

const char *timefmt_write(int64_t time_ns, char out[TIMEFMT_SIZE]) {
    int64_t ms = time_ns / TIMEFMT_NS_PER_MS - (time_ns % TIMEFMT_NS_PER_MS < 0 ? 1 : 0);
    int64_t days = ms / (SECONDS_PER_DAY * 1000) - (ms % (SECONDS_PER_DAY * 1000) < 0 ? 1 : 0);
    int64_t rest = ms - days * (SECONDS_PER_DAY * 1000);

    days += DAYS_1970_SINCE_1600; /* Positive now: int64_t nanoseconds begin in 1677. */
    int64_t year = EPOCH_CYCLE_YEAR + days * 400 / DAYS_PER_400_YEARS;
    while (days_before_year(year) > days)
        year--; /* The estimate is off by one at most. */
    days -= days_before_year(year);
    while (days >= days_in_year(year))
        days -= days_in_year(year++);
    int64_t month = 1;
    while (days >= days_in_month(year, month))
        days -= days_in_month(year, month++);

    memcpy(out, "yyyy-mm-ddThh:mm:ss.mmmZ", TIMEFMT_SIZE);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, days + 1, 2);
    put_digits(out + 11, rest / 3600000, 2);
    put_digits(out + 14, rest / 60000 % 60, 2);
    put_digits(out + 17, rest / 1000 % 60, 2);
    put_digits(out + 20, rest % 1000, 3);
    return out;
}

struct reader {
    const char *at;
    const char *end;
    bool good; /* Stays false once anything did not fit. */
};

static int64_t read_digits(struct reader *in, int digits, int64_t lo, int64_t hi) {
    int64_t value = 0;
    for (int i = 0; i < digits; i++, in->at++) {
        if (in->at == in->end || *in->at < '0' || *in->at > '9') {
            in->good = false;
            return lo;
        }
        value = value * 10 + (*in->at - '0');
    }
    if (value >= lo && value <= hi) return value;
    in->good = false;
    return lo;
}

static bool read_one_of(struct reader *in, const char *choices) {
    if (in->at == in->end || *in->at == '\0' || strchr(choices, *in->at) == NULL) return false;
    in->at++;
    return true;
}

static void expect(struct reader *in, const char *choices) {
    if (!read_one_of(in, choices)) in->good = false;
}

static int64_t read_fraction(struct reader *in) {
    int64_t ns = 0;
    int64_t unit = TIMEFMT_NS_PER_S / 10;
    if (!read_one_of(in, ".")) return 0;
    const char *first = in->at;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++, unit /= 10)
        ns += unit * (*in->at - '0');
    if (in->at == first || in->at - first > 9) in->good = false;
    return ns;
}

/* Seconds to subtract to come to UTC. */
static int64_t read_offset(struct reader *in) {
    if (read_one_of(in, "Zz")) return 0;
    int64_t sign = in->at < in->end && *in->at == '-' ? -1 : 1;
    expect(in, "+-");
    int64_t hours = read_digits(in, 2, 0, 23);
    expect(in, ":");
    int64_t minutes = read_digits(in, 2, 0, 59);
    return sign * (hours * 3600 + minutes * 60);
}

bool timefmt_read(const char *text, size_t size, int64_t *time_ns) {
    struct reader in = { text, text + size, true };
    int64_t year = read_digits(&in, 4, 1677, 2262);
    expect(&in, "-");
    int64_t month = read_digits(&in, 2, 1, 12);
    expect(&in, "-");
    int64_t day = read_digits(&in, 2, 1, days_in_month(year, month));
    expect(&in, "Tt");
    int64_t hour = read_digits(&in, 2, 0, 23);
    expect(&in, ":");
    int64_t minute = read_digits(&in, 2, 0, 59);
    expect(&in, ":");
    int64_t second = read_digits(&in, 2, 0, 59);
    int64_t ns = read_fraction(&in);
    int64_t offset = read_offset(&in);
    if (!in.good || in.at != in.end) return false;

    int64_t days = days_before_year(year) - DAYS_1970_SINCE_1600 + day - 1;
    for (int64_t m = 1; m < month; m++)
        days += days_in_month(year, m);
    int64_t seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    /* Before 1970 count from the next second backwards: INT64_MIN itself must not overflow. */
    if (seconds < 0 && ns > 0) {
        seconds++;
        ns -= TIMEFMT_NS_PER_S;
    }
    int64_t whole;
    if (__builtin_mul_overflow(seconds, TIMEFMT_NS_PER_S, &whole)) return false;
    if (__builtin_add_overflow(whole, ns, &whole)) return false;
    *time_ns = whole;
    return true;
}
