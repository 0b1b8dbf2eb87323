#include "tools/doorsim/stage.h"

#include "broker/clock.h"
#include "tools/doorsim/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define S  (1000 * MS)

static volatile sig_atomic_t stopped;

static void on_signal(int signal) {
    (void)signal;
    stopped = 1;
}

bool stage_stopped(void) {
    return stopped != 0;
}

const char *stage_path(const struct stage *self, const char *name) {
    static char paths[8][STAGE_PATH + 100];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", self->dir, name);
    return path;
}

/* ---- Programs ---- */

/* Runs in the child.  Nobody outlives us: the stores are daemons of tools/stack, all others die
 * with their parent. */
static void become(int log, const char *const *words) {
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setpgid(0, 0); /* Ctrl-C is for us, who end them in order. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    (void)execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

static pid_t spawn_to(int log, const char *const *words, const char *const *env) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    for (unsigned i = 0; env != NULL && env[i] != NULL; i++)
        (void)putenv((char *)(uintptr_t)env[i]);
    become(log, words);
    return -1;
}

static int open_log(const struct stage *self, const char *name) {
    return open(stage_path(self, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static pid_t spawn(struct stage *self, const char *log, const char *const *words,
                   const char *const *env) {
    int file = open_log(self, log);
    if (file < 0) return -1;
    pid_t pid = spawn_to(file, words, env);
    (void)close(file);
    return pid;
}

pid_t stage_spawn(struct stage *self, const char *log, const char *const *words) {
    return spawn(self, log, words, NULL);
}

static int status_of(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void nap(void) {
    nanosleep(&(struct timespec){ 0, 5 * MS }, NULL);
}

int stage_wait(struct stage *self, pid_t pid, int64_t limit_ns) {
    int64_t end = clock_mono() + limit_ns;
    int status;
    if (pid <= 0) return -1;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) return status_of(status);
        if (got < 0) return -1;
        if (clock_mono() > end || stopped) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            return -1;
        }
        stage_tick(self);
        nap();
    }
}

int stage_run(struct stage *self, char *out, size_t size, int64_t limit_ns,
              const char *const *words) {
    FILE *file = tmpfile();
    if (file == NULL) return -1;
    pid_t pid = spawn_to(fileno(file), words, NULL);
    int status = stage_wait(self, pid, limit_ns);
    rewind(file);
    if (out != NULL && size > 0) out[fread(out, 1, size - 1, file)] = '\0';
    (void)fclose(file);
    return status;
}

/* ---- Stores ---- */

int stage_stack(struct stage *self, const char *command, const char *argument) {
    char out[2000];
    const char *const words[] = { "tools/stack", command, self->stack, argument, NULL };
    int status = stage_run(self, out, sizeof out, 90 * S, words);
    if (status != 0 && !stopped) fprintf(stderr, "stack %s: %d: %s\n", command, status, out);
    return status;
}

int stage_redis(struct stage *self, char *out, size_t size, const char *const *words) {
    const char *all[STAGE_WORDS] = { "redis-cli", "-s", self->redis, "--raw" };
    unsigned count = 4;
    while (*words != NULL && count + 1 < STAGE_WORDS)
        all[count++] = *words++;
    return stage_run(self, out, size, 20 * S, all);
}

bool stage_sql(struct stage *self, const char *sql, char *out, size_t size) {
    int status =
        STAGE_RUN(self, out, size, 30 * S, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql);
    if (out != NULL) out[strcspn(out, "\n")] = '\0';
    return status == 0;
}

/* "export NAME=value" lines of `tools/stack env`; values there have no special characters. */
static bool read_env(struct stage *self) {
    char text[3000];
    if (STAGE_RUN(self, text, sizeof text, 20 * S, "tools/stack", "env", self->stack) != 0)
        return false;
    for (char *at = text, *next; at != NULL && *at != '\0'; at = next) {
        next = strchr(at, '\n');
        if (next != NULL) *next++ = '\0';
        char *equals = strchr(at, '=');
        if (strncmp(at, "export ", 7) != 0 || equals == NULL) continue;
        *equals = '\0';
        (void)setenv(at + 7, equals + 1, 1);
        if (strcmp(at + 7, "PGHOST") == 0)
            (void)snprintf(self->pg_host, sizeof self->pg_host, "%s", equals + 1);
        if (strcmp(at + 7, "REDIS_SOCKET") == 0)
            (void)snprintf(self->redis, sizeof self->redis, "%s", equals + 1);
    }
    return self->pg_host[0] != '\0' && self->redis[0] != '\0';
}

/* ---- The server ---- */

static bool write_config(const struct stage *self) {
    FILE *out = fopen(self->config, "we");
    if (out == NULL) return false;
    const char *pg = self->setup.pg_host != NULL ? self->setup.pg_host : self->pg_host;
    const char *redis = self->setup.redis != NULL ? self->setup.redis : self->redis;
    fprintf(out,
            "http\n    listen = \"127.0.0.1:%d\"\npg\n"
            "    dsn = \"host='%s' port=5432 user=doorbuster dbname=doorbuster\"\nredis\n"
            "    address = \"%s\"\nkeys\n    file = \"%s\"\npayment\n    public_url = \"%s\"\n"
            "    sandbox_url = \"%s\"\n    sandbox_secret_file = \"%s\"\ndoor\n"
            "    endpoint = \"ipc://%s\"\n    key = \"%s\"\n    operators = \"%s\"\n",
            self->port, pg, redis, self->keys, self->base, self->pay_url,
            stage_path(self, "paysim.secret"), self->door, stage_path(self, "door.key"),
            stage_path(self, "operators"));
    if (self->mail_port != 0)
        fprintf(out, "mail\n    smtp_url = \"smtp://127.0.0.1:%d\"\n", self->mail_port);
    return fclose(out) == 0;
}

/* doorbuster COMMAND --config … --set … */
static unsigned server_words(const struct stage *self, const char **words, char *program,
                             size_t size, const char *command) {
    unsigned count = 0;
    (void)snprintf(program, size, "%s/doorbuster", self->build);
    words[count++] = program;
    words[count++] = command;
    words[count++] = "--config";
    words[count++] = self->config;
    for (unsigned i = 0; self->setup.sets != NULL && self->setup.sets[i] != NULL; i++) {
        words[count++] = "--set";
        words[count++] = self->setup.sets[i];
    }
    words[count] = NULL;
    return count;
}

void stage_server_start(struct stage *self) {
    const char *words[STAGE_WORDS], *env[16];
    char program[STAGE_PATH + 20], crash[100], count[STAGE_PATH + 20];
    unsigned envs = 0;
    (void)server_words(self, words, program, sizeof program, "serve");
    for (unsigned i = 0; self->setup.server_env != NULL && self->setup.server_env[i] != NULL; i++)
        env[envs++] = self->setup.server_env[i];
    if (self->crash[0] != '\0') {
        (void)snprintf(crash, sizeof crash, "CRASH_POINT=%s", self->crash);
        env[envs++] = crash;
        self->crash[0] = '\0';
    }
    if (self->count[0] != '\0') {
        (void)snprintf(count, sizeof count, "CRASH_COUNT=%s", self->count);
        env[envs++] = count;
    }
    env[envs] = NULL;
    self->server = spawn(self, "doorbuster.log", words, env);
    self->server_wanted = true;
    self->starts++;
}

void stage_tick(struct stage *self) {
    int status;
    if (self->tick != NULL) self->tick(self->tick_context);
    if (self->server <= 0 || waitpid(self->server, &status, WNOHANG) != self->server) return;
    self->server = 0;
    self->last_status = status;
    self->deaths++;
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal != 0 && signal != SIGKILL && signal != SIGTERM) self->aborts++;
    if (self->server_wanted && !stopped) stage_server_start(self);
}

