/* Log lines as their reader gets them, through a pipe. */
#include "broker/clock.h"
#include "broker/log.h"
#include "schema/timefmt.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];
static char got[1 << 17];

/* What was written since the last call. */
static const char *take(void) {
    ssize_t size = read(ends[0], got, sizeof got - 1);
    got[size > 0 ? size : 0] = '\0';
    return got;
}

/* The part of a logfmt line behind the time, which is checked and cut off. */
static const char *take_after_time(void) {
    int64_t at = 0;
    const char *line = take();
    assert_memory_equal(line, "ts=", 3);
    assert_true(timefmt_read(line + 3, TIMEFMT_SIZE - 1, &at));
    assert_true(llabs(clock_now() - at) < 60 * TIMEFMT_NS_PER_S);
    assert_int_equal(line[3 + TIMEFMT_SIZE - 1], ' ');
    return line + 3 + TIMEFMT_SIZE;
}

static int set_up(void **state) {
    (void)state;
    if (pipe2(ends, O_NONBLOCK) != 0) return -1;
    log_setup(LOG_LEVEL_info, LOG_FORMAT_logfmt, 0, ends[1]);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return close(ends[0]) | close(ends[1]);
}

static void logfmt_line(void **state) {
    (void)state;
    log_info("inventory", "recovered", LOG_I64("epoch", INT64_MIN), LOG_U64("n", UINT64_MAX),
             LOG_TEXT("why", "no key"), LOG_BOOL("ok", true), LOG_F64("f", 0.25),
             LOG_HEX("trace_id", 0xabc), LOG_SLICE("cut", "abcdef", 3), LOG_TEXT("none", NULL),
             LOG_TEXT("empty", ""), LOG_END);
    assert_string_equal(take_after_time(),
                        "level=info actor=inventory msg=recovered epoch=-9223372036854775808 "
                        "n=18446744073709551615 why=\"no key\" ok=true f=0.25 "
                        "trace_id=0000000000000abc cut=abc none=null empty=\"\"\n");
}

static void logfmt_quotes_and_escapes(void **state) {
    (void)state;
    log_warn("a", "two words", LOG_TEXT("q", "say \"hi\" \\ there"), LOG_TEXT("eq", "a=b"),
             LOG_TEXT("nl", "a\nlevel=error"), LOG_TEXT("esc", "\x1b[31m\r\t\x7f"),
             LOG_TEXT("utf8", "\xc3\xa9\xe2\x82\xac"), LOG_TEXT("bad", "x\xff\xc3y\xed\xa0\x80"),
             LOG_TEXT("c1", "\xc2\x9b"), LOG_TEXT("word", "null"), LOG_I64("odd key=\n", 1),
             LOG_END);
    assert_string_equal(
        take_after_time(),
        "level=warn actor=a msg=\"two words\" q=\"say \\\"hi\\\" \\\\ there\" "
        "eq=\"a=b\" nl=\"a\\nlevel=error\" esc=\"\\u001b[31m\\u000d\\u0009\\u007f\" "
        "utf8=\"\xc3\xa9\xe2\x82\xac\" "
        "bad=\"x\xef\xbf\xbd\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\" "
        "c1=\"\xef\xbf\xbd\xef\xbf\xbd\" word=\"null\" odd_key__=1\n");
}

static void json_line(void **state) {
    (void)state;
    char all[256];
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    all[255] = '\0';
    log_setup(LOG_LEVEL_info, LOG_FORMAT_json, 0, ends[1]);
    log_error("order", "could not", LOG_I64("n", -1), LOG_TEXT("all", all),
              LOG_F64("inf", INFINITY), LOG_BOOL("no", false), LOG_HEX("id", 1),
              LOG_TEXT("null", NULL), LOG_ERRNO("error", ENOENT), LOG_END);
    const char *line = take();
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(json, "actor")), "order");
    assert_string_equal(json_string_value(json_object_get(json, "msg")), "could not");
    assert_int_equal(json_integer_value(json_object_get(json, "n")), -1);
    assert_memory_equal(json_string_value(json_object_get(json, "all")), all, 0x7f);
    assert_true(json_is_null(json_object_get(json, "inf")));
    assert_true(json_is_false(json_object_get(json, "no")));
    assert_true(json_is_null(json_object_get(json, "null")));
    assert_string_equal(json_string_value(json_object_get(json, "id")), "0000000000000001");
    assert_string_equal(json_string_value(json_object_get(json, "error")), strerror(ENOENT));
    json_decref(json);
}

