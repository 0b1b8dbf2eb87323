#include "tests/lib/redis_sides.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/clock.h"
#include "tests/lib/folder.h"

enum { ROOM = 4096, MS = 1000000 };

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * MS }, NULL);
}

/* ---- The server ---- */

static bool answers(const char *socket) {
    redisContext *context = redisConnectUnix(socket);
    redisReply *reply = context != NULL && context->err == 0 ? redisCommand(context, "PING") : NULL;
    bool yes = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL) freeReplyObject(reply);
    if (context != NULL) redisFree(context);
    return yes;
}

bool server_start(struct server *self) {
    if (self->folder[0] == 0) {
        const char *base = getenv("TMPDIR");
        snprintf(self->folder, sizeof self->folder, "%s/doorbuster-redis-XXXXXX",
                 base != NULL && strlen(base) < 60 ? base : "/tmp");
        if (mkdtemp(self->folder) == NULL) return false;
        snprintf(self->socket, sizeof self->socket, "%s/s", self->folder);
    }
    char program[] = "redis-server", *words[] = { program,
                                                  (char[]){ "--port" },
                                                  (char[]){ "0" },
                                                  (char[]){ "--unixsocket" },
                                                  self->socket,
                                                  (char[]){ "--dir" },
                                                  self->folder,
                                                  (char[]){ "--appendonly" },
                                                  (char[]){ "yes" },
                                                  (char[]){ "--appendfsync" },
                                                  (char[]){ "everysec" },
                                                  (char[]){ "--save" },
                                                  (char[]){ "" },
                                                  (char[]){ "--maxmemory-policy" },
                                                  (char[]){ "noeviction" },
                                                  (char[]){ "--logfile" },
                                                  (char[]){ "log" },
                                                  NULL };
    pid_t pid;
    unlink(self->socket);
    if (posix_spawnp(&pid, program, NULL, NULL, words, environ) != 0) return false;
    self->pid = pid;
    for (int i = 0; i < 500; i++) {
        if (answers(self->socket)) return true;
        pause_ms(10);
    }
    return false;
}

void server_kill(struct server *self) {
    if (self->pid <= 0) return;
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    self->pid = 0;
}

static void aof_path(const struct server *self, char path[300]) {
    snprintf(path, 300, "%s/appendonlydir/appendonly.aof.1.incr.aof", self->folder);
}

