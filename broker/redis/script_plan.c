/* Batches of messages into calls. */
#include <assert.h>

#include "broker/redis/script_words.h"
#include "schema/id.h"
#include "schema/wire.h"

enum { RESERVE_WORDS = 4, SETTLE_WORDS = 2, UNDO_WORDS = 7, FIXED_WORDS = 16 };

/* A group that is being gathered. */
struct group {
    const struct message *rows[SCRIPT_ROWS_MAX];
    uint32_t count;
};

struct plan {
    struct script_state *state;
    struct batch *memory;
    struct outbox *out;
    void (*issue)(void *context, struct script_call *call);
    void *context;
    struct group reserves, returns; /* settles and undos */
};

/* ---- reserve ---- */

/* The journal's copy: the body of `place`.  Its rid is given by its position in the entry; 1 stands
 * for it, because a body without a rid is not valid. */
static void add_payload(struct script_call *call, const struct reserve *want,
                        struct batch *memory) {
    const struct message_type *type = message_type(MSG_place);
    struct place place = { .rid = 1,
                           .order_id = want->order_id,
                           .user_id = want->user_id,
                           .lot_id = want->lot_id,
                           .quantity = want->quantity,
                           .kind = want->kind,
                           .price_version = want->price_version,
                           .address = want->address };
    size_t most = wire_bound(type, &place);
    uint8_t *bytes = batch_memory(memory, most);
    size_t size = wire_encode(type, &place, bytes, most);
    assert(size != 0);
    call_bytes(call, (const char *)bytes, size);
}

static void add_head(struct script_call *call, const struct script_state *state,
                     struct batch *memory) {
    call_number(call, state->epoch, memory);
    call_number(call, state->boot, memory);
}

static void add_lot_keys(struct script_call *call, const struct script_state *state,
                         struct batch *memory) {
    call_key(call, state, "meta", memory);
    call_key(call, state, "j", memory);
    for (uint32_t i = 0; i < call->lot_count; i++) {
        call_lot_key(call, state, "lot", call->lots[i], memory);
        call_lot_key(call, state, "u", call->lots[i], memory);
    }
}

static struct script_call *make_reserve(const struct script_state *state, const struct group *group,
                                        struct batch *memory) {
    uint32_t most = FIXED_WORDS + (3 + RESERVE_WORDS) * group->count;
    struct script_call *call =
        call_make(SCRIPT_reserve, state, group->rows, group->count, most, memory);
    for (uint32_t i = 0; i < call->row_count; i++) {
        call_lot(call, BODY(&call->rows[i], reserve)->lot_id);
    }
    add_lot_keys(call, state, memory);
    add_head(call, state, memory);
    call_number(call, state->journal_cap, memory);
    call_number(call, call->lot_count, memory);
    call_number(call, call->row_count, memory);
    for (uint32_t i = 0; i < call->lot_count; i++)
        call_number(call, call->lots[i], memory);
    for (uint32_t i = 0; i < call->row_count; i++) {
        const struct reserve *want = BODY(&call->rows[i], reserve);
        call_number(call, want->order_id, memory);
        call_number(call, want->user_id, memory);
        call_print(call, memory, "%u:%u:%s", call_lot(call, want->lot_id), want->quantity,
                   state_name(KIND_reserve_kind, want->kind));
        add_payload(call, want, memory);
    }
    return call;
}

/* ---- settle and undo ---- */

static void add_undo(struct script_call *call, const struct undo *undo, struct batch *memory) {
    uint32_t epoch = rid_epoch(undo->rid);
    call_number(call, call_lot(call, undo->lot_id), memory);
    call_number(call, undo->user_id, memory);
    call_number(call, undo->order_id, memory);
    call_print(call, memory, "%u:%llu", epoch, (unsigned long long)rid_seq(undo->rid));
    call_string(call, undo->keep != 0 ? "1" : "0");
    call_number(call, undo->epoch != 0 ? undo->epoch : epoch, memory);
    call_number(call, undo->quantity, memory);
}

