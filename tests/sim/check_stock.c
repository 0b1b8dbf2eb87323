/* G2: stock is conserved.  Both stores, looked at together after every step of either:
 *
 *   allocated = available (Redis) + undecided (journal) + sold (PostgreSQL) + undos not yet applied
 *
 * whenever Redis is the projection that PostgreSQL believes it is.  What is seen here is also what
 * the judges of "sold out" and "paused" know. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/id.h"
#include "tests/sim/check.h"
#include "tests/sim/lua_data.h"

/* ---- Reading Redis, behind everybody's back ---- */

static int64_t number(const char *at, uint32_t size) {
    int64_t value = 0;
    for (uint32_t i = 0; i < size && at[i] >= '0' && at[i] <= '9'; i++)
        value = value * 10 + (at[i] - '0');
    return value;
}

/* "{s0}:meta", or with an id "{s0}:lot:11". */
static struct lua_key *key_of(struct world *self, uint32_t shard, const char *word, int64_t id) {
    char name[64];
    int size = id == 0 ? snprintf(name, sizeof name, "{s%u}:%s", shard, word)
                       : snprintf(name, sizeof name, "{s%u}:%s:%" PRId64, shard, word, id);
    return lua_data_find(lua_store_data(stores_master(self, shard)),
                         (struct text){ name, (uint32_t)size });
}

static int64_t field_of(struct lua_key *key, const char *field) {
    const struct blob *value = key != NULL && key->type == LUA_KEY_hash
                                   ? lua_table_get(&key->table, text_of(field))
                                   : NULL;
    return value != NULL ? number(value->at, value->size) : 0;
}

static enum lot_state state_of(struct lua_key *key) {
    const struct blob *value = key != NULL && key->type == LUA_KEY_hash
                                   ? lua_table_get(&key->table, text_of("state"))
                                   : NULL;
    if (value == NULL) return lot_state_none;
    int64_t state = state_value(KIND_lot_state, (struct text){ value->at, value->size });
    return state > 0 ? (enum lot_state)state : lot_state_none;
}

/* "<order>:<epoch>:<seq>:<units>;", the next of a field; false at its end. */
struct hold {
    int64_t order_id, rid, units;
};

static bool next_hold(const struct blob *field, uint32_t *at, uint32_t shard, struct hold *hold) {
    int64_t part[5] = { 0 };
    const char *byte = field->at + *at, *end = field->at + field->size;
    if (*at >= field->size) return false;
    for (uint32_t n = 0; n < 5 && byte < end && *byte != ';'; n++) {
        int64_t value = 0; /* Of the fifth part, were there one, nothing is kept. */
        while (byte < end && *byte != ':' && *byte != ';')
            value = value * 10 + (*byte++ - '0');
        part[n] = value;
        if (byte < end && *byte == ':') byte++;
    }
    while (byte < end && *byte != ';')
        byte++;
    *at = (uint32_t)(byte - field->at) + 1;
    *hold =
        (struct hold){ part[0], rid_make(shard, (uint32_t)part[1], (uint64_t)part[2]), part[3] };
    return true;
}

static void read_journal(struct world *self, uint32_t shard, struct account *account) {
    struct lua_key *journal = key_of(self, shard, "j", 0);
    account->entries = 0;
    if (journal == NULL || journal->type != LUA_KEY_stream) return;
    for (uint32_t i = 0; i < journal->entry_count && account->entries < ENTRIES_MAX; i++) {
        const struct lua_entry *entry = &journal->entries[i];
        if (entry->count < 2) continue;
        account->journal[account->entries].first = rid_make(shard, (uint32_t)entry->ms, entry->seq);
        account->journal[account->entries++].rows =
            (uint32_t)number(entry->words[1].at, entry->words[1].size);
    }
}

bool check_in_journal(const struct account *account, int64_t rid) {
    for (uint32_t i = 0; i < account->entries; i++) {
        int64_t first = account->journal[i].first;
        if (rid >= first && rid < first + (int64_t)account->journal[i].rows) return true;
    }
    return false;
}

