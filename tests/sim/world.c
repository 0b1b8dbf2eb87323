#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_LIMIT_S = 240, LATE_LIMIT_S = 60, SHOPPER_CALLBACK = 63 };

void *world_grow(void *rows, uint32_t count, uint32_t *room, size_t size) {
    return model_pg_grow(rows, count, room, size);
}

/* ---- Telling ---- */

static bool about(const struct world *self, const struct message *message) {
    const struct message_type *type = message_type((enum message_id)message->head.type);
    const struct pg_order *order = NULL;
    int64_t rid = 0, id = self->trace_order;
    if (id == 0) return true;
    for (const struct field *field = type->fields; field->name; field++) {
        if (field->kind == KIND_id && field_number(field, message->body) == id) return true;
        if (field->kind == KIND_rid) rid = field_number(field, message->body);
        if (rid != 0 && (order = model_pg_order_of(self->pg, rid)) != NULL) {
            if (order->order_id == id) return true;
        }
    }
    for (uint32_t i = 0; rid != 0 && i < self->rid_count; i++) {
        if (self->rids[i].rid == rid && self->rids[i].order_id == id) return true;
    }
    if (message->head.to == PORT_http || message->head.from == PORT_http) {
        uint64_t number = message->head.request;
        if (number >= 1 && number <= self->request_count) {
            return self->tickets[self->requests[number - 1].ticket].order_id == id;
        }
    }
    return false;
}

static void say_time(const struct world *self) {
    int64_t at = self->now - SIM_START;
    if (self->story) {
        fprintf(self->trace, "[%5" PRId64 "] ", (self->now - self->story_began) / SIM_MS);
    } else {
        fprintf(self->trace, "%8" PRIu64 " [%12.6f] ", self->step, (double)(at / 1000) / 1000000.0);
    }
}

/* Times are told in milliseconds since the story began, with a sign. */
static void print_story(const struct world *self, const struct message_type *type,
                        const void *body) {
    char *line = NULL, *end;
    size_t size = 0;
    FILE *to = open_memstream(&line, &size);
    if (to == NULL) abort();
    message_print(to, type, body);
    fclose(to);
    for (const char *at = line; *at != 0;) {
        bool number = *at >= '0' && *at <= '9' && at > line && at[-1] == '=';
        int64_t value = number ? strtoll(at, &end, 10) : 0;
        if (value >= SIM_START && value - SIM_START < 3600 * SIM_SECOND) {
            fprintf(self->trace, "+%" PRId64, (value - self->story_began) / SIM_MS);
            at = end;
        } else {
            fputc(*at++, self->trace);
        }
    }
    free(line);
}

/* What goes on all the time and is no part of a story: hints, levels, reads that find nothing. */
static bool is_housekeeping(const struct message *message) {
    switch (message->head.type) {
    case MSG_tick:
    case MSG_lot_hint:
    case MSG_lot_level:
    case MSG_meta_read:
    case MSG_redis_up:
    case MSG_epoch_use:
    case MSG_installed:
    case MSG_journal_read:
    case MSG_payments_due:
    case MSG_deadlines_load:
    case MSG_sale_rows_get:
    case MSG_lot_rows_get:
    case MSG_catalogue_check:
    case MSG_revoked_load: return true;
    case MSG_rows_end: return BODY(message, rows_end)->what != MSG_shard_recover;
    case MSG_reserve: return BODY(message, reserve)->kind == reserve_kind_probe;
    case MSG_failed: return BODY(message, failed)->id == ID_MAX; /* Of such a probe. */
    default: return false;
    }
}

static void say(const struct world *self, const struct message *message, const char *fate) {
    enum message_id type = (enum message_id)message->head.type;
    if (self->trace == NULL || !about(self, message)) return;
    if (self->story && is_housekeeping(message)) return;
    say_time(self);
    fprintf(self->trace, "%-9s > %-9s  ", address_name((enum address)message->head.from),
            address_name((enum address)message->head.to));
    if (self->story)
        print_story(self, message_type(type), message->body);
    else
        message_print(self->trace, message_type(type), message->body);
    fprintf(self->trace, "%s\n", fate);
}

void world_note(struct world *self, const char *format, ...) {
    va_list arguments;
    if (self->trace == NULL) return;
    say_time(self);
    fprintf(self->trace, "-- ");
    va_start(arguments, format);
    vfprintf(self->trace, format, arguments);
    va_end(arguments);
    fputc('\n', self->trace);
}

