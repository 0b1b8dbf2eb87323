#include "tools/doorsim/crash_nodes.h"

#include "broker/clock.h"

#include <signal.h>
#include <sys/wait.h>

#define MS INT64_C(1000000)

static const struct {
    const char *word, *command, *actors;
} nodes[CRASH_NODES] = {
    { "broker", "broker", NULL },
    { "core", "serve", "shard,shop" },
    { "edge", "serve", "edge" },
};

const char *crash_node_word(unsigned node) {
    return nodes[node].word;
}

static void start_one(struct crash_nodes *self, unsigned node) {
    const struct stage *stage = self->stage;
    struct crash_node *row = &self->rows[node];
    char program[STAGE_PATH + 20], crash[100] = "NOTHING=", count[STAGE_PATH + 20] = "NOTHING=";
    char listen[STAGE_PATH + 40], broker[STAGE_PATH + 40], name[40], log[40];
    const char *words[STAGE_WORDS] = { "env", crash, count, program, nodes[node].command };
    const char *sets[] = { listen, broker, name };
    unsigned at = 5;
    (void)snprintf(program, sizeof program, "%s/doorbuster", stage->build);
    (void)snprintf(listen, sizeof listen, "node.listen=ipc://%s", stage_path(stage, "links"));
    (void)snprintf(broker, sizeof broker, "broker.endpoint=ipc://%s",
                   stage_path(stage, "broker.sock"));
    (void)snprintf(name, sizeof name, "node.name=%s", nodes[node].word);
    (void)snprintf(log, sizeof log, "%s.log", nodes[node].word);
    if (row->crash[0] != 0) (void)snprintf(crash, sizeof crash, "CRASH_POINT=%s", row->crash);
    if (row->count[0] != 0) (void)snprintf(count, sizeof count, "CRASH_COUNT=%s", row->count);
    row->crash[0] = 0;
    words[at++] = "--config";
    words[at++] = stage->config;
    for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++) {
        words[at++] = "--set";
        words[at++] = sets[i];
    }
    for (unsigned i = 0; stage->setup.sets != NULL && stage->setup.sets[i] != NULL; i++) {
        words[at++] = "--set";
        words[at++] = stage->setup.sets[i];
    }
    if (nodes[node].actors != NULL) {
        words[at++] = "--actors";
        words[at++] = nodes[node].actors;
    }
    words[at] = NULL;
    row->pid = stage_spawn(self->stage, log, words);
}

static void look_after(void *context) {
    struct crash_nodes *self = context;
    for (unsigned node = 0; node < CRASH_NODES; node++) {
        struct crash_node *row = &self->rows[node];
        int status;
        if (row->pid <= 0 || waitpid(row->pid, &status, WNOHANG) != row->pid) continue;
        row->pid = 0;
        row->last_status = status;
        row->deaths++;
        if (self->wanted && !stage_stopped()) start_one(self, node);
    }
}

void crash_nodes_start(struct crash_nodes *self, struct stage *stage) {
    self->stage = stage;
    self->wanted = true;
    stage->tick = look_after;
    stage->tick_context = self;
    for (unsigned node = 0; node < CRASH_NODES; node++)
        start_one(self, node);
}

static bool stop_one(struct crash_nodes *self, unsigned node, int64_t limit_ns) {
    struct crash_node *row = &self->rows[node];
    int64_t end = clock_mono() + limit_ns;
    if (row->pid <= 0) return false;
    (void)kill(row->pid, SIGTERM);
    while (row->pid > 0 && clock_mono() < end && !stage_stopped())
        stage_sleep(self->stage, 5 * MS);
    if (row->pid <= 0) return row->last_status == 0;
    (void)kill(row->pid, SIGKILL);
    (void)waitpid(row->pid, &row->last_status, 0);
    row->pid = 0;
    return false;
}

bool crash_nodes_stop(struct crash_nodes *self, int64_t limit_ns) {
    bool good = true;
    self->wanted = false;
    for (unsigned node = CRASH_NODES; node-- > 0;)
        good = stop_one(self, node, limit_ns) && good;
    return good;
}
