/* The commands that scripts may call, with Redis's replies. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/sim/lua_data.h"

struct run {
    struct lua_data *data;
    const struct text *words; /* words[1] is the key. */
    uint32_t count;
    struct batch *memory;
    bool *wrote;
    struct lua_key *key; /* Of words[1]; NULL: it is not there. */
};

static struct reply say_integer(int64_t value) {
    return (struct reply){ .kind = REPLY_integer, .integer = value };
}
static struct reply say_error(const char *text) {
    return (struct reply){ .kind = REPLY_error, .text = text_of(text) };
}
static struct reply say_ok(void) {
    return (struct reply){ .kind = REPLY_text, .text = text_of("OK") };
}
static struct reply say_nil(void) {
    return (struct reply){ .kind = REPLY_nil };
}

/* Copied: the data may change while a script still looks at the reply. */
static struct reply say_blob(struct run *run, const struct blob *blob) {
    if (blob == NULL) return say_nil();
    char *copy = batch_memory(run->memory, blob->size + 1U);
    memcpy(copy, blob->at, blob->size);
    return (struct reply){ .kind = REPLY_text, .text = { copy, blob->size } };
}

static struct reply *items_for(struct run *run, uint32_t count) {
    return batch_memory(run->memory, (count + 1U) * sizeof(struct reply));
}

static struct reply say_array(const struct reply *items, uint32_t count) {
    return (struct reply){ .kind = REPLY_array, .items = items, .count = count };
}

static struct lua_key *make(struct run *run, enum lua_type type) {
    *run->wrote = true;
    if (run->key == NULL) run->key = lua_data_make(run->data, run->words[1], type);
    return run->key;
}

/* Empty hashes and sets do not exist; streams do. */
static void drop_empty(struct run *run) {
    if (run->key->table.count == 0) lua_data_remove(run->data, run->key);
}

/* ---- Hashes ---- */

static struct reply do_hget(struct run *run) {
    return run->key ? say_blob(run, lua_table_get(&run->key->table, run->words[2])) : say_nil();
}

static struct reply do_hmget(struct run *run) {
    struct reply *items = items_for(run, run->count);
    for (uint32_t i = 2; i < run->count; i++) {
        items[i - 2] =
            run->key ? say_blob(run, lua_table_get(&run->key->table, run->words[i])) : say_nil();
    }
    return say_array(items, run->count - 2);
}

static struct reply do_hset(struct run *run) {
    int64_t added = 0;
    if (run->count % 2 != 0) {
        return say_error("ERR wrong number of arguments for 'hset' command");
    }
    struct lua_key *key = make(run, LUA_KEY_hash);
    for (uint32_t i = 2; i < run->count; i += 2) {
        added += lua_table_put(&key->table, run->words[i], run->words[i + 1]);
    }
    return say_integer(added);
}

static struct reply do_remove(struct run *run) { /* HDEL, SREM */
    int64_t removed = 0;
    for (uint32_t i = 2; run->key != NULL && i < run->count; i++) {
        removed += lua_table_remove(&run->key->table, run->words[i]);
    }
    *run->wrote = removed > 0;
    if (removed > 0) drop_empty(run);
    return say_integer(removed);
}

static struct reply pairs(struct run *run, bool names, bool values) {
    uint32_t count = run->key ? run->key->table.count : 0, at = 0;
    struct reply *items = items_for(run, 2 * count);
    for (uint32_t i = 0; i < count; i++) {
        if (names) items[at++] = say_blob(run, &run->key->table.pairs[i].name);
        if (values) items[at++] = say_blob(run, &run->key->table.pairs[i].value);
    }
    return say_array(items, at);
}
static struct reply do_hgetall(struct run *run) {
    return pairs(run, true, true);
}
static struct reply do_hvals(struct run *run) {
    return pairs(run, false, true);
}
static struct reply do_smembers(struct run *run) {
    return pairs(run, true, false);
}
static struct reply do_hlen(struct run *run) {
    return say_integer(run->key ? run->key->table.count : 0);
}

static struct reply do_sadd(struct run *run) {
    int64_t added = 0;
    struct lua_key *key = make(run, LUA_KEY_set);
    for (uint32_t i = 2; i < run->count; i++) {
        added += lua_table_put(&key->table, run->words[i], (struct text){ "", 0 });
    }
    return say_integer(added);
}

/* ---- Strings and keys ---- */

static struct reply do_get(struct run *run) {
    return run->key ? say_blob(run, &run->key->string) : say_nil();
}

