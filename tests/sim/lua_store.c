#include "tests/sim/lua_store.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "broker/assets.h"
#include "tests/sim/lua_data.h"

enum { SCRIPTS_MAX = 32, WORDS_MAX = 16384, RUN_ID_SIZE = 41 };

/* The commands of one call that changed something: count and, for each word, size and bytes. */
struct record {
    uint32_t *at;
    size_t words, capacity; /* Of at, in uint32_t. */
};

struct lua_snapshot {
    struct record *records;
    uint32_t count, capacity;
};

struct lua_store {
    lua_State *lua;
    uint64_t changes;
    struct lua_data data;
    struct batch memory; /* Of the last reply. */
    struct reply reply;
    struct lua_snapshot log;
    struct record open; /* Of the call that runs. */
    struct {
        char name[32];
        int function;
    } scripts[SCRIPTS_MAX];
    uint32_t script_count;
    uint64_t run_seed;
    char run_id[RUN_ID_SIZE];
    struct text words[WORDS_MAX];
};

/* ---- The log ---- */

static void record_word(struct record *record, const void *bytes, uint32_t size) {
    size_t more = 1 + (size + 3U) / 4;
    if (record->words + more > record->capacity) {
        record->capacity = 2 * (record->words + more);
        record->at = lua_must(realloc(record->at, record->capacity * sizeof *record->at));
    }
    record->at[record->words] = size;
    record->at[record->words + more - 1] = 0;
    if (size > 0) memcpy(&record->at[record->words + 1], bytes, size);
    record->words += more;
}

static void record_command(struct record *record, const struct text *words, uint32_t count) {
    record_word(record, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        record_word(record, words[i].at, words[i].size);
}

static void log_push(struct lua_snapshot *log, const struct record *record) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 64;
        log->records = lua_must(realloc(log->records, log->capacity * sizeof *log->records));
    }
    struct record copy = { lua_must(malloc((record->words + 1) * sizeof *copy.at)), record->words,
                           record->words };
    memcpy(copy.at, record->at, record->words * sizeof *copy.at);
    log->records[log->count++] = copy;
}

static void log_shorten(struct lua_snapshot *log, uint32_t count) {
    while (log->count > count)
        free(log->records[--log->count].at);
}

/* A call that changed nothing is no record. */
static void log_close(struct lua_store *self) {
    if (self->open.words > 0) log_push(&self->log, &self->open);
    if (self->open.words > 0) self->changes++;
    self->open.words = 0;
}

static void replay(struct lua_store *self) {
    bool full = self->data.full, wrote;
    const char *refusal = self->data.refusal;
    self->data.full = false;
    self->data.refusal = NULL;
    lua_data_clear(&self->data);
    for (uint32_t r = 0; r < self->log.count; r++) {
        const struct record *record = &self->log.records[r];
        for (size_t at = 0; at < record->words;) {
            uint32_t count = record->at[at + 1];
            at += 2;
            for (uint32_t i = 0; i < count; i++) {
                uint32_t size = record->at[at];
                self->words[i] = (struct text){ (const char *)&record->at[at + 1], size };
                at += 1 + (size + 3U) / 4;
            }
            batch_reset(&self->memory);
            lua_command(&self->data, self->words, count, &self->memory, &wrote);
        }
    }
    self->data.full = full;
    self->data.refusal = refusal;
}

/* ---- Between Lua and replies ---- */

static void push_reply(lua_State *lua, const struct reply *reply) {
    switch (reply->kind) {
    case REPLY_nil: lua_pushboolean(lua, 0); return;
    case REPLY_integer: lua_pushnumber(lua, (lua_Number)reply->integer); return;
    case REPLY_text: lua_pushlstring(lua, reply->text.at, reply->text.size); return;
    case REPLY_error:
        lua_newtable(lua);
        lua_pushlstring(lua, reply->text.at, reply->text.size);
        lua_setfield(lua, -2, "err");
        return;
    case REPLY_array:
        luaL_checkstack(lua, 4, "reply");
        lua_createtable(lua, (int)reply->count, 0);
        for (uint32_t i = 0; i < reply->count; i++) {
            push_reply(lua, &reply->items[i]);
            lua_rawseti(lua, -2, (int)i + 1);
        }
        return;
    }
}

static struct text copy_text(struct batch *memory, const char *at, size_t size) {
    char *copy = batch_memory(memory, size + 1);
    memcpy(copy, at, size);
    return (struct text){ copy, (uint32_t)size };
}

static struct reply read_value(lua_State *lua, struct batch *memory);

