/* Faults of Redis itself: death, a log that ends too early, data that is gone, refusals, failover.
 */
#include "tools/doorsim/chaos.h"

#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

bool chaos_redis_cli(struct chaos *self, const char *const *words) {
    char out[300] = "";
    int status = stage_redis(&self->stage, out, sizeof out, words);
    if (status == 0) return true;
    chaos_say(self, "redis-cli: %s", out);
    return false;
}

static bool kill_it(struct chaos *self) {
    return stage_stack(&self->stage, "kill-redis", NULL) == 0;
}

static bool start_it(struct chaos *self) {
    return stage_stack(&self->stage, "start-redis", NULL) == 0;
}

void chaos_redis_kill(struct chaos *self) {
    if (self->replica_leads) return;
    (void)kill_it(self);
    stage_sleep(&self->stage, chaos_span(self, 0, 1500));
    (void)start_it(self);
}

/* The pid that tools/stack has written down. */
static pid_t redis_pid(const struct chaos *self) {
    long pid = 0;
    if (self->replica_leads) return self->replica;
    FILE *in = fopen(stage_path(&self->stage, "stack/data/redis.id"), "re");
    if (in != NULL && fscanf(in, "%ld", &pid) != 1) pid = 0;
    if (in != NULL) (void)fclose(in);
    return (pid_t)pid;
}

void chaos_redis_pause(struct chaos *self) {
    pid_t pid = redis_pid(self);
    if (pid <= 0) return;
    (void)kill(pid, SIGSTOP);
    stage_sleep(&self->stage, chaos_span(self, 500, 5000));
    (void)kill(pid, SIGCONT);
}

void chaos_redis_lose_time(struct chaos *self) {
    if (self->replica_leads) return;
    (void)kill_it(self);
    (void)stage_stack(&self->stage, "truncate-aof", chaos_draw(self, 2) == 0 ? "1" : "2");
    (void)start_it(self);
}

/* ---- A log that ends inside a transaction ---- */

/* The last place where the word stands in the first `size` bytes; size when nowhere. */
static size_t find_last(const char *bytes, size_t size, const char *word) {
    size_t length = strlen(word);
    for (size_t at = size < length ? 0 : size - length + 1; at > 0; at--) {
        if (memcmp(bytes + at - 1, word, length) == 0) return at - 1;
    }
    return size;
}

/* Cuts the file between the last MULTI and its EXEC.  Bytes cut off, or 0. */
static size_t cut_inside_multi(struct chaos *self, const char *path) {
    static const char multi[] = "\r\nMULTI\r\n", exec[] = "\r\nEXEC\r\n";
    struct stat status;
    size_t cut = 0;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return 0;
    if (fstat(file, &status) == 0 && status.st_size > 0) {
        size_t size = (size_t)status.st_size;
        char *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
        if (bytes != MAP_FAILED) {
            size_t to = find_last(bytes, size, exec);
            size_t from = to < size ? find_last(bytes, to, multi) : size;
            if (from < to) {
                size_t inside = from + sizeof multi - 1;
                cut = size - inside - (size_t)chaos_draw(self, to - inside + sizeof exec - 1);
            }
            (void)munmap(bytes, size);
        }
        if (cut > 0 && ftruncate(file, (off_t)(size - cut)) != 0) cut = 0;
    }
    (void)close(file);
    return cut;
}

void chaos_redis_lose_multi(struct chaos *self) {
    glob_t logs;
    if (self->replica_leads) return;
    (void)kill_it(self);
    const char *pattern = stage_path(&self->stage, "stack/data/redis/appendonlydir/*.incr.aof");
    if (glob(pattern, 0, NULL, &logs) == 0) {
        size_t cut = cut_inside_multi(self, logs.gl_pathv[logs.gl_pathc - 1]);
        chaos_say(self, "%zu bytes of the log are gone, it ends inside a MULTI", cut);
        globfree(&logs);
    }
    (void)start_it(self);
}

/* ---- Data, scripts, refusals ---- */

void chaos_redis_flush(struct chaos *self) {
    (void)REDIS(self, "FLUSHALL");
}

void chaos_redis_forget(struct chaos *self) {
    (void)REDIS(self, "SCRIPT", "FLUSH");
}

void chaos_redis_lose_key(struct chaos *self) {
    static const char *const keys[] = { "{s0}:meta", "{s0}:j", "{s0}:lot:%" PRId64,
                                        "{s0}:u:%" PRId64 };
    char key[64];
    uint64_t which = chaos_draw(self, 4);
    if (which < 2)
        (void)snprintf(key, sizeof key, "%s", keys[which]);
    else
        (void)snprintf(key, sizeof key, which == 2 ? "{s0}:lot:%" PRId64 : "{s0}:u:%" PRId64,
                       self->lot);
    chaos_say(self, "DEL %s", key);
    (void)REDIS(self, "DEL", key);
}

