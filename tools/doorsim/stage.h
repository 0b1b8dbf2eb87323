/* The whole system on this machine in a folder of its own: PostgreSQL, Redis, a pretend provider, a
 * mail server, doorbuster.  What tools/run does for people, for programs that break it on purpose:
 * whoever dies is started again by stage_tick(), as an init system would do it.
 *
 * Everything that was started is ended by stage_close(), also after a signal: SIGINT, SIGTERM and
 * SIGHUP only make stage_stopped() true, and every wait here ends then.  One stage at a time per
 * process, because its addresses are put into the environment. */
#ifndef DOORSIM_STAGE_H
#define DOORSIM_STAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { STAGE_PATH = 400, STAGE_WORDS = 48 };

struct stage_setup {
    const char *name;               /* What the folder is called after. */
    const char *const *sets;        /* "key=value" for the server, up to NULL. */
    const char *const *pay_words;   /* Options of paysim, up to NULL. */
    const char *const *stack_words; /* Options of `tools/stack start`, up to NULL. */
    const char *pg_host, *redis;    /* Where the server finds the stores; NULL: where they are. */
    const char *const *server_env;  /* "NAME=value" for the server, up to NULL. */
    bool (*before_stack)(void *context); /* When the folder is made, or NULL. */
    void (*after_wipe)(void *context);   /* Before it is removed, or NULL. */
    void *context;
    bool mail;
};

struct stage {
    struct stage_setup setup;
    char build[STAGE_PATH]; /* Folder of the programs: that of this one. */
    char dir[STAGE_PATH], stack[STAGE_PATH];
    char pg_host[STAGE_PATH], redis[STAGE_PATH]; /* Folder and path of the stores' sockets. */
    char base[64], pay_url[64], door[STAGE_PATH], config[STAGE_PATH], keys[STAGE_PATH];
    char shoppers[STAGE_PATH];
    int port, mail_port;
    pid_t server, paysim, mail;
    char crash[64];         /* CRASH_POINT of the next server, once. */
    char count[STAGE_PATH]; /* CRASH_COUNT of the next server. */
    bool server_wanted;     /* Start it again when it has died. */
    int last_status;        /* waitpid's, of the server that died last. */
    unsigned deaths, starts;
    void (*tick)(void *context); /* Called by stage_tick(), or NULL. */
    void *tick_context;
    unsigned aborts; /* Deaths by a signal that nobody here sends: an assertion, a bad address. */
};

/* Makes the folder, starts the stores, makes keys and tables, writes the configuration, starts
 * paysim and the mail server; not doorbuster.  False after a sentence on stderr; stage_close() then
 * cleans up. */
bool stage_open(struct stage *self, const struct stage_setup *setup);
/* Ends everything; the folder is removed unless `keep`, then its name is printed. */
void stage_close(struct stage *self, bool keep);

/* Has a signal asked us to end? */
bool stage_stopped(void);

/* Starts what is needed: the stores, then the configuration the setup asks for now. */
bool stage_configure(struct stage *self);

void stage_server_start(struct stage *self);
/* SIGTERM, then a wait; true when it ended with 0 in time.  It is not started again. */
bool stage_server_stop(struct stage *self, int64_t limit_ns);

/* Notices deaths and starts the server again. */
void stage_tick(struct stage *self);
void stage_sleep(struct stage *self, int64_t ns);
/* Until /readyz says yes. */
bool stage_ready(struct stage *self, int64_t limit_ns);

/* Starts a program; its output goes to DIR/`log`.  Words up to NULL. */
pid_t stage_spawn(struct stage *self, const char *log, const char *const *words);
/* Waits for it: its exit status, 128 + signal, or -1 when the limit has passed (then it is killed).
 */
int stage_wait(struct stage *self, pid_t pid, int64_t limit_ns);
/* Both.  `out` gets what it wrote, at most size - 1 bytes, when it is not NULL. */
int stage_run(struct stage *self, char *out, size_t size, int64_t limit_ns,
              const char *const *words);
#define STAGE_RUN(self, out, size, limit, ...)                                                     \
    stage_run(self, out, size, limit, (const char *const[]){ __VA_ARGS__, NULL })

/* A command of tools/stack or of redis-cli, or SQL as the owner of the tables. */
int stage_stack(struct stage *self, const char *command, const char *argument);
int stage_redis(struct stage *self, char *out, size_t size, const char *const *words);
bool stage_sql(struct stage *self, const char *sql, char *out, size_t size);

/* An operator's command by doorctl --json: its first row, or NULL.  `tries` times, with a pause. */
json_t *stage_ctl(struct stage *self, unsigned tries, const char *const *words);
/* An open sale with one lot; sets its ids. */
bool stage_sale(struct stage *self, int64_t units, const char *pay_window, int64_t *sale,
                int64_t *lot);
bool stage_seed(struct stage *self, unsigned count);
/* `doorctl reconcile` until it says that every lot adds up. */
bool stage_reconciled(struct stage *self, int64_t limit_ns);

/* Lines of DIR/`log`, from byte *from on, that no server may ever write (a crash of an actor, a
 * dead letter, ...): how many, the first of them printed.  *from becomes the end. */
unsigned stage_log_faults(const struct stage *self, const char *log, long *from);

/* DIR/`name`, in memory that the next eight calls use again. */
const char *stage_path(const struct stage *self, const char *name);

#endif