void stage_sleep(struct stage *self, int64_t ns) {
    int64_t end = clock_mono() + ns;
    while (clock_mono() < end && !stopped) {
        stage_tick(self);
        nap();
    }
}

bool stage_server_stop(struct stage *self, int64_t limit_ns) {
    int64_t end = clock_mono() + limit_ns;
    self->server_wanted = false;
    if (self->server <= 0) return false;
    unsigned deaths = self->deaths;
    (void)kill(self->server, SIGCONT);
    (void)kill(self->server, SIGTERM);
    while (self->deaths == deaths && clock_mono() < end) {
        stage_tick(self);
        nap();
    }
    if (self->deaths == deaths) {
        (void)kill(self->server, SIGKILL);
        (void)waitpid(self->server, &self->last_status, 0);
        self->server = 0;
        return false;
    }
    return self->last_status == 0;
}

bool stage_ready(struct stage *self, int64_t limit_ns) {
    int64_t end = clock_mono() + limit_ns;
    while (clock_mono() < end && !stopped) {
        struct textbuf body;
        textbuf_init(&body, 4096);
        int status = fetch(self->base, "/readyz", 500 * MS, &body);
        textbuf_fini(&body);
        if (status == 200) return true;
        stage_sleep(self, 20 * MS);
    }
    return false;
}