void chaos_redis_full(struct chaos *self) {
    (void)REDIS(self, "CONFIG", "SET", "maxmemory", "1");
    stage_sleep(&self->stage, chaos_span(self, 300, 2500));
    (void)REDIS(self, "CONFIG", "SET", "maxmemory", "0");
}

void chaos_redis_readonly(struct chaos *self) {
    if (self->replica_leads) return;
    /* Port 9, discard: nobody answers there, so its data stays. */
    (void)REDIS(self, "REPLICAOF", "127.0.0.1", "9");
    stage_sleep(&self->stage, chaos_span(self, 300, 2500));
    (void)REDIS(self, "REPLICAOF", "NO", "ONE");
}

void chaos_redis_disk_full(struct chaos *self) {
    const char *filler = stage_path(&self->stage, "stack/data/redis/filler");
    if (self->replica_leads) return;
    int file = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    static const char zeros[65536];
    while (file >= 0 && write(file, zeros, sizeof zeros) > 0)
        continue;
    while (file >= 0 && write(file, zeros, 1) > 0)
        continue;
    stage_sleep(&self->stage, chaos_span(self, 1500, 4000));
    char info[4000] = "";
    (void)stage_redis(&self->stage, info, sizeof info,
                      (const char *const[]){ "INFO", "persistence", NULL });
    chaos_say(self, "the disk was full: %s",
              strstr(info, "aof_last_write_status:err") != NULL ? "its log could not be written"
                                                                : "its log was written before");
    if (file >= 0) (void)close(file);
    (void)unlink(filler);
}

/* ---- Failover ---- */

/* The primary listens on a port for the replica alone; the link between them is a proxy. */
static bool start_replica(struct chaos *self, char *socket, size_t size) {
    char primary[32], from[32], link[32], folder[STAGE_PATH], port[16];
    int base = self->stage.port + 1000;
    (void)snprintf(port, sizeof port, "%d", base);
    (void)snprintf(primary, sizeof primary, "127.0.0.1:%d", base);
    (void)snprintf(link, sizeof link, "127.0.0.1:%d", base + 1);
    (void)snprintf(from, sizeof from, "%d", base + 1);
    (void)snprintf(folder, sizeof folder, "%s", stage_path(&self->stage, "replica"));
    (void)snprintf(socket, size, "%s/redis.sock", folder);
    if (!REDIS(self, "CONFIG", "SET", "port", port) || mkdir(folder, 0755) != 0) return false;
    self->link = proxy_open(link, primary);
    if (self->link == NULL) return false;
    self->replica = stage_spawn(&self->stage, "replica.log",
                                (const char *const[]){ "redis-server",
                                                       "--port",
                                                       "0",
                                                       "--unixsocket",
                                                       socket,
                                                       "--dir",
                                                       folder,
                                                       "--save",
                                                       "",
                                                       "--appendonly",
                                                       "yes",
                                                       "--appendfsync",
                                                       "everysec",
                                                       "--repl-diskless-sync-delay",
                                                       "0",
                                                       "--replicaof",
                                                       "127.0.0.1",
                                                       from,
                                                       "--repl-timeout",
                                                       "60",
                                                       NULL });
    for (int tries = 0; tries < 100 && !stage_stopped(); tries++) {
        char out[2000] = "";
        (void)STAGE_RUN(&self->stage, out, sizeof out, 2 * CHAOS_S, "redis-cli", "-s", socket,
                        "INFO", "replication");
        if (strstr(out, "master_link_status:up") != NULL) return true;
        stage_sleep(&self->stage, 100 * CHAOS_MS);
    }
    return false;
}

void chaos_redis_replica(struct chaos *self) {
    char socket[STAGE_PATH + 20];
    if (self->replica_leads) return;
    (void)REDIS(self, "CONFIG", "SET", "repl-diskless-sync-delay", "0");
    if (!start_replica(self, socket, sizeof socket)) {
        chaos_say(self, "the replica did not come up");
        return;
    }
    stage_sleep(&self->stage, chaos_span(self, 300, 1000));
    /* From here on it learns nothing. */
    proxy_set(self->link, &(struct proxy_faults){ .block = { [TO_CLIENT] = true } });
    stage_sleep(&self->stage, chaos_span(self, 200, 2000));
    uint64_t behind = proxy_count(self->link).bytes[TO_CLIENT];
    (void)kill_it(self);
    proxy_cut(self->link, true);
    (void)snprintf(self->stage.redis, sizeof self->stage.redis, "%.*s", STAGE_PATH - 1, socket);
    self->replica_leads = true;
    (void)REDIS(self, "REPLICAOF", "NO", "ONE");
    proxy_target(self->redis, socket);
    proxy_cut(self->redis, true);
    chaos_say(self, "promoted after %" PRIu64 " bytes", behind);
}
