/* doorbuster: one binary that serves a shop, prepares its database and checks its settings. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/crash.h"
#include "broker/main/commands.h"
#include "broker/pg/migrate.h"
#include "broker/version.h"
#include "config/config.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *line;
} commands[] = {
    { "serve", serve_command, "run the server until SIGTERM or SIGINT" },
    { "broker", broker_command, "run the directory of nodes and the operators' door" },
    { "migrate", migrate_command, "bring the database to this version's tables; `status` shows" },
    { "config", config_command, "check or print the settings: config check|dump|sample" },
    { "keys", keys_command,
      "make the keys that sign tokens, and CURVE keys of nodes and operators" },
};

static int usage(FILE *to, int code) {
    fputs("doorbuster sells every unit of a flash sale exactly once.\n\n"
          "usage: doorbuster COMMAND [--config FILE] [--set section.name=value]...\n\n",
          to);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].line);
    }
    fputs("  version   print the version\n\n"
          "`doorbuster COMMAND --help` tells its options.\n\nexample: doorbuster serve --set "
          "http.listen=127.0.0.1:8080\n",
          to);
    return code;
}

int main(int argc, char **argv) {
    if (sodium_init() < 0 || !crash_arm()) return 1;
    if (argc < 2) return usage(stderr, 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) return usage(stdout, 0);
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("doorbuster " DOORBUSTER_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "doorbuster: there is no command `%s`\n", argv[1]);
    return usage(stderr, 2);
}
