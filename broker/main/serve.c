/* doorbuster serve: opens everything in the order in which it can fail, runs until a signal,
 * drains. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/clock.h"
#include "broker/crash.h"
#include "broker/host.h"
#include "broker/keys.h"
#include "broker/log.h"
#include "broker/main/commands.h"
#include "broker/main/node.h"
#include "broker/main/spread.h"
#include "broker/values.h"
#include "config/config.h"

static int complain(const char *what) {
    fprintf(stderr, "doorbuster: %s\n", what);
    return 1;
}

static int serve_help(void) {
    printf(
        "usage: doorbuster serve [--actors LIST] [--shards LIST] [--config FILE] "
        "[--set KEY=VALUE]...\n\n"
        "Runs the server in the foreground until SIGTERM or SIGINT; the log is on stderr.  It is\n"
        "the whole shop, unless broker.endpoint is set: then it is one node of several.\n\n"
        "  --actors LIST    what this node serves: edge, shard, shop, all or names of actors,\n"
        "                   separated by commas; all unless given\n"
        "  --shards LIST    the shards it may serve, such as 0-3,5; all unless given\n"
        "%s\nexample: doorbuster serve --set http.listen=127.0.0.1:8080\n",
        config_options_help);
    return 0;
}

static int broker_help(void) {
    printf(
        "usage: doorbuster broker [--config FILE] [--set KEY=VALUE]...\n\n"
        "Runs the directory of nodes and the operators' door, for a shop of several processes, in\n"
        "the foreground until SIGTERM or SIGINT; the log is on stderr.  The others find it at\n"
        "broker.endpoint.\n\n"
        "%s\nexample: doorbuster broker --set broker.endpoint=ipc://var/broker.sock\n",
        config_options_help);
    return 0;
}

/* Options of serve alone; they stay argv's. */
struct words {
    const char *actors, *shards;
};

/* `--name VALUE` or `--name=VALUE` at *at: moves behind it. */
static bool take_word(int argc, char **argv, int *at, const char *name, const char **value) {
    size_t size = strlen(name);
    if (strncmp(argv[*at], name, size) != 0) return false;
    if (argv[*at][size] == '=') {
        *value = argv[*at] + size + 1;
        *at += 1;
        return true;
    }
    if (argv[*at][size] != 0 || *at + 1 >= argc) return false;
    *value = argv[*at + 1];
    *at += 2;
    return true;
}

static bool read_options(int argc, char **argv, struct config *config,
                         struct config_options *options, struct words *words, int *code) {
    struct config_error error;
    *code = 2;
    for (int at = 1; at < argc;) {
        int taken = config_option(options, argc, argv, &at);
        if (taken < 0) return false;
        if (taken > 0) continue;
        if (take_word(argc, argv, &at, "--actors", &words->actors) ||
            take_word(argc, argv, &at, "--shards", &words->shards)) {
            continue;
        }
        fprintf(stderr,
                "doorbuster: `%s` is not an option of this command; see doorbuster %s --help\n",
                argv[at], argv[0]);
        return false;
    }
    *code = 1;
    if (config_load(config, options->file, options->sets, options->sets_count, &error)) return true;
    complain(error.text);
    return false;
}

static bool read_spread(const struct words *words, uint32_t shards, struct spread *spread) {
    struct text wrong;
    *spread = spread_all(shards);
    if (words->actors != NULL && !spread_read_actors(spread, words->actors, &wrong)) {
        fprintf(stderr,
                "doorbuster: --actors: `%.*s` is none of edge, shard, shop, all and the"
                " names of actors\n",
                (int)wrong.size, wrong.at);
        return false;
    }
    if (words->shards != NULL && !spread_read_shards(spread, words->shards, shards)) {
        fprintf(stderr,
                "doorbuster: --shards: must be a list such as 0-3,5 of shards below"
                " shards.count (%u)\n",
                shards);
        return false;
    }
    return true;
}

/* False: there are so few that a part would end the process in the middle of a sale. */
static bool raise_descriptors(void) {
    enum { LEAST = 64 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= LEAST) return true;
    log_error("serve", "too few descriptors", LOG_I64("limit", (int64_t)limit.rlim_max),
              LOG_I64("least", LEAST), LOG_END);
    return false;
}

void log_by_settings(const struct config *config) {
    enum log_level level = LOG_LEVEL_info;
    enum log_format format = LOG_FORMAT_logfmt;
    log_level_parse(config->log_level, &level);
    log_format_parse(config->log_format, &format);
    log_setup(level, format, (uint32_t)config->log_rate, STDERR_FILENO);
}