void world_fail(struct world *self, const char *rule, int64_t order_id, const char *format, ...) {
    va_list arguments;
    if (self->failure.is) return;
    self->failure =
        (struct failure){ .is = true, .rule = rule, .order_id = order_id, .step = self->step };
    va_start(arguments, format);
    vsnprintf(self->failure.text, sizeof self->failure.text, format, arguments);
    va_end(arguments);
    world_note(self, "%s: %s", rule, self->failure.text);
}

/* ---- Links ---- */

static int64_t delay(struct world *self) {
    if (self->story) return self->fixed_delay;
    return draw_span(&self->links_draw, self->swarm.delay_least, self->swarm.delay_most);
}

/* The same order in as out, unless the message is held up. */
static void fly(struct world *self, const struct message *message, bool late) {
    int64_t *last = &self->link_at[message->head.from][message->head.to];
    int64_t at = self->now + delay(self);
    if (late) {
        at += draw_span(&self->links_draw, 0, self->swarm.reorder_most);
    } else {
        if (at < *last) at = *last;
        *last = at;
    }
    flights_add(&self->flights, message, at);
}

void world_send(struct world *self, const struct message *message) {
    const struct head *head = &message->head;
    if (head->to == NOBODY || head->to >= ADDRESS_COUNT) return;
    bool faulty = !self->healed && self->link_faulty[head->from][head->to];
    bool victim = !self->healed && head->type == self->swarm.victim && head->from != PORT_http;
    uint32_t loss = victim ? self->swarm.victim_loss : faulty ? self->swarm.loss : 0;
    if (loss > 0 && draw_chance(&self->links_draw, loss)) {
        say(self, message, "   (lost)");
        return;
    }
    /* Inventory and its Redis port share a thread for good: the port stamps scripts with the epoch
     * in force, so a reserve must never fall behind the epoch_use of a later connection (H23). */
    bool ordered = head->to == PORT_redis && head->type == MSG_reserve;
    bool late = faulty && draw_chance(&self->links_draw, self->swarm.reorder) && !ordered;
    /* Nothing comes twice over TCP; shoppers who ask again do that. */
    bool tcp = head->from == PORT_http || head->to == PORT_http;
    bool twice = faulty && draw_chance(&self->links_draw, self->swarm.twice) && !tcp;
    say(self, message, twice ? "   (twice)" : late ? "   (held up)" : "");
    fly(self, message, late);
    if (twice) fly(self, message, !ordered && draw_chance(&self->links_draw, 500));
}

/* ---- Steps ---- */

static void dispatch(struct world *self, const struct parcel *parcel) {
    enum address to = (enum address)parcel->message.head.to;
    switch (parcel->event) {
    case EVENT_message: seat_arrive(self, &parcel->message); break;
    case EVENT_wake: seat_wake(self, to); break;
    case EVENT_tick: seat_tick(self, to, parcel->number); break;
    case EVENT_restart: seat_restart(self, to); break;
    case EVENT_shopper:
        if (parcel->number >> SHOPPER_CALLBACK)
            provider_call(self, (uint32_t)parcel->number);
        else
            shopper_turn(self, parcel->number);
        break;
    case EVENT_fault: faults_strike(self, parcel->number); break;
    case EVENT_commit: stores_commit_late(self, parcel->number); break;
    }
}

bool world_step(struct world *self) {
    if (self->failure.is || self->flights.count == 0) return false;
    struct parcel *parcel = flights_take(&self->flights);
    self->now = parcel->at;
    self->step++;
    dispatch(self, parcel);
    free(parcel);
    return !self->failure.is;
}

void world_pass(struct world *self, int64_t span) {
    int64_t end = self->now + span;
    while (!self->failure.is && self->flights.count > 0 && flights_first(&self->flights)->at <= end)
        world_step(self);
    if (!self->failure.is) self->now = end;
}

/* Until nothing is under way, looked at every 100 ms; false when it takes longer than the limit. */
static bool until_quiet(struct world *self, int64_t limit) {
    int64_t end = self->now + limit;
    while (!self->failure.is && self->now < end) {
        world_pass(self, 100 * SIM_MS);
        if (self->shoppers_done == self->shopper_count && check_quiet(self) == NULL) return true;
    }
    return false;
}

static void not_quiet(struct world *self, int64_t limit_s) {
    for (uint32_t i = 0; i < self->shopper_count; i++) {
        const struct shopper *shopper = &self->shoppers[i];
        if (shopper->state == SHOPPER_done) continue;
        const struct ticket *ticket = &self->tickets[shopper->ticket];
        world_fail(self, "G5", ticket->order_id,
                   "%" PRId64 " s after the faults stopped, user %" PRId64
                   " has no final answer (state %d, order %" PRId64 ")",
                   limit_s, shopper->user_id, (int)shopper->state, ticket->order_id);
    }
    const char *left = check_quiet(self);
    world_fail(self, "G5", 0, "%" PRId64 " s after the faults stopped, work is left: %s", limit_s,
               left != NULL ? left : "none");
}

