/* Journal entries, as XRANGE gives them, into place rows. */
#include <string.h>

#include "broker/log.h"
#include "broker/redis/script_words.h"
#include "schema/id.h"
#include "schema/wire.h"

/* One entry: [id, ["rows", n, "lots", …, "sizes", "91,90,…", "data", bodies one behind the other]].
 */
struct entry {
    int64_t rid; /* Of the first row. */
    uint32_t rows;
    struct text sizes, data;
};

static bool read_id(struct text id, uint32_t shard, int64_t *rid) {
    struct text epoch;
    int64_t number, seq;
    if (!script_cut(&id, '-', &epoch) || !script_number(epoch, &number)) return false;
    if (!script_number(id, &seq) || number > RID_EPOCH_MAX || (uint64_t)seq > RID_SEQ_MAX) {
        return false;
    }
    *rid = rid_make(shard, (uint32_t)number, (uint64_t)seq);
    return true;
}

static struct text member(const struct reply *pairs, const char *name) {
    for (uint32_t i = 0; i + 1 < pairs->count; i += 2) {
        const struct reply *value = &pairs->items[i + 1];
        if (text_is(pairs->items[i].text, name) && value->kind == REPLY_text) return value->text;
    }
    return (struct text){ NULL, 0 };
}

/* The rid is read even if the rest makes no sense. */
static bool read_entry(const struct reply *from, uint32_t shard, struct entry *entry) {
    int64_t rows;
    if (from->kind != REPLY_array || from->count != 2) return false;
    if (from->items[0].kind != REPLY_text) return false;
    if (!read_id(from->items[0].text, shard, &entry->rid)) return false;
    if (from->items[1].kind != REPLY_array) return false;
    entry->sizes = member(&from->items[1], "sizes");
    entry->data = member(&from->items[1], "data");
    if (!script_number(member(&from->items[1], "rows"), &rows)) return false;
    if (rows < 1 || rows > SCRIPT_ROWS_MAX) return false;
    entry->rows = (uint32_t)rows;
    return true;
}

/* Nothing is silent: whoever reads the journal hears of what cannot be read. */
static void tell_bad(struct script_state *state, const struct message *cause, int64_t rid,
                     struct outbox *out) {
    state->undecodable++;
    log_error("redis", "journal row cannot be read", LOG_I64("rid", rid), LOG_END);
    struct failed *failed = REPLY(out, cause, failed);
    failed->problem = PROBLEM_internal;
    failed->what = MSG_place;
    failed->id = rid;
}

static bool send_row(const struct message *cause, const struct entry *entry, int64_t rid,
                     struct text payload, struct outbox *out) {
    const struct field *culprit;
    struct place row;
    if (wire_decode(message_type(MSG_place), (const uint8_t *)payload.at, payload.size, &row,
                    &culprit) != PROBLEM_none) {
        return false;
    }
    row.rid = rid;
    row.entry = entry->rid;
    row.rows = entry->rows;
    row.recovered = 1;
    if (row.address.size > 0) { /* The reply is gone before the messages are delivered. */
        char *copy = outbox_text(out, row.address.size);
        memcpy(copy, row.address.at, row.address.size);
        row.address.at = copy;
    }
    *REPLY(out, cause, place) = row;
    return true;
}

static void send_entry(struct script_state *state, const struct message *cause, struct entry *entry,
                       struct outbox *out) {
    for (uint32_t i = 0; i < entry->rows; i++) {
        int64_t rid = entry->rid + (int64_t)i, size = -1;
        struct text part, payload = { NULL, 0 };
        bool sized = script_cut(&entry->sizes, ',', &part) && script_number(part, &size) &&
                     size <= (int64_t)entry->data.size;
        if (sized) {
            payload = (struct text){ entry->data.at, (uint32_t)size };
            entry->data.at += size;
            entry->data.size -= (uint32_t)size;
        } else {
            entry->sizes.size = 0; /* Where the next row begins is not known. */
        }
        if (!sized || !send_row(cause, entry, rid, payload, out)) tell_bad(state, cause, rid, out);
    }
}

void script_journal_rows(struct script_state *state, const struct script_call *call,
                         const struct reply *entries, struct outbox *out) {
    const struct message *cause = call->rows;
    uint32_t count = 0;
    int64_t last = 0;
    if (entries->kind != REPLY_array) {
        script_fail(call, PROBLEM_unavailable, out);
        return;
    }
    for (uint32_t i = 0; i < entries->count; i++) {
        struct entry entry = { .rid = 0 };
        if (outbox_room(out) < SCRIPT_ROWS_MAX + 2) break; /* The reader goes on behind `next`. */
        if (read_entry(&entries->items[i], state->shard, &entry)) {
            send_entry(state, cause, &entry, out);
            last = entry.rid + (int64_t)entry.rows - 1;
            count += entry.rows;
        } else {
            tell_bad(state, cause, entry.rid, out);
            if (entry.rid != 0) last = entry.rid;
            count++;
        }
    }
    struct rows_end *end = REPLY(out, cause, rows_end);
    end->what = MSG_journal_read;
    end->count = count;
    end->next = last;
}
