/* Replies of the scripts into answers. */
#include <string.h>

#include "broker/log.h"
#include "broker/redis/script_words.h"
#include "schema/id.h"

bool reply_is_error(const struct reply *reply, const char *word) {
    size_t size = strlen(word);
    return reply->kind == REPLY_error && reply->text.size >= size &&
           memcmp(reply->text.at, word, size) == 0 &&
           (reply->text.size == size || reply->text.at[size] == ' ');
}

static int64_t id_of(const struct message *message) {
    switch (message->head.type) {
    case MSG_reserve: return BODY(message, reserve)->order_id;
    case MSG_settle: return BODY(message, settle)->entry;
    case MSG_undo: return BODY(message, undo)->rid;
    case MSG_lot_warm: return BODY(message, lot_warm)->lot_id;
    case MSG_lot_set: return BODY(message, lot_set)->lot_id;
    case MSG_lot_count: return BODY(message, lot_count)->lot_id;
    case MSG_install_lot: return BODY(message, install_lot)->lot_id;
    case MSG_install_holders: return BODY(message, install_holders)->lot_id;
    default: return 0;
    }
}

void script_refuse(const struct message *message, enum problem problem, struct outbox *out) {
    switch (message->head.type) {
    case MSG_started:
    case MSG_tick:
    case MSG_stop:
    case MSG_epoch_use: return; /* Nobody waits for an answer. */
    default: break;
    }
    struct failed *failed = REPLY(out, message, failed);
    failed->problem = problem;
    failed->what = message->head.type;
    failed->id = id_of(message);
}

void script_fail(const struct script_call *call, enum problem problem, struct outbox *out) {
    for (uint32_t i = 0; i < call->row_count; i++)
        script_refuse(&call->rows[i], problem, out);
}

static struct text text_at(const struct reply *reply, uint32_t index) {
    static const struct text none = { NULL, 0 };
    if (reply->kind != REPLY_array || index >= reply->count) return none;
    return reply->items[index].kind == REPLY_text ? reply->items[index].text : none;
}

static int64_t number_at(const struct reply *reply, uint32_t index) {
    int64_t number = 0;
    return script_number(text_at(reply, index), &number) ? number : 0;
}

/* ---- Levels: "state:available:limit:version", empty for a lot that is not there ---- */

static bool read_level(struct text text, struct lot_level *level) {
    struct text state, part;
    int64_t number[3];
    if (!script_cut(&text, ':', &state)) return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (!script_cut(&text, ':', &part) || !script_number(part, &number[i])) return false;
    }
    int64_t value = state_value(KIND_lot_state, state);
    if (value <= 0) return false;
    level->state = (enum lot_state)value;
    level->available = number[0];
    level->per_buyer_limit = (uint32_t)number[1];
    level->version = number[2];
    return true;
}

static void tell_levels(const struct script_call *call, const struct reply *reply, uint32_t from,
                        struct outbox *out) {
    for (uint32_t i = 0; i < call->lot_count; i++) {
        struct lot_level level = { .lot_id = call->lots[i], .epoch = call->epoch };
        if (!read_level(text_at(reply, from + i), &level)) continue;
        *SEND(out, ACTOR_inventory, lot_level, NULL) = level;
    }
}

static void answer_level(const struct script_call *call, const struct reply *reply,
                         struct outbox *out) {
    struct lot_level level = { .lot_id = call->lots[0], .epoch = call->epoch };
    if (!read_level(text_at(reply, 1), &level)) {
        script_fail(call, PROBLEM_unavailable, out);
        return;
    }
    *REPLY(out, call->rows, lot_level) = level;
    if (call->rows->head.from != ACTOR_inventory) {
        *SEND(out, ACTOR_inventory, lot_level, NULL) = level; /* It keeps the hints. */
    }
}

/* ---- reserve ---- */

static enum problem refusal(char code) {
    switch (code) {
    case 'B': return PROBLEM_overloaded;
    case 'F': return PROBLEM_not_on_sale; /* Or a key is lost: inventory knows which. */
    case 'W': return PROBLEM_sale_not_open;
    case 'P': return PROBLEM_sale_paused;
    case 'C': return PROBLEM_sale_closed;
    case 'L': return PROBLEM_limit_reached;
    case 'O': return PROBLEM_sold_out;
    case 'E': return PROBLEM_ticket_expired;
    default: return PROBLEM_unavailable; /* Not a word of ours: nothing is known. */
    }
}

static struct reserved *answer_reserved(const struct message *message, int64_t rid,
                                        struct outbox *out) {
    const struct reserve *want = BODY(message, reserve);
    struct reserved *got = REPLY(out, message, reserved);
    got->rid = rid;
    got->order_id = want->order_id;
    got->user_id = want->user_id;
    got->lot_id = want->lot_id;
    got->quantity = want->quantity;
    got->kind = want->kind;
    got->price_version = want->price_version;
    got->address = want->address;
    return got;
}

/* "S<epoch>:<seq>" */
static bool read_seen(struct text code, uint32_t shard, int64_t *rid) {
    struct text rest = { code.at + 1, code.size - 1 }, part;
    int64_t epoch, seq;
    if (!script_cut(&rest, ':', &part) || !script_number(part, &epoch)) return false;
    if (!script_number(rest, &seq) || epoch > RID_EPOCH_MAX) return false;
    *rid = rid_make(shard, (uint32_t)epoch, (uint64_t)seq);
    return true;
}