bool check_intact(struct world *self, uint32_t shard, struct account *account) {
    struct trust *trust = &self->trusted[shard];
    struct lua_key *meta = key_of(self, shard, "meta", 0);
    struct lua_key *installing = key_of(self, shard, "installing", 0);
    account->epoch = (uint32_t)field_of(meta, "epoch");
    account->boot = field_of(meta, "boot");
    uint32_t begun =
        installing != NULL ? (uint32_t)number(installing->string.at, installing->string.size) : 0;
    if (begun != 0 && begun != trust->begun) trust->clean = begun;
    if (begun != 0) trust->begun = begun;
    return account->epoch != 0 &&
           (account->epoch > trust->tainted || account->epoch == trust->clean);
}

int64_t check_held(struct world *self, int64_t lot_id, int64_t user_id) {
    const struct pg_lot *lot = model_pg_lot(self->pg, lot_id);
    struct lua_key *buyers = key_of(self, lot->shard, "u", lot_id);
    char user[24];
    snprintf(user, sizeof user, "%" PRId64, user_id);
    const struct blob *field = buyers != NULL && buyers->type == LUA_KEY_hash
                                   ? lua_table_get(&buyers->table, text_of(user))
                                   : NULL;
    struct hold hold;
    int64_t sum = 0;
    for (uint32_t at = 0; field != NULL && next_hold(field, &at, lot->shard, &hold);)
        sum += hold.units;
    return sum;
}

/* ---- One lot ---- */

struct sums {
    int64_t available, sold, undecided, undos;
    uint32_t live; /* Orders found. */
};

static void count_hold(struct world *self, const struct account *account, const struct hold *hold,
                       struct sums *sums) {
    if (hold->units == 0) return;
    const struct pg_order *of_rid = model_pg_order_of(self->pg, hold->rid);
    bool decided = of_rid != NULL || model_pg_refusal(self->pg, hold->rid) != NULL ||
                   model_pg_order(self->pg, hold->order_id) != NULL;
    if (of_rid != NULL && model_pg_holds(of_rid->state)) {
        sums->sold += hold->units;
        sums->live++;
    } else if (decided) {
        sums->undos += hold->units;
    } else if (check_in_journal(account, hold->rid)) {
        sums->undecided += hold->units;
    } else {
        world_fail(self, "G2", hold->order_id,
                   "redis holds %" PRId64 " units for order %" PRId64 " by rid %" PRId64
                   ", which is neither journalled nor known to postgresql",
                   hold->units, hold->order_id, hold->rid);
    }
}

static void check_lot(struct world *self, const struct account *account, const struct pg_lot *lot) {
    struct sums sums = { .available =
                             field_of(key_of(self, lot->shard, "lot", lot->lot_id), "available") };
    struct lua_key *buyers = key_of(self, lot->shard, "u", lot->lot_id);
    struct hold hold;
    for (uint32_t i = 0; buyers != NULL && i < buyers->table.count; i++) {
        const struct blob *field = &buyers->table.pairs[i].value;
        for (uint32_t at = 0; next_hold(field, &at, lot->shard, &hold);)
            count_hold(self, account, &hold, &sums);
    }
    uint32_t live = self->checks->sums[lot - self->pg->lots].holding;
    int64_t all = sums.available + sums.undecided + sums.sold + sums.undos;
    if (all == lot->allocated && live == sums.live && sums.sold == lot->sold) return;
    world_fail(self, "G2", 0,
               "lot %" PRId64 ": allocated %" PRId64 " but available %" PRId64
               " + undecided %" PRId64 " + sold %" PRId64 " + undos %" PRId64
               "; postgresql has sold %" PRId64 " in %u orders, redis knows %u of them",
               lot->lot_id, lot->allocated, sums.available, sums.undecided, sums.sold, sums.undos,
               lot->sold, live, sums.live);
}

/* ---- What is true of a lot, and since when not any more ---- */

static void note(bool *is, int64_t *at, bool now_is, int64_t now) {
    if (*is || now_is) *at = now;
    *is = now_is;
}

static void note_facts(struct world *self, const struct pg_lot *lot, bool intact) {
    struct lot_facts *facts = check_facts(self, lot->lot_id);
    struct lua_key *row = key_of(self, lot->shard, "lot", lot->lot_id);
    int64_t available = intact ? field_of(row, "available") : 0;
    enum lot_state state = intact ? state_of(row) : lot_state_none;
    if (!intact) facts->doubt_at = self->now;
    for (int64_t q = 1; q <= QUANTITY_MAX; q++)
        note(&facts->is_short[q], &facts->short_at[q], available < q, self->now);
    for (uint32_t s = 0; s < 8; s++) {
        bool is = lot->state == (enum lot_state)s || state == (enum lot_state)s;
        note(&facts->is_state[s], &facts->state_at[s], is, self->now);
    }
}