bool world_run(struct world *self) {
    world_pass(self, self->swarm.ends);
    faults_heal(self);
    if (!self->failure.is && !until_quiet(self, QUIET_LIMIT_S * SIM_SECOND)) {
        not_quiet(self, QUIET_LIMIT_S);
    }
    if (!self->failure.is) check_end(self);
    if (!self->failure.is) {
        world_pass(self,
                   SIM_SECOND + 500 * SIM_MS); /* A unit that came back just now is offered. */
        self->quiet_at = self->now;
        shoppers_late_comers(self);
        if (!until_quiet(self, LATE_LIMIT_S * SIM_SECOND)) not_quiet(self, LATE_LIMIT_S);
    }
    if (!self->failure.is) check_end(self);
    return !self->failure.is;
}

/* ---- Life ---- */

void world_lot(struct world *self, int64_t lot_id, int64_t units, uint32_t limit, int64_t window) {
    self->pg->lots[self->pg->lot_count++] = (struct pg_lot){ .lot_id = lot_id,
                                                             .allocated = units,
                                                             .price = 1999,
                                                             .pay_window = window,
                                                             .state = lot_state_open,
                                                             .limit = limit,
                                                             .price_version = 1 };
}

static void draw_lots(struct world *self) {
    uint32_t lots = 1 + draw_below(&self->crowd_draw, 3);
    for (uint32_t i = 0; i < lots; i++) {
        int64_t units = draw_span(&self->crowd_draw, 1, 12);
        uint32_t limit = 1 + draw_below(&self->crowd_draw, 3);
        int64_t window = draw_span(&self->crowd_draw, 2, 8) * SIM_SECOND;
        world_lot(self, 11 + i, units, limit, window);
    }
}

static void fill_setup(struct world *self) {
    self->keys = (struct seal_keys){ .count = 1 };
    self->keys.key[0].id = 1;
    for (uint32_t i = 0; i < SEAL_KEY_BYTES; i++)
        self->keys.key[0].bytes[i] = (uint8_t)(i * 7 + 1);
    self->setup = (struct actor_setup){
        .worker = 1,
        .keys = &self->keys,
        .hold = 300 * SIM_MS,
        .inflight_max = 8192,
        .batch_max = 256,
        .journal_cap = 20000,
        .journal_age_max = 10 * SIM_SECOND,
        .idle_read = 20 * SIM_MS,
        .hint_every = 200 * SIM_MS,
        .hint_life = 500 * SIM_MS,
        .payment_query_every = 1 * SIM_SECOND,
        .pay_window = 5 * SIM_SECOND,
    };
}

struct world *world_open(const struct world_options *options) {
    struct world *self = calloc(1, sizeof *self);
    struct model_pg *pg = calloc(1, sizeof *pg);
    if (self == NULL || pg == NULL) abort();
    self->pg = pg;
    self->seed = options->seed;
    self->now = SIM_START;
    self->links_draw = draw_make(options->seed, 1);
    self->faults_draw = draw_make(options->seed, 2);
    self->crowd_draw = draw_make(options->seed, 3);
    self->trace = options->trace;
    self->trace_order = options->trace_order;
    self->story = !options->crowd;
    self->fixed_delay = SIM_MS;
    self->healed = !options->faults;
    batch_init(&self->out);
    fill_setup(self);
    model_pg_init(self->pg);
    if (options->crowd) draw_lots(self);
    self->store = lua_store_open(options->seed);
    model_redis_init(&self->redis, self->store, 0, self->setup.journal_cap);
    faults_draw_swarm(self);
    seats_open(self);
    if (options->crowd) {
        uint32_t drawn = 4 + draw_below(&self->crowd_draw, 28);
        shoppers_open(self, options->shoppers > 0 ? options->shoppers : drawn);
        faults_begin(self);
    }
    return self;
}

void world_close(struct world *self) {
    if (self == NULL) return;
    seats_close(self);
    flights_fini(&self->flights);
    model_redis_fini(&self->redis);
    lua_store_close(self->store);
    model_pg_fini(self->pg);
    for (uint32_t i = 0; i < self->late_count; i++)
        batch_fini(&self->late[i]);
    batch_fini(&self->out);
    free(self->late);
    free(self->shoppers);
    free(self->tickets);
    free(self->requests);
    free(self->deals);
    free(self->rids);
    free(self->pg);
    free(self);
}
