/* Settings: every row of config.def, every source, and what is refused and how. */
#include "config/config.h"
#include "config/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static struct config config;
static struct config_error error;
static char folder[] = "/tmp/test_config-XXXXXX";
static char file[64];

static void write_bytes(const char *bytes, size_t size) {
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, size, to), size);
    assert_int_equal(fclose(to), 0);
}

static bool load_text(const char *text) {
    write_bytes(text, strlen(text));
    return config_load(&config, file, NULL, 0, &error);
}

static void refused_text(const char *text, const char *why) {
    if (load_text(text)) fail_msg("taken: %s", text);
    if (strstr(error.text, why) == NULL) fail_msg("\"%s\" is not in \"%s\"", why, error.text);
}

static bool load_set(const char *set) {
    return config_load(&config, NULL, &set, 1, &error);
}

static void refused_set(const char *set, const char *why) {
    if (load_set(set)) fail_msg("taken: %s", set);
    if (strstr(error.text, why) == NULL) fail_msg("\"%s\" is not in \"%s\"", why, error.text);
}

/* What a function prints, in static memory. */
static const char *printed(void (*print)(FILE *)) {
    static char text[65536];
    FILE *to = fmemopen(text, sizeof text, "w");
    assert_non_null(to);
    print(to);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void print_plain(FILE *to) {
    config_print(to, &config, false);
}
static void print_sources(FILE *to) {
    config_print(to, &config, true);
}
static void print_json(FILE *to) {
    config_dump_json(to, &config);
}

static void rows_are_consistent(void **state) {
    (void)state;
    static const char *const members[] = {
#define KEY(member, name, kind, standard, lo, hi, sentence) #member,
#define CHOICE(member, name, standard, words, sentence)     #member,
#include "config/config.def"
    };
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        char flat[128];
        (void)snprintf(flat, sizeof flat, "%s", key->name);
        char *dot = strchr(flat, '.');
        assert_non_null(dot);
        assert_null(strchr(dot + 1, '.'));
        *dot = '_';
        assert_string_equal(flat, members[i]);
        assert_int_equal(config_key_find(key->name), i);
        assert_int_equal(key->sentence[strlen(key->sentence) - 1], '.');
        size_t size = (size_t)(dot - flat) + 1;
        if (i == 0 || strncmp(config_keys[i - 1].name, key->name, size) == 0) continue;
        for (int j = 0; j < i - 1; j++) /* A new section: it was not there before. */
            assert_int_not_equal(strncmp(config_keys[j].name, key->name, size), 0);
    }
}

/* For each number: both bounds are taken, one beyond is not, the words name both. */
static void bounds_of_every_number(void **state) {
    (void)state;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->kind > CONFIG_KIND_size) continue;
        int64_t lo = 0;
        int64_t hi = 0;
        char text[32];
        char rule[256] = "";
        assert_true(config_number_read(key->kind, key->lo, &lo));
        assert_true(config_number_read(key->kind, key->hi, &hi));
        assert_true(lo < hi);
        assert_true(config_value_read(&config, key, key->lo, rule));
        assert_true(config_value_read(&config, key, key->hi, rule));
        (void)config_number_write(key->kind, hi + 1, text);
        assert_false(config_value_read(&config, key, text, rule));
        assert_non_null(strstr(rule, key->lo));
        assert_non_null(strstr(rule, key->hi));
        (void)config_number_write(key->kind, lo - 1, text);
        assert_false(config_value_read(&config, key, text, rule));
    }
}

static void defaults_are_the_documented_ones(void **state) {
    (void)state;
    assert_true(config_load(&config, NULL, NULL, 0, &error));
    assert_int_equal(config.node_worker, -1);
    assert_int_equal(config.http_hold, 300000000);
    assert_int_equal(config.http_body_max, 16384);
    assert_int_equal(config.session_refresh_life, INT64_C(30) * 86400 * 1000000000);
    assert_string_equal(config.redis_address, "/run/redis/redis.sock");
    assert_string_equal(config.log_level, "info");
    for (int i = 0; i < CONFIG_KEYS; i++)
        assert_int_equal(config.origin[i].from, CONFIG_default);
}