static void levels(void **state) {
    (void)state;
    enum log_level level = LOG_LEVEL_info;
    enum log_format format = LOG_FORMAT_logfmt;
    log_debug("a", "no", LOG_END);
    assert_string_equal(take(), "");
    log_setup(LOG_LEVEL_error, LOG_FORMAT_logfmt, 0, ends[1]);
    log_warn("a", "no", LOG_END);
    assert_string_equal(take(), "");
    log_error("a", "yes", LOG_END);
    assert_string_equal(take_after_time(), "level=error actor=a msg=yes\n");
    assert_true(log_level_parse("debug", &level) && level == LOG_LEVEL_debug);
    assert_false(log_level_parse("Debug", &level));
    assert_true(log_format_parse("json", &format) && format == LOG_FORMAT_json);
    assert_false(log_format_parse("", &format));
}

static void the_node_stands_in_every_line(void **state) {
    (void)state;
    log_node("edge-1");
    log_info("a", "yes", LOG_END);
    assert_string_equal(take_after_time(), "level=info node=edge-1 actor=a msg=yes\n");
    log_node("");
    log_info("a", "yes", LOG_END);
    assert_string_equal(take_after_time(), "level=info actor=a msg=yes\n");
}

/* Only where the stream is the one that systemd opened for the journal. */
static void the_journal_gets_priorities(void **state) {
    (void)state;
    struct stat status;
    char stream[64];
    assert_int_equal(fstat(ends[1], &status), 0);
    (void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)status.st_dev,
                   (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_LEVEL_debug, LOG_FORMAT_logfmt, 0, ends[1]);
    log_error("a", "e", LOG_END);
    assert_memory_equal(take(), "<3>ts=", 6);
    log_debug("a", "d", LOG_END);
    assert_memory_equal(take(), "<7>ts=", 6);
    log_setup(LOG_LEVEL_info, LOG_FORMAT_json, 0, ends[1]);
    log_info("a", "i", LOG_END);
    assert_memory_equal(take(), "<6>{\"ts\":", 9);
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_info, LOG_FORMAT_logfmt, 0, ends[1]);
    log_info("a", "i", LOG_END);
    assert_memory_equal(take(), "ts=", 3);
    unsetenv("JOURNAL_STREAM");
}

static void long_texts_and_lines_are_cut(void **state) {
    (void)state;
    static char big[8000];
    memset(big, 'x', sizeof big - 1);
    big[LOG_TEXT_MAX - 1] = '\xc3'; /* Not cut in the middle. */
    big[LOG_TEXT_MAX] = '\xa9';
    log_info("a", "m", LOG_TEXT("big", big), LOG_I64("after", 1), LOG_END);
    const char *line = take_after_time();
    assert_int_equal(strlen(line), strlen("level=info actor=a msg=m big=\"...\" after=1\n") + 1023);
    assert_non_null(strstr(line, "xx...\" after=1\n"));

    for (int json = 0; json < 2; json++) {
        log_setup(LOG_LEVEL_info, json ? LOG_FORMAT_json : LOG_FORMAT_logfmt, 0, ends[1]);
        memset(big, 1, sizeof big - 1); /* Six bytes each, once escaped. */
        log_info("a", "m", LOG_TEXT("one", big), LOG_I64("two", 2), LOG_TEXT("three", big),
                 LOG_END);
        line = take();
        assert_true(strlen(line) <= LOG_LINE_MAX);
        assert_null(strstr(line, "one"));
        assert_null(strstr(line, "three"));
        const char *end = json ? ",\"two\":2,\"truncated\":true}\n" : " two=2 truncated=true\n";
        assert_string_equal(line + strlen(line) - strlen(end), end);
    }
}

static void repeat(int times) {
    for (int i = 0; i < times; i++)
        log_info("a", "again", LOG_I64("i", i), LOG_END);
}