struct sources {
    struct config *config;
    const struct config_options *options;
    struct seal_keys *keys;
};

static void reload_from(void *context) {
    struct sources *sources = context;
    reload_settings(sources->config, sources->options, sources->keys);
}

static void name_node(uint32_t number) {
    char name[12];
    snprintf(name, sizeof name, "%u", number);
    log_node(name);
}

static int serve(const struct config *config, const struct config_options *options,
                 struct seal_keys *keys, struct host_setup *setup, const sigset_t *signals) {
    struct host *host = host_open(setup);
    if (host == NULL) return complain("could not start; the log says why");
    CRASH_POINT(serve_opened);
    log_info("serve", "open", LOG_TEXT("http", config->http_listen),
             LOG_I64("worker", setup->actor.worker), LOG_END);
    static struct config current; /* What ports were opened with stays as it was. */
    current = *config;
    struct sources sources = { &current, options, keys };
    (void)wait_for_end(signals, reload_from, &sources);
    CRASH_POINT(serve_draining);
    bool clean = host_drain(host, current.host_drain);
    CRASH_POINT(serve_drained);
    host_close(host);
    log_info("serve", "stopped", LOG_BOOL("journal_decided", clean), LOG_END);
    log_flush();
    return 0; /* What is left in the journal is decided at the next start. */
}

static int run(enum node_kind kind, const struct config *config,
               const struct config_options *options, struct seal_keys *keys,
               const struct spread *spread, const sigset_t *signals) {
    static struct host_place places[SPREAD_PLACES_MAX];
    static struct node node;
    uint32_t count = spread_places(spread, (uint32_t)config->host_shard_threads, places);
    int code = 1;
    if (node_open(&node, kind, config, keys, places, count, signals)) {
        CRASH_POINT(serve_leased);
        struct host_setup setup = { .config = config,
                                    .keys = keys,
                                    .actor = actor_values(config, keys, node.self.node - 1U),
                                    .places = places,
                                    .place_count = count };
        node_setup(&node, &setup);
        name_node(setup.actor.node);
        code = serve(config, options, keys, &setup, signals);
    }
    node_close(&node);
    return code;
}

/* The keys of tokens are the same on every node: only who may be the first makes them. */
static bool get_keys(const struct config *config, enum node_kind kind, struct seal_keys *keys) {
    char error[300];
    if (kind != NODE_member && !keys_make(config->keys_file)) {
        log_error("serve", "could not make the key file", LOG_ERRNO("error", errno), LOG_END);
        return false;
    }
    if (keys_load(config->keys_file, keys, error, sizeof error)) return true;
    complain(error);
    return false;
}

static int start(enum node_kind kind, const struct config *config,
                 const struct config_options *options, const struct spread *spread) {
    static struct seal_keys keys;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* Before the first thread, so all inherit it. */
    signal(SIGPIPE, SIG_IGN);
    log_by_settings(config);
    if (!raise_descriptors()) return complain("ulimit -n must be at least 64");
    if (!get_keys(config, kind, &keys)) return 1;
    int code = run(kind, config, options, &keys, spread, &signals);
    sodium_memzero(&keys, sizeof keys);
    return code;
}

int serve_command(int argc, char **argv) {
    static struct config config;
    static struct config_options options;
    struct words words = { 0 };
    struct spread spread;
    int code;
    if (config_help_wanted(argc, argv)) return serve_help();
    if (!read_options(argc, argv, &config, &options, &words, &code)) return code;
    if (!read_spread(&words, (uint32_t)config.shards_count, &spread)) return 2;
    if (config.broker_endpoint[0] == 0) {
        if (words.actors == NULL || spread.door)
            return start(NODE_alone, &config, &options, &spread);
        complain("a part of the actors needs the others: set broker.endpoint");
        return 2;
    }
    spread.door = false; /* That is the broker's. */
    return start(NODE_member, &config, &options, &spread);
}

int broker_command(int argc, char **argv) {
    static struct config config;
    static struct config_options options;
    struct words words = { 0 };
    struct spread spread = spread_broker();
    int code;
    if (config_help_wanted(argc, argv)) return broker_help();
    if (!read_options(argc, argv, &config, &options, &words, &code)) return code;
    if (words.actors != NULL || words.shards != NULL) {
        complain("a broker serves no actors of a shop");
        return 2;
    }
    if (config.broker_endpoint[0] == 0) {
        complain("a broker needs broker.endpoint");
        return 2;
    }
    return start(NODE_broker, &config, &options, &spread);
}