static void the_sample_is_the_defaults(void **state) {
    (void)state;
    static char sample[65536];
    static struct config loaded;
    FILE *from = fopen("config/doorbuster.zpl", "r");
    assert_non_null(from);
    size_t size = fread(sample, 1, sizeof sample - 1, from);
    sample[size] = '\0';
    (void)fclose(from);
    config_defaults(&config);
    assert_string_equal(sample, printed(print_plain));

    assert_true(config_load(&loaded, "config/doorbuster.zpl", NULL, 0, &error));
    uint32_t line = 0;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        char a[CONFIG_TEXT_SIZE];
        char b[CONFIG_TEXT_SIZE];
        config_value_write(&loaded, &config_keys[i], a);
        config_value_write(&config, &config_keys[i], b);
        assert_string_equal(a, b);
        assert_int_equal(loaded.origin[i].from, CONFIG_file);
        assert_true(loaded.origin[i].line > line);
        line = loaded.origin[i].line;
    }
}

static void numbers_with_units(void **state) {
    (void)state;
    static const struct {
        enum config_kind kind;
        const char *text;
        int64_t value;
    } good[] = {
        { CONFIG_KIND_integer, "-12", -12 },
        { CONFIG_KIND_integer, "9223372036854775807", INT64_MAX },
        { CONFIG_KIND_duration, "0", 0 },
        { CONFIG_KIND_duration, "0s", 0 },
        { CONFIG_KIND_duration, "7ns", 7 },
        { CONFIG_KIND_duration, "500us", 500000 },
        { CONFIG_KIND_duration, "300ms", 300000000 },
        { CONFIG_KIND_duration, "1h", INT64_C(3600000000000) },
        { CONFIG_KIND_duration, "30d", INT64_C(2592000000000000) },
        { CONFIG_KIND_size, "900", 900 },
        { CONFIG_KIND_size, "64k", 65536 },
        { CONFIG_KIND_size, "2g", INT64_C(2147483648) },
    };
    static const struct {
        enum config_kind kind;
        const char *text;
    } bad[] = {
        { CONFIG_KIND_integer, "" },     { CONFIG_KIND_integer, "-" },
        { CONFIG_KIND_integer, "+1" },   { CONFIG_KIND_integer, "1x" },
        { CONFIG_KIND_integer, " 1" },   { CONFIG_KIND_integer, "0x10" },
        { CONFIG_KIND_integer, "1.5" },  { CONFIG_KIND_integer, "9223372036854775808" },
        { CONFIG_KIND_duration, "5" },   { CONFIG_KIND_duration, "-5s" },
        { CONFIG_KIND_duration, "5 s" }, { CONFIG_KIND_duration, "5S" },
        { CONFIG_KIND_duration, "s" },   { CONFIG_KIND_duration, "200000d" },
        { CONFIG_KIND_size, "1kb" },     { CONFIG_KIND_size, "8589934592g" },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value = 0;
        char text[32];
        if (!config_number_read(good[i].kind, good[i].text, &value)) fail_msg("%s", good[i].text);
        assert_true(value == good[i].value);
        assert_true(config_number_read(good[i].kind, config_number_write(good[i].kind, value, text),
                                       &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value = 77;
        if (config_number_read(bad[i].kind, bad[i].text, &value)) fail_msg("%s", bad[i].text);
        assert_true(value == 77);
    }
}

/* No row is boolean today; the kind is tested with one of its own. */
static void booleans(void **state) {
    (void)state;
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };
    const struct config_key key = { .name = "x.y", .kind = CONFIG_KIND_boolean };
    char rule[256];
    char text[CONFIG_TEXT_SIZE];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_true(config_value_read(&config, &key, words[i], rule));
        config_value_write(&config, &key, text);
        assert_string_equal(text, i % 2 == 1 ? "yes" : "no");
    }
    assert_false(config_value_read(&config, &key, "YES", rule));
    assert_string_equal(rule, "yes or no");
}

