#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "tools/doorctl/doorctl.h"

static int help(FILE *to, int code) {
    fputs("doorctl runs a doorbuster shop.\n\n"
          "usage: doorctl [--socket PATH | --endpoint E] [--json] [--timeout SECONDS] COMMAND "
          "[WORD...]\n"
          "       doorctl COMMAND --help\n\n",
          to);
    door_list(to, NULL);
    fputs("\nThe socket is DOORBUSTER_DOOR or var/door.sock.  Exit codes: 0 done, 1 failed, 2 "
          "usage,\n"
          "3 not found, 4 not possible now (or an account that is off), 5 server away.\n",
          to);
    return code;
}

static const char *endpoint_of(const char *path) {
    static char endpoint[200];
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    return endpoint;
}

int main(int argc, char **argv) {
    struct options options = { .timeout_ms = 10000 };
    static _Alignas(16) char body[BODY_MAX];
    int at = 1, used;
    const char *door_path = getenv("DOORBUSTER_DOOR");
    options.endpoint = endpoint_of(door_path ? door_path : "var/door.sock");
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0) return EXIT_failed;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--help") == 0) return help(stdout, EXIT_done);
        if (strcmp(argv[at], "--json") == 0)
            options.json = true;
        else if (at + 1 == argc)
            return help(stderr, EXIT_usage);
        else if (strcmp(argv[at], "--socket") == 0)
            options.endpoint = endpoint_of(argv[++at]);
        else if (strcmp(argv[at], "--endpoint") == 0)
            options.endpoint = argv[++at];
        else if (strcmp(argv[at], "--timeout") == 0)
            options.timeout_ms = strtol(argv[++at], NULL, 10) * 1000;
        else
            return help(stderr, EXIT_usage);
    }
    if (at == argc) return help(stderr, EXIT_usage);
    const struct door *door = door_find(argc - at, argv + at, &used);
    if (door == NULL) {
        bool asked = at + 1 < argc && strcmp(argv[at + 1], "--help") == 0;
        if (asked && door_list(stdout, argv[at])) return EXIT_done;
        fprintf(stderr, "doorctl: there is no command `%s%s%s`\n", argv[at],
                at + 1 < argc ? " " : "", at + 1 < argc ? argv[at + 1] : "");
        door_list(stderr, argv[at]);
        return EXIT_usage;
    }
    argc -= at + used;
    argv += at + used;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) { /* May stand behind the command, too. */
            options.json = true;
            memmove(argv + i, argv + i + 1, (size_t)(argc - i - 1) * sizeof *argv);
            argc--, i--;
        } else if (strcmp(argv[i], "--help") == 0) {
            door_help(stdout, door);
            return EXIT_done;
        }
    }
    if (!door_fill(door, argc, argv, body)) return EXIT_usage;
    return talk(&options, door, body);
}
