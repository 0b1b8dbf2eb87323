/* Shared by lua_*.c only: the data behind lua_store.h and its commands. */
#ifndef TESTS_SIM_LUA_DATA_H
#define TESTS_SIM_LUA_DATA_H

#include <stdio.h>

#include "broker/batch.h"
#include "broker/redis/reply.h"

/* Bytes of its own. */
struct blob {
    char *at;
    uint32_t size;
};

/* Pairs in byte order of the name. */
struct lua_table {
    struct lua_pair {
        struct blob name, value;
    } * pairs;
    uint32_t count, capacity;
};

struct lua_entry {
    uint64_t ms, seq;
    struct blob *words; /* field, value, … */
    uint32_t count;
};

enum lua_type { LUA_KEY_string, LUA_KEY_hash, LUA_KEY_set, LUA_KEY_stream };

struct lua_key {
    struct blob name;
    enum lua_type type;
    struct blob string;
    struct lua_table table; /* Hash, or set with empty values. */
    struct lua_entry *entries;
    uint32_t entry_count, entry_capacity;
    uint64_t last_ms, last_seq;
};

struct lua_data {
    struct lua_key *keys; /* In byte order. */
    uint32_t count, capacity;
    bool full;           /* Memory is. */
    const char *refusal; /* Writes are refused with this; NULL: they are not. */
    bool refuses_all;
    bool written; /* By the script that runs. */
};

/* Runs one command; the reply's memory is `memory`.  *wrote says whether it changed anything. */
struct reply lua_command(struct lua_data *self, const struct text *words, uint32_t count,
                         struct batch *memory, bool *wrote);

void lua_data_clear(struct lua_data *self);
void lua_data_dump(const struct lua_data *self, FILE *to);

/* NULL: none. */
struct lua_key *lua_data_find(struct lua_data *self, struct text name);
struct lua_key *lua_data_make(struct lua_data *self, struct text name, enum lua_type type);
void lua_data_remove(struct lua_data *self, struct lua_key *key);
/* NULL: none. */
struct blob *lua_table_get(struct lua_table *self, struct text name);
bool lua_table_put(struct lua_table *self, struct text name, struct text value); /* true: new */
bool lua_table_remove(struct lua_table *self, struct text name);
void lua_entry_add(struct lua_key *key, uint64_t ms, uint64_t seq, const struct text *words,
                   uint32_t count);
void lua_entry_remove(struct lua_key *key, uint32_t index);
struct blob blob_make(struct text text);
void blob_free(struct blob *blob);
void *lua_must(void *memory);

#endif
