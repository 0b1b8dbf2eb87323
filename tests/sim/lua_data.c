#include "tests/sim/lua_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void *lua_must(void *memory) {
    if (memory == NULL) abort();
    return memory;
}

struct blob blob_make(struct text text) {
    struct blob blob = { lua_must(malloc(text.size + 1U)), text.size };
    if (text.size > 0) memcpy(blob.at, text.at, text.size);
    blob.at[text.size] = 0;
    return blob;
}

void blob_free(struct blob *blob) {
    free(blob->at);
    *blob = (struct blob){ NULL, 0 };
}

static int compare(struct blob a, struct text b) {
    uint32_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.at, b.at, common) : 0;
    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* ---- Tables ---- */

static bool pair_place(const struct lua_table *self, struct text name, uint32_t *place) {
    uint32_t low = 0, high = self->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare(self->pairs[middle].name, name);
        if (order == 0) {
            *place = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return false;
}

struct blob *lua_table_get(struct lua_table *self, struct text name) {
    uint32_t at;
    return pair_place(self, name, &at) ? &self->pairs[at].value : NULL;
}

bool lua_table_put(struct lua_table *self, struct text name, struct text value) {
    uint32_t at;
    if (pair_place(self, name, &at)) {
        struct blob old = self->pairs[at].value; /* `value` may lie in it. */
        self->pairs[at].value = blob_make(value);
        blob_free(&old);
        return false;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 8;
        self->pairs = lua_must(realloc(self->pairs, self->capacity * sizeof *self->pairs));
    }
    memmove(&self->pairs[at + 1], &self->pairs[at], (self->count - at) * sizeof *self->pairs);
    self->pairs[at] = (struct lua_pair){ blob_make(name), blob_make(value) };
    self->count++;
    return true;
}

bool lua_table_remove(struct lua_table *self, struct text name) {
    uint32_t at;
    if (!pair_place(self, name, &at)) return false;
    blob_free(&self->pairs[at].name);
    blob_free(&self->pairs[at].value);
    self->count--;
    memmove(&self->pairs[at], &self->pairs[at + 1], (self->count - at) * sizeof *self->pairs);
    return true;
}

/* ---- Streams ---- */

void lua_entry_add(struct lua_key *key, uint64_t ms, uint64_t seq, const struct text *words,
                   uint32_t count) {
    if (key->entry_count == key->entry_capacity) {
        key->entry_capacity = key->entry_capacity ? 2 * key->entry_capacity : 8;
        key->entries = lua_must(realloc(key->entries, key->entry_capacity * sizeof *key->entries));
    }
    struct lua_entry *entry = &key->entries[key->entry_count++];
    *entry = (struct lua_entry){ ms, seq, lua_must(malloc(count * sizeof *entry->words)), count };
    for (uint32_t i = 0; i < count; i++)
        entry->words[i] = blob_make(words[i]);
    key->last_ms = ms;
    key->last_seq = seq;
}

static void entry_free(struct lua_entry *entry) {
    for (uint32_t i = 0; i < entry->count; i++)
        blob_free(&entry->words[i]);
    free(entry->words);
}

void lua_entry_remove(struct lua_key *key, uint32_t index) {
    entry_free(&key->entries[index]);
    key->entry_count--;
    memmove(&key->entries[index], &key->entries[index + 1],
            (key->entry_count - index) * sizeof *key->entries);
}

/* ---- Keys ---- */

static bool key_place(const struct lua_data *self, struct text name, uint32_t *place) {
    uint32_t at = 0;
    int order = 1;
    while (at < self->count && (order = compare(self->keys[at].name, name)) < 0)
        at++;
    *place = at;
    return at < self->count && order == 0;
}

struct lua_key *lua_data_find(struct lua_data *self, struct text name) {
    uint32_t at;
    return key_place(self, name, &at) ? &self->keys[at] : NULL;
}

struct lua_key *lua_data_make(struct lua_data *self, struct text name, enum lua_type type) {
    uint32_t at;
    if (key_place(self, name, &at)) return &self->keys[at];
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 8;
        self->keys = lua_must(realloc(self->keys, self->capacity * sizeof *self->keys));
    }
    memmove(&self->keys[at + 1], &self->keys[at], (self->count - at) * sizeof *self->keys);
    self->count++;
    self->keys[at] = (struct lua_key){ .name = blob_make(name), .type = type };
    return &self->keys[at];
}

static void key_free(struct lua_key *key) {
    blob_free(&key->name);
    blob_free(&key->string);
    for (uint32_t i = 0; i < key->table.count; i++) {
        blob_free(&key->table.pairs[i].name);
        blob_free(&key->table.pairs[i].value);
    }
    free(key->table.pairs);
    for (uint32_t i = 0; i < key->entry_count; i++)
        entry_free(&key->entries[i]);
    free(key->entries);
}

void lua_data_remove(struct lua_data *self, struct lua_key *key) {
    uint32_t at = (uint32_t)(key - self->keys);
    key_free(key);
    self->count--;
    memmove(key, key + 1, (self->count - at) * sizeof *key);
}

void lua_data_clear(struct lua_data *self) {
    for (uint32_t i = 0; i < self->count; i++)
        key_free(&self->keys[i]);
    free(self->keys);
    self->keys = NULL;
    self->count = self->capacity = 0;
}

static void dump_blob(FILE *to, struct blob blob) {
    for (uint32_t i = 0; i < blob.size; i++) {
        unsigned char byte = (unsigned char)blob.at[i];
        if (byte > 32 && byte < 127 && byte != '\\')
            fputc(byte, to);
        else
            fprintf(to, "\\%02x", byte);
    }
}

void lua_data_dump(const struct lua_data *self, FILE *to) {
    for (uint32_t i = 0; i < self->count; i++) {
        const struct lua_key *key = &self->keys[i];
        dump_blob(to, key->name);
        fputc(' ', to);
        dump_blob(to, key->string);
        for (uint32_t k = 0; k < key->table.count; k++) {
            fputc(' ', to);
            dump_blob(to, key->table.pairs[k].name);
            fputc('=', to);
            dump_blob(to, key->table.pairs[k].value);
        }
        for (uint32_t k = 0; k < key->entry_count; k++) {
            fprintf(to, " %" PRIu64 "-%" PRIu64, key->entries[k].ms, key->entries[k].seq);
            for (uint32_t w = 0; w < key->entries[k].count; w++) {
                fputc(',', to);
                dump_blob(to, key->entries[k].words[w]);
            }
        }
        fputc('\n', to);
    }
}
