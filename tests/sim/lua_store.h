/* A small Redis in memory that runs the very scripts of broker/redis/ by liblua5.1.
 *
 * Commands: HGET HMGET HSET HDEL HGETALL HVALS HLEN DEL EXISTS SADD SREM SMEMBERS XADD XDEL XLEN
 * XRANGE GET SET TYPE INCRBY; with Redis's reply conversions (nil is false, numbers are truncated),
 * WRONGTYPE errors that a script can catch, stream ids that must grow, and memory that can be full.
 * A script is atomic; one that raises an error keeps what it has written, as in Redis.
 *
 * Persistence: every call that wrote is one record of a log, kept or lost as a whole, like
 * MULTI…EXEC in the append-only file.  A crash with a lost tail is lua_store_cut().
 *
 * Deterministic: sets, hashes and keys are kept in byte order, nothing depends on addresses.
 * Not thread safe.  Runs out of memory by abort(). */
#ifndef TESTS_SIM_LUA_STORE_H
#define TESTS_SIM_LUA_STORE_H

#include "broker/redis/reply.h"

struct lua_data;
struct lua_store;
struct lua_snapshot;

/* The scripts are read from the program's assets ("broker/redis/<name>.lua"); one that does not
 * compile aborts with Lua's complaint.  The run_id is made from the seed. */
struct lua_store *lua_store_open(uint64_t seed);
void lua_store_close(struct lua_store *self); /* NULL is harmless. */

/* Runs a script.  Keys and arguments are borrowed.  The reply lives until the next call on the
 * store; a script that fails gives a REPLY_error.  An unknown script is NOSCRIPT. */
const struct reply *lua_store_eval(struct lua_store *self, const char *script,
                                   const struct text *keys, uint32_t key_count,
                                   const struct text *arguments, uint32_t argument_count);

/* One command from outside a script, words separated by blanks: sets a stage, looks at the result.
 * The reply lives as long as that of eval. */
const struct reply *lua_store_command(struct lua_store *self, const char *words);

/* Records in the log since the start or the last wipe. */
uint32_t lua_store_writes(const struct lua_store *self);
/* Forgets the last n records (all, if there are fewer), as a power loss does. */
void lua_store_cut(struct lua_store *self, uint32_t n);
/* FLUSHALL. */
void lua_store_wipe(struct lua_store *self);

/* Rises with every write and every loss: as long as it is the same, so is all that is in it. */
uint64_t lua_store_changes(const struct lua_store *self);
/* A copy of everything but the run_id. */
struct lua_snapshot *lua_store_snapshot(const struct lua_store *self);
void lua_store_restore(struct lua_store *self, const struct lua_snapshot *snapshot);
void lua_snapshot_free(struct lua_snapshot *snapshot); /* NULL is harmless. */

/* 40 hex digits; changes with every restart. */
const char *lua_store_run_id(const struct lua_store *self);
void lua_store_restart(struct lua_store *self);

/* Memory is full from now on: a command that may need memory fails, unless its script has written
 * before. */
void lua_store_set_full(struct lua_store *self, bool full);

/* Until it is called with NULL: every write fails with this error (READONLY, MISCONF …) unless its
 * script has written before; with `all` every call does (LOADING).  The text is static. */
void lua_store_refuse(struct lua_store *self, const char *error, bool all);

/* For those who look and change nothing. */
struct lua_data *lua_store_data(struct lua_store *self);

/* Everything as text, one line per key, in byte order: equal states give equal texts.  The caller
 * frees it. */
char *lua_store_dump(const struct lua_store *self);

#endif