long server_aof_size(const struct server *self) {
    char path[300];
    struct stat info;
    aof_path(self, path);
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

void server_cut_aof(const struct server *self, long bytes) {
    char path[300];
    aof_path(self, path);
    long size = server_aof_size(self);
    assert(size > bytes);
    if (truncate(path, size - bytes) != 0) abort();
}

void server_fini(struct server *self) {
    server_kill(self);
    if (self->folder[0] != 0) folder_remove(self->folder);
}

/* ---- Sides ---- */

static void keep(struct side *self) {
    FILE *to = fmemopen(self->said + self->size, SAID_MAX - self->size, "w");
    for (uint32_t i = 0; i < self->got.count; i++) {
        struct message *message = &self->got.items[i];
        struct redis_up up;
        if (message->head.type == MSG_redis_up) {
            up = *BODY(message, redis_up);
            up.run_id = text_of("masked");
            message->body = &up;
        }
        fprintf(to, "%s %u < ", address_name((enum address)message->head.to),
                (unsigned)message->head.request);
        message_print(to, message_type((enum message_id)message->head.type), message->body);
        if (message->head.type == MSG_place) {
            struct text address = BODY(message, place)->address;
            fprintf(to, " address=%.*s", (int)address.size, address.size > 0 ? address.at : "");
        }
        fputc('\n', to);
    }
    fflush(to);
    self->size += (size_t)ftell(to);
    assert(self->size < SAID_MAX - 1);
    fclose(to);
    self->said[self->size] = 0;
}

void side_forget(struct side *self) {
    self->size = 0;
    self->said[0] = 0;
}

void side_open_real(struct side *self, struct server *server, uint32_t journal_cap) {
    memset(self, 0, sizeof *self);
    self->name = "redis";
    self->server = server;
    self->config = calloc(1, sizeof *self->config);
    config_defaults(self->config);
    snprintf(self->config->redis_address, sizeof self->config->redis_address, "%s", server->socket);
    self->config->order_journal_cap = journal_cap;
    batch_init(&self->got);
    struct port_setup setup = { .config = self->config, .self = PORT_redis };
    self->port = redis_port.open(&setup);
    assert(self->port != NULL);
    self->direct = redisConnectUnix(server->socket);
    side_wait(self, "redis_up");
}

void side_open_model(struct side *self, uint32_t journal_cap) {
    memset(self, 0, sizeof *self);
    self->name = "model";
    self->store = lua_store_open(1);
    batch_init(&self->got);
    model_redis_init(&self->model, self->store, 0, journal_cap);
    struct outbox out = batch_outbox(&self->got, PORT_redis, 0, ROOM);
    model_redis_up(&self->model, &out);
    keep(self);
    batch_reset(&self->got);
}

void side_close(struct side *self) {
    if (self->port != NULL) redis_port.close(self->port);
    if (self->direct != NULL) redisFree(self->direct);
    if (self->store != NULL) model_redis_fini(&self->model);
    lua_store_close(self->store);
    free(self->config);
    batch_fini(&self->got);
}

void side_turn(struct side *self) {
    struct pollfd fds[2];
    int64_t wait = redis_port.timeout(self->port, 0);
    uint32_t count = redis_port.poll(self->port, fds, 2);
    if (wait < 0 || wait > 20 * MS) wait = 20 * MS;
    poll(fds, count, (int)(wait / MS));
    batch_reset(&self->got);
    struct outbox out = batch_outbox(&self->got, PORT_redis, 0, ROOM);
    redis_port.step(self->port, 0, &out);
    keep(self);
}

bool side_wait(struct side *self, const char *word) {
    int64_t end = clock_mono() + INT64_C(10000) * MS;
    while (strstr(self->said, word) == NULL) {
        if (clock_mono() > end) return false;
        side_turn(self);
    }
    return true;
}

void side_send(struct side *self, const struct message *in, uint32_t count) {
    batch_reset(&self->got);
    struct outbox out = batch_outbox(&self->got, PORT_redis, 0, ROOM + 8 * count);
    if (self->port == NULL) {
        model_redis_handle(&self->model, in, count, 0, &out);
        keep(self);
        return;
    }
    redis_port.handle(self->port, in, count, 0, &out);
    keep(self);
    while (redis_port.timeout(self->port, 0) >= 0 && self->server->pid != 0 &&
           strstr(self->said, "redis_down") == NULL) {
        side_turn(self);
    }
}

static const char *as_text(char *to, size_t size, enum reply_kind kind, struct text text,
                           int64_t integer) {
    if (kind == REPLY_nil)
        snprintf(to, size, "(nil)");
    else if (kind == REPLY_integer)
        snprintf(to, size, "%lld", (long long)integer);
    else if (kind == REPLY_array)
        snprintf(to, size, "(array)");
    else
        snprintf(to, size, "%.*s", (int)text.size, text.at);
    return to;
}

const char *side_command(struct side *self, const char *words) {
    static char text[4096];
    if (self->port == NULL) {
        const struct reply *reply = lua_store_command(self->store, words);
        return as_text(text, sizeof text, reply->kind, reply->text, reply->integer);
    }
    const char *word[32];
    size_t size[32];
    int count = 0;
    for (const char *at = words; *at != 0 && count < 32;) {
        word[count] = at;
        size[count] = strcspn(at, " ");
        at += size[count] + (at[size[count]] == ' ');
        count++;
    }
    redisReply *reply = NULL;
    for (int i = 0; i < 2 && reply == NULL; i++) { /* The server may have been restarted. */
        if (self->direct == NULL || self->direct->err != 0) {
            if (self->direct != NULL) redisFree(self->direct);
            self->direct = redisConnectUnix(self->server->socket);
        }
        reply = redisCommandArgv(self->direct, count, word, size);
    }
    if (reply == NULL) return "(gone)";
    enum reply_kind kind = reply->type == REDIS_REPLY_NIL       ? REPLY_nil
                           : reply->type == REDIS_REPLY_INTEGER ? REPLY_integer
                           : reply->type == REDIS_REPLY_ARRAY   ? REPLY_array
                                                                : REPLY_text;
    as_text(text, sizeof text, kind, (struct text){ reply->str, (uint32_t)reply->len },
            reply->integer);
    freeReplyObject(reply);
    return text;
}

uint32_t side_count(const struct side *self, const char *word) {
    uint32_t count = 0;
    for (const char *at = self->said; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}