static struct reply read_table(lua_State *lua, struct batch *memory) {
    lua_getfield(lua, -1, "err");
    if (lua_type(lua, -1) == LUA_TSTRING) {
        size_t size;
        const char *at = lua_tolstring(lua, -1, &size);
        struct reply error = { .kind = REPLY_error, .text = copy_text(memory, at, size) };
        lua_pop(lua, 1);
        return error;
    }
    lua_pop(lua, 1);
    uint32_t count = (uint32_t)lua_objlen(lua, -1);
    struct reply *items = batch_memory(memory, (count + 1U) * sizeof *items);
    luaL_checkstack(lua, 4, "reply");
    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(lua, -1, (int)i + 1);
        items[i] = read_value(lua, memory);
        lua_pop(lua, 1);
    }
    return (struct reply){ .kind = REPLY_array, .items = items, .count = count };
}

/* The value on the top of the stack, as Redis would send it. */
static struct reply read_value(lua_State *lua, struct batch *memory) {
    size_t size;
    const char *at;
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        at = lua_tolstring(lua, -1, &size);
        return (struct reply){ .kind = REPLY_text, .text = copy_text(memory, at, size) };
    case LUA_TNUMBER:
        return (struct reply){ .kind = REPLY_integer, .integer = (int64_t)lua_tonumber(lua, -1) };
    case LUA_TBOOLEAN:
        if (lua_toboolean(lua, -1)) return (struct reply){ .kind = REPLY_integer, .integer = 1 };
        return (struct reply){ .kind = REPLY_nil };
    case LUA_TTABLE: return read_table(lua, memory);
    default: return (struct reply){ .kind = REPLY_nil };
    }
}

/* redis.call */
static int on_call(lua_State *lua) {
    struct lua_store *self = lua_touserdata(lua, lua_upvalueindex(1));
    int count = lua_gettop(lua);
    bool wrote;
    if (count < 2 || count > WORDS_MAX) return luaL_error(lua, "wrong number of arguments");
    for (int i = 1; i <= count; i++) {
        if (lua_type(lua, i) == LUA_TNUMBER) {
            char number[40];
            snprintf(number, sizeof number, "%.17g", lua_tonumber(lua, i));
            lua_pushstring(lua, number);
            lua_replace(lua, i);
        }
        if (lua_type(lua, i) != LUA_TSTRING) {
            return luaL_error(lua, "Lua redis lib command arguments must be strings or integers");
        }
        size_t size;
        const char *at = lua_tolstring(lua, i, &size);
        self->words[i - 1] = (struct text){ at, (uint32_t)size };
    }
    struct reply reply =
        lua_command(&self->data, self->words, (uint32_t)count, &self->memory, &wrote);
    if (wrote) record_command(&self->open, self->words, (uint32_t)count);
    push_reply(lua, &reply);
    return reply.kind == REPLY_error ? lua_error(lua) : 1;
}

/* ---- Life ---- */

static void new_run_id(struct lua_store *self) {
    uint64_t a = self->run_seed++ * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint64_t b = (a ^ a >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    snprintf(self->run_id, sizeof self->run_id, "%016" PRIx64 "%016" PRIx64 "%08x", a, b,
             (unsigned)(b >> 24));
}

static void load_scripts(struct lua_store *self) {
    static const char folder[] = "broker/redis/";
    size_t count;
    const struct asset *asset = asset_find_prefix(folder, &count);
    for (size_t i = 0; i < count && self->script_count < SCRIPTS_MAX; i++, asset++) {
        const char *name = asset->name + sizeof folder - 1;
        size_t size = strlen(name);
        if (size < 5 || size > 30 || strcmp(name + size - 4, ".lua") != 0) continue;
        if (luaL_loadbuffer(self->lua, (const char *)asset->data, asset->size, name) != 0) {
            fprintf(stderr, "%s\n", lua_tostring(self->lua, -1));
            abort();
        }
        memcpy(self->scripts[self->script_count].name, name, size - 4);
        self->scripts[self->script_count++].function = luaL_ref(self->lua, LUA_REGISTRYINDEX);
    }
}

struct lua_store *lua_store_open(uint64_t seed) {
    struct lua_store *self = lua_must(calloc(1, sizeof *self));
    self->run_seed = seed * 1000003;
    new_run_id(self);
    batch_init(&self->memory);
    self->lua = lua_must(luaL_newstate());
    luaL_openlibs(self->lua);
    lua_newtable(self->lua);
    lua_pushlightuserdata(self->lua, self);
    lua_pushcclosure(self->lua, on_call, 1);
    lua_setfield(self->lua, -2, "call");
    lua_setglobal(self->lua, "redis");
    /* What Redis does not give to scripts either, or what would not repeat. */
    static const char *const absent[] = { "io",     "os",       "debug", "package", "require",
                                          "dofile", "loadfile", "print", "module" };
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        lua_pushnil(self->lua);
        lua_setglobal(self->lua, absent[i]);
    }
    load_scripts(self);
    return self;
}

void lua_store_close(struct lua_store *self) {
    if (self == NULL) return;
    lua_close(self->lua);
    lua_data_clear(&self->data);
    batch_fini(&self->memory);
    log_shorten(&self->log, 0);
    free(self->log.records);
    free(self->open.at);
    free(self);
}