static void later_sources_win(void **state) {
    (void)state;
    const char *sets[] = { "http.hold=400ms", "http.hold=500ms" };
    write_bytes("http\n    hold = 100ms\n    connections_max = 2\n    body_max = 32k\n", 65);
    assert_int_equal(setenv("DOORBUSTER_HTTP_HOLD", "200ms", 1), 0);
    assert_int_equal(setenv("DOORBUSTER_HTTP_CONNECTIONS_MAX", "3", 1), 0);
    bool good = config_load(&config, file, sets, 2, &error);
    (void)unsetenv("DOORBUSTER_HTTP_HOLD");
    (void)unsetenv("DOORBUSTER_HTTP_CONNECTIONS_MAX");
    assert_true(good);
    assert_int_equal(config.http_hold, 500000000);
    assert_int_equal(config.origin[CONFIG_KEY_http_hold].from, CONFIG_set);
    assert_int_equal(config.http_connections_max, 3);
    assert_int_equal(config.origin[CONFIG_KEY_http_connections_max].from, CONFIG_environment);
    assert_int_equal(config.http_body_max, 32768);
    assert_int_equal(config.origin[CONFIG_KEY_http_body_max].from, CONFIG_file);
    assert_int_equal(config.origin[CONFIG_KEY_http_body_max].line, 4);
    const char *text = printed(print_sources);
    assert_non_null(strstr(text, "# Source: set.\n    hold = 500ms\n"));
    assert_non_null(strstr(text, "# Source: environment.\n    connections_max = 3\n"));
    assert_non_null(strstr(text, "line 4.\n    body_max = 32k\n"));
}

static void files_in_all_good_forms(void **state) {
    (void)state;
    assert_true(load_text(""));
    assert_true(load_text("# only this"));
    assert_true(load_text("  # odd\n   \n\nhttp   # the edge\n      # deep\n"
                          "    hold=1s # one\n    listen = 'a:1'   # two\n\npg\n"
                          "    dsn = host=/run user='a b'\nhttp\n    connections_max =   4   "));
    assert_int_equal(config.http_hold, 1000000000);
    assert_string_equal(config.http_listen, "a:1");
    assert_string_equal(config.pg_dsn, "host=/run user='a b'");
    assert_int_equal(config.http_connections_max, 4);
    assert_int_equal(config.origin[CONFIG_KEY_http_hold].line, 6);
    assert_int_equal(config.origin[CONFIG_KEY_pg_dsn].line, 10);
    assert_int_equal(config.origin[CONFIG_KEY_http_connections_max].line, 12);
    assert_true(load_text("mail\n    from = \"%n%s@x # y\"\n    smtp_url = \"\"\n"));
    assert_string_equal(config.mail_from, "%n%s@x # y");
    assert_string_equal(config.mail_smtp_url, "");
}