static struct reply do_set(struct run *run) {
    if (run->key != NULL) lua_data_remove(run->data, run->key);
    run->key = NULL;
    make(run, LUA_KEY_string)->string = blob_make(run->words[2]);
    return say_ok();
}

static struct reply do_incrby(struct run *run) {
    char number[32];
    int64_t value = run->key ? strtoll(run->key->string.at, NULL, 10) : 0;
    char by[32] = "";
    memcpy(by, run->words[2].at, run->words[2].size < 31 ? run->words[2].size : 31);
    value += strtoll(by, NULL, 10);
    snprintf(number, sizeof number, "%" PRId64, value);
    struct lua_key *key = make(run, LUA_KEY_string);
    blob_free(&key->string);
    key->string = blob_make(text_of(number));
    return say_integer(value);
}

static struct reply do_del(struct run *run) {
    int64_t removed = 0;
    for (uint32_t i = 1; i < run->count; i++) {
        struct lua_key *key = lua_data_find(run->data, run->words[i]);
        if (key == NULL) continue;
        lua_data_remove(run->data, key);
        removed++;
    }
    *run->wrote = removed > 0;
    return say_integer(removed);
}

static struct reply do_exists(struct run *run) {
    int64_t found = 0;
    for (uint32_t i = 1; i < run->count; i++) {
        found += lua_data_find(run->data, run->words[i]) != NULL;
    }
    return say_integer(found);
}

static struct reply do_type(struct run *run) {
    static const char *const names[] = { "string", "hash", "set", "stream" };
    return (struct reply){ .kind = REPLY_text,
                           .text = text_of(run->key ? names[run->key->type] : "none") };
}

/* ---- Streams ---- */

static bool read_id(struct text text, uint64_t *ms, uint64_t *seq) {
    char word[48] = "";
    if (text.size == 0 || text.size >= sizeof word) return false;
    memcpy(word, text.at, text.size);
    char *end;
    *ms = strtoull(word, &end, 10);
    *seq = 0;
    if (*end == '-') *seq = strtoull(end + 1, &end, 10);
    return *end == 0 && end != word;
}

static int order(uint64_t ms, uint64_t seq, uint64_t other_ms, uint64_t other_seq) {
    if (ms != other_ms) return ms < other_ms ? -1 : 1;
    return (seq > other_seq) - (seq < other_seq);
}

static const char bad_id[] = "ERR Invalid stream ID specified as stream command argument";

static struct reply do_xadd(struct run *run) {
    uint64_t ms, seq;
    if (run->count % 2 == 0) {
        return say_error("ERR wrong number of arguments for 'xadd' command");
    }
    if (!read_id(run->words[2], &ms, &seq)) return say_error(bad_id);
    if (ms == 0 && seq == 0) {
        return say_error("ERR The ID specified in XADD must be greater than 0-0");
    }
    if (run->key != NULL && order(ms, seq, run->key->last_ms, run->key->last_seq) <= 0) {
        return say_error("ERR The ID specified in XADD is equal or smaller than the target stream "
                         "top item");
    }
    struct lua_key *key = make(run, LUA_KEY_stream);
    lua_entry_add(key, ms, seq, run->words + 3, run->count - 3);
    return (struct reply){ .kind = REPLY_text, .text = run->words[2] };
}

static struct reply do_xdel(struct run *run) {
    int64_t removed = 0;
    for (uint32_t i = 2; i < run->count; i++) {
        uint64_t ms, seq;
        if (!read_id(run->words[i], &ms, &seq)) return say_error(bad_id);
        for (uint32_t k = 0; run->key != NULL && k < run->key->entry_count; k++) {
            const struct lua_entry *entry = &run->key->entries[k];
            if (order(ms, seq, entry->ms, entry->seq) != 0) continue;
            lua_entry_remove(run->key, k);
            removed++;
            break;
        }
    }
    *run->wrote = removed > 0;
    return say_integer(removed);
}

static struct reply do_xlen(struct run *run) {
    return say_integer(run->key ? run->key->entry_count : 0);
}

static struct reply say_entry(struct run *run, const struct lua_entry *entry) {
    struct reply *pair = items_for(run, 2), *words = items_for(run, entry->count);
    char *id = batch_memory(run->memory, 48);
    int size = snprintf(id, 48, "%" PRIu64 "-%" PRIu64, entry->ms, entry->seq);
    for (uint32_t i = 0; i < entry->count; i++)
        words[i] = say_blob(run, &entry->words[i]);
    pair[0] = (struct reply){ .kind = REPLY_text, .text = { id, (uint32_t)size } };
    pair[1] = say_array(words, entry->count);
    return say_array(pair, 2);
}