/* ---- Opening ---- */

/* A port nobody listens on at this moment. */
static int free_port(void) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd < 0) return 0;
    /* Below the range the kernel takes for clients, so that none of theirs is in our way. */
    for (int tries = 0; tries < 50 && port == 0; tries++) {
        at.sin_port = htons((uint16_t)(20000 + (clock_mono() / 1000 + getpid() * 37) % 12000));
        if (bind(fd, (struct sockaddr *)&at, size) == 0) port = ntohs(at.sin_port);
        nanosleep(&(struct timespec){ 0, 37000 }, NULL);
    }
    (void)close(fd);
    return port;
}

static bool make_folder(struct stage *self) {
    const char *parent = getenv("TMPDIR");
    (void)snprintf(self->dir, sizeof self->dir, "%s/%s-XXXXXX",
                   parent != NULL && *parent != '\0' ? parent : "/tmp", self->setup.name);
    if (mkdtemp(self->dir) == NULL || chmod(self->dir, 0755) != 0) {
        perror(self->dir);
        self->dir[0] = '\0';
        return false;
    }
    (void)snprintf(self->stack, sizeof self->stack, "%s", stage_path(self, "stack"));
    (void)snprintf(self->door, sizeof self->door, "%s", stage_path(self, "door.sock"));
    (void)snprintf(self->config, sizeof self->config, "%s", stage_path(self, "doorbuster.zpl"));
    (void)snprintf(self->keys, sizeof self->keys, "%s", stage_path(self, "keys"));
    (void)snprintf(self->shoppers, sizeof self->shoppers, "%s", stage_path(self, "shoppers"));
    FILE *secret = fopen(stage_path(self, "paysim.secret"), "we");
    if (secret == NULL) return false;
    (void)fchmod(fileno(secret), 0600);
    fputs("6b1f0c6a7dbb4b6f8f0e5a8c2d4e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70", secret);
    return fclose(secret) == 0;
}

/* Its first line is its port. */
static bool start_mail(struct stage *self) {
    const char *folder = stage_path(self, "mail");
    if (mkdir(folder, 0755) != 0) return false;
    self->mail =
        stage_spawn(self, "mail.log",
                    (const char *const[]){ "/usr/bin/python3", "tests/contract/smtp_receiver.py",
                                           folder, NULL });
    for (int tries = 0; tries < 400 && self->mail_port == 0 && !stopped; tries++) {
        FILE *log = fopen(stage_path(self, "mail.log"), "re");
        char line[32] = "";
        if (log != NULL && fgets(line, sizeof line, log) != NULL && strchr(line, '\n') != NULL)
            self->mail_port = (int)strtol(line, NULL, 10);
        if (log != NULL) (void)fclose(log);
        stage_sleep(self, 25 * MS);
    }
    return self->mail_port != 0;
}

static bool start_paysim(struct stage *self) {
    char program[STAGE_PATH + 20], listen[64], seed[24];
    const char *words[STAGE_WORDS] = {
        program,  "--listen", listen, "--secret-file", stage_path(self, "paysim.secret"),
        "--seed", seed
    };
    unsigned count = 7;
    (void)snprintf(program, sizeof program, "%s/paysim", self->build);
    (void)snprintf(listen, sizeof listen, "%s", self->pay_url + strlen("http://"));
    (void)snprintf(seed, sizeof seed, "%" PRId64, clock_now() / S);
    for (unsigned i = 0; self->setup.pay_words != NULL && self->setup.pay_words[i] != NULL; i++)
        words[count++] = self->setup.pay_words[i];
    self->paysim = stage_spawn(self, "paysim.log", words);
    return self->paysim > 0;
}

