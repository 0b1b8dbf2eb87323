/* `doorbuster config ...`, and the options for settings that every program takes. */
#include "config/internal.h"

#include <string.h>

enum { EXIT_good = 0, EXIT_refused = 1, EXIT_usage = 2 };

static const char usage[] =
    "usage: doorbuster config check  [--config FILE] [--set KEY=VALUE]...\n"
    "       doorbuster config dump   [--config FILE] [--set KEY=VALUE]... [--json]\n"
    "       doorbuster config sample\n"
    "\n"
    "check   says whether the settings are good, and reads the secrets they name\n"
    "dump    prints every setting, what it is for and where its value came from\n"
    "sample  prints a settings file with the defaults\n"
    "\n";
static const char example[] = "  --json           dump: one JSON object\n"
                              "\n"
                              "example: doorbuster config dump --set http.hold=500ms --json\n";

const char config_options_help[] =
    "  --config FILE    settings file, in ZPL\n"
    "  --set KEY=VALUE  one setting, such as http.hold=500ms; may be repeated, and wins over the\n"
    "                   file and the environment\n";

bool config_help_wanted(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return true;
    }
    return false;
}

/* The value of the option `name` at argv[*at], or NULL if that is something else. */
static const char *option_value(const char *name, int argc, char **argv, int *at, bool *missing) {
    size_t size = strlen(name);
    const char *word = argv[*at];
    *missing = false;
    if (strncmp(word, name, size) != 0) return NULL;
    if (word[size] == '=') {
        ++*at;
        return word + size + 1;
    }
    if (word[size] != '\0') return NULL;
    if (*at + 1 >= argc) {
        *missing = true;
        (void)fprintf(stderr, "%s: needs a value\n", name);
        return NULL;
    }
    *at += 2;
    return argv[*at - 1];
}

int config_option(struct config_options *options, int argc, char **argv, int *at) {
    bool missing;
    const char *value = option_value("--config", argc, argv, at, &missing);
    if (value != NULL) {
        options->file = value;
        return 1;
    }
    if (missing) return -1;
    value = option_value("--set", argc, argv, at, &missing);
    if (value == NULL) return missing ? -1 : 0;
    if (options->sets_count == sizeof options->sets / sizeof *options->sets) {
        (void)fprintf(stderr, "--set: at most %zu of them; use a file\n", options->sets_count);
        return -1;
    }
    options->sets[options->sets_count++] = value;
    return 1;
}

/* The secrets that the settings name can be read. */
static bool check_secrets(const struct config *config, struct config_error *error) {
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *file = (const char *)config + config_keys[i].offset;
        if (config_keys[i].kind != CONFIG_KIND_secret_file || *file == '\0') continue;
        char secret[CONFIG_SECRET_SIZE];
        struct config_error inner;
        bool good = config_secret(file, secret, &inner);
        explicit_bzero(secret, sizeof secret);
        if (!good) return config_refuse(error, "%s: %.900s", config_keys[i].name, inner.text);
    }
    return true;
}

static int check(const struct config *config) {
    struct config_error error;
    int given = 0;
    if (!check_secrets(config, &error)) {
        (void)fprintf(stderr, "%s\n", error.text);
        return EXIT_refused;
    }
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (config->origin[i].from != CONFIG_default) given++;
    (void)printf("settings are good: %d keys, %d given, %d by default\n", CONFIG_KEYS, given,
                 CONFIG_KEYS - given);
    return EXIT_good;
}

static int help(FILE *to, int code) {
    (void)fprintf(to, "%s%s%s", usage, config_options_help, example);
    return code;
}

int config_command(int argc, char **argv) {
    struct config_options options = { NULL, { NULL }, 0 };
    bool json = false;
    const char *verb = argc > 1 ? argv[1] : "";
    if (config_help_wanted(argc, argv) || strcmp(verb, "help") == 0) return help(stdout, EXIT_good);
    bool is_check = strcmp(verb, "check") == 0;
    bool is_dump = strcmp(verb, "dump") == 0;
    if (!is_check && !is_dump && strcmp(verb, "sample") != 0) return help(stderr, EXIT_usage);
    for (int at = 2; at < argc;) {
        int taken = !is_check && !is_dump ? 0 : config_option(&options, argc, argv, &at);
        if (taken == 0 && is_dump && strcmp(argv[at], "--json") == 0) {
            json = true;
            at++;
        } else if (taken != 1) {
            return help(stderr, EXIT_usage);
        }
    }

    struct config config;
    struct config_error error;
    if (!is_check && !is_dump) {
        config_defaults(&config); /* Not what this environment says. */
        config_print(stdout, &config, false);
    } else if (!config_load(&config, options.file, options.sets, options.sets_count, &error)) {
        (void)fprintf(stderr, "%s\n", error.text);
        return EXIT_refused;
    } else if (is_check) {
        return check(&config);
    } else if (json) {
        config_dump_json(stdout, &config);
    } else {
        config_print(stdout, &config, true);
    }
    return fflush(stdout) == 0 ? EXIT_good : EXIT_refused;
}
