/* The host: messages between threads arrive whole and in order, a full mailbox answers, nothing is
 * dropped, stop drains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "broker/host.h"
#include "broker/metrics.h"
#include "broker/ready.h"
#include "broker/trace.h"
#include "config/config.h"

enum { TRACED = 1000000, ASKED = 5000, MS = 1000000 };

/* What both sides saw; the threads have ended when a test reads it, or it waits for `answers`. */
static struct {
    atomic_uint answers, overloaded, handled, wrong, ticks;
    uint64_t last_request;
} seen;

struct asker {
    bool asked;
};

static void asker_init(void *self, const struct actor_setup *setup) {
    (void)setup;
    ((struct asker *)self)->asked = false;
}

/* Asks everything in one turn, as the bridge would in a rush. */
static void asker_handle(void *state, const struct message *in, uint32_t count, int64_t now,
                         struct outbox *out) {
    struct asker *self = state;
    (void)now;
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].head.type == MSG_account_view) {
            const struct account_view *view = BODY(&in[i], account_view);
            if (view->user_id != (int64_t)in[i].head.request || !text_is(view->login, "ann")) {
                atomic_fetch_add(&seen.wrong, 1);
            }
            atomic_fetch_add(&seen.answers, 1);
        } else if (in[i].head.type == MSG_failed) {
            if (BODY(&in[i], failed)->problem != PROBLEM_overloaded)
                atomic_fetch_add(&seen.wrong, 1);
            atomic_fetch_add(&seen.overloaded, 1);
            atomic_fetch_add(&seen.answers, 1);
        } else if (in[i].head.type == MSG_tick) {
            atomic_fetch_add(&seen.ticks, 1);
        }
    }
    if (self->asked || atomic_load(&seen.ticks) < 2) return;
    self->asked = true;
    for (uint64_t request = 1; request <= ASKED; request++) {
        ASK(out, ACTOR_order, order_get, ACTOR_bridge, request, TRACED + request - 1)->order_id =
            (int64_t)request;
    }
}

static void answerer_init(void *self, const struct actor_setup *setup) {
    (void)self, (void)setup;
}

static void answerer_handle(void *self, const struct message *in, uint32_t count, int64_t now,
                            struct outbox *out) {
    (void)self, (void)now;
    for (uint32_t i = 0; i < count; i++) {
        if (in[i].head.type == MSG_stop) {
            REPLY(out, &in[i], stopped);
            continue;
        }
        if (in[i].head.type != MSG_order_get) continue;
        if (in[i].head.request <= seen.last_request) atomic_fetch_add(&seen.wrong, 1); /* Order. */
        seen.last_request = in[i].head.request;
        atomic_fetch_add(&seen.handled, 1);
        struct account_view *view = ANSWER(out, &in[i], account_view);
        view->user_id = BODY(&in[i], order_get)->order_id;
        view->login = outbox_printf(out, "%s", "ann"); /* Made here: must be copied on its way. */
    }
}

static const struct actor_type asker_type = {
    .name = "asker",
    .address = ACTOR_bridge,
    .state_size = sizeof(struct asker),
    .batch_max = 256,
    .sends_max = ASKED,
    .tick_every = 5 * MS,
    .init = asker_init,
    .handle = asker_handle,
};
static const struct actor_type answerer_type = {
    .name = "answerer",
    .address = ACTOR_order,
    .state_size = 1,
    .batch_max = 256,
    .sends_max = 1,
    .init = answerer_init,
    .handle = answerer_handle,
};

static struct host *open_host(struct config *config, uint32_t other_thread) {
    struct host_place places[] = { { ACTOR_bridge, 0, 0, &asker_type, NULL },
                                   { ACTOR_order, 0, other_thread, &answerer_type, NULL } };
    struct host_setup setup = { .config = config, .places = places, .place_count = 2 };
    memset(&seen, 0, sizeof seen);
    metrics_reset();
    ready_reset();
    return host_open(&setup);
}

static void wait_for_answers(void) {
    for (int i = 0; i < 5000 && atomic_load(&seen.answers) < ASKED; i++) {
        nanosleep(&(struct timespec){ 0, MS }, NULL);
    }
    nanosleep(&(struct timespec){ 0, 20 * MS }, NULL); /* Is there one too many? */
}

static void count_entry(void *context, const struct trace_entry *entry) {
    uint32_t *count = context;
    bool asked = entry->to == ACTOR_order && entry->type == MSG_order_get;
    bool answered = entry->to == ACTOR_bridge && entry->type == MSG_account_view;
    assert_true(asked ? count[1] == 0 : answered && count[0] == 1);
    count[asked ? 0 : 1]++;
}

static void run(uint32_t other_thread, int64_t mailbox_max, bool refusals) {
    static struct config config;
    config_defaults(&config);
    config.host_mailbox_max = mailbox_max;
    struct host *host = open_host(&config, other_thread);
    assert_non_null(host);
    wait_for_answers();
    assert_true(host_drain(host, INT64_C(5000000000)));
    uint32_t traced[2] = { 0 };
    if (!refusals) assert_int_equal(trace_find(TRACED, count_entry, traced), 2);
    host_close(host);
    assert_int_equal(trace_find(TRACED, count_entry, traced), 0);
    assert_int_equal(atomic_load(&seen.answers), ASKED); /* Every one, and once. */
    assert_int_equal(atomic_load(&seen.wrong), 0);
    assert_int_equal(atomic_load(&seen.handled) + atomic_load(&seen.overloaded), ASKED);
    if (refusals)
        assert_true(atomic_load(&seen.overloaded) > 0);
    else
        assert_int_equal(atomic_load(&seen.overloaded), 0);
}

static void test_within_a_thread(void **state) {
    (void)state;
    run(0, 16384, false);
}

static void test_between_threads(void **state) {
    (void)state;
    run(1, 16384, false);
}

static void test_full_mailbox_answers(void **state) {
    (void)state;
    run(0, 300, true);
    run(1, 300, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_a_thread),
        cmocka_unit_test(test_between_threads),
        cmocka_unit_test(test_full_mailbox_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