static void answer_reserve(const struct script_state *state, const struct script_call *call,
                           const struct reply *reply, struct outbox *out) {
    int64_t seq = number_at(reply, 1), taken = number_at(reply, 2), rid = 0;
    struct text codes = text_at(reply, 3), code = { NULL, 0 };
    int64_t entry = rid_make(state->shard, call->epoch, (uint64_t)seq);
    for (uint32_t i = 0; i < call->row_count; i++) {
        const struct message *message = &call->rows[i];
        char letter = script_cut(&codes, ',', &code) && code.size > 0 ? code.at[0] : 0;
        if (letter == 'R') {
            rid = rid_make(state->shard, call->epoch, (uint64_t)seq++);
            struct reserved *got = answer_reserved(message, rid, out);
            got->entry = entry;
            got->rows = (uint32_t)taken;
        } else if (letter == 'S' && read_seen(code, state->shard, &rid)) {
            answer_reserved(message, rid, out)->seen = 1;
        } else {
            script_refuse(message, refusal(letter), out);
        }
    }
    tell_levels(call, reply, 4, out);
}

/* ---- settle and undo ---- */

static void answer_undo(const struct message *message, char code, struct outbox *out) {
    const struct undo *undo = BODY(message, undo);
    if (code != '0' && code != '1') {
        script_refuse(message, code == 'T' ? PROBLEM_fenced : PROBLEM_unavailable, out);
        return;
    }
    struct undone *undone = REPLY(out, message, undone);
    undone->rid = undo->rid;
    undone->lot_id = undo->lot_id;
    undone->changed = code == '1';
}

static void answer_done(const struct message *message, struct outbox *out) {
    struct done *done = REPLY(out, message, done);
    done->what = message->head.type;
    done->id = id_of(message);
}

static void answer_settle(const struct script_call *call, const struct reply *reply,
                          struct outbox *out) {
    struct text codes = text_at(reply, 1), code;
    for (uint32_t i = 0; i < call->row_count; i++) {
        const struct message *message = &call->rows[i];
        if (message->head.type == MSG_settle) {
            answer_done(message, out);
        } else {
            bool any = script_cut(&codes, ',', &code) && code.size > 0;
            answer_undo(message, any ? code.at[0] : 0, out);
        }
    }
    tell_levels(call, reply, 2, out);
}

/* ---- The others ---- */

static void answer_meta(const struct script_call *call, const struct reply *reply,
                        struct text run_id, struct outbox *out) {
    struct redis_up *up = call->row_count > 0 ? REPLY(out, call->rows, redis_up)
                                              : SEND(out, ACTOR_inventory, redis_up, NULL);
    int64_t epoch = number_at(reply, 1);
    up->run_id = run_id;
    up->epoch = epoch <= RID_EPOCH_MAX ? (uint32_t)epoch : 0;
    up->boot = number_at(reply, 2);
}

static void answer_count(const struct script_call *call, const struct reply *reply,
                         struct outbox *out) {
    struct lot_counted *counted = REPLY(out, call->rows, lot_counted);
    counted->lot_id = BODY(call->rows, lot_count)->lot_id;
    counted->available = number_at(reply, 1);
    counted->held = number_at(reply, 2);
    counted->undecided = number_at(reply, 3);
    counted->journal_rows = number_at(reply, 4);
    counted->epoch = call->epoch;
}

static void answer(struct script_state *state, const struct script_call *call,
                   const struct reply *reply, struct text run_id, struct outbox *out) {
    switch (call->script) {
    case SCRIPT_reserve: answer_reserve(state, call, reply, out); return;
    case SCRIPT_settle: answer_settle(call, reply, out); return;
    case SCRIPT_warm_lot:
    case SCRIPT_set_lot: answer_level(call, reply, out); return;
    case SCRIPT_install_begin:
    case SCRIPT_install_lot:
    case SCRIPT_install_holders:
    case SCRIPT_install_end: answer_done(call->rows, out); return;
    case SCRIPT_journal:
        script_journal_rows(state, call, reply->count > 1 ? &reply->items[1] : reply, out);
        return;
    case SCRIPT_count_lot: answer_count(call, reply, out); return;
    case SCRIPT_meta: answer_meta(call, reply, run_id, out); return;
    case SCRIPT_COUNT: return;
    }
}

uint32_t script_room(const struct script_call *call) {
    uint32_t journal = call->script == SCRIPT_journal ? SCRIPT_ROWS_MAX + 2 : 0;
    return call->row_count + call->lot_count + journal + 1;
}

/* Errors after which units may or may not have been taken, or could not be. */
static enum script_verdict fail_with(const struct script_call *call, const struct reply *reply,
                                     struct outbox *out) {
    struct text text = reply->kind == REPLY_error ? reply->text : text_of("no sense");
    log_error("redis", "script failed", LOG_TEXT("script", script_name(call->script)),
              LOG_SLICE("error", text.at, text.size), LOG_END);
    script_fail(call, PROBLEM_unavailable, out);
    bool useless = reply_is_error(reply, "READONLY") || reply_is_error(reply, "LOADING") ||
                   reply_is_error(reply, "MASTERDOWN");
    return useless ? SCRIPT_useless : SCRIPT_answered;
}

enum script_verdict script_answer(struct script_state *state, const struct script_call *call,
                                  const struct reply *reply, struct text run_id,
                                  struct outbox *out) {
    struct text verdict = text_at(reply, 0);
    if (text_is(verdict, "OK")) {
        answer(state, call, reply, run_id, out);
        return SCRIPT_answered;
    }
    if (!text_is(verdict, "FENCED")) return fail_with(call, reply, out);
    script_fail(call, PROBLEM_fenced, out);
    /* Of a reserve and of its own steps inventory hears itself. */
    bool told = call->row_count > 0 && call->rows[0].head.from == ACTOR_inventory;
    return told ? SCRIPT_answered : SCRIPT_fenced;
}