static int count_lines(const char *text) {
    int lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static void a_site_is_limited_but_never_silent(void **state) {
    (void)state;
    struct timespec pause = { 0, 120000000 };
    log_setup(LOG_LEVEL_info, LOG_FORMAT_logfmt, 10, ends[1]);
    repeat(100);
    const char *text = take();
    int written = count_lines(text);
    assert_true(written >= 10 && written <= 12); /* A slow machine may refill a little. */
    assert_null(strstr(text, "suppressed"));
    log_info("a", "another place", LOG_END); /* Has a rate of its own. */
    assert_string_equal(take_after_time(), "level=info actor=a msg=\"another place\"\n");

    (void)nanosleep(&pause, NULL);
    char expected[96];
    repeat(1);
    (void)snprintf(expected, sizeof expected, " i=0 suppressed=%d\n", 100 - written);
    text = take();
    assert_non_null(strstr(text, expected));
    (void)nanosleep(&pause, NULL);
    repeat(1);
    assert_null(strstr(take(), "suppressed")); /* Told once. */

    repeat(50);
    written = count_lines(take());
    log_flush();
    (void)snprintf(expected, sizeof expected,
                   "level=info actor=log msg=\"lines suppressed\" line=again suppressed=%d\n",
                   50 - written);
    assert_string_equal(take_after_time(), expected);
    log_flush();
    assert_string_equal(take(), "");
}

static void lost_lines_are_told(void **state) {
    (void)state;
    static char big[2 * 1024];
    memset(big, 'x', 1000);
    int written = 0;
    for (int i = 0; i < 1000; i++)
        log_info("a", "fill", LOG_TEXT("x", big), LOG_END);
    for (const char *text = take(); *text != '\0'; text = take())
        written += count_lines(text);
    assert_true(written > 10 && written < 1000);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "msg=next lost=%d\n", 1000 - written);
    log_info("a", "next", LOG_END);
    assert_non_null(strstr(take(), expected));
    log_info("a", "after", LOG_END);
    assert_string_equal(take_after_time(), "level=info actor=a msg=after\n"); /* Told once. */
}

static void errno_is_left_alone(void **state) {
    (void)state;
    log_setup(LOG_LEVEL_info, LOG_FORMAT_logfmt, 0, -1);
    errno = 77;
    log_info("a", "m", LOG_END);
    log_flush();
    assert_int_equal(errno, 77);
    log_setup(LOG_LEVEL_info, LOG_FORMAT_logfmt, 0, ends[1]);
    log_info("a", "m", LOG_END); /* So that the lost line is told here. */
    assert_non_null(strstr(take(), "lost=1"));
}

enum { THREADS = 4, LINES = 50 };

static void *write_lines(void *unused) {
    (void)unused;
    for (int i = 0; i < LINES; i++)
        log_info("thread", "line", LOG_TEXT("x", "a b c d e f g h"), LOG_END);
    return NULL;
}

/* Lines do not run into each other; written and suppressed add up. */
static void threads(void **state) {
    (void)state;
    for (uint32_t rate = 0; rate <= 10; rate += 10) {
        pthread_t all[THREADS];
        int lines = 0;
        int suppressed = 0;
        log_setup(LOG_LEVEL_info, LOG_FORMAT_logfmt, rate, ends[1]);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&all[i], NULL, write_lines, NULL), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(all[i], NULL), 0);
        log_flush();
        (void)take();
        for (char *line = got, *end; *line != '\0'; line = end + 1) {
            end = strchr(line, '\n');
            assert_non_null(end);
            *end = '\0';
            assert_memory_equal(line, "ts=", 3);
            assert_ptr_equal(strstr(line + 1, "ts="), NULL);
            const char *more = strstr(line, " suppressed=");
            if (more != NULL) suppressed += (int)strtol(more + 12, NULL, 10);
            if (strstr(line, "actor=thread") != NULL) lines++;
        }
        assert_int_equal(lines + suppressed, THREADS * LINES);
        assert_true(rate == 0 ? suppressed == 0 : suppressed > 0);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(logfmt_line),
        TEST(logfmt_quotes_and_escapes),
        TEST(json_line),
        TEST(levels),
        TEST(the_node_stands_in_every_line),
        TEST(the_journal_gets_priorities),
        TEST(long_texts_and_lines_are_cut),
        TEST(a_site_is_limited_but_never_silent),
        TEST(lost_lines_are_told),
        TEST(errno_is_left_alone),
        TEST(threads),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