static struct script_call *make_settle(const struct script_state *state, const struct group *group,
                                       struct batch *memory) {
    uint32_t most = FIXED_WORDS + (2 + UNDO_WORDS) * group->count, undos = 0;
    struct script_call *call =
        call_make(SCRIPT_settle, state, group->rows, group->count, most, memory);
    for (uint32_t i = 0; i < call->row_count; i++) {
        if (call->rows[i].head.type != MSG_undo) continue;
        call_lot(call, BODY(&call->rows[i], undo)->lot_id);
        undos++;
    }
    add_lot_keys(call, state, memory);
    add_head(call, state, memory);
    call_number(call, call->lot_count, memory);
    call_number(call, call->row_count - undos, memory);
    call_number(call, undos, memory);
    for (uint32_t i = 0; i < call->row_count; i++) {
        if (call->rows[i].head.type != MSG_settle) continue;
        const struct settle *settle = BODY(&call->rows[i], settle);
        call_print(call, memory, "%u-%llu", rid_epoch(settle->entry),
                   (unsigned long long)rid_seq(settle->entry));
        call_number(call, settle->rows, memory);
    }
    for (uint32_t i = 0; i < call->row_count; i++) {
        if (call->rows[i].head.type == MSG_undo) add_undo(call, BODY(&call->rows[i], undo), memory);
    }
    return call;
}

/* ---- The batch ---- */

static void flush(struct plan *plan) {
    struct script_call *call;
    if (plan->reserves.count > 0) {
        call = make_reserve(plan->state, &plan->reserves, plan->memory);
        plan->reserves.count = 0;
        plan->issue(plan->context, call);
    }
    if (plan->returns.count > 0) {
        call = make_settle(plan->state, &plan->returns, plan->memory);
        plan->returns.count = 0;
        plan->issue(plan->context, call);
    }
}

static void gather(struct plan *plan, struct group *group, const struct message *message) {
    group->rows[group->count++] = message;
    if (group->count == SCRIPT_ROWS_MAX) flush(plan);
}

static void single(struct plan *plan, const struct message *message) {
    flush(plan);
    struct script_call *call = call_single(plan->state, message, plan->memory);
    if (call != NULL)
        plan->issue(plan->context, call);
    else
        script_refuse(message, PROBLEM_malformed, plan->out);
}

static void use_epoch(struct plan *plan, const struct epoch_use *use) {
    const char *run_id = plan->state->run_id;
    flush(plan);
    /* Meant for the Redis before this one: what it says of epoch and journal is not true here. */
    if (use->run_id.size > 0 && run_id != NULL && !text_is(use->run_id, run_id)) return;
    plan->state->epoch = use->epoch;
    plan->state->boot = use->boot;
}

static bool before_epoch(enum message_id type) {
    return type == MSG_meta_read || type == MSG_install_begin || type == MSG_install_lot ||
           type == MSG_install_holders || type == MSG_install_end;
}

static void plan_message(struct plan *plan, const struct message *message, int64_t now) {
    enum message_id type = (enum message_id)message->head.type;
    switch ((int)type) {
    case MSG_started:
    case MSG_tick:
    case MSG_stop: return; /* Whoever sends to us knows what is left. */
    case MSG_epoch_use: use_epoch(plan, BODY(message, epoch_use)); return;
    case MSG_reserve:
    case MSG_settle:
    case MSG_undo:
    case MSG_journal_read:
    case MSG_lot_warm:
    case MSG_lot_set:
    case MSG_lot_count:
    case MSG_meta_read:
    case MSG_install_begin:
    case MSG_install_lot:
    case MSG_install_holders:
    case MSG_install_end: break;
    default: script_refuse(message, PROBLEM_internal, plan->out); return;
    }
    if (plan->state->epoch == 0 && !before_epoch(type)) {
        script_refuse(message, PROBLEM_recovering, plan->out);
    } else if (type == MSG_reserve && message->head.deadline != 0 &&
               now >= message->head.deadline) {
        script_refuse(message, PROBLEM_overloaded, plan->out); /* Nobody waits any more. */
    } else if (type == MSG_reserve) {
        gather(plan, &plan->reserves, message);
    } else if (type == MSG_settle || type == MSG_undo) {
        gather(plan, &plan->returns, message);
    } else {
        single(plan, message);
    }
}

void script_plan(struct script_state *state, const struct message *in, uint32_t count, int64_t now,
                 struct batch *memory, struct outbox *out,
                 void (*issue)(void *context, struct script_call *call), void *context) {
    struct plan plan = {
        .state = state, .memory = memory, .out = out, .issue = issue, .context = context
    };
    for (uint32_t i = 0; i < count; i++)
        plan_message(&plan, &in[i], now);
    flush(&plan);
}

struct script_call *script_meta(const struct script_state *state, struct batch *memory) {
    struct script_call *call = call_make(SCRIPT_meta, state, NULL, 0, FIXED_WORDS, memory);
    call_key(call, state, "meta", memory);
    return call;
}