/* What counts against the cap is what is there, and it stays below it (G15). */
static void check_rows(struct world *self, uint32_t shard, const struct account *account) {
    int64_t rows = field_of(key_of(self, shard, "meta", 0), "rows"), there = 0;
    for (uint32_t i = 0; i < account->entries; i++)
        there += account->journal[i].rows;
    if (rows == there && rows <= (int64_t)self->setup.journal_cap) return;
    world_fail(self, rows == there ? "G15" : "G2", 0,
               "the journal of shard %u has %" PRId64 " rows and counts %" PRId64 ", at most %u",
               shard, there, rows, self->setup.journal_cap);
}

/* A lot is in its own shard's part of Redis and in no other. */
static void check_strangers(struct world *self, uint32_t shard) {
    for (uint32_t i = 0; i < self->pg->lot_count && self->shards > 1; i++) {
        const struct pg_lot *lot = &self->pg->lots[i];
        if (lot->shard == shard || key_of(self, shard, "lot", lot->lot_id) == NULL) continue;
        world_fail(self, "shards", 0, "lot %" PRId64 " of shard %u is in Redis under shard %u",
                   lot->lot_id, lot->shard, shard);
    }
}

/* False: Redis is not what PostgreSQL believes. */
static bool check_shard(struct world *self, uint32_t shard) {
    struct account *account = &self->checks->account;
    bool intact = check_intact(self, shard, account);
    const struct pg_shard *row = &self->pg->shards[shard];
    bool under_pg = intact && account->epoch == row->epoch && account->boot == row->boot;
    if (under_pg) {
        read_journal(self, shard, account);
        check_rows(self, shard, account);
    }
    check_strangers(self, shard);
    for (uint32_t i = 0; i < self->pg->lot_count && !self->failure.is; i++) {
        const struct pg_lot *lot = &self->pg->lots[i];
        if (lot->shard != shard) continue;
        note_facts(self, lot, under_pg);
        /* One that is waiting may not have been warmed; one that is settled is nobody's. */
        bool hot = key_of(self, shard, "lot", lot->lot_id) != NULL;
        if (under_pg && hot && lot->state != lot_state_settled) check_lot(self, account, lot);
    }
    return under_pg;
}

/* ---- After each step ---- */

static bool redis_is_same(struct world *self, uint32_t shard) {
    const struct looked *looked = &self->checks->looked[shard];
    const struct lua_store *master = stores_master(self, shard);
    return looked->at == master && looked->changes == lua_store_changes(master) &&
           looked->tainted == self->trusted[shard].tainted &&
           looked->losses == self->trusted[shard].losses;
}

static bool pg_is_same(struct world *self, uint32_t shard) {
    const struct looked *looked = &self->checks->looked[shard];
    const struct model_pg *pg = self->pg;
    return looked->order_changes == self->checks->order_changes &&
           looked->refusals == pg->refusal_count &&
           looked->journal_cap == self->setup.journal_cap &&
           memcmp(&looked->row, &pg->shards[shard], sizeof looked->row) == 0 &&
           memcmp(looked->lots, pg->lots, sizeof looked->lots) == 0;
}

static void look(struct world *self, uint32_t shard) {
    struct looked *looked = &self->checks->looked[shard];
    const struct model_pg *pg = self->pg;
    looked->under_pg = check_shard(self, shard);
    looked->at = stores_master(self, shard);
    looked->changes = lua_store_changes(looked->at);
    looked->tainted = self->trusted[shard].tainted;
    looked->losses = self->trusted[shard].losses;
    looked->order_changes = self->checks->order_changes;
    looked->refusals = pg->refusal_count;
    looked->journal_cap = self->setup.journal_cap;
    looked->row = pg->shards[shard];
    memcpy(looked->lots, pg->lots, sizeof looked->lots);
}

void check_stores(struct world *self) {
    for (uint32_t k = 0; k < self->shards && !self->failure.is; k++) {
        bool same =
            self->checks->looked[k].under_pg && redis_is_same(self, k) && pg_is_same(self, k);
        if (!same) look(self, k);
    }
}

void check_redis_step(struct world *self) {
    bool same = true;
    for (uint32_t k = 0; k < self->shards && same; k++)
        same = redis_is_same(self, k);
    if (!same) check_stores(self);
}
