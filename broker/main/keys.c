/* doorbuster keys: the file of keys that sign tokens, and CURVE key pairs of nodes and operators.
 */
#include <stdio.h>
#include <string.h>

#include "broker/curve.h"
#include "broker/keys.h"
#include "broker/main/commands.h"
#include "config/config.h"
#include "schema/schema.h"

static int complain(const char *what) {
    fprintf(stderr, "doorbuster: %s\n", what);
    return 1;
}

static int usage(FILE *to, int code) {
    fprintf(
        to,
        "usage: doorbuster keys [--config FILE] [--set KEY=VALUE]...\n"
        "           makes the file that signs tokens, tickets and receipts, unless it is there\n"
        "       doorbuster keys --curve NAME [--role ROLE] [--dir DIR]\n"
        "           makes a CURVE key pair: DIR/NAME (public) and DIR/NAME_secret (mode 0600)\n\n"
        "  --curve NAME     a node's name, or an operator's\n"
        "  --role ROLE      of an operator: viewer, operator or admin\n"
        "  --dir DIR        where the pair is made; here unless given\n"
        "%s\n"
        "The secret file stays with its holder alone.  A copy of the public one goes into the "
        "folder\n"
        "of those who shall let NAME in: curve.nodes for nodes, door.operators for operators.\n\n"
        "example: doorbuster keys --curve anna --role operator --dir keys\n"
        "         install -m 0644 keys/anna /etc/doorbuster/operators/\n",
        config_options_help);
    return code;
}

/* Takes `name VALUE` or `name=VALUE`; false when argv[*at] is something else. */
static bool option(int argc, char **argv, int *at, const char *name, const char **value) {
    size_t size = strlen(name);
    if (strncmp(argv[*at], name, size) != 0) return false;
    if (argv[*at][size] == '=') {
        *value = argv[(*at)++] + size + 1;
        return true;
    }
    if (argv[*at][size] != 0 || *at + 1 >= argc) return false;
    *value = argv[*at + 1];
    *at += 2;
    return true;
}

/* A role that does not exist may nothing: a slip would be noticed at night. */
static int check_pair(const char *name, const char *role, const char *dir) {
    bool known = role[0] == 0 || state_value(KIND_role, text_of(role)) > 0;
    if (!known) fprintf(stderr, "doorbuster: there is no role `%s`\n\n", role);
    bool alone = name == NULL && (role[0] != 0 || strcmp(dir, ".") != 0);
    if (alone) fputs("doorbuster: --role and --dir are for --curve NAME\n\n", stderr);
    return known && !alone ? 0 : usage(stderr, 2);
}

static int make_pair(const char *name, const char *role, const char *dir) {
    char error[1200];
    if (!curve_make(dir, name, role, error, sizeof error)) return complain(error);
    printf("%s/%s\n%s/%s_secret\n", dir, name, dir, name);
    return 0;
}

int keys_command(int argc, char **argv) {
    static struct config config;
    struct config_options options = { 0 };
    struct config_error error;
    const char *name = NULL, *role = "", *dir = ".";
    if (config_help_wanted(argc, argv)) return usage(stdout, 0);
    for (int at = 1; at < argc;) {
        if (option(argc, argv, &at, "--curve", &name) || option(argc, argv, &at, "--role", &role) ||
            option(argc, argv, &at, "--dir", &dir)) {
            continue;
        }
        int taken = config_option(&options, argc, argv, &at);
        if (taken < 0) return 2;
        if (taken == 0) return usage(stderr, 2);
    }
    int code = check_pair(name, role, dir);
    if (code != 0) return code;
    if (name != NULL) return make_pair(name, role, dir);
    if (!config_load(&config, options.file, options.sets, options.sets_count, &error))
        return complain(error.text);
    if (!keys_make(config.keys_file)) return complain("could not make the key file");
    printf("%s\n", config.keys_file);
    return 0;
}
