#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doorctl/doorctl.h"

/* Takes an option of doorctl itself.  0: it is none; -1: it is wrong. */
static int take_option(struct options *options, int argc, char **argv, int at) {
    const char *word = argv[at], *value = at + 1 < argc ? argv[at + 1] : NULL;
    char *to = NULL;
    size_t size = PATH_SIZE;
    const char *before = "";
    if (strcmp(word, "--json") == 0) return options->json = true, 1;
    if (strcmp(word, "--yes") == 0) return options->yes = true, 1;
    if (strcmp(word, "--once") == 0) return options->once = true, 1;
    if (strcmp(word, "--socket") == 0) to = options->endpoint, before = "ipc://";
    if (strcmp(word, "--endpoint") == 0) to = options->endpoint;
    if (strcmp(word, "--key") == 0) to = options->key;
    if (strcmp(word, "--door-key") == 0) to = options->door_key;
    if (to != NULL) {
        if (value == NULL || snprintf(to, size, "%s%s", before, value) >= (int)size) return -1;
        return 2;
    }
    if (strcmp(word, "--timeout") != 0) return 0;
    options->timeout_ms = value != NULL ? strtol(value, NULL, 10) * 1000 : 0;
    return options->timeout_ms > 0 ? 2 : -1;
}

static int wrong_option(const char *word, int taken) {
    const char *why = "is not an option; see doorctl --help";
    if (taken < 0)
        why = strcmp(word, "--timeout") == 0 ? "needs a number of seconds" : "needs a value";
    fprintf(stderr, "doorctl: %s %s\n", word, why);
    return EXIT_usage;
}

/* Options may stand behind the command, too, as long as it has none of that name itself. */
static bool sift_options(struct options *options, const struct door_command *door, int *argc,
                         char **argv) {
    for (int at = 0; at < *argc;) {
        char name[WORD_MAX];
        snprintf(name, sizeof name, "%s", strncmp(argv[at], "--", 2) == 0 ? argv[at] + 2 : "");
        const struct field *field =
            door ? field_named(message_type(door->message), text_of(name)) : NULL;
        int taken = field == NULL ? take_option(options, *argc, argv, at) : 0;
        if (taken < 0) {
            (void)wrong_option(argv[at], taken);
            return false;
        }
        if (taken == 0) {
            at += 1;
            continue;
        }
        memmove(argv + at, argv + at + taken, (size_t)(*argc - at - taken) * sizeof *argv);
        *argc -= taken;
    }
    return true;
}

static bool wants_help(int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return true;
    }
    return false;
}

/* A noun without a verb, a word that is no command at all, or `help`. */
static int unknown(int argc, char **argv) {
    bool help_wanted = wants_help(argc - 1, argv + 1);
    if (help_wanted && door_list(stdout, argv[0])) return EXIT_done;
    if (strcmp(argv[0], "help") == 0) return help(stdout, EXIT_done);
    fprintf(stderr, "doorctl: there is no command `%s%s%s`; there is:\n", argv[0],
            argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    if (!door_list(stderr, argv[0])) door_list(stderr, NULL);
    return EXIT_usage;
}

/* Only a person can be asked; a script has decided. */
static bool may_go_on(const struct options *options, const struct door_command *door) {
    char name[WORD_MAX], line[16] = "";
    if (door->care != ASK || options->yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    door_command_name(door, name, sizeof name);
    fprintf(stderr, "%s: %s.  Go on? [y/N] ", name, door->doc);
    if (fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y')) return true;
    fputs("doorctl: nothing was done\n", stderr);
    return false;
}

static int live_view(struct options *options, int argc, char **argv) {
    if (!sift_options(options, NULL, &argc, argv)) return EXIT_usage;
    if (wants_help(argc, argv)) {
        puts("top: the shop, live, each second: sales, rates, latencies, queues, identity\n\n"
             "usage: doorctl top [--once] [--json]\n\n"
             "  --once  print it once and end, for scripts and pipes\n\n"
             "Needs a key with the role viewer.\n\nexample: doorctl top --once");
        return EXIT_done;
    }
    if (argc > 0) {
        fprintf(stderr, "doorctl: `%s` is one word too many\n", argv[0]);
        return EXIT_usage;
    }
    find_door(options);
    return top(options);
}

static int run(int argc, char **argv) {
    struct options options = { .timeout_ms = 10000 };
    static _Alignas(16) char body[BODY_MAX];
    int at = 1, used;
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0) return EXIT_failed;
    while (at < argc && strncmp(argv[at], "--", 2) == 0) {
        if (strcmp(argv[at], "--help") == 0) return help(stdout, EXIT_done);
        int taken = take_option(&options, argc, argv, at);
        if (taken <= 0) return wrong_option(argv[at], taken);
        at += taken;
    }
    if (at == argc) return help(stderr, EXIT_usage);
    argc -= at;
    argv += at;
    if (strcmp(argv[0], "completion") == 0) return completion(argc > 1 ? argv[1] : "");
    if (strcmp(argv[0], "top") == 0) return live_view(&options, argc - 1, argv + 1);
    const struct door_command *door = door_find(argc, argv, &used);
    if (door == NULL) return unknown(argc, argv);
    argc -= used;
    argv += used;
    if (!sift_options(&options, door, &argc, argv)) return EXIT_usage;
    if (wants_help(argc, argv)) {
        door_help(stdout, door);
        return EXIT_done;
    }
    if (!door_fill(door, argc, argv, body)) return EXIT_usage;
    if (!may_go_on(&options, door)) return EXIT_failed;
    find_door(&options);
    if (door->message == MSG_order_trace) return way(&options, door, body);
    return talk(&options, door, body);
}

/* A full disk is no success; a reader that wants no more (`head`) is none of our business. */
int main(int argc, char **argv) {
    int code = run(argc, argv);
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE) return code;
    fputs("doorctl: could not write the answer\n", stderr);
    return code == EXIT_done ? EXIT_failed : code;
}
