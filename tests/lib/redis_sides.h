/* Two hot counters behind one face: the real port over a private Redis, and the model.
 * Whatever a side answers is kept as text, one line per message, run_ids masked, so that two sides
 * can be compared by strcmp and one can be read. */
#ifndef TESTS_LIB_REDIS_SIDES_H
#define TESTS_LIB_REDIS_SIDES_H

#include <hiredis/hiredis.h>
#include <stddef.h>

#include "broker/port.h"
#include "config/config.h"
#include "tests/sim/model_redis.h"

enum { SAID_MAX = 1 << 20 };

/* A private Redis in a folder of its own below $TMPDIR. */
struct server {
    char folder[200], socket[240];
    int pid; /* 0 = not running. */
};
bool server_start(struct server *self); /* Makes the folder at the first start; waits for it. */
void server_kill(struct server *self);  /* kill -9 */
void server_fini(struct server *self);  /* And removes the folder. */
/* Cuts so many bytes off the append-only file; the server is not running. */
void server_cut_aof(const struct server *self, long bytes);
long server_aof_size(const struct server *self);

struct side {
    const char *name;
    struct server *server; /* NULL: the model. */
    struct config *config;
    struct port *port;
    redisContext *direct; /* For commands behind the port's back. */
    struct model_redis model;
    struct lua_store *store;
    char said[SAID_MAX]; /* Since the last side_forget. */
    size_t size;
    struct batch got; /* What was said last, as messages. */
};

void side_open_real(struct side *self, struct server *server, uint32_t journal_cap);
void side_open_model(struct side *self, uint32_t journal_cap);
void side_close(struct side *self);

/* Hands messages in and waits for all answers. */
void side_send(struct side *self, const struct message *in, uint32_t count);
/* Waits at most 20 ms for the port's descriptor, then steps it. */
void side_turn(struct side *self);
/* Waits until the port has said this word, at most 10 s. */
bool side_wait(struct side *self, const char *word);
void side_forget(struct side *self);
/* One command, words separated by blanks; the answer as text ("(nil)"), valid until the next. */
const char *side_command(struct side *self, const char *words);
/* Times a word occurs in what was said. */
uint32_t side_count(const struct side *self, const char *word);

#endif