static bool run_server_command(struct stage *self, const char *command) {
    const char *words[STAGE_WORDS];
    char program[STAGE_PATH + 20], out[2000];
    (void)server_words(self, words, program, sizeof program, command);
    int status = stage_run(self, out, sizeof out, 60 * S, words);
    if (status != 0 && !stopped) fprintf(stderr, "doorbuster %s: %d: %s\n", command, status, out);
    return status == 0;
}

/* doorctl finds this one by itself, beside the socket. */
static bool make_operator(struct stage *self) {
    char program[STAGE_PATH + 20], out[1000];
    (void)snprintf(program, sizeof program, "%s/doorbuster", self->build);
    return STAGE_RUN(self, out, sizeof out, 20 * S, program, "keys", "--curve", "admin", "--role",
                     "admin", "--dir", stage_path(self, "operators")) == 0;
}

bool stage_configure(struct stage *self) {
    return write_config(self);
}

static bool start_stack(struct stage *self) {
    const char *words[STAGE_WORDS] = { "tools/stack", "start", self->stack, "--fast" };
    char out[2000];
    for (unsigned i = 0; self->setup.stack_words != NULL && self->setup.stack_words[i] != NULL; i++)
        words[4 + i] = self->setup.stack_words[i];
    if (self->setup.before_stack != NULL && !self->setup.before_stack(self->setup.context))
        return false;
    int status = stage_run(self, out, sizeof out, 90 * S, words);
    if (status != 0 && !stopped) fprintf(stderr, "tools/stack: %s\n", out);
    return status == 0 && read_env(self);
}

bool stage_open(struct stage *self, const struct stage_setup *setup) {
    struct sigaction action = { .sa_handler = on_signal };
    char program[STAGE_PATH];
    *self = (struct stage){ .setup = *setup };
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size <= 0) return false;
    program[size] = '\0';
    *strrchr(program, '/') = '\0';
    (void)snprintf(self->build, sizeof self->build, "%s", program);
    if (access("tools/stack", X_OK) != 0) {
        fprintf(stderr, "doorsim: run me in the project's folder: tools/stack is needed\n");
        return false;
    }
    self->port = free_port();
    (void)snprintf(self->base, sizeof self->base, "http://127.0.0.1:%d", self->port);
    (void)snprintf(self->pay_url, sizeof self->pay_url, "http://127.0.0.1:%d", free_port());
    return make_folder(self) && start_stack(self) && (!setup->mail || start_mail(self)) &&
           stage_configure(self) && run_server_command(self, "keys") && make_operator(self) &&
           run_server_command(self, "migrate") && start_paysim(self);
}

/* ---- Closing ---- */

static void end(pid_t *pid) {
    if (*pid <= 0) return;
    (void)kill(*pid, SIGKILL);
    (void)waitpid(*pid, NULL, 0);
    *pid = 0;
}

/* Not through stage_run(), which does nothing any more once a signal has come. */
static void run_plainly(const char *const *words) {
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t pid = spawn_to(nothing, words, NULL);
    if (pid > 0) (void)waitpid(pid, NULL, 0);
    if (nothing >= 0) (void)close(nothing);
}

void stage_close(struct stage *self, bool keep) {
    self->server_wanted = false;
    end(&self->server);
    end(&self->paysim);
    end(&self->mail);
    if (self->dir[0] == '\0') return;
    run_plainly((const char *const[]){ "tools/stack", "wipe", self->stack, NULL });
    if (self->setup.after_wipe != NULL) self->setup.after_wipe(self->setup.context);
    if (keep)
        printf("logs and histories are in %s\n", self->dir);
    else
        run_plainly((const char *const[]){ "rm", "-rf", "--", self->dir, NULL });
    self->dir[0] = '\0';
}
