/* RFC 3339 times: known ones, every day of the range, and what must be refused. */
#include "broker/clock.h"
#include "schema/timefmt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S TIMEFMT_NS_PER_S

static bool read_text(const char *text, int64_t *ns) {
    return timefmt_read(text, strlen(text), ns);
}

static void known_times(void **state) {
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } known[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1, "1970-01-01T00:00:00.000Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { INT64_C(951782400) * S, "2000-02-29T00:00:00.000Z" },
        { INT64_C(1234567890) * S + 123456789, "2009-02-13T23:31:30.123Z" },
        { INT64_C(4107542400) * S, "2100-03-01T00:00:00.000Z" },
        { INT64_C(1795182900) * S + 999999999, "2026-11-20T13:55:00.999Z" },
        { INT64_MAX, "2262-04-11T23:47:16.854Z" },
        { INT64_MIN, "1677-09-21T00:12:43.145Z" },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char out[TIMEFMT_SIZE];
        assert_string_equal(timefmt_write(known[i].ns, out), known[i].text);
    }
}

static void reading_takes_all_forms(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } forms[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01t00:00:00z", 0 },
        { "1970-01-01T08:00:00+08:00", 0 },
        { "1969-12-31T19:30:00-04:30", 0 },
        { "1970-01-01T00:00:00.5Z", S / 2 },
        { "1970-01-01T00:00:00.000000001Z", 1 },
        { "1969-12-31T23:59:59.999999999Z", -1 },
        { "2262-04-11T23:47:16.854775807Z", INT64_MAX },
        { "1677-09-21T00:12:43.145224192Z", INT64_MIN },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        int64_t ns = 42;
        assert_true(read_text(forms[i].text, &ns));
        assert_true(ns == forms[i].ns);
    }
}

static void reading_refuses(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "2026-11-20",
        "2026-11-20T14:35:00",
        "2026-11-20 14:35:00Z",
        "2026-11-20T14:35:00.Z",
        "2026-11-20T14:35:00.1234567890Z",
        "2026-11-20T14:35:00Zx",
        "2026-11-20T14:35:60Z",
        "2026-11-20T24:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-20T14:35:00+24:00",
        "2026-11-20T14:35:00+0800",
        "2026-11-2 T14:35:00Z",
        "+026-11-20T14:35:00Z",
        "1600-01-01T00:00:00Z",
        "2262-04-11T23:47:16.854775808Z",
        "1677-09-21T00:12:43.145224191Z",
        "2300-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t ns = 42;
        if (read_text(wrong[i], &ns)) fail_msg("taken: %s", wrong[i]);
        assert_true(ns == 42);
    }
    /* The size counts, not a NUL; and a NUL inside is no digit. */
    int64_t ns = 42;
    assert_false(timefmt_read("2026-11-20T14:35:00Z", 21, &ns));
    assert_false(timefmt_read("2026-11-20T14:35:00Z", 19, &ns));
}

/* An independent way through the calendar: one day after the other. */
static void every_day_round_trips(void **state) {
    (void)state;
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year = 1970, month = 1, day = 1;
    for (int64_t days = 0; year < 2262; days++) {
        char expected[48];
        char out[TIMEFMT_SIZE];
        int64_t ns = days * 86400 * S + (days % 86400) * S + 7 * TIMEFMT_NS_PER_MS;
        (void)snprintf(expected, sizeof expected, "%04d-%02d-%02dT", year, month, day);
        timefmt_write(ns, out);
        assert_memory_equal(out, expected, 11);
        int64_t back = 0;
        assert_true(read_text(out, &back));
        assert_true(back == ns);
        bool leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
        if (++day <= lengths[month - 1] + (month == 2 && leap ? 1 : 0)) continue;
        day = 1;
        if (++month <= 12) continue;
        month = 1;
        year++;
    }
}

static void clocks_tell_time(void **state) {
    (void)state;
    int64_t floor = 0;
    assert_true(read_text("2024-01-01T00:00:00Z", &floor));
    assert_true(clock_now() > floor);
    int64_t before = clock_mono();
    for (int i = 0; i < 1000; i++) {
        int64_t after = clock_mono();
        assert_true(after >= before);
        before = after;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times),      cmocka_unit_test(reading_takes_all_forms),
        cmocka_unit_test(reading_refuses),  cmocka_unit_test(every_day_round_trips),
        cmocka_unit_test(clocks_tell_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