/* XRANGE key start end [COUNT n] */
static struct reply do_xrange(struct run *run) {
    struct text from = run->words[2], to = run->words[3];
    uint64_t ms = 0, seq = 0, end_ms = UINT64_MAX, end_seq = UINT64_MAX, most = UINT64_MAX, zero;
    bool behind = from.size > 0 && from.at[0] == '(';
    if (behind) from = (struct text){ from.at + 1, from.size - 1 };
    if (!text_is(from, "-") && !read_id(from, &ms, &seq)) return say_error(bad_id);
    if (!text_is(to, "+") && !read_id(to, &end_ms, &end_seq)) return say_error(bad_id);
    if (run->count == 6 && !read_id(run->words[5], &most, &zero)) {
        return say_error("ERR value is not an integer or out of range");
    }
    uint32_t count = 0, all = run->key ? run->key->entry_count : 0;
    struct reply *items = items_for(run, all);
    for (uint32_t i = 0; i < all && count < most; i++) {
        const struct lua_entry *entry = &run->key->entries[i];
        int place = order(entry->ms, entry->seq, ms, seq);
        if (place < 0 || (behind && place == 0)) continue;
        if (order(entry->ms, entry->seq, end_ms, end_seq) > 0) break;
        items[count++] = say_entry(run, entry);
    }
    return say_array(items, count);
}

/* ---- The table ---- */

enum { ANY = -1, READ = 0, WRITE = 1, WRITE_MEMORY = 2 };

static const struct {
    const char *name;
    struct reply (*run)(struct run *run);
    int type; /* Key must be of this type, or ANY. */
    int use;
    uint32_t least; /* Words. */
} commands[] = {
    { "HGET", do_hget, LUA_KEY_hash, READ, 3 },
    { "HMGET", do_hmget, LUA_KEY_hash, READ, 3 },
    { "HSET", do_hset, LUA_KEY_hash, WRITE_MEMORY, 4 },
    { "HDEL", do_remove, LUA_KEY_hash, WRITE, 3 },
    { "HGETALL", do_hgetall, LUA_KEY_hash, READ, 2 },
    { "HVALS", do_hvals, LUA_KEY_hash, READ, 2 },
    { "HLEN", do_hlen, LUA_KEY_hash, READ, 2 },
    { "DEL", do_del, ANY, WRITE, 2 },
    { "EXISTS", do_exists, ANY, READ, 2 },
    { "TYPE", do_type, ANY, READ, 2 },
    { "SADD", do_sadd, LUA_KEY_set, WRITE_MEMORY, 3 },
    { "SREM", do_remove, LUA_KEY_set, WRITE, 3 },
    { "SMEMBERS", do_smembers, LUA_KEY_set, READ, 2 },
    { "XADD", do_xadd, LUA_KEY_stream, WRITE_MEMORY, 5 },
    { "XDEL", do_xdel, LUA_KEY_stream, WRITE, 3 },
    { "XLEN", do_xlen, LUA_KEY_stream, READ, 2 },
    { "XRANGE", do_xrange, LUA_KEY_stream, READ, 4 },
    { "GET", do_get, LUA_KEY_string, READ, 2 },
    { "SET", do_set, ANY, WRITE_MEMORY, 3 },
    { "INCRBY", do_incrby, LUA_KEY_string, WRITE_MEMORY, 3 },
};

struct reply lua_command(struct lua_data *self, const struct text *words, uint32_t count,
                         struct batch *memory, bool *wrote) {
    *wrote = false;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strlen(commands[i].name) != words[0].size) continue;
        if (strncasecmp(commands[i].name, words[0].at, words[0].size) != 0) continue;
        if (count < commands[i].least) return say_error("ERR wrong number of arguments");
        if (commands[i].use == WRITE_MEMORY && self->full && !self->written) {
            return say_error("OOM command not allowed when used memory > 'maxmemory'.");
        }
        if (commands[i].use != READ && self->refusal != NULL && !self->written) {
            return say_error(self->refusal);
        }
        if (commands[i].use != READ) self->written = true;
        struct run run = { self, words, count, memory, wrote, lua_data_find(self, words[1]) };
        if (run.key != NULL && commands[i].type != ANY && (int)run.key->type != commands[i].type) {
            return say_error("WRONGTYPE Operation against a key holding the wrong kind of value");
        }
        return commands[i].run(&run);
    }
    return say_error("ERR unknown command");
}