static void files_refused_with_their_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } wrong[] = {
        { "http\n    nonsense = 1\n", ":2: http.nonsense: no such key" },
        { "\n# x\nhtpp\n    hold = 1s\n", ":4: htpp.hold: no such key" },
        { "http\n    hold = 1s\n\n    hold = 2s\n", ":4: http.hold: given twice, first in line 2" },
        { "http\n    hold = 1s\npg\nhttp\n    hold = 1s\n", ":5: http.hold: given twice" },
        { "http\n    hold = 31s\n", ":2: http.hold: must be a duration from 10ms to 30s" },
        { "http\n    hold = 5\n", ":2: http.hold: must be a duration" },
        { "http\n    connections_max = \"\"\n",
          ":2: http.connections_max: must be a whole number from 1 to 1000000" },
        { "log\n    level = verbose\n", ":2: log.level: must be one of debug|info|warn|error" },
        { "log\n    level = info|warn\n", ":2: log.level: must be one of" },
        { "log\n    level =\n", ":2: log.level: must be one of" },
        { "keys\n    file = \"\"\n", ":2: keys.file: must be a path of 1 to 255 bytes" },
        { "http\n    listen = 'a\"b'\n", ":2: http.listen: must be a text" },
        { "http\n    listen = \xff\xfe\n", ":2: http.listen: must be a text" },
        { "http\n\thold = 1s\n", ":2: the line holds a control character" },
        { "http\n  hold = 1s\n", ":2: a section stands at the margin" },
        { "http\n    a\n        b = 1\n", ":2: a key must read `name = value`" },
        { "http\n        hold = 1s\n", ":2: a section stands at the margin" },
        { "    hold = 1s\n", ":1: a key must follow its section" },
        { "http.hold = 1s\n", ":1: a name is made of" },
        { "http = 1\n", ":1: a section has no value" },
        { "http\n    = 1\n", ":2: a name is made of" },
        { "http\n    listen = \"abc\n", ":2: the quote is not closed" },
        { "http\n    listen = \"abc\" d\n", ":2: something follows the closing quote" },
        { "http\n    listen = abc#d\n", ":2: a value that holds '#' must be in quotes" },
        { "http\r\n    hold = 1s\r\n", ":1: the line holds a control character" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused_text(wrong[i].text, wrong[i].why);
}

static void files_of_bad_size_or_kind(void **state) {
    (void)state;
    static char big[CONFIG_FILE_MAX + 1];
    memset(big, '\n', sizeof big);
    write_bytes(big, sizeof big - 1);
    assert_true(config_load(&config, file, NULL, 0, &error));
    write_bytes(big, sizeof big);
    assert_false(config_load(&config, file, NULL, 0, &error));
    assert_non_null(strstr(error.text, "is longer than 262144 bytes"));
    write_bytes("a\0b", 3);
    assert_false(config_load(&config, file, NULL, 0, &error));
    assert_non_null(strstr(error.text, "holds a NUL byte"));
    memset(big, 'x', 2000);
    big[2000] = '\0';
    refused_text(big, ":1: the line is longer than 1000 bytes");
    assert_false(config_load(&config, folder, NULL, 0, &error));
    assert_non_null(strstr(error.text, "is not a regular file"));
    assert_false(config_load(&config, "/nowhere/at/all", NULL, 0, &error));
    assert_non_null(strstr(error.text, "/nowhere/at/all: could not be opened"));
}

static void environment_and_set_refused(void **state) {
    (void)state;
    refused_set("http.hold", "--set: must read section.name=value");
    refused_set("http.held=1s", "--set: http.held: no such key");
    refused_set("http.hold=1y", "--set: http.hold: must be a duration from 10ms to 30s");
    refused_set("redis.user=a\nb", "--set: redis.user: must be a text");
    char set[700];
    memset(set, 'x', sizeof set - 1);
    set[sizeof set - 1] = '\0';
    memcpy(set, "pg.dsn=", 7);
    refused_set(set, "--set: pg.dsn: must be a text of 1 to 511 bytes");
    set[7 + 511] = '\0';
    assert_true(load_set(set));
    assert_int_equal(strlen(config.pg_dsn), 511);

    (void)setenv("DOORBUSTER_HTTP_HELD", "1s", 1);
    assert_false(config_load(&config, NULL, NULL, 0, &error));
    (void)unsetenv("DOORBUSTER_HTTP_HELD");
    assert_string_equal(error.text, "environment DOORBUSTER_HTTP_HELD: no such key");
    (void)setenv("DOORBUSTER_HTTP_HOLD", "", 1);
    assert_false(config_load(&config, NULL, NULL, 0, &error));
    (void)unsetenv("DOORBUSTER_HTTP_HOLD");
    assert_non_null(strstr(error.text, "environment DOORBUSTER_HTTP_HOLD: http.hold: must be"));
    (void)setenv("DOORBUSTER_SERVICE_HOST", "10.0.0.1", 1); /* Not a section of ours. */
    assert_true(config_load(&config, NULL, NULL, 0, &error));
    (void)unsetenv("DOORBUSTER_SERVICE_HOST");
}

static void keys_that_depend_on_each_other(void **state) {
    (void)state;
    refused_set("session.refresh_life=5m", "--set: session.access_life (15m) must not be greater "
                                           "than session.refresh_life (5m): ");
    refused_text("inventory\n    hint_every = 1s\n",
                 ":2: inventory.hint_every (1s) must not be greater than inventory.hint_life");
    refused_set("redis.address=  ", "--set: redis.address: must name an address");
    assert_true(load_set("redis.address=/a/redis.sock [::1]:6379"));
    const char *sets[] = { "http.rate_user=30", "http.rate_user_burst=30" };
    assert_true(config_load(&config, NULL, sets, 2, &error));
}

static void passwords_are_never_printed(void **state) {
    (void)state;
    static const struct {
        const char *set;
        const char *shown;
    } cases[] = {
        { "pg.dsn=host=h password=hunter2 dbname=d", "host=h password=*** dbname=d" },
        { "pg.dsn=PASSWORD = 'hun\\'ter2 x' port=1", "PASSWORD = *** port=1" },
        { "pg.dsn=dbname=d password='hunter2", "dbname=d password=***" },
        { "pg.dsn=dbname=d sslpassword=hunter2", "dbname=d sslpassword=***" },
        { "pg.dsn=postgresql://u:hunter2@h/d?a=b", "postgresql://u:***@h/d?a=b" },
        { "pg.dsn=postgresql://h/d?password=hunter2&a=b", "postgresql://h/d?password=***&a=b" },
        { "pg.dsn=password=hunter2 password=hunter2", "password=*** password=***" },
        { "pg.dsn=password= passfile=/p", "password= ***" }, /* libpq takes the next word. */
        { "mail.smtp_url=smtp://me:hunter2@mail:25", "smtp://me:***@mail:25" },
        { "mail.smtp_url=smtp://me@mail:25", "smtp://me@mail:25" },
        { "pg.dsn=user=password", "user=password" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(load_set(cases[i].set));
        const char *text = printed(print_sources);
        if (strstr(text, cases[i].shown) == NULL) fail_msg("%s", cases[i].set);
        assert_null(strstr(text, "hunter2"));
        text = printed(print_json);
        assert_null(strstr(text, "hunter2"));
        assert_null(strstr(text, "ter2"));
    }
    /* Nor in a complaint. */
    char set[700];
    (void)snprintf(set, sizeof set, "redis.user=%0200d hunter2", 0);
    refused_set(set, "redis.user");
    assert_null(strstr(error.text, "hunter2"));
    /* The longest text still ends where it must. */
    (void)snprintf(set, sizeof set, "pg.dsn=%0501dpassword=h", 0);
    assert_true(load_set(set));
    assert_non_null(strstr(printed(print_plain), "0password=*\""));
}

static void what_is_printed_can_be_loaded(void **state) {
    (void)state;
    static struct config first;
    const char *sets[] = { "http.hold=1500ms",       "pg.dsn=host=/run user='a # b' x=\\",
                           "log.format=json",        "http.body_max=1025",
                           "order.idle_read=1001us", "keys.file= a  b " };
    assert_true(config_load(&config, NULL, sets, 6, &error));
    first = config;
    assert_true(load_text(printed(print_sources)));
    for (int i = 0; i < CONFIG_KEYS; i++) {
        char a[CONFIG_TEXT_SIZE];
        char b[CONFIG_TEXT_SIZE];
        config_value_write(&first, &config_keys[i], a);
        config_value_write(&config, &config_keys[i], b);
        assert_string_equal(a, b);
    }
}

static void json_dump(void **state) {
    (void)state;
    assert_true(load_set("pg.dsn=host=a\\b'\xc3\xa9"));
    json_t *json = json_loads(printed(print_json), 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), CONFIG_KEYS);
    json_t *one = json_object_get(json, "pg.dsn");
    assert_string_equal(json_string_value(json_object_get(one, "value")), "host=a\\b'\xc3\xa9");
    assert_string_equal(json_string_value(json_object_get(one, "source")), "set");
    one = json_object_get(json, "node.worker");
    assert_int_equal(json_integer_value(json_object_get(one, "value")), -1);
    one = json_object_get(json, "http.hold");
    assert_string_equal(json_string_value(json_object_get(one, "value")), "300ms");
    json_decref(json);
}

static void secrets_from_files(void **state) {
    (void)state;
    char secret[CONFIG_SECRET_SIZE];
    char big[CONFIG_SECRET_SIZE];
    write_bytes("hunter2\r\n\n", 10);
    assert_true(config_secret(file, secret, &error));
    assert_string_equal(secret, "hunter2");
    memset(big, 'x', sizeof big);
    write_bytes(big, sizeof big - 1);
    assert_true(config_secret(file, secret, &error));
    write_bytes(big, sizeof big);
    assert_false(config_secret(file, secret, &error));
    assert_int_equal(secret[0], '\0');
    write_bytes("\n", 1);
    assert_false(config_secret(file, secret, &error));
    assert_non_null(strstr(error.text, "is empty"));
    write_bytes("a\0b", 3);
    assert_false(config_secret(file, secret, &error));
    assert_false(config_secret(folder, secret, &error));
    write_bytes("abc", 3);
    assert_int_equal(chmod(file, 0606), 0);
    assert_false(config_secret(file, secret, &error));
    assert_non_null(strstr(error.text, "must not be writable by everybody"));
    assert_int_equal(chmod(file, 0600), 0);
}

/* Exit codes; the text goes nowhere. */
static int run(const char *const *words) {
    char *argv[12] = { NULL };
    char copies[12][128];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        (void)snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    (void)fflush(NULL);
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stdout));
    assert_non_null(freopen("/dev/null", "w", stderr));
    int code = config_command(argc, argv);
    (void)fflush(NULL);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)close(out);
    (void)close(err);
    return code;
}

