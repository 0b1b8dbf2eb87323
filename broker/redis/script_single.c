/* Messages that are a call each. */
#include <inttypes.h>

#include "broker/redis/script_words.h"
#include "schema/id.h"

enum { WORDS_MAX = 16 };

static void add_epoch_and_boot(struct script_call *call, const struct script_state *state,
                               struct batch *memory) {
    call_number(call, state->epoch, memory);
    call_number(call, state->boot, memory);
}

static void warm_lot(struct script_call *call, const struct script_state *state,
                     struct batch *memory) {
    const struct lot_warm *warm = BODY(call->rows, lot_warm);
    call_lot(call, warm->lot_id);
    call_key(call, state, "meta", memory);
    call_key(call, state, "lots", memory);
    call_lot_key(call, state, "lot", warm->lot_id, memory);
    call_lot_key(call, state, "u", warm->lot_id, memory);
    add_epoch_and_boot(call, state, memory);
    call_number(call, warm->lot_id, memory);
    call_string(call, state_name(KIND_lot_state, warm->state));
    call_number(call, warm->available, memory);
    call_number(call, warm->per_buyer_limit, memory);
}

static void set_lot(struct script_call *call, const struct script_state *state,
                    struct batch *memory) {
    const struct lot_set *set = BODY(call->rows, lot_set);
    call_lot(call, set->lot_id);
    call_key(call, state, "meta", memory);
    call_lot_key(call, state, "lot", set->lot_id, memory);
    add_epoch_and_boot(call, state, memory);
    call_string(call, state_name(KIND_lot_state, set->state));
    call_number(call, set->per_buyer_limit, memory);
}

static void install_begin(struct script_call *call, const struct script_state *state,
                          struct batch *memory) {
    call_key(call, state, "meta", memory);
    call_key(call, state, "j", memory);
    call_key(call, state, "lots", memory);
    call_key(call, state, "installing", memory);
    call_number(call, BODY(call->rows, install_begin)->epoch, memory);
}

static void install_lot(struct script_call *call, const struct script_state *state,
                        struct batch *memory) {
    const struct install_lot *lot = BODY(call->rows, install_lot);
    call_key(call, state, "installing", memory);
    call_key(call, state, "lots", memory);
    call_lot_key(call, state, "lot", lot->lot_id, memory);
    call_lot_key(call, state, "u", lot->lot_id, memory);
    call_number(call, lot->epoch, memory);
    call_number(call, lot->lot_id, memory);
    call_string(call, state_name(KIND_lot_state, lot->state));
    call_number(call, lot->available, memory);
    call_number(call, lot->per_buyer_limit, memory);
}

static void install_end(struct script_call *call, const struct script_state *state,
                        struct batch *memory) {
    const struct install_end *end = BODY(call->rows, install_end);
    call_key(call, state, "installing", memory);
    call_key(call, state, "meta", memory);
    call_number(call, end->epoch, memory);
    call_number(call, end->boot, memory);
}

static void journal(struct script_call *call, const struct script_state *state,
                    struct batch *memory) {
    const struct journal_read *read = BODY(call->rows, journal_read);
    uint32_t limit = read->limit < SCRIPT_JOURNAL_PAGE ? read->limit : SCRIPT_JOURNAL_PAGE;
    call_key(call, state, "meta", memory);
    call_key(call, state, "j", memory);
    add_epoch_and_boot(call, state, memory);
    if (read->after == 0) {
        call_string(call, "-");
    } else {
        call_print(call, memory, "(%u-%" PRIu64, rid_epoch(read->after), rid_seq(read->after));
    }
    call_number(call, limit, memory);
}

static void count_lot(struct script_call *call, const struct script_state *state,
                      struct batch *memory) {
    const struct lot_count *count = BODY(call->rows, lot_count);
    call_key(call, state, "meta", memory);
    call_key(call, state, "j", memory);
    call_lot_key(call, state, "lot", count->lot_id, memory);
    call_lot_key(call, state, "u", count->lot_id, memory);
    add_epoch_and_boot(call, state, memory);
    call_number(call, count->lot_id, memory);
}

/* "user:order:rid:quantity;…", the last ';' may be missing. */
static struct script_call *install_holders(const struct script_state *state,
                                           const struct message *message, struct batch *memory) {
    const struct install_holders *install = BODY(message, install_holders);
    struct text rest = install->holders, item, part;
    uint32_t items = 1;
    for (uint32_t i = 0; i < rest.size; i++)
        items += rest.at[i] == ';';
    struct script_call *call =
        call_make(SCRIPT_install_holders, state, &message, 1, WORDS_MAX + 2 * items, memory);
    call_key(call, state, "installing", memory);
    call_lot_key(call, state, "u", install->lot_id, memory);
    call_lot_key(call, state, "lot", install->lot_id, memory);
    call_number(call, install->epoch, memory);
    while (script_cut(&rest, ';', &item)) {
        int64_t number[4]; /* user, order, rid, quantity */
        uint32_t count = 0;
        while (count < 4 && script_cut(&item, ':', &part)) {
            if (!script_number(part, &number[count++])) return NULL;
        }
        if (count != 4 || item.size != 0) return NULL;
        call_number(call, number[0], memory);
        call_print(call, memory, "%" PRId64 ":%u:%" PRIu64 ":%" PRId64 ";", number[1],
                   rid_epoch(number[2]), rid_seq(number[2]), number[3]);
    }
    return call;
}

static const struct {
    enum message_id type;
    enum script script;
    void (*fill)(struct script_call *call, const struct script_state *state, struct batch *memory);
} fillers[] = {
    { MSG_lot_warm, SCRIPT_warm_lot, warm_lot },
    { MSG_lot_set, SCRIPT_set_lot, set_lot },
    { MSG_install_begin, SCRIPT_install_begin, install_begin },
    { MSG_install_lot, SCRIPT_install_lot, install_lot },
    { MSG_install_end, SCRIPT_install_end, install_end },
    { MSG_journal_read, SCRIPT_journal, journal },
    { MSG_lot_count, SCRIPT_count_lot, count_lot },
};

struct script_call *call_single(const struct script_state *state, const struct message *message,
                                struct batch *memory) {
    if (message->head.type == MSG_install_holders) return install_holders(state, message, memory);
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        if (fillers[i].type != message->head.type) continue;
        struct script_call *call =
            call_make(fillers[i].script, state, &message, 1, WORDS_MAX, memory);
        fillers[i].fill(call, state, memory);
        return call;
    }
    struct script_call *call = call_make(SCRIPT_meta, state, &message, 1, WORDS_MAX, memory);
    call_key(call, state, "meta", memory);
    return call;
}