/* ---- Running ---- */

static void push_list(lua_State *lua, const struct text *words, uint32_t count, const char *name) {
    lua_createtable(lua, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_pushlstring(lua, words[i].size > 0 ? words[i].at : "", words[i].size);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setglobal(lua, name);
}

static const struct reply *answer(struct lua_store *self, struct reply reply) {
    self->reply = reply;
    return &self->reply;
}

const struct reply *lua_store_eval(struct lua_store *self, const char *script,
                                   const struct text *keys, uint32_t key_count,
                                   const struct text *arguments, uint32_t argument_count) {
    uint32_t i = 0;
    batch_reset(&self->memory);
    while (i < self->script_count && strcmp(self->scripts[i].name, script) != 0)
        i++;
    if (i == self->script_count) {
        return answer(self, (struct reply){ .kind = REPLY_error,
                                            .text = text_of("NOSCRIPT No matching script.") });
    }
    if (self->data.refuses_all) {
        return answer(self,
                      (struct reply){ .kind = REPLY_error, .text = text_of(self->data.refusal) });
    }
    self->data.written = false;
    push_list(self->lua, keys, key_count, "KEYS");
    push_list(self->lua, arguments, argument_count, "ARGV");
    lua_rawgeti(self->lua, LUA_REGISTRYINDEX, self->scripts[i].function);
    struct reply reply;
    if (lua_pcall(self->lua, 0, 1, 0) == 0 || lua_type(self->lua, -1) == LUA_TTABLE) {
        reply = read_value(self->lua, &self->memory);
    } else {
        size_t size;
        lua_pushfstring(self->lua, "ERR Error running script: %s", lua_tostring(self->lua, -1));
        const char *text = lua_tolstring(self->lua, -1, &size);
        reply = (struct reply){ .kind = REPLY_error, .text = copy_text(&self->memory, text, size) };
    }
    lua_settop(self->lua, 0);
    log_close(self);
    return answer(self, reply);
}

const struct reply *lua_store_command(struct lua_store *self, const char *words) {
    uint32_t count = 0;
    bool wrote;
    batch_reset(&self->memory);
    for (const char *at = words; *at != 0 && count < WORDS_MAX;) {
        size_t size = strcspn(at, " ");
        self->words[count++] = (struct text){ at, (uint32_t)size };
        at += size + (at[size] == ' ');
    }
    self->data.written = false;
    if (count < 2) {
        return answer(self, (struct reply){ .kind = REPLY_error, .text = text_of("ERR syntax") });
    }
    struct reply reply = lua_command(&self->data, self->words, count, &self->memory, &wrote);
    if (wrote) record_command(&self->open, self->words, count);
    log_close(self);
    return answer(self, reply);
}

/* ---- Faults ---- */

uint32_t lua_store_writes(const struct lua_store *self) {
    return self->log.count;
}

void lua_store_cut(struct lua_store *self, uint32_t n) {
    log_shorten(&self->log, n < self->log.count ? self->log.count - n : 0);
    self->changes++;
    replay(self);
}

void lua_store_wipe(struct lua_store *self) {
    log_shorten(&self->log, 0);
    self->changes++;
    lua_data_clear(&self->data);
}

uint64_t lua_store_changes(const struct lua_store *self) {
    return self->changes;
}

struct lua_snapshot *lua_store_snapshot(const struct lua_store *self) {
    struct lua_snapshot *copy = lua_must(calloc(1, sizeof *copy));
    for (uint32_t i = 0; i < self->log.count; i++)
        log_push(copy, &self->log.records[i]);
    return copy;
}

void lua_store_restore(struct lua_store *self, const struct lua_snapshot *snapshot) {
    self->changes++;
    log_shorten(&self->log, 0);
    for (uint32_t i = 0; i < snapshot->count; i++)
        log_push(&self->log, &snapshot->records[i]);
    replay(self);
}

void lua_snapshot_free(struct lua_snapshot *snapshot) {
    if (snapshot == NULL) return;
    log_shorten(snapshot, 0);
    free(snapshot->records);
    free(snapshot);
}

const char *lua_store_run_id(const struct lua_store *self) {
    return self->run_id;
}
void lua_store_restart(struct lua_store *self) {
    new_run_id(self);
}
void lua_store_set_full(struct lua_store *self, bool full) {
    self->data.full = full;
}

void lua_store_refuse(struct lua_store *self, const char *error, bool all) {
    self->data.refusal = error;
    self->data.refuses_all = all && error != NULL;
}
struct lua_data *lua_store_data(struct lua_store *self) {
    return &self->data;
}

char *lua_store_dump(const struct lua_store *self) {
    char *text = NULL;
    size_t size;
    FILE *to = lua_must(open_memstream(&text, &size));
    lua_data_dump(&self->data, to);
    fclose(to);
    return text;
}
