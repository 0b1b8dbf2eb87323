/* Stories with two shards and two bridges; as in test_stories.c, each text stands beside this file,
 * and UPDATE_STORIES=1 writes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "schema/id.h"
#include "schema/seal.h"
#include "tests/lib/story.h"
#include "tests/lib/town.h"

static FILE *trace;
static char *text;
static size_t text_size;

static struct town *stage(const char *title) {
    trace = open_memstream(&text, &text_size);
    assert_non_null(trace);
    fprintf(trace, "%s\n\n", title);
    return town_open(trace);
}

static void end(struct town *town, const char *path) {
    town_close(town);
    fclose(trace);
    story_compare(path, text);
    free(text);
}

/* ---- What a shopper does ---- */

struct got_ticket {
    char text[SEAL_TEXT_MAX + 1];
    int64_t order_id;
};

static struct got_ticket ticket(struct town *town, uint16_t node, int64_t lot_id) {
    struct ticket_create want = { .lot_id = lot_id,
                                  .user_id = TOWN_USER,
                                  .session_id = TOWN_SESSION };
    const struct ticket_view *view =
        BODY(town_ask(town, node, &want, MSG_ticket_create), ticket_view);
    struct got_ticket got = { .order_id = view->order_id };
    memcpy(got.text, view->ticket.at, view->ticket.size);
    return got;
}

static enum order_state buy(struct town *town, uint16_t node, const struct got_ticket *with) {
    struct order_create want = { .ticket = text_of(with->text),
                                 .quantity = 1,
                                 .address = text_of("{\"city\":\"Here\"}"),
                                 .user_id = TOWN_USER,
                                 .session_id = TOWN_SESSION };
    const struct order_view *view = BODY(town_ask(town, node, &want, MSG_order_create), order_view);
    assert_int_equal(view->order_id, with->order_id);
    return view->state;
}

static enum order_state look(struct town *town, uint16_t node, int64_t order_id) {
    struct order_get want = { .order_id = order_id,
                              .user_id = TOWN_USER,
                              .session_id = TOWN_SESSION };
    return BODY(town_ask(town, node, &want, MSG_order_get), order_view)->state;
}

static enum problem refused(struct town *town, uint16_t node) {
    struct order_list want = { .user_id = TOWN_USER, .session_id = TOWN_SESSION };
    return BODY(town_ask(town, node, &want, MSG_order_list), failed)->problem;
}

/* ---- The stories ---- */

static void two_shards(void **state) {
    (void)state;
    struct town *town =
        stage("Somebody buys from two lots, which live on two shards, and gives the\n"
              "second order back.");
    struct got_ticket first = ticket(town, 1, LOT_0), second = ticket(town, 1, LOT_1);
    assert_int_equal(id_shard(first.order_id, 2), 0);
    assert_int_equal(id_shard(second.order_id, 2), 1);
    assert_int_equal(buy(town, 1, &first), order_state_awaiting_payment);
    assert_int_equal(buy(town, 1, &second), order_state_awaiting_payment);
    struct order_cancel cancel = { .order_id = second.order_id,
                                   .user_id = TOWN_USER,
                                   .session_id = TOWN_SESSION };
    const struct message *answer = town_ask(town, 1, &cancel, MSG_order_cancel);
    assert_int_equal(BODY(answer, order_view)->state, order_state_cancelled);
    town_pass(town, 10);
    end(town, "tests/trace/two_shards.txt");
}

static void two_bridges(void **state) {
    (void)state;
    struct town *town =
        stage("A ticket from one bridge is used at the other one, and the order is\n"
              "looked at at the first.");
    struct got_ticket got = ticket(town, 1, LOT_1);
    assert_int_equal(buy(town, 2, &got), order_state_awaiting_payment);
    assert_int_equal(look(town, 1, got.order_id), order_state_awaiting_payment);
    end(town, "tests/trace/two_bridges.txt");
}

static void kicked_everywhere(void **state) {
    (void)state;
    struct town *town =
        stage("A session is ended at one bridge.  The news to the other one is lost;\n"
              "it asks, and refuses the session within a second all the same.");
    struct session_delete leave = { .user_id = TOWN_USER, .session_id = TOWN_SESSION };
    town_lose(town, 2, MSG_session_revoked);
    (void)BODY(town_ask(town, 1, &leave, MSG_session_delete), done);
    town_pass(town, 2);
    assert_int_equal(refused(town, 1), PROBLEM_login_again);
    town_pass(town, 500);
    assert_int_equal(refused(town, 2), PROBLEM_login_again);
    end(town, "tests/trace/kicked_everywhere.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_shards),
        cmocka_unit_test(two_bridges),
        cmocka_unit_test(kicked_everywhere),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