#define RUN(...) run((const char *const[]){ "config", __VA_ARGS__, NULL })

static void command_exit_codes(void **state) {
    (void)state;
    char from_file[80];
    char secret[96];
    write_bytes("http\n    hold = 1s\n", 19);
    (void)snprintf(from_file, sizeof from_file, "--config=%s", file);
    (void)snprintf(secret, sizeof secret, "redis.password_file=%s", file);
    assert_int_equal(RUN("check"), 0);
    assert_int_equal(RUN("check", "--config", file, "--set", "http.hold=2s"), 0);
    assert_int_equal(RUN("check", from_file, "--set=http.hold=2s"), 0);
    assert_int_equal(RUN("check", "--set", secret), 0);
    assert_int_equal(RUN("check", "--set", "redis.password_file=/nowhere"), 1);
    assert_int_equal(RUN("check", "--set", "http.hold=2"), 1);
    assert_int_equal(RUN("check", "--config", "/nowhere"), 1);
    assert_int_equal(RUN("dump"), 0);
    assert_int_equal(RUN("dump", "--json", from_file), 0);
    assert_int_equal(RUN("dump", "--set", "a.b=c"), 1);
    assert_int_equal(RUN("sample"), 0);
    assert_int_equal(RUN("--help"), 0);
    assert_int_equal(RUN(""), 2);
    assert_int_equal(RUN("chek"), 2);
    assert_int_equal(RUN("check", "--json"), 2);
    assert_int_equal(RUN("check", "--set"), 2);
    assert_int_equal(RUN("check", "--config"), 2);
    assert_int_equal(RUN("check", "--configuration", "x"), 2);
    assert_int_equal(RUN("sample", "--json"), 2);
}

/* Whoever runs the tests may have settings of his own. */
static void clear_environment(void) {
    for (char **entry = environ; *entry != NULL;) {
        char name[128];
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
        if (strncmp(name, "DOORBUSTER_", 11) == 0 && unsetenv(name) == 0)
            entry = environ;
        else
            entry++;
    }
}

static int make_folder(void **state) {
    (void)state;
    clear_environment();
    if (mkdtemp(folder) == NULL) return -1;
    (void)snprintf(file, sizeof file, "%s/test.zpl", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(file);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_consistent),
        cmocka_unit_test(bounds_of_every_number),
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(the_sample_is_the_defaults),
        cmocka_unit_test(numbers_with_units),
        cmocka_unit_test(booleans),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(files_in_all_good_forms),
        cmocka_unit_test(files_refused_with_their_line),
        cmocka_unit_test(files_of_bad_size_or_kind),
        cmocka_unit_test(environment_and_set_refused),
        cmocka_unit_test(keys_that_depend_on_each_other),
        cmocka_unit_test(passwords_are_never_printed),
        cmocka_unit_test(what_is_printed_can_be_loaded),
        cmocka_unit_test(json_dump),
        cmocka_unit_test(secrets_from_files),
        cmocka_unit_test(command_exit_codes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
